"""The way of one request, message by message: what is answered to what, header by header."""

import csv
from pathlib import Path

import pytest
from conftest import FALLBACK, Routed
from hypothesis import given, settings
from hypothesis import strategies as st
from sip_messages import INVITE, code, header, invite, request, wire

from sipacr.routing.directory import Peer
from sipacr.routing.facts import Request
from sipacr.sip.answer import Verdict, status
from sipacr.sip.front import Front

TORTURE = Path(__file__).parent.parent.parent / "shared" / "torture"


def test_an_invite_is_redirected_with_its_own_headers_echoed(routed: Routed, trunk: Peer) -> None:
    data = routed.send(invite(), trunk)
    assert data is not None
    assert data.startswith(b"SIP/2.0 302 Moved Temporarily\r\n")
    assert data.endswith(b"Content-Length: 0\r\n\r\n")
    assert header(data, "Via") == ["SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK-1"]
    assert header(data, "From") == ['"Jan" <sip:+48601000111@127.0.0.1:5070>;tag=from-1']
    assert header(data, "Call-ID") == ["call-1@127.0.0.1"]
    assert header(data, "CSeq") == ["1 INVITE"]
    assert header(data, "Contact") == ["<sip:101@pbx.example.pl>;q=1.0"]
    to = header(data, "To")[0]
    assert to.startswith("<sip:+48221112233@127.0.0.1:5060>;tag=")
    assert len(to.rpartition("=")[2]) == 16


def test_facts_are_read_once_and_whole(routed: Routed, trunk: Peer) -> None:
    routed.send(invite(("Contact:", "X-Campaign: summer\nX-campaign: two\nContact:")), trunk)
    (facts,) = routed.requests
    assert facts.caller.e164 == "+48601000111"
    assert facts.dialled.e164 == "+48221112233"
    assert (facts.peer, facts.call_id, facts.from_tag, facts.cseq) == ("trunk-a", "call-1@127.0.0.1", "from-1", 1)
    assert facts.headers["x-campaign"] == ["summer", "two"]


# --- who calls ---------------------------------------------------------------------------------------------------

PAI = "P-Asserted-Identity: <sip:+48602000222@carrier>\n"
RPID = "Remote-Party-ID: <sip:+48603000333@carrier>;party=calling\n"


@pytest.mark.parametrize(
    ("extra", "trusted", "caller", "anonymous"),
    [
        ("", True, "+48601000111", False),
        (PAI, True, "+48602000222", False),
        (PAI, False, "+48601000111", False),
        (RPID, True, "+48603000333", False),
        (RPID + PAI, True, "+48602000222", False),
        ('P-Asserted-Identity: "A, B" <sip:anna@x>, <tel:+48604000444>\n', True, None, False),
        ("P-Asserted-Identity: <tel:+48604000444>\n", True, "+48604000444", False),
        ("P-Asserted-Identity: broken <<>\n", True, "+48601000111", False),
        ("Privacy: id\n", True, None, True),
        ("Privacy: header; User\n", False, None, True),
        ("Privacy: none\n", True, "+48601000111", False),
    ],
)
def test_the_caller(
    routed: Routed, trunk: Peer, extra: str, trusted: bool, caller: str | None, anonymous: bool
) -> None:
    peer = trunk if trusted else Peer("x", "trunk", "redirect", ("127.0.0.1",), trunk.plan)
    routed.send(invite(("Contact:", extra + "Contact:")), peer)
    (facts,) = routed.requests
    assert (facts.caller.e164, facts.anonymous) == (caller, anonymous)


@pytest.mark.parametrize(
    ("from_", "anonymous"),
    [
        ("<sip:anonymous@anonymous.invalid>", True),
        ("<sip:+48601000111@Anonymous.Invalid>", True),
        ("<sip:Unavailable@x>", True),
        ("<sip:x.example>", True),
        ('"Anonymous" <sip:+48601000111@x>', False),
    ],
)
def test_anonymous_callers(routed: Routed, trunk: Peer, from_: str, anonymous: bool) -> None:
    routed.send(invite(('"Jan" <sip:+48601000111@127.0.0.1:5070>', from_)), trunk)
    assert routed.requests[0].anonymous is anonymous


