"""Why a call goes where it goes: the decision with its trace, each step resolved, and the answer, as data and as text.

The engine that routes is asked, at a time that is an argument; nothing is decided here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from sipacr.routing.decide import Engine
from sipacr.routing.decision import Decision
from sipacr.routing.facts import Facts, State
from sipacr.routing.golden import contact_text, step_name
from sipacr.routing.offers import Offers, Rank, Skipped
from sipacr.routing.resolve import Redirection, contacts
from sipacr.routing.ruleset import RejectWith, Step
from sipacr.routing.trace import words_of_number


@dataclass(frozen=True, slots=True)
class ExplainedStep:
    """One step: whom it offers now, and who is skipped."""

    step: Step
    ranks: tuple[Rank, ...]
    skipped: tuple[Skipped, ...]

    @property
    def name(self) -> str:
        """As the admin wrote it."""
        return f"{self.step.kind} {self.step.name}".rstrip()


@dataclass(frozen=True, slots=True)
class Explanation:
    """All that there is to say of one call."""

    engine: Engine
    facts: Facts
    now: float  # unix seconds
    decision: Decision  # with its trace
    steps: tuple[ExplainedStep, ...]
    redirection: Redirection  # what a 302 would say

    @property
    def broken(self) -> tuple[str, ...]:
        """Look-ups that could not be made."""
        return self.facts.broken


def explain(engine: Engine, facts: Facts, state: State, now: float) -> Explanation:
    """Decides the call at `now` (unix seconds) and keeps everything that was found out."""
    decision = engine.decide(facts, now, trace=True)
    offers = Offers(engine, facts, state, now, redirect=True)
    steps = []
    for step in decision.steps:
        before = len(offers.skipped)
        ranks = tuple(offers.resolve(step))
        steps.append(ExplainedStep(step, ranks, tuple(offers.skipped[before:])))
    return Explanation(engine, facts, now, decision, tuple(steps), contacts(engine, decision, facts, state, now))


def as_text(found: Explanation) -> Iterator[str]:
    """Lines for a terminal."""
    yield _headline(found)
    decision = found.decision
    assert decision.trace is not None
    for tried in decision.trace.tried:
        goes_on = " (goes on: else next)" if tried.matched and tried.rule.else_ == "next" else ""
        yield f"{'yes' if tried.matched else 'no':<4} {tried.rule.name}{goes_on}  [{tried.rule.position}]"
        yield from (f"       {reason}" for reason in tried.reasons)
    yield from decision.trace.notes
    for step in decision.left_out:
        yield f"step {step.kind} {step.name}: left out, a later rule has a sticky step of its own"
    for explained in found.steps:
        yield from _step_lines(explained)
    if decision.reject is None:
        yield _ending(found)
    yield from (f"unavailable: {broken}" for broken in _by_cause(found.broken))
    yield from _answer(found)


def as_json(found: Explanation) -> dict[str, object]:
    """The same for scripts."""
    decision, request = found.decision, found.facts.request
    assert decision.trace is not None
    reject = found.redirection.reject
    return {
        "caller": None if request.anonymous else request.caller.key,
        "dialled": request.dialled.key,
        "peer": request.peer,
        "at": _moment(found).isoformat(),
        "direction": "outgoing" if decision.outgoing else "incoming",
        "emergency": decision.emergency,
        "action": decision.action,
        "rules": list(decision.names),
        "position": str(decision.rule.position) if decision.rule else None,
        "tag": decision.tag,
        "tried": [
            {
                "rule": tried.rule.name,
                "position": str(tried.rule.position),
                "matched": tried.matched,
                "reasons": list(tried.reasons),
            }
            for tried in decision.trace.tried
        ],
        "notes": list(decision.trace.notes),
        "steps": [
            {
                "step": explained.name,
                "position": str(explained.step.position),
                "offers": [[step_name(target) for target in rank] for rank in explained.ranks],
                "skipped": [{"who": skip.who, "reason": skip.reason} for skip in explained.skipped],
            }
            for explained in found.steps
        ],
        "left_out": [f"{step.kind} {step.name}" for step in decision.left_out],
        "else": decision.end if isinstance(decision.end, str) else {"reject": decision.end.code},
        "contacts": [contact_text(contact) for contact in found.redirection.contacts],
        "reject": None if reject is None else {"code": reject.code, "reason": reject.reason},
        "unavailable": list(found.broken),
    }


def _moment(found: Explanation) -> datetime:
    return datetime.fromtimestamp(found.now, ZoneInfo(found.engine.directory.timezone))


def _headline(found: Explanation) -> str:
    request = found.facts.request
    directory = found.engine.directory
    caller = "an anonymous caller" if request.anonymous else words_of_number(request.caller)
    own = directory.own.get(request.dialled.key)
    dialled = words_of_number(request.dialled) + (f" ({own})" if own else "")
    direction = "outgoing" if found.decision.outgoing else "incoming"
    when = _moment(found).strftime("%a %Y-%m-%d %H:%M:%S %Z")
    return f"{caller} -> {dialled}, {direction} from {request.peer}, {when}"


def _step_lines(explained: ExplainedStep) -> Iterator[str]:
    offered = ", then ".join(
        " and ".join(f"{step_name(target)} ({target.address})" for target in rank) for rank in explained.ranks
    )
    yield f"step {explained.name}: {offered or 'nobody'}  [{explained.step.position}]"
    yield from (f"       {skip.who} skipped: {skip.reason}" for skip in explained.skipped)


def _ending(found: Explanation) -> str:
    decision, ruleset = found.decision, found.engine.ruleset
    normal = "the trunks of outgoing_via" if decision.outgoing else f"the fallback, {', then '.join(ruleset.fallback)}"
    if isinstance(decision.end, RejectWith):
        return f"after the last step: {_code(decision.end)}"
    if not decision.steps:
        return f"goes to {normal}"
    return {
        "fallback": f"after the last step: {normal}",
        "answer": f"after the last step: what it answered; if it was unreachable, {normal}",
        "end": "after the last step: the best failure, or 480 if nobody was tried",
    }[decision.end]


def _answer(found: Explanation) -> Iterator[str]:
    reject = found.redirection.reject
    if reject is not None:
        yield f"answer: {_code(reject)}"
        return
    yield "answer: 302"
    yield from (f"       {contact_text(contact)}" for contact in found.redirection.contacts)


def _by_cause(broken: tuple[str, ...]) -> Iterator[str]:
    """`what: cause` with all that has the same cause in one line."""
    causes: dict[str, list[str]] = {}
    for text in broken:
        what, _, cause = text.partition(": ")
        causes.setdefault(cause, []).append(what)
    yield from (f"{', '.join(whats)}: {cause}" for cause, whats in causes.items())


def _code(reject: RejectWith) -> str:
    return f"{reject.code} {reject.reason}" if reject.reason else str(reject.code)
