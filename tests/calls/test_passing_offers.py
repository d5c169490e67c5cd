"""Stories of offers inside a call: re-INVITE and UPDATE (RFC 3261 14, 3264, 3311, 6141)."""

import pytest

from tests.calls.scene import ANSWER, SDP
from tests.calls.talk import HELD, HOLD, Talk

BOTH = pytest.mark.parametrize("who", ["a", "b"])


@BOTH
def test_hold(who: str) -> None:
    talk = Talk()
    near, far = talk.sides(who)
    invite = near.send("INVITE", body=HOLD)
    assert near.hears() == ["100 INVITE"]
    asked = far.one("INVITE")
    assert asked.message.body == HOLD
    assert asked.message.get("Content-Type") == "application/sdp"
    far.answer(asked, 100)
    assert near.hears() == []  # that was for one hop (16.7)
    far.answer(asked, 200, body=HELD)
    assert far.hears() == ["ACK"]
    ok = near.one("200 INVITE").message
    assert ok.body == HELD
    assert len(ok.lines("Contact")) == 1
    near.ack(invite)
    talk.run(1.0)
    assert (near.hears(), far.hears()) == ([], [])
    assert talk.hang_up(who)


@BOTH
def test_a_late_offer_is_answered_in_the_ack(who: str) -> None:
    talk = Talk()
    near, far = talk.sides(who)
    invite = near.send("INVITE")
    answer = far.answer(far.one("INVITE"), 200, body=SDP)
    assert near.one("200 INVITE").message.body == SDP
    far.repeat(answer)
    assert far.hears() == []  # the ACK is to carry what has not been said yet
    near.ack(invite, body=ANSWER)
    ack = far.one("ACK").message
    assert (ack.body, ack.get("Content-Type")) == (ANSWER, "application/sdp")
    far.repeat(answer)
    assert far.one("ACK").message.body == ANSWER
    assert talk.hang_up(who)


@BOTH
def test_nothing_new_is_offered_before_a_late_offer_is_answered(who: str) -> None:
    talk = Talk()
    near, far = talk.sides(who)
    invite = near.send("INVITE")
    far.answer(far.one("INVITE"), 200, body=SDP)
    near.one("200 INVITE")
    crossing = far.send("INVITE", body=HOLD)
    far.one("491 INVITE")
    far.ack_refusal(crossing)
    near.ack(invite, body=ANSWER)
    far.one("ACK")
    again = far.send("INVITE", body=HOLD)
    near.answer(near.one("INVITE"), 200, body=HELD)
    assert far.hears() == ["100 INVITE", "200 INVITE"]
    far.ack(again)
    assert talk.hang_up(who)


def test_nothing_is_offered_before_the_late_offer_of_the_call_is_answered() -> None:
    talk = Talk(late_offer=True, answered=False)
    talk.pick_up()
    refused = talk.b.send("INVITE", body=HOLD)
    talk.b.one("491 INVITE")
    talk.b.ack_refusal(refused)
    talk.a.ack(talk.invite_of_a, body=ANSWER)
    talk.b.one("ACK")
    assert talk.hang_up()


def test_a_re_invite_may_overtake_the_ack() -> None:
    talk = Talk(answered=False)
    talk.pick_up()
    invite = talk.b.send("INVITE", body=HOLD)
    asked = talk.a.one("INVITE")
    talk.a.ack(talk.invite_of_a)
    talk.a.answer(asked, 200, body=HELD)
    assert talk.b.hears() == ["100 INVITE", "200 INVITE"]
    talk.b.ack(invite)
    assert talk.hang_up()


@BOTH
@pytest.mark.parametrize("code", [415, 488, 606])
def test_a_refused_re_invite_leaves_the_call_alive(who: str, code: int) -> None:
    talk = Talk()
    near, far = talk.sides(who)
    invite = near.send("INVITE", body=HOLD)
    far.answer(far.one("INVITE"), code, ("Warning", f'304 {far.flow.host} "Media type not available"'))
    assert far.hears() == ["ACK"]
    refusal = near.one(f"{code} INVITE").message
    assert refusal.get("Warning") == '304 192.0.2.1:5060 "Media type not available"'
    near.ack_refusal(invite)
    talk.run(60.0)
    assert near.hears() == []  # the ACK has reached the transaction, which repeats nothing
    assert talk.calls.live
    assert talk.hang_up(who)


