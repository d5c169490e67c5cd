"""Stories of calls: what the far ends send, and what they hear."""

from tests.calls.scene import ANSWER, SDP, WITH_SDP, Scene
from tests.company import route, step, to

FIRST_ANNA = route("first anna", step("agent", "anna", ring=10.0), to("queue-main"))


def test_a_call_is_answered_and_hung_up_by_the_caller() -> None:
    scene = Scene(FIRST_ANNA)
    invite = scene.invite()
    assert scene.starts() == ["100 INVITE > 198.51.100.1", "INVITE > 10.0.0.5"]


def test_the_whole_of_a_call() -> None:
    scene = Scene(FIRST_ANNA)
    invite = scene.invite()
    leg = scene.one("INVITE")
    assert leg.message.uri == "sip:101@10.0.0.5:5060"
    assert leg.message.body == SDP
    scene.answer(leg, 100)
    scene.answer(leg, 180)
    assert scene.starts() == ["180 INVITE > 198.51.100.1"]
    scene.answer(leg, 200, headers=WITH_SDP, body=ANSWER)
    said = scene.said()
    assert [each.message.method or each.message.code for each in said] == ["ACK", 200]
    ok = said[1].message
    assert ok.body == ANSWER
    scene.ack(invite, ok)
    scene.run(5.0)
    assert scene.starts() == []
    scene.caller_sends("BYE", invite, ok, headers=[("Reason", "Q.850;cause=16")])
    said = scene.said()
    assert [each.message.method or each.message.code for each in said] == [200, "BYE"]
    assert said[1].message.get("Reason") == "Q.850;cause=16"
    scene.answer(said[1], 200)
    assert scene.is_over()


def test_busy_goes_to_the_next_step() -> None:
    scene = Scene(FIRST_ANNA)
    scene.invite()
    leg = scene.one("INVITE")
    scene.answer(leg, 486)
    said = scene.said()
    assert [each.message.method for each in said] == ["ACK", "INVITE"]
    assert said[1].message.uri == "sip:600@10.0.0.5:5060"
    scene.answer(said[1], 486)
    assert scene.starts() == ["ACK > 10.0.0.5", "486 INVITE > 198.51.100.1"]
    assert scene.is_over()


def test_who_does_not_answer_in_time_is_cancelled() -> None:
    scene = Scene(FIRST_ANNA)
    scene.invite()
    leg = scene.one("INVITE")
    scene.answer(leg, 180)
    scene.said()
    scene.run(10.0)
    assert scene.starts() == ["CANCEL > 10.0.0.5", "INVITE > 10.0.0.5"]
    scene.answer(leg, 200, headers=WITH_SDP, body=ANSWER)  # it crossed the CANCEL
    assert scene.starts() == ["ACK > 10.0.0.5", "BYE > 10.0.0.5"]


def test_a_caller_who_gives_up_cancels_all() -> None:
    scene = Scene(FIRST_ANNA)
    invite = scene.invite()
    leg = scene.one("INVITE")
    scene.answer(leg, 180)
    scene.said()
    cancel = type(invite)("CANCEL", invite.uri, headers=[*invite.headers[:-3], ("CSeq", "1 CANCEL")])
    assert scene.calls.request(cancel, scene.network.sent[0].flow, scene.directory.peers["trunk-a"])
    assert scene.starts() == ["200 CANCEL > 198.51.100.1", "CANCEL > 10.0.0.5", "487 INVITE > 198.51.100.1"]


def test_hung_up_by_the_callee_before_the_caller_has_acknowledged() -> None:
    scene = Scene(FIRST_ANNA)
    invite = scene.invite()
    leg = scene.one("INVITE")
    scene.answer(leg, 200, headers=WITH_SDP, body=ANSWER)
    ok = scene.said()[-1].message
    scene.callee_sends("BYE", leg)
    assert scene.starts() == ["200 BYE > 10.0.0.5"]
    scene.ack(invite, ok)
    assert scene.starts() == ["BYE > 198.51.100.1"]
