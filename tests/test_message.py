"""The short way of a common INVITE and the long way say the same; and what PJSIP's parser makes of single headers."""

import pytest
from conftest import Routed
from hypothesis import given, settings
from hypothesis import strategies as st
from sip_messages import invite

from sipacr.routing.directory import Peer
from sipacr.sip.message import Parser, entities

token = st.text("abcXYZ019-.!%*_+`'~ ;<>\"@:=,()[]?#\\\té", max_size=12)
number = st.sampled_from(["+48601000111", "601 000", "anna", "a%40b", "a;b=c", "*97", "%2348", "", "a:pw", "sip:x"])
host = st.sampled_from(
    ["127.0.0.1", "h.example:5060", "[::1]:5070", "[::1]", "h;transport=tcp", "h;user=phone;x", "h?X=y", "h "]
)
changes = st.fixed_dictionaries(
    {},
    optional={
        "INVITE sip:+48221112233@127.0.0.1:5060": st.builds("INVITE sip:{}@{}".format, number, host),
        '"Jan" <sip:+48601000111@127.0.0.1:5070>': st.one_of(
            st.builds("{} <sip:{}@{}>".format, token, number, host),
            st.builds('"{}"<sip:{}@{}>;x={}'.format, token, number, host, token),
            st.builds("sip:{}@{}".format, number, host),
            st.builds("<tel:{}>".format, number),
        ),
        ";tag=from-1": st.one_of(st.just(""), st.builds(";tag={}".format, token), st.builds(";TAG={};x".format, token)),
        "<sip:+48221112233@127.0.0.1:5060>\n": st.one_of(
            st.builds("<sip:a@b>{}\n".format, token), st.builds("<sip:a@b>;tag={}\n".format, token), st.just("sip:a@b;tag=x>\n")
        ),
        "127.0.0.1:5070;branch=z9hG4bK-1": st.builds(
            "{};{}branch={}{}".format, host, st.sampled_from(["", "rport;", "x=y;", "branch=first;"]), token, st.sampled_from(["", ";rport", ";branch=last", ", SIP/2.0/TCP x"])
        ),
        "Max-Forwards: 70": st.sampled_from(["Max-Forwards: 007", "Max-Forwards:70", "Max-Forwards: 999", "Max-Forwards: -1", "Max-Forwards: 70 "]),
    },
)  # fmt: skip


inserted = st.lists(
    st.sampled_from(
        ["P-Asserted-Identity: <sip:+48602000222@carrier>\n", 'P-Asserted-Identity: "A" <sip:anna@[::1]:5061;user=phone>\n',
         "p-asserted-identity: <sip:+48603000333@c>\n", "P-Asserted-Identity: <tel:+48604000444>\n", "Privacy: id\n",
         "Remote-Party-ID: <sip:+48605000555@c>;party=calling\n", "Require: foo\n", "Via: SIP/2.0/TCP h\n", "To: <sip:x@y>\n",
         "X-Other:\n", "X-Other: folded\n too\n", "Record-Route: <sip:p;lr>\n", "f: <sip:a@b>\n", "X-Campaign: x\n", "Route: <sip:r;lr>\n",
         "Contact: <<\n", "Supported: timer\n", "Bad\n", "l: 0\n", "X Bad: 1\n", "Content-Type: application/sdp\n", "Allow: A B\n"]
    ),
    max_size=3,
)  # fmt: skip


@settings(max_examples=2000, deadline=None)
@given(changes, inserted, st.sampled_from(["", "v=0\r\n"]), st.sampled_from([b"", b"x"]), st.booleans())
def test_the_short_way_answers_as_the_long_way(
    change: dict[str, str], extra: list[str], body: str, tail: bytes, trusted: bool
) -> None:
    where = st_where(extra)
    data = invite(*change.items(), where, body=body) + tail
    parser, trunk = GIVEN[0]
    peer = Peer("x", "trunk", "redirect", ("127.0.0.1",), trunk.plan, trusted=trusted)
    short, long = Routed(parser), Routed(parser)
    before = bytearray(data)
    answered = short.send(data, peer)
    assert data == before  # PJSIP is lent the very bytes
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sipacr.sip.front.read_plain", lambda head: None)
        assert answered == long.send(data, peer)
    assert short.front.counts == long.front.counts
    seen = [
        [(r.caller, r.dialled, r.anonymous, r.call_id, r.from_tag, r.cseq) for r in each.requests]
        for each in (short, long)
    ]
    assert seen[0] == seen[1]


def st_where(extra: list[str]) -> tuple[str, str]:
    return ("Contact: <sip", "".join(extra) + "Contact: <sip")


@pytest.mark.parametrize(
    ("change", "headers", "cseq"),
    [
        (("CSeq: 1 ", "CSeq:12 "), {}, 12),
        (("Contact:", "X-Campaign:\nContact:"), {}, 1),
        (("Contact:", "P-Asserted-Identity: <sip:1@c>\nContact:"), {"p-asserted-identity": ["<sip:1@c>"]}, 1),
    ],
)
def test_what_the_short_way_must_not_miss(
    routed: Routed, trunk: Peer, change: tuple[str, str], headers: dict[str, list[str]], cseq: int
) -> None:
    routed.front.read_headers(["X-Campaign", "P-Asserted-Identity"])
    routed.send(invite(change), trunk)
    (request,) = routed.requests
    assert (dict(request.headers), request.cseq) == (headers, cseq)


@pytest.mark.parametrize(
    "change",
    [
        (),
        (("5070;branch=z9hG4bK-1", "5070;rport;branch=z9hG4bK-1"),),
        (("branch=z9hG4bK-1", "branch=z9hG4bK-1;rport"),),
    ],
)
def test_the_usual_invite_goes_the_short_way(
    routed: Routed, trunk: Peer, change: tuple[tuple[str, str], ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routed.front, "_verdict", lambda *_: pytest.fail("the long way"))
    assert routed.send(invite(*change, body="v=0\r\n"), trunk)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("<sip:+48601@x>", ("+48601", "x")),
        ("sip:+48601@x;party=calling", ("+48601", "x")),
        ('"a, <b>" <sip:+48601@x>;screen=yes', ("+48601", "x")),
        ("<sip:x.example>, <tel:+48602>", ("+48602", "")),
        ("<tel:601;phone-context=+48>", ("601;phone-context=+48", "")),
        ("<urn:service:sos>", None),
        ("", None),
        ("<", None),
        ("x" * 70_000, None),
    ],
)
def test_the_address_in_a_header(parser: Parser, value: str, expected: tuple[str, str] | None) -> None:
    assert parser.address(value) == expected


def test_entities() -> None:
    assert entities('"a,b" <sip:x,y@h>, <tel:1>,c') == ['"a,b" <sip:x,y@h>', "<tel:1>", "c"]


GIVEN: list[tuple[Parser, Peer]] = []


@pytest.fixture(autouse=True)
def _for_hypothesis(parser: Parser, trunk: Peer) -> None:
    GIVEN[:] = [(parser, trunk)]
