"""OPTIONS of our own inside a call: a far end that is gone is noticed where no session timer tells it."""

from typing import Any

import pytest

from tests.calls.network import CALLER_TCP
from tests.calls.talk import HELD, HOLD, Talk

OFF: dict[str, dict[str, Any]] = {"trunk-a": {"session_expires": 0.0}, "pbx": {"session_expires": 0.0}}


def test_the_two_ends_are_asked_in_turns() -> None:
    talk = Talk()
    for end, other in ((talk.b, talk.a), (talk.a, talk.b), (talk.b, talk.a)):
        talk.run(899.0)
        assert (end.hears(), other.hears()) == ([], [])
        talk.run(1.0)
        assert other.hears() == []
        asked = end.one("OPTIONS")
        assert asked.message.get("Contact") is not None
        end.answer(asked, 200)
    assert talk.hang_up()


def test_the_shorter_interval_of_both_peers_counts() -> None:
    talk = Talk(peers={"trunk-a": {"session_expires": 0.0}, "pbx": {"session_expires": 600.0}})
    talk.run(300.0)
    talk.b.answer(talk.b.one("OPTIONS"), 200)
    assert talk.hang_up()


@pytest.mark.parametrize("code", [401, 404, 405, 486, 500, 501, 503])
def test_any_answer_is_life(code: int) -> None:
    talk = Talk()
    talk.run(900.0)
    talk.b.answer(talk.b.one("OPTIONS"), code)
    assert talk.calls.live
    assert talk.hang_up()


@pytest.mark.parametrize("code", [408, 481])
def test_a_far_end_that_knows_nothing_of_it_ends_the_call(code: int) -> None:
    talk = Talk()
    talk.run(900.0)
    talk.b.answer(talk.b.one("OPTIONS"), code)
    talk.a.answer(talk.a.one("BYE"), 200)
    talk.b.answer(talk.b.one("BYE"), 481)
    assert talk.is_over()


def test_silence_ends_the_call() -> None:
    talk = Talk()
    talk.run(900.0)
    talk.b.one("OPTIONS")
    talk.run(32.0)
    talk.a.answer(talk.a.one("BYE"), 200)
    assert talk.b.hears()[-1] == "BYE"
    assert talk.is_over()


def test_a_connection_that_breaks_under_the_question_ends_the_call() -> None:
    talk = Talk(flow=CALLER_TCP)
    talk.run(900.0)
    talk.b.answer(talk.b.one("OPTIONS"), 200)
    talk.run(900.0)
    talk.a.one("OPTIONS")
    talk.calls.failed(CALLER_TCP)
    talk.run(0.0)
    talk.b.answer(talk.b.one("BYE"), 200)
    assert talk.a.hears() == ["BYE"]
    assert talk.is_over()


def test_with_a_session_timer_nobody_is_asked() -> None:
    talk = Talk(invite=[("Supported", "timer")], ok=[("Session-Expires", "7200;refresher=uas")])
    talk.run(7000.0)
    assert (talk.a.hears(), talk.b.hears()) == ([], [])
    assert talk.hang_up()


def test_from_the_end_of_the_session_timer_on() -> None:
    talk = Talk(peers=OFF, invite=[("Supported", "timer")], ok=[("Session-Expires", "7200;refresher=uas")])
    invite = talk.b.send("INVITE", body=HOLD)
    talk.a.answer(talk.a.one("INVITE"), 200, body=HELD)
    talk.b.hears()
    talk.b.ack(invite)
    talk.a.hears()
    talk.run(900.0)
    talk.b.answer(talk.b.one("OPTIONS"), 200)
    assert talk.hang_up()
