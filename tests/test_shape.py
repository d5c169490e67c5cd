"""The shapes of INVITEs: a head like those before is answered as the usual way answers it, whatever stands in it."""

from collections.abc import Iterator

import pytest
from conftest import Routed
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from sip_messages import code, header, invite

from sipacr.routing.directory import Peer
from sipacr.sip.answer import Verdict, status
from sipacr.sip.message import Parser
from sipacr.sip.recent import Recent

SDP = "v=0\r\nm=audio 6000 RTP/AVP 8\r\n"
PAI = 'P-Asserted-Identity: "Jan K" <sip:+48602000222@carrier>\n'

# Heads as trunks write them. In each, what differs from call to call stands as in `sip_messages.INVITE`.
BASES = [
    invite(),
    invite(body=SDP),
    invite(("Contact:", PAI + "User-Agent: trunk 1.0\nDate: Mon, 23 Nov 2026 02:45:30 GMT\nContact:"), body=SDP),
    invite(("5070;branch=z9hG4bK-1", "5070;rport;branch=z9hG4bK-1"), ('"Jan" <sip', "<sip")),
    invite(("branch=z9hG4bK-1", "branch=z9hG4bK-1;rport"), ('"Jan" <sip', "Jan <sip")),
    invite(("127.0.0.1:5070;branch", "10.0.0.1;branch"), ("Content-Length: 0\n", "")),
    invite(("Content-Length: 0\n", "Content-Type: application/sdp\n")) + SDP.encode(),
    invite(("Content-Length: 0", "Content-Type: application/sdp\nContent-Length:    29")) + SDP.encode(),
    invite(("To: <sip", 'To: "Shop" <sip'), ("Contact: <sip:+48601000111@", "m: <sip:+48601000111@")),
]
# What stands in a spot of some base.
SPOTS = [
    b"+48221112233", b"+48601000111", b"+48602000222", b"z9hG4bK-1", b"-1", b"Jan", b"Jan K", b"Shop", b"from-1",
    b"call-1@127.0.0.1", b"call-1", b"1 INVITE", b": 1 ", b"70", b": 0\r\n", b": 29\r\n", b":    29\r\n", b"29", b"trunk 1.0", b" trunk 1.0", b"23 Nov", b"v=0", b"127.0.0.1", b"5070",
]  # fmt: skip
STRANGE = [
    b"", b" ", b"\t", b"\0", b"\r", b"\n", b"\r\n", b"\r\n ", b"\r\n\r\n", b'"', b"\\", b'\\"', b"<", b">", b"@", b";", b",", b"?", b":",
    b"%40", b"%00", b"%", b"a%4", b"a%40b", b"\xff", b"\xc3\xa9", b"a;b=c", b"a:pw", b"sip:", b"~", b"!", b"'", b"`", b"=", b"[", b"&=+$,;?/",
    b"anonymous", b"Anonymous", b"unavailable", b"*", b".", b"-", b"+", b"_", b"0", b"00", b"007", b"07", b"1", b"99", b"100", b"255", b"256", b"-1",
    b"2147483647", b"2147483648", b"4294967296", b"999999999", b"1000000000", b"0" * 9, b"0" * 10, b"9" * 30, b"99999", b"100000",
    b"z9hG4bK", b"Z9HG4BK", b"z9hG4bKx", b"z9hg4bk-2", b"z9hG4bK-2", b": 2 ", b":2 ", b": 2  ", b"2 INVITE", b"12 INVITE", b"x2 INVITE", b"1 invite",
    b": 1\r\n", b": 28\r\n", b": 30\r\n", b":29\r\n", b": 029\r\n", b":     9\r\n", b":\t29\r\n", b":" + b" " * 9 + b"29\r\n", b"a" * 63, b"a" * 64, b"a" * 65, b"a" * 128, b"a" * 129, b"a" * 256, b"a" * 257, b"\xc5\x81",
    b"x\r\nPrivacy: id", b"x\r\nRequire: foo", b"x\r\nVia: SIP/2.0/UDP h", b"x\r\nX-Campaign: summer", b"x\r\nTo: <sip:a@b>", b"x;tag=y", b"127.0.0.1:5060",
]  # fmt: skip
usual = st.text("abcXYZ0123456789+*_.-", min_size=1, max_size=20).map(str.encode)
printable = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12).map(str.encode)
piece = st.one_of(usual, st.sampled_from(STRANGE), printable, st.binary(max_size=6))
changes = st.lists(st.tuples(st.sampled_from(SPOTS), piece), min_size=1, max_size=4)
cuts = st.lists(st.tuples(st.integers(0, 700), st.integers(0, 8), piece), max_size=1)


