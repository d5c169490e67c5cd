"""What passes between the sides of a call: tables of headers in and out, and that neither side shows in the other."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipacr.calls import tailor
from sipacr.calls.identity_headers import from_value, to_value
from sipacr.calls.message import Headers, Message, parse
from sipacr.calls.passage import Passage
from tests.calls.tailoring import OURS, PBX, PLAIN_PBX, STRANGER, TRUNK, invitation, invite, passage, step, values

# name, value from the one side, value for the other ("": it does not pass). The same in requests and in responses.
BOTH = [
    ("Via", "SIP/2.0/UDP a.example;branch=z9hG4bK1", ""),
    ("Record-Route", "<sip:a.example;lr>", ""),
    ("Route", "<sip:a.example;lr>", ""),
    ("Contact", "<sip:anna@a.example>", ""),
    ("Call-ID", "1@a.example", ""),
    ("CSeq", "1 INVITE", ""),
    ("Max-Forwards", "70", ""),
    ("Timestamp", "54", ""),
    ("RSeq", "1", ""),
    ("RAck", "1 1 INVITE", ""),
    ("User-Agent", "Asterisk PBX 20", ""),
    ("Server", "Asterisk PBX 20", ""),
    ("Authorization", 'Digest username="a"', ""),
    ("Proxy-Authorization", 'Digest username="a"', ""),
    ("Proxy-Authenticate", 'Digest realm="a.example"', ""),
    ("WWW-Authenticate", 'Digest realm="a.example"', ""),
    ("Authentication-Info", 'nextnonce="1"', ""),
    ("Proxy-Require", "sec-agree", ""),
    ("Security-Verify", "tls", ""),
    ("Path", "<sip:a.example>", ""),
    ("Service-Route", "<sip:a.example>", ""),
    ("Replaces", "1@a.example;to-tag=1;from-tag=2", ""),
    ("Join", "1@a.example;to-tag=1;from-tag=2", ""),
    ("Target-Dialog", "1@a.example;local-tag=1;remote-tag=2", ""),
    ("In-Reply-To", "1@a.example", ""),
    ("P-Charging-Vector", "icid-value=1;orig-ioi=a.example", ""),
    ("p-access-network-info", "3GPP", ""),
    ("X-Sipacr-Rule", "forged", ""),
    ("x-sipacr-seen", "forged", ""),
    ("X-SIPACR-Anything", "forged", ""),
    ("user-agent", "spelled as nobody does", ""),
    ("SECURITY-CLIENT", "tls", ""),
    ("X-Campaign", "summer", "summer"),
    ("Identity", "abc;info=<https://a.example/c.pem>;alg=ES256", "abc;info=<https://a.example/c.pem>;alg=ES256"),
    ("Geolocation", "<cid:1@a.example>", "<cid:1@a.example>"),
    ("Date", "Thu, 21 Feb 2002 13:02:03 GMT", "Thu, 21 Feb 2002 13:02:03 GMT"),
    ("Content-Type", "application/sdp", "application/sdp"),
    ("Content-Disposition", "session", "session"),
    ("MIME-Version", "1.0", "1.0"),
    ("Subject", "hello", "hello"),
    ("User-to-User", "56a3;encoding=hex", "56a3;encoding=hex"),
    ("Session-Expires", "1800;refresher=uac", ""),
    ("Min-SE", "90", ""),
    ("Retry-After", "120", "120"),
    ("Supported", "100rel, path, TIMER,replaces, outbound", "100rel, TIMER, replaces"),
    ("Supported", "path", ""),
    ("Allow", "INVITE,ACK, SUBSCRIBE, PUBLISH, REFER", "INVITE, ACK, REFER"),
    ("Allow-Events", "presence, refer", "refer"),
    ("Alert-Info", "<http://a.example/ring.wav>;info=x, <urn:alert:source:internal>", "<urn:alert:source:internal>"),
    ("Call-Info", "<http://a.example/anna.jpg>;purpose=icon", ""),
    ("Error-Info", "<sip:gone@a.example>", ""),
    ("P-Early-Media", "sendrecv", "sendrecv"),
    ("Referred-By", '"Anna" <sip:101@a.example;x=1>;cid="1@a.example"', f'"Anna" <sip:101@{OURS}>'),
    ("Reply-To", "sip:a.example", f"<sip:{OURS}>"),
    ("Reply-To", "<mailto:anna@a.example>", ""),
    ("Refer-To", "<sip:601000111@a.example;transport=tcp?Replaces=1%40a.example&Route=%3Csip:a.example%3E>", f"<sip:+48601000111@{OURS}>"),
    ("Refer-To", "<tel:+48601000111>", f"<sip:+48601000111@{OURS};user=phone>"),
    ("Refer-To", "<sip:anna:secret@a.example>", f"<sip:anna@{OURS}>"),
    ("Diversion", '"Anna" <sip:221112233@a.example>;reason=user-busy;counter=1;x=a.example', f"<sip:+48221112233@{OURS}>;reason=user-busy;counter=1"),
    ("History-Info", "<sip:101@a.example?Reason=SIP%3Bcause%3D486%3Btext%3D%22a.example%22&Route=a.example>;index=1;foo=a.example, <sip:102@a.example>;index=1.1;mp=1", f"<sip:101@{OURS}?Reason=SIP%3Bcause%3D486>;index=1, <sip:102@{OURS}>;index=1.1;mp=1"),
    ("Warning", '304 a.example "Media type not available", 399 10.0.0.5 "req_src_ip=10.0.0.5 pid=12"', f'304 {OURS} "Media type not available", 399 {OURS} "Warning"'),
    ("Warning", "garbage", ""),
    ("Reason", 'Q.850;cause=16;text="Normal Clearing"', 'Q.850;cause=16;text="Normal Clearing"'),
    ("Reason", 'SIP;cause=200;text="answered, at a.example", Q.850;cause=16', "SIP;cause=200, Q.850;cause=16"),
    ("X-Two", "a\rVia: SIP/2.0/UDP evil", ""),
    ("X-Three", "a\x00b", ""),
    ("X-Tab", "a\tb", "a\tb"),
    ("X-Raw", "Caf\udce9", "Caf\udce9"),
    ("X-Two\rVia", "SIP/2.0/UDP evil", ""),
]  # fmt: skip


def only(headers: Headers) -> str:
    assert len(headers) <= 1
    return headers[0][1] if headers else ""


@pytest.mark.parametrize(("name", "value", "passed"), BOTH)
def test_what_becomes_of_a_header(name: str, value: str, passed: str) -> None:
    request = Message("INFO", "sip:x@y", headers=[(name, value)])
    assert only(tailor.in_dialog(request, passage())) == passed
    assert only(tailor.response(Message(code=200, reason="OK", headers=[(name, value)]), passage())) == passed
    assert (
        only([each for each in tailor.initial_request(invite((name, value)), invitation()) if each[0] == name])
        == passed
    )


def test_compact_and_odd_spellings_are_known() -> None:
    message = parse(
        b"INVITE sip:x@y SIP/2.0\r\nv: a.example\r\nR: <sip:101@a.example>\r\nk: path\r\nproxy-authorization: x\r\nERROR-INFO: <sip:a@a.example>\r\n\r\n"
    )
    assert tailor.in_dialog(message, passage()) == [("Refer-To", f"<sip:101@{OURS}>")]


def test_what_a_request_requires_passes_and_what_a_response_requires_of_one_leg_does_not() -> None:
    headers = [("Require", "100rel, timer")]
    assert tailor.in_dialog(Message("INVITE", "sip:x@y", headers=headers), passage()) == [("Require", "100rel, timer")]
    assert tailor.response(Message(code=200, headers=headers), passage()) == []
    without_100rel = passage(options=frozenset({"timer"}))
    assert tailor.in_dialog(Message("INVITE", "sip:x@y", headers=headers), without_100rel) == [("Require", "timer")]


def test_the_pause_of_a_503_stays_at_its_side() -> None:
    assert tailor.response(Message(code=503, headers=[("Retry-After", "9")]), passage()) == []
    assert tailor.response(Message(code=486, headers=[("Retry-After", "9")]), passage()) == [("Retry-After", "9")]


def test_early_media_is_a_matter_among_the_trusted() -> None:
    message = Message(code=183, headers=[("P-Early-Media", "sendrecv")])
    assert tailor.response(message, passage(source=STRANGER)) == []
    assert tailor.response(message, passage(target=PLAIN_PBX)) == []


def test_the_rule_is_named_to_whom_it_may_be() -> None:
    named = invitation(rule="vip, everybody")
    assert tailor.initial_request(invite(), named)[-1] == ("X-Sipacr-Rule", "vip, everybody")
    assert values(tailor.initial_request(invite(), invitation(PBX, TRUNK, rule="wholesale")), "X-Sipacr-Rule") == []
    told = replace(TRUNK, rule_header=True)
    assert values(tailor.initial_request(invite(), invitation(PBX, told, rule="wholesale")), "X-Sipacr-Rule") == [
        "wholesale"
    ]


def test_the_stamp_goes_to_pbxes_only() -> None:
    assert values(tailor.initial_request(invite(), invitation(stamp="k1")), "X-Sipacr-Seen") == ["k1"]
    assert values(tailor.initial_request(invite(), invitation(PBX, TRUNK, stamp="k1")), "X-Sipacr-Seen") == []
    assert values(
        tailor.initial_request(invite(("X-Sipacr-Seen", "old")), invitation(stamp="k1")), "X-Sipacr-Seen"
    ) == ["k1"]


def test_a_step_sets_headers_in_place_of_the_callers() -> None:
    leg = invitation(step=step(headers=(("Alert-Info", "<http://b.example/loud>"), ("X-Shop", "A"))))
    headers = tailor.initial_request(invite(("x-shop", "forged"), ("X-SHOP", "forged"), ("X-Other", "o")), leg)
    assert headers[-2:] == [("Alert-Info", "<http://b.example/loud>"), ("X-Shop", "A")]
    assert values(headers, "x-shop") == values(headers, "X-SHOP") == []
    assert values(headers, "X-Other") == ["o"]


@given(st.text(st.characters(codec="utf-8"), max_size=30))
def test_nothing_that_a_rule_or_name_says_makes_another_header(text: str) -> None:
    evil = text + "\r\nVia: evil\r\n\r\n" + text
    manner = step(headers=(("X-A", evil),), from_=evil, whisper="name")
    leg = invitation(
        step=manner, rule=evil, stamp=evil, dialled_name=evil, is_forward=True, forward_by="both", user=evil
    )
    written = [("From", from_value(invite(), leg)), ("To", to_value(leg)), *tailor.initial_request(invite(), leg)]
    head = Message("INVITE", "sip:x@y", headers=written).render()
    assert head.count(b"\r\n") == len(written) + 3
    assert head.count(b"\n") == head.count(b"\r") == len(written) + 3
    assert [name for name, _ in parse(head[:-4]).headers] == [name for name, _ in written]


def test_a_sipfrag_is_cut_to_its_start_line() -> None:
    report = Message(
        "NOTIFY",
        "sip:x@y",
        headers=[("Content-Type", "message/sipfrag;version=2.0")],
        body=b"SIP/2.0 200 OK\r\nContact: <sip:a@a.example>\r\n",
    )
    assert tailor.body(report) == b"SIP/2.0 200 OK\r\n"
    report.body = b""
    assert tailor.body(report) == b""
    sdp = Message(
        "INVITE", "sip:x@y", headers=[("Content-Type", "application/sdp")], body=b"v=0\r\no=- 1 1 IN IP4 a\r\n"
    )
    assert tailor.body(sdp) is sdp.body


# Nothing of one side is seen on the other.

MARK = "secret-a.example"
HOSTS = st.sampled_from(
    [
        MARK,
        f"{MARK}:5080",
        f"{MARK};transport=tcp;lr",
        f"{MARK};maddr={MARK}",
        f"{MARK}?Route=%3Csip:{MARK}%3E",
        f"{MARK}?Reason=SIP%3Btext%3D{MARK}&Privacy=history",
    ]
)
USERS = st.sampled_from(
    ["101", "+48601000111", "601000111", "anna", "anna:pw", "a%20b", "48601000111;npdi", "%2A97", "?x", "anonymous"]
)
DISPLAYS = st.sampled_from(["", "Anna ", '"Anna" ', '"A, <b>;c" ', '"\\"q\\"" '])
URIS = (
    st.builds("{}:{}@{}".format, st.sampled_from(["sip", "sips", "SIP"]), USERS, HOSTS)
    | st.builds("sip:{}".format, HOSTS)
    | st.builds("{}://{}/x".format, st.sampled_from(["http", "ftp"]), HOSTS)
    | st.builds("tel:601000111;phone-context={}".format, st.just(MARK))
)
BEHIND = st.sampled_from(
    [
        "",
        ";tag=1",
        ";reason=unconditional;privacy=full",
        ";index=1.1;mp=1",
        f";x={MARK}",
        f';cid="1@{MARK}"',
        ";party=calling;privacy=full",
        ";purpose=info",
    ]
)
ADDRESSES = st.builds("{}<{}>{}".format, DISPLAYS, URIS, BEHIND)
LISTS = st.lists(ADDRESSES, min_size=1, max_size=3).map(", ".join)
ADDRESSED = st.sampled_from([
    "Via", "Record-Route", "Route", "Contact", "Path", "Service-Route", "Refer-To", "Referred-By", "Reply-To", "Diversion", "History-Info", "Call-Info", "Alert-Info", "Error-Info", "P-Asserted-Identity", "P-Preferred-Identity", "Remote-Party-ID", "P-Associated-URI", "P-Called-Party-ID", "CC-Diversion", "refer-to", "DIVERSION",
])  # fmt: skip
IDENTIFIERS = st.tuples(
    st.sampled_from(
        [
            "Call-ID",
            "Replaces",
            "In-Reply-To",
            "Target-Dialog",
            "Join",
            "Authorization",
            "P-Charging-Vector",
            "User-Agent",
            "Server",
        ]
    ),
    st.just(f"1@{MARK};to-tag=1;from-tag=2"),
)
WARNINGS = st.builds(
    '399 {} "{}"'.format, HOSTS.map(lambda host: host.partition(";")[0]), st.sampled_from(["no", f"by {MARK}", "sip:x"])
).map(lambda value: ("Warning", value))
REASONS = st.just(("Reason", f'SIP;cause=200;text="at {MARK}"'))
PRIVACY = st.tuples(st.just("Privacy"), st.sampled_from(["id", "user;id", "header", "history", "none", "critical;id"]))
LINES = st.lists(st.tuples(ADDRESSED, LISTS) | IDENTIFIERS | WARNINGS | REASONS | PRIVACY, max_size=6)
PEERS = st.sampled_from(
    [
        TRUNK,
        STRANGER,
        PBX,
        PLAIN_PBX,
        replace(TRUNK, identity="from"),
        replace(PBX, identity="rpid"),
        replace(STRANGER, identity="pai", send="national"),
    ]
)


@given(LINES, ADDRESSES, PEERS, PEERS, st.booleans())
def test_no_host_of_one_side_is_seen_on_the_other(
    lines: Headers, from_: str, source: object, target: object, forward: bool
) -> None:
    leg = invitation(source, target, is_forward=forward, forward_by="both", after="busy")  # type: ignore[arg-type]
    message = Message("INVITE", f"sip:x@{MARK}", headers=[("From", from_), *lines])
    way: Passage = leg.passage
    shown = [
        ("From", from_value(message, leg)),
        ("To", to_value(leg)),
        *tailor.initial_request(message, leg),
        *tailor.in_dialog(message, way),
    ]
    shown += tailor.response(Message(code=200, reason="OK", headers=message.headers), way)
    assert MARK not in repr(shown)
