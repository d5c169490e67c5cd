"""Reading a request: the expressions for common forms say what PJSIP's structs say, of any text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sip_messages import invite

from sipacr.sip import message as module
from sipacr.sip.message import Message, Parser, entities
from sipacr.sip.scan import Scanner

SCANNER = Scanner()
FIELDS = ("scheme", "user", "from_user", "from_host", "from_tag", "to_tag", "branch", "max_forwards", "error")


def both(parser: Parser, data: bytes, monkeypatch: pytest.MonkeyPatch | None = None) -> tuple[bool, Message | None, Message | None]:
    """Whether the plain expressions fitted, what was read with them, and what PJSIP's structs say."""
    head = SCANNER.scan(data[: data.find(b"\r\n\r\n") + 4])
    plain = parser.parse(head)
    fitted = plain is not None and plain.error is None and module._read_plain(head, Message())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_read_plain", lambda head, message: False)
        return fitted, plain, parser.parse(head)


token = st.text("abcXYZ019-.!%*_+`'~ ;<>\"@:=,()[]?#\\\té", max_size=12)
number = st.sampled_from(["+48601000111", "601 000", "anna", "a%40b", "a;b=c", "*97", "%2348", "", "a:pw", "sip:x"])
host = st.sampled_from(["127.0.0.1", "h.example:5060", "[::1]:5070", "[::1]", "h;transport=tcp", "h;user=phone;x", "h?X=y", "h "])
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


@settings(max_examples=1500, deadline=None)
@given(changes)
def test_common_forms_read_as_pjsip_reads_them(change: dict[str, str]) -> None:
    data = invite(*change.items())
    fitted, plain, structs = both(PARSER[0], data)
    if fitted:
        assert plain is not None
        assert structs is not None
        assert {name: getattr(plain, name) for name in FIELDS} == {name: getattr(structs, name) for name in FIELDS}


def test_the_usual_invite_is_of_the_common_form(parser: Parser) -> None:
    assert both(parser, invite())[0]
    assert both(parser, invite(("127.0.0.1:5070;branch", "127.0.0.1:5070;rport;branch")))[0]


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


PARSER: list[Parser] = []


@pytest.fixture(autouse=True)
def _for_hypothesis(parser: Parser) -> None:
    PARSER[:] = [parser]
