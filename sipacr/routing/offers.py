"""Whom each kind of step offers, and why all others are skipped: the offers of one call, step after step."""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple

from sipacr.routing import lookups, sticky
from sipacr.routing.decide import Engine
from sipacr.routing.facts import Binding, Facts, State, Unavailable
from sipacr.routing.order import in_order
from sipacr.routing.ruleset import Ruleset, Step, StickyProfile, TargetKind
from sipacr.routing.targets import Target

Answer = tuple[str, ...] | str  # the agents whom the store names, in order; or why it names none
Rank = tuple[Target, ...]  # offered at the same time; ranks one after the other


class Skipped(NamedTuple):
    """Somebody who is not offered, or a whole step (`who` is then what the step names), and why."""

    step: Step
    who: str
    reason: str


class Offers:
    """The offers of one call: what was offered so far, and what was skipped, step after step."""

    __slots__ = ("advance", "broken", "caller", "engine", "facts", "himself", "now", "offered", "redirect", "skipped",
                 "state", "step")  # fmt: skip

    def __init__(
        self,
        engine: Engine,
        facts: Facts,
        state: State,
        now: float,
        offered: Iterable[str] = (),
        redirect: bool = False,
    ) -> None:
        """`offered`: addresses that this call was offered to already."""
        self.engine = engine
        self.facts = facts
        self.state = state
        self.now = now
        self.offered = set(offered)
        self.redirect = redirect
        self.caller = facts.request.caller.e164
        self.himself: Collection[str] = engine.places.of_caller(facts.request)
        self.skipped: list[Skipped] = []
        self.broken: list[str] = []
        self.advance: list[tuple[str, int]] = []

    def resolve(self, step: Step) -> list[Rank]:
        """The ranks that the step offers now; they count as offered from here on."""
        self.step = step
        return _KINDS[step.kind](self, step)

    def skip(self, who: str, reason: str) -> list[Rank]:
        self.skipped.append(Skipped(self.step, who, reason))
        return []

    def broke(self, who: str, error: Unavailable) -> list[Rank]:
        self.broken.append(f"{who}: {error}")
        return self.skip(who, f"the look-up is broken: {error}")

    def one(self, target: Target | None, who: str, nobody: str) -> list[Rank]:
        """The only target of a step, if it can be offered."""
        if target is None:
            return self.skip(who, nobody)
        return [(target,)] if self.can_offer(target, self.step.skip_busy) else []

    def can_offer(self, target: Target, skip_busy: bool) -> bool:
        """Whether the call can be offered there; if so it now counts as offered, else it is noted as skipped."""
        reason = self._obstacle(target, skip_busy)
        if reason is None:
            self.offered.add(target.address)
            return True
        self.skip(target.name, reason)
        return False

    def _obstacle(self, target: Target, skip_busy: bool) -> str | None:
        state, address = self.state, target.address
        if target.agent is not None:
            name = target.name
            if name in state.left:
                return "has left or is switched off"
            if name in state.leave:
                return "is on leave"
            if skip_busy and name in state.busy:
                return "is busy"
        if (self.himself and address in self.himself) or target.user == self.caller:
            return "is the caller himself"
        if state.down and self._is_down(target):
            return f"{target.peer or 'every outgoing trunk'} is down"
        if address in self.offered:
            return "was already offered in this call"
        return None

    def _is_down(self, target: Target) -> bool:
        if target.peer is not None:
            return target.peer in self.state.down
        trunks = self.engine.directory.outgoing_via
        return not self.redirect and all(trunk in self.state.down for trunk in trunks)

    def fallback(self) -> list[Rank]:
        """The general queue. A peer that seems down is tried all the same: no call is refused because of our own
        health check."""
        return self._new(self.engine.places.fallback)

    def trunks(self, emergency: bool) -> list[Rank]:
        """The ways of a call to the world; those that seem down only if all do, and last of an emergency call."""
        down = self.state.down
        names: Sequence[str] = self.engine.directory.outgoing_via
        if down:
            up = [name for name in names if name not in down]
            names = [*up, *(name for name in names if name in down)] if emergency else up or names
        trunk, dialled = self.engine.places.trunk, self.facts.request.dialled
        return self._new([trunk(name, dialled) for name in names])

    def _new(self, targets: Iterable[Target]) -> list[Rank]:
        ranks: list[Rank] = []
        for target in targets:
            if target.address not in self.offered:
                self.offered.add(target.address)
                ranks.append((target,))
        return ranks


def _agent(offers: Offers, step: Step) -> list[Rank]:
    return offers.one(offers.engine.places.agents.get(step.name), step.name, "there is no such agent")


def _mobile(offers: Offers, step: Step) -> list[Rank]:
    return offers.one(offers.engine.places.mobiles.get(step.name), step.name, "has no mobile")


def _to(offers: Offers, step: Step) -> list[Rank]:
    return offers.one(offers.engine.places.destination(step.name), step.name, "there is no such destination")


def _group(offers: Offers, step: Step) -> list[Rank]:
    group = offers.engine.ruleset.groups.get(step.name)
    if group is None:
        return offers.skip(step.name, "there is no such group")
    agents = offers.engine.places.agents
    ranks: list[Rank] = []
    for number, line in enumerate(group.lines):
        cursor = step.name if number == 0 else f"{step.name}/{number + 1}"
        members = in_order(line, step.order, cursor, offers.engine.ruleset.agents, offers.facts.request, offers.state)
        targets = []
        for name in members:
            target = agents.get(name)
            if target is None:
                offers.skip(name, "there is no such agent")
            elif offers.can_offer(target, skip_busy=True):
                targets.append(target)
        if not targets:
            continue
        if step.order == "all":
            ranks.append(tuple(targets))
        else:
            ranks += [(target,) for target in targets]
        if step.order == "round-robin":
            offers.advance.append((cursor, (line.index(targets[0].name) + 1) % len(line)))
    return ranks


