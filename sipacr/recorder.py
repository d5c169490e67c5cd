"""From relayed calls to their records: what each is at its beginning, its answer, while it goes on, and at its end.

All of it happens on the routing thread, which only hands reports over; the writer's thread writes. A call is recorded
within a second of its beginning, so that after a crash it is known that there was one.
"""

import logging
import math
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice

from sipacr.calls.addresses import user_and_host
from sipacr.calls.call import Call
from sipacr.calls.calls import Calls
from sipacr.calls.half import Half
from sipacr.calls.hunt import Tried
from sipacr.calls.message import Message, display_of, uri_of
from sipacr.calls.outcome import answer_of, best
from sipacr.calls.timers import Timer
from sipacr.ends import Ends, Someone
from sipacr.memory.customers import Customers
from sipacr.memory.events import next_moment
from sipacr.memory.learner import Learner
from sipacr.memory.report import CallOutcome, Leg, NotTried, Report, Talk
from sipacr.routing.decide import Engine
from sipacr.routing.facts import Number, Unavailable
from sipacr.routing.identity import NOBODY, is_anonymous
from sipacr.routing.ruleset import Step
from sipacr.settings import Keep
from sipacr.store.learning import Learn, LearnLost
from sipacr.store.records import StillAlive
from sipacr.store.retention import Place, Purge
from sipacr.store.writer import AddToList, Change

log = logging.getLogger("sipacr.recorder")

_SOON = 0.01  # seconds: clocks that differ by less must not keep us busy
ALIVE = 30.0  # seconds between two words that calls go on: so much of a talk a crash may take from the record
_UNFINISHED: dict[str, CallOutcome] = {
    "answered": "answered",
    "abandoned": "abandoned",
    "lost": "abandoned",  # a ringing caller who does not acknowledge any more
    "stopped": "rejected",
}


class Recorder:
    """Reports of all relayed calls. What it is told never raises: a record that fails must not cost a call."""

    def __init__(
        self,
        calls: Calls,
        submit: Callable[[Change], object],
        is_shared: Callable[[str], bool],
        engine: Engine,
        keep: Keep,
    ) -> None:
        """`submit` hands a change to the writer's thread; `is_shared` asks the store of a number, and may raise
        `Unavailable`."""
        self.faults = 0
        self._calls = calls
        self._submit = submit
        self._is_shared = is_shared
        self._told: dict[Call, list[Talk]] = {}  # calls that are recorded and go on; who talks in them
        self._boxes: set[Call] = set()  # of these, those in which a voicemail talks, and no agent has
        self._again: dict[Call, Timer] = {}  # of these, those that are to be reported though nothing happens
        self._alive_at = -math.inf
        self._place = Place()
        calls.on_begin, calls.on_answer, calls.on_word, calls.on_end = self.began, self.answered, self.heard, self.ended
        self.take(engine, keep)

    def take(self, engine: Engine, keep: Keep) -> None:
        """The configuration from now on."""
        self._customers = Customers(engine.directory, engine.ruleset)
        self._ends = Ends(engine.ruleset, engine.directory)
        self._learners = tuple(Learner(profile, engine.ruleset.groups) for profile in engine.ruleset.sticky.values())
        self._least = frozenset(learner.profile.min_talk for learner in self._learners if learner.profile.min_talk)
        self._keep = keep

    def recover(self) -> None:
        """Before the first call: those that a crash has cut off are over."""
        self._submit(LearnLost(self._learners))

    def began(self, call: Call) -> None:
        """An INVITE is relayed (`Calls.on_begin`): told at once where it is an attempt of an agent, else `tick` finds
        it."""
        if call.agent is not None and call.hunt.decision.outgoing:
            self._record(call, [])

    def answered(self, call: Call, answer: Message) -> None:
        """A call was answered, by this 2xx (`Calls.on_answer`)."""
        try:
            someone = self._who_answered(call, answer)
        except Exception:  # noqa: BLE001  # as in `_tell`
            self._fail(call)
            return
        assert call.answered_at is not None
        if someone.voicemail:
            self._boxes.add(call)
        else:
            self._remember(call)
        self._record(call, [Talk(someone.agent, someone.who, call.answered_at)])

    def _who_answered(self, call: Call, answer: Message) -> Someone:
        """Who talks with the customer from the answer on: whom the PBX names, else who was rung; of an outgoing call
        who called."""
        assert call.callee is not None
        if call.hunt.decision.outgoing:
            return Someone(call.agent, call.agent or call.request.caller.text)
        return self._ends.named(answer, call.callee.peer) or self._ends.wanted(call.callee.attempt.target)

    def _remember(self, call: Call) -> None:
        """Put the caller of an answered call on the lists that its rule names (S2.3)."""
        request = call.request
        for entry in () if request.anonymous else call.hunt.decision.remember:
            if entry.on == "answer":
                note = f"called {request.dialled.key}"
                self._submit(AddToList(entry.list, request.caller.key, self._calls.wall(), note))

    def heard(self, half: Half, message: Message) -> None:
        """One side has sent what may name who is there now (`Calls.on_word`)."""
        call = half.call
        ours = call.near if call.hunt.decision.outgoing else call.far
        if half is not ours or call.state != "talking":
            return
        try:
            someone = self._ends.named(message, half.peer)
        except Exception:  # noqa: BLE001  # as in `_tell`
            self._fail(call)
            return
        if someone is None:
            return
        if someone.agent is not None:
            self._boxes.discard(call)
        elif someone.voicemail and not any(talk.agent for talk in self._told.get(call, ())):
            self._boxes.add(call)
        self.named(call, someone.agent, someone.who)

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
        self._boxes.discard(call)

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
        if again := self._again.pop(call, None):
            again.cancel()
        try:
            now = self._calls.wall()
            report = report_of(call, tuple(talks), self._why_nobody(call), now, voicemail=call in self._boxes)
            moment = next_moment(report, self._least) if talks and self._least else None
        except Exception:  # noqa: BLE001  # the call goes on; what is not recorded is loud
            self._fail(call)
            return
        self._submit(Learn(report, self._learners))
        if moment is not None:
            wait = max(_SOON, moment - now)
            self._again[call] = self._calls.timers.after(wait, partial(self._tell_again, call))

    def _tell_again(self, call: Call) -> None:
        """Somebody has talked as long as a profile wants."""
        self._tell(call, self._told.get(call, []))

    def _fail(self, call: Call) -> None:
        self.faults += 1
        log.exception("%s: the call cannot be recorded", call.request.call_id)

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


def report_of(call: Call, talks: tuple[Talk, ...], nobody: str, now: float, *, voicemail: bool = False) -> Report:
    """What is known of a call at `now` (unix seconds). `voicemail`: it was one that answered."""
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
        outcome="voicemail" if voicemail else _outcome(call),
        code=call.caller.final,
        talks=talks,
        legs=tuple(_legs(call, "voicemail" if voicemail else "answered")),
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


def _legs(call: Call, answered: str) -> Iterator[Leg]:
    """Its attempts that have ended, and the one that was answered; `answered`: what that is called."""
    for attempt, outcome, code, started, ended in call.hunt.tried:
        yield Leg(
            step=step_text(attempt.step, call.hunt.decision.outgoing),
            agent=attempt.target.agent.name if attempt.target.agent is not None else None,
            target=attempt.target.name,
            address=f"{attempt.user}@{attempt.peer}",
            peer=attempt.peer,
            started=started,
            ended=call.ended_at if outcome == "answered" else ended,
            outcome=answered if outcome == "answered" else outcome,
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
