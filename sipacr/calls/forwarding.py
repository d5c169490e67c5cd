"""Which contacts of a 3xx may be called: only those at hosts of declared peers. All others would be toll fraud."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple
from urllib.parse import quote, unquote

from sipacr.calls.message import parameters, uri_of
from sipacr.routing.decide import Engine
from sipacr.routing.directory import Peer
from sipacr.routing.facts import Facts, Number
from sipacr.routing.resolve import q_values
from sipacr.routing.targets import Target

_MOST = 10  # contacts of one 3xx that are looked at
_USER = "-_.!~*'()&=+$,;?/"  # RFC 3261 25.1: what a user part may bear beside letters and digits
_PORTS = {"sip": 5060, "sips": 5061}


class Refused(NamedTuple):
    """A contact that is not called."""

    contact: str  # as the far end wrote it
    reason: str


def read_contacts(
    engine: Engine, facts: Facts, values: Sequence[str], sender: str, host: str, now: float, *, outgoing: bool
) -> tuple[list[Target], list[Refused]]:
    """The targets of a 3xx that the peer `sender` sent, best first, and what is refused; `now` in unix seconds.

    `host`: the address it was sent from, which is the sender's even if the settings have only its name.

    An incoming call reaches a trunk only by a step of the rules (`mobile`, `to`), so a contact at a trunk counts only
    if that trunk itself names it, and only if the rules for outgoing calls do not reject its number.
    """
    targets: list[Target] = []
    refused: list[Refused] = []
    for value in sorted(values, key=_preference)[:_MOST]:
        found = _target(engine, value, sender, host)
        if found is None:
            refused.append(Refused(value, "is at no host of a declared peer"))
            continue
        target, number = found
        if target.is_trunk and not (outgoing or target.peer == sender):
            refused.append(Refused(value, "would bring an incoming call to a trunk that no step names"))
        elif target.is_trunk and _is_barred(engine, facts, number, now):
            refused.append(Refused(value, "is a number that the rules for outgoing calls reject"))
        else:
            targets.append(target)
    return targets, refused


def passed_contacts(engine: Engine, targets: Sequence[Target], sender: str) -> tuple[tuple[str, str], ...]:
    """The headers of a 3xx that the caller gets: contacts at our peers, as trunks see them."""
    headers = []
    for target, q in zip(targets, q_values(len(targets)), strict=True):
        host, transport = engine.hosts[target.peer or sender]
        uri = f"sip:{quote(target.user, safe=_USER)}@{host}" + (f";transport={transport}" if transport else "")
        headers.append(("Contact", f"<{uri}>;q={q}"))
    return tuple(headers)


def _preference(value: str) -> float:
    """Lower is better; without q as good as any (RFC 3261 20.10)."""
    try:
        return -float(parameters(value).get("q") or 1.0)
    except ValueError:
        return 0.0


def _target(engine: Engine, value: str, sender: str, source: str) -> tuple[Target, Number] | None:
    scheme, _, rest = uri_of(value).partition(":")
    userinfo, at, hostport = rest.partition("?")[0].rpartition("@")
    port = _PORTS.get(scheme.lower())
    user = unquote(userinfo.partition(":")[0].partition(";")[0])
    if port is None or not at or not user or not user.isprintable():
        return None
    host, port = _split(hostport.partition(";")[0], port)
    peer = _peer_at(engine.directory.peers.values(), host, port, sender)
    if peer is None and host == source.lower():
        peer = engine.directory.peers.get(sender)
    if peer is None:
        return None
    number = peer.plan.read(user)
    if peer.role == "trunk":
        return engine.places.trunk(peer.name, number), number
    address = f"{user}@{peer.name}"
    agents = (agent for agent in engine.places.agents.values() if agent.address == address)
    return next(agents, None) or Target(address, address, user, peer.name), number


def peer_of(peers: Iterable[Peer], hostport: str, sender: str) -> Peer | None:
    """Whose host this is, as it stands in a URI of the peer `sender`."""
    return _peer_at(peers, *_split(hostport.partition("?")[0].partition(";")[0], _PORTS["sip"]), sender)


def _peer_at(peers: Iterable[Peer], host: str, port: int, sender: str) -> Peer | None:
    """Whose host this is. Where peers share one the port tells them apart, or else it is the sender's own."""
    here = [peer for peer in peers if any(_split(each, port)[0] == host for each in _hosts(peer))]
    exact = [peer for peer in here if (host, port) in [_split(each, 5060) for each in _hosts(peer)]]
    candidates = exact or here
    if len(candidates) == 1:
        return candidates[0]
    return next((peer for peer in candidates if peer.name == sender), None)


def _hosts(peer: Peer) -> tuple[str, ...]:
    contact = () if peer.contact is None else (peer.contact,)
    return (*contact, *peer.addresses, *peer.sources)


def _split(text: str, port: int) -> tuple[str, int]:
    """Host in lower case without brackets, and its port or this one."""
    host, bracket, rest = text.lower().removeprefix("[").partition("]")
    if not bracket and text.count(":") == 1:
        host, _, rest = text.lower().partition(":")
        rest = ":" + rest
    written = rest.removeprefix(":")
    return host.removesuffix("."), int(written) if written.isdecimal() and len(written) < 6 else port


def _is_barred(engine: Engine, facts: Facts, number: Number, now: float) -> bool:
    """Whether a call of ours to this number is rejected: a 3xx is no way around that."""
    pbxes = engine.directory.pbxes
    if not pbxes:
        return False
    request = replace(facts.request, dialled=number, peer=pbxes[0])
    return engine.decide(Facts(request, facts.store), now).action == "reject"
