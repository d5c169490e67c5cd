"""Messages as the relay sees them: what is written is read back, byte for byte, whatever a far end wrote."""

import contextlib
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sipacr.calls import message as module
from sipacr.calls.message import (
    Message,
    display_of,
    parameters,
    parse,
    split,
    tag,
    uri_of,
    with_parameter,
    without,
)
from sipacr.sip.message import Parser

REST = "Via: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: x\r\n"
CSEQ = "CSeq: 1 INVITE\r\n"


def head(start: str = "INVITE sip:a@b SIP/2.0", *lines: str, cseq: str = CSEQ) -> bytes:
    return (f"{start}\r\n{REST}{cseq}" + "".join(f"{line}\r\n" for line in lines) + "\r\n").encode(
        "utf-8", "surrogateescape"
    )


# Reading and writing


def test_a_request() -> None:
    message = parse(head("INVITE sip:a@b;x=1 SIP/2.0", "Content-Length: 3"), b"v=0")
    assert (message.method, message.uri, message.code, message.reason) == ("INVITE", "sip:a@b;x=1", 0, "")
    assert [name for name, _ in message.headers] == ["Via", "From", "To", "Call-ID", "CSeq"]
    assert message.body == b"v=0"
    assert message.cseq == (1, "INVITE")
    assert repr(message) == "<INVITE 1 INVITE x>"


def test_a_response() -> None:
    message = parse(head("SIP/2.0 486 Busy Here"))
    assert (message.method, message.uri, message.code, message.reason) == ("", "", 486, "Busy Here")
    assert repr(message) == "<486 1 INVITE x>"


def test_render() -> None:
    headers = [("Via", "v"), ("X-Odd", "")]
    assert (
        Message("BYE", "sip:a", headers=headers).render()
        == b"BYE sip:a SIP/2.0\r\nVia: v\r\nX-Odd: \r\nContent-Length: 0\r\n\r\n"
    )
    assert (
        Message(code=200, reason="OK", headers=[], body=b"\xff\0").render()
        == b"SIP/2.0 200 OK\r\nContent-Length: 2\r\n\r\n\xff\0"
    )


@pytest.mark.parametrize(
    ("start", "read"),
    [
        ("INVITE  sip:a@b   SIP/2.0", ("INVITE", "sip:a@b", 0, "")),
        ("INVITE sip:a@b SIP/2.0 ", ("INVITE", "sip:a@b", 0, "")),
        ("INVITE\tsip:a@b\tSIP/2.0", ("INVITE", "sip:a@b", 0, "")),
        (" INVITE sip:a@b SIP/2.0", ("INVITE", "sip:a@b", 0, "")),
        ("INVITE sip:a@b sip/2.0", ("INVITE", "sip:a@b", 0, "")),
        ('INVITE sip:a@b;x=" \t y" SIP/2.0', ("INVITE", 'sip:a@b;x=" \t y"', 0, "")),
        ("\r\n\r\nINVITE sip:a@b SIP/2.0", ("INVITE", "sip:a@b", 0, "")),
        ("SIP/2.0 200", ("", "", 200, "")),
        ("SIP/2.0 200 ", ("", "", 200, "")),
        ("SIP/2.0  200 OK", ("", "", 200, "OK")),
        ("SIP/2.0 200OK", ("", "", 200, "OK")),
        ("SIP/2.0200 OK", ("", "", 200, "OK")),
        ("SIP/2.0\t200\tOK", ("", "", 200, "OK")),
        ("sip/2.0 200 OK", ("", "", 200, "OK")),
        ("SIP/2.0 200 Gut, \udcff (wirklich) SIP/2.0", ("", "", 200, "Gut, \udcff (wirklich) SIP/2.0")),
    ],
)
def test_start_lines_that_pjsip_accepts(parser: Parser, start: str, read: tuple[str, str, int, str]) -> None:
    assert parser.accepts(head(start))
    message = parse(head(start))
    assert (message.method, message.uri, message.code, message.reason) == read


