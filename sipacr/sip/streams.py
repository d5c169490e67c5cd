"""TCP and TLS: accepts peers only, cuts messages out of the stream (RFC 3261 18.3), answers on the same connection.

A stranger's connection is closed before TLS begins and before a byte is read. TLS is Python's `ssl`. Connections that
we opened ourselves (`exchange`) are read in the same way.
"""

import asyncio
import itertools
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Any, Literal, Protocol

from sipacr.routing.directory import Peer
from sipacr.sip.answer import Reply, Verdict, status
from sipacr.sip.library import MAX_MESSAGE
from sipacr.sip.scan import Head, check_body

log = logging.getLogger("sipacr.sip")

HANDSHAKE_TIMEOUT = 10.0  # seconds
MESSAGE_TIMEOUT = 10.0  # seconds from a message's first byte to its last
_BACKLOG = 1024
_ACCEPTS = 64  # connections taken per turn of the loop

_UNREAD = 1 << 20  # bytes that may wait for a peer who does not read; then he is given up
_numbers = itertools.count(1000)  # of connections; those of UDP sockets are lower

Find = Callable[[str, int], Peer | None]


def next_number() -> int:
    """A number for a connection that no other had."""
    return next(_numbers)


class Reader(Protocol):
    """Who reads messages: a `Front`, or what stands before it."""

    def scan(self, text: bytes) -> Head:
        """Read a head."""

    def refuse(self, head: Head, verdict: Verdict, host: bytes, port: int) -> Reply | None:
        """Refuse a message of which no more than the head is known."""

    def request(self, head: Head, peer: Peer, host: bytes, port: int, number: int = 0) -> Reply | None:
        """Take a message."""


class Owner(Protocol):
    """Who accepts or opens connections."""

    loop: asyncio.AbstractEventLoop
    front: Reader
    find: Find

    def opened(self, connection: "Connection") -> None:
        """It is there; for TLS the handshake is done."""

    def closed(self, connection: "Connection") -> None:
        """It is gone."""


