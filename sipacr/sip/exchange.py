"""The network of the relay: sends on our UDP sockets and on connections with peers, opens connections, tells failures.

Implements `calls.network.Network`. Nothing here blocks; a connection is opened in the background while what is to be
sent on it waits.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_address
from typing import Literal, NamedTuple

from sipacr.calls.network import Flow, Target, Transport
from sipacr.routing.directory import Peer
from sipacr.sip.certificates import is_of
from sipacr.sip.streams import Connection, Reader, next_number
from sipacr.sip.udp import UdpSocket

log = logging.getLogger("sipacr.sip")

CONNECT_TIMEOUT = 4.0  # seconds, for the TLS handshake again
_QUEUED = 256  # messages that wait for one connection; beyond it the connection is given up
_REMEMBERED = 16_384
_WILDCARDS = ("0.0.0.0", "::")


class Listening(NamedTuple):
    """One address that we listen on."""

    transport: Transport
    host: str
    port: int

    @property
    def is_wildcard(self) -> bool:
        return self.host in _WILDCARDS


class Exchange:
    """All ways to far ends. It is the owner of the connections that it opens, and watches those that were accepted."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        front: Reader,
        find: Callable[[str, int], Peer | None],
        targets: Callable[[str], Sequence[Target]],
        failed: Callable[[Flow], None],
    ) -> None:
        """`find` tells the peer of an address, `targets` where a peer is to be tried; `failed` is called from the loop
        for each connection that could not be opened or is gone."""
        self.loop = loop
        self.front = front
        self.find = find
        self.targets = targets
        self._failed = failed
        self._udp: dict[int, UdpSocket] = {}
        self._listening: list[Listening] = []
        self._public: str | None = None
        self._tls: ssl.SSLContext | None = None
        self._connections: dict[int, Connection] = {}
        self._waiting: dict[int, list[bytes]] = {}  # of connections that are being opened
        self._numbers: dict[Target, int] = {}  # of the connections that we opened or are opening
        self._wanted: dict[int, Target] = {}  # the same the other way round
        self._accepted: dict[tuple[str, str, int], int] = {}  # transport, host, port in Via -> of peers' connections
        self._ports: dict[int, int] = {}  # the same the other way round: number of a connection -> port in Via
        self._tasks: set[asyncio.Task[None]] = set()
        self._known: dict[tuple[str, str, int], str] = {}  # transport, far end's address and number -> sent-by

    def listen(self, listening: Sequence[Listening], udp: Mapping[int, UdpSocket], public: str | None) -> None:
        """What is open: the numbers of UDP sockets are their places in `listening`. `public` is our address as those
        see it who are not in our network."""
        self._listening, self._udp, self._public = list(listening), dict(udp), public
        self._known.clear()

    def take_tls(self, tls: ssl.SSLContext | None) -> None:
        """For the TLS connections to come; without it none can be opened."""
        self._tls = tls

    def forget_peers(self) -> None:
        """After a reload: who is a trunk may have changed."""
        self._known.clear()

    def close(self) -> None:
        """Close what we opened."""
        for task in self._tasks:
            task.cancel()
        for number in self._wanted.keys() & self._connections.keys():
            self._connections[number].close()

    # What the core asks

    def send(self, flow: Flow, data: bytes) -> None:
        """Send on this flow, or queue it while the connection opens."""
        if flow.transport == "udp":
            sock = self._udp.get(flow.number)
            if sock is not None:
                sock.send(data, flow.host, flow.port)
            return
        connection = self._connections.get(flow.number)
        if connection is not None:
            connection.send(data)
            return
        waiting = self._waiting.get(flow.number)
        if waiting is not None and len(waiting) < _QUEUED:
            waiting.append(data)
        else:
            self.loop.call_soon(self._failed, flow)

    def flow(self, target: Target) -> Flow | None:
        """A live connection with it, whoever opened it, a new one, or for UDP the socket to use."""
        if target.transport == "udp":
            place = self._place("udp", target.host)
            return None if place is None else Flow("udp", target.host, target.port, place)
        number = self._numbers.get(target)
        if number is None:
            accepted = self._accepted_from(target)
            if accepted is not None:
                return Flow(target.transport, *accepted.far, accepted.number)
            if target.transport == "tls" and self._tls is None:
                return None
            number = self._open(target)
        return Flow(target.transport, target.host, target.port, number)

    def same_peer(self, one: Flow, other: Flow) -> bool:
        """Whether the same peer is at the far end of both."""
        peer = self.find(one.host, one.port)
        return peer is not None and peer is self.find(other.host, other.port)

    def sent_by(self, flow: Flow) -> str:
        """Our "host:port" for Via: where we listen, as that far end sees it."""
        key = (flow.transport, flow.host, flow.number)
        known = self._known.get(key)
        if known is None:
            host, port = self._here(flow)
            known = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            if flow.transport == "udp" or flow.number in self._connections:  # else the address is not settled yet
                if len(self._known) >= _REMEMBERED:
                    self._known.clear()
                self._known[key] = known
        return known

    def contact(self, flow: Flow) -> str:
        """The same with the transport, for Contact."""
        here = self.sent_by(flow)
        return here if flow.transport == "udp" else f"{here};transport={flow.transport}"

    # Where we are

    def _here(self, flow: Flow) -> tuple[str, int]:
        place = flow.number if flow.transport == "udp" else self._place(flow.transport, flow.host)
        listening = self._listening[place] if place is not None else None
        host, port = self._local(flow, listening)
        if listening is not None:
            port = listening.port
        if self._public is not None and self._is_outside(flow) and _may_stand_for(self._public, flow.host):
            host = self._public
        return host, port

    def _local(self, flow: Flow, listening: Listening | None) -> tuple[str, int]:
        """Our own address towards this far end."""
        connection = self._connections.get(flow.number)
        if connection is not None:
            return connection.local() or (nearest(flow.host), 0)
        if listening is not None and not listening.is_wildcard:
            return listening.host, listening.port
        sock = self._udp.get(flow.number) if flow.transport == "udp" else None
        called = sock.called_by(flow.host) if sock is not None else None
        return called or nearest(flow.host), 0

    def _is_outside(self, flow: Flow) -> bool:
        """Whether this far end sees us by our public address."""
        peer = self.find(flow.host, flow.port)
        return (peer is not None and peer.role == "trunk") or ip_address(flow.host).is_global

    def _place(self, transport: Transport, far: str) -> int | None:
        """Which of the addresses that we listen on belongs to this far end: of several the one that is nearest."""
        six = ":" in far
        fitting = [
            place
            for place, each in enumerate(self._listening)
            if each.transport == transport and (":" in each.host) == six
        ]
        if len(fitting) > 1:
            near = nearest(far)
            fitting.sort(
                key=lambda place: (self._listening[place].host != near, not self._listening[place].is_wildcard)
            )
        return fitting[0] if fitting else None

    # Connections

    def _open(self, target: Target) -> int:
        number = next_number()
        self._numbers[target] = number
        self._wanted[number] = target
        self._waiting[number] = []
        task = self.loop.create_task(self._connect(target, number))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return number

    def called_from(self, number: int, port: int) -> None:
        """A request has come on this connection, whose sender says that it listens at `port`: calls to that address
        may take the same connection (as with RFC 5923, whose parameter few peers send)."""
        connection = self._connections.get(number)
        if connection is None or self._ports.get(number) == port or number in self._wanted:
            return
        self._forget_accepted(number)
        self._ports[number] = port
        self._accepted[connection.kind, connection.far[0], port] = number

    def _accepted_from(self, target: Target) -> Connection | None:
        """A connection that this target has opened to us; over TLS it must have shown whose it is."""
        number = self._accepted.get((target.transport, target.host, target.port))
        connection = self._connections.get(number) if number is not None else None
        if connection is None or connection.is_closing:
            return None
        if target.transport == "tls" and not is_of(connection.certificate() or {}, target.name, target.host):
            return None
        return connection

    def _forget_accepted(self, number: int) -> None:
        port = self._ports.pop(number, None)
        connection = self._connections.get(number)
        if port is not None and connection is not None:
            key = (connection.kind, connection.far[0], port)
            if self._accepted.get(key) == number:
                del self._accepted[key]

    async def _connect(self, target: Target, number: int) -> None:
        kind: Literal["tcp", "tls"] = "tls" if target.transport == "tls" else "tcp"
        tls = self._tls if kind == "tls" else None
        sock = socket.socket(socket.AF_INET6 if ":" in target.host else socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            place = self._place(target.transport, target.host)
            if place is not None and not self._listening[place].is_wildcard:  # peers know us by this address
                sock.bind((self._listening[place].host, 0))
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await self.loop.sock_connect(sock, (target.host, target.port))
            await self.loop.create_connection(
                lambda: Connection(self, kind, target.host, target.port, number),
                sock=sock,
                ssl=tls,
                server_hostname=(target.name or target.host) if tls else None,
                ssl_handshake_timeout=CONNECT_TIMEOUT if tls else None,
            )
        except (OSError, ssl.SSLError, TimeoutError) as error:
            log.warning("no connection to %s: %s", _said(target), error or "no answer")
            sock.close()
            self._gone(Flow(target.transport, target.host, target.port, number))

    def opened(self, connection: Connection) -> None:
        """A connection is there; what waited for it is sent."""
        number = connection.number
        target = self._wanted.get(number)
        wanted = target if connection.kind == "tls" else None
        if wanted is not None and not is_of(connection.certificate() or {}, wanted.name, wanted.host):
            log.error("no connection to %s: its certificate is of somebody else", _said(wanted))
            connection.abort()
            return
        self._connections[number] = connection
        for data in self._waiting.pop(number, ()):
            connection.send(data)

    def closed(self, connection: Connection) -> None:
        """A connection is gone, whoever opened it."""
        host, port = connection.far
        self._forget_accepted(connection.number)
        self._connections.pop(connection.number, None)
        self._gone(Flow(connection.kind, host, port, connection.number))

    def _gone(self, flow: Flow) -> None:
        target = self._wanted.pop(flow.number, None)
        if target is not None and self._numbers.get(target) == flow.number:
            del self._numbers[target]
        self._waiting.pop(flow.number, None)
        self._known.pop((flow.transport, flow.host, flow.number), None)
        self._failed(flow)

    def heard(self, number: int) -> None:
        """A request has come on this UDP socket just now: its sender is answered and called from where it called."""
        sock = self._udp.get(number)
        if sock is not None:
            sock.remember_called()

    def transport_of(self, number: int) -> Transport:
        """The transport of a socket or connection of ours."""
        if number < len(self._listening):
            return self._listening[number].transport
        connection = self._connections.get(number)
        return connection.kind if connection is not None else "tcp"


def nearest(far: str) -> str:
    """Our address on the way to this far end, as the kernel would choose it; a loopback one if there is no way."""
    family = socket.AF_INET6 if ":" in far else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect((far, 9))  # sends nothing
            return str(sock.getsockname()[0])
        except OSError:
            return "::1" if family == socket.AF_INET6 else "127.0.0.1"


def _may_stand_for(public: str, far: str) -> bool:
    """Whether the public address can be used by this far end: a name, or an address of the same family."""
    try:
        return ip_address(public).version == ip_address(far).version
    except ValueError:
        return True


def _said(target: Target) -> str:
    name = f" ({target.name})" if target.name else ""
    return f"{target.transport} {target.host} port {target.port}{name}"