@pytest.mark.parametrize(
    "start",
    ["", "INVITE", "INVITE ", "INVITE sip:a@b", "INVITE SIP/2.0", "INVITE  SIP/2.0", " sip:a SIP/2.0", " SIP/2.0", "SIP/2.0", "SIP/2.0 ", "SIP/2.0 20", "SIP/2.0 x OK", "INVITE sip:a@bSIP/2.0", "INVITE sip:a@b SIP/2.00"],
)  # fmt: skip
def test_what_is_no_start_line(parser: Parser, start: str) -> None:
    assert not parser.accepts(head(start))
    with pytest.raises(ValueError, match="no start line"):
        parse(head(start))


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("1 INVITE", (1, "INVITE")),
        ("1  INVITE", (1, "INVITE")),
        ("1\tINVITE", (1, "INVITE")),
        ("1INVITE", (1, "INVITE")),
        (" 0001 INVITE ", (1, "INVITE")),
        ("\r\n 1\r\n\tINVITE", (1, "INVITE")),
        ("7 X-foo.bar~1", (7, "X-foo.bar~1")),
        ("2147483647 BYE", (2147483647, "BYE")),
    ],
)
def test_cseqs_that_pjsip_accepts(parser: Parser, written: str, read: tuple[int, str]) -> None:
    start = f"{read[1]} sip:a@b SIP/2.0"
    assert parser.accepts(head(start, cseq=f"CSeq: {written}\r\n"))
    assert parse(head(start, cseq=f"CSeq: {written}\r\n")).cseq == read


@pytest.mark.parametrize(
    "written", ["", "x", "x INVITE", "-1 INVITE", "1.5 INVITE", "1_0 INVITE", "1" * 5000 + " INVITE", "1 a b"]
)
def test_a_cseq_that_is_none(written: str) -> None:
    assert Message("INVITE", headers=[("CSeq", written)]).cseq == (0, "")
    assert Message("INVITE", headers=[]).cseq == (0, "")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("Subject: a\r\n b", "a b"),
        ("Subject: a\r\n \t b", "a b"),
        ("Subject:\r\n\ta", "a"),
        ("Subject: a\n b", "a b"),
        ("Subject: a\r b", "a b"),
        ("Subject: \r\n ", ""),
        ("Subject:", ""),
        ("Subject : \t a \t", "a"),
        ("s: a", "a"),
        ("S: a", "a"),
        ("SUBJECT: a", "a"),
        ("Subject: a: b", "a: b"),
        ("Subject: é\u2028\x85\u00a0\u3000", "é\u2028\x85\u00a0\u3000"),
        ("Subject: \u00a0a", "\u00a0a"),
        ("Subject: \udcff\udc80", "\udcff\udc80"),
    ],
)
def test_values_that_pjsip_accepts(parser: Parser, written: str, read: str) -> None:
    data = head("INVITE sip:a@b SIP/2.0", written, "X-Last: 1")
    assert parser.accepts(data)
    assert parse(data).headers[5:] == [("Subject", read), ("X-Last", "1")]


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n", "\n\r"])
def test_nothing_hides_behind_a_bare_line_end(parser: Parser, end: str) -> None:
    """PJSIP ends a line there, and so may a far end."""
    data = head("INVITE sip:a@b SIP/2.0", f"Subject: a{end}X-Hidden: b")
    assert parser.accepts(data)
    assert parse(data).headers[5:] == [("Subject", "a"), ("X-Hidden", "b")]


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("v", "Via"), ("VIA", "Via"), ("t", "To"), ("f", "From"), ("i", "Call-ID"), ("call-id", "Call-ID"), ("m", "Contact"),
        ("x", "Session-Expires"), ("r", "Refer-To"), ("o", "Event"), ("k", "Supported"), ("cseq", "CSeq"), ("rack", "RAck"),
        ("ERROR-INFO", "Error-Info"), ("proxy-authorization", "Proxy-Authorization"), ("proxy-authenticate", "Proxy-Authenticate"),
        ("www-authenticate", "WWW-Authenticate"), ("X-mine", "X-mine"), ("Record-route", "Record-Route"),
    ],
)  # fmt: skip
def test_names(written: str, name: str) -> None:
    for _ in range(2):
        assert parse(head("INVITE sip:a@b SIP/2.0", f"{written}: 1")).headers[-1] == (name, "1")


@pytest.mark.parametrize("name", ["Content-Length", "content-length", "l", "L", "CONTENT-LENGTH "])
def test_content_length_is_written_anew(name: str) -> None:
    message = parse(head("INVITE sip:a@b SIP/2.0", f"{name}: 99"), b"12")
    assert message.render().count(b"Content-Length: 2\r\n") == 1
    assert b"99" not in message.render()


def test_all_compact_forms_mean_a_name_that_is_whole() -> None:
    assert [name for name in module._NAMES.values() if name.startswith("-") or name.endswith("-")] == []


