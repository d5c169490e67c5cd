"""Stories of the legs: where the INVITE goes, what becomes of its answers, and when the next one is tried."""

import re
from typing import Any

import pytest

from sipacr.calls.message import Headers, tag
from sipacr.calls.network import Flow, Target
from sipacr.routing.directory import Credentials
from tests.calls.network import Sent, start
from tests.calls.scene import ANSWER, WITH_SDP, Scene, calling
from tests.company import route, step, to

ANNA = route("anna", step("agent", "anna", ring=30.0), to("queue-main"))
QUEUE = route("queue", to("queue-main"), else_="end")
TWO = [Target("udp", "10.0.0.5", 5060), Target("udp", "10.0.0.6", 5060)]
TCP = [Target("tcp", "10.0.0.5", 5060), Target("tls", "10.0.0.6", 5061)]
LOGIN = {"pbx": {"auth": Credentials("acr", "secret")}}
CHALLENGE = 'Digest realm="pbx", nonce="{}", algorithm=SHA-256, qop="auth"'


def scene_with(targets: list[Target], rule: Any = QUEUE, **more: Any) -> Scene:
    scene = Scene(rule, **more)
    scene.network.peers["pbx"] = targets
    return scene


def hosts(legs: list[Sent]) -> list[str]:
    return [each.flow.host for each in legs]


# The INVITE


def test_what_the_invite_says() -> None:
    scene = Scene(QUEUE)
    invite, leg = scene.ringing(("Supported", "replaces, path"), ("Require", "timer"))
    message = leg.message
    assert message.get("Max-Forwards") == "69"
    assert message.get("Contact") == "<sip:192.0.2.1:5060>"
    assert message.get("Call-ID") != invite.get("Call-ID")
    assert tag(message.get("From") or "") not in ("", tag(invite.get("From") or ""))
    assert message.get("Supported") == "replaces"
    assert message.get("Require") is None
    assert message.lines("Via")[0].startswith("SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK")
    assert len(message.lines("Via")) == 1


@pytest.mark.parametrize(("given", "passed"), [("70", "69"), ("1", "0"), (None, "69"), ("255", "254")])
def test_max_forwards_is_one_less(given: str | None, passed: str) -> None:
    scene = Scene(QUEUE)
    invite = calling()
    invite.headers = [each for each in invite.headers if each[0] != "Max-Forwards"]
    if given is not None:
        invite.headers.append(("Max-Forwards", given))
    scene.invite(invite)
    assert scene.one("INVITE").message.get("Max-Forwards") == passed


def test_the_way_that_a_registrar_has_told_follows_the_outbound_proxy() -> None:
    scene = Scene(QUEUE, peers={"pbx": {"outbound_proxy": "10.0.0.9"}})
    told = {"pbx": ["<sip:edge.example;lr>", "<sip:home.example:5070;lr>"]}
    scene.calls.service_route = lambda peer: told.get(peer, ())
    scene.invite()
    routes = scene.legs()[0].message.lines("Route")
    assert routes == ["<sip:10.0.0.9;lr>", "<sip:edge.example;lr>", "<sip:home.example:5070;lr>"]


def test_an_outbound_proxy_is_the_first_route() -> None:
    scene = Scene(QUEUE, peers={"pbx": {"outbound_proxy": "10.0.0.9"}})
    _, leg = scene.ringing()
    assert leg.message.lines("Route") == ["<sip:10.0.0.9;lr>"]


# Addresses of a peer


def test_who_says_nothing_within_connect_is_left_for_the_next_address() -> None:
    scene = scene_with(TWO)
    scene.ringing()
    scene.run(3.9)
    assert hosts(scene.legs()) == ["10.0.0.5"] * 3  # repeats
    scene.run(0.1)
    [second] = scene.legs()
    assert second.flow.host == "10.0.0.6"
    scene.answer(second, 180)
    assert "180 INVITE > 198.51.100.1" in scene.starts()


def test_when_no_address_answers_it_is_unreachable_far_under_32_seconds() -> None:
    scene = scene_with(TWO)
    told: list[str] = []
    scene.calls.on_suspicion = told.append
    scene.invite()
    scene.run(8.0)
    assert scene.starts()[-1] == "500 INVITE > 198.51.100.1"
    assert set(told) == {"pbx"}
    assert scene.is_over()


def test_trying_is_a_sign_of_life() -> None:
    scene = scene_with(TWO)
    _, leg = scene.ringing()
    scene.answer(leg, 100)
    scene.run(50.0)
    assert scene.starts() == []


def test_connect_of_the_rule_goes_before_the_peers() -> None:
    scene = Scene(route("short", to("queue-main"), else_="end", connect=1.0))
    scene.invite()
    scene.run(1.0)
    assert scene.starts()[-1] == "500 INVITE > 198.51.100.1"


