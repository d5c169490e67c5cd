"""Stories of transfers: REFER, its NOTIFYs, and INVITEs that take the place of a call (RFC 3515, 3891, 4488, 5057)."""

from urllib.parse import unquote

import pytest

from sipacr.calls.calls import Plan
from sipacr.calls.message import Message, parameters, uri_of
from sipacr.calls.refer import read_replaces
from sipacr.routing.decision import Decision
from sipacr.routing.directory import Credentials
from tests import company
from tests.calls.network import Sent
from tests.calls.scene import SDP, WITH_SDP, calling
from tests.calls.talk import PBX, End, Talk

BOTH = pytest.mark.parametrize("who", ["a", "b"])
REFER_EVENT = ("Event", "refer")
FRAG = ("Content-Type", "message/sipfrag;version=2.0")
ACTIVE = ("Subscription-State", "active;expires=60")
DONE = ("Subscription-State", "terminated;reason=noresource")


def refer(near: End, far: End, to: str = "sip:103@192.0.2.1", *headers: tuple[str, str]) -> Sent:
    near.send("REFER", ("Refer-To", f"<{to}>"), ("Referred-By", f"<sip:{near.peer}@{near.flow.host}>"), *headers)
    return far.one("REFER")


def notify(far: End, near: End, state: tuple[str, str], body: bytes = b"SIP/2.0 100 Trying\r\n") -> Sent:
    far.send("NOTIFY", REFER_EVENT, state, FRAG, body=body)
    return near.one("NOTIFY")


@BOTH
def test_a_blind_transfer(who: str) -> None:
    talk = Talk()
    near, far = talk.sides(who)
    asked = refer(near, far)
    assert asked.message.get("Refer-To") == "<sip:103@192.0.2.1:5060>"
    assert asked.message.get("Referred-By") == f"<sip:{near.peer}@192.0.2.1:5060>"
    far.answer(asked, 202)
    ok = near.one("202 REFER").message
    assert len(ok.lines("Contact")) == 1  # RFC 3515 2.2
    for state, body in ((ACTIVE, b"SIP/2.0 180 Ringing\r\nTo: <sip:x@10.9.9.9>\r\n"), (DONE, b"SIP/2.0 200 OK\r\n")):
        told = notify(far, near, state, body)
        assert told.message.body == body.splitlines()[0] + b"\r\n"
        assert (told.message.get("Event"), told.message.get("Subscription-State")) == ("refer", state[1])
        near.answer(told, 200)
        far.one("200 NOTIFY")
    assert talk.hang_up(who)


def dials(talk: Talk, user: str, peer: str = "trunk-a") -> list[str]:
    """Whom a new call from outside reaches."""
    new = f"{user}-{peer}-{talk.timers.now}-{len(talk.network.sent)}"
    invite = calling(call_id=new, branch=f"z9hG4bK{new}")
    invite.uri = f"sip:{user}@192.0.2.1"
    talk.said()
    talk.invite(invite, peer=peer, dialled=user)
    rung = [each.message.uri for each in talk.legs()]
    for end in talk.sides("a"):
        end.sent()  # what it heard of that call is no part of the story
    return rung


def test_who_is_transferred_reaches_the_number_of_the_pbx() -> None:
    talk = Talk()
    before = dials(talk, "103")
    near, far = talk.sides("b")
    far.answer(refer(near, far, "sip:103@10.0.0.5;transport=udp"), 202)
    assert dials(talk, "103") == ["sip:103@10.0.0.5:5060"] != before
    assert dials(talk, "104") == before
    assert dials(talk, "103", "trunk-b") == before
    talk.run(30.0)
    far.sent()
    far.answer(refer(near, far, "sip:103@10.0.0.5"), 202)
    talk.run(40.0)
    assert dials(talk, "103") == ["sip:103@10.0.0.5:5060"]
    talk.run(30.0)
    assert dials(talk, "103") == before


