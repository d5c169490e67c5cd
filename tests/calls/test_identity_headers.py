"""Who calls, as each peer is told."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipacr.calls import tailor
from sipacr.calls.identity_headers import from_value, to_value
from sipacr.calls.message import Headers, Message, display_of, uri_of
from sipacr.routing.directory import Peer
from tests.calls.tailoring import (
    FROM,
    OURS,
    PBX,
    PL,
    PLAIN_PBX,
    STRANGER,
    TRUNK,
    invitation,
    invite,
    passage,
    step,
    values,
)

NOBODY = '"Anonymous" <sip:anonymous@anonymous.invalid>'
ANONYMOUS = "<sip:anonymous@anonymous.invalid>;tag=1"
JAN = f'"Jan" <sip:+48601000111@{OURS}>'
PAI = ("P-Asserted-Identity", '"Firm" <sip:+48221119900@a.example>')
FIRM = f'"Firm" <sip:+48221119900@{OURS}>'
ID = ("Privacy", "id")
RPID_PBX = replace(PBX, identity="rpid")
TOLD_BY_FROM = replace(PBX, identity="from")  # trusted, but reads From alone

# from, further headers, source, target; From, P-Asserted-Identity, Privacy
CALLERS = [
    (FROM, [], TRUNK, PBX, JAN, JAN, ""),
    (FROM, [], STRANGER, PBX, JAN, "", ""),  # whose word does not count
    (FROM, [], TRUNK, PLAIN_PBX, JAN, "", ""),
    (FROM, [PAI], TRUNK, PBX, JAN, FIRM, ""),
    (FROM, [PAI], STRANGER, PBX, JAN, "", ""),
    (FROM, [PAI], TRUNK, PLAIN_PBX, JAN, "", ""),
    (FROM, [PAI], TRUNK, replace(PLAIN_PBX, identity="pai"), JAN, "", ""),
    (FROM, [("P-Preferred-Identity", PAI[1])], TRUNK, PBX, JAN, FIRM, ""),
    (FROM, [("P-Preferred-Identity", PAI[1])], STRANGER, PBX, JAN, "", ""),
    (FROM, [("Remote-Party-ID", PAI[1] + ";party=calling;privacy=off")], TRUNK, PBX, JAN, FIRM, ""),
    (FROM, [("Remote-Party-ID", PAI[1] + ";party=calling;privacy=full")], TRUNK, PBX, JAN, FIRM, "id"),
    (FROM, [("Remote-Party-ID", PAI[1] + ";privacy=full")], TRUNK, PLAIN_PBX, NOBODY, "", "id"),
    (FROM, [("Remote-Party-ID", PAI[1] + ";privacy=full")], STRANGER, PLAIN_PBX, JAN, "", ""),
    (FROM, [("P-Asserted-Identity", "<tel:+48221119900>, <sip:x@a.example>")], TRUNK, PBX, JAN, f"<sip:+48221119900@{OURS};user=phone>", ""),
    (FROM, [PAI, ID], TRUNK, PBX, JAN, FIRM, "id"),
    (FROM, [PAI, ID], TRUNK, PLAIN_PBX, NOBODY, "", "id"),
    (FROM, [ID], STRANGER, PLAIN_PBX, NOBODY, "", "id"),
    (FROM, [ID], STRANGER, PBX, JAN, "", "id"),
    (FROM, [PAI, ID], TRUNK, TOLD_BY_FROM, NOBODY, "", "id"),
    (FROM, [("Privacy", "user;critical")], TRUNK, PLAIN_PBX, NOBODY, "", ""),
    (FROM, [("Privacy", "header,session")], TRUNK, PLAIN_PBX, JAN, "", "session"),
    (FROM, [("Privacy", "none")], TRUNK, PLAIN_PBX, JAN, "", "none"),
    (FROM, [PAI, ("Privacy", "Header;User")], TRUNK, PBX, JAN, FIRM, "header;user"),
    (ANONYMOUS, [], TRUNK, PBX, NOBODY, "", ""),
    (ANONYMOUS, [PAI, ID], TRUNK, PBX, NOBODY, FIRM, "id"),
    (ANONYMOUS, [PAI], TRUNK, PBX, NOBODY, FIRM, ""),
    (ANONYMOUS, [PAI], TRUNK, TOLD_BY_FROM, FIRM, "", ""),  # nothing else would tell it
    (ANONYMOUS, [PAI], TRUNK, PLAIN_PBX, NOBODY, "", ""),
    (ANONYMOUS, [PAI, ID], TRUNK, TOLD_BY_FROM, NOBODY, "", "id"),
    ("<sip:101@b.example>;tag=1", [PAI], PBX, STRANGER, FIRM, "", ""),  # an extension says nothing to a trunk
    ("<sip:101@b.example>;tag=1", [PAI, ID], PBX, STRANGER, NOBODY, "", "id"),
    ("<sip:101@b.example>;tag=1", [PAI], STRANGER, PLAIN_PBX, f"<sip:101@{OURS}>", "", ""),
    ("<sip:101@b.example>;tag=1", [], PBX, TRUNK, f"<sip:101@{OURS}>", f"<sip:101@{OURS}>", ""),
    ("sip:b.example;tag=1", [], PBX, STRANGER, NOBODY, "", ""),
    ("<mailto:anna@b.example>;tag=1", [], PBX, STRANGER, NOBODY, "", ""),
    ("<tel:601000111;phone-context=+48>;tag=1", [], TRUNK, PLAIN_PBX, f"<sip:+48601000111@{OURS};user=phone>", "", ""),
    ("<sip:anna%20b@b.example;transport=tcp>;tag=1", [], PBX, STRANGER, f"<sip:anna%20b@{OURS}>", "", ""),
    ("<sip:*97%23@b.example>;tag=1", [], PBX, STRANGER, f"<sip:*97%23@{OURS}>", "", ""),
    ('"a <b>" <sip:+48601000111;verstat=TN-Validation-Passed@a.example>;tag=1', [], TRUNK, PLAIN_PBX, f'"a <b>" <sip:+48601000111;verstat=TN-Validation-Passed@{OURS}>', "", ""),
    ("<sip:+48601000111;verstat=TN-Validation-Passed@a.example>;tag=1", [], STRANGER, PLAIN_PBX, f"<sip:+48601000111@{OURS}>", "", ""),
]  # fmt: skip


@pytest.mark.parametrize(("from_", "further", "source", "target", "shown", "asserted", "privacy"), CALLERS)
def test_who_calls(
    from_: str, further: Headers, source: Peer, target: Peer, shown: str, asserted: str, privacy: str
) -> None:
    message, leg = invite(*further, from_=from_), invitation(source, target)
    headers = tailor.initial_request(message, leg)
    assert from_value(message, leg) == shown
    assert values(headers, "P-Asserted-Identity") == [asserted] * bool(asserted)
    assert values(headers, "Privacy") == [privacy] * bool(privacy)
    assert values(headers, "Remote-Party-ID") == values(headers, "P-Preferred-Identity") == []


@pytest.mark.parametrize(
    ("send", "user"),
    [
        ("e164", "+48601000111"),
        ("national", "601000111"),
        ("international", "0048601000111"),
        ("as-is", "0048601000111"),
    ],
)
def test_the_number_is_written_as_the_target_wants_it(send: str, user: str) -> None:
    target = replace(PBX, send=send)
    message, leg = invite(from_="<sip:0048 601-000-111@a.example>;tag=1".replace(" ", "%20")), invitation(TRUNK, target)
    assert from_value(message, leg) == f"<sip:{user}@{OURS}>"
    assert values(tailor.initial_request(message, leg), "P-Asserted-Identity") == [f"<sip:{user}@{OURS}>"]


@pytest.mark.parametrize(
    ("further", "privacy"), [([], "off"), ([ID], "full"), ([("Remote-Party-ID", FROM + ";privacy=uri")], "full")]
)
def test_a_peer_may_be_told_by_remote_party_id(further: Headers, privacy: str) -> None:
    headers = tailor.initial_request(invite(*further), invitation(target=RPID_PBX))
    assert values(headers, "Remote-Party-ID") == [f"{JAN};party=calling;screen=yes;privacy={privacy}"]
    assert values(headers, "P-Asserted-Identity") == []


def test_a_rule_shows_another_number() -> None:
    leg = invitation(PBX, TRUNK, step=step(from_="22 111 22 33"))
    assert from_value(invite(PAI), leg) == f'"Jan" <sip:+48221112233@{OURS}>'
    assert values(tailor.initial_request(invite(PAI), leg), "P-Asserted-Identity") == [f"<sip:+48221112233@{OURS}>"]
    # It is not the hidden caller's, so it need not hide; his name does.
    assert from_value(invite(ID), leg) == f"<sip:+48221112233@{OURS}>"
    assert values(tailor.initial_request(invite(("Privacy", "id;history")), leg), "Privacy") == ["history"]
    assert values(tailor.initial_request(invite(ID), leg), "Privacy") == []
    assert (
        from_value(invite(from_=ANONYMOUS), invitation(STRANGER, STRANGER, step=step(from_="shop")))
        == f"<sip:shop@{OURS}>"
    )


def test_the_dialled_numbers_name_is_shown_where_the_step_whispers() -> None:
    whispering = invitation(step=step(whisper="shop"), dialled_name='Shop "A" \\ Łódź')
    name = '"Shop \\"A\\" \\\\ Łódź"'
    assert from_value(invite(), whispering) == f"{name} <sip:+48601000111@{OURS}>"
    assert values(tailor.initial_request(invite(), whispering), "P-Asserted-Identity") == [
        f"{name} <sip:+48601000111@{OURS}>"
    ]
    assert from_value(invite(from_=ANONYMOUS), whispering) == f"{name} <sip:anonymous@anonymous.invalid>"
    assert from_value(invite(), invitation(step=step(), dialled_name="Shop A")) == JAN
    assert from_value(invite(), invitation(step=step(whisper="shop"))) == JAN


def test_an_emergency_call_shows_its_number() -> None:
    leg = invitation(PBX, STRANGER, emergency=True)
    message = invite(PAI, ID, ("Identity", "abc"), ("Geolocation", "<cid:1@b>"))
    assert from_value(message, leg) == JAN
    headers = tailor.initial_request(message, leg)
    assert values(headers, "Privacy") == ["id"]
    assert values(headers, "Identity") == ["abc"]
    assert from_value(invite(PAI, ID, from_=ANONYMOUS), leg) == FIRM


def test_what_tells_of_a_hidden_caller_is_kept_from_the_untrusted() -> None:
    telling = [
        ("Identity", "abc"),
        ("Subject", "s"),
        ("Organization", "o"),
        ("Reply-To", "<sip:jan@a.example>"),
        ("Geolocation", "<cid:1@a.example>"),
    ]

    def names(target: Peer, privacy: str) -> list[str]:
        return [
            name
            for name, _ in tailor.initial_request(invite(*telling, ("Privacy", privacy)), invitation(STRANGER, target))
        ]

    assert names(PLAIN_PBX, "id") == ["Subject", "Organization", "Reply-To", "Geolocation", "Privacy"]
    assert names(PLAIN_PBX, "user") == ["Geolocation"]
    assert names(PBX, "user") == ["Identity", "Subject", "Organization", "Reply-To", "Geolocation", "Privacy"]


FORWARDS = [
    (None, "unconditional", 302),
    ("busy", "user-busy", 486),
    ("no_answer", "no-answer", 408),
    ("unavailable", "unavailable", 503),
    ("unreachable", "unavailable", 503),
    ("declined", "deflection", 480),
    ("refused", "unknown", 302),
]


@pytest.mark.parametrize(("after", "reason", "cause"), FORWARDS)
def test_a_forward_names_the_number_that_was_dialled(after: str | None, reason: str, cause: int) -> None:
    leg = invitation(TRUNK, STRANGER, user="+48700000001", target_host="c.example", is_forward=True, after=after)
    headers = tailor.initial_request(invite(("Diversion", "<sip:1@a.example>;reason=time-of-day")), leg)
    assert values(headers, "Diversion") == [
        f"<sip:+48221112233@{OURS}>;reason={reason};counter=1",
        f"<sip:1@{OURS}>;reason=time-of-day",
    ]
    assert values(headers, "History-Info") == []
    leg.forward_by = "history-info"
    headers = tailor.initial_request(invite(), leg)
    assert values(headers, "Diversion") == []
    target = f"<sip:+48700000001@c.example;cause={cause}>"
    assert values(headers, "History-Info") == [f"<sip:+48221112233@{OURS}>;index=1", f"{target};index=1.1;mp=1"]
    headers = tailor.initial_request(
        invite(("History-Info", "<sip:1@a.example>;index=1, <sip:2@a.example>;index=1.1")), leg
    )
    assert values(headers, "History-Info")[-1] == f"{target};index=1.1.1;mp=1.1"
    assert len(values(headers, "History-Info")) == 2


def test_no_forward_is_told_of_where_there_is_none() -> None:
    headers = tailor.initial_request(invite(), invitation(forward_by="both"))
    assert values(headers, "Diversion") == values(headers, "History-Info") == []


def test_whoever_forwarded_and_asked_not_to_be_named_is_not_named_to_the_untrusted() -> None:
    private = invite(
        ("Diversion", "<sip:1@a.example>;privacy=full, <sip:2@a.example>;privacy=off"),
        ("History-Info", "<sip:1@a.example?Privacy=history>;index=1, <sip:2@a.example?Privacy=none>;index=1.1"),
    )  # fmt: skip
    headers = tailor.initial_request(private, invitation(target=PLAIN_PBX))
    assert values(headers, "Diversion") == [f"<sip:2@{OURS}>;privacy=off"]
    assert values(headers, "History-Info") == [
        f"<sip:anonymous@anonymous.invalid?Privacy=history>;index=1, <sip:2@{OURS}?Privacy=none>;index=1.1"
    ]
    trusted = tailor.initial_request(private, invitation())
    assert "<sip:1@" in values(trusted, "Diversion")[0]
    assert "<sip:1@" in values(trusted, "History-Info")[0]
    whole = invite(
        ("Diversion", "<sip:1@a.example>"), ("History-Info", "<sip:1@a.example>;index=1"), ("Privacy", "history")
    )
    assert tailor.initial_request(whole, invitation(target=PLAIN_PBX)) == [("Privacy", "history")]


def test_who_was_reached_is_told_among_the_trusted() -> None:
    answer = Message(code=200, reason="OK", headers=[("P-Asserted-Identity", '"Anna" <sip:101@b.example>')])
    anna = f'"Anna" <sip:101@{OURS}>'
    assert tailor.response(answer, passage(PBX, TRUNK)) == [("P-Asserted-Identity", anna)]
    assert tailor.response(answer, passage(TRUNK, RPID_PBX)) == [
        ("Remote-Party-ID", f"{anna};party=called;screen=yes;privacy=off")
    ]
    assert tailor.response(answer, passage(PBX, STRANGER)) == []
    assert tailor.response(answer, passage(PLAIN_PBX, TRUNK)) == []
    assert tailor.in_dialog(Message("UPDATE", "sip:x@y", headers=answer.headers), passage(PBX, TRUNK)) == [
        ("P-Asserted-Identity", anna)
    ]
    assert tailor.in_dialog(Message("UPDATE", "sip:x@y", headers=[("From", FROM)]), passage(PBX, TRUNK)) == []


def test_to_names_whom_the_leg_is_for() -> None:
    assert to_value(invitation(user="*97#", target_host="[2001:db8::5]:5061")) == "<sip:*97%23@[2001:db8::5]:5061>"


@given(st.text(max_size=20), st.sampled_from([PBX, PLAIN_PBX]))
def test_any_name_or_number_of_a_rule_makes_one_well_formed_address(text: str, target: Peer) -> None:
    leg = invitation(
        target=target,
        step=step(from_=text or None, whisper="x"),
        dialled_name=text,
        dialled=PL.read(text),
        user=text,
        is_forward=True,
        forward_by="both",
    )
    written = [from_value(invite(), leg), to_value(leg), *(value for _, value in tailor.initial_request(invite(), leg))]
    for value in written:
        uri = uri_of(value)
        assert uri.startswith("sip:")
        assert not set(uri) & set(' <>"\\^`{|}#')
        assert uri.isascii()
        assert uri.count("@") <= 1
        assert value.startswith((f"{display_of(value)} <{uri}>", f"<{uri}>"))
