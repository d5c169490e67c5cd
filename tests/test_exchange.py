"""The network of the relay on 127.0.0.0/8 and ::1: which socket, which address of ours, connections, what goes wrong."""

import asyncio
import datetime
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from sipacr.calls.network import Flow, Target
from sipacr.routing.directory import Peer
from sipacr.routing.numbers import NumberPlan
from sipacr.sip import exchange as under_trial
from sipacr.sip.certificates import CertificateFault, client_context, is_of, server_context, write_self_signed
from sipacr.sip.exchange import Exchange, Listening, nearest
from sipacr.sip.scan import Head, Scanner
from sipacr.sip.sources import Sources
from sipacr.sip.udp import UdpSocket, open_udp

pytestmark = pytest.mark.loopback

PL = NumberPlan.of("PL", ())
NOW = datetime.datetime.now(datetime.UTC)
TRUNK = Peer("trunk", "trunk", "relay", ("127.0.0.1",), PL)
PBX = Peer("pbx", "pbx", "relay", ("127.0.0.2",), PL)
OK = b"SIP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nhi"


class Front:
    """Takes what comes."""

    def __init__(self) -> None:
        self.heads: list[tuple[bytes, bytes, int]] = []
        self.came = asyncio.Event()
        self._scanner = Scanner()

    def scan(self, text: bytes) -> Head:
        return self._scanner.scan(text)

    def request(self, head: Head, peer: Peer, host: bytes, port: int, number: int) -> None:
        self.heads.append((head.text[:-4].split(b"\r\n")[0], head.body, number))
        self.came.set()

    def refuse(self, *_: object) -> None:
        return None


class World:
    """An exchange and what it told."""

    def __init__(self, listening: list[Listening], public: str | None = None) -> None:
        self.loop = asyncio.get_running_loop()
        self.front = Front()
        self.failed: list[Flow] = []
        self.told = asyncio.Event()
        self.sockets: dict[int, UdpSocket] = {}
        addresses = []
        for number, each in enumerate(listening):
            port = each.port
            if each.transport == "udp":
                sock = open_udp(each.host, port, 65_536)
                port = sock.getsockname()[1]
                self.sockets[number] = UdpSocket(sock, self.loop, self.find, self.datagram, number)
            addresses.append(each._replace(port=port))
        self.addresses = addresses
        self.heard: list[tuple[bytes, int]] = []
        self.exchange = Exchange(self.loop, self.front, self.find, lambda _: (), self._failed)  # type: ignore[arg-type]
        self.exchange.listen(addresses, self.sockets, public)

    def find(self, host: str, port: int) -> Peer | None:
        return PBX if host == "127.0.0.2" else TRUNK if host in ("127.0.0.1", "::1", "10.7.7.7") else None

    def datagram(self, data: bytes, peer: Peer, host: bytes, port: int, number: int) -> None:
        self.heard.append((data, number))
        self.exchange.heard(number)
        self.front.came.set()

    def _failed(self, flow: Flow) -> None:
        self.failed.append(flow)
        self.told.set()

    async def until_told(self) -> Flow:
        await asyncio.wait_for(self.told.wait(), 10)
        self.told.clear()
        return self.failed[-1]

    def close(self) -> None:
        self.exchange.close()
        for sock in self.sockets.values():
            sock.close()


def run(story: Callable[..., Awaitable[None]], *listening: Listening, public: str | None = None) -> None:
    async def play() -> None:
        world = World(list(listening), public)
        try:
            await story(world)
        finally:
            world.close()

    asyncio.run(play())


class FarEnd:
    """A TCP or TLS server; what it read, and its connections."""

    def __init__(self) -> None:
        self.read = b""
        self.came = asyncio.Event()
        self.writers: list[asyncio.StreamWriter] = []
        self.gone = asyncio.Event()

    async def start(self, tls: ssl.SSLContext | None = None) -> Target:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=tls)
        port = self._server.sockets[0].getsockname()[1]
        return Target("tls" if tls else "tcp", "127.0.0.1", port)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        self.came.set()
        while data := await reader.read(65535):
            self.read += data
            self.came.set()
        self.gone.set()

    async def until(self, read: bytes) -> None:
        while self.read != read:
            self.came.clear()
            await asyncio.wait_for(self.came.wait(), 10)

    def close(self) -> None:
        self._server.close()
        for writer in self.writers:
            writer.transport.abort()


UDP = Listening("udp", "127.0.0.1", 0)


