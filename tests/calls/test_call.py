"""Stories of whole calls: answered, given up, taken by one of many, refused; who is counted as busy meanwhile."""

import pytest

from sipacr.calls.call import COMPLETED_ELSEWHERE
from sipacr.calls.message import Message, tag
from sipacr.routing.ruleset import RejectWith
from tests.calls.network import CALLER_TCP, Sent, start
from tests.calls.scene import ANSWER, SDP, WITH_SDP, Scene, calling
from tests.company import reject, route, step, to

FIRST_ANNA = route("first anna", step("agent", "anna", ring=10.0), to("queue-main"))
QUEUE = route("queue", to("queue-main"), else_="end")
ALL = route("all", step("group", "sales", order="all", ring=60.0), else_="end")


def methods(sent: list[Sent]) -> list[str]:
    return [start(each.message) for each in sent]


def talking(scene: Scene, body: bytes = SDP) -> tuple[Message, Sent, Message]:
    """The caller's INVITE, ours, and our 2xx to him, not acknowledged yet."""
    invite, leg = scene.ringing(body=body)
    scene.answer(leg, 180)
    scene.answer(leg, 200, headers=WITH_SDP, body=ANSWER)
    return invite, leg, scene.one("200 INVITE").message


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
    assert methods(said) == ["ACK", "200 INVITE"]
    ok = said[1].message
    assert ok.body == ANSWER
    scene.ack(invite, ok)
    scene.run(5.0)
    assert scene.starts() == []
    scene.caller_sends("BYE", invite, ok, headers=[("Reason", "Q.850;cause=16")])
    said = scene.said()
    assert methods(said) == ["200 BYE", "BYE"]
    assert said[1].message.get("Reason") == "Q.850;cause=16"
    scene.answer(said[1], 200)
    assert scene.is_over()


def test_busy_goes_to_the_next_step() -> None:
    scene = Scene(FIRST_ANNA)
    invite, leg = scene.ringing()
    scene.answer(leg, 486)
    said = scene.said()
    assert methods(said) == ["ACK", "INVITE"]
    assert said[1].message.uri == "sip:600@10.0.0.5:5060"
    scene.answer(said[1], 486)
    refusal = scene.said()
    assert methods(refusal) == ["ACK", "486 INVITE"]
    scene.ack(invite, refusal[1].message)
    assert scene.is_over()


def test_who_does_not_answer_in_time_is_cancelled() -> None:
    scene = Scene(FIRST_ANNA)
    _, leg = scene.ringing()
    scene.answer(leg, 180)
    scene.said()
    scene.run(10.0)
    assert scene.starts() == ["CANCEL > 10.0.0.5", "INVITE > 10.0.0.5"]
    scene.answer(leg, 200, headers=WITH_SDP, body=ANSWER)  # it crossed the CANCEL
    assert scene.starts() == ["ACK > 10.0.0.5", "BYE > 10.0.0.5"]


def test_who_rang_and_did_not_answer_is_480() -> None:
    scene = Scene(route("anna", step("agent", "anna", ring=10.0), else_="end"))
    _, leg = scene.ringing()
    scene.answer(leg, 180)
    scene.said()
    scene.run(10.0)
    assert scene.starts() == ["CANCEL > 10.0.0.5", "480 INVITE > 198.51.100.1"]


# Giving up


def test_a_caller_who_gives_up_before_any_answer() -> None:
    scene = Scene(FIRST_ANNA)
    invite, leg = scene.ringing()
    scene.cancel(invite, ("Reason", "Q.850;cause=16"))
    assert scene.starts() == ["200 CANCEL > 198.51.100.1", "487 INVITE > 198.51.100.1"]
    scene.answer(leg, 100)
    cancel = scene.one("CANCEL")
    assert cancel.message.get("Reason") == "Q.850;cause=16"
    assert cancel.message.lines("Via") == leg.message.lines("Via")
    scene.answer(cancel, 200)
    scene.answer(leg, 487)
    assert scene.starts() == ["ACK > 10.0.0.5"]
    assert scene.is_over()


def test_a_caller_who_gives_up_after_ringing() -> None:
    scene = Scene(FIRST_ANNA)
    invite, leg = scene.ringing()
    scene.answer(leg, 180)
    scene.said()
    reasons = [("Reason", 'SIP;cause=600;text="at 10.1.2.3"'), ("Reason", "Q.850;cause=16")]
    scene.cancel(invite, *reasons)
    said = scene.said()
    assert methods(said) == ["200 CANCEL", "CANCEL", "487 INVITE"]
    assert said[1].message.get("Reason") == "SIP;cause=600, Q.850;cause=16"
    scene.cancel(invite)
    assert methods(scene.said()) == ["200 CANCEL"]  # repeated on UDP
    scene.answer(leg, 487)
    scene.ack(invite, said[2].message)
    assert scene.is_over()


