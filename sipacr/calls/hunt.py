"""The hunt for somebody who answers: from a decision to the legs of one relayed call, ring after ring.

Pure: `now` is an argument (unix seconds, as schedules need it), and each step is resolved at its turn, so that who is
busy, away or down is as of that moment.
"""

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from sipacr.calls.forwarding import passed_contacts, read_contacts
from sipacr.calls.outcome import Outcome, answer_of, best, is_trunks_own
from sipacr.routing.decide import Engine
from sipacr.routing.decision import Decision
from sipacr.routing.facts import Facts, Number, State
from sipacr.routing.offers import Offers, Skipped
from sipacr.routing.resolve import Resolution, resolve
from sipacr.routing.ruleset import MAX_RING, RejectWith, Step
from sipacr.routing.targets import Target

RING = 20.0  # seconds that a person is rung, where neither step nor profile say else
MAX_FOLLOWED = 3  # legs that come of the 3xx of one leg, and of theirs
_LONGEST_DELAY = 9  # digits of a Retry-After
_LEAST = 0.1  # seconds: who could be rung for less is not
_OFFERED = "was already offered in this call"
_NOBODY = RejectWith(480)
_NO_TRUNK = RejectWith(503, "No outgoing route")
_SEVERAL = ("group", "sticky")  # kinds of steps that can offer one rank after the other


@dataclass(slots=True, eq=False)
class Attempt:
    """One leg that is to be dialled now."""

    target: Target  # whom we want: his mobile where that is called, though the way leads to a trunk
    peer: str  # where the INVITE goes
    user: str  # as that peer wants it
    ring: float | None  # seconds from sending the INVITE; None: until the ring's `until`
    step: Step | None  # None: the fallback, or the way of an outgoing call
    number: int  # of its ring in this call, from 1
    started: float
    by: "Attempt | None" = None  # whose 3xx named it
    ways: tuple[Target, ...] = ()  # trunks that are tried if this one fails
    followed: int = 0  # legs that came of its 3xx, and of theirs
    over: bool = False


class Ring(NamedTuple):
    """Legs to be dialled now, at once."""

    attempts: tuple[Attempt, ...]
    until: float  # unix seconds: when all of them end, whatever their own ring time (`total`, `max_ring`)
    last: bool  # surely nothing follows, but for a 3xx: who counts on it must not follow one


class End(NamedTuple):
    """Nobody is left: what the caller is answered."""

    reject: RejectWith  # a 3xx if it is one that is passed on
    why: str
    attempt: Attempt | None = None  # whose failure this is; None: our own
    headers: tuple[tuple[str, str], ...] = ()


class Tried(NamedTuple):
    """One leg that ended."""

    attempt: Attempt
    outcome: Outcome
    code: int  # of its final response; 0: none, we ended it
    started: float  # unix seconds
    ended: float


class NotTried(NamedTuple):
    """Somebody who was not offered, or a whole step, and why."""

    step: Step | None
    who: str
    reason: str


class _Failure(NamedTuple):
    attempt: Attempt
    outcome: Outcome
    answer: int
    retry_after: int | None


class _Offer(NamedTuple):
    """One target that is to be rung."""

    target: Target
    ways: tuple[Target, ...]  # where its INVITE may go, in order
    by: Attempt | None = None


@dataclass(slots=True)
class _Turn:
    """A step, or what comes after the last one, while it is tried."""

    step: Step | None
    until: float
    over: bool = False
    names: set[str] = field(default_factory=set)  # who was rung in it
    lines: set[str] = field(default_factory=set)  # cursors that it has moved


