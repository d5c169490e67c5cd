"""UDP in batches: one system call reads up to 32 datagrams, one sends the answers to them.

A datagram that comes alone is answered at once. While they come in a row the socket is not waited for but read every
millisecond, as a network card does under load: waking up for each datagram costs more than answering it
(benchmarks/README.md has the figures). The buffers are made once; no datagram is larger than 64 kB.
"""

import asyncio
import errno
import fcntl
import logging
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from struct import Struct
from typing import Any

from sipacr.routing.directory import Peer
from sipacr.sip.answer import Reply
from sipacr.sip.library import LibraryFault, ffi

log = logging.getLogger("sipacr.sip")

BATCH = 32
_TICK = 0.001  # seconds between two reads while datagrams come in a row; the least that the loop's timers know
_PATIENCE = 3  # empty reads before the loop is asked to wait again
_SLOT = 65_536
_LONGEST = 65_507  # bytes that fit into a UDP datagram over IPv4
_CONTROL = 64  # bytes: room for one in6_pktinfo with its header
_IP_PKTINFO, _IPV6_RECVPKTINFO = 8, 49  # linux/in.h, linux/in6.h
_NAME = 28  # bytes of a sockaddr_in6; a sockaddr_in has 16
_WAITING = 4096  # answers that wait for room in the socket's buffer; beyond it the oldest go, as the network would
_REMEMBERED = 16_384
_SIOCGSTAMPNS = 0x8907  # asm-generic/sockios.h: when the datagram that was read last came in
_TIMESPEC = struct.Struct("qq").unpack
_libc: Any = ffi.dlopen(None)

_HEADER = 16  # bytes of a cmsghdr
_LENGTH_AT = ffi.offsetof("struct sip_mmsghdr", "msg_len") // 4
_LENGTH_STEP = ffi.sizeof("struct sip_mmsghdr") // 4

_Message = tuple[bytes, bytes, bytes]  # what to send, the sockaddr to send it to, the control message
Receive = Callable[[bytes, Peer, bytes, int, int], Reply | None]  # data, peer, its host and port, number of the socket
Find = Callable[[str, int], Peer | None]


class _Vector:
    """An array of mmsghdr with the memory that it points to."""

    def __init__(self, slot: int) -> None:
        self.headers: Any = ffi.new("struct sip_mmsghdr[]", BATCH)
        self._controls: Any = ffi.new("char[]", _CONTROL * BATCH)
        self._data: Any = ffi.new("char[]", slot * BATCH)
        self._names: Any = ffi.new("char[]", _NAME * BATCH)
        self._iov: Any = ffi.new("struct sip_iovec[]", BATCH)
        self.data: list[Any] = []
        self.names: list[Any] = []
        self.iov: list[Any] = []
        self.control: list[Any] = []
        # A field of a struct costs several times what an item of a memoryview costs.
        self.all_names: Any = ffi.buffer(self._names)
        self.received = memoryview(ffi.buffer(self.headers)).cast("B").cast("I")[_LENGTH_AT::_LENGTH_STEP]
        self.sizes = memoryview(ffi.buffer(self._iov)).cast("B").cast("Q")[1::2]  # what the iovecs hold
        for i in range(BATCH):
            data, name = self._data + i * slot, self._names + i * _NAME
            self._iov[i].iov_base, self._iov[i].iov_len = data, slot
            header = self.headers[i].msg_hdr
            header.msg_iov, header.msg_iovlen = self._iov + i, 1
            header.msg_name, header.msg_namelen = name, _NAME
            self.data.append(ffi.buffer(data, slot))
            self.names.append(ffi.buffer(name, _NAME))
            self.iov.append(self._iov[i])
            header.msg_control = self._controls + i * _CONTROL
            self.control.append(ffi.buffer(self._controls + i * _CONTROL, _CONTROL))


