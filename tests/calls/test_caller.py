"""Stories of what the caller hears while others ring: provisionals, his early dialogs, the answer and its repeats."""

import pytest

from sipacr.calls.message import Message, tag
from sipacr.routing.ruleset import Group
from tests.calls.network import CALLER_TCP, Sent
from tests.calls.scene import ANSWER, SDP, WITH_SDP, Scene, calling
from tests.company import route, step, to

ANNA = route("anna", step("agent", "anna", ring=200.0), to("queue-main"))
QUEUE = route("queue", to("queue-main"), else_="end")
ALL = route("all", step("group", "sales", order="all", ring=60.0), else_="end")
ONE = {"trunk-a": {"early": "one"}}
SUPPORTS_199 = ("Supported", "199")


def to_tag(sent: Sent) -> str:
    return tag(sent.message.get("To") or "")


def test_trying_comes_at_once() -> None:
    scene = Scene(ANNA)
    scene.invite(calling(("Timestamp", "54")))
    trying = scene.said()[0].message
    assert (trying.code, trying.get("Timestamp"), tag(trying.get("To") or "")) == (100, "54", "")


@pytest.mark.parametrize("code", [180, 181, 182, 183])
def test_provisionals_pass_with_their_body(code: int) -> None:
    scene = Scene(ANNA)
    _, leg = scene.ringing(("Record-Route", "<sip:proxy.example;lr>"))
    scene.answer(leg, code, headers=WITH_SDP, body=ANSWER)
    said = scene.one(f"{code} INVITE").message
    assert said.body == ANSWER
    assert said.get("Content-Type") == "application/sdp"
    assert said.get("Contact") == "<sip:192.0.2.1:5060>"
    assert said.get("Record-Route") == "<sip:proxy.example;lr>"
    assert tag(said.get("To") or "")


def test_trying_of_who_is_called_does_not_pass() -> None:
    scene = Scene(ANNA)
    _, leg = scene.ringing()
    scene.answer(leg, 100)
    assert scene.starts() == []


def test_each_early_dialog_has_a_tag_of_its_own() -> None:
    scene = Scene(ALL)
    scene.invite()
    legs = scene.legs()
    scene.answer(legs[0], 180, tag="x")
    scene.answer(legs[0], 183, tag="y", headers=WITH_SDP, body=ANSWER)
    scene.answer(legs[1], 180, tag="x")
    scene.answer(legs[0], 180, tag="x")
    tags = [to_tag(each) for each in scene.said()]
    assert len(set(tags)) == 3
    assert tags[3] == tags[0]
    scene.answer(legs[1], 200, tag="x", headers=WITH_SDP, body=ANSWER)
    assert to_tag(scene.one("200 INVITE")) == tags[2]


def test_the_answer_of_a_fork_that_did_not_ring_has_a_tag_of_its_own() -> None:
    scene = Scene(ANNA)
    _, leg = scene.ringing()
    scene.answer(leg, 180, tag="x")
    ringing = scene.one("180 INVITE")
    scene.answer(leg, 200, tag="y", headers=WITH_SDP, body=ANSWER)
    assert to_tag(scene.one("200 INVITE")) != to_tag(ringing)


def test_the_second_fork_that_answers_is_hung_up() -> None:
    scene = Scene(ANNA)
    invite, leg = scene.ringing()
    scene.answer(leg, 200, tag="x", headers=WITH_SDP, body=ANSWER)
    ok = scene.one("200 INVITE").message
    scene.ack(invite, ok)
    scene.answer(leg, 200, tag="y", headers=WITH_SDP, body=ANSWER)
    said = scene.said()
    assert [(each.message.method, to_tag(each)) for each in said] == [("ACK", "y"), ("BYE", "y")]
    scene.answer(leg, 200, tag="y", headers=WITH_SDP, body=ANSWER)  # our ACK was lost
    assert scene.starts() == ["ACK > 10.0.0.5"]
    scene.callee_sends("BYE", leg, tag="y")  # it hangs up at the same time: that is no end of the call
    assert scene.starts() == ["200 BYE > 10.0.0.5"]
    scene.caller_sends("BYE", invite, ok)
    bye = scene.said()[1]
    assert to_tag(bye) == "x"


def test_more_forks_than_anybody_needs_are_not_told() -> None:
    scene = Scene(ANNA)
    _, leg = scene.ringing()
    for number in range(50):
        scene.answer(leg, 180, tag=f"fork{number}")
    assert len(scene.said()) == 16


# 199 (RFC 6228)


def test_the_end_of_an_early_dialog_is_told_with_its_cause() -> None:
    scene = Scene(ANNA)
    _, leg = scene.ringing(SUPPORTS_199)
    scene.answer(leg, 183, headers=WITH_SDP, body=ANSWER)
    ringing = scene.one("183 INVITE")
    scene.answer(leg, 486)
    gone = scene.one("199 INVITE")
    assert to_tag(gone) == to_tag(ringing)
    assert gone.message.get("Reason") == "SIP;cause=486"
    assert gone.message.body == b""


