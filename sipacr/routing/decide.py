"""Decides what becomes of a request: direction, the rules that match, and from them one `Decision`.

Pure: `now` is an argument, and the store is asked through the facts only. What each step resolves to is `resolve`'s.
"""

from dataclasses import replace

from sipacr.routing.decision import Decision, Trace, Tried
from sipacr.routing.directory import Directory, Peer
from sipacr.routing.facts import Facts, Request
from sipacr.routing.regions import Regions
from sipacr.routing.ruleset import Ruleset
from sipacr.routing.targets import Places
from sipacr.routing.trace import Words, words_of_number
from sipacr.routing.truth import Truths
from sipacr.routing.walk import Walk

_UNMATCHED = Decision("route", (), asking=())
_UNMATCHED_OUTGOING = Decision("route", (), outgoing=True)
_EMERGENCY = Decision("route", (), outgoing=True, emergency=True)


class Engine:
    """One configuration, compiled for deciding. Immutable for its users; a reload makes a new one."""

    def __init__(self, ruleset: Ruleset, directory: Directory, regions: Regions) -> None:
        self.ruleset = ruleset
        self.directory = directory
        self.truths = Truths(directory, regions, ruleset.schedules, ruleset.lists, ruleset.sticky)
        self.places = Places(ruleset, directory)
        self.hosts = {name: _contact_of(peer) for name, peer in directory.peers.items()}
        self.incoming = Walk(ruleset.rules, self.truths, unmatched=_UNMATCHED)
        self.outgoing = Walk(ruleset.outgoing, self.truths, unmatched=_UNMATCHED_OUTGOING)
        self._pbxes = frozenset(directory.pbxes)
        self._own = frozenset(directory.own)

    def is_outgoing(self, request: Request) -> bool:
        """From a PBX to a number that is not ours."""
        dialled = request.dialled
        return request.peer in self._pbxes and (dialled.e164 or dialled.text) not in self._own

    def decide(self, facts: Facts, now: float, trace: bool = False) -> Decision:
        """The decision for one request at `now` (unix seconds). The trace costs only who asks for it."""
        request = facts.request
        outgoing = False
        if request.peer in self._pbxes:
            if request.dialled.text in self.directory.emergency:
                return replace(_EMERGENCY, trace=_emergency_trace(request)) if trace else _EMERGENCY
            outgoing = self.is_outgoing(request)
        walk = self.outgoing if outgoing else self.incoming
        if trace:
            matched, told = self._traced(walk, facts, now)
            return replace(walk.decision(matched), broken=facts.broken, trace=told)
        decision = walk.decide(facts, now)
        return replace(decision, broken=facts.broken) if facts.broken else decision

    def fallback_decision(self, facts: Facts) -> Decision:
        """What to do when deciding raised: the fallback, or `outgoing_via` for a call to the world. Never fails."""
        try:
            return _UNMATCHED_OUTGOING if self.is_outgoing(facts.request) else _UNMATCHED
        except (AttributeError, TypeError, ValueError):
            return _UNMATCHED

    def _traced(self, walk: Walk, facts: Facts, now: float) -> tuple[tuple[int, ...], Trace]:
        words = Words(self.truths, self.ruleset, facts, now)
        tried = []
        matched: tuple[int, ...] = ()
        for position, failed in walk.visit(facts, now):
            tried.append(Tried(walk.rules[position], not failed, tuple(map(words.why, failed))))
            if not failed:
                matched += (position,)
        notes = [] if matched else ["no rule matched"]
        return matched, Trace(tuple(tried), tuple(notes))


def _contact_of(peer: Peer) -> tuple[str, str | None]:
    """host[:port] of a peer as trunks see it, and the transport if it is not UDP."""
    return peer.contact or peer.addresses[0], None if peer.transport == "udp" else peer.transport


def _emergency_trace(request: Request) -> Trace:
    return Trace((), (f"{words_of_number(request.dialled)} is an emergency number: no rule is asked",))


def decide(engine: Engine, facts: Facts, now: float, trace: bool = False) -> Decision:
    """`engine.decide` as a function."""
    return engine.decide(facts, now, trace)


def fallback_decision(engine: Engine, facts: Facts) -> Decision:
    """`engine.fallback_decision` as a function."""
    return engine.fallback_decision(facts)
