"""Session timers as they pass through us (RFC 4028)."""

from typing import Any

import pytest

from sipacr.calls import session
from sipacr.calls.message import Message
from tests.calls.network import request
from tests.calls.scene import ANSWER
from tests.calls.talk import HELD, HOLD, Talk

BOTH = pytest.mark.parametrize("who", ["a", "b"])
KNOWS = ("Supported", "timer")
OFF: dict[str, dict[str, Any]] = {"trunk-a": {"session_expires": 0.0}, "pbx": {"session_expires": 0.0}}


def expires(message: Message) -> tuple[str | None, str | None, str | None]:
    """All that a message says of session timers."""
    for name in ("Session-Expires", "Min-SE", "Require"):
        assert len(message.lines(name)) <= 1
    return message.get("Session-Expires"), message.get("Min-SE"), message.get("Require")


@pytest.mark.parametrize(
    ("headers", "ours", "minimum", "asked"),
    [
        ([], 0.0, None, []),
        ([], 1800.0, None, [("Session-Expires", "1800")]),
        ([], 30.0, None, [("Session-Expires", "90")]),
        ([("Min-SE", "3600")], 1800.0, None, [("Session-Expires", "3600"), ("Min-SE", "3600")]),
        ([("Session-Expires", "600;refresher=uac")], 1800.0, None, [("Session-Expires", "600;refresher=uac")]),
        ([("Session-Expires", "600;refresher=uas")], 0.0, "900", [("Session-Expires", "900;refresher=uas"), ("Min-SE", "900")]),
        ([], 0.0, "30", [("Session-Expires", "90"), ("Min-SE", "30")]),
        ([], 1800.0, "3600", [("Session-Expires", "3600"), ("Min-SE", "3600")]),
        ([("Session-Expires", "1800")], 0.0, "90", [("Session-Expires", "1800"), ("Min-SE", "90")]),
    ],
)  # fmt: skip
def test_what_is_asked(headers: list[tuple[str, str]], ours: float, minimum: str | None, asked: object) -> None:
    assert session.asked(request(headers=headers), ours, minimum) == asked


@pytest.mark.parametrize(
    ("value", "seconds"), [("1800;refresher=uac", 1800), ("90", 90), ("", 0), ("soon", 0), ("-5", 0), ("²", 0)]
)
def test_reading_an_interval(value: str, seconds: int) -> None:
    assert session.seconds(value) == seconds


@pytest.mark.parametrize(
    ("of_a", "of_b", "told"),
    [
        ([KNOWS, ("Session-Expires", "600")], ("600;refresher=uas", "timer"), ("600;refresher=uas", None, None)),
        ([KNOWS, ("Session-Expires", "600")], ("600;refresher=uac", "timer"), ("600;refresher=uac", None, "timer")),
        ([KNOWS, ("Session-Expires", "600")], (None, None), ("600;refresher=uac", None, "timer")),  # in place of B
        ([KNOWS], (None, None), ("1800;refresher=uac", None, "timer")),  # our own wish
        ([], ("1800;refresher=uas", None), (None, None, None)),  # A knows no timers: B refreshes alone
        ([], (None, None), (None, None, None)),
    ],
)
def test_what_the_caller_is_told(
    of_a: list[tuple[str, str]], of_b: tuple[str | None, str | None], told: object
) -> None:
    headers = [(n, v) for n, v in zip(("Session-Expires", "Require"), of_b, strict=True) if v]
    talk = Talk(invite=of_a, ok=headers, answered=False)
    wanted = next((v for n, v in of_a if n == "Session-Expires"), "1800")
    assert expires(talk.leg.message)[0] == wanted
    ok = talk.pick_up()
    assert expires(ok) == told
    talk.a.ack(talk.invite_of_a)
    assert talk.calls.live
    (call,) = talk.calls.live
    assert call.has_session_timer == (told != (None, None, None) or of_b[0] is not None)
    assert talk.hang_up()


def test_nobody_refreshes() -> None:
    talk = Talk(invite=[KNOWS, ("Session-Expires", "600")], ok=[("Session-Expires", "600;refresher=uas")])
    talk.run(599.0)
    assert (talk.a.hears(), talk.b.hears()) == ([], [])
    talk.run(1.0)
    for end in (talk.a, talk.b):
        bye = end.one("BYE")
        assert (bye.message.get("Reason") or "").startswith("SIP;cause=408")
        end.answer(bye, 200)
    assert talk.is_over()


