"""Stories of requests inside a call: what one end asks, what the other hears and answers (RFC 3261 12 to 15)."""

import pytest

from sipacr.calls.network import Flow
from sipacr.routing.directory import Credentials
from tests.calls.network import CALLER_TCP
from tests.calls.scene import ANSWER, SDP
from tests.calls.talk import HELD, HOLD, Talk

BOTH = pytest.mark.parametrize("who", ["a", "b"])
DTMF = ("Content-Type", "application/dtmf-relay")


@BOTH
def test_hold(who: str) -> None:
    talk = Talk()
    near, far = talk.sides(who)
    invite = near.send("INVITE", body=HOLD)
    assert near.hears() == ["100 INVITE"]
    asked = far.one("INVITE")
    assert asked.message.body == HOLD
    assert asked.message.get("Content-Type") == "application/sdp"
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


@pytest.mark.parametrize(
    ("method", "headers", "body"),
    [
        ("INFO", [DTMF], b"Signal=5\r\nDuration=160\r\n"),
        ("MESSAGE", [("Content-Type", "text/plain")], b"Hello"),
        ("OPTIONS", [("Accept", "application/sdp")], b""),
    ],
)
@BOTH
def test_small_requests(who: str, method: str, headers: list[tuple[str, str]], body: bytes) -> None:
    talk = Talk()
    near, far = talk.sides(who)
    near.send(method, *headers, body=body)
    asked = far.one(method)
    assert asked.message.body == body
    assert asked.message.get(headers[0][0]) == headers[0][1]
    assert asked.message.uri == far.contact.strip("<>")
    far.answer(asked, 180)
    assert near.hears() == []  # RFC 4320 4.1
    far.answer(asked, 200, ("Content-Type", "text/plain"), body=b"Fine")
    assert near.one(f"200 {method}").message.body == b"Fine"
    assert talk.hang_up(who)


@BOTH
def test_a_request_that_nobody_answers(who: str) -> None:
    talk = Talk()
    near, far = talk.sides(who)
    near.send("INFO", DTMF, body=b"Signal=5\r\n")
    talk.run(9.9)
    assert near.hears() == []
    talk.run(0.2)
    assert near.hears() == ["504 INFO"]
    assert set(far.hears()) == {"INFO"}
    talk.run(20.0)
    assert near.hears() == []
    talk.run(2.0)  # timer F: 32 s
    assert near.one("BYE")
    assert far.hears()[-1] == "BYE"
    assert talk.is_over()


@BOTH
def test_an_answer_after_the_deadline_goes_nowhere(who: str) -> None:
    talk = Talk()
    near, far = talk.sides(who)
    near.send("UPDATE", body=HOLD)
    asked = far.one("UPDATE")
    talk.run(11.0)
    near.one("504 UPDATE")
    near.send("UPDATE", body=HOLD)  # the way is free again
    far.answer(asked, 200, body=HELD)
    assert near.hears() == []
    far.answer(far.sent()[-1], 200, body=HELD)
    near.one("200 UPDATE")
    assert talk.hang_up(who)


@BOTH
@pytest.mark.parametrize(
    ("method", "code", "passed"),
    [("INVITE", 481, 481), ("INVITE", 408, 408), ("INFO", 481, 481), ("INFO", 408, 504), ("UPDATE", 481, 481)],
)
def test_who_does_not_know_the_dialog_any_more_ends_both(who: str, method: str, code: int, passed: int) -> None:
    talk = Talk()
    near, far = talk.sides(who)
    sent = near.send(method, body=HOLD)
    far.answer(far.one(method), code)
    assert [each for each in near.hears() if each != "100 INVITE"] == [f"{passed} {method}", "BYE"]
    assert far.hears()[-1] == "BYE"
    if method == "INVITE":
        near.ack_refusal(sent)
    assert talk.is_over()


def test_a_broken_connection_under_a_request_ends_both() -> None:
    talk = Talk(flow=CALLER_TCP)
    talk.b.send("INFO", DTMF, body=b"Signal=5\r\n")
    talk.a.one("INFO")
    talk.calls.failed(CALLER_TCP)
    talk.run(0.0)
    assert talk.b.hears() == ["504 INFO", "BYE"]
    assert talk.a.hears() == ["BYE"]
    assert talk.is_over()


def test_a_newer_connection_takes_the_place_of_an_older_one() -> None:
    talk = Talk(flow=CALLER_TCP)
    newer = CALLER_TCP._replace(port=40002, number=12)
    talk.a.send("INFO", DTMF, body=b"Signal=5\r\n", flow=newer)
    talk.b.answer(talk.b.one("INFO"), 200)
    assert talk.a.sent()[0].flow == newer
    talk.calls.failed(CALLER_TCP)
    talk.b.send("INFO", DTMF, body=b"Signal=6\r\n")
    asked = talk.a.one("INFO")
    assert asked.flow == newer
    talk.a.answer(asked, 200)
    talk.b.one("200 INFO")
    assert talk.hang_up()


def test_a_broken_connection_is_replaced_by_one_to_the_same_peer() -> None:
    talk = Talk(flow=CALLER_TCP, peers={"trunk-a": {"transport": "tcp"}})
    talk.calls.failed(CALLER_TCP)
    talk.b.send("INFO", DTMF, body=b"Signal=5\r\n")
    asked = talk.a.one("INFO")
    assert asked.flow.transport == "tcp"
    assert asked.flow.number != CALLER_TCP.number
    talk.a.answer(asked, 200)
    assert talk.b.hears() == ["200 INFO"]
    assert talk.hang_up()


