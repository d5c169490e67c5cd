"""One INVITE's facts in, the verdict out: asks the engine and the store, and never fails a call by our own fault.

If deciding raises, the call goes to the fallback. A store that is locked or broken makes its facts unavailable and its
steps skipped; rules that need no store go on. Each cause is said once a minute and counted.
"""

import logging
from collections import Counter
from collections.abc import Callable

from sipacr.calls.calls import Plan
from sipacr.configuration import Configuration
from sipacr.loud import Loud
from sipacr.routing.decision import Decision
from sipacr.routing.directory import Peer
from sipacr.routing.facts import Facts, Number, Request, State, Unavailable
from sipacr.routing.offers import Answer
from sipacr.routing.resolve import alike, contacts, fallback_contacts
from sipacr.routing.ruleset import RejectWith
from sipacr.sip.answer import Verdict, contact, header, status
from sipacr.sip.inlet import Relayed
from sipacr.store import Reader, Writer
from sipacr.store.writer import AddToList, Change

log = logging.getLogger("sipacr.router")

_KEPT = 16_384  # verdicts: few serve many calls
_NOBODY = Number("", "", None)
_DRAINING = Verdict(status(503), header("Retry-After", "10"))  # seconds: by then another router answers here

_Key = tuple[Decision, str, tuple[Answer, ...]]


