"""Who and where: peers, our own numbers, destinations. Built from sipacr.yaml, read by decisions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from sipacr.routing.numbers import NumberPlan

Role = Literal["pbx", "trunk"]
Mode = Literal["relay", "redirect"]
NumberFormat = Literal["e164", "national", "international", "as-is"]


@dataclass(frozen=True, slots=True)
class Peer:
    """A configured neighbour: a PBX or a trunk."""

    name: str
    role: Role
    mode: Mode
    addresses: tuple[str, ...]  # "host:port" or "host", in order
    plan: NumberPlan
    sources: tuple[
        str, ...
    ] = ()  # addresses or networks, each with an optional ":port"; default: the hosts of `addresses`
    transport: Literal["udp", "tcp", "tls"] = "udp"
    contact: str | None = None  # host[:port] as trunks see it; default: the first address
    trusted: bool = False  # its P-Asserted-Identity and Remote-Party-ID count
    rule_header: bool = False  # X-Sipacr-Rule goes to it
    send: NumberFormat = "e164"
    max_contacts: int = 5
    on_3xx: Literal["follow", "pass"] = "follow"
    dialled_from: str = "request-uri"  # or "to", or a header's name
    connect: float = 4.0  # seconds that a leg to it may be silent (no provisional) before it is unreachable


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a call can be sent without a person's name: a user part at a peer."""

    user: str
    peer: str

    def __str__(self) -> str:
        return f"{self.user}@{self.peer}"


@dataclass(frozen=True, slots=True)
class Directory:
    """All peers and numbers of one configuration."""

    peers: Mapping[str, Peer]
    plan: NumberPlan  # numbers.country: how numbers in rules and data are read
    timezone: str
    own: Mapping[str, str] = field(default_factory=dict)  # our DIDs, E.164 (or raw where none) -> name
    extensions: tuple[str, ...] = ()  # masks of internal numbers: raw only, never learned
    emergency: frozenset[str] = frozenset()  # raw
    destinations: Mapping[str, Destination] = field(default_factory=dict)
    outgoing_via: tuple[str, ...] = ()

    @property
    def pbxes(self) -> tuple[str, ...]:
        """Names of the peers with role pbx, in file order."""
        return tuple(name for name, peer in self.peers.items() if peer.role == "pbx")