def test_varied_spellings_are_not_remembered_without_end() -> None:
    parse(head("INVITE sip:a@b SIP/2.0", *(f"X-{number}: 1" for number in range(3000))))
    assert len(module._spelled) <= 1024


LINE = st.binary(max_size=40).map(lambda raw: raw.translate(None, b"\r\n").strip(b" \t"))
NAME = st.sampled_from(["Via", "To", "X-Other", "Subject", "Contact", "Route", "P-Asserted-Identity"])
HEADERS = st.lists(st.tuples(NAME, LINE.map(lambda raw: raw.decode("utf-8", "surrogateescape"))), max_size=8)
TOKEN = st.text("ABCxyz0-.!%*_+`'~", min_size=1, max_size=8)
WORD = st.text(st.characters(exclude_characters="\r\n\t ", exclude_categories=["Cs"]), min_size=1, max_size=8)


@given(TOKEN, WORD, HEADERS, st.binary())
def test_a_request_comes_back(method: str, uri: str, headers: module.Headers, body: bytes) -> None:
    data = Message(method, uri, headers=headers, body=body).render()
    empty = data.index(b"\r\n\r\n") + 4
    message = parse(data[:empty], data[empty:])
    assert (message.method, message.uri, message.code, message.headers, message.body) == (method, uri, 0, headers, body)
    assert message.render() == data


@given(st.integers(100, 699), LINE, HEADERS)
def test_a_response_comes_back(code: int, reason: bytes, headers: module.Headers) -> None:
    data = Message(code=code, reason=reason.decode("utf-8", "surrogateescape"), headers=headers).render()
    message = parse(data)
    assert (message.method, message.code, message.headers) == ("", code, headers)
    assert message.render() == data


@given(
    st.lists(
        st.sampled_from(["SIP/2.0", "200", " ", "\t", "INVITE", "sip:a", "\r", "\n", ":", "X", "é", "\udcff", '"'])
    ).map("".join)
)
def test_reading_raises_nothing_else(text: str) -> None:
    with contextlib.suppress(ValueError):
        parse(text.encode("utf-8", "surrogateescape")).cseq  # noqa: B018


@pytest.mark.parametrize("middle", ["{0}sip:a ", 'sip:a;x="{0}" ', "sip:a{0}", "sip:a {0}x", "{0}"])
def test_a_long_start_line_is_read_in_a_moment(middle: str) -> None:
    started = time.process_time()
    for white in (" ", "\t"):
        with contextlib.suppress(ValueError):
            parse(head("INVITE " + middle.format(white * 60_000) + "SIP/2.0"))
    assert time.process_time() - started < 0.5


# Headers


def test_get_lines_values_and_tokens() -> None:
    message = Message("INVITE", headers=[("Supported", "100rel, timer"), ("To", "x"), ("Supported", "Replaces")])
    assert message.get("Supported") == "100rel, timer"
    assert message.get("Require") is None
    assert message.lines("Supported") == ["100rel, timer", "Replaces"]
    assert message.values("Supported") == ["100rel", "timer", "Replaces"]
    assert message.has_token("Supported", "TIMER")
    assert message.has_token("Supported", "replaces")
    assert not message.has_token("Supported", "100")
    assert without(message.headers, ["Supported"]) == [("To", "x")]


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        ("", []),
        ("a", ["a"]),
        ("a,b", ["a", "b"]),
        (" a , ,b\t,", ["a", "b"]),
        (",", []),
        ("<sip:a,b>,<sip:c>", ["<sip:a,b>", "<sip:c>"]),
        ('"a, b" <sip:c>;x="1,2", "d" <sip:e>', ['"a, b" <sip:c>;x="1,2"', '"d" <sip:e>']),
        (r'"a\", b" <sip:c>, d', [r'"a\", b" <sip:c>', "d"]),
        (r'"a\\", b', [r'"a\\"', "b"]),
        ('"a<", b', ['"a<"', "b"]),
        ('<sip:a"b>, c', ['<sip:a"b>', "c"]),
        ("\u00a0a,b\u00a0", ["\u00a0a", "b\u00a0"]),
        ('\u00a0"a",b\u00a0', ['\u00a0"a"', "b\u00a0"]),
    ],
)
def test_split(value: str, parts: list[str]) -> None:
    assert split(value) == parts


