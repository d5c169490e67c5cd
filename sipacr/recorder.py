"""From relayed calls to their records: what each is at its beginning, its answer, while it goes on, and at its end.

All of it happens on the routing thread, which only hands reports over; the writer's thread writes. A call is recorded
within a second of its beginning, so that after a crash it is known that there was one.
"""

import logging
import math
from collections.abc import Callable, Iterator
from itertools import islice

from sipacr.calls.addresses import user_and_host
from sipacr.calls.call import Call
from sipacr.calls.calls import Calls
from sipacr.calls.hunt import Tried
from sipacr.calls.message import display_of, uri_of
from sipacr.calls.outcome import answer_of, best
from sipacr.memory.customers import Customers
from sipacr.memory.report import CallOutcome, Leg, NotTried, Report, Talk
from sipacr.routing.facts import Number, Unavailable
from sipacr.routing.identity import NOBODY, is_anonymous
from sipacr.routing.ruleset import Step
from sipacr.settings import Keep
from sipacr.store.records import StillAlive, WriteReport
from sipacr.store.retention import Place, Purge
from sipacr.store.writer import Change

log = logging.getLogger("sipacr.recorder")

ALIVE = 30.0  # seconds between two words that calls go on: so much of a talk a crash may take from the record
_UNFINISHED: dict[str, CallOutcome] = {
    "answered": "answered",
    "abandoned": "abandoned",
    "lost": "abandoned",  # a ringing caller who does not acknowledge any more
    "stopped": "rejected",
}


class Recorder:
    """Reports of all relayed calls. Its four methods never raise: a record that fails must not cost a call."""

    def __init__(
        self,
        calls: Calls,
        submit: Callable[[Change], object],
        is_shared: Callable[[str], bool],
        customers: Customers,
        keep: Keep,
    ) -> None:
        """`submit` hands a change to the writer's thread; `is_shared` asks the store of a number, and may raise
        `Unavailable`."""
        self.faults = 0
        self.on_report: Callable[[Report], object] = _nothing  # who learns from calls
        self._calls = calls
        self._submit = submit
        self._is_shared = is_shared
        self._told: dict[Call, list[Talk]] = {}  # calls that are recorded and go on; who talks in them
        self._alive_at = -math.inf
        self._place = Place()
        self.take(customers, keep)

    def take(self, customers: Customers, keep: Keep) -> None:
        """The configuration from now on."""
        self._customers = customers
        self._keep = keep

    def began(self, call: Call) -> None:
        """An INVITE is relayed: to be told at once where an attempt counts, else `tick` finds it."""
        self._record(call, [])

    def answered(self, call: Call) -> None:
        """A call was answered (`Calls.on_answer`)."""
        self._record(call, _talks(call))

    def named(self, call: Call, agent: str | None, who: str) -> None:
        """The PBX names who is at its end now (connected line): he talks from here on. `agent`: None, if he is none of
        ours."""
        talks, now = self._told.get(call), self._calls.wall()
        if not talks or talks[-1].who == who or (agent is not None and talks[-1].agent == agent):
            return
        if talks[-1].since < now:
            talks[-1] = talks[-1]._replace(until=now)
        else:
            talks.pop()  # he was named as he answered: nobody else has talked
        self._record(call, [*talks, Talk(agent, who, now)])

    def ended(self, call: Call) -> None:
        """A call is over (`Calls.on_end`)."""
        talks = self._told.pop(call, [])
        if talks and talks[-1].until is None:
            talks[-1] = talks[-1]._replace(until=call.ended_at)
        self._tell(call, talks)

    def tick(self) -> None:
        """Once a second: record calls that are new, each half minute say which go on, and delete what is old."""
        now = self._calls.wall()
        fresh = len(self._calls.live) - len(self._told)
        if fresh > 0:
            new = (call for call in reversed(self._calls.live) if call not in self._told)
            for call in list(islice(new, fresh)):
                self._record(call, [])
        if abs(now - self._alive_at) < ALIVE:
            return
        self._alive_at = now
        if self._told:
            self._submit(StillAlive(tuple(uid_of(call) for call in self._told), now))
        self._submit(Purge(now - self._keep.records, now - self._keep.bindings, self._place))

    def _record(self, call: Call, talks: list[Talk]) -> None:
        self._told[call] = talks
        self._tell(call, talks)

    def _tell(self, call: Call, talks: list[Talk]) -> None:
        try:
            report = report_of(call, tuple(talks), self._why_nobody(call), self._calls.wall())
        except Exception:  # the call goes on; what is not recorded is loud
            self.faults += 1
            log.exception("%s: the call cannot be recorded", call.request.call_id)
            return
        self._submit(WriteReport(report))
        self.on_report(report)

    def _why_nobody(self, call: Call) -> str:
        request, outgoing = call.request, call.hunt.decision.outgoing
        number = request.dialled if outgoing else request.caller
        try:
            shared = self._is_shared(number.key)
        except Unavailable:
            shared = False  # a look-up asks again before anybody is offered
        return self._customers.why_nobody(number, not outgoing and request.anonymous, shared)