def test_rules_decide_about_a_transfer_to_a_number_of_ours_and_about_one_that_a_trunk_asks_for() -> None:
    talk = Talk()
    before = dials(talk, "103")
    near, far = talk.sides("a")
    far.answer(refer(near, far, "sip:103@198.51.100.1"), 202)
    assert dials(talk, "103") == before
    near, far = talk.sides("b")
    far.answer(refer(near, far, "sip:+48221112233@10.0.0.5"), 202)
    assert dials(talk, "+48221112233") != ["sip:+48221112233@10.0.0.5:5060"]


@BOTH
def test_the_report_outlives_the_bye(who: str) -> None:
    talk = Talk()
    near, far = talk.sides(who)
    far.answer(refer(near, far), 202)
    near.send("BYE")
    assert near.hears() == ["202 REFER", "200 BYE"]
    far.answer(far.one("BYE"), 200)
    assert not talk.calls.live
    near.answer(notify(far, near, ACTIVE), 200)
    far.one("200 NOTIFY")
    far.send("INFO")
    far.one("481 INFO")  # of the call itself nothing is left
    near.answer(notify(far, near, DONE, b"SIP/2.0 200 OK\r\n"), 200)
    far.one("200 NOTIFY")
    assert not talk.calls.halves  # the last report ends the dialogs
    assert talk.is_over()


@BOTH
def test_who_transfers_and_hangs_up_before_the_answer(who: str) -> None:
    talk = Talk()
    near, far = talk.sides(who)
    asked = refer(near, far)
    near.send("BYE")
    assert near.hears() == ["200 BYE"]
    far.answer(far.one("BYE"), 200)
    near.answer(notify(far, near, ACTIVE), 200)  # it may come before the answer to REFER
    far.one("200 NOTIFY")
    far.answer(asked, 202)
    near.one("202 REFER")
    near.answer(notify(far, near, DONE), 200)
    far.one("200 NOTIFY")
    assert not talk.calls.halves
    assert talk.is_over()


@BOTH
def test_a_report_that_never_ends_is_forgotten(who: str) -> None:
    talk = Talk()
    near, far = talk.sides(who)
    far.answer(refer(near, far), 202)
    near.send("BYE")
    near.hears()
    far.answer(far.one("BYE"), 200)
    talk.run(179.0)
    assert talk.calls.halves
    talk.run(2.0)
    assert not talk.calls.halves
    assert talk.is_over()


@BOTH
@pytest.mark.parametrize(("code", "told"), [(403, 403), (503, 500), (603, 603), (200, 200)])
def test_no_report_is_waited_for(who: str, code: int, told: int) -> None:
    talk = Talk()
    near, far = talk.sides(who)
    asked = refer(near, far, "sip:103@192.0.2.1", ("Refer-Sub", "false"), ("Supported", "norefersub"))
    assert asked.message.get("Refer-Sub") == "false"
    far.answer(asked, code, *([("Refer-Sub", "false")] if code == 200 else []))
    near.one(f"{told} REFER")
    near.send("BYE")
    far.answer(far.one("BYE"), 200)
    assert not talk.calls.halves
    near.hears()
    assert talk.is_over()


def test_a_wish_for_no_report_that_is_not_heard() -> None:
    talk = Talk()
    talk.b.answer(refer(talk.a, talk.b, "sip:103@192.0.2.1", ("Refer-Sub", "false")), 202)
    talk.a.send("BYE")
    talk.a.hears()
    talk.b.answer(talk.b.one("BYE"), 200)
    talk.a.answer(notify(talk.b, talk.a, DONE), 200)
    talk.b.one("200 NOTIFY")
    assert talk.is_over()


@BOTH
def test_a_report_that_nobody_wants_leaves_the_call_alive(who: str) -> None:
    talk = Talk()
    near, far = talk.sides(who)
    far.answer(refer(near, far), 202)
    near.one("202 REFER")
    near.answer(notify(far, near, ACTIVE), 481)
    far.one("481 NOTIFY")
    assert talk.calls.live
    near.send("BYE")
    near.hears()
    far.answer(far.one("BYE"), 200)
    assert not talk.calls.halves
    assert talk.is_over()


