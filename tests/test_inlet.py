"""The door of the relay: which messages reach the core, in what form, by which way they are answered; and its faults."""

from dataclasses import replace
from typing import Any

import pytest
from conftest import Routed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sip_messages import code, invite, request

from sipacr.calls.message import Message
from sipacr.calls.network import Flow
from sipacr.calls.timers import Timers
from sipacr.routing.directory import Peer
from sipacr.sip.inlet import Inlet, Relayed
from sipacr.sip.message import Parser

PLAN: Any = object()
RESPONSE = (
    b"SIP/2.0 180 Ringing\r\n"
    b"Via: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKa;rport=5060\r\n"
    b"From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=2\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
)


class Core:
    """Stands for the calls."""

    marker = "rMARK-"

    def __init__(self) -> None:
        self.idle = True
        self.came: list[tuple[str, Message, Flow]] = []
        self.known = False
        self.ours = True
        self.broken = False

    def _take(self, what: str, message: Message, flow: Flow) -> bool:
        if self.broken:
            raise ArithmeticError("on purpose")
        self.came.append((what, message, flow))
        return self.ours

    def knows(self, message: Message, flow: Flow) -> bool:
        return self.known

    def invite(self, message: Message, flow: Flow, peer: Peer, plan: Any) -> None:
        assert plan is PLAN
        self.idle = False
        self._take("invite", message, flow)

    def request(self, message: Message, flow: Flow, peer: Peer) -> bool:
        return self._take("request", message, flow)

    def ack(self, message: Message, flow: Flow) -> bool:
        return self._take("ack", message, flow)

    def response(self, message: Message, flow: Flow) -> bool:
        return self._take("response", message, flow)

    def failed(self, flow: Flow) -> None:
        if self.broken:
            raise ArithmeticError("on purpose")


class World:
    """A front with a relay whose core is a stub; a trunk with `mode: relay`."""

    def __init__(self, routed: Routed, parser: Parser, trunk: Peer) -> None:
        self.core = Core()
        self.timers = Timers()
        self.now = 1.0
        self.transport = "udp"
        self.heard_of: list[tuple[int, int]] = []  # sockets and connections, with the port in Via
        self.front = routed.front
        self.inlet = Inlet(self.core, self.timers, parser, self, lambda: self.now, lambda: None)  # type: ignore[arg-type]
        self.front.relay = self.inlet
        self.peer = replace(trunk, mode="relay")
        routed.verdict = lambda _: Relayed(PLAN)  # type: ignore[assignment, return-value]
        self.routed = routed

    def transport_of(self, number: int) -> Any:
        return self.transport

    def heard(self, number: int) -> None:
        self.heard_of.append((number, 0))

    def called_from(self, number: int, port: int) -> None:
        self.heard_of.append((number, port))

    def live(self) -> None:
        self.inlet.idle = self.core.idle = False

    def send(self, data: bytes, port: int = 5070) -> int:
        """The code of an answer that is not the core's; 0 for none."""
        reply = self.front.datagram(data, self.peer, b"127.0.0.1", port, 3)
        return code(reply.data) if reply else 0

    @property
    def said(self) -> list[str]:
        return [what for what, _, _ in self.core.came]


@pytest.fixture
def world(routed: Routed, parser: Parser, trunk: Peer) -> World:
    return World(routed, parser, trunk)


def test_an_invite_goes_to_the_core_once_and_its_repeats_to_what_knows_them(world: World) -> None:
    assert world.send(invite()) == 0
    assert world.said == ["invite"]
    assert not world.inlet.idle
    world.core.known = True
    assert world.send(invite()) == 0
    assert world.said == ["invite"]
    assert len(world.routed.requests) == 1
    other = invite(("branch=z9hG4bK", "branch=z9hG4bKother"))
    assert world.send(other) == 482


def test_the_body_and_a_stamped_via(world: World) -> None:
    data = invite((";branch=", ";rport;branch="), body="body")
    assert world.send(data + b"EXTRA", port=6000) == 0
    _, message, flow = world.core.came[0]
    assert message.body == b"body"
    assert ";rport=6000;" in (message.get("Via") or "")
    assert "received=127.0.0.1" in (message.get("Via") or "")
    assert flow == Flow("udp", "127.0.0.1", 6000, 3)