def test_a_trusted_identity_wins_over_an_anonymous_from(routed: Routed, trunk: Peer) -> None:
    routed.send(
        invite(
            ("sip:+48601000111@127.0.0.1:5070>;", "sip:anonymous@anonymous.invalid>;"), ("Contact:", PAI + "Contact:")
        ),
        trunk,
    )
    assert (routed.requests[0].caller.e164, routed.requests[0].anonymous) == ("+48602000222", False)


@pytest.mark.parametrize(
    ("where", "extra", "dialled"),
    [
        ("request-uri", "", "+48221112233"),
        ("to", "", "+48229998877"),
        ("X-Did", "X-Did: <sip:+48225556677@x>\n", "+48225556677"),
        ("X-Did", "X-Did: 225556677\n", "+48225556677"),
        ("X-Did", "", "+48221112233"),
    ],
)
def test_what_was_dialled(routed: Routed, trunk: Peer, where: str, extra: str, dialled: str) -> None:
    routed.front.read_headers(["X-Did"])
    peer = Peer("x", "trunk", "redirect", ("127.0.0.1",), trunk.plan, dialled_from=where)
    routed.send(invite(("To: <sip:+48221112233@", "To: <sip:+48229998877@"), ("Contact:", extra + "Contact:")), peer)
    assert routed.requests[0].dialled.e164 == dialled


