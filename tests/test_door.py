"""Who is let in: limits of peers and of their addresses, overload; what is never refused; the 503 itself."""

from dataclasses import replace

import pytest
from sip_messages import code, header, invite, request

from sipacr.routing.directory import Directory, Peer
from sipacr.routing.numbers import NumberPlan
from sipacr.sip.answer import Reply
from sipacr.sip.door import Door
from sipacr.sip.scan import Scanner, datagram

PL = NumberPlan.of("PL", ())
PEER = Peer("trunk-a", "trunk", "relay", ("127.0.0.1:5070",), PL)
IN = Reply(b"in", 0)


class Front:
    """Lets all in."""

    scan = refuse = None

    def datagram(self, data: bytes, peer: Peer, host: bytes, port: int, number: int) -> Reply:
        return IN

    def request(self, head: object, peer: Peer, host: bytes, port: int, number: int) -> Reply:
        return IN


class Core:
    """Stands for the calls."""

    marker = b"rMARK-"

    def __init__(self) -> None:
        self.full = False
        self.known: set[tuple[str, str]] = set()

    def is_full(self, peer: Peer) -> bool:
        return self.full

    def knows_invite(self, via: str, host: str) -> bool:
        return (via, host) in self.known


class World:
    def __init__(self, **settings: object) -> None:
        self.now = 100.0
        self.said: list[str] = []
        self.core = Core()
        self.door = Door(Front(), lambda cause, text: self.said.append(text), lambda: self.now)  # type: ignore[arg-type]
        self.door.core = self.core
        self.peer = replace(PEER, **settings)  # type: ignore[arg-type]
        self.door.take(Directory({"trunk-a": self.peer}, PL, "Europe/Warsaw", emergency=frozenset({"112", "999"})))

    def send(self, data: bytes, host: bytes = b"127.0.0.1", port: int = 5070) -> int:
        """The code of the refusal, 0 if it is let in."""
        reply = self.door.datagram(data, self.peer, host, port)
        assert reply is not None
        return 0 if reply is IN else code(reply.data)

    def streamed(self, data: bytes) -> int:
        reply = self.door.request(datagram(Scanner(), data), self.peer, b"127.0.0.1", 5070, 1000)
        assert reply is not None
        return 0 if reply is IN else code(reply.data)

    def overload(self, seconds: float = 1.0) -> None:
        """Messages have waited long for so long."""
        self.door.waited(0.3)
        self.now += seconds
        self.door.waited(0.31)


def number(count: int) -> bytes:
    """An INVITE of another call."""
    return invite(("z9hG4bK-1", f"z9hG4bK-{count}"), ("call-1@", f"call-{count}@"))


def test_without_limits_all_are_let_in() -> None:
    world = World()
    assert [world.send(number(count)) for count in range(100)] == [0] * 100


def test_a_peer_has_its_rate() -> None:
    world = World(max_rate=10.0)
    assert [world.send(number(count)) for count in range(12)] == [0] * 10 + [503] * 2
    world.now += 0.15
    assert [world.streamed(number(20)), world.streamed(number(21))] == [0, 503]
    assert world.door.counts == {("max_rate", "trunk-a"): 3}
    assert "max_rate" in world.said[0]


def test_each_address_of_a_peer_has_its_rate() -> None:
    world = World(max_rate_each=1.0)
    hosts = [b"10.0.0.%d" % (count % 3) for count in range(6)]
    assert [world.send(number(count), host) for count, host in enumerate(hosts)] == [0] * 3 + [503] * 3


def test_one_address_does_not_use_up_the_rate_of_all() -> None:
    world = World(max_rate_each=1.0, max_rate=3.0)
    assert [world.send(number(count), b"10.0.0.1") for count in range(10)].count(0) == 1
    assert world.send(number(20), b"10.0.0.2") == 0


def test_calls_at_once() -> None:
    world = World(max_calls=5)
    assert world.send(number(1)) == 0
    world.core.full = True
    assert world.send(number(2)) == 503
    other = World(max_calls=5, mode="redirect")  # its calls are gone once they are redirected
    other.core.full = True
    assert other.send(number(1)) == 0


def test_overload_begins_when_waiting_lasts_and_ends_when_it_ends() -> None:
    world = World()
    world.door.waited(0.3)
    assert world.send(number(1)) == 0  # a hiccup
    world.now += 0.1
    world.door.waited(0.25)
    assert world.send(number(2)) == 0
    world.now += 0.15
    world.door.waited(0.2)
    assert world.send(number(3)) == 503
    world.door.waited(0.04)
    assert world.send(number(4)) == 0