class Connection(asyncio.Protocol):
    """One connection with a peer, whoever opened it."""

    def __init__(self, owner: Owner, kind: Literal["tcp", "tls"], host: str, port: int, number: int) -> None:
        """`host` and `port` are the far end's; `number` tells it from all others."""
        self.kind = kind
        self.number = number
        self._owner = owner
        self._host = host.encode()
        self._port = port
        self._buffer = bytearray()
        self._searched = 0
        self._head: Head | None = None
        self._length = 0
        self._deadline: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self._transport = transport  # type: ignore[assignment]  # uvloop's has the same methods
        self._owner.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._owner.closed(self)
        self._stop_clock()

    @property
    def far(self) -> tuple[str, int]:
        """The far end's address and port."""
        return self._host.decode(), self._port

    @property
    def is_closing(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._transport is None or self._transport.is_closing()

    def local(self) -> tuple[str, int] | None:
        """Our address and port on it; None once it is gone."""
        name = self._transport.get_extra_info("sockname") if self._transport else None
        return (name[0], name[1]) if name else None

    def certificate(self) -> Any:
        """The far end's certificate as `ssl` gives it, if it has shown one that was asked for."""
        return self._transport.get_extra_info("peercert") if self._transport else None

    def send(self, data: bytes) -> None:
        """Write, also while the far end reads slowly; one that does not read at all is given up."""
        if self._transport and not self._transport.is_closing():
            self._transport.write(data)
            if self._transport.get_write_buffer_size() > _UNREAD:
                self.abort()

    def abort(self) -> None:
        """Close at once; what was not sent is lost."""
        if self._transport:
            self._transport.abort()

    def pause_writing(self) -> None:
        """The peer does not read our answers: take no more of its requests until it does."""
        if self._transport:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        if self._transport:
            self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while self._transport and not self._transport.is_closing() and self._one():
            pass

    def close(self) -> None:
        """Close after what was written has been sent."""
        if self._transport:
            self._transport.close()

    def _one(self) -> bool:
        """Take one keep-alive or one message from the front of the buffer; False if more bytes are needed."""
        buffer = self._buffer
        if self._head is None:
            if buffer[:2] == b"\r\n":
                return self._keep_alive()
            if not buffer or buffer == b"\r":
                self._stop_clock()
                return False
            self._start_clock()
            end = buffer.find(b"\r\n\r\n", max(0, self._searched - 3))
            self._searched = len(buffer)
            if end < 0:
                if len(buffer) > MAX_MESSAGE:
                    self.close()
                return False
            if not self._begin(bytes(buffer[: end + 4])):
                return False
        if self._head is None or len(buffer) < self._length:
            return False
        head, self._head = self._head, None
        head.body = bytes(buffer[self._length - head.content_length : self._length])
        del buffer[: self._length]
        self._searched = 0
        self._stop_clock()
        check_body(head)
        peer = self._owner.find(self._host.decode(), self._port)  # a reload may have changed or removed it
        if peer is None:
            self.close()
            return False
        self._reply(self._owner.front.request(head, peer, self._host, self._port, self.number))
        return True

    def _keep_alive(self) -> bool:
        """A double CRLF is a ping and gets a single one back (RFC 5626 4.4.1); one alone before a message is noise."""
        if self._buffer[:4] == b"\r\n\r\n":
            del self._buffer[:4]
            self._reply(Reply(b"\r\n", 0))
            return True
        if len(self._buffer) >= 4 or bytes(self._buffer[2:3]) not in (b"", b"\r"):
            del self._buffer[:2]
            return True
        return False

    def _begin(self, text: bytes) -> bool:
        """Read a head that is complete; False if the connection cannot go on behind it."""
        head = self._owner.front.scan(text)
        refusal = None
        if head.content_length < 0:
            refusal = Verdict(status(400, head.fault or b"No Content-Length"))
        elif len(text) + head.content_length > MAX_MESSAGE:
            refusal = Verdict(status(513))
        if refusal is None:
            self._head, self._length = head, len(text) + head.content_length
            return True
        self._reply(self._owner.front.refuse(head, refusal, self._host, self._port))
        self.close()
        return False

    def _reply(self, reply: Reply | None) -> None:
        if reply is not None and self._transport:
            self._transport.write(reply.data)

    def _start_clock(self) -> None:
        if self._deadline is None:
            self._deadline = self._owner.loop.call_later(MESSAGE_TIMEOUT, self.close)

    def _stop_clock(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class Watcher(Protocol):
    """Who wants to know of connections."""

    def opened(self, connection: Connection) -> None:
        """One is there."""

    def closed(self, connection: Connection) -> None:
        """One is gone."""


class StreamListener:
    """One listening TCP or TLS socket."""

    def __init__(
        self,
        sock: socket.socket,
        loop: asyncio.AbstractEventLoop,
        find: Find,
        front: Reader,
        tls: ssl.SSLContext | None = None,
        watcher: Watcher | None = None,
        stranger: Callable[[str, int, bytes, str], object] | None = None,
    ) -> None:
        """With `tls` the connections are TLS. `watcher` is told of each one that comes and goes, `stranger` of those
        that are closed because they are no peer's: host, port, nothing, transport."""
        self._stranger = stranger
        self.loop = loop
        self.front = front
        self._tls = tls
        self.connections: set[Connection] = set()
        self.strangers = 0
        self.find = find
        self._sock = sock
        self._watcher = watcher
        self._pending: set[asyncio.Task[None]] = set()
        loop.add_reader(sock.fileno(), self._acceptable)

    def opened(self, connection: Connection) -> None:
        """A connection is there."""
        self.connections.add(connection)
        if self._watcher is not None:
            self._watcher.opened(connection)

    def closed(self, connection: Connection) -> None:
        """A connection is gone."""
        self.connections.discard(connection)
        if self._watcher is not None:
            self._watcher.closed(connection)

    def exchange_tls(self, tls: ssl.SSLContext | None) -> None:
        """Certificates for the connections to come; those that are open keep theirs."""
        if self._tls is not None and tls is not None:
            self._tls = tls

    def close(self) -> None:
        """Stop accepting and close what is open."""
        self.loop.remove_reader(self._sock.fileno())
        self._sock.close()
        for task in self._pending:
            task.cancel()
        for connection in list(self.connections):
            connection.close()

    def _acceptable(self) -> None:
        for _ in range(_ACCEPTS):
            try:
                sock, address = self._sock.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:  # no file descriptors left: leave the rest in the backlog for a second
                log.error("cannot accept a connection: %s", error)
                fd = self._sock.fileno()
                self.loop.remove_reader(fd)
                self.loop.call_later(1.0, self._resume)
                return
            host, port = address[0], address[1]
            peer = self.find(host, port)
            if peer is None:
                self.strangers += 1
                sock.close()
                if self._stranger is not None:
                    self._stranger(host, port, b"", "tls" if self._tls else "tcp")
                continue
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            task = self.loop.create_task(self._open(sock, peer, host, port))
            self._pending.add(task)
            task.add_done_callback(self._pending.discard)

    def _resume(self) -> None:
        if self._sock.fileno() >= 0:
            self.loop.add_reader(self._sock.fileno(), self._acceptable)

    async def _open(self, sock: socket.socket, peer: Peer, host: str, port: int) -> None:
        """Hand an accepted socket to the loop; for TLS the handshake is awaited here."""
        try:
            await self.loop.connect_accepted_socket(
                lambda: Connection(self, "tls" if self._tls else "tcp", host, port, next_number()),
                sock,
                ssl=self._tls,
                ssl_handshake_timeout=HANDSHAKE_TIMEOUT if self._tls else None,
            )
        except (OSError, ssl.SSLError, TimeoutError) as error:
            log.info("no TLS with %s (%s:%d): %s", peer.name, host, port, error)
            sock.close()


def open_stream(host: str, port: int) -> socket.socket:
    """A listening TCP socket. Raises OSError (address in use, no such address, port not permitted)."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((host, port))
        sock.listen(_BACKLOG)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock
