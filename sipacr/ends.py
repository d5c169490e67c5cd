"""Who is at our end of a call, as the PBX names him, else as the step wants: an agent, a voicemail, or none of ours."""

from typing import NamedTuple

from sipacr.calls.connected import named
from sipacr.calls.message import Message
from sipacr.routing.directory import Directory, Peer
from sipacr.routing.ruleset import Ruleset
from sipacr.routing.targets import Target

VOICEMAIL = "voicemail"  # a destination of this name is one, and who is named so
_VOICEMAILS = frozenset({VOICEMAIL, "voice mail"})


class Someone(NamedTuple):
    """Who talks."""

    agent: str | None  # None: no agent of ours
    who: str
    voicemail: bool = False


class Ends:
    """Who is who by one configuration."""

    def __init__(self, ruleset: Ruleset, directory: Directory) -> None:
        agents = ruleset.agents.values()
        self._extensions = {(agent.extension, agent.pbx): agent.name for agent in agents}
        self._mobiles = {agent.mobile: agent.name for agent in agents if agent.mobile}
        self._own = frozenset(directory.own)
        self._boxes = frozenset(
            (place.user, place.peer)
            for name, place in directory.destinations.items()
            if place.voicemail or name.lower() == VOICEMAIL
        )

    def named(self, message: Message, peer: Peer) -> Someone | None:
        """Whom a PBX names at its end by this message; None: it names nobody, or is none."""
        found = named(message, peer) if peer.role == "pbx" else None
        if found is None:
            return None
        number = found.number
        if number.key in self._own:  # that names the company, not a person
            return None
        agent = self._extensions.get((number.text, peer.name)) or self._mobiles.get(number.key)
        if agent is not None:
            return Someone(agent, number.key)
        words = {number.text.lower(), found.name.lower()}
        box = (number.text, peer.name) in self._boxes or not words.isdisjoint(_VOICEMAILS)
        return Someone(None, number.key, box)

    def wanted(self, target: Target) -> Someone:
        """Who was rung."""
        if target.agent is not None:
            return Someone(target.agent.name, target.name)
        return Someone(None, target.name, (target.user, target.peer) in self._boxes)