@pytest.mark.parametrize(
    ("symmetric", "transport", "port"), [(False, "udp", 5077), (True, "udp", 6000), (False, "tcp", 6000)]
)
def test_where_answers_go(world: World, symmetric: bool, transport: str, port: int) -> None:
    world.peer = replace(world.peer, symmetric=symmetric)
    world.transport = transport
    assert world.send(invite(("127.0.0.1:5070", "127.0.0.1:5077")), port=6000) == 0
    assert world.core.came[0][2].port == port
    assert world.heard_of == [(3, 0 if transport == "udp" else 5077)]


def test_what_is_malformed_is_answered_before_the_core(world: World) -> None:
    world.live()
    for bad in (
        invite(("CSeq: 1 INVITE", "CSeq: 1 BYE")),
        invite(("From:", "Fram:")),
        request("BYE", ("Call-ID:", "X:")),
    ):
        assert world.send(bad) == 400
    assert world.said == []


def test_what_is_none_of_the_cores_is_answered_as_ever(world: World) -> None:
    world.live()
    world.core.ours = False
    assert [world.send(request(method)) for method in ("BYE", "CANCEL", "OPTIONS")] == [481, 481, 200]
    assert world.said == ["request"] * 3


def test_while_no_call_is_relayed_nothing_is_asked(world: World) -> None:
    for data in (request("BYE"), request("ACK", ("To:", "To: <sip:a@b>;tag=rMARK-1\r\nX:")), RESPONSE):
        world.send(data)
    assert world.said == []


ACKS = [
    (("Call-ID:", "Call-ID:"), True),
    ((";tag=rMARK-9", ";tag=0123456789abcdef"), False),  # of a 302
    (("CSeq: 1 ACK", "CSeq: 1 INVITE"), False),
    (("Via:", "Vie:"), False),
]


@pytest.mark.parametrize(("change", "expected"), ACKS)
def test_acks(world: World, change: tuple[str, str], expected: bool) -> None:
    world.live()
    data = request("ACK").replace(b"\r\nCall-ID:", b";tag=rMARK-9\r\nCall-ID:", 1)
    assert b"tag=rMARK-9" in data
    assert world.send(data.replace(change[0].encode(), change[1].encode())) == 0
    assert world.said == (["ack"] if expected else [])


RESPONSES = [
    ((b"", b""), True),
    ((b"180 Ringing", b"699 So"), True),
    ((b"180 Ringing", b"700 So"), False),
    ((b"180 Ringing", b"099 So"), False),
    ((b"180 Ringing", b"18 So"), False),
    ((b"180 Ringing", b"180 "), True),
    ((b"CSeq: 1 INVITE", b"CSeq: 1 ACK"), False),
    ((b"CSeq: 1 INVITE", b"CSeq: INVITE"), False),
    ((b"CSeq: 1 INVITE\r\n", b""), False),
    ((b";tag=1", b""), False),
    ((b"To: <sip:c@d>;tag=2\r\n", b""), False),
    ((b"Call-ID: x\r\n", b""), False),
    ((b"From:", b"Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKb\r\nFrom:"), False),
    ((b"Via: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKa;rport=5060\r\n", b""), False),
    ((b"Call-ID: x", b"Call-ID: x\r\nCall-ID: y"), False),
    ((b"Content-Length: 0", b"Content-Length: 9"), False),
    ((b"Call-ID: x", b"Call-ID: x\r\nWarning: !!!\r\nContact: <sip:a@b>"), True),
    ((b"Call-ID: x", b"Call-ID: x\r\nContact: <<<"), False),
    ((b"From: <sip:a@b>", b"From: <sip:a@b"), False),
]


@pytest.mark.parametrize(("change", "expected"), RESPONSES)
def test_responses(world: World, change: tuple[bytes, bytes], expected: bool) -> None:
    world.live()
    assert world.send(RESPONSE.replace(*change) if change[0] else RESPONSE) == 0
    assert world.said == (["response"] if expected else [])


def test_a_fault_of_ours_is_told_and_answered_and_the_next_call_goes_on(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.core.broken = True
    assert world.send(invite()) == 500
    assert "our fault" in caplog.text
    world.live()
    assert world.send(RESPONSE) == 0
    world.inlet.failed(Flow("tcp", "127.0.0.1", 1, 2))
    assert world.inlet.counts["errors"] == 3
    world.core.broken = False
    assert world.send(invite(("call-1@", "call-2@"))) == 0
    assert world.said == ["invite"]


def test_a_timer_that_fails_does_not_stop_the_others(world: World) -> None:
    done: list[int] = []

    def fail() -> None:
        raise ArithmeticError("on purpose")

    world.timers.run(1.0)
    world.timers.after(1.0, fail)
    world.timers.after(2.0, lambda: done.append(1))
    world.now = 5.0
    world.inlet.tick()
    assert done == [1]
    assert world.inlet.counts["errors"] == 1


def _known(method: str) -> bytes:
    return request(method, ("@127.0.0.1:5060>", "@127.0.0.1:5060>;tag=rMARK-1"))


_LINES = [
    b"Via: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKb", b"Via: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK", b"CSeq: 1 ACK",
    b"From: <sip:x@y>", b"From: <sip:x@y>;tag=", b"To: <sip:x@y>;tag=", b"To:", b"Call-ID: ", b"i: other", b" folded",
    b"Content-Length: 5", b"l: 0", b"Content-Length: x", b"Max-Forwards: 256", b"Max-Forwards: -1", b"no colon",
    b": no name", b"Content-Type: a/b", b"Contact: <", b"CSeq: 2147483648 BYE", b"CSeq: 1  BYE", b"X: \r y", b"X: \n y",
    b"Require: nobody-knows", b"To: <sip:x@y>;tag=rMARK-2;tag=3", b"Via: SIP/2.0/UDP a, SIP/2.0/UDP b;branch=z9hG4bK",
]  # fmt: skip
_STARTS = [
    b"SIP/2.0 700 x", b"SIP/2.0 200", b"SIP/2.0 099 x", b"SIP/2.1 200 OK", b"SIP/2.0 200 ", b"SIP/2.0  200 OK",
    b"BYE sip:a@b?x=y SIP/2.0", b"BYE http://a SIP/2.0", b"ACK sip:a@b SIP/3.0", b"BYE sip:a b SIP/2.0", b"BYE",
    b"ACK sip: SIP/2.0", b"BYE tel:+1 SIP/2.0", b"bye sip:a@b SIP/2.0", b"BYE  sip:a@b SIP/2.0", b"CANCEL sip:a@b SIP/2.0",
]  # fmt: skip


@given(data=st.data())
@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_the_short_cut_takes_nothing_that_the_long_way_would_not(world: World, data: st.DataObject) -> None:
    start = data.draw(st.sampled_from([RESPONSE, _known("ACK"), _known("BYE"), _known("INFO")]))
    lines = start[:-4].split(b"\r\n")
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(1, len(lines) - 1))
        put = [data.draw(st.sampled_from(_LINES))] if data.draw(st.booleans()) else []
        lines[at : at + data.draw(st.integers(0, 1))] = put
        if len(lines) < 2:
            return
    if data.draw(st.integers(0, 4)) == 0:
        lines[0] = data.draw(st.sampled_from(_STARTS))
    sent = b"\r\n".join(lines) + data.draw(st.sampled_from([b"\r\n\r\n", b"\r\n\r\nbody", b"\r\n", b"\r\n\n"]))
    seen: list[object] = []
    usual = Inlet.usual
    for short in (True, False):
        world.core.came.clear()
        world.live()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Inlet, "usual", usual if short else lambda *_: False)
            code = world.send(sent)
        seen.append((code, [(what, repr(m), m.headers, m.body, m.uri, flow) for what, m, flow in world.core.came]))
    assert seen[0] == seen[1]


def test_what_nearly_all_send_takes_the_short_cut(world: World) -> None:
    world.live()
    for data in (RESPONSE, _known("ACK"), _known("BYE")):
        assert world.inlet.usual(data, world.peer, b"127.0.0.1", 5070, 3)
    assert world.said == ["response", "ack", "request"]