def vip_agent(facts: Facts) -> Answer | Unavailable:
    """What the store answers to a step `vip`."""
    if facts.request.anonymous:
        return "the caller is anonymous"
    agent = lookups.vip(facts)
    if agent is None:
        return "the caller is not in the VIP table"
    return agent if isinstance(agent, Unavailable) else (agent,)


def _vip(offers: Offers, step: Step) -> list[Rank]:
    answer = vip_agent(offers.facts)
    if isinstance(answer, Unavailable):
        return offers.broke("vip", answer)
    if isinstance(answer, str):
        return offers.skip("vip", answer)
    (agent,) = answer
    return offers.one(offers.engine.places.agents.get(agent), agent, "is in the VIP table, but there is no such agent")


def bound_agents(engine: Engine, name: str, facts: Facts, state: State, now: float) -> Answer | Unavailable:
    """What the store answers to a step `sticky` with this profile."""
    ruleset, request = engine.ruleset, facts.request
    profile = ruleset.sticky.get(name)
    if profile is None:
        return "there is no such sticky profile"
    if request.anonymous:
        return "the caller is anonymous"
    if profile.during and not any(ruleset.schedules[during].is_open(now) for during in profile.during):
        return f"{' and '.join(profile.during)} closed, and it is used only then"
    live = _live(profile, request.dialled.key if profile.scope == "number" else "", facts, now, ruleset, state)
    if not isinstance(live, list):
        return live
    shared = lookups.is_shared(facts)
    if isinstance(shared, Unavailable):
        return shared
    if shared:
        return "the caller's number is marked as shared"
    return tuple(live)


def _live(
    profile: StickyProfile, scope: str, facts: Facts, now: float, ruleset: Ruleset, state: State
) -> list[str] | str | Unavailable:
    """The agents of the live bindings to offer, in order, or why there is none. Who has left, is switched off or is not
    to be sticky drops out before `keep` chooses."""
    agents, left = ruleset.agents, state.left
    bound = lookups.bound(facts, profile.name, scope)
    if not bound:
        return "no binding of this caller"
    if isinstance(bound, Unavailable):
        return bound
    if len(bound) == 1 and sticky.is_fresh(bound[0][1], profile, now):
        name = state.follow(bound[0][0])
        agent = agents.get(name)
        return [name] if agent and agent.sticky and name not in left else _gone([name])
    rows = lookups.bindings(facts, profile.name, scope)
    if isinstance(rows, Unavailable):
        return rows
    if state.successors:
        rows = [row._replace(agent=state.follow(row.agent)) for row in rows]
    offered = [row for row in rows if (agent := agents.get(row.agent)) and agent.sticky and agent.name not in left]
    live = sticky.chosen(offered, profile, now)
    return list(dict.fromkeys(row.agent for row in live)) if live else _why_none(rows, profile, now)


def _sticky(offers: Offers, step: Step) -> list[Rank]:
    answer = bound_agents(offers.engine, step.name, offers.facts, offers.state, offers.now)
    if isinstance(answer, Unavailable):
        return offers.broke(step.name, answer)
    if isinstance(answer, str):
        return offers.skip(step.name, answer)
    agents = offers.engine.places.agents
    targets = [agents[name] for name in answer if offers.can_offer(agents[name], step.skip_busy)]
    if step.order == "all" and targets:
        return [tuple(targets)]
    return [(target,) for target in targets]


def _why_none(rows: Sequence[Binding], profile: StickyProfile, now: float) -> str:
    gone = [row.agent for row in rows if sticky.is_live(row, profile, now)]
    if not gone:
        return "the binding has expired" if len(rows) == 1 else "all bindings have expired"
    return _gone(gone)


def _gone(agents: list[str]) -> str:
    return f"bound to {', '.join(agents)}, who has left, is switched off or is not to be offered"


def _crm(offers: Offers, step: Step) -> list[Rank]:
    """The connector leaves its answer in `Facts.seen`; without one there is no CRM."""
    key = "crm " + step.name
    seen = offers.facts.seen
    if key not in seen:
        return offers.skip(step.name, "no CRM is connected")
    owner = seen[key]
    if isinstance(owner, Unavailable):
        return offers.broke(step.name, owner)
    if owner is None:
        return offers.skip(step.name, "the CRM knows no owner")
    name = str(owner)
    return offers.one(offers.engine.places.agents.get(name), name, "owns the customer in the CRM, but is no agent")


def _list(offers: Offers, step: Step) -> list[Rank]:
    if offers.facts.request.anonymous:
        return offers.skip(step.name, "the caller is anonymous")
    entry = lookups.list_entry(offers.facts, step.name, offers.now)
    if isinstance(entry, Unavailable):
        return offers.broke(step.name, entry)
    if entry is None:
        return offers.skip(step.name, "the caller is not on the list")
    if entry.target is None:
        return offers.skip(step.name, f"entry {entry.number} has no target of its own")
    target = offers.engine.places.named(entry.target)
    return offers.one(target, entry.target, "is the entry's target, but neither agent nor destination")


_KINDS: dict[TargetKind, Callable[[Offers, Step], list[Rank]]] = {
    "agent": _agent,
    "mobile": _mobile,
    "group": _group,
    "vip": _vip,
    "sticky": _sticky,
    "crm": _crm,
    "list": _list,
    "to": _to,
}