def test_the_connection_of_who_re_invites_breaks() -> None:
    talk = Talk(flow=CALLER_TCP)
    invite = talk.a.send("INVITE", body=HOLD)
    asked = talk.b.one("INVITE")
    talk.b.answer(asked, 180)
    talk.calls.failed(CALLER_TCP)
    talk.run(0.0)
    talk.b.answer(talk.b.one("CANCEL"), 200)
    talk.b.answer(asked, 487)
    assert talk.b.hears() == ["ACK"]
    talk.asked.remove(invite)  # it cannot be answered any more
    talk.a.hears()
    assert talk.calls.live
    assert talk.hang_up("b")


def test_a_request_by_tcp_in_a_call_by_udp_is_an_exception() -> None:
    talk = Talk()
    flow = Flow("tcp", talk.a.flow.host, 40007, 17)
    talk.a.send("INFO", DTMF, body=b"Signal=5\r\n", flow=flow)
    talk.b.answer(talk.b.one("INFO"), 200)
    assert talk.a.sent()[0].flow == flow
    talk.b.send("OPTIONS")
    asked = talk.a.one("OPTIONS")
    assert asked.flow.transport == "udp"
    talk.a.answer(asked, 200)
    talk.b.one("200 OPTIONS")
    assert talk.hang_up()


@BOTH
def test_out_of_order_and_gaps(who: str) -> None:
    talk = Talk()
    near, far = talk.sides(who)
    near.send("INFO", DTMF, body=b"Signal=5\r\n", seq=40)
    far.answer(far.one("INFO"), 200)
    near.one("200 INFO")
    near.send("INFO", DTMF, body=b"Signal=6\r\n", seq=39)
    near.one("500 INFO")
    near.send("INFO", DTMF, body=b"Signal=7\r\n", seq=1000)
    asked = far.one("INFO").message
    assert asked.body == b"Signal=7\r\n"
    far.answer(far.talk.network.sent[-1], 200)
    near.one("200 INFO")
    assert talk.hang_up(who)


def test_our_own_requests_are_numbered_without_gaps() -> None:
    talk = Talk()
    for _ in range(3):
        talk.a.send("INFO", DTMF, body=b"Signal=5\r\n", seq=talk.a.seq + 7)
        asked = talk.b.one("INFO")
        talk.b.answer(asked, 200)
        assert talk.a.hears() == ["200 INFO"]
    assert asked.message.get("CSeq") == "4 INFO"
    assert talk.hang_up()


@BOTH
def test_what_is_required_and_unknown(who: str) -> None:
    talk = Talk()
    near, _ = talk.sides(who)
    invite = near.send("INVITE", ("Require", "precondition, timer"), body=HOLD)
    assert near.one("420 INVITE").message.get("Unsupported") == "precondition"
    near.ack_refusal(invite)
    assert talk.hang_up(who)


def test_a_subscription_to_anything_but_a_transfer_is_refused() -> None:
    talk = Talk()
    talk.a.send("SUBSCRIBE", ("Event", "dialog"))
    assert talk.a.one("489 SUBSCRIBE").message.get("Allow-Events") == "refer"
    assert talk.hang_up()


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


CREDENTIALS = Credentials("sipacr", "open sesame")
CHALLENGE = ("WWW-Authenticate", 'Digest realm="trunk", nonce="n1", qop="auth"')


def test_the_trunks_challenge_is_answered() -> None:
    talk = Talk(peers={"trunk-a": {"auth": CREDENTIALS}})
    invite = talk.b.send("INVITE", body=HOLD)
    first = talk.a.one("INVITE")
    talk.a.answer(first, 401, CHALLENGE)
    assert talk.b.hears() == ["100 INVITE"]
    heard = talk.a.sent()
    assert [each.message.method for each in heard] == ["ACK", "INVITE"]
    assert heard[1].message.cseq[0] == first.message.cseq[0] + 1
    assert 'username="sipacr"' in (heard[1].message.get("Authorization") or "")
    assert f'uri="{heard[1].message.uri}"' in (heard[1].message.get("Authorization") or "")
    talk.a.answer(heard[1], 200, body=HELD)
    assert talk.a.one("ACK").message.get("Authorization") == heard[1].message.get("Authorization")
    talk.b.one("200 INVITE")
    talk.b.ack(invite)
    talk.b.send("BYE", ("Reason", "Q.850;cause=16"))
    talk.a.answer(
        talk.a.one("BYE"), 401, ("WWW-Authenticate", 'Digest realm="trunk", nonce="n2", qop="auth", stale=true')
    )
    bye = talk.a.one("BYE").message
    assert (bye.get("Reason"), 'nonce="n2"' in (bye.get("Authorization") or "")) == ("Q.850;cause=16", True)
    talk.a.answer(talk.network.sent[-1], 200)
    assert talk.is_over()


def test_wrong_credentials_are_not_tried_for_ever() -> None:
    talk = Talk(peers={"trunk-a": {"auth": CREDENTIALS}})
    talk.b.send("INFO", DTMF, body=b"Signal=5\r\n")
    for number in range(2):
        asked = talk.a.one("INFO")
        talk.a.answer(asked, 401, ("WWW-Authenticate", f'Digest realm="trunk", nonce="n{number}", qop="auth"'))
    assert talk.a.hears() == []
    talk.b.one("500 INFO")
    assert talk.hang_up()