# --- refusals ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(request("OPTIONS"), 200, id="options"),
        pytest.param(request("REGISTER"), 405, id="known, not ours"),
        pytest.param(request("MESSAGE"), 405, id="message"),
        pytest.param(request("FROBNICATE"), 501, id="unknown method"),
        pytest.param(request("BYE"), 481, id="bye without a dialog"),
        pytest.param(request("BYE", ("5060>\nCall", "5060>;tag=x\nCall")), 481, id="bye of no dialog of ours"),
        pytest.param(request("INFO", ("5060>\nCall", "5060>;tag=x\nCall")), 481, id="info in a dialog of nobody"),
        pytest.param(invite(("5060>\nCall", "5060>;tag=x\nCall")), 481, id="re-INVITE of no dialog"),
        pytest.param(request("CANCEL"), 481, id="cancel of nothing"),
        pytest.param(invite(("CSeq: 1 INVITE", "CSeq: 1 OPTIONS")), 400, id="CSeq's method differs"),
        pytest.param(request("OPTIONS", ("1 OPTIONS", "1 INVITE")), 400, id="OPTIONS with an INVITE's CSeq"),
        pytest.param(invite(("CSeq: 1 INVITE", "CSeq: -1 INVITE")), 400, id="negative CSeq"),
        pytest.param(invite(("CSeq: 1 INVITE", "CSeq: 2147483648 INVITE")), 400, id="CSeq too large"),
        pytest.param(invite(("CSeq: 1 INVITE", "CSeq: 1 invite")), 400, id="methods are case-sensitive"),
        pytest.param(invite(("branch=z9hG4bK-1", "branch=z9hG4bK")), 400, id="empty branch"),
        pytest.param(invite(("Max-Forwards: 70", "Max-Forwards: 256")), 400, id="Max-Forwards too large"),
        pytest.param(invite(("Max-Forwards: 70", "Max-Forwards: x")), 400, id="Max-Forwards no number"),
        pytest.param(invite(("Max-Forwards: 70", "Max-Forwards: 0")), 302, id="Max-Forwards 0 is not relayed"),
        pytest.param(invite(("Max-Forwards: 70\n", "")), 302, id="no Max-Forwards"),
        pytest.param(invite(("Call-ID:", "Call-ID: other\nCall-ID:")), 400, id="two Call-IDs"),
        pytest.param(invite(("From:", "f: <sip:a@b>;tag=1\nFrom:")), 400, id="two Froms, one compact"),
        pytest.param(invite(("Content-Length: 0", "Content-Length: 0\nl: 0")), 400, id="two Content-Lengths"),
        pytest.param(invite(("Content-Length: 0", "Content-Length: 10")), 400, id="body too short"),
        pytest.param(invite(("Content-Length: 0", "Content-Length: -1")), 400, id="negative length"),
        pytest.param(invite() + b"trailing noise", 302, id="what follows Content-Length is cut off"),
        pytest.param(invite(("Content-Length: 0\n", "")), 302, id="a datagram needs no Content-Length"),
        pytest.param(invite(("Content-Length: 0\n", "")) + b"v=0\r\n", 400, id="body without Content-Type"),
        pytest.param(invite(body="v=0\r\n"), 302, id="with a body"),
        pytest.param(invite(("SIP/2.0\nVia", "SIP/3.0\nVia")), 505, id="version"),
        pytest.param(invite(("INVITE sip:+48221112233@127.0.0.1:5060", "INVITE mailto:a@b")), 416, id="scheme"),
        pytest.param(invite(("INVITE sip:+48221112233@127.0.0.1:5060", "INVITE urn:service:sos")), 416, id="urn"),
        pytest.param(invite(("INVITE sip:+48221112233@127.0.0.1:5060", "INVITE tel:+48221112233")), 302, id="tel"),
        pytest.param(invite(("INVITE sip:", "INVITE sips:")), 302, id="sips"),
        pytest.param(invite(("INVITE sip:", "INVITE  sip:")), 400, id="two spaces"),
        pytest.param(invite(("5060 SIP/2.0", "5060 SIP/2.0 ")), 400, id="space behind the version"),
        pytest.param(invite(("5060 SIP/2.0", "5060?Route=x SIP/2.0")), 400, id="headers in the Request-URI"),
        pytest.param(invite(("Contact:", "Require: 100rel\nContact:")), 302, id="100rel needs nothing of a redirect"),
        pytest.param(invite(("Contact:", "Require: foo, 100rel\nrequire: bar\nContact:")), 420, id="Require"),
        pytest.param(invite(("branch=z9hG4bK-1", "branch=z9hG4bK-1\nVia: SIP/2.0/UDP 192.0.2.5;branch=z9hG4bKx")), 482, id="loop, default port"),
        pytest.param(invite(("branch=z9hG4bK-1", "branch=z9hG4bK-1, SIP/2.0/TCP 127.0.0.1:5060;branch=z9hG4bKx")), 482, id="loop, same line"),
        pytest.param(invite(("branch=z9hG4bK-1", "branch=z9hG4bK-1\nVia: SIP/2.0/UDP [2001:db8::5]:5060;branch=z9hG4bKx")), 482, id="loop, IPv6"),
        pytest.param(invite(("127.0.0.1:5070;branch", "[2001:db8::5];branch")), 482, id="loop, IPv6, topmost"),
        pytest.param(invite(("127.0.0.1:5070;branch", "127.0.0.1:5060;branch")), 482, id="loop, topmost"),
        pytest.param(invite(("branch=z9hG4bK-1", "branch=z9hG4bK-127.0.0.1:5060")), 302, id="a branch is no sent-by"),
        pytest.param(invite(("branch=z9hG4bK-1", "branch=z9hG4bK-1\nVia: SIP/2.0/UDP 127.0.0.1:50600;branch=z9hG4bKx")), 302, id="other port"),
        pytest.param(invite(("From: ", "From : ")), 302, id="space before the colon"),
        pytest.param(invite(('"Jan" <sip', '"Jan <sip')), 400, id="quote not closed"),
        pytest.param(invite(("Max-Forwards: 70\n", "Max-Forwards: 70\nNo colon here\n")), 400, id="header without colon"),
        pytest.param(invite(("Via: SIP/2.0/UDP 127.0.0.1:5070", "Via: nonsense")), 400, id="broken Via"),
        pytest.param(invite().replace(b"\r\n", b"\n"), 400, id="bare LF"),
        pytest.param(invite()[:-2], 400, id="no empty line"),
        pytest.param(invite(("From", "Authorization: NoOneKnows\nFrom")), 302, id="credentials nobody asked for"),
        pytest.param(request("ACK"), 0, id="ACK"),
        pytest.param(request("ACK", ("CSeq: 1 ACK", "CSeq: 1 INVITE")), 0, id="malformed ACK"),
        pytest.param(invite(("INVITE sip", " ACK sip"), ("1 INVITE", "1 ACK")), 0, id="ACK behind a space"),
        pytest.param(wire("SIP/2.0 200 OK\n" + INVITE.split("\n", 1)[1]), 0, id="a response to nothing"),
        pytest.param(invite(("Via: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK-1\n", "")), 0, id="no Via: no way back"),
        pytest.param(invite(("Call-ID: call-1@127.0.0.1\n", "")), 400, id="no Call-ID"),
        pytest.param(invite(('From: "Jan" <sip:+48601000111@127.0.0.1:5070>;tag=from-1', "From:")), 400, id="empty From"),
        pytest.param(b"\r\n\r\n" + invite(), 302, id="CRLF before the request"),
        pytest.param(b"\r\n" + request("ACK"), 0, id="CRLF before an ACK"),
        pytest.param(invite(("INVITE sip", "ACK\tsip"), ("1 INVITE", "1 ACK")), 0, id="ACK and a tab"),
        pytest.param(b"\r\n" + wire("SIP/2.0 200 OK\n" + INVITE.split("\n", 1)[1]), 0, id="CRLF before a response"),
        pytest.param(wire("sip/2.0 200 OK\n" + INVITE.split("\n", 1)[1]), 0, id="a response in small letters"),
        pytest.param(invite(("5060 SIP/2.0", "5060 sip/2.0")), 302, id="the version has no case"),
        pytest.param(invite(("Contact:", "Require: 100rel , timer\nContact:")), 302, id="white space in Require"),
        pytest.param(invite(("Contact:", "Expires: abc\nRetry-After: x\nX(y): 1\nContact:")), 302, id="malformed, not needed"),
        pytest.param(invite(("Content-Length: 0\n", "Content-Length: 0\nExpires: abc\n")), 302, id="malformed, not needed, last"),
        pytest.param(invite(("Contact: <sip:+48601000111@127.0.0.1:5070>", "Contact: <sip:")), 400, id="malformed Contact"),
        pytest.param(invite(("Contact:", "Route: <<\nContact:")), 400, id="malformed Route"),
        pytest.param(invite(("Max-Forwards: 70", "Max-Forwards: 4294967296")), 400, id="Max-Forwards beyond 32 bits"),
        pytest.param(invite(("5060>\nCall", "5060>;tag=\nCall")), 400, id="empty To tag"),
        pytest.param(b"\r\n\r\n", 0, id="keep-alive"),
        pytest.param(b"", 0, id="empty datagram"),
        pytest.param(b"\0" * 200, 0, id="zeros"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 0, id="another protocol"),
        pytest.param(invite(("Contact:", "X-Long: " + "x" * 60_000 + "\nContact:")), 302, id="60 kB"),
    ],
)  # fmt: skip
def test_answers(routed: Routed, trunk: Peer, data: bytes, expected: int) -> None:
    assert code(routed.send(data, trunk)) == expected


