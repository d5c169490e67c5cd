"""Stories of how calls end: BYE, alone and with other things on their way (RFC 3261 15)."""

import pytest

from sipacr.routing.directory import Credentials
from tests.calls.network import CALLER_TCP
from tests.calls.scene import ANSWER
from tests.calls.talk import HELD, HOLD, Talk

BOTH = pytest.mark.parametrize("who", ["a", "b"])
DTMF = ("Content-Type", "application/dtmf-relay")


@BOTH
@pytest.mark.parametrize("late_offer", [False, True])
def test_bye_while_an_ack_is_due(who: str, late_offer: bool) -> None:
    talk = Talk()
    near, far = talk.sides(who)
    invite = near.send("INVITE", body=b"" if late_offer else HOLD)
    far.answer(far.one("INVITE"), 200, body=HELD)
    near.one("200 INVITE")
    far.hears()
    far.send("BYE")
    assert far.hears() == (["200 BYE", "ACK"] if late_offer else ["200 BYE"])
    assert near.hears() == []  # who has sent a 2xx waits for its ACK before he says BYE (15)
    near.ack(invite, body=ANSWER if late_offer else b"")
    assert far.hears() == []
    near.answer(near.one("BYE"), 200)
    assert talk.is_over()


@BOTH
def test_bye_by_the_one_who_owes_the_ack(who: str) -> None:
    talk = Talk()
    near, far = talk.sides(who)
    near.send("INVITE")
    far.answer(far.one("INVITE"), 200, body=HELD)
    near.send("BYE")
    assert near.hears()[-1] == "200 BYE"
    heard = far.sent()
    assert [each.message.method for each in heard] == ["ACK", "BYE"]
    assert b"m=audio 0 " in heard[0].message.body
    far.answer(heard[1], 200)
    assert talk.is_over()


@BOTH
def test_bye_with_its_reason(who: str) -> None:
    talk = Talk()
    near, far = talk.sides(who)
    near.send(
        "BYE",
        ("Reason", 'Q.850;cause=16;text="Cleared by pbx.secret.example"'),
        ("User-to-User", "56a390;encoding=hex"),
    )
    bye = far.one("BYE")
    assert bye.message.get("Reason") == "Q.850;cause=16"
    assert bye.message.get("User-to-User") == "56a390;encoding=hex"
    far.answer(bye, 200)
    assert not far.hand_in(far.message("BYE", 9, "z9hG4bKlate"))  # 481, as the driver answers what nobody knows
    talk.asked.pop()
    assert talk.is_over()


def test_byes_that_cross() -> None:
    talk = Talk()
    talk.a.send("BYE")
    bye = talk.b.one("BYE")
    talk.b.send("BYE")
    assert talk.b.hears() == ["200 BYE"]
    talk.b.answer(bye, 481)
    assert talk.a.hears() == ["200 BYE"]
    assert talk.is_over()


def test_a_repeated_bye_is_answered_again() -> None:
    talk = Talk()
    bye = talk.a.send("BYE")
    talk.b.answer(talk.b.one("BYE"), 200)
    assert talk.a.hand_in(bye)
    assert talk.a.hears() == ["200 BYE", "200 BYE"]
    assert talk.is_over()


@BOTH
def test_a_bye_that_nobody_answers(who: str) -> None:
    talk = Talk()
    near, far = talk.sides(who)
    near.send("BYE")
    assert near.hears() == ["200 BYE"]
    talk.run(31.0)
    assert far.hears() == ["BYE"] * 10
    assert talk.is_over()


@BOTH
def test_bye_while_a_request_of_the_same_end_is_on_its_way(who: str) -> None:
    talk = Talk()
    near, far = talk.sides(who)
    invite = near.send("INVITE", body=HOLD)
    asked = far.one("INVITE")
    far.answer(asked, 100)
    near.send("INFO", DTMF, body=b"Signal=5\r\n")
    info = far.one("INFO")
    near.hears()
    near.send("BYE")
    assert near.hears() == ["200 BYE", "487 INVITE", "487 INFO"]  # 15.1.2
    near.ack_refusal(invite)
    bye = far.one("BYE")
    far.answer(bye, 200)
    far.answer(asked, 487)
    far.answer(info, 487)
    assert far.hears() == ["ACK"]
    assert near.hears() == []
    assert talk.is_over()