def test_the_end_of_another_subscription_is_not_that_of_the_transfer() -> None:
    talk = Talk()
    talk.b.answer(refer(talk.a, talk.b), 202)
    talk.a.one("202 REFER")
    talk.b.send("NOTIFY", ("Event", "keep-alive"), DONE)
    talk.a.answer(talk.a.one("NOTIFY"), 200)
    talk.b.one("200 NOTIFY")
    talk.a.send("BYE")
    talk.a.hears()
    talk.b.answer(talk.b.one("BYE"), 200)
    talk.a.answer(notify(talk.b, talk.a, DONE), 200)
    talk.b.one("200 NOTIFY")
    assert not talk.calls.halves
    assert talk.is_over()


@BOTH
def test_a_refer_that_nobody_answers(who: str) -> None:
    talk = Talk()
    near, far = talk.sides(who)
    refer(near, far)
    talk.run(33.0)
    assert near.hears()[:2] == ["504 REFER", "BYE"]
    far.hears()
    talk.run(40.0)
    assert not talk.calls.halves
    assert talk.is_over()


def test_the_report_is_cancelled() -> None:
    talk = Talk()
    talk.b.answer(refer(talk.a, talk.b), 202)
    talk.a.send("BYE")
    talk.a.hears()
    talk.b.answer(talk.b.one("BYE"), 200)
    talk.a.send("SUBSCRIBE", REFER_EVENT, ("Expires", "0"))
    talk.b.answer(talk.b.one("SUBSCRIBE"), 200, ("Expires", "0"))
    assert talk.a.one("200 SUBSCRIBE").message.get("Contact") is not None
    talk.a.answer(notify(talk.b, talk.a, ("Subscription-State", "terminated;reason=timeout")), 200)
    talk.b.one("200 NOTIFY")
    assert talk.is_over()


@BOTH
def test_reports_on_two_transfers_are_told_apart(who: str) -> None:
    """The id is the CSeq number of the REFER, and that is another one on each side (RFC 3515 2.4.6)."""
    talk = Talk()
    near, far = talk.sides(who)
    asked = []
    for number in (50, 60):
        near.seq = number - 1
        asked.append(refer(near, far))
        far.answer(asked[-1], 202)
        near.one("202 REFER")
    near.send("BYE")
    near.hears()
    far.answer(far.one("BYE"), 200)
    for number, sent in zip((60, 50), reversed(asked), strict=True):
        assert talk.calls.halves
        far.send("NOTIFY", ("Event", f"refer;id={sent.message.cseq[0]}"), DONE, FRAG, body=b"SIP/2.0 200 OK\r\n")
        told = near.one("NOTIFY")
        assert told.message.get("Event") == f"refer;id={number}"
        near.answer(told, 200)
        far.one("200 NOTIFY")
    assert not talk.calls.halves
    assert talk.is_over()


def test_a_subscription_is_named_by_its_number_too() -> None:
    talk = Talk()
    talk.a.seq = 69
    asked = refer(talk.a, talk.b)
    talk.b.answer(asked, 202)
    talk.a.one("202 REFER")
    talk.a.send("SUBSCRIBE", ("Event", "refer;id=70"), ("Expires", "60"))
    renewed = talk.b.one("SUBSCRIBE")
    assert renewed.message.get("Event") == f"refer;id={asked.message.cseq[0]}"
    talk.b.answer(renewed, 200, ("Expires", "60"))
    talk.a.one("200 SUBSCRIBE")
    talk.a.answer(notify(talk.b, talk.a, DONE), 200)
    talk.b.one("200 NOTIFY")
    assert talk.hang_up()


def test_the_report_on_a_refer_that_was_challenged() -> None:
    talk = Talk(peers={"trunk-a": {"auth": Credentials("sipacr", "open sesame")}})
    talk.b.seq = 80
    first = refer(talk.b, talk.a)
    talk.a.answer(first, 401, ("WWW-Authenticate", 'Digest realm="trunk", nonce="n1", qop="auth"'))
    talk.a.answer(talk.a.one("REFER"), 202)
    talk.b.one("202 REFER")
    talk.a.send("NOTIFY", ("Event", f"refer;id={first.message.cseq[0] + 1}"), DONE, FRAG, body=b"SIP/2.0 200 OK\r\n")
    told = talk.b.one("NOTIFY")
    assert told.message.get("Event") == "refer;id=81"
    talk.b.answer(told, 200)
    talk.a.one("200 NOTIFY")
    assert not any(half.reports for half in talk.calls.halves.values())
    assert talk.hang_up()