def uid_of(call: Call) -> str:
    """What tells a call from all others: one INVITE is one call (RFC 3261 8.2.2.2)."""
    request = call.request
    return f"{request.call_id};{request.from_tag};{request.cseq}"


def report_of(call: Call, talks: tuple[Talk, ...], nobody: str, now: float) -> Report:
    """What is known of a call at `now` (unix seconds)."""
    request, decision = call.request, call.hunt.decision
    outgoing = decision.outgoing
    shown = _shown(call) if outgoing else NOBODY
    customer = request.dialled.key if outgoing else "" if request.anonymous else request.caller.key
    return Report(
        uid=uid_of(call),
        source="relay",
        direction="out" if outgoing else "in",
        customer=customer,
        nobody=nobody,
        number=_own(call, shown) if outgoing else request.dialled.key,
        shown=shown.text,
        peer=request.peer,
        agent=call.agent if outgoing else None,
        started=call.started,
        answered=call.answered_at,
        ended=call.ended_at,
        alive=now,
        outcome=_outcome(call),
        code=call.caller.final,
        talks=talks,
        legs=tuple(_legs(call)),
        not_tried=tuple(
            [NotTried(step_text(skip.step, outgoing), skip.who, skip.reason) for skip in call.hunt.skipped]
        ),
        learn=decision.learn,
        headers=request.headers,
        rules=decision.names,
        position=str(decision.rule.position) if decision.rule is not None else "",
        version=call.hunt.engine.ruleset.version,
        tag=decision.tag or "",
        caller=request.caller,
        dialled=request.dialled,
        name=display_of(call.caller.invite.get("From") or ""),
        call_id=request.call_id,
    )


def step_text(step: Step | None, outgoing: bool) -> str:
    """A step as the admin wrote it; where there is none, what follows the last one."""
    if step is None:
        return "outgoing_via" if outgoing else "fallback"
    return f"{step.kind} {step.name}".rstrip()


def _talks(call: Call) -> list[Talk]:
    """Who talks with the customer from the answer on: who was rung, or of an outgoing call who called."""
    assert call.callee is not None
    assert call.answered_at is not None
    if call.hunt.decision.outgoing:
        return [Talk(call.agent, call.agent or call.request.caller.text, call.answered_at)]
    target = call.callee.attempt.target
    agent = target.agent.name if target.agent is not None else None
    return [Talk(agent, target.name, call.answered_at)]


def _legs(call: Call) -> Iterator[Leg]:
    for attempt, outcome, code, started, ended in call.hunt.tried:
        yield Leg(
            step=step_text(attempt.step, call.hunt.decision.outgoing),
            agent=attempt.target.agent.name if attempt.target.agent is not None else None,
            target=attempt.target.name,
            address=f"{attempt.user}@{attempt.peer}",
            peer=attempt.peer,
            started=started,
            ended=call.ended_at if outcome == "answered" else ended,
            outcome=outcome,
            code=code,
        )


def _outcome(call: Call) -> CallOutcome:
    """Of the call as a whole: where nobody has answered, the failure that the caller was told of."""
    if call.outcome in _UNFINISHED or not call.outcome:
        return _UNFINISHED.get(call.outcome, "")
    failures: list[Tried] = [
        tried for tried in call.hunt.tried if tried.outcome not in ("answered", "abandoned", "elsewhere")
    ]
    if not failures:
        return "rejected"
    outcome = failures[best([answer_of(tried.code) for tried in failures])].outcome
    return "no_answer" if outcome == "elsewhere" or outcome == "abandoned" else outcome


def _shown(call: Call) -> Number:
    """The number that an outgoing call shows to the customer: what the step says, else From."""
    steps = [tried.attempt.step for tried in call.hunt.tried]
    of_rule = next((step.from_ for step in reversed(steps) if step is not None and step.from_), None)
    plan = call.peer.plan
    if of_rule is not None:
        return plan.read(of_rule)
    parts = user_and_host(uri_of(call.caller.invite.get("From") or ""))
    if call.request.anonymous or parts is None or is_anonymous(parts[0], parts[1].partition(";")[0].partition(":")[0]):
        return NOBODY
    return plan.read(parts[0])


def _own(call: Call, shown: Number) -> str | None:
    return shown.key if shown.key in call.hunt.engine.directory.own else None


def _nothing(report: Report) -> None:
    """Nobody wants to know."""
