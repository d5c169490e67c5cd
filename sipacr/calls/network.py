"""What the core asks of the network: ways to far ends, and the sending of bytes. The driver provides it."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

Transport = Literal["udp", "tcp", "tls"]


class Flow(NamedTuple):
    """A way to one far end: a socket of ours and its address there, or a connection."""

    transport: Transport
    host: str  # IP address of the far end, IPv6 without brackets
    port: int
    number: int  # of our UDP socket, or of the connection

    @property
    def reliable(self) -> bool:
        """Whether nothing needs to be repeated on it."""
        return self.transport != "udp"


class Target(NamedTuple):
    """One address of a peer, as DNS or the settings tell it."""

    transport: Transport
    host: str  # IP address
    port: int
    name: str = ""  # the host name it stands for, which a TLS certificate must bear (RFC 5922)


class Network(Protocol):
    """Never blocks and never raises."""

    def send(self, flow: Flow, data: bytes) -> None:
        """Send on this flow, or queue it while the connection opens. A failure comes later, as an event."""

    def targets(self, peer: str) -> Sequence[Target]:
        """The addresses of this peer in the order in which to try them (RFC 3263); none: it cannot be reached."""

    def flow(self, target: Target) -> Flow | None:
        """A live connection to it, one that is being opened, or for UDP the socket to use; None: there is no way."""

    def same_peer(self, one: Flow, other: Flow) -> bool:
        """Whether the same peer is at the far end of both."""

    def sent_by(self, flow: Flow) -> str:
        """Our "host:port" on this flow, for Via."""

    def contact(self, flow: Flow) -> str:
        """What stands behind the "@" of our Contact on this flow: "host:port" and `;transport=` where it is not UDP."""