def test_refusals_say_what_would_be_accepted(routed: Routed, trunk: Peer) -> None:
    for data in (request("REGISTER"), request("FROBNICATE"), request("OPTIONS")):
        answer = routed.send(data, trunk)
        assert answer is not None
        assert header(answer, "Allow") == ["INVITE, ACK, CANCEL, BYE, OPTIONS"]
    assert answer is not None
    assert header(answer, "Accept") == ["application/sdp"]
    assert header(answer, "Supported") == ["100rel, timer"]
    lacking = routed.send(invite(("Contact:", "Require: foo, 100rel\nrequire: bar\nContact:")), trunk)
    assert lacking is not None
    assert header(lacking, "Unsupported") == ["foo, bar"]


def test_a_to_tag_is_never_added_twice(routed: Routed, trunk: Peer) -> None:
    answer = routed.send(request("BYE", ("5060>\nCall", "5060>;tag=theirs\nCall")), trunk)
    assert answer is not None
    assert header(answer, "To") == ["<sip:+48221112233@127.0.0.1:5060>;tag=theirs"]
    malformed = routed.send(request("BYE", ("5060>\nCall", "5060>;Tag=theirs\nCall"), ("CSeq: 1", "CSeq: x")), trunk)
    assert code(malformed) == 400
    assert malformed is not None
    assert header(malformed, "To") == ["<sip:+48221112233@127.0.0.1:5060>;Tag=theirs"]


def test_record_routes_and_further_vias_come_back_in_order(routed: Routed, trunk: Peer) -> None:
    answer = routed.send(
        invite(
            ("branch=z9hG4bK-1", "branch=z9hG4bK-1\nv: SIP/2.0/UDP a;branch=z9hG4bK-2, SIP/2.0/UDP b"),
            ("Contact", "Record-Route: <sip:p1;lr>\nRecord-Route: <sip:p2;lr>\nContact"),
        ),
        trunk,
    )
    assert answer is not None
    assert header(answer, "Via")[1:] == ["SIP/2.0/UDP a;branch=z9hG4bK-2, SIP/2.0/UDP b"]
    assert header(answer, "Record-Route") == ["<sip:p1;lr>", "<sip:p2;lr>"]