def test_the_199_of_a_far_end_passes() -> None:
    scene = Scene(ANNA)
    _, leg = scene.ringing(SUPPORTS_199)
    scene.answer(leg, 180, tag="x")
    scene.answer(leg, 199, tag="y")
    scene.answer(leg, 199, tag="x", headers=[("Reason", "SIP;cause=404")])
    assert scene.starts() == ["180 INVITE > 198.51.100.1", "199 INVITE > 198.51.100.1"]


@pytest.mark.parametrize(("header", "rule"), [(SUPPORTS_199, QUEUE), (("Supported", "timer"), ANNA)])
def test_no_199_before_a_refusal_and_for_who_does_not_know_it(header: tuple[str, str], rule: object) -> None:
    scene = Scene(rule)  # type: ignore[arg-type]
    _, leg = scene.ringing(header)
    scene.answer(leg, 180)
    scene.answer(leg, 486)
    assert not any(start.startswith("199") for start in scene.starts())


def test_no_199_for_who_demands_reliable_ones() -> None:
    scene = Scene(ANNA)
    _, leg = scene.ringing(SUPPORTS_199, ("Require", "100rel"))
    scene.answer(leg, 180)
    scene.answer(leg, 486)
    assert not any(start.startswith("199") for start in scene.starts())


def test_no_199_for_the_others_when_one_answers_or_the_caller_gives_up() -> None:
    for ends in ("answer", "cancel"):
        scene = Scene(ALL)
        invite = scene.invite(calling(SUPPORTS_199))
        legs = scene.legs()
        for leg in legs:
            scene.answer(leg, 180)
        if ends == "answer":
            scene.answer(legs[0], 200, headers=WITH_SDP, body=ANSWER)
        else:
            scene.cancel(invite)
        assert not any(start.startswith("199") for start in scene.starts())


# One To tag for all


def test_with_one_tag_no_early_media_while_another_may_follow() -> None:
    scene = Scene(ANNA, peers=ONE)
    _, leg = scene.ringing(SUPPORTS_199)
    scene.answer(leg, 183, headers=WITH_SDP, body=ANSWER)
    first = scene.one("180 INVITE")
    assert (first.message.body, first.message.get("Content-Type")) == (b"", None)
    scene.answer(leg, 486)
    [queue] = scene.legs()
    scene.answer(queue, 183, headers=WITH_SDP, body=ANSWER)
    last = scene.one("183 INVITE")
    assert last.message.body == ANSWER
    scene.answer(queue, 200, headers=WITH_SDP, body=ANSWER)
    assert to_tag(first) == to_tag(last) == to_tag(scene.one("200 INVITE"))


def test_with_one_tag_the_media_of_one_far_end_only() -> None:
    scene = Scene(QUEUE, peers=ONE)
    _, leg = scene.ringing()
    scene.answer(leg, 183, tag="x", headers=WITH_SDP, body=ANSWER)
    scene.answer(leg, 183, tag="y", headers=WITH_SDP, body=SDP)
    said = scene.said()
    assert [each.message.body for each in said] == [ANSWER, b""]
    assert to_tag(said[0]) == to_tag(said[1])


def test_with_one_tag_no_early_media_of_several_who_ring_at_once() -> None:
    scene = Scene(ALL, peers=ONE, groups={"sales": Group("sales", (("anna", "ivan"),))})
    scene.invite()
    scene.answer(scene.legs()[0], 183, headers=WITH_SDP, body=ANSWER)
    assert scene.one("180 INVITE").message.body == b""


@pytest.mark.parametrize(("code", "contact"), [(302, "<sip:103@10.0.0.5>"), (503, "")])
def test_with_one_tag_nobody_follows_whose_media_would_be_others(code: int, contact: str) -> None:
    scene = Scene(QUEUE, peers=ONE)
    scene.network.peers["pbx"] *= 2
    _, leg = scene.ringing()
    scene.answer(leg, 183, headers=WITH_SDP, body=ANSWER)
    scene.said()
    scene.answer(leg, code, headers=[("Contact", contact)] if contact else [])
    assert [start.split()[0] for start in scene.starts()] == ["ACK", "480" if code == 302 else "500"]
    assert scene.is_over()


# Once a minute


def test_a_provisional_is_repeated_every_minute() -> None:
    scene = Scene(ANNA)
    _, leg = scene.ringing()
    scene.answer(leg, 183, headers=WITH_SDP, body=ANSWER)
    first = scene.one("183 INVITE").data
    scene.run(59.9)
    assert scene.starts() == []
    scene.run(0.1)
    assert scene.one("183 INVITE").data == first
    scene.run(60.0)
    assert scene.one("183 INVITE").data == first