def test_a_cancel_that_crosses_the_answer_of_the_callee() -> None:
    scene = Scene(FIRST_ANNA)
    invite, leg = scene.ringing()
    scene.answer(leg, 180)
    scene.cancel(invite)
    scene.said()
    scene.answer(leg, 200, headers=WITH_SDP, body=ANSWER)
    said = scene.said()
    assert methods(said) == ["ACK", "BYE"]
    scene.answer(said[1], 200)
    assert scene.is_over()


def test_a_cancel_that_crosses_our_answer_changes_nothing() -> None:
    scene = Scene(FIRST_ANNA)
    invite, _, ok = talking(scene)
    scene.cancel(invite)
    assert scene.starts() == ["200 CANCEL > 198.51.100.1"]
    scene.ack(invite, ok)
    scene.run(40.0)
    assert scene.starts() == []


def test_a_cancel_while_the_next_step_is_rung() -> None:
    scene = Scene(FIRST_ANNA)
    invite, leg = scene.ringing()
    scene.answer(leg, 180)
    scene.said()
    scene.run(10.0)
    queue = scene.legs()[0]
    scene.answer(queue, 100)
    scene.cancel(invite)
    starts = scene.starts()
    assert starts == ["200 CANCEL > 198.51.100.1", "CANCEL > 10.0.0.5", "487 INVITE > 198.51.100.1"]
    for each in (leg, queue):
        scene.answer(each, 487)
    assert scene.is_over()


def test_a_cancel_that_means_no_call_of_ours() -> None:
    scene = Scene(FIRST_ANNA)
    scene.ringing()
    stranger = calling(branch="z9hG4bKother")
    cancel = Message("CANCEL", stranger.uri, headers=[*stranger.headers[:5], ("CSeq", "1 CANCEL")])
    assert not scene.calls.request(cancel, CALLER_TCP, scene.directory.peers["trunk-a"])  # the gate says 481


def test_the_connection_of_a_ringing_caller_dies() -> None:
    scene = Scene(ALL)
    scene.invite(flow=CALLER_TCP)
    for leg in scene.legs():
        scene.answer(leg, 180)
    scene.said()
    scene.calls.failed(CALLER_TCP)
    assert scene.starts() == ["CANCEL > 10.0.0.5", "CANCEL > 10.0.0.5"]
    assert scene.is_over()


def test_bye_before_the_answer() -> None:
    scene = Scene(FIRST_ANNA)
    invite, leg = scene.ringing()
    scene.answer(leg, 180)
    ringing = scene.one("180 INVITE").message
    scene.caller_sends("BYE", invite, ringing, headers=[("Reason", "Q.850;cause=16")])
    said = scene.said()
    assert methods(said) == ["200 BYE", "CANCEL", "487 INVITE"]
    assert said[1].message.get("Reason") == "Q.850;cause=16"
    scene.answer(leg, 487)
    scene.ack(invite, said[2].message)
    assert scene.is_over()


def test_bye_in_one_of_several_early_dialogs_ends_that_one() -> None:
    scene = Scene(ALL)
    invite = scene.invite()
    legs = scene.legs()
    for leg in legs:
        scene.answer(leg, 180)
    first, second = [each.message for each in scene.said()]
    scene.caller_sends("BYE", invite, first)
    assert methods(scene.said()) == ["200 BYE", "CANCEL"]
    scene.caller_sends("BYE", invite, second, 3)
    assert methods(scene.said()) == ["200 BYE", "CANCEL", "487 INVITE"]


@pytest.mark.parametrize(("early", "second"), [("one", 180), ("many", 100)])
def test_bye_in_the_only_early_dialog_ends_the_call(early: str, second: int) -> None:
    scene = Scene(ALL, peers={"trunk-a": {"early": early}})
    invite = scene.invite()
    legs = scene.legs()
    scene.answer(legs[0], 180)
    scene.answer(legs[1], second)
    scene.caller_sends("BYE", invite, scene.said()[-1].message)
    assert methods(scene.said()) == ["200 BYE", "CANCEL", "CANCEL", "487 INVITE"]