@BOTH
@pytest.mark.parametrize(("code", "passed"), [(301, 500), (401, 500), (407, 500), (503, 500), (500, 500), (404, 404)])
def test_what_nobody_is_told(who: str, code: int, passed: int) -> None:
    talk = Talk()
    near, far = talk.sides(who)
    invite = near.send("INVITE", body=HOLD)
    headers = [("WWW-Authenticate", 'Digest realm="x", nonce="y"'), ("Retry-After", "600")]
    far.answer(far.one("INVITE"), code, *(headers if code in (401, 407, 503) else []))
    refusal = near.one(f"{passed} INVITE").message
    assert refusal.get("WWW-Authenticate") is None
    assert refusal.get("Contact") is None
    assert code != 503 or refusal.get("Retry-After") is None
    near.ack_refusal(invite)
    assert talk.calls.live
    assert talk.hang_up(who)


@BOTH
def test_a_cancelled_re_invite(who: str) -> None:
    talk = Talk()
    near, far = talk.sides(who)
    invite = near.send("INVITE", body=HOLD)
    asked = far.one("INVITE")
    far.answer(asked, 180)
    assert near.hears() == ["100 INVITE", "180 INVITE"]
    near.cancel(invite)
    near.one("200 CANCEL")
    cancel = far.one("CANCEL")
    far.answer(cancel, 200)
    far.answer(asked, 487)
    assert far.hears() == ["ACK"]
    near.one("487 INVITE")
    near.ack_refusal(invite)
    assert talk.calls.live
    assert talk.hang_up(who)


@BOTH
def test_why_a_re_invite_was_cancelled(who: str) -> None:
    talk = Talk()
    near, far = talk.sides(who)
    invite = near.send("INVITE", body=HOLD)
    asked = far.one("INVITE")
    far.answer(asked, 100)
    near.cancel(invite, ("Reason", f'SIP;cause=480;text="by {near.flow.host}"'))
    assert far.one("CANCEL").message.get("Reason") == "SIP;cause=480"
    far.answer(asked, 487)
    near.hears()
    near.ack_refusal(invite)
    assert talk.hang_up(who)


@BOTH
def test_a_re_invite_that_is_never_decided_is_given_up(who: str) -> None:
    talk = Talk()
    near, far = talk.sides(who)
    invite = near.send("INVITE", body=HOLD)
    asked = far.one("INVITE")
    far.answer(asked, 100)
    talk.run(180.0)
    assert far.hears() == []
    talk.run(1.0)
    far.answer(far.one("CANCEL"), 200)
    far.answer(asked, 487)
    assert far.hears() == ["ACK"]
    near.one("487 INVITE")
    near.ack_refusal(invite)
    assert talk.calls.live
    assert talk.hang_up(who)


@BOTH
def test_a_cancel_that_crosses_the_answer_changes_nothing(who: str) -> None:
    talk = Talk()
    near, far = talk.sides(who)
    invite = near.send("INVITE", body=HOLD)
    asked = far.one("INVITE")
    near.cancel(invite)
    near.hears()
    far.answer(asked, 200, body=HELD)
    assert far.hears() == ["ACK"]
    near.one("200 INVITE")
    near.ack(invite)
    assert talk.hang_up(who)


@BOTH
def test_a_re_invite_is_cancelled_and_never_answered(who: str) -> None:
    talk = Talk()
    near, far = talk.sides(who)
    invite = near.send("INVITE", body=HOLD)
    far.answer(far.one("INVITE"), 183)
    near.cancel(invite)
    near.hears()
    far.answer(far.one("CANCEL"), 200)
    talk.run(33.0)
    assert sorted(set(near.hears())) == ["408 INVITE", "BYE"]
    near.ack_refusal(invite)
    assert far.hears()[0] == "BYE"
    assert talk.is_over()


