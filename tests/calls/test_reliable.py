"""Stories of reliable provisional responses (RFC 3262), on the caller's leg and through to who rings."""

import pytest

from sipacr.calls.message import Headers, Message, tag
from tests.calls.network import Sent
from tests.calls.scene import ANSWER, SDP, WITH_SDP, Scene, calling
from tests.company import route, step, to

ANNA = route("anna", step("agent", "anna", ring=60.0), to("queue-main"))
ALL = route("all", step("group", "sales", order="all", ring=60.0), else_="end")
SUPPORTED = ("Supported", "100rel")
REQUIRED = ("Require", "100rel")


def reliable(rseq: int, *more: tuple[str, str]) -> Headers:
    return [("Require", "100rel"), ("RSeq", str(rseq)), *more]


def ringing(*headers: tuple[str, str], body: bytes = SDP, **peers: dict[str, str]) -> tuple[Scene, Message, Sent]:
    scene = Scene(ANNA, peers={"trunk-a": peers.get("trunk", {})})
    invite, leg = scene.ringing(*headers, body=body)
    return scene, invite, leg


def test_a_prack_goes_to_who_rings_with_his_numbers() -> None:
    scene, invite, leg = ringing(SUPPORTED)
    assert leg.message.has_token("Supported", "100rel")
    scene.answer(leg, 183, headers=[*reliable(4711), *WITH_SDP], body=ANSWER)
    said = scene.one("183 INVITE").message
    assert said.lines("Require") == ["100rel"]
    assert said.body == ANSWER
    assert 1 <= int(said.get("RSeq") or 0) < 2**31
    scene.prack(invite, said)
    prack = scene.one("PRACK")
    assert prack.message.get("RAck") == "4711 1 INVITE"
    assert prack.message.uri == "sip:far@10.0.0.5"
    scene.answer(prack, 200)
    assert scene.starts() == ["200 PRACK > 198.51.100.1"]
    scene.answer(leg, 200)
    ok = scene.one("200 INVITE").message
    assert tag(ok.get("To") or "") == tag(said.get("To") or "")
    scene.ack(invite, ok)
    scene.run(40.0)
    assert scene.starts() == []


def test_it_is_repeated_with_pauses_that_double_until_the_prack_comes() -> None:
    scene, invite, leg = ringing(SUPPORTED)
    scene.answer(leg, 180, headers=reliable(1))
    said = scene.one("180 INVITE")
    times = []
    for _ in range(80):
        scene.run(0.1)
        times += [round(scene.timers.now - 1000.0, 1)] * len(scene.said())
    assert times == [0.5, 1.5, 3.5, 7.5]
    scene.prack(invite, said.message)
    scene.answer(scene.one("PRACK"), 200)
    scene.said()
    scene.run(50.0)
    assert scene.starts() == []


def test_without_a_prack_the_call_is_refused_and_the_leg_cancelled() -> None:
    scene, _, leg = ringing(SUPPORTED)
    scene.answer(leg, 180, headers=reliable(1))
    scene.said()
    scene.run(31.9)
    assert set(scene.starts()) == {"180 INVITE > 198.51.100.1"}
    scene.run(0.1)
    assert scene.starts() == ["CANCEL > 10.0.0.5", "504 INVITE > 198.51.100.1"]
    scene.answer(leg, 487)
    assert scene.is_over()


def test_repeats_and_gaps_of_who_rings_are_not_told() -> None:
    scene, invite, leg = ringing(SUPPORTED)
    scene.answer(leg, 180, headers=reliable(7))
    said = scene.one("180 INVITE").message
    scene.answer(leg, 180, headers=reliable(7))
    scene.answer(leg, 183, headers=reliable(9))
    scene.answer(leg, 183, headers=[("Require", "100rel"), ("RSeq", "x")])
    assert scene.starts() == []
    scene.prack(invite, said)
    scene.answer(leg, 180, headers=reliable(7))  # the PRACK is on its way
    assert scene.starts() == ["PRACK > 10.0.0.5"]
    scene.answer(leg, 183, headers=reliable(8))
    following = scene.one("183 INVITE").message
    assert int(following.get("RSeq") or 0) == int(said.get("RSeq") or 0) + 1


def test_the_next_waits_for_the_prack_of_the_one_before() -> None:
    scene, invite, leg = ringing(SUPPORTED)
    scene.answer(leg, 180, headers=reliable(1))
    first = scene.one("180 INVITE").message
    scene.answer(leg, 183, headers=reliable(2))
    assert scene.starts() == []
    scene.prack(invite, first)
    said = scene.said()
    assert [each.message.method or each.message.code for each in said] == [183, "PRACK"]
    scene.answer(said[1], 200)
    scene.prack(invite, said[0].message, 3)
    assert scene.one("PRACK").message.get("RAck") == "2 1 INVITE"