# --- the same request again --------------------------------------------------------------------------------------


def test_a_retransmission_is_answered_alike(routed: Routed, trunk: Peer) -> None:
    first = routed.send(invite(), trunk)
    routed.now += 4
    assert routed.send(invite(), trunk) == first


def test_a_restarted_router_answers_a_retransmission_alike(routed: Routed, trunk: Peer, parser: object) -> None:
    assert Routed(parser).send(invite(), trunk) == routed.send(invite(), trunk)  # type: ignore[arg-type]


def test_a_decision_that_changed_state_is_kept_for_32_seconds(routed: Routed, trunk: Peer) -> None:
    answers = iter((Verdict(status(302), b"X: 1\r\n", keep=True), Verdict(status(302), b"X: 2\r\n", keep=True)))
    routed.verdict = lambda request: next(answers)
    first = routed.send(invite(), trunk)
    routed.now += 31
    assert routed.send(invite(), trunk) == first
    assert len(routed.requests) == 1
    routed.now += 2
    assert routed.send(invite(), trunk) != first


def test_a_merged_request_is_482_and_its_twin_is_not(routed: Routed, trunk: Peer) -> None:
    other = invite(("z9hG4bK-1", "z9hG4bK-2"))
    assert code(routed.send(invite(), trunk)) == 302
    assert code(routed.send(other, trunk)) == 482
    assert code(routed.send(invite(), trunk)) == 302
    assert len(routed.requests) == 2
    routed.now += 6  # a trunk that fails over tries the same call on another way
    assert code(routed.send(other, trunk)) == 302


def test_another_callers_branch_is_no_mix_up(routed: Routed, trunk: Peer) -> None:
    assert code(routed.send(invite(), trunk)) == 302
    stranger = invite(("call-1@", "call-2@"), ("tag=from-1", "tag=other"))
    answer = routed.send(stranger, trunk)
    assert answer is not None
    assert header(answer, "Call-ID") == ["call-2@127.0.0.1"]


def test_a_cancel_of_an_answered_invite_is_200_with_its_to_tag(routed: Routed, trunk: Peer) -> None:
    invited = routed.send(invite(), trunk)
    answer = routed.send(request("CANCEL"), trunk)
    assert code(answer) == 200
    assert invited is not None
    assert answer is not None
    assert header(answer, "To") == header(invited, "To")
    assert code(routed.send(request("CANCEL", ("z9hG4bK-1", "z9hG4bK-7")), trunk)) == 481


# --- where the answer goes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("via", "host", "port", "answered", "reply_port"),
    [
        ("SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK-1", "127.0.0.1", 5070, "", 5070),
        ("SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK-1", "127.0.0.1", 9999, "", 5070),
        ("SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK-1", "127.0.0.1", 9999, "", 5060),
        ("SIP/2.0/UDP 10.0.0.1:5070;branch=z9hG4bK-1", "127.0.0.1", 9999, ";received=127.0.0.1", 5070),
        ("SIP/2.0/UDP host.example:5070;branch=z9hG4bK-1", "127.0.0.1", 9, ";received=127.0.0.1", 5070),
        ("SIP/2.0/UDP 127.0.0.1:5070;rport;branch=z9hG4bK-1", "127.0.0.1", 9999, "rport=9999", 9999),
        ("SIP/2.0/UDP [::1]:5070;branch=z9hG4bK-1", "::1", 5070, "", 5070),
        ("SIP/2.0/UDP 127.0.0.1:5070;maddr=192.0.2.99;branch=z9hG4bK-1", "127.0.0.1", 5070, "", 5070),
        ("SIP/2.0/UDP 10.0.0.1:5070;received=192.0.2.9;branch=z9hG4bK-1", "127.0.0.1", 1, ";received=127.0.0.1", 5070),
        ("SIP / 2.0 / UDP 127.0.0.1 : 5070;branch=z9hG4bK-1", "127.0.0.1", 1, "", 5070),
    ],
)
def test_the_way_back(
    front: Front, trunk: Peer, via: str, host: str, port: int, answered: str, reply_port: int
) -> None:
    data = invite(("Via: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK-1", f"Via: {via}"))
    reply = front.datagram(data, trunk, host.encode(), port)
    assert reply is not None
    assert reply.port == reply_port
    assert answered in header(reply.data, "Via")[0]
    assert header(reply.data, "Via")[0].count("received=") == ("received=" in answered or "rport" in via)