@BOTH
@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_a_refresh(who: str, method: str) -> None:
    talk = Talk(invite=[KNOWS, ("Session-Expires", "600")], ok=[("Session-Expires", "600;refresher=uas")])
    near, far = talk.sides(who)
    for _ in range(4):
        talk.run(400.0)
        sent = near.send(method, KNOWS, ("Session-Expires", "600;refresher=uac"), ("Min-SE", "120"))
        asked = far.one(method)
        assert expires(asked.message) == ("600;refresher=uac", "120", None)
        far.answer(
            asked,
            200,
            ("Session-Expires", "600;refresher=uac"),
            ("Require", "timer"),
            body=ANSWER if method == "INVITE" else b"",
        )
        assert expires(near.one(f"200 {method}").message) == ("600;refresher=uac", None, "timer")
        if method == "INVITE":
            near.ack(sent, body=ANSWER)
            far.one("ACK")
    assert talk.hang_up(who)


def test_a_refusal_does_not_count_as_a_refresh() -> None:
    talk = Talk(invite=[KNOWS, ("Session-Expires", "600")], ok=[("Session-Expires", "600;refresher=uas")])
    talk.run(500.0)
    talk.a.send("UPDATE", KNOWS, ("Session-Expires", "600;refresher=uac"))
    talk.b.answer(talk.b.one("UPDATE"), 500)
    talk.a.one("500 UPDATE")
    talk.run(100.0)
    talk.a.answer(talk.a.one("BYE"), 200)
    talk.b.answer(talk.b.one("BYE"), 200)
    assert talk.is_over()


@BOTH
def test_too_short_for_the_other_side(who: str) -> None:
    talk = Talk()
    near, far = talk.sides(who)
    near.send("UPDATE", KNOWS, ("Session-Expires", "90"))
    far.answer(far.one("UPDATE"), 422, ("Min-SE", "300"))
    assert expires(near.one("422 UPDATE").message) == (None, "300", None)
    assert talk.hang_up(who)


@BOTH
def test_our_own_wish_is_too_short_for_the_other_side(who: str) -> None:
    talk = Talk()
    near, far = talk.sides(who)
    invite = near.send("INVITE", body=HOLD)
    asked = far.one("INVITE")
    assert expires(asked.message) == ("1800", None, None)
    far.answer(asked, 422, ("Min-SE", "3600"))
    heard = far.sent()
    assert [each.message.method for each in heard] == ["ACK", "INVITE"]
    assert expires(heard[1].message) == ("3600", "3600", None)
    far.answer(heard[1], 200, ("Session-Expires", "3600;refresher=uas"), body=HELD)
    far.one("ACK")
    assert expires(near.one("200 INVITE").message) == (None, None, None)
    near.ack(invite)
    talk.run(3500.0)
    assert talk.calls.live
    assert talk.hang_up(who)


def test_no_wish_of_ours() -> None:
    talk = Talk(peers=OFF)
    assert expires(talk.leg.message) == (None, None, None)
    invite = talk.a.send("INVITE", KNOWS, body=HOLD)
    asked = talk.b.one("INVITE")
    assert expires(asked.message) == (None, None, None)
    talk.b.answer(asked, 200, body=HELD)
    talk.b.hears()
    assert expires(talk.a.one("200 INVITE").message) == (None, None, None)
    talk.a.ack(invite)
    assert talk.hang_up()


def test_a_re_invite_may_end_the_timer() -> None:
    talk = Talk(peers=OFF, invite=[KNOWS, ("Session-Expires", "600")], ok=[("Session-Expires", "600;refresher=uas")])
    invite = talk.b.send("INVITE", body=HOLD)
    talk.a.answer(talk.a.one("INVITE"), 200, body=HELD)
    talk.b.one("200 INVITE")
    talk.b.ack(invite)
    talk.a.hears()
    talk.run(700.0)
    assert (talk.a.hears(), talk.b.hears()) == ([], [])
    assert talk.hang_up()