def test_datagrams_leave_by_the_socket_of_the_flow_in_their_order() -> None:
    async def story(world: World) -> None:
        far = socket.socket(type=socket.SOCK_DGRAM)
        far.bind(("127.0.0.1", 0))
        far.settimeout(5)
        flow = world.exchange.flow(Target("udp", "127.0.0.1", far.getsockname()[1]))
        assert flow is not None
        for number in range(100):
            world.exchange.send(flow, b"%d" % number)
        await asyncio.sleep(0)
        received = [far.recvfrom(100) for _ in range(100)]
        assert [data for data, _ in received] == [b"%d" % number for number in range(100)]
        assert {source for _, source in received} == {("127.0.0.1", world.addresses[1].port)}
        far.close()

    run(story, Listening("udp", "::1", 0), UDP)


def test_what_cannot_be_sent_harms_nobody() -> None:
    async def story(world: World) -> None:
        for host in ("::1", "999.1.1.1", "example.test", ""):
            world.exchange.send(Flow("udp", host, 5060, 0), b"x")
        world.exchange.send(Flow("udp", "127.0.0.1", 5060, 0), b"x" * 70_000)
        world.exchange.send(Flow("udp", "127.0.0.1", 5060, 77), b"x")
        assert world.sockets[0].dropped == 5
        assert world.exchange.flow(Target("udp", "::1", 5060)) is None
        assert world.exchange.flow(Target("tls", "127.0.0.1", 5061)) is None

    run(story, UDP)


def test_where_we_are_for_a_far_end() -> None:
    async def story(world: World) -> None:
        ports = [each.port for each in world.addresses]
        sent_by = world.exchange.sent_by
        pbx, trunk, six = (
            Flow("udp", "127.0.0.2", 5060, 0),
            Flow("udp", "127.0.0.1", 5060, 0),
            Flow("udp", "::1", 5060, 1),
        )
        assert sent_by(pbx) == f"127.0.0.1:{ports[0]}"
        assert sent_by(trunk) == f"203.0.113.10:{ports[0]}"  # a trunk
        assert sent_by(six) == f"[::1]:{ports[1]}"  # the public address is IPv4
        assert world.exchange.contact(pbx) == f"127.0.0.1:{ports[0]}"
        assert world.exchange.contact(Flow("tcp", "127.0.0.2", 5060, 1000)) == "127.0.0.1:5070;transport=tcp"
        assert sent_by(Flow("udp", "8.8.8.8", 5060, 0)) == f"203.0.113.10:{ports[0]}"  # unknown, and not of our network
        assert sent_by(Flow("udp", "10.9.9.9", 5060, 0)) == f"127.0.0.1:{ports[0]}"

    listening = (UDP, Listening("udp", "::1", 0), Listening("tcp", "127.0.0.1", 5070))
    run(story, *listening, public="203.0.113.10")


def test_a_wildcard_stands_for_the_address_that_was_called_or_the_nearest() -> None:
    async def story(world: World) -> None:
        port = world.addresses[0].port
        assert world.exchange.sent_by(Flow("udp", "127.0.0.9", 5060, 0)) == f"127.0.0.1:{port}"
        far = socket.socket(type=socket.SOCK_DGRAM)
        far.bind(("127.0.0.2", 0))
        far.settimeout(5)
        far.connect(("127.0.0.77", port))  # receives from nowhere else
        far.send(b"INVITE")
        await asyncio.wait_for(world.front.came.wait(), 5)
        flow = Flow("udp", "127.0.0.2", far.getsockname()[1], 0)
        assert world.exchange.sent_by(flow) == f"127.0.0.77:{port}"
        world.exchange.send(flow, b"hello")
        await asyncio.sleep(0)
        assert far.recv(100) == b"hello"
        far.close()

    run(story, Listening("udp", "0.0.0.0", 0))


def test_of_several_sockets_the_nearest_is_taken() -> None:
    async def story(world: World) -> None:
        flow = world.exchange.flow(Target("udp", "127.0.0.9", 5060))
        assert flow is not None
        assert flow.number == 1
        assert nearest("127.0.0.9") == "127.0.0.1"

    run(story, Listening("udp", "127.0.0.5", 0), UDP)