@BOTH
def test_a_lost_2xx_and_a_lost_ack(who: str) -> None:
    talk = Talk()
    near, far = talk.sides(who)
    invite = near.send("INVITE", body=HOLD)
    answer = far.answer(far.one("INVITE"), 200, body=HELD)
    ack = far.one("ACK")
    near.one("200 INVITE")
    talk.run(1.6)  # nobody acknowledges: it comes again after 0.5 and 1.5 s, whatever the transport
    assert near.hears() == ["200 INVITE"] * 2
    far.repeat(answer)  # ours was lost
    assert [each.data for each in far.sent()] == [ack.data]
    near.hand_in(invite)  # and the INVITE comes again
    near.ack(invite)
    near.ack(invite)
    talk.run(40.0)
    assert (near.hears(), far.hears()) == ([], [])
    talk.asked.remove(invite)
    assert talk.hang_up(who)


@BOTH
def test_every_2xx_gets_its_own_ack_again(who: str) -> None:
    talk = Talk()
    near, far = talk.sides(who)
    answers, acks = [], []
    for body in (HOLD, SDP):
        invite = near.send("INVITE", body=body)
        answers.append(far.answer(far.one("INVITE"), 200, body=HELD))
        acks.append(far.one("ACK").data)
        near.hears()
        near.ack(invite)
    for answer, ack in zip(answers, acks, strict=True):
        far.repeat(answer)
        assert [each.data for each in far.sent()] == [ack]
    assert talk.hang_up(who)


@BOTH
@pytest.mark.parametrize("late_offer", [False, True])
def test_an_ack_that_never_comes_ends_the_call(who: str, late_offer: bool) -> None:
    talk = Talk()
    near, far = talk.sides(who)
    near.send("INVITE", body=b"" if late_offer else HOLD)
    far.answer(far.one("INVITE"), 200, body=HELD)
    talk.run(31.9)
    assert set(near.hears()) == {"100 INVITE", "200 INVITE"}
    talk.run(0.2)
    assert near.hears() == ["BYE"]
    heard = far.sent()
    assert [each.message.method for each in heard] == ["ACK", "BYE"]
    assert (b"m=audio 0 " in heard[0].message.body) == late_offer
    assert talk.is_over()


@BOTH
def test_offers_that_cross(who: str) -> None:
    talk = Talk()
    near, far = talk.sides(who)
    invite = near.send("INVITE", body=HOLD)
    asked = far.one("INVITE")
    crossing = far.send("INVITE", body=HOLD)
    assert far.hears() == ["491 INVITE"]
    far.ack_refusal(crossing)
    far.answer(asked, 491)
    assert far.hears() == ["ACK"]
    near.one("491 INVITE")
    near.ack_refusal(invite)
    for each, other in ((near, far), (far, near)):  # both try again, one after the other
        again = each.send("INVITE", body=SDP)
        other.answer(other.one("INVITE"), 200, body=ANSWER)
        assert each.hears() == ["100 INVITE", "200 INVITE"]
        each.ack(again)
        assert other.hears() == ["ACK"]
    assert talk.hang_up(who)


@BOTH
@pytest.mark.parametrize("second", ["INVITE", "UPDATE"])
def test_a_second_offer_before_the_first_is_answered(who: str, second: str) -> None:
    talk = Talk()
    near, far = talk.sides(who)
    invite = near.send("INVITE", body=HOLD)
    asked = far.one("INVITE")
    other = near.send(second, body=SDP)
    refusal = near.one(f"500 {second}").message
    assert 0 <= int(refusal.get("Retry-After") or "") <= 10
    if second == "INVITE":
        near.ack_refusal(other)
    far.answer(asked, 200, body=HELD)
    near.hears()
    near.ack(invite)
    assert talk.hang_up(who)


@BOTH
def test_an_offer_is_answered_before_the_next_of_the_other_side(who: str) -> None:
    talk = Talk()
    near, far = talk.sides(who)
    near.send("UPDATE", body=HOLD)
    asked = far.one("UPDATE")
    far.send("UPDATE", body=HOLD)
    far.one("491 UPDATE")
    crossing = far.send("INVITE", body=HOLD)
    far.one("491 INVITE")
    far.ack_refusal(crossing)
    far.answer(asked, 200, body=HELD)
    ok = near.one("200 UPDATE").message
    assert (ok.body, len(ok.lines("Contact"))) == (HELD, 1)
    far.send("UPDATE", body=HOLD)
    near.answer(near.one("UPDATE"), 200, body=HELD)
    assert far.hears() == ["200 UPDATE"]
    assert talk.hang_up(who)


