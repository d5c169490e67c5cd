"""Who and where: peers, our own numbers, destinations. Built from sipacr.yaml, read by decisions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Literal

from sipacr.routing.numbers import NumberPlan

Role = Literal["pbx", "trunk"]
Mode = Literal["relay", "redirect"]
NumberFormat = Literal["e164", "national", "international", "as-is"]
Early = Literal["many", "one"]
CallerIn = Literal["pai", "rpid", "from"]


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a peer's challenge is answered with (RFC 3261 22)."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Registration:
    """How we register at a peer (RFC 3261 10)."""

    user: str  # of the address of record
    domain: str  # of the address of record
    contact: str  # user part of our Contact: calls to the registration bear it in their Request-URI
    expires: float = 600.0  # seconds that we ask for


@dataclass(frozen=True, slots=True)
class Health:
    """How a peer is asked by OPTIONS whether it lives."""

    every: float = 30.0  # seconds
    down_after: int = 3  # failures in a row
    up_after: int = 1  # answers in a row


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
    early: Early = "many"  # early dialogs of one call towards it: one To tag for each leg that rings, or a single one
    outbound_proxy: str | None = None  # "host:port" or "host": the first Route, and where requests to it are sent
    max_calls: int | None = None  # at once, in both directions
    max_rate: float | None = None  # calls a second that it may begin
    max_rate_each: float | None = None  # the same for each of the addresses that it calls from
    session_expires: float = 1800.0  # seconds that we ask for (RFC 4028); 0: no session timer of ours
    max_call: float = 14_400.0  # seconds from the answer to the hanging up by us
    health: Health | None = None  # None: it is not asked
    auth: Credentials | None = None
    register: Registration | None = None
    identity: CallerIn = "from"  # what tells it who calls, and who was reached
    any_transport: bool = False  # `transport` was not written: DNS may choose another (RFC 3263 4.1)
    symmetric: bool = False  # responses go to where a request came from, whatever its Via says (RFC 3581)

    @property
    def senders(self) -> tuple[str, ...]:
        """Who its packets come from: addresses, networks and names, each with an optional port."""
        proxy = (self.outbound_proxy,) if self.outbound_proxy else ()
        return self.sources or (*self.addresses, *proxy)


@dataclass(frozen=True, slots=True)
class Treatment:
    """What becomes of those who are no peer."""

    refuse: bool = False  # all get one and the same answer; else none gets any
    after: int = 10  # requests and connections of one address that lead to a ban; 0: no bans
    within: float = 600.0  # seconds
    ban: float = 3600.0  # seconds


def is_address(host: str) -> bool:
    """Whether this host, IPv6 without brackets, is an IP address and no name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a call can be sent without a person's name: a user part at a peer."""

    user: str
    peer: str
    voicemail: bool = False  # whoever answers there is nobody: it is never learned

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