@pytest.fixture
def front(routed: Routed) -> Front:
    return routed.front


# --- our own faults ----------------------------------------------------------------------------------------------


def test_a_call_whose_facts_cannot_be_read_goes_to_the_fallback(
    routed: Routed, trunk: Peer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("sipacr.sip.front.facts", lambda *_: 1 / 0)
    monkeypatch.setattr("sipacr.sip.front.plain_facts", lambda *_: 1 / 0)
    answer = routed.send(invite(), trunk)
    assert answer is not None
    assert FALLBACK.headers in answer
    assert "call-1@127.0.0.1" in caplog.text


def test_any_other_fault_of_ours_is_a_500_and_loud(
    routed: Routed, trunk: Peer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("sipacr.sip.gate.semantics", lambda *_: 1 / 0)
    assert code(routed.send(request("OPTIONS"), trunk)) == 500
    assert "ZeroDivisionError" in caplog.text


# --- torture and fuzz --------------------------------------------------------------------------------------------

# What we answer where RFC 4475 and RFC 5118 leave a choice; every other row is judged by its own column.
# wsinv's To has a tag, so for whoever has no such dialog the answer is 481.
ACCEPTED = {"INVITE": {302, 481}, "OPTIONS": {200}, "REGISTER": {405}, "MESSAGE": {405}, "BYE": {481}}


def torture() -> list[dict[str, str]]:
    rows: list[dict[str, str]] = []
    for folder in ("rfc4475", "rfc5118"):
        index = TORTURE / folder / "INDEX.csv"
        if index.exists():
            with index.open(newline="") as file:
                rows += [row | {"path": str(index.parent / row["file"])} for row in csv.DictReader(file)]
    return rows


@pytest.mark.skipif(not TORTURE.exists(), reason="the torture messages are not beside this clone")
@pytest.mark.parametrize("row", torture(), ids=lambda row: row["name"])
def test_torture(routed: Routed, trunk: Peer, row: dict[str, str]) -> None:
    got = code(routed.send(Path(row["path"]).read_bytes(), trunk))
    if "response" in row["message"]:
        assert got == 0
    elif row["class"] == "valid":
        assert got in ACCEPTED.get(row["message"], {405, 501})
    else:
        allowed = {int(word) for word in row["pass_if"].replace(";", " ").split() if word.isdigit()}
        lenient = ACCEPTED.get(row["message"], set())
        if "drop" in row["pass_if"]:
            allowed.add(0)
        if any(word in row["pass_if"] for word in ("forward", "normal", "accept", "405", "challenge")):
            allowed |= lenient
        assert got in allowed, f"{row['pass_if']}: {row['note']}"


pieces = st.sampled_from(
    [b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b";", b",", b'"', b"<", b">", b"@", b"=", b"\0", b"\xff", b"%00", b"SIP/2.0",
     b"z9hG4bK", b"Via: ", b"f: ", b"Content-Length: 99999999999", b"Route: <sip:x;lr>", b"multipart/mixed", b"[::1]", b"?"]
)  # fmt: skip


@settings(max_examples=600, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 500), st.integers(0, 20), st.one_of(pieces, st.binary(max_size=8))), max_size=6)
)
def test_no_bytes_make_it_raise_or_answer_an_ack(cuts: list[tuple[int, int, bytes]]) -> None:
    data = invite(body="v=0\r\n")
    for at, length, piece in cuts:
        data = data[:at] + piece + data[at + length :]
    routed = FUZZED[0]
    before = routed.front.counts["errors"]
    answer = routed.send(data, FUZZ_PEER[0])
    assert routed.front.counts["errors"] == before
    assert answer is None or (code(answer) in range(200, 700) and answer.endswith(b"\r\n\r\n"))
    if data.startswith(b"ACK "):
        assert answer is None


FUZZED: list[Routed] = []
FUZZ_PEER: list[Peer] = []


@pytest.fixture(autouse=True)
def _for_fuzz(routed: Routed, trunk: Peer) -> None:
    FUZZED[:] = [routed]
    FUZZ_PEER[:] = [trunk]


def test_the_request_that_routing_sees_has_no_header_it_did_not_ask_for(routed: Routed, trunk: Peer) -> None:
    routed.send(invite(("Contact:", "X-Secret: 1\nContact:")), trunk)
    assert isinstance(routed.requests[0], Request)
    assert set(routed.requests[0].headers) == set()