def test_who_heard_nothing_hears_something_after_a_minute() -> None:
    scene = Scene(ANNA)
    _, leg = scene.ringing()
    scene.answer(leg, 100)
    scene.run(60.0)
    said = scene.one("183 INVITE")
    scene.answer(leg, 180)
    assert to_tag(said)
    assert scene.starts() == ["180 INVITE > 198.51.100.1"]


def test_the_minute_after_a_reliable_one_needs_no_prack() -> None:
    scene = Scene(ANNA)
    invite, leg = scene.ringing(("Supported", "100rel"))
    scene.answer(leg, 183, headers=[("Require", "100rel"), ("RSeq", "1"), *WITH_SDP], body=ANSWER)
    scene.prack(invite, scene.one("183 INVITE").message)
    scene.answer(scene.one("PRACK"), 200)
    scene.said()
    scene.run(60.0)
    said = scene.one("183 INVITE").message
    assert (said.get("RSeq"), said.get("Require"), said.body) == (None, None, b"")


def test_after_the_minute_who_demands_reliable_ones_gets_one() -> None:
    scene = Scene(ANNA)
    invite, leg = scene.ringing(("Require", "100rel"))
    scene.answer(leg, 180)
    first = scene.one("180 INVITE").message
    scene.prack(invite, first)
    scene.said()
    scene.run(60.0)
    again = scene.said()[0].message
    assert again.lines("Require") == ["100rel"]
    assert int(again.get("RSeq") or 0) == int(first.get("RSeq") or 0) + 1


def test_nothing_is_repeated_after_the_end() -> None:
    scene = Scene(QUEUE)
    invite, leg = scene.ringing()
    scene.answer(leg, 180)
    scene.answer(leg, 486)
    scene.ack(invite, scene.one("486 INVITE").message)
    scene.run(200.0)
    assert [start for start in scene.starts() if start.startswith("18")] == []


# The answer


def answered(flow_tcp: bool = False) -> tuple[Scene, Message, Sent]:
    scene = Scene(ANNA)
    invite, leg = scene.ringing(**({"flow": CALLER_TCP} if flow_tcp else {}))
    scene.answer(leg, 200, headers=WITH_SDP, body=ANSWER)
    return scene, invite, leg


@pytest.mark.parametrize("tcp", [False, True])
def test_the_answer_is_repeated_until_its_ack(tcp: bool) -> None:
    scene, invite, _ = answered(tcp)
    ok = scene.one("200 INVITE")
    times = []
    for _ in range(130):
        scene.run(0.1)
        times += [round(scene.timers.now - 1000.0, 1)] * len(scene.said())
    assert times == [0.5, 1.5, 3.5, 7.5, 11.5]
    scene.ack(invite, ok.message)
    scene.run(60.0)
    assert scene.starts() == []


def test_without_an_ack_both_are_hung_up() -> None:
    scene, _, _ = answered()
    scene.said()
    scene.run(31.9)
    assert set(scene.starts()) == {"200 INVITE > 198.51.100.1"}
    scene.run(0.1)
    assert scene.starts() == ["BYE > 198.51.100.1", "BYE > 10.0.0.5"]
    assert scene.is_over()


def test_an_ack_that_is_not_this_ones_does_not_count() -> None:
    scene, invite, _ = answered()
    ok = scene.one("200 INVITE").message
    wrong = calling(cseq=9)
    wrong.method = "ACK"
    wrong.headers = [("CSeq", "9 ACK") if name == "CSeq" else (name, value) for name, value in wrong.headers]
    wrong.headers = [("To", ok.get("To") or "") if name == "To" else (name, value) for name, value in wrong.headers]
    assert scene.calls.ack(wrong, CALLER_TCP)
    scene.run(0.5)
    assert scene.starts() == ["200 INVITE > 198.51.100.1"]
    scene.ack(invite, ok)
    scene.run(40.0)
    assert scene.starts() == []


def test_the_ack_goes_once_and_again_when_the_answer_is_repeated() -> None:
    scene, _, leg = answered()
    assert scene.starts() == ["ACK > 10.0.0.5", "200 INVITE > 198.51.100.1"]
    scene.answer(leg, 200, headers=WITH_SDP, body=ANSWER)
    assert scene.starts() == ["ACK > 10.0.0.5"]


def test_a_refusal_has_the_tag_of_what_he_heard_and_so_has_the_answer_to_his_cancel() -> None:
    scene = Scene(QUEUE)
    invite, leg = scene.ringing()
    scene.answer(leg, 180)
    ringing = scene.one("180 INVITE")
    scene.cancel(invite)
    said = scene.said()
    assert {to_tag(each) for each in said if each.message.code} == {to_tag(ringing)}