def test_bye_in_the_early_dialog_of_a_leg_that_is_gone() -> None:
    scene = Scene(FIRST_ANNA)
    invite, leg = scene.ringing()
    scene.answer(leg, 180)
    ringing = scene.one("180 INVITE").message
    scene.answer(leg, 486)
    scene.said()
    scene.caller_sends("BYE", invite, ringing)
    assert scene.starts() == ["200 BYE > 198.51.100.1"]
    assert scene.calls.live


def test_bye_of_a_callee_who_only_rings_is_no_answer() -> None:
    scene = Scene(FIRST_ANNA)
    _, leg = scene.ringing()
    scene.answer(leg, 180)
    scene.said()
    scene.callee_sends("BYE", leg)
    assert scene.starts() == ["200 BYE > 10.0.0.5"]
    assert scene.calls.live


def test_hung_up_by_the_callee_before_the_caller_has_acknowledged() -> None:
    scene = Scene(FIRST_ANNA)
    invite, leg, ok = talking(scene)
    scene.callee_sends("BYE", leg)
    assert scene.starts() == ["200 BYE > 10.0.0.5"]
    scene.ack(invite, ok)
    assert scene.starts() == ["BYE > 198.51.100.1"]


def test_hung_up_by_the_callee_and_never_acknowledged() -> None:
    scene = Scene(FIRST_ANNA)
    _, leg, _ = talking(scene)
    scene.callee_sends("BYE", leg)
    scene.said()
    scene.run(31.9)
    assert not any(each.startswith("BYE") for each in scene.starts())
    scene.run(0.1)
    assert scene.starts() == ["BYE > 198.51.100.1"]
    assert scene.is_over()


def test_by_command_while_ringing_and_talking() -> None:
    scene = Scene(FIRST_ANNA)
    _, leg = scene.ringing()
    scene.answer(leg, 180)
    scene.said()
    next(iter(scene.calls.live)).hang_up('SIP;cause=480;text="Stopped"')
    said = scene.said()
    assert methods(said) == ["CANCEL", "480 INVITE"]
    assert said[0].message.get("Reason") == 'SIP;cause=480;text="Stopped"'
    scene = Scene(FIRST_ANNA)
    invite, _, ok = talking(scene)
    next(iter(scene.calls.live)).hang_up("Q.850;cause=31")
    assert scene.starts() == ["BYE > 10.0.0.5"]
    scene.ack(invite, ok)
    assert scene.starts() == ["BYE > 198.51.100.1"]


# Late offers


def test_the_answer_to_a_late_offer_goes_in_the_ack() -> None:
    scene = Scene(FIRST_ANNA)
    invite, leg = scene.ringing(body=b"")
    scene.answer(leg, 200, headers=WITH_SDP, body=ANSWER)
    said = scene.said()
    assert methods(said) == ["200 INVITE"]  # the ACK waits for the caller's
    assert said[0].message.body == ANSWER
    scene.answer(leg, 200, headers=WITH_SDP, body=ANSWER)
    assert scene.starts() == []
    scene.ack(invite, said[0].message, body=SDP)
    ack = scene.one("ACK")
    assert ack.message.body == SDP
    scene.answer(leg, 200, headers=WITH_SDP, body=ANSWER)
    assert scene.one("ACK").data == ack.data


@pytest.mark.parametrize("ends", ["bye", "silence", "callee"])
def test_a_caller_who_is_gone_after_a_late_offer(ends: str) -> None:
    scene = Scene(FIRST_ANNA)
    invite, leg = scene.ringing(body=b"")
    scene.answer(leg, 200, headers=WITH_SDP, body=ANSWER)
    ok = scene.one("200 INVITE").message
    if ends == "bye":
        scene.caller_sends("BYE", invite, ok)
    elif ends == "silence":
        scene.run(32.0)
    else:
        next(iter(scene.calls.live)).hang_up("Q.850;cause=31")
    said = [each for each in scene.said() if each.flow.host == "10.0.0.5"]
    assert methods(said) == ["ACK", "BYE"]
    assert b"m=audio 0 RTP/AVP 8" in said[0].message.body
    scene.answer(said[1], 200)
    if ends == "callee":
        scene.ack(invite, ok, body=SDP)  # too late: there was an ACK already
        assert scene.starts() == ["BYE > 198.51.100.1"]
    assert scene.is_over()