def test_the_answer_waits_while_a_description_is_not_acknowledged() -> None:
    scene, invite, leg = ringing(SUPPORTED)
    scene.answer(leg, 183, headers=[*reliable(1), *WITH_SDP], body=ANSWER)
    said = scene.one("183 INVITE").message
    scene.answer(leg, 200)
    assert scene.starts() == ["ACK > 10.0.0.5"]
    scene.answer(leg, 180, headers=reliable(2))
    scene.prack(invite, said)
    scene.answer(scene.one("PRACK"), 200)
    assert scene.starts() == ["200 PRACK > 198.51.100.1", "200 INVITE > 198.51.100.1"]


def test_the_answer_does_not_wait_where_nothing_was_described() -> None:
    scene, invite, leg = ringing(SUPPORTED)
    scene.answer(leg, 180, headers=reliable(1))
    said = scene.one("180 INVITE").message
    scene.answer(leg, 200, headers=WITH_SDP, body=ANSWER)
    ok = scene.one("200 INVITE").message
    scene.ack(invite, ok)
    scene.run(5.0)
    assert scene.starts() == []  # neither of them is repeated
    scene.prack(invite, said)  # it crossed the 200
    assert scene.starts() == ["PRACK > 10.0.0.5"]


def held() -> tuple[Scene, Message, Sent, Message]:
    scene, invite, leg = ringing(SUPPORTED)
    scene.answer(leg, 183, headers=[*reliable(1), *WITH_SDP], body=ANSWER)
    said = scene.one("183 INVITE").message
    scene.answer(leg, 200)
    scene.said()
    return scene, invite, leg, said


def test_a_caller_who_cancels_while_the_answer_waits() -> None:
    scene, invite, _, _ = held()
    scene.cancel(invite, ("Reason", "Q.850;cause=16"))
    said = scene.said()
    assert [each.message.method or each.message.code for each in said] == [200, 487, "BYE"]
    assert said[2].message.get("Reason") == "Q.850;cause=16"
    scene.answer(said[2], 200)
    assert scene.is_over()


def test_a_callee_who_hangs_up_while_the_answer_waits() -> None:
    scene, _, leg, _ = held()
    scene.callee_sends("BYE", leg)
    assert scene.starts() == ["200 BYE > 10.0.0.5", "480 INVITE > 198.51.100.1"]
    assert scene.is_over()


def test_a_prack_that_never_comes_while_the_answer_waits() -> None:
    scene, _, _, _ = held()
    scene.run(32.0)
    starts = scene.starts()
    assert starts[-2:] == ["504 INVITE > 198.51.100.1", "BYE > 10.0.0.5"]
    assert scene.is_over()


def test_a_caller_who_says_bye_while_the_answer_waits() -> None:
    scene, invite, _, said = held()
    scene.caller_sends("BYE", invite, said)
    assert scene.starts() == ["200 BYE > 198.51.100.1", "487 INVITE > 198.51.100.1", "BYE > 10.0.0.5"]
    assert scene.is_over()


def test_the_prack_of_a_leg_that_is_gone_is_answered_here() -> None:
    scene, invite, leg = ringing(SUPPORTED)
    scene.answer(leg, 180, headers=reliable(1))
    said = scene.one("180 INVITE").message
    scene.answer(leg, 486)
    scene.said()
    scene.run(3.0)
    assert set(scene.starts()) == {"INVITE > 10.0.0.5"}  # what nobody asks for any more is not repeated
    scene.prack(invite, said)
    assert scene.starts() == ["200 PRACK > 198.51.100.1"]
    scene.prack(invite, said, 3)
    assert scene.starts() == ["481 PRACK > 198.51.100.1"]


def test_the_prack_that_crosses_a_refusal_is_answered() -> None:
    scene = Scene(route("one", to("queue-main"), else_="end"))
    invite, leg = scene.ringing(SUPPORTED)
    scene.answer(leg, 180, headers=reliable(1))
    said = scene.one("180 INVITE").message
    scene.answer(leg, 486)
    refusal = scene.one("486 INVITE").message
    scene.prack(invite, said)
    assert scene.starts() == ["200 PRACK > 198.51.100.1"]
    scene.ack(invite, refusal)
    assert scene.is_over()