def test_a_peer_with_a_silent_address_is_suspect_though_another_one_answers() -> None:
    scene = scene_with(TWO)
    told: list[str] = []
    scene.calls.on_suspicion = told.append
    scene.ringing()
    scene.run(4.0)
    scene.answer(scene.legs()[-1], 180)
    assert told == ["pbx"]


def test_503_goes_to_the_next_address_and_is_never_passed_on() -> None:
    scene = scene_with(TWO)
    _, leg = scene.ringing()
    scene.answer(leg, 503, headers=[("Retry-After", "120")])
    said = scene.said()
    assert [(start(each.message), each.flow.host) for each in said] == [("ACK", "10.0.0.5"), ("INVITE", "10.0.0.6")]
    scene.answer(said[1], 503, headers=[("Retry-After", "120")])
    refusal = scene.one("500 INVITE").message
    assert refusal.get("Retry-After") is None


@pytest.mark.parametrize("code", [486, 500, 404, 603])
def test_other_answers_are_of_the_peer_not_of_its_address(code: int) -> None:
    scene = scene_with(TWO)
    _, leg = scene.ringing()
    scene.answer(leg, code)
    assert scene.legs() == []


def test_a_refused_connection_goes_to_the_next_at_once() -> None:
    scene = scene_with(TCP)
    _, leg = scene.ringing()
    scene.calls.failed(leg.flow)
    scene.run(0.0)
    [second] = scene.legs()
    assert second.flow.host == "10.0.0.6"
    scene.calls.failed(second.flow)
    scene.run(0.0)
    assert scene.starts() == ["500 INVITE > 198.51.100.1"]
    assert scene.is_over()


def test_a_way_that_is_known_to_be_none_is_passed_over() -> None:
    scene = scene_with(TCP)
    scene.network.unreachable = {TCP[0]}
    _, leg = scene.ringing()
    assert leg.flow.host == "10.0.0.6"


@pytest.mark.parametrize("targets", [[], TCP])
def test_without_any_way_the_next_step_follows(targets: list[Target]) -> None:
    scene = scene_with(targets, route("out", to("queue-main"), step("mobile", "ivan"), else_="end"))
    scene.network.unreachable = set(targets)
    _, leg = scene.ringing()
    assert leg.flow.host == "198.51.100.1"


def test_an_answer_of_an_address_that_was_left_is_acknowledged_and_hung_up() -> None:
    scene = scene_with(TWO)
    _, first = scene.ringing()
    scene.run(4.0)
    second = scene.legs()[-1]
    scene.answer(first, 200, headers=WITH_SDP, body=ANSWER)
    said = scene.said()
    assert [(start(each.message), each.flow.host) for each in said] == [("ACK", "10.0.0.5"), ("BYE", "10.0.0.5")]
    scene.answer(second, 180)
    assert scene.starts() == ["180 INVITE > 198.51.100.1"]
    scene.answer(said[1], 200)
    scene.answer(second, 200, headers=WITH_SDP, body=ANSWER)
    assert scene.starts() == ["ACK > 10.0.0.6", "200 INVITE > 198.51.100.1"]


def test_who_was_left_is_cancelled_as_soon_as_he_says_something() -> None:
    scene = scene_with(TWO)
    _, first = scene.ringing()
    scene.run(4.0)
    assert not any(each.startswith("CANCEL") for each in scene.starts())
    scene.answer(first, 180)
    assert scene.starts() == ["CANCEL > 10.0.0.5"]


def test_a_connection_that_breaks_while_it_rings() -> None:
    scene = scene_with(TCP)
    _, leg = scene.ringing(("Supported", "199"))
    scene.answer(leg, 180)
    scene.said()
    scene.calls.failed(leg.flow)
    scene.run(0.0)
    assert scene.starts() == ["INVITE > 10.0.0.6", "199 INVITE > 198.51.100.1"]


# Times


def test_the_ring_time_counts_from_the_invite_over_all_addresses() -> None:
    scene = scene_with(TWO, route("anna", step("agent", "anna", ring=10.0), to("queue-main")))
    scene.ringing()
    scene.run(4.0)
    second = scene.legs()[-1]
    scene.answer(second, 180)
    scene.run(5.9)
    assert not any(each.startswith("CANCEL") for each in scene.starts())
    scene.run(0.1)
    assert scene.starts() == ["CANCEL > 10.0.0.6", "INVITE > 10.0.0.5"]


def test_ring_times_and_silence_are_told_apart() -> None:
    for heard, outcome in ((True, "no_answer"), (False, "unreachable")):
        scene = Scene(route("anna", step("agent", "anna", ring=3.0), to("queue-main")))
        _, leg = scene.ringing()
        if heard:
            scene.answer(leg, 180)
        call = next(iter(scene.calls.live))
        scene.run(3.0)
        assert [(each.outcome, each.code) for each in call.hunt.tried] == [(outcome, 0 if heard else 503)]