class Router:
    """Decides about INVITEs with one configuration, until `take` gives it another."""

    def __init__(self, loaded: Configuration, clock: Callable[[], float], *, verbose: bool) -> None:
        """`clock` gives unix seconds; `verbose` logs a line per call."""
        self.loud = Loud(log)
        self.hits: Counter[tuple[str, ...]] = Counter()  # rules that decided -> calls
        self.draining = False  # the router is about to stop: no new calls but to emergency numbers
        self.state = State()  # what decisions see of this moment; the relay keeps it up to date
        self._clock = clock
        self._verbose = verbose
        self._verdicts: dict[_Key, Verdict] = {}  # of redirected calls that nothing else tells apart
        self._open_store(loaded)
        self._engine = loaded.engine

    def _open_store(self, loaded: Configuration) -> None:
        self._path = loaded.settings.store
        self._reader = Reader(self._path)
        self._writer = Writer(self._path)

    def take(self, loaded: Configuration) -> None:
        """Decide by this configuration from now on. Cursors of groups and what is known of agents stay."""
        if loaded.settings.store != self._path:
            self.close()
            self._open_store(loaded)
        self._engine = loaded.engine
        self._verdicts.clear()

    def submit(self, change: Change) -> bool:
        """Hand a change to the writer's thread; False: it is lost, and that is said."""
        return self._writer.submit(change)

    def is_shared(self, number: str) -> bool:
        """Whether the number is marked as shared. Raises `Unavailable`."""
        return self._reader.is_shared(number)

    @property
    def not_written(self) -> int:
        """Changes that never reached the store, and tries that failed."""
        return self._writer.lost + self._writer.failures

    def rest(self) -> None:
        """To be called about once a second: sees which agents are away, and lets go of the store's snapshot, so that
        its log can be emptied."""
        state = self.state
        before = state.left, state.leave, state.successors
        try:
            state.miss(self._reader.absences(), self._clock())
        except Unavailable:
            pass  # who was away a second ago still is; the reader says what is wrong
        if (state.left, state.leave, state.successors) != before:
            left = [f"{name} to {state.successors.get(name, 'nobody')}" for name in sorted(state.left)]
            log.info(
                "agents who have left: %s; on leave: %s", ", ".join(left) or "-", ", ".join(sorted(state.leave)) or "-"
            )
        self._reader.release()

    def close(self) -> None:
        """Write what waits to be written."""
        self._writer.close()
        self._reader.close()

    def route(self, request: Request, peer: Peer) -> Verdict | Relayed:
        """The answer to one INVITE, or what was decided if it is to be relayed. Never raises."""
        facts = Facts(request, self._reader)
        try:
            now = self._clock()
            decision = self._engine.decide(facts, now)
            self.hits[decision.names] += 1
            if decision.action == "relay" or (peer.mode == "relay" and decision.action != "reject"):
                return self._relay(decision, facts, now)
            if self.draining and not decision.emergency:
                return _DRAINING
            answers = alike(self._engine, decision, facts, self.state, now)
            if answers is None:
                verdict = self._answer(decision, facts, peer, now)
            else:
                key = (decision, peer.name, answers)
                verdict = self._verdicts.get(key) or self._remember(key, self._answer(decision, facts, peer, now))
            if decision.remember:
                self._add_to_lists(decision, request, now)
                verdict = verdict._replace(keep=True)
            if self._verbose:
                self._tell(request, decision, verdict)
            return verdict
        except Exception as error:  # noqa: BLE001  # told by `loud`; the call goes on
            where = f"{type(error).__name__}: {error}"
            self.loud.say(
                where, f"{_printable(request.call_id)}: deciding failed, the call goes to the fallback", trace=True
            )
            return self._fallback(facts, peer)

    def _relay(self, decision: Decision, facts: Facts, now: float) -> Relayed:
        """What follows is the hunt's: it resolves each step at its turn."""
        for cause in decision.broken:
            self._tell_broken(cause)
        self._add_to_lists(decision, facts.request, now)
        if self._verbose:
            self._say(facts.request, decision, "relayed")
        return Relayed(Plan(self._engine, decision, facts))

    def fallback(self, peer: Peer) -> Verdict | Relayed:
        """The answer to a call of `peer` whose facts could not be read. Never raises."""
        return self._fallback(Facts(Request(_NOBODY, _NOBODY, peer.name, anonymous=True), self._reader), peer)

    def _fallback(self, facts: Facts, peer: Peer) -> Verdict | Relayed:
        if peer.mode == "relay":
            return Relayed(Plan(self._engine, Decision("route", ()), facts))
        found = fallback_contacts(self._engine, facts)
        if not found.contacts:
            return Verdict(status(503))
        return Verdict(status(302), b"".join(contact(*each) for each in found.contacts))

    def _answer(self, decision: Decision, facts: Facts, peer: Peer, now: float) -> Verdict:
        """Resolves the steps."""
        redirection = contacts(self._engine, decision, facts, self.state, now)
        for cause in (*decision.broken, *redirection.broken):
            self._tell_broken(cause)
        lines = b"".join(contact(*each) for each in redirection.contacts)
        if peer.rule_header:
            lines += header("X-Sipacr-Rule", ", ".join(decision.names) or _unmatched(decision))
        if redirection.reject is not None:
            return _rejection(redirection.reject, lines)
        self.state.cursor.update(redirection.advance)
        return Verdict(status(302), lines, keep=bool(redirection.advance))

    def _remember(self, key: _Key, verdict: Verdict) -> Verdict:
        if len(self._verdicts) >= _KEPT:
            self._verdicts.clear()
        self._verdicts[key] = verdict
        return verdict

    def _add_to_lists(self, decision: Decision, request: Request, now: float) -> None:
        """What deciding this call writes for the next ones."""
        if request.anonymous:
            return
        for entry in decision.remember:
            if entry.on == "call":
                note = f"called {request.dialled.key}"
                self._writer.submit(AddToList(entry.list, request.caller.key, now, note))

    def _tell_broken(self, cause: str) -> None:
        self.loud.say(cause, f"a look-up is broken, its steps are skipped: {cause}")

    def _tell(self, request: Request, decision: Decision, verdict: Verdict) -> None:
        targets = [
            line.removeprefix("Contact: ") for line in verdict.headers.decode().split("\r\n") if "Contact" in line
        ]
        self._say(request, decision, f"{verdict.status.decode()} {', '.join(targets)}")

    def _say(self, request: Request, decision: Decision, what: str) -> None:
        caller = "anonymous" if request.anonymous else request.caller.key
        log.info(
            "%s: %s -> %s from %s by rule %s: %s", _printable(request.call_id), _printable(caller),
            _printable(request.dialled.key), request.peer, ", ".join(decision.names) or "none", what,
        )  # fmt: skip


def _unmatched(decision: Decision) -> str:
    """What stands in for the name of a rule where none matched."""
    return "emergency" if decision.emergency else "outgoing_via" if decision.outgoing else "fallback"


def _printable(text: str) -> str:
    """Text of a far end for the log: nobody out there writes lines of his own."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _rejection(reject: RejectWith, lines: bytes) -> Verdict:
    if reject.retry_after is not None:
        lines += b"Retry-After: %d\r\n" % reject.retry_after
    return Verdict(status(reject.code, reject.reason), lines)