@BOTH
def test_an_update_without_an_offer_passes_while_an_invite_is_on_its_way(who: str) -> None:
    talk = Talk()
    near, far = talk.sides(who)
    invite = near.send("INVITE", body=HOLD)
    asked = far.one("INVITE")
    far.send("UPDATE")
    near.answer(next(each for each in near.sent() if each.message.method), 200)
    far.one("200 UPDATE")
    near.send("UPDATE")
    update = far.one("UPDATE")
    near.send("UPDATE")
    near.one("500 UPDATE")
    far.answer(update, 200)
    far.answer(asked, 200, body=HELD)
    assert near.hears() == ["200 UPDATE", "200 INVITE"]
    near.ack(invite)
    assert talk.hang_up(who)


@BOTH
def test_an_answer_with_another_to_tag_changes_no_dialog(who: str) -> None:
    talk = Talk()
    near, far = talk.sides(who)
    invite = near.send("INVITE", body=HOLD)
    asked = far.one("INVITE")
    far.answer(asked, 200, to=far.local.rpartition(";")[0] + ";tag=other", body=HELD)
    assert far.one("ACK").message.get("To") == asked.message.get("To")
    assert near.one("200 INVITE").message.get("To") == invite.get("To")
    near.ack(invite)
    assert talk.hang_up(who)


@BOTH
def test_a_provisional_that_was_to_be_reliable_is_left_out(who: str) -> None:
    talk = Talk()
    near, far = talk.sides(who)
    invite = near.send("INVITE", ("Require", "100rel"), body=HOLD)
    asked = far.one("INVITE")
    assert not asked.message.has_token("Require", "100rel")
    far.answer(asked, 183, body=HELD)
    far.answer(asked, 200, body=HELD)
    assert near.hears() == ["100 INVITE", "200 INVITE"]
    near.ack(invite)
    assert talk.hang_up(who)


@pytest.mark.parametrize("who", ["a", "b"])
def test_an_early_update(who: str) -> None:
    talk = Talk(answered=False)
    talk.b.answer(talk.leg, 183, to=talk.b.local, body=ANSWER)
    talk.meets(next(each for each in talk.a.sent() if each.message.code == 183).message)
    near, far = talk.sides(who)
    near.send("UPDATE", body=HOLD)
    asked = far.one("UPDATE")
    assert asked.message.get("Session-Expires") is None
    far.answer(asked, 200, body=HELD)
    assert near.one("200 UPDATE").message.body == HELD
    talk.pick_up()
    talk.a.ack(talk.invite_of_a)
    assert talk.hang_up()


def test_no_second_invite_within_the_first() -> None:
    talk = Talk(answered=False)
    talk.b.answer(talk.leg, 180, to=talk.b.local)
    talk.meets(next(each for each in talk.a.sent() if each.message.code == 180).message)
    invite = talk.a.send("INVITE", body=HOLD)
    assert talk.a.one("500 INVITE").message.get("Retry-After") is not None
    talk.a.ack_refusal(invite)
    invite = talk.b.send("INVITE", body=HOLD)
    talk.b.one("491 INVITE")
    talk.b.ack_refusal(invite)
    talk.pick_up()
    talk.a.ack(talk.invite_of_a)
    assert talk.hang_up()


def test_the_acks_of_long_ago_are_forgotten() -> None:
    talk = Talk()
    answers = []
    for _ in range(6):
        invite = talk.a.send("INVITE", body=HOLD)
        answers.append(talk.b.answer(talk.b.one("INVITE"), 200, body=HELD))
        talk.b.one("ACK")
        talk.a.one("200 INVITE")
        talk.a.ack(invite)
    heard = []
    for answer in answers:
        talk.b.repeat(answer)
        heard.append(talk.b.hears())
    assert heard == [[], [], ["ACK"], ["ACK"], ["ACK"], ["ACK"]]
    assert talk.hang_up()