def test_a_callee_who_hangs_up_before_his_late_offer_is_answered() -> None:
    scene = Scene(FIRST_ANNA)
    invite, leg = scene.ringing(body=b"")
    scene.answer(leg, 200, headers=WITH_SDP, body=ANSWER)
    ok = scene.one("200 INVITE").message
    scene.callee_sends("BYE", leg)
    assert scene.starts() == ["200 BYE > 10.0.0.5", "ACK > 10.0.0.5"]
    scene.ack(invite, ok, body=SDP)
    assert scene.starts() == ["BYE > 198.51.100.1"]


def test_a_late_offer_that_crosses_the_cancel_is_refused() -> None:
    scene = Scene(FIRST_ANNA)
    invite, leg = scene.ringing(body=b"")
    scene.answer(leg, 180)
    scene.cancel(invite)
    scene.said()
    scene.answer(leg, 200, headers=WITH_SDP, body=ANSWER)
    said = scene.said()
    assert methods(said) == ["ACK", "BYE"]
    assert b"m=audio 0 RTP/AVP 8" in said[0].message.body


# Several at once


def test_the_first_to_answer_wins_and_the_others_hear_why() -> None:
    scene = Scene(ALL)
    invite = scene.invite()
    legs = scene.legs()
    assert [each.message.uri for each in legs] == ["sip:101@10.0.0.5:5060", "sip:102@10.0.0.5:5060"]
    assert scene.state.busy == {"anna": 1, "ivan": 1}
    for leg in legs:
        scene.answer(leg, 180)
    scene.said()
    scene.answer(legs[1], 200, headers=WITH_SDP, body=ANSWER)
    said = scene.said()
    assert methods(said) == ["CANCEL", "ACK", "200 INVITE"]
    assert said[0].message.get("Reason") == COMPLETED_ELSEWHERE
    assert scene.state.busy == {"ivan": 1}
    scene.answer(legs[0], 487)
    assert scene.starts() == ["ACK > 10.0.0.5"]
    scene.ack(invite, said[2].message)
    scene.caller_sends("BYE", invite, said[2].message)
    assert scene.state.busy == {}
    assert scene.is_over()


def test_two_answers_at_once() -> None:
    scene = Scene(ALL)
    invite = scene.invite()
    first, second = scene.legs()
    scene.answer(first, 200, tag="x", headers=WITH_SDP, body=ANSWER)
    ok = scene.one("200 INVITE").message
    scene.ack(invite, ok)
    scene.answer(second, 200, tag="y", headers=WITH_SDP, body=ANSWER)
    said = scene.said()
    assert [(start(each.message), tag(each.message.get("To") or "")) for each in said] == [("ACK", "y"), ("BYE", "y")]
    scene.answer(said[1], 200)
    assert len(scene.calls.live) == 1


def test_of_several_at_once_all_must_fail() -> None:
    scene = Scene(ALL)
    scene.invite()
    first, second = scene.legs()
    scene.answer(first, 486)
    assert scene.starts() == ["ACK > 10.0.0.5"]
    scene.answer(second, 404)
    said = scene.said()
    assert methods(said) == ["ACK", "INVITE"]  # the second line
    scene.answer(said[1], 404)
    assert methods(scene.said()) == ["ACK", "486 INVITE"]


# Who is busy


def test_an_agent_is_busy_while_he_is_rung_talks_or_calls() -> None:
    scene = Scene(route("sales", step("group", "sales", order="in-order", ring=10.0), else_="end"), QUEUE)
    _, leg = scene.ringing()
    assert scene.state.busy == {"anna": 1}
    scene.invite(calling(call_id="second", branch="z9hG4bKsecond"))
    [other] = scene.legs()
    assert other.message.uri == "sip:102@10.0.0.5:5060"
    scene.answer(leg, 486)
    assert "anna" not in scene.state.busy
    assert scene.state.idle_since["anna"] == scene.calls.wall()
    call = calling(call_id="third", branch="z9hG4bKthird")
    scene.invite(call, peer="pbx", caller="103", dialled="+48601999888")
    assert scene.state.busy == {"ivan": 1, "olga": 2}  # she is rung in the first call, and calls herself


def test_a_peer_is_held_to_its_limit_in_both_directions() -> None:
    scene = Scene(QUEUE, peers={"trunk-a": {"max_calls": 1}})
    scene.ringing()
    scene.invite(calling(call_id="second", branch="z9hG4bKsecond"))
    refusal = scene.one("503 INVITE").message
    assert refusal.get("Retry-After") == "10"
    scene = Scene(ALL, peers={"pbx": {"max_calls": 1}})
    scene.invite()
    assert len(scene.legs()) == 1
    scene.invite(calling(call_id="second", branch="z9hG4bKsecond"))
    assert scene.starts()[-1] == "500 INVITE > 198.51.100.1"