def changed(base: bytes, spots: list[tuple[bytes, bytes]], pieces: list[tuple[int, int, bytes]]) -> bytes:
    for old, new in spots:
        base = base.replace(old, new)
    for at, length, piece in pieces:
        base = base[:at] + piece + base[at + length :]
    return base


def seen(routed: Routed) -> list[object]:
    return [
        (r.caller, r.dialled, r.peer, r.anonymous, dict(r.headers), r.call_id, r.from_tag, r.cseq)
        for r in routed.requests
    ]


def unshaped(parser: Parser) -> Routed:
    """A front that never learns."""
    routed = Routed(parser)
    routed.front._shapes.wants = lambda *_: False  # type: ignore[method-assign]
    return routed


@settings(max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(BASES), st.lists(st.tuples(changes, cuts), min_size=1, max_size=3), st.booleans())
def test_a_shape_answers_as_the_usual_way(
    base: bytes, further: list[tuple[list[tuple[bytes, bytes]], list[tuple[int, int, bytes]]]], trusted: bool
) -> None:
    parser, trunk = GIVEN[0]
    peer = Peer("x", "trunk", "redirect", ("127.0.0.1",), trunk.plan, trusted=trusted)
    shaped, usual = Routed(parser), unshaped(parser)
    loosening = changed(base, [(b"trunk 1.0", b"trunk 1.1"), (b"23 Nov", b"24 Nov")], [])
    assert shaped.send(base, peer) == usual.send(base, peer)
    shaped.now = usual.now = shaped.now + 2
    assert shaped.send(loosening, peer) == usual.send(loosening, peer)
    for spots, pieces in further:
        data = changed(base, spots, pieces)
        shaped.now = usual.now = shaped.now + 2
        (shape, *_) = shaped.front._shapes.of(peer, b"127.0.0.1", 5070)
        event("fits" if shape.read(data) else "does not fit")
        assert shaped.send(data, peer) == usual.send(data, peer)
        assert seen(shaped) == seen(usual)
        assert shaped.front.counts == usual.front.counts


# Each spot with what stands around it, so that nothing but the spot becomes strange.
AROUND = [
    b"INVITE sip:(+48221112233)@", b"branch=(z9hG4bK-1)", b"z9hG4bK(-1)", b'From: "(Jan)"', b"From: (\"Jan\" )<sip:", b"<sip:(+48601000111)@127.0.0.1:5070>;tag", b"tag=(from-1)",
    b"To: <sip:(+48221112233)@", b"Call-ID: (call-1@127.0.0.1)", b"CSeq: (1) ", b"Contact: <sip:(+48601000111)@", b"Max-Forwards: (70)",
    b"Content-Length:( 29)", b"Content-Length: (29)", b'Identity: "(Jan K)"', b"<sip:(+48602000222)@", b"User-Agent:( trunk 1.0)", b"Date: (Mon)",
]  # fmt: skip


@pytest.mark.parametrize("around", AROUND, ids=bytes.decode)
def test_what_is_strange_in_one_spot_is_answered_as_the_usual_way(parser: Parser, trunk: Peer, around: bytes) -> None:
    base = BASES[2]
    before, rest = around.split(b"(")
    spot, after = rest.split(b")")
    assert before + spot + after in base
    shaped, usual = Routed(parser), unshaped(parser)
    loosening = changed(base, [(b"trunk 1.0", b"trunk 1.1"), (b"23 Nov", b"24 Nov")], [])
    for data in (base, loosening):
        shaped.now = usual.now = shaped.now + 10
        assert shaped.send(data, trunk) == usual.send(data, trunk)
    shaped.front._shapes.wants = lambda *_: False  # type: ignore[method-assign]
    for strange in STRANGE:
        data = base.replace(before + spot + after, before + strange + after)
        shaped.now = usual.now = shaped.now + 10
        assert shaped.send(data, trunk) == usual.send(data, trunk), strange
        assert seen(shaped) == seen(usual), strange


GIVEN: list[tuple[Parser, Peer]] = []


