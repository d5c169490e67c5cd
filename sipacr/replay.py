"""Past calls against other rules: which would go elsewhere, from where to where; and one past call with its own facts.

Both rule sets are asked about the same call: who called whom, over which peer, with which headers, at that time. What
the store knows is as it is now (VIPs, lists, bindings); nobody is busy and all peers are up. So only the rules differ.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from sipacr.memory.fold import as_of, fold
from sipacr.memory.learner import Learner
from sipacr.memory.report import Report
from sipacr.routing.decide import Engine
from sipacr.routing.decision import Decision
from sipacr.routing.facts import Binding, Facts, ListEntry, Number, Request, State, Store
from sipacr.routing.golden import step_name
from sipacr.routing.offers import Answer
from sipacr.routing.resolve import LineUp, alike, line_up
from sipacr.routing.ruleset import RejectWith
from sipacr.store.records import Asked

_KEPT = 100_000  # texts
_NOBODY_BUSY = State()
_EXAMPLES = 3  # of each way in which calls would go elsewhere


class Moved(NamedTuple):
    """One call that would go elsewhere."""

    call: Asked
    was: str
    would: str


class Replay:
    """Asks both engines call by call. Decisions are shared objects, so that most pairs were compared before."""

    def __init__(self, old: Engine, new: Engine, store: Store) -> None:
        self.calls = 0  # that were decided by both
        self.skipped = 0  # from a peer that is no more
        self.ways: Counter[tuple[str, str]] = Counter()  # from where to where, and how many calls
        self.examples: dict[tuple[str, str], list[Moved]] = {}
        self._old = old
        self._new = new
        self._store = store
        self._same: dict[tuple[Decision, Decision], bool] = {}
        self._texts: dict[tuple[Decision, tuple[Answer, ...]], str] = {}

    @property
    def elsewhere(self) -> int:
        """How many calls would go elsewhere."""
        return self.ways.total()

    def ask(self, call: Asked) -> Moved | None:
        """Decide one past call by both; None: it would go where it went."""
        if call.peer not in self._new.directory.peers:
            self.skipped += 1
            return None
        self.calls += 1
        moved = self._compare(call)
        if moved is not None:
            way = moved.was, moved.would
            self.ways[way] += 1
            examples = self.examples.setdefault(way, [])
            if len(examples) < _EXAMPLES:
                examples.append(moved)
        return moved

    def _compare(self, call: Asked) -> Moved | None:
        request = Request(call.caller, call.dialled, call.peer, not call.caller.text, call.headers, call.call_id)
        was = self._old.decide(Facts(request, self._store), call.started)
        would = self._new.decide(Facts(request, self._store), call.started)
        same = self._same.get((was, would))
        if same is None:
            same = self._same[was, would] = _plan(self._old, was) == _plan(self._new, would)
        if same:
            return None
        before = self._offers(self._old, was, Facts(request, self._store), call.started)
        after = self._offers(self._new, would, Facts(request, self._store), call.started)
        return Moved(call, before, after) if before != after else None

    def _offers(self, engine: Engine, decision: Decision, facts: Facts, now: float) -> str:
        """To whom the call is offered; calls that nothing else tells apart are resolved once."""
        answers = alike(engine, decision, facts, _NOBODY_BUSY, now)
        if answers is None:
            return _offers(engine, decision, facts, now)
        key = decision, answers
        known = self._texts.get(key)
        if known is None:
            if len(self._texts) >= _KEPT:
                self._texts.clear()
            known = self._texts[key] = _offers(engine, decision, facts, now)
        return known


def _plan(engine: Engine, decision: Decision) -> tuple[object, ...]:
    """Where a decision leads, apart from what the store says: two that are equal lead to the same place."""
    ruleset, directory = engine.ruleset, engine.directory
    steps = []
    for step in decision.steps:
        means: object = None
        if step.kind in ("agent", "mobile"):
            means = ruleset.agents.get(step.name)
        elif step.kind == "group" and (group := ruleset.groups.get(step.name)) is not None:
            means = group, tuple(ruleset.agents.get(name) for line in group.lines for name in line)
        elif step.kind == "sticky":
            means = ruleset.sticky.get(step.name), ruleset.agents
        elif step.kind == "to":
            means = directory.destinations.get(step.name)
        elif step.kind in ("vip", "crm", "list"):
            means = ruleset.agents
        steps.append((step.kind, step.name, step.order, means))
    fallback = tuple(directory.destinations.get(name) for name in ruleset.fallback)
    return tuple(steps), decision.end, decision.reject, decision.outgoing, decision.emergency, fallback


def _offers(engine: Engine, decision: Decision, facts: Facts, now: float) -> str:
    """To whom the call is offered, one after the other, in words."""
    found: LineUp = line_up(engine, decision, facts, State(), now)
    if found.reject is not None:
        return _code(found.reject)
    ranks = [" and ".join(step_name(target) for target in rank) for rank in found.ranks]
    end = f", else {_code(decision.end)}" if isinstance(decision.end, RejectWith) else ""
    return (", then ".join(ranks) or "nobody") + end


def _code(reject: RejectWith) -> str:
    return f"rejected with {reject.code}"


class PastStore:
    """The store with the bindings that the records tell of a moment; everything else as it is now."""

    def __init__(self, store: Store, engine: Engine, reports: Sequence[Report], now: float) -> None:
        """`reports`: the customer's other calls. Bindings that were set by hand or imported are not among them."""
        self._store = store
        known = [past for report in reports if (past := as_of(report, now)) is not None]
        ruleset = engine.ruleset
        self._rows = {name: fold(Learner(profile, ruleset.groups), known) for name, profile in ruleset.sticky.items()}

    def vip(self, customer: str) -> str | None:
        return self._store.vip(customer)

    def list_entry(self, name: str, number: Number, now: float) -> ListEntry | None:
        return self._store.list_entry(name, number, now)

    def bindings(self, profile: str, scope: str, customer: str) -> Sequence[Binding]:
        rows = self._rows.get(profile, {})
        return [row for (place, _), row in rows.items() if place == scope and row.customer == customer]

    def bound(self, profile: str, scope: str, customer: str) -> Sequence[tuple[str, float]]:
        return [(row.agent, row.made) for row in self.bindings(profile, scope, customer)]

    def is_shared(self, customer: str) -> bool:
        return self._store.is_shared(customer)

    def has_answered_call(self, customer: str) -> bool:
        return self._store.has_answered_call(customer)