def test_emergency_calls_know_no_limit_and_no_drain() -> None:
    scene = Scene(QUEUE, peers={"pbx": {"max_calls": 0}, "trunk-a": {"max_calls": 0}})
    scene.calls.draining = True
    scene.invite(peer="pbx", caller="101", dialled="112")
    [leg] = scene.legs()
    assert leg.message.uri.startswith("sip:112@")


def test_while_draining_no_call_begins() -> None:
    scene = Scene(QUEUE)
    scene.calls.draining = True
    scene.invite()
    assert scene.one("503 INVITE").message.get("Retry-After") == "10"
    assert scene.is_over()


# Loops


def test_a_call_that_may_not_go_on_is_refused() -> None:
    scene = Scene(QUEUE)
    invite = calling()
    invite.headers = [
        ("Max-Forwards", "0") if name == "Max-Forwards" else (name, value) for name, value in invite.headers
    ]
    scene.invite(invite)
    assert scene.starts() == ["483 INVITE > 198.51.100.1"]


def test_a_call_that_comes_back_with_its_number_is_a_loop() -> None:
    scene = Scene(QUEUE)
    _, leg = scene.ringing()
    stamp = leg.message.get("X-Sipacr-Seen") or ""
    assert stamp
    back = calling(("X-Sipacr-Seen", stamp), call_id="back", branch="z9hG4bKback")
    scene.invite(back, peer="pbx", caller="101")
    assert scene.starts() == ["482 INVITE > 198.51.100.1"]
    other = calling(("X-Sipacr-Seen", stamp), call_id="other", branch="z9hG4bKother")
    scene.invite(other, peer="pbx", caller="101", dialled="+48221119900")
    [leg] = scene.legs()
    stamps = (leg.message.get("X-Sipacr-Seen") or "").split(", ")
    assert len(set(stamps)) == 2
    assert stamp in stamps


def test_a_call_that_comes_by_two_ways_is_rung_once() -> None:
    scene = Scene(QUEUE)
    _, leg = scene.ringing()
    scene.invite(calling(branch="z9hG4bKother"))
    assert scene.starts() == ["482 INVITE > 198.51.100.1"]
    scene.invite(calling(branch="z9hG4bKthird", cseq=2))  # another try of the caller
    assert len(scene.legs()) == 1
    scene.answer(leg, 404)
    scene.said()
    scene.invite(calling(branch="z9hG4bKfourth"))
    assert len(scene.legs()) == 1


# What follows the last step


def test_the_fallback_follows_unless_the_rule_ends() -> None:
    for rule, following in (
        (route("anna", step("agent", "anna"), else_="end"), []),
        (route("anna", step("agent", "anna")), ["sip:600@10.0.0.5:5060"]),
        (route("anna", step("agent", "anna"), else_=RejectWith(410)), []),
    ):
        scene = Scene(rule)
        _, leg = scene.ringing()
        scene.answer(leg, 486)
        said = scene.said()
        assert [each.message.uri for each in said if each.message.method == "INVITE"] == following
        told = [each.message.code for each in said if each.message.code]
        assert told == ([] if following else [410 if isinstance(rule.else_, RejectWith) else 486])


def test_the_best_of_several_failures() -> None:
    scene = Scene(route("two", step("agent", "anna"), step("agent", "ivan"), else_="end"))
    _, leg = scene.ringing()
    scene.answer(leg, 486)
    [second] = scene.legs()
    scene.answer(second, 503)
    assert scene.starts()[-1] == "486 INVITE > 198.51.100.1"


def test_a_rule_that_rejects() -> None:
    scene = Scene(reject("no", 603))
    scene.invite()
    assert scene.starts() == ["100 INVITE > 198.51.100.1", "603 INVITE > 198.51.100.1"]


def test_a_peer_that_is_no_more_after_a_reload() -> None:
    scene = Scene(FIRST_ANNA)
    _, leg = scene.ringing()
    peers = {name: peer for name, peer in scene.directory.peers.items() if name != "pbx"}
    scene.calls.take(type(scene.directory)(peers, scene.directory.plan, scene.directory.timezone))
    scene.answer(leg, 486)
    assert scene.starts() == ["ACK > 10.0.0.5", "486 INVITE > 198.51.100.1"]