def self_check() -> None:
    """Send a datagram through the batch calls to ourselves and compare what arrives. Raises LibraryFault."""
    with open_udp("127.0.0.1", 0, 65_536) as sender, open_udp("127.0.0.1", 0, 65_536) as receiver:
        vector = _Vector(64)
        port = receiver.getsockname()[1]
        vector.data[0][:5] = b"check"
        vector.names[0][:16] = struct.pack("=HH4s8x", socket.AF_INET, socket.htons(port), bytes((127, 0, 0, 1)))
        vector.headers[0].msg_hdr.msg_namelen, vector.iov[0].iov_len = 16, 5
        sent = _libc.sendmmsg(sender.fileno(), vector.headers, 1, 0)
        arrived = _Vector(64)
        received = _libc.recvmmsg(receiver.fileno(), arrived.headers, BATCH, socket.MSG_DONTWAIT, ffi.NULL)
        source = int.from_bytes(arrived.names[0][2:4], "big")
        seen = (sent, received, arrived.headers[0].msg_len, arrived.data[0][:5], source)
        if seen != (1, 1, 5, b"check", sender.getsockname()[1]):
            raise LibraryFault(f"self-check: recvmmsg and sendmmsg do not work as declared here ({seen!r})")


class UdpSocket:
    """One bound UDP socket in the loop: reads, asks `receive` what to answer, sends."""

    def __init__(
        self,
        sock: socket.socket,
        loop: asyncio.AbstractEventLoop,
        find: Find,
        receive: Receive,
        number: int = 0,
        waited: Callable[[float], None] | None = None,
        stranger: Callable[[str, int, bytes], Reply | None] | None = None,
    ) -> None:
        """`find` tells the peer of an address (None: a stranger, whom `stranger` answers, or nobody); `receive` never
        raises and is told the `number` of this socket. `waited` is told before each batch how many seconds it has
        waited for us, 0 where nothing is left behind it."""
        self._waited = waited
        self._stranger = stranger
        self._stamp = bytearray(16)
        self._sock = sock
        self._loop = loop
        self._find = find
        self._receive = receive
        self._number = number
        self._fd = sock.fileno()
        self._in = _Vector(_SLOT)
        self._out = _Vector(_SLOT)
        self._name_length = 16 if sock.family == socket.AF_INET else _NAME
        for i in range(BATCH):
            self._out.headers[i].msg_hdr.msg_namelen = self._name_length
        self._written = [b""] * BATCH  # the sockaddrs that stand in the buffers of `_out`
        one = f"{self._name_length}s{_NAME - self._name_length}x"
        self._split = [Struct(one * count).unpack_from for count in range(BATCH + 1)]  # the sockaddrs of a batch
        # On a wildcard address the answer must leave from the address that was called, not from the nearest one.
        self._wildcard = sock.getsockname()[0] in ("0.0.0.0", "::")
        self._known: dict[bytes, tuple[Peer, bytes, int]] = {}
        self._waiting: deque[_Message] = deque(maxlen=_WAITING)
        self._queued: list[_Message] = []  # of `send`, until the end of the batch or of the turn of the loop
        self._in_batch = False
        self._names: dict[tuple[str, int], bytes] = {}  # raw sockaddrs, for `send`
        # On a wildcard address: of a far end, the control message that makes `send` leave from where it called.
        self._called_by: dict[bytes, bytes] = {}
        self._at = 0  # the place in the batch of the datagram that `receive` looks at
        self.strangers = 0
        self.dropped = 0
        self._last_read = 0.0
        self._empty = 0
        self._timer: asyncio.TimerHandle | None = None
        loop.add_reader(self._fd, self._readable)

    def close(self) -> None:
        """Stop reading; what waits to be sent is dropped."""
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        if self._timer is not None:
            self._timer.cancel()
        self._sock.close()

    def forget_sources(self) -> None:
        """After a reload: ask `find` anew about every address."""
        self._known.clear()

    def remember_called(self) -> None:
        """To be called by `receive`: what is sent to the far end of this datagram leaves from where it arrived."""
        if self._wildcard:
            if len(self._called_by) >= _REMEMBERED:
                self._called_by.clear()
            self._called_by[self._address_in(self._in.names[self._at])] = self._called(self._at)

    def called_by(self, host: str) -> str | None:
        """The address of ours that this far end called; None where that is not known."""
        control = self._called_by.get(socket.inet_pton(self._sock.family, host))
        if control is None:
            return None
        if self._name_length == 16:  # behind the interface's number stands the address that an answer leaves from
            return socket.inet_ntop(socket.AF_INET, control[_HEADER + 4 : _HEADER + 8])
        return socket.inet_ntop(socket.AF_INET6, control[_HEADER : _HEADER + 16])

    def _address_in(self, name: Any) -> bytes:
        """The IP address in a raw sockaddr."""
        return bytes(name[4:8] if self._name_length == 16 else name[8:24])

    def send(self, data: bytes, host: str, port: int) -> None:
        """Queue one datagram. It leaves with those of the same batch or turn of the loop; a failure is not told."""
        name = self._names.get((host, port)) or self._name(host, port)
        if name is None or len(data) > _LONGEST:
            self.dropped += 1
            return
        if not self._queued and not self._in_batch:
            self._loop.call_soon(self._flush)
        self._queued.append((data, name, self._called_by.get(self._address_in(name), b"") if self._wildcard else b""))

    def _name(self, host: str, port: int) -> bytes | None:
        """The raw sockaddr; None for what is no address of our family."""
        family = self._sock.family
        try:
            address = socket.inet_pton(family, host)
        except OSError:
            return None
        start = struct.pack("=H", family) + port.to_bytes(2, "big")
        name = start + address + bytes(8) if family == socket.AF_INET else start + bytes(4) + address + bytes(4)
        if len(self._names) >= _REMEMBERED:
            self._names.clear()
        self._names[host, port] = name
        return name

    def _flush(self) -> None:
        queued, self._queued = self._queued, []
        if self._sock.fileno() >= 0:
            for start in range(0, len(queued), BATCH):
                self._send(queued[start : start + BATCH])

    def _readable(self) -> None:
        """The loop says that something is there. If that was so a moment ago too, poll from here on."""
        now = self._loop.time()
        busy = now - self._last_read < _TICK
        self._last_read = now
        if self._read() < BATCH and busy:
            self._loop.remove_reader(self._fd)
            self._empty = 0
            self._timer = self._loop.call_later(_TICK, self._poll)

    def _poll(self) -> None:
        """Read what has come within the last millisecond; when nothing comes any more, wait for the loop again."""
        count = 0
        try:
            count = self._read()
        finally:  # whatever happens, somebody goes on reading
            self._empty = 0 if count else self._empty + 1
            if self._empty > _PATIENCE:
                self._timer = None
                self._loop.add_reader(self._fd, self._readable)
            else:
                self._timer = self._loop.call_later(_TICK if count < BATCH else 0, self._poll)

    def _read(self) -> int:
        """Read one batch and answer it. One batch a turn of the loop, so that streams and timers get theirs."""
        if self._wildcard:
            for header in self._in.headers:
                header.msg_hdr.msg_controllen = _CONTROL
        count: int = _libc.recvmmsg(self._fd, self._in.headers, BATCH, socket.MSG_DONTWAIT, ffi.NULL)
        if count <= 0:
            return 0
        if self._waited is not None:
            self._waited(self._age() if count == BATCH else 0.0)
        data, lengths = self._in.data, self._in.received
        known, receive, number = self._known, self._receive, self._number
        replies: list[_Message] = []
        self._in_batch = True
        for i, name in enumerate(self._split[count](self._in.all_names)):
            source = known.get(name) or self._who(name, i)
            if source is None:
                continue
            peer, host, port = source
            self._at = i
            reply = receive(data[i][: lengths[i]], peer, host, port, number)
            if reply is not None and len(reply.data) > _LONGEST:
                self.dropped += 1  # it echoes too much to fit into a datagram
            elif reply is not None:
                if reply.port != port:
                    name = name[:2] + reply.port.to_bytes(2, "big") + name[4:]
                replies.append((reply.data, name, self._called(i) if self._wildcard else b""))
        if replies:
            self._send(replies)
        self._in_batch = False
        if self._queued:
            self._flush()
        return count

    def _age(self) -> float:
        """Seconds since the last datagram that was read has arrived; 0 where the kernel does not tell."""
        try:
            fcntl.ioctl(self._fd, _SIOCGSTAMPNS, self._stamp)
        except OSError:  # none before the first call: it makes the kernel take the time
            return 0.0
        seconds, nanoseconds = _TIMESPEC(self._stamp)
        age: float = time.time() - seconds - nanoseconds * 1e-9
        return max(0.0, age)

    def _who(self, name: bytes, i: int) -> tuple[Peer, bytes, int] | None:
        """The peer behind the raw sockaddr of datagram `i`. Only peers are remembered."""
        port = int.from_bytes(name[2:4], "big")
        host = socket.inet_ntop(self._sock.family, self._address_in(name))
        peer = self._find(host, port)
        if peer is None:
            self.strangers += 1
            if self._stranger is not None:
                reply = self._stranger(host, port, bytes(self._in.data[i][: self._in.received[i]]))
                if reply is not None:
                    self.send(reply.data, host, reply.port)
            return None
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[name] = found = (peer, host.encode(), port)
        return found

    def _called(self, i: int) -> bytes:
        """The control message that makes an answer leave from where datagram `i` arrived; by the usual route."""
        control: bytes = self._in.control[i][: self._in.headers[i].msg_hdr.msg_controllen]
        interface = _HEADER if self._name_length == 16 else _HEADER + 16  # behind the address in an in6_pktinfo
        return control[:interface] + bytes(4) + control[interface + 4 :]

    def _send(self, messages: list[_Message]) -> None:
        if self._waiting:
            self._waiting.extend(messages)
            return
        out, written = self._out, self._written
        for i, (data, name, control) in enumerate(messages):
            out.sizes[i] = size = len(data)
            out.data[i][:size] = data
            if name != written[i]:
                out.names[i][: self._name_length] = written[i] = name
            if self._wildcard:
                out.control[i][: len(control)] = control
                out.headers[i].msg_hdr.msg_controllen = len(control)
        sent = 0
        while sent < len(messages):
            count = _libc.sendmmsg(self._fd, out.headers + sent, len(messages) - sent, socket.MSG_DONTWAIT)
            if count > 0:
                sent += count
            elif ffi.errno in (errno.EAGAIN, errno.ENOBUFS):
                self._waiting.extend(messages[sent:])
                self._loop.add_writer(self._fd, self._writable)
                return
            else:  # this destination cannot be sent to; the others can
                log.debug("a datagram could not be sent: %s", errno.errorcode.get(ffi.errno, ffi.errno))
                self.dropped += 1
                sent += 1

    def _writable(self) -> None:
        self._loop.remove_writer(self._fd)
        batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
        rest = list(self._waiting)
        self._waiting.clear()
        self._send(batch)
        self._waiting.extend(rest)
        if self._waiting:
            self._loop.add_writer(self._fd, self._writable)


def open_udp(host: str, port: int, receive_buffer: int = 8 << 20) -> socket.socket:
    """A bound UDP socket. Raises OSError (address in use, no such address, port not permitted)."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVPKTINFO, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        for option in (getattr(socket, "SO_RCVBUFFORCE", 33), socket.SO_RCVBUF):
            try:  # the first needs CAP_NET_ADMIN, the second is cut to net.core.rmem_max
                sock.setsockopt(socket.SOL_SOCKET, option, receive_buffer)
                break
            except OSError as error:
                log.debug("receive buffer option %d: %s", option, error)
        sock.bind((host, port))
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock
