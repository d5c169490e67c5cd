"""Where a call can be offered: agents' extensions and mobiles, destinations, trunks; each with the address it has."""

from dataclasses import dataclass

from sipacr.routing.directory import Directory, Peer
from sipacr.routing.facts import Number, Request
from sipacr.routing.ruleset import Agent, Ruleset

_KEPT = 4096  # targets made from data or from dialled numbers


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """One place to offer a call to. The same place of one configuration is the same object."""

    name: str  # what the admin calls it: an agent, a destination, `user@peer`
    address: str  # two targets of one address are one telephone
    user: str
    peer: str | None  # None: a mobile, reached by `outgoing_via`, or in a redirect through the asking peer
    agent: Agent | None = None
    is_trunk: bool = False  # the way of an outgoing call

    @property
    def is_mobile(self) -> bool:
        return self.peer is None


class Places:
    """All targets of one configuration."""

    def __init__(self, ruleset: Ruleset, directory: Directory) -> None:
        self._directory = directory
        self.agents = {
            name: Target(name, f"{agent.extension}@{agent.pbx}", agent.extension, agent.pbx, agent)
            for name, agent in ruleset.agents.items()
        }
        self.mobiles = {
            name: Target(name, agent.mobile, agent.mobile, None, agent)
            for name, agent in ruleset.agents.items()
            if agent.mobile
        }
        self._destinations: dict[str, Target] = {}
        self._ways: dict[str, Target] = {}
        for name, destination in directory.destinations.items():
            self._destinations[name] = Target(name, str(destination), destination.user, destination.peer)
        self.fallback = tuple(target for name in ruleset.fallback if (target := self.destination(name)) is not None)
        # Caller's text -> the agents who call with it, and all addresses of each.
        self._callers: dict[str, list[Agent]] = {}
        for agent in ruleset.agents.values():
            for text in {agent.extension, agent.mobile} - {None}:
                self._callers.setdefault(str(text), []).append(agent)
        # Whoever calls with none of these is no target himself, but for what entries of lists name.
        steps = (step for rule in (*ruleset.rules, *ruleset.outgoing) for step in rule.steps if step.kind == "to")
        named = {step.name: self.destination(step.name) for step in steps}
        self.ours = frozenset([*self._callers, *(target.user for target in named.values() if target is not None)])

    def destination(self, name: str) -> Target | None:
        """A destination's name or `user@peer`; None if there is no such destination or peer."""
        known = self._destinations.get(name)
        if known is None:
            user, at, peer = name.rpartition("@")
            if not at or not user or peer not in self._directory.peers:
                return None
            known = Target(name, name, user, peer)
            if len(self._destinations) < _KEPT:  # names come from data too
                self._destinations[name] = known
        return known

    def named(self, name: str) -> Target | None:
        """What an entry of a list names: an agent, a destination, or `user@peer`."""
        return self.agents.get(name) or self.destination(name)

    def trunk(self, name: str, dialled: Number) -> Target:
        """An outgoing call's way through this trunk, the number written as the trunk wants it."""
        user = as_sent(dialled, self._directory.peers[name])
        address = f"{user}@{name}"
        known = self._ways.get(address)
        if known is None:
            if len(self._ways) >= _KEPT:
                self._ways.clear()
            known = self._ways[address] = Target(name, address, user, name, is_trunk=True)
        return known

    def of_caller(self, request: Request) -> frozenset[str]:
        """All addresses of the agent who is calling; empty if the caller is none. An extension is one of the asking
        PBX, if that has it."""
        caller = request.caller
        agents = self._callers.get(caller.text) or self._callers.get(caller.e164 or "")
        if not agents or request.anonymous:
            return frozenset()
        here = [agent for agent in agents if agent.pbx == request.peer] or agents
        addresses = {f"{agent.extension}@{agent.pbx}" for agent in here} | {agent.mobile for agent in here}
        return frozenset(address for address in addresses if address)


def as_sent(number: Number, peer: Peer) -> str:
    """The user part of a number for a peer that wants it in its `send` format; what is no E.164 goes as it is."""
    if number.e164 is None or peer.send == "as-is":
        return number.text
    if peer.send == "national":
        return peer.plan.national(number.e164)
    if peer.send == "international":
        return peer.plan.international(number.e164)
    return number.e164