def test_total_bounds_a_step() -> None:
    group = step("group", "sales", ring=10.0, total=15.0)
    scene = Scene(route("sales", group, to("queue-main")))
    _, leg = scene.ringing()
    scene.answer(leg, 180)
    scene.run(10.0)
    [second] = scene.legs()
    scene.answer(second, 180)
    scene.run(5.0)
    said = scene.legs()
    assert said[-1].message.uri.startswith("sip:600@")
    call = next(iter(scene.calls.live))
    assert [each.outcome for each in call.hunt.tried] == ["no_answer", "no_answer"]


def test_who_says_nothing_until_the_step_is_over_is_unreachable() -> None:
    scene = Scene(route("sales", step("group", "sales", ring=10.0, total=3.0), to("queue-main")))
    told: list[str] = []
    scene.calls.on_suspicion = told.append
    scene.ringing()
    call = next(iter(scene.calls.live))
    scene.run(3.0)
    assert [(each.outcome, each.code) for each in call.hunt.tried] == [("unreachable", 503)]
    assert told == ["pbx"]


def test_max_ring_bounds_all_steps() -> None:
    scene = Scene(route("q", to("queue-main"), else_="end", max_ring=40.0))
    _, leg = scene.ringing()
    scene.answer(leg, 180)
    scene.said()
    scene.run(40.0)
    assert scene.starts() == ["CANCEL > 10.0.0.5", "480 INVITE > 198.51.100.1"]
    scene.answer(leg, 487)
    assert scene.is_over()


def test_a_cancelled_leg_that_never_answers_is_forgotten() -> None:
    scene = Scene(QUEUE)
    invite, leg = scene.ringing()
    scene.answer(leg, 180)
    scene.cancel(invite)
    assert scene.is_over()


# 3xx


def test_a_redirection_is_followed() -> None:
    scene = Scene(QUEUE)
    _, leg = scene.ringing()
    scene.answer(leg, 302, headers=[("Contact", "<sip:103@10.0.0.5>")])
    said = scene.said()
    assert [start(each.message) for each in said] == ["ACK", "INVITE"]
    assert said[1].message.uri == "sip:103@10.0.0.5:5060"


def test_a_redirection_by_address_is_the_senders_own() -> None:
    scene = Scene(route("out", step("mobile", "ivan"), else_="end"))
    _, leg = scene.ringing()
    assert leg.flow.host == "198.51.100.1"  # of trunk-a, which the settings know by name only
    scene.answer(leg, 302, headers=[("Contact", "<sip:+48601999888@198.51.100.1>")])
    assert "INVITE" in [start(each.message) for each in scene.said()]


def test_a_redirection_is_passed_on_where_the_settings_say_so() -> None:
    scene = Scene(QUEUE, peers={"pbx": {"on_3xx": "pass"}})
    _, leg = scene.ringing()
    scene.answer(leg, 302, headers=[("Contact", "<sip:103@10.0.0.5>")])
    said = scene.one("302 INVITE").message
    assert said.get("Contact") == "<sip:103@pbx.example.pl:5060>;q=1.0"


def test_a_redirection_to_a_stranger_is_not_followed() -> None:
    scene = Scene(QUEUE)
    _, leg = scene.ringing()
    scene.answer(leg, 302, headers=[("Contact", "<sip:900@evil.example>")])
    assert scene.starts() == ["ACK > 10.0.0.5", "480 INVITE > 198.51.100.1"]


# Credentials and session intervals


@pytest.mark.parametrize(
    ("code", "asks", "answers"),
    [(401, "WWW-Authenticate", "Authorization"), (407, "Proxy-Authenticate", "Proxy-Authorization")],
)
def test_a_challenge_is_answered_and_the_ack_bears_the_credentials(code: int, asks: str, answers: str) -> None:
    scene = Scene(QUEUE, peers=LOGIN)
    invite, leg = scene.ringing()
    scene.answer(leg, code, headers=[(asks, CHALLENGE.format("n1"))])
    said = scene.said()
    assert [start(each.message) for each in said] == ["ACK", "INVITE"]
    again = said[1].message
    assert again.cseq == (2, "INVITE")
    assert again.get("Call-ID") == leg.message.get("Call-ID")
    assert again.get("From") == leg.message.get("From")
    assert tag(again.get("To") or "") == ""
    assert re.search(r'nonce="n1".*nc=00000001', again.get(answers) or "")
    scene.answer(said[1], 200, headers=WITH_SDP, body=ANSWER)
    ack = scene.one("ACK").message
    assert ack.get(answers) == again.get(answers)
    assert ack.cseq == (2, "ACK")
    scene.cancel(invite)


