"""What one call was, as plain data: the input of the memory, and what a call record holds.

All times are unix seconds. A call that goes on is reported more than once under the same `uid`: at its INVITE, when it
is answered, when something else becomes known, and at its end.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from sipacr.routing.facts import Number
from sipacr.routing.identity import NOBODY

Direction = Literal["in", "out"]
Source = Literal["relay", "import", "webhook"]
CallOutcome = Literal[
    "",  # not known yet: it goes on
    "answered",
    "busy",
    "no_answer",
    "declined",
    "unavailable",
    "voicemail",  # somebody's voicemail answered
    "unknown_number",
    "unreachable",  # the trunk failed, or all of them
    "refused",  # any other 4xx or 6xx of the far end
    "forwarded",  # a 3xx that nobody followed
    "abandoned",  # the caller gave up
    "rejected",  # our own refusal: a rule, a limit, a drain
    "redirected",  # answered with a 302: what came next is not known
    "lost",  # we crashed in mid-call; `alive` is the last moment it is known to have lived
]


class Talk(NamedTuple):
    """Somebody on our side talked with the customer."""

    agent: str | None  # None: no agent of ours (voicemail, a mobile of nobody): it teaches nothing
    who: str  # as the PBX named him, or as the step did
    since: float
    until: float | None = None  # None: they still talk


class Leg(NamedTuple):
    """One attempt to reach somebody."""

    step: str  # which step it came of: "sticky returning", "group sales", "fallback"
    agent: str | None  # who was wanted
    target: str  # "ivan", "queue-main", a trunk's name
    address: str  # user part and peer or number: "101@pbx"
    peer: str  # where the INVITE went
    started: float
    ended: float | None = None  # None: it goes on
    outcome: str = ""  # as in `calls.outcome.Outcome`
    code: int = 0  # SIP status of its final response; 0: none, we ended it
    reason: str = ""  # what the Reason header or the status line said (RFC 3326)


class NotTried(NamedTuple):
    """Somebody who was not offered, or a whole step, and why: the binding that was not used is told here."""

    step: str
    who: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One call as far as it is known."""

    uid: str  # unique within its source: ours, or the PBX's
    source: Source
    direction: Direction
    # Who the customer is, and over which number of ours
    customer: str  # E.164, raw where there is none; "" if anonymous
    nobody: str = (
        ""  # why the customer is never bound (`customers.why_nobody`), as it was when he called; "": he may be
    )
    number: str | None = None  # company number: the one dialled (in); the own one shown (out), None: withheld, foreign
    shown: str = ""  # out: the number shown to the customer, ours or not (E.164, raw where there is none); "": withheld
    peer: str = ""  # the peer that sent the call; "": it did not pass through us
    agent: str | None = None  # out: the agent who calls; None: nobody knows
    # When, and how it went
    started: float
    ringing: float | None = None
    answered: float | None = None
    ended: float | None = None  # None: it goes on, or is lost
    alive: float = 0.0  # last moment it is known to have lived; for what goes on or is lost
    outcome: CallOutcome = ""  # of the call as a whole; of a forwarded one what its last target did
    code: int = 0  # SIP status that the caller was given last
    reason: str = ""
    ended_by: Literal["", "caller", "callee", "us"] = ""
    talks: tuple[Talk, ...] = ()  # in the order in which they began
    legs: tuple[Leg, ...] = ()  # in the order in which they were tried
    not_tried: tuple[NotTried, ...] = ()
    # What the rules made of it
    learn: bool = True  # `learn: false` on a rule: makes and refreshes nothing
    headers: Mapping[str, Sequence[str]] = field(default_factory=dict)  # lower-case names; those that rules name
    rules: tuple[str, ...] = ()
    position: str = ""  # "rules.yaml:12:5" of the last of them
    version: str = ""  # of the rule set
    tag: str = ""
    # For people
    caller: Number = NOBODY
    dialled: Number = NOBODY
    name: str = ""  # the caller's display name
    call_id: str = ""

    @property
    def goes_on(self) -> bool:
        return self.ended is None and self.outcome != "lost"

    @property
    def last(self) -> float:
        """When it ended, or until when it is known to have gone; never before its other times, should a clock jump."""
        known = (self.started, self.answered or 0.0, self.alive if self.ended is None else self.ended)
        return max(known)

    def lost(self) -> "Report":
        """What a call that went on becomes when we find that we crashed meanwhile: what was known stays known."""
        if self.outcome in ("", "answered"):
            return replace(self, outcome="lost")
        return replace(self, ended=self.last)

    def replaces(self, other: "Report") -> bool:
        """Whether this one takes the place of `other` of the same uid, which came before: it is at least as full."""
        return self._fullness() >= other._fullness()

    def _fullness(self) -> tuple[bool, bool, float, bool, int, int]:
        ended = self.ended is not None
        return (
            ended,
            not self.goes_on,
            0.0 if ended else self.last,
            self.answered is not None,
            len(self.talks),
            len(self.legs),
        )
