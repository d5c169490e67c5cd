"""The reachability table: what a leg did, as one word, and what of it the caller is told if nobody answers."""

from collections.abc import Mapping, Sequence
from typing import Literal

from sipacr.routing import ruleset

# "elsewhere": we ended the leg because another one of the same ring was answered.
Outcome = ruleset.Outcome | Literal["answered", "abandoned", "elsewhere"]

WORTH_A_WARNING: frozenset[Outcome] = frozenset(
    {"unknown_number", "refused"}
)  # the directory or the settings are wrong

_OF_CODE: Mapping[int, Outcome] = {
    486: "busy", 600: "busy",
    408: "no_answer", 487: "no_answer",
    480: "unavailable",
    403: "declined", 603: "declined",
    404: "unknown_number", 410: "unknown_number", 484: "unknown_number", 604: "unknown_number",
}  # fmt: skip
_OF_CLASS: Mapping[int, Outcome] = {2: "answered", 3: "forwarded", 4: "refused", 5: "unreachable", 6: "refused"}

# A leg that nothing answered, or whose way broke, counts as one with this answer (RFC 3261 16.9).
UNREACHABLE_CODE = 503
_OUR_CREDENTIALS = (401, 407)

# RFC 3261 16.7, step 6: within 4xx first what tells the caller how to try again, then what is true of the person; last
# what is our directory's or our own time's fault.
_TELLING = (415, 420, 484, 488)
_PREFERRED_4XX: Mapping[int, int] = {**dict.fromkeys(_TELLING, 0), 486: 1, 480: 2, 404: 4, 410: 4, 408: 5}
_OTHER_4XX = 3


def outcome_of(code: int, *, rung: bool = False) -> Outcome:
    """The outcome of a leg that ended with this final response; `rung`: its ring time was over."""
    if rung:
        return "no_answer"
    return _OF_CODE.get(code) or _OF_CLASS[code // 100]


def is_trunks_own(outcome: Outcome, code: int) -> bool:
    """Whether the trunk failed, not whoever was called through it: another trunk may reach him."""
    return outcome == "unreachable" or code in _OUR_CREDENTIALS


def passed_on(code: int) -> int:
    """The failure of one side as the other may see it: never 503, for which a caller's side would bar all of us (RFC
    3261 16.7), nor 401 and 407, which ask for our own credentials."""
    return 500 if code == 503 or code in _OUR_CREDENTIALS else code


def answer_of(code: int) -> int:
    """What tells the caller of this failed leg; 0: there was no response, we ended it.

    Who rang and did not answer is 480 (RFC 3398 8.2.6.1): carriers take a 408 for a dead route and dial again. A 487
    is for a caller who cancelled, and a 3xx that was not followed has reached nobody.
    """
    return 480 if code < 400 or code == 487 else passed_on(code)


def best(answers: Sequence[int]) -> int:
    """Which of these codes (400-699, at least one) to answer with, by RFC 3261 16.7, step 6: its index."""
    return min(range(len(answers)), key=lambda index: _rank(answers[index]))


def _rank(code: int) -> tuple[int, int]:
    """Lower is better: any 6xx, then the lowest class; of 5xx those that say more than 500."""
    if code >= 600:
        return 0, 0
    if code < 500:
        return 1, _PREFERRED_4XX.get(code, _OTHER_4XX)
    return 2, int(code == 500)