@pytest.mark.parametrize(
    ("targets", "code"),
    [([], 400), (["sip:1@192.0.2.1", "sip:2@192.0.2.1"], 400), (["mailto:anna@example.com"], 416)],
)
def test_a_refer_to_nowhere(targets: list[str], code: int) -> None:
    talk = Talk()
    talk.a.send("REFER", *[("Refer-To", f"<{each}>") for each in targets])
    talk.a.one(f"{code} REFER")
    assert talk.hang_up()


def test_a_report_after_the_bye_that_no_refer_asked_for() -> None:
    talk = Talk()
    talk.a.send("BYE")
    bye = talk.b.one("BYE")
    talk.b.send("NOTIFY", REFER_EVENT, ACTIVE, FRAG, body=b"SIP/2.0 100 Trying\r\n")
    assert talk.b.hears() == ["481 NOTIFY"]
    talk.b.answer(bye, 200)
    talk.a.hears()
    assert talk.is_over()


# Calls that take the place of others


@pytest.mark.parametrize(
    "value", ["x", "x;to-tag=1", "x;from-tag=1", ";to-tag=1;from-tag=2", "", "x;totag=1;fromtag=2"]
)
def test_a_replaces_that_names_no_dialog(value: str) -> None:
    assert read_replaces(value) is None


def test_a_replaces() -> None:
    named = read_replaces("98732@sip.example.com ;from-tag=r33th4x0r ; to-tag=ff87ff;early-only")
    assert named is not None
    assert str(named) == "98732@sip.example.com;to-tag=ff87ff;from-tag=r33th4x0r;early-only"


def replaces_of(end: End) -> str:
    """How this end names its dialog with us to somebody else: the to-tag is ours (RFC 5589 7.3)."""
    return f"{end.call_id};to-tag={parameters(end.remote)['tag']};from-tag={parameters(end.local)['tag']}"


def refer_to(end: End) -> str:
    value = replaces_of(end).replace("@", "%40").replace(";", "%3B").replace("=", "%3D")
    return f"sip:103@192.0.2.1?Replaces={value}"


def embedded(sent: Sent) -> str:
    """The Replaces within the Refer-To of a REFER of ours."""
    uri = uri_of(sent.message.get("Refer-To") or "")
    return unquote(uri.partition("?Replaces=")[2])


@BOTH
def test_an_attended_transfer_names_the_call_as_its_other_end_knows_it(who: str) -> None:
    talk = Talk()
    near, far = talk.sides(who)
    asked = refer(near, far, refer_to(near))
    assert embedded(asked) == (
        f"{far.call_id};to-tag={parameters(far.local)['tag']};from-tag={parameters(far.remote)['tag']}"
    )
    far.answer(asked, 603)
    near.one("603 REFER")
    assert talk.hang_up(who)


def test_what_is_no_call_of_ours_is_not_named_on() -> None:
    talk = Talk()
    asked = refer(talk.a, talk.b, "sip:103@192.0.2.1?Replaces=x%3Bto-tag%3D1%3Bfrom-tag%3D2&Subject=secret")
    assert asked.message.get("Refer-To") == "<sip:103@192.0.2.1:5060>"
    talk.b.answer(asked, 603)
    talk.a.one("603 REFER")
    assert talk.hang_up()