def test_a_connection_is_opened_once_and_what_waits_is_sent() -> None:
    async def story(world: World) -> None:
        far = FarEnd()
        target = await far.start()
        flow, again = world.exchange.flow(target), world.exchange.flow(target)
        assert flow == again
        assert flow is not None
        assert flow.number >= 1000
        world.exchange.send(flow, b"one ")
        world.exchange.send(flow, b"two")
        await far.until(b"one two")
        assert world.exchange.flow(target) == flow
        assert world.exchange.transport_of(flow.number) == "tcp"
        assert world.exchange.sent_by(flow) == "127.0.0.1:5070"
        far.writers[0].write(OK[:20])
        far.writers[0].write(OK[20:])
        await asyncio.wait_for(world.front.came.wait(), 5)
        assert world.front.heads == [(b"SIP/2.0 200 OK", b"hi", flow.number)]
        far.writers[0].close()
        assert await world.until_told() == flow
        fresh = world.exchange.flow(target)
        assert fresh is not None
        assert fresh.number != flow.number
        world.exchange.send(flow, b"lost")
        assert await world.until_told() == flow
        far.close()

    run(story, Listening("tcp", "127.0.0.1", 5070))


def test_a_refused_connection_is_told_and_forgotten() -> None:
    async def story(world: World) -> None:
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            target = Target("tcp", "127.0.0.1", sock.getsockname()[1])
        flow = world.exchange.flow(target)
        assert flow is not None
        world.exchange.send(flow, b"x")
        assert world.failed == []  # never from within
        assert await world.until_told() == flow
        assert world.exchange.flow(target) != flow

    run(story)


def test_a_silent_far_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_trial, "CONNECT_TIMEOUT", 0.2)

    async def story(world: World) -> None:
        world.exchange.take_tls(client_context(None, None, None))
        with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts in the kernel, and never says a word of TLS
            flow = world.exchange.flow(Target("tls", "127.0.0.1", silent.getsockname()[1], "far.test"))
            assert await world.until_told() == flow

    run(story)


@dataclass
class Accepted:
    """A connection that a peer has opened to us."""

    kind: Literal["tcp", "tls"] = "tcp"
    number: int = 2000
    far: tuple[str, int] = ("127.0.0.2", 40_000)
    is_closing: bool = False
    names: tuple[str, ...] = ()
    sent: bytes = b""

    def certificate(self) -> dict[str, Any]:
        return {"subjectAltName": tuple(("DNS", name) for name in self.names)}

    def send(self, data: bytes) -> None:
        self.sent += data


def test_a_connection_of_a_peer_is_used_for_calls_to_the_address_that_it_names() -> None:
    async def story(world: World) -> None:
        exchange, target = world.exchange, Target("tcp", "127.0.0.2", 5060)
        connection: Any = Accepted()
        exchange.opened(connection)
        exchange.called_from(2000, 5062)
        exchange.called_from(2000, 5060)  # the last word counts
        assert exchange.flow(target) == Flow("tcp", "127.0.0.2", 40_000, 2000)
        exchange.send(Flow("tcp", "127.0.0.2", 40_000, 2000), b"hello")
        assert connection.sent == b"hello"
        for other in (
            target._replace(port=5062), target._replace(host="127.0.0.3"), target._replace(transport="tls"),
        ):  # fmt: skip
            flow = exchange.flow(other)
            assert flow is None or flow.number != 2000
        connection.is_closing = True
        assert getattr(exchange.flow(target), "number", 0) != 2000
        exchange.closed(connection)
        assert Flow("tcp", "127.0.0.2", 40_000, 2000) in world.failed
        exchange.called_from(2000, 5060)  # it is gone

    run(story, UDP)


def test_a_newer_connection_of_a_peer_replaces_the_older() -> None:
    async def story(world: World) -> None:
        old: Any = Accepted()
        new: Any = Accepted(number=2001, far=("127.0.0.2", 40_001))
        for each in (old, new):
            world.exchange.opened(each)
            world.exchange.called_from(each.number, 5060)
        target = Target("tcp", "127.0.0.2", 5060)
        assert world.exchange.flow(target) == Flow("tcp", "127.0.0.2", 40_001, 2001)
        world.exchange.closed(old)
        assert world.exchange.flow(target) == Flow("tcp", "127.0.0.2", 40_001, 2001)

    run(story, UDP)


@pytest.mark.parametrize(("names", "reused"), [(("pbx.test",), True), (("other.test",), False), ((), False)])
def test_over_tls_it_must_have_shown_whose_it_is(names: tuple[str, ...], reused: bool) -> None:
    async def story(world: World) -> None:
        connection: Any = Accepted("tls", names=names)
        world.exchange.opened(connection)
        world.exchange.called_from(2000, 5061)
        flow = world.exchange.flow(Target("tls", "127.0.0.2", 5061, "pbx.test"))
        assert (flow is not None) == reused

    run(story, UDP)