@BOTH
@pytest.mark.parametrize("late_offer", [False, True])
def test_bye_that_crosses_the_answer_to_a_re_invite(who: str, late_offer: bool) -> None:
    talk = Talk()
    near, far = talk.sides(who)
    invite = near.send("INVITE", body=b"" if late_offer else HOLD)
    asked = far.one("INVITE")
    near.send("BYE")
    near.ack_refusal(invite)
    bye = far.one("BYE")
    answer = far.answer(asked, 200, body=HELD)
    ack = far.one("ACK")
    assert (b"m=audio 0 " in ack.message.body) == late_offer
    far.repeat(answer)
    assert [each.data for each in far.sent()] == [ack.data]
    far.answer(bye, 200)
    assert talk.is_over()


@BOTH
def test_bye_by_the_end_that_owes_an_answer(who: str) -> None:
    talk = Talk()
    near, far = talk.sides(who)
    invite = near.send("INVITE", body=HOLD)
    asked = far.one("INVITE")
    far.send("BYE")
    assert far.hears() == ["200 BYE"]
    near.answer(next(each for each in near.sent() if each.message.method == "BYE"), 200)
    far.answer(asked, 487)
    near.one("487 INVITE")
    near.ack_refusal(invite)
    assert talk.is_over()


@BOTH
def test_an_answer_that_is_still_owed_after_the_call_is_not_waited_for(who: str) -> None:
    talk = Talk()
    near, far = talk.sides(who)
    invite = near.send("INVITE", body=HOLD)
    far.answer(far.one("INVITE"), 100)
    far.send("BYE")
    near.hears()
    talk.run(10.1)
    assert "487 INVITE" in near.hears()
    near.ack_refusal(invite)
    assert "CANCEL" in far.hears()
    assert talk.is_over()


@BOTH
@pytest.mark.parametrize("late_offer", [False, True])
def test_who_hangs_up_and_then_accepts_a_re_invite(who: str, late_offer: bool) -> None:
    talk = Talk()
    near, far = talk.sides(who)
    invite = near.send("INVITE", body=b"" if late_offer else HOLD)
    asked = far.one("INVITE")
    far.send("BYE")
    far.one("200 BYE")
    near.answer(near.one("BYE"), 200)
    far.answer(asked, 200, body=HELD)
    near.one("487 INVITE")
    near.ack_refusal(invite)
    assert (b"m=audio 0 " in far.one("ACK").message.body) == late_offer
    assert talk.is_over()


@BOTH
@pytest.mark.parametrize("late_offer", [False, True])
def test_bye_while_an_ack_is_due_that_never_comes(who: str, late_offer: bool) -> None:
    talk = Talk()
    near, far = talk.sides(who)
    near.send("INVITE", body=b"" if late_offer else HOLD)
    far.answer(far.one("INVITE"), 200, body=HELD)
    far.send("BYE")
    talk.run(31.9)
    assert set(near.hears()) == {"100 INVITE", "200 INVITE"}
    talk.run(0.2)
    near.answer(near.one("BYE"), 200)
    assert sorted(far.hears()) == ["200 BYE", "ACK"]
    assert talk.is_over()


def test_a_bye_whose_connection_breaks() -> None:
    talk = Talk(flow=CALLER_TCP)
    talk.b.send("BYE")
    talk.a.one("BYE")
    talk.calls.failed(CALLER_TCP)
    talk.run(0.0)
    assert not talk.calls.halves
    talk.b.one("200 BYE")
    assert talk.is_over()


def test_what_the_bye_of_one_who_hides_tells_the_other_side() -> None:
    talk = Talk(peers={"trunk-a": {"trusted": True}})
    talk.a.send("BYE", ("Privacy", "id"), ("Identity", "abc;info=<https://a.example/c.pem>"), ("Subject", "x"))
    bye = talk.b.one("BYE")
    assert (bye.message.get("Identity"), bye.message.get("Subject")) == (None, "x")
    talk.b.answer(bye, 200)
    talk.a.one("200 BYE")
    assert talk.is_over()


def test_a_bye_is_sent_again_with_credentials_but_once() -> None:
    talk = Talk(peers={"trunk-a": {"auth": Credentials("sipacr", "open sesame")}})
    talk.b.send("BYE")
    for number in range(2):
        challenge = ("WWW-Authenticate", f'Digest realm="trunk", nonce="n{number}", qop="auth", stale=true')
        talk.a.answer(talk.a.one("BYE"), 401, challenge)
    assert talk.a.hears() == []
    talk.b.one("200 BYE")
    assert talk.is_over()