@pytest.fixture(autouse=True)
def _for_hypothesis(parser: Parser, trunk: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    GIVEN[:] = [(parser, trunk)]
    monkeypatch.setattr("sipacr.sip.front.Recent", lambda: Recent(64))  # the full size takes longer than all else


@pytest.mark.parametrize("base", BASES)
def test_the_next_invite_goes_the_shortest_way(
    routed: Routed, trunk: Peer, base: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    routed.send(base, trunk)
    monkeypatch.setattr(routed.front, "request", lambda *_: pytest.fail("not the shortest way"))
    further = changed(base, [(b"call-1", b"call-2"), (b"from-1", b"x"), (b"48601000111", b"48601000112")], [])
    answer = routed.send(further, trunk)
    assert answer is not None
    assert header(answer, "Call-ID") == ["call-2@127.0.0.1"]
    assert routed.requests[-1].call_id == "call-2@127.0.0.1"


def test_a_header_that_nobody_looks_into_may_differ(
    routed: Routed, trunk: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dated(second: int, supported: str = "timer") -> bytes:
        extra = f"Date: Mon, 23 Nov 2026 02:45:{second:02} GMT\nSupported: {supported}\nContact:"
        return invite(("Contact:", extra), ("call-1", f"call-{second}"))

    routed.send(dated(1), trunk)
    routed.now += 2
    routed.send(dated(2, "100rel"), trunk)  # PJSIP looks into Supported: it stays as it is
    usual = routed.front.request
    monkeypatch.setattr(routed.front, "request", lambda *_: pytest.fail("not the shortest way"))
    assert code(routed.send(dated(3, "100rel"), trunk)) == 302
    monkeypatch.setattr(routed.front, "request", usual)
    (shape,) = routed.front._shapes.of(trunk, b"127.0.0.1", 5070)
    assert shape.read(dated(4)) is None
    assert shape.read(dated(5, "100rel")) is not None


def test_a_reload_and_another_peer_forget_the_shapes(routed: Routed, trunk: Peer) -> None:
    def shapes(peer: Peer) -> int:
        return len(routed.front._shapes.of(peer, b"127.0.0.1", 5070))

    routed.send(invite(), trunk)
    assert shapes(trunk) == 1
    assert shapes(Peer(trunk.name, "trunk", "redirect", trunk.addresses, trunk.plan)) == 0
    routed.front.read_headers(["User-Agent"])
    assert shapes(trunk) == 0
    routed.now += 2
    routed.send(invite(), trunk)
    assert shapes(trunk) == 1
    routed.front.set_own_addresses([("127.0.0.1", 5070)])
    assert code(routed.send(invite(), trunk)) == 482


def test_a_source_has_four_shapes_and_learns_once_a_second(routed: Routed, trunk: Peer) -> None:
    def with_agent(number: int) -> bytes:
        return invite(("Contact:", "".join(f"X-{n}: x\n" for n in range(number)) + "Contact:"))

    for number in range(6):
        routed.send(with_agent(number), trunk)
        assert len(routed.front._shapes.of(trunk, b"127.0.0.1", 5070)) == 1
    for number in range(1, 6):
        routed.now += 2
        routed.send(with_agent(number), trunk)
    shapes = routed.front._shapes.of(trunk, b"127.0.0.1", 5070)
    assert [any(shape.read(with_agent(number)) for shape in shapes) for number in range(6)] == [False] * 2 + [True] * 4


def test_the_number_of_sources_is_bounded(routed: Routed, trunk: Peer) -> None:
    for port in range(1000):
        routed.now += 2
        routed.send(invite(), trunk, port=1024 + port)
    assert len(routed.front._shapes._sources) <= 256


def test_a_fault_of_ours_on_the_shortest_way_is_loud_and_costs_no_call(
    routed: Routed, trunk: Peer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first = routed.send(invite(), trunk)
    monkeypatch.setattr("sipacr.sip.front.shaped_facts", lambda *_: 1 / 0)
    assert routed.send(invite(), trunk) == first
    assert "call-1@127.0.0.1" in caplog.text
    monkeypatch.setattr(routed.front._shapes, "learn", lambda *_: 1 / 0)
    routed.now += 2
    assert routed.send(invite(body=SDP), trunk)
    assert routed.front.counts["errors"] >= 2


def test_merged_and_kept_are_as_ever(routed: Routed, trunk: Peer) -> None:
    routed.send(invite(), trunk)
    answers: Iterator[Verdict] = iter([Verdict(status(302), b"X: 1\r\n", keep=True)])
    routed.verdict = lambda request: next(answers)
    second = invite(("call-1", "call-2"))
    kept = routed.send(second, trunk)
    assert routed.send(second, trunk) == kept
    assert code(routed.send(invite(("call-1", "call-2"), ("z9hG4bK-1", "z9hG4bK-2")), trunk)) == 482
