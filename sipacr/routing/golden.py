"""Golden calls: what the rules must make of a call, given all that the store and the moment would say.

The very engine that routes is asked; the store holds what the call gives and nothing else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from sipacr.routing.decide import Engine
from sipacr.routing.decision import Decision
from sipacr.routing.facts import Facts, Request, State
from sipacr.routing.given import GivenStore
from sipacr.routing.resolve import Contact, LineUp, contacts, line_up
from sipacr.routing.ruleset import Position, RejectWith
from sipacr.routing.targets import Target


@dataclass(frozen=True, slots=True)
class Expected:
    """What a golden call demands; None: nothing is said of it."""

    rules: tuple[str, ...] | None = None  # those that gave steps or the action
    steps: tuple[str, ...] | None = None  # as `step_name` names them, fallback included
    reject: int | None = None
    contacts: tuple[str, ...] | None = None  # "101@pbx.example.pl;q=1.0"
    via: tuple[str, ...] | None = None  # trunks
    emergency: bool | None = None


@dataclass(frozen=True, slots=True)
class GoldenCall:
    """One call of rules/tests/*.yaml."""

    position: Position
    title: str  # "+48601000111 -> +48221112233 from trunk-a at 2026-11-23 16:15"
    request: Request
    now: float  # unix seconds
    store: GivenStore
    state: State
    expected: Expected
    seen: Mapping[str, object] = field(default_factory=dict)  # answers of a CRM, as in `Facts.seen`


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one golden call went: no differences, it passed."""

    call: GoldenCall
    differences: tuple[str, ...]

    @property
    def passed(self) -> bool:
        return not self.differences


def run(engine: Engine, call: GoldenCall) -> Outcome:
    """Decides the call and compares."""
    facts = Facts(call.request, call.store, dict(call.seen))
    decision = engine.decide(facts, call.now, trace=True)
    lined_up = line_up(engine, decision, facts, call.state, call.now)
    expected = call.expected
    found: list[str] = []
    if expected.rules is not None:
        found += _rules(expected.rules, decision)
    if expected.steps is not None:
        found += _steps(engine, decision, facts, call, lined_up)
    if expected.reject is not None:
        code = _final_code(decision, lined_up)
        if code != expected.reject:
            found.append(f"reject: expected {expected.reject}, got {code or 'no rejection'}")
    if expected.contacts is not None:
        redirection = contacts(engine, decision, facts, call.state, call.now)
        found += _compare("contacts", expected.contacts, _written(redirection.contacts, expected.contacts))
    if expected.via is not None:
        found += _compare("via", expected.via, _via(engine, call.state, lined_up))
    if expected.emergency is not None and expected.emergency is not decision.emergency:
        found.append(f"emergency: expected {_word(expected.emergency)}, got {_word(decision.emergency)}")
    return Outcome(call, tuple(found))


def step_name(target: Target) -> str:
    """How a golden call names a target: an agent or destination by its name, a mobile as {mobile: name}."""
    return f"{{mobile: {target.name}}}" if target.is_mobile else target.name


def contact_text(contact: Contact) -> str:
    """`user@host;q=1.0`, with the transport if it is not UDP."""
    transport = f";transport={contact.transport}" if contact.transport else ""
    return f"{contact.user}@{contact.host}{transport};q={contact.q}"


def _rules(expected: tuple[str, ...], decision: Decision) -> list[str]:
    """A rule whose every step was left out for a later one's (S1.8) may be named or not."""
    kept = {id(step) for step in decision.steps}
    gave = tuple(rule.name for rule in decision.rules if not rule.steps or any(id(step) in kept for step in rule.steps))
    if expected in (decision.names, gave):
        return []
    assert decision.trace is not None
    reasons = {tried.rule.name: "; ".join(tried.reasons) for tried in decision.trace.tried if not tried.matched}
    missing = [name for name in expected if name not in decision.names]
    said = [f'rule "{name}" did not match: {reasons[name]}' for name in missing if name in reasons]
    said += [f'rule "{name}" was not reached' for name in missing if name not in reasons]
    return [*_compare("rules", expected, decision.names), *said]


def _steps(engine: Engine, decision: Decision, facts: Facts, call: GoldenCall, lined_up: LineUp) -> list[str]:
    """A group may stand flat as written, or in the order in which its agents would be offered now."""
    assert call.expected.steps is not None
    expected = call.expected.steps
    offered = _named(lined_up)
    if expected == offered:
        return []
    as_written = replace(decision, steps=tuple(replace(step, order="in-order") for step in decision.steps))
    if expected == _named(line_up(engine, as_written, facts, call.state, call.now)):
        return []
    skipped = [f"{skip.who} was skipped: {skip.reason}" for skip in lined_up.skipped]
    return [*_compare("steps", expected, offered), *skipped]


def _named(lined_up: LineUp) -> tuple[str, ...]:
    return tuple(step_name(target) for rank in lined_up.ranks for target in rank if not target.is_trunk)


def _via(engine: Engine, state: State, lined_up: LineUp) -> tuple[str, ...]:
    """The trunks of an outgoing call; of an incoming one those by which its mobiles are reached."""
    targets = [target for rank in lined_up.ranks for target in rank]
    trunks = tuple(target.name for target in targets if target.is_trunk)
    if not trunks and any(target.is_mobile for target in targets):
        names = engine.directory.outgoing_via
        return tuple(name for name in names if name not in state.down) or names
    return trunks


def _final_code(decision: Decision, lined_up: LineUp) -> int | None:
    """The code of a rejection, or of `else` when nobody has answered."""
    if lined_up.reject is not None:
        return lined_up.reject.code
    if isinstance(decision.end, RejectWith) and not lined_up.broken:
        return decision.end.code
    return None


def _written(found: Sequence[Contact], expected: Sequence[str]) -> tuple[str, ...]:
    """The contacts as text, with the transport only where the golden call writes one."""
    texts = []
    for position, contact in enumerate(found):
        wanted = expected[position] if position < len(expected) else ""
        texts.append(contact_text(contact if "transport=" in wanted else contact._replace(transport=None)))
    return tuple(texts)


def _compare(what: str, expected: Sequence[str], got: Sequence[str]) -> list[str]:
    if tuple(expected) == tuple(got):
        return []
    return [f"{what}: expected [{', '.join(expected)}], got [{', '.join(got)}]"]


def _word(value: bool) -> str:
    return "true" if value else "false"