def test_after_an_overload_waiting_is_not_put_up_with() -> None:
    world = World()
    world.overload()
    world.door.waited(0.0)
    world.now += 5
    world.door.waited(0.06)
    assert world.send(number(1)) == 503
    world.door.waited(0.0)
    world.now += 11  # forgotten
    world.door.waited(0.06)
    assert world.send(number(2)) == 0


def test_a_late_loop_is_an_overload_too() -> None:
    world = World()
    for late, expected in ((0.3, 0), (0.3, 0), (0.3, 0), (0.3, 503), (0.2, 0)):
        world.door.late(late)
        assert world.streamed(number(1)) == expected
        world.now += 0.1


def test_an_overload_of_a_socket_that_falls_silent_is_over() -> None:
    world = World()
    world.overload()
    assert world.streamed(number(1)) == 503
    world.door.late(0.0)  # within this time the socket was heard
    assert world.streamed(number(2)) == 503
    world.door.late(0.0)
    assert world.streamed(number(3)) == 0


@pytest.mark.parametrize(
    "data",
    [
        request("BYE"),
        request("CANCEL"),
        request("OPTIONS"),
        request("ACK"),
        b"SIP/2.0 200 OK\r\n\r\n",
        invite(("To: <sip:+48221112233@127.0.0.1:5060>", "To: <sip:+48221112233@127.0.0.1:5060>;tag=rMARK-1")),
        invite(("To: <sip:+48221112233@127.0.0.1:5060>", "To: <sip:+48221112233@127.0.0.1:5060>;tag=other")),
        invite(("INVITE sip:+48221112233@", "INVITE sip:112@")),
        invite(("INVITE sip:+48221112233@127.0.0.1:5060", "INVITE tel:999")),
        invite(("Call-ID:", "X:")),
        invite(("Via:", "X:")),
        b"INVITE \r\n",
        b"INVITE",
        b"",
    ],
)
def test_what_is_never_refused_here(data: bytes) -> None:
    world = World()
    world.overload()
    assert world.send(number(1)) == 503
    assert world.send(data) == 0


def test_the_caller_does_not_become_an_emergency_by_his_number() -> None:
    world = World()
    world.overload()
    assert world.send(invite(("<sip:+48601000111@", "<sip:+48112@"))) == 503
    assert world.send(invite(body="sip:112@x ")) == 503


def test_a_repeat_of_what_was_let_in_is_let_in() -> None:
    world = World()
    via = header(number(7), "Via")[0]
    world.core.known.add((via, "127.0.0.1"))
    world.overload()
    assert world.send(number(7)) == 0
    assert world.send(number(7), b"127.0.0.2") == 503
    assert world.send(number(8)) == 503


def refusal(data: bytes, host: bytes = b"10.9.9.9", port: int = 6000) -> Reply:
    world = World()
    world.overload()
    reply = world.door.datagram(data, world.peer, host, port)
    assert reply is not None
    assert code(reply.data) == 503
    return reply


def test_the_answer() -> None:
    two = invite(("Max-Forwards", "v: SIP/2.0/TCP 10.1.1.1;branch=z9hG4bKb\r\nMax-Forwards"))
    reply = refusal(two, port=5070)
    assert reply.port == 5070
    vias = header(reply.data, "Via")
    assert "received=10.9.9.9" in vias[0]
    assert vias[1] == "SIP/2.0/TCP 10.1.1.1;branch=z9hG4bKb"
    for name in ("From", "Call-ID", "CSeq"):
        assert header(reply.data, name) == header(two, name)
    (to,) = header(reply.data, "To")
    assert to.startswith(header(two, "To")[0] + ";tag=")
    assert header(reply.data, "Retry-After") == ["2"]
    assert reply.data.endswith(b"\r\nContent-Length: 0\r\n\r\n")
    assert refusal(two, port=5070).data == reply.data  # a repeat is answered alike


def test_the_port_of_the_answer() -> None:
    assert refusal(invite(("127.0.0.1:5070;", "127.0.0.1:5077;"))).port == 5077
    assert refusal(invite((";branch=", ";rport;branch="))).port == 6000


def test_compact_and_folded_lines_and_any_case() -> None:
    data = invite(("Via:", "v:"), ("From:", "f :"), ("To:", "TO:\n "), ("Call-ID:", "i:"), ("CSeq:", "cseq:"))
    reply = refusal(data)
    assert reply.data.count(b"\r\n") == 10
    assert b"\r\nTO:\r\n  <sip:+48221112233@127.0.0.1:5060>;tag=" in reply.data