@pytest.mark.parametrize("rack", ["1 1 INVITE", "x", "{0} 2 INVITE", "{0} 1 UPDATE", "", "{0} 1"])
def test_a_prack_that_fits_nothing_is_refused(rack: str) -> None:
    scene, invite, leg = ringing(SUPPORTED)
    scene.answer(leg, 180, headers=reliable(1))
    said = scene.one("180 INVITE").message
    scene.caller_sends("PRACK", invite, said, headers=[("RAck", rack.format(said.get("RSeq")))])
    assert scene.starts() == ["481 PRACK > 198.51.100.1"]


def test_each_early_dialog_counts_for_itself() -> None:
    scene = Scene(ALL)
    invite = scene.invite(calling(SUPPORTED))
    legs = scene.legs()
    for number, leg in enumerate(legs):
        scene.answer(leg, 180, tag="same", headers=reliable(10 + number))
    scene.answer(legs[0], 180, tag="fork", headers=reliable(20))
    said = [each.message for each in scene.said()]
    assert len({tag(each.get("To") or "") for each in said}) == 3
    for number, each in enumerate(said):
        scene.prack(invite, each, 2 + number)
    pracks = scene.said()
    assert [each.message.get("RAck") for each in pracks] == ["10 1 INVITE", "11 1 INVITE", "20 1 INVITE"]
    assert [tag(each.message.get("To") or "") for each in pracks] == ["same", "same", "fork"]


def test_the_answer_to_a_late_offer_goes_in_the_prack() -> None:
    scene, invite, leg = ringing(SUPPORTED, body=b"")
    scene.answer(leg, 183, headers=[*reliable(1), *WITH_SDP], body=ANSWER)
    scene.prack(invite, scene.one("183 INVITE").message, body=SDP)
    assert scene.one("PRACK").message.body == SDP


def test_who_asks_for_no_reliable_ones_gets_none() -> None:
    _, _, leg = ringing()
    assert not leg.message.has_token("Supported", "100rel")


# A caller who demands reliable ones


def test_a_demand_of_the_caller_is_none_on_who_is_called() -> None:
    scene, invite, leg = ringing(REQUIRED)
    assert leg.message.get("Require") is None
    assert leg.message.has_token("Supported", "100rel")
    scene.answer(leg, 180)
    said = scene.one("180 INVITE").message
    assert said.has_token("Require", "100rel")
    scene.prack(invite, said)
    assert scene.starts() == ["200 PRACK > 198.51.100.1"]  # nobody else waits for it
    scene.answer(leg, 183, headers=WITH_SDP, body=ANSWER)
    said = scene.one("183 INVITE").message
    scene.answer(leg, 200, headers=WITH_SDP, body=ANSWER)
    assert scene.starts() == ["ACK > 10.0.0.5"]
    scene.prack(invite, said, 3)
    assert scene.starts() == ["200 PRACK > 198.51.100.1", "200 INVITE > 198.51.100.1"]


def test_an_offer_in_a_prack_that_goes_no_further_is_refused() -> None:
    scene, invite, leg = ringing(REQUIRED)
    scene.answer(leg, 183, headers=WITH_SDP, body=ANSWER)
    scene.prack(invite, scene.one("183 INVITE").message, body=SDP)
    assert scene.starts() == ["488 PRACK > 198.51.100.1"]


def test_with_one_to_tag_they_are_our_own() -> None:
    scene, invite, leg = ringing(REQUIRED, trunk={"early": "one"})
    assert not leg.message.has_token("Supported", "100rel")
    scene.answer(leg, 183, headers=WITH_SDP, body=ANSWER)
    said = scene.one("180 INVITE").message
    assert said.body == b""
    assert said.has_token("Require", "100rel")
    scene.prack(invite, said)
    assert scene.starts() == ["200 PRACK > 198.51.100.1"]


def test_with_one_to_tag_none_is_reliable_without_a_demand() -> None:
    scene, _, leg = ringing(SUPPORTED, trunk={"early": "one"})
    assert not leg.message.has_token("Supported", "100rel")
    scene.answer(leg, 180)
    assert scene.one("180 INVITE").message.get("RSeq") is None


def test_a_far_end_that_does_not_wait_for_pracks_fills_no_queue() -> None:
    scene, invite, leg = ringing(SUPPORTED)
    for number in range(1, 100):
        scene.answer(leg, 180, headers=reliable(number))
    told = 0
    for seq in range(2, 100):
        said = [each.message for each in scene.said() if each.message.code == 180]
        if not said:
            break
        told += 1
        scene.prack(invite, said[0], seq)
    assert told == 9