@pytest.mark.parametrize(
    ("value", "uri", "display", "given"),
    [
        ('"A" <sip:a;lr>;tag=1', "sip:a;lr", '"A"', {"tag": "1"}),
        ("<sip:a>", "sip:a", "", {}),
        ("A B <sip:a>;q=1;x", "sip:a", "A B", {"q": "1", "x": ""}),
        ("sip:a@b;tag=1", "sip:a@b", "", {"tag": "1"}),
        ("sip:a@b ; Tag = 1 ; x", "sip:a@b", "", {"tag": "1", "x": ""}),
        ('"<sip:no>;tag=no" <sip:a>;tag=1', "sip:a", '"<sip:no>;tag=no"', {"tag": "1"}),
        (r'"a\"<sip:no>" <sip:a>;tag=1', "sip:a", r'"a\"<sip:no>"', {"tag": "1"}),
        (r'"a\\" <sip:a>;tag=1', "sip:a", r'"a\\"', {"tag": "1"}),
        ('<sip:a>;x=">;tag=no";tag=1', "sip:a", "", {"x": '">;tag=no"', "tag": "1"}),
        ('<sip:a>;tag=1;x=">;tag=no"', "sip:a", "", {"tag": "1", "x": '">;tag=no"'}),
        ('<sip:a>;x=">;tag=no"', "sip:a", "", {"x": '">;tag=no"'}),
        (r'<sip:a>;x="\";tag=no";tag=1', "sip:a", "", {"x": r'"\";tag=no"', "tag": "1"}),
        ("<sip:a>;tag= 1", "sip:a", "", {"tag": "1"}),
        ("<sip:a>;tag=1;tag=2", "sip:a", "", {"tag": "2"}),
        ("<sip:a?x=;tag=no>;tag=1", "sip:a?x=;tag=no", "", {"tag": "1"}),
        ('<sip:a"b>;tag=1', 'sip:a"b', "", {"tag": "1"}),
        ("<sip:a>;tag=\u00a0", "sip:a", "", {"tag": "\u00a0"}),
        ("\u00a0 <sip:a>", "sip:a", "\u00a0", {}),
        ("sip:a\u00a0", "sip:a\u00a0", "", {}),
        ("1800;refresher=uac", "1800", "", {"refresher": "uac"}),
        ("", "", "", {}),
    ],
)
def test_addresses(value: str, uri: str, display: str, given: dict[str, str]) -> None:
    assert uri_of(value) == uri
    assert display_of(value) == display
    assert parameters(value) == given
    assert tag(value) == given.get("tag", "")
    assert parameters(with_parameter(value, "x-new", '"1;2"')) == given | {"x-new": '"1;2"'}


VALUE = st.lists(
    st.sampled_from(["<", ">", '"', "\\", ",", ";", "=", " ", "\t", "tag", "a", "sip:a", ";tag=1", "é", "\udcff"])
).map("".join)


@given(VALUE)
@example('<sip:a>;x=">;tag=1"')
def test_the_short_way_to_the_tag_is_right(value: str) -> None:
    """The last `>` outside quotes ends the address; `tag` may not see another one."""
    if value.count("<") <= 1 and value.count(">") <= 1:
        assert tag(value) == parameters(value).get("tag", "")


@given(VALUE)
def test_reading_headers_raises_nothing(value: str) -> None:
    uri_of(value)
    display_of(value)
    assert all(part == part.strip(" \t") and part for part in split(value.strip(" \t")))


QUOTED = st.text('a,;<>"\\ é', max_size=6).map(lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"')
ADDRESS = st.builds(
    lambda display, uri, parameter: f"{display} <{uri}>;x={parameter}",
    QUOTED, st.sampled_from(["sip:a", "sip:a,b;lr", "tel:1"]), st.one_of(TOKEN, QUOTED),
)  # fmt: skip


@given(st.lists(ADDRESS, min_size=1), st.sampled_from([",", ", ", " ,\t"]))
def test_addresses_are_split_where_they_were_joined(addresses: list[str], comma: str) -> None:
    assert split(comma.join(addresses)) == addresses


@given(QUOTED, st.one_of(TOKEN, QUOTED), TOKEN)
def test_address_parts_come_back(display: str, parameter: str, text: str) -> None:
    value = f"{display} <sip:a;lr;tag=no>;x={parameter};tag={text}"
    assert (display_of(value), uri_of(value), tag(value)) == (display, "sip:a;lr;tag=no", text)
    assert parameters(value) == {"x": parameter, "tag": text}