def test_which_flows_lead_to_one_peer() -> None:
    async def story(world: World) -> None:
        same = world.exchange.same_peer
        trunk, pbx = Flow("udp", "127.0.0.1", 5060, 0), Flow("udp", "127.0.0.2", 5060, 0)
        assert same(trunk, Flow("tcp", "10.7.7.7", 99, 1001))
        assert not same(trunk, pbx)
        assert not same(Flow("udp", "192.0.2.1", 5060, 0), Flow("udp", "192.0.2.1", 5060, 0))  # nobody's

    run(story, UDP)


def test_too_much_for_a_connection_that_does_not_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_trial, "_QUEUED", 3)

    async def story(world: World) -> None:
        far = FarEnd()
        flow = world.exchange.flow(await far.start())
        assert flow is not None
        for _ in range(4):
            world.exchange.send(flow, b"x")
        assert await world.until_told() == flow
        far.close()

    run(story)


@pytest.mark.parametrize(
    ("names", "name", "known", "expected"),
    [
        (["far.test"], "far.test", True, True),
        (["far.test"], "FAR.test.", True, True),
        (["other.test"], "far.test", True, False),
        (["*.test"], "far.test", True, False),
        (["127.0.0.1"], "", True, True),
        (["far.test"], "", True, False),
        (["far.test"], "far.test", False, False),
    ],
)
def test_the_certificate_must_be_of_the_peer(
    tmp_path: Path, names: list[str], name: str, known: bool, expected: bool
) -> None:
    write_self_signed(tmp_path / "crt", tmp_path / "key", names, 2, NOW)

    async def story(world: World) -> None:
        world.exchange.take_tls(client_context(None, None, tmp_path / "crt" if known else None))
        far = FarEnd()
        target = await far.start(server_context(tmp_path / "crt", tmp_path / "key", None, NOW))
        flow = world.exchange.flow(target._replace(name=name))
        assert flow is not None
        world.exchange.send(flow, b"hello")
        if expected:
            await far.until(b"hello")
            assert world.failed == []
        else:
            assert await world.until_told() == flow
            assert far.read == b""
        far.close()

    run(story)


CERTIFICATES: list[tuple[dict[str, Any], str, bool]] = [
    ({"subjectAltName": (("URI", "sip:a.test"), ("DNS", "b.test"))}, "a.test", True),
    ({"subjectAltName": (("URI", "sip:a.test"), ("DNS", "b.test"))}, "b.test", False),  # RFC 5922 7.1
    ({"subjectAltName": (("URI", "sip:user@a.test"), ("DNS", "b.test"))}, "b.test", True),
    ({"subjectAltName": (("URI", "https://a.test"), ("DNS", "b.test"))}, "b.test", True),
    ({"subject": ((("commonName", "a.test"),),)}, "a.test", True),
    ({"subject": ((("commonName", "a.test"),),), "subjectAltName": (("DNS", "b.test"),)}, "a.test", False),
    ({"subjectAltName": (("IP Address", "127.0.0.1"),)}, "", True),
    ({"subjectAltName": (("IP Address", "not one"),)}, "", False),
    ({}, "a.test", False),
    ({}, "", False),
]


@pytest.mark.parametrize(("certificate", "name", "expected"), CERTIFICATES)
def test_whose_a_certificate_is(certificate: dict[str, Any], name: str, expected: bool) -> None:
    assert is_of(certificate, name, "127.0.0.1") == expected


def test_files_of_a_client_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "bad").write_text("no certificate")
    for files in (
        (None, None, tmp_path / "none"),
        (None, None, tmp_path / "bad"),
        (tmp_path / "bad", tmp_path / "bad", None),
    ):
        with pytest.raises(CertificateFault, match=r"bad|none"):
            client_context(*files)


def test_what_is_called_at_is_a_source_by_its_very_port_after_all_others() -> None:
    one = Peer("one", "pbx", "relay", ("10.0.0.1",), PL, sources=("10.0.0.9",))
    two = Peer("two", "pbx", "relay", ("10.0.0.2",), PL, sources=("10.0.0.1:5070",))
    at = {
        "one": [Target("udp", "10.0.0.1", 5060), Target("udp", "10.0.0.1", 5070)],
        "two": [Target("udp", "::1", 5062)],
    }
    find = Sources([one, two], {}, at.__getitem__).find
    assert find("10.0.0.1", 5060) is one
    assert find("10.0.0.1", 5070) is two  # who claims it by name
    assert find("10.0.0.1", 5080) is None
    assert find("::1", 5062) is two
    assert find("10.0.0.2", 5060) is None