class Hunt:
    """All attempts of one call. `next` says what to do at the start, and again when all legs of a ring have failed."""

    def __init__(self, engine: Engine, decision: Decision, facts: Facts, state: State, now: float) -> None:
        """`state` is the router's own and is read at each turn; its cursors are moved when somebody is offered."""
        self.decision = decision
        self.connect = decision.connect  # seconds that a leg may be silent; None: as its peer says
        self.deadline = now + decision.max_ring  # of the steps, then of what follows the last one
        self.tried: list[Tried] = []
        self.skipped: list[NotTried] = []
        self.broken: list[str] = []
        self._engine = engine
        self._facts = facts
        self._state = state
        self._offered: set[str] = set()  # addresses
        self._position = 0  # of the step that comes next
        self._turn: _Turn | None = None
        self._waiting: deque[_Offer] = deque()
        self._tail: deque[_Offer] | None = None  # after the last step; None: not there yet
        self._stopped: str | None = None  # why no further step is tried
        self._passed: End | None = None  # a 3xx that the caller gets
        self._failures: list[_Failure] = []
        self._ringing: tuple[Attempt, ...] = ()
        self._rings = 0

    @property
    def engine(self) -> Engine:
        """The configuration by which this call goes, whatever was reloaded since."""
        return self._engine

    # What to do

    def next(self, now: float) -> Ring | End:
        """What to do at the start, and after all attempts of the present ring have ended without an answer."""
        if self.decision.reject is not None:
            return End(self.decision.reject, f'rule "{self.decision.names[-1]}" rejects')
        if self._passed is not None:
            return self._passed
        return self._from_waiting(now) or self._from_steps(now) or self._from_tail(now) or self._end()

    def _from_waiting(self, now: float) -> Ring | None:
        """Another trunk to the same target, or what a 3xx named."""
        turn = self._turn
        while self._waiting and turn is not None:
            target, ways, by = self._waiting.popleft()
            ways = tuple([way for way in ways if way.address not in self._offered])
            if not ways:
                self._skip(turn.step, target.name, _OFFERED)
            elif not _is_time(now, turn.until) and not self.decision.emergency:
                self._skip(turn.step, target.name, "no time was left")
            else:
                return self._dial([_Offer(target, ways, by)], turn, now, more=bool(self._waiting) or not turn.over)
        return None

    def _from_steps(self, now: float) -> Ring | None:
        while self._tail is None and self._stopped is None:
            if self._turn is None or self._turn.over:
                if self._position == len(self.decision.steps):
                    return None
                if not _is_time(now, self.deadline):
                    self._stopped = "max_ring was over"
                    return None
                step = self.decision.steps[self._position]
                self._position += 1
                self._turn = _Turn(step, min(self.deadline, now + (step.total or math.inf)))
            ring = self._from_step(self._turn, now)
            if ring is not None:
                return ring
            self._turn.over = True
        return None

    def _from_step(self, turn: _Turn, now: float) -> Ring | None:
        """The next rank of a step: asked anew each time, for who is free changes while another one is rung."""
        step = turn.step
        if step is None or not _is_time(now, turn.until):
            return None
        found = resolve(self._engine, step, self._facts, self._state, now, self._offered)
        self._note(turn, found)
        if not found.ranks:
            return None
        turn.over = step.kind not in _SEVERAL
        offers = [offer for target in found.ranks[0] if (offer := self._offer(target, step)) is not None]
        if not offers:
            return None
        self._move_cursor(turn, found)
        turn.names.update(offer.target.name for offer in offers)
        more = not turn.over and (len(found.ranks) > 1 or any(map(self._may_come_free, found.skipped)))
        return self._dial(offers, turn, now, more)

    def _may_come_free(self, skipped: Skipped) -> bool:
        """Whether somebody who is skipped now (busy, away) may be offered by the same step a little later."""
        target = self._engine.places.agents.get(skipped.who)
        return target is not None and target.address not in self._offered

    def _note(self, turn: _Turn, found: Resolution) -> None:
        for skipped in found.skipped:
            if skipped.who not in turn.names:
                self._skip(skipped.step, skipped.who, skipped.reason)
        if found.broken is not None and found.broken not in self.broken:
            self.broken.append(found.broken)

    def _skip(self, step: Step | None, who: str, reason: str) -> None:
        entry = NotTried(step, who, reason)
        if entry not in self.skipped:
            self.skipped.append(entry)

    def _move_cursor(self, turn: _Turn, found: Resolution) -> None:
        """Round robin goes on after the first who is offered in a line; the first entry is of the line that is rung."""
        for cursor, position in found.advance[:1]:
            if cursor not in turn.lines:
                turn.lines.add(cursor)
                self._state.cursor[cursor] = position

    def _offer(self, target: Target, step: Step | None, by: Attempt | None = None) -> _Offer | None:
        """The ways to a target: one, or for a mobile all trunks that work."""
        if not target.is_mobile:
            return _Offer(target, (target,), by)
        number = Number(target.user, target.user, target.user)
        names = [name for name in self._engine.directory.outgoing_via if name not in self._state.down]
        found = (self._engine.places.trunk(name, number) for name in names)
        ways = tuple(way for way in found if way.address not in self._offered)
        if not ways:
            self._skip(step, target.name, "there is no trunk to reach a mobile")
            return None
        return _Offer(target, ways, by)

    # After the last step

    def _from_tail(self, now: float) -> Ring | None:
        if self._tail is None:
            self._leave_steps()
            self.deadline = now + max(self.decision.max_ring, MAX_RING)  # who rang long must not cost the fallback
            self._turn = _Turn(None, self.deadline, over=True)
            self._tail = deque(self._after_the_last(now))
        assert self._turn is not None
        if not self._tail or not _is_time(now, self._turn.until):
            return None
        offer = self._tail.popleft()
        return self._dial([offer], self._turn, now, more=bool(self._tail))

    def _leave_steps(self) -> None:
        if self._stopped is not None:
            for step in self.decision.steps[self._position :]:
                self._skip(step, step.name or step.kind, self._stopped)

    def _after_the_last(self, now: float) -> list[_Offer]:
        """The fallback, or of an outgoing call its trunks as the ways of one target, if the call goes there."""
        if not self._goes_on():
            return []
        offers = Offers(self._engine, self._facts, self._state, now, self._offered)
        if not self.decision.outgoing:
            return [_Offer(target, (target,)) for (target,) in offers.fallback()]
        ways = tuple(target for (target,) in offers.trunks(self.decision.emergency))
        return [_Offer(ways[0], ways)] if ways else []

    def _goes_on(self) -> bool:
        """Whether the fallback follows. After a broken look-up it does, whatever `else` says."""
        end = self.decision.end
        return end == "fallback" or bool(self.broken) or (end == "answer" and not self._last_step_answered())

    def _last_step_answered(self) -> bool:
        """Whether the last step, a `to`, answered anything but unreachable; a 3xx is what its last target did."""
        last = self.decision.steps[-1]
        outcomes = [tried.outcome for tried in self.tried if tried.attempt.step is last]
        return bool(outcomes) and outcomes[-1] != "unreachable"

    def _end(self) -> End:
        end = self.decision.end
        if isinstance(end, RejectWith):
            return End(end, f'rule "{self.decision.names[-1]}" ends with {end.code}')
        if not self._failures:
            if self.decision.outgoing and self._goes_on():
                return End(_NO_TRUNK, "there is no outgoing trunk")
            return End(_NOBODY, "nobody could be offered")
        failure = self._failures[best([failure.answer for failure in self._failures])]
        why = f"{failure.attempt.target.name}: {failure.outcome}"
        if len(self._failures) > 1:
            why += f", the best of {len(self._failures)} failures"
        return End(RejectWith(failure.answer, retry_after=failure.retry_after), why, failure.attempt)

    # Legs

    def _dial(self, offers: Iterable[_Offer], turn: _Turn, now: float, more: bool) -> Ring:
        self._rings += 1
        if self.decision.emergency:  # each way has the whole time
            turn.until = self.deadline = now + MAX_RING
        attempts = tuple([self._attempt(offer, turn, now) for offer in offers])
        self._ringing = attempts
        last = not more and not any(attempt.ways for attempt in attempts) and not self._may_go_on(turn)
        return Ring(attempts, turn.until, last)

    def _attempt(self, offer: _Offer, turn: _Turn, now: float) -> Attempt:
        way, *others = offer.ways
        self._offered.update((offer.target.address, way.address))
        assert way.peer is not None
        origin = _origin(offer.by)
        seconds = self._ring_time(turn.step, offer.target if origin is None else origin.target)
        return Attempt(
            target=offer.target if offer.target.is_mobile else way,
            peer=way.peer,
            user=way.user,
            ring=None if seconds is None else min(seconds, turn.until - now),
            step=turn.step,
            number=self._rings,
            started=now,
            by=offer.by,
            ways=tuple(others),
        )

    def _ring_time(self, step: Step | None, target: Target) -> float | None:
        """People ring for a time, destinations and outgoing calls as long as they may."""
        if step is None:
            return None
        if step.ring is not None:
            return step.ring
        profile = self._engine.ruleset.sticky.get(step.name) if step.kind == "sticky" else None
        if profile is not None and profile.ring is not None:
            return profile.ring
        return None if target.agent is None else RING

    def _may_go_on(self, turn: _Turn) -> bool:
        """Whether anything may follow this turn."""
        if turn.step is None:
            return bool(self._tail)
        if self._position < len(self.decision.steps):
            return True
        if self.decision.end not in ("fallback", "answer") and not self.broken:
            return False
        if self.decision.outgoing:
            return True
        return any(target.address not in self._offered for target in self._engine.places.fallback)

    # What became of them

    def ended(self, attempt: Attempt, outcome: Outcome, code: int, now: float, retry_after: str | None = None) -> None:
        """A leg ended without an answer; `code` of its final response, 0 if we ended it. A second end is ignored."""
        if not self._is_over(attempt, outcome, code, now):
            return
        self._fail(attempt, outcome, code, retry_after)

    def forwarded(self, attempt: Attempt, contacts: Sequence[str], code: int, now: float, host: str = "") -> None:
        """A leg ended with a 3xx: its contacts (header values) come next, if they may be called.

        `host`: the address that sent it. At most three legs come of one, never to an address that was offered already.
        """
        if not self._is_over(attempt, "forwarded", code, now):
            return
        targets, refused = read_contacts(
            self._engine, self._facts, contacts, attempt.peer, host, now, outgoing=self.decision.outgoing
        )
        for contact, reason in refused:
            self._skip(attempt.step, contact, reason)
        if self._is_passed(attempt) and targets:
            headers = passed_contacts(self._engine, targets, attempt.peer)
            self._passed = End(RejectWith(code), f"{attempt.target.name} redirects", attempt, headers)
            return
        origin = _origin(attempt) or attempt
        room = 0 if self._stopped else MAX_FOLLOWED - origin.followed
        followed = [target for target in targets if self._may_follow(attempt, target)]
        for target in followed[room:]:
            self._skip(attempt.step, target.name, self._stopped or f"{MAX_FOLLOWED} redirections were followed already")
        origin.followed += len(followed[:room])
        self._waiting.extend([_Offer(target, (target,), attempt) for target in followed[:room]])
        if not followed[:room]:
            self._fail(attempt, "forwarded", code, None)
        elif self.decision.emergency and attempt.ways:
            self._waiting.append(_Offer(attempt.target, attempt.ways, attempt.by))

    def _is_passed(self, attempt: Attempt) -> bool:
        """Whether the caller gets this 3xx: its sender's settings say so, and the caller's peer takes redirects."""
        peers = self._engine.directory.peers
        asking = peers.get(self._facts.request.peer)
        return peers[attempt.peer].on_3xx == "pass" and asking is not None and asking.mode == "redirect"

    def _may_follow(self, attempt: Attempt, target: Target) -> bool:
        request = self._facts.request
        if target.address in self._offered:
            reason = _OFFERED
        elif target.address in self._engine.places.of_caller(request) or target.user == request.caller.e164:
            reason = "is the caller himself"
        elif target.peer in self._state.down:
            reason = f"{target.peer} is down"
        else:
            return True
        self._skip(attempt.step, target.name, reason)
        return False

    def answered(self, attempt: Attempt, now: float) -> None:
        """A leg was answered; all others of its ring lost."""
        self._is_over(attempt, "answered", 200, now)
        for other in self._ringing:
            self._is_over(other, "elsewhere", 0, now)

    def abandoned(self, now: float) -> None:
        """The caller gave up: every leg that rings ends."""
        for attempt in self._ringing:
            self._is_over(attempt, "abandoned", 0, now)

    def _is_over(self, attempt: Attempt, outcome: Outcome, code: int, now: float) -> bool:
        """Writes down the end of an attempt; False if it had ended before."""
        if attempt.over:
            return False
        attempt.over = True
        self.tried.append(Tried(attempt, outcome, code, attempt.started, now))
        return True

    def _fail(self, attempt: Attempt, outcome: Outcome, code: int, retry_after: str | None) -> None:
        self._failures.append(
            _Failure(attempt, outcome, answer_of(code), None if code == 503 else _seconds(retry_after))
        )
        if attempt.ways and (self.decision.emergency or is_trunks_own(outcome, code)):
            self._waiting.append(_Offer(attempt.target, attempt.ways, attempt.by))
            return
        step = attempt.step
        if step is not None and outcome in step.stop_on:
            self._stopped = f"{attempt.target.name} was {outcome}, which stops the steps"
            self._waiting.clear()


def _is_time(now: float, until: float) -> bool:
    return until - now >= _LEAST


def _origin(attempt: Attempt | None) -> Attempt | None:
    """The attempt of the rules from which this one came by 3xx."""
    while attempt is not None and attempt.by is not None:
        attempt = attempt.by
    return attempt


def _seconds(retry_after: str | None) -> int | None:
    """The delay of a Retry-After, without comment and parameters (RFC 3261 20.33)."""
    digits = (retry_after or "").partition(";")[0].partition("(")[0].strip()
    return int(digits) if digits.isdecimal() and len(digits) < _LONGEST_DELAY else None