def test_the_answer_proves_the_nonce() -> None:
    """A nonce that was good and is refused later has one more try."""
    scene = Scene(QUEUE, peers=LOGIN)
    _, leg = scene.ringing()
    scene.answer(leg, 401, headers=[("WWW-Authenticate", CHALLENGE.format("n1"))])
    scene.answer(scene.legs()[0], 200, headers=WITH_SDP, body=ANSWER)
    scene.said()
    [known] = scene.calls._authentications["pbx"]._known.values()
    assert known.proved


def test_wrong_credentials_are_a_refusal() -> None:
    scene = Scene(QUEUE, peers=LOGIN)
    _, leg = scene.ringing()
    scene.answer(leg, 401, headers=[("WWW-Authenticate", CHALLENGE.format("n1"))])
    scene.answer(scene.legs()[0], 401, headers=[("WWW-Authenticate", CHALLENGE.format("n2"))])
    assert scene.starts()[-1] == "500 INVITE > 198.51.100.1"


@pytest.mark.parametrize("code", [401, 407])
def test_without_credentials_a_challenge_is_a_refusal_that_never_passes(code: int) -> None:
    scene = Scene(QUEUE)
    _, leg = scene.ringing()
    scene.answer(leg, code, headers=[("WWW-Authenticate", CHALLENGE.format("n1"))])
    refusal = scene.one("500 INVITE").message
    assert refusal.get("WWW-Authenticate") is None


def test_after_a_challenge_the_patience_begins_anew() -> None:
    scene = Scene(QUEUE, peers=LOGIN)
    _, leg = scene.ringing()
    scene.run(3.0)
    scene.answer(leg, 401, headers=[("WWW-Authenticate", CHALLENGE.format("n1"))])
    again = scene.legs()[-1]
    scene.answer(again, 180)
    scene.said()
    scene.run(20.0)
    assert scene.starts() == []


def test_422_tries_the_same_step_with_its_interval() -> None:
    scene = Scene(QUEUE)
    _, leg = scene.ringing(("Supported", "timer"), ("Session-Expires", "100"), ("Min-SE", "90"))
    scene.answer(leg, 422, headers=[("Min-SE", "600")])
    [again] = scene.legs()
    assert again.message.get("Session-Expires") == "600"
    assert again.message.get("Min-SE") == "600"
    assert again.message.cseq[0] == 2
    scene.answer(again, 422, headers=[("Min-SE", "900;x=y")])
    [third] = scene.legs()
    assert third.message.get("Min-SE") == "900"
    scene.answer(third, 422, headers=[("Min-SE", "900")])  # it does not know what it wants
    assert scene.starts() == ["ACK > 10.0.0.5", "422 INVITE > 198.51.100.1"]


@pytest.mark.parametrize("least", [[], [("Min-SE", "soon")]])
def test_422_without_an_interval_is_a_refusal(least: Headers) -> None:
    scene = Scene(QUEUE)
    _, leg = scene.ringing()
    scene.answer(leg, 422, headers=least)
    assert scene.legs() == []


# What the caller is told of a failure


@pytest.mark.parametrize(
    ("code", "told"), [(486, 486), (404, 404), (408, 408), (487, 480), (491, 491), (503, 500), (500, 500), (603, 603)]
)
def test_what_the_caller_is_told(code: int, told: int) -> None:
    scene = Scene(QUEUE)
    _, leg = scene.ringing()
    scene.answer(leg, code)
    said = scene.starts()
    assert said[0] == "ACK > 10.0.0.5"
    if code != 503 and code != 500:
        assert said[1:] == [f"{told} INVITE > 198.51.100.1"]
    assert not any(each.startswith(("503", "487", "401")) for each in said)


def test_what_a_refusal_needs_passes_with_it() -> None:
    scene = Scene(QUEUE)
    _, leg = scene.ringing()
    headers = [("Accept", "application/sdp"), ("Reason", "Q.850;cause=17"), ("Server", "PBX 1.0")]
    scene.answer(leg, 415, headers=headers)
    refusal = scene.one("415 INVITE").message
    assert refusal.get("Accept") == "application/sdp"
    assert refusal.get("Reason") == "Q.850;cause=17"
    assert refusal.get("Server") is None
    assert refusal.get("Contact") is None


def test_tcp_legs_know_their_flow() -> None:
    scene = scene_with(TCP)
    _, leg = scene.ringing()
    assert leg.flow == Flow("tcp", "10.0.0.5", 5060, leg.flow.number)
    assert leg.message.get("Contact") == "<sip:192.0.2.1:5060;transport=tcp>"
    scene.run(2.0)
    assert scene.starts() == []  # nothing is repeated on a reliable way