def invite_with(talk: Talk, *replaces: str) -> Message:
    """An INVITE of a third person at the PBX; returns it."""
    message = Message(
        "INVITE",
        "sip:+48601000111@192.0.2.1",
        headers=[
            ("Via", "SIP/2.0/UDP 10.0.0.5:5060;branch=z9hG4bKthird"),
            ("Max-Forwards", "70"),
            ("From", "<sip:103@10.0.0.5>;tag=t3"),
            ("To", "<sip:+48601000111@192.0.2.1>"),
            ("Call-ID", "third"),
            ("CSeq", "1 INVITE"),
            ("Contact", "<sip:third@10.0.0.5>"),
            *[("Replaces", each) for each in replaces],
            *WITH_SDP,
        ],
        body=SDP,
    )
    plan = Plan(talk.engine, Decision("relay", ()), company.facts("103", company.CUSTOMER, "pbx"))
    talk.calls.invite(message, PBX, talk.directory.peers["pbx"], plan)
    talk.run(0.0)
    return message


@pytest.mark.parametrize("as_told", [True, False])
def test_an_invite_that_takes_the_place_of_a_call(as_told: bool) -> None:
    """As a REFER of ours told it, or by who knows his neighbour's dialog with us: it is put through to A."""
    talk = Talk()
    a, b = talk.a, talk.b
    ours = f"{a.call_id};to-tag={parameters(a.local)['tag']};from-tag={parameters(a.remote)['tag']}"
    invite_with(talk, ours if as_told else replaces_of(b))
    leg = a.one("INVITE")
    assert leg.message.get("Replaces") == ours
    assert leg.message.has_token("Require", "replaces")
    assert leg.message.uri.startswith("sip:+48601000111@")
    ok = Message(
        code=200, reason="OK",
        headers=[
            *[each for each in leg.message.headers if each[0] in ("Via", "From", "Call-ID", "CSeq")],
            ("To", f"{leg.message.get('To')};tag=new"), ("Contact", a.contact), *WITH_SDP,
        ],
        body=SDP,
    )  # fmt: skip
    talk.calls.response(ok, leg.flow)
    assert a.hears() == ["ACK"]
    a.send("BYE")  # RFC 3891 3: the call that was replaced
    assert a.hears() == ["200 BYE"]
    heard = b.sent()
    assert [each.message.method or each.message.code for each in heard] == [100, 200, "BYE"]
    b.answer(heard[2], 200)
    assert len(talk.calls.live) == 1
    for call in list(talk.calls.live):
        call.hang_up("Q.850;cause=16")
    talk.run(500.0)
    assert talk.calls.idle


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda value: [value.replace("to-tag=", "to-tag=x")], 481),
        (lambda value: [value + ";early-only"], 486),
        (lambda value: [value, value], 400),
        (lambda value: ["nonsense"], 400),
    ],
)
def test_an_invite_whose_replaces_is_refused(change: object, code: int) -> None:
    talk = Talk()
    assert callable(change)
    invite_with(talk, *change(replaces_of(talk.b)))
    assert talk.b.hears() == [f"{code} INVITE"]
    assert talk.a.hears() == []
    assert talk.hang_up()


def test_a_call_that_is_over_is_not_replaced() -> None:
    talk = Talk()
    talk.b.answer(refer(talk.a, talk.b), 202)
    talk.a.send("BYE")
    talk.a.hears()
    talk.b.answer(talk.b.one("BYE"), 200)
    invite_with(talk, replaces_of(talk.b))
    assert talk.b.hears() == ["603 INVITE"]  # RFC 3891 3
    assert talk.is_over()


def test_a_call_that_rings_is_replaced_only_while_it_rings() -> None:
    talk = Talk(answered=False)
    talk.b.answer(talk.leg, 180, to=talk.b.local)
    talk.meets(next(each for each in talk.a.sent() if each.message.code == 180).message)
    invite_with(talk, replaces_of(talk.b) + ";early-only")
    leg = talk.a.one("INVITE")
    assert (leg.message.get("Replaces") or "").endswith(";early-only")
    talk.a.answer(leg, 486, to=f"{leg.message.get('To')};tag=new")
    assert talk.a.hears() == ["ACK"]
    assert talk.b.hears() == ["100 INVITE", "486 INVITE"]
    talk.pick_up()
    talk.a.ack(talk.invite_of_a)
    assert talk.hang_up()
