"""Stories of requests inside a call: what one end asks, what the other hears and answers (RFC 3261 12)."""

import pytest

from sipacr.calls.network import Flow
from sipacr.routing.directory import Credentials
from tests.calls.network import CALLER_TCP
from tests.calls.talk import HELD, HOLD, Talk

BOTH = pytest.mark.parametrize("who", ["a", "b"])
DTMF = ("Content-Type", "application/dtmf-relay")


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


def test_the_connection_of_who_re_invites_breaks_and_the_answer_crosses() -> None:
    talk = Talk(flow=CALLER_TCP)
    invite = talk.a.send("INVITE", body=HOLD)
    asked = talk.b.one("INVITE")
    talk.calls.failed(CALLER_TCP)
    talk.b.answer(asked, 200, body=HELD)
    talk.b.one("ACK")
    talk.run(32.0)  # nobody has heard it, so nobody acknowledges
    talk.b.answer(talk.b.one("BYE"), 200)
    assert talk.a.hears() == ["100 INVITE", "BYE"]
    talk.asked.remove(invite)
    assert talk.is_over()


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


@pytest.mark.parametrize(("early", "code"), [("one", 500), ("many", 481)])
def test_between_two_legs(early: str, code: int) -> None:
    """The caller's only early dialog goes on with the next leg; of several the one that ended is gone."""
    talk = Talk(answered=False, peers={"trunk-a": {"early": early}})
    talk.b.answer(talk.leg, 180, to=talk.b.local)
    talk.meets(next(each for each in talk.a.sent() if each.message.code == 180).message)
    talk.b.answer(talk.leg, 486, to=talk.b.local)
    heard = talk.b.sent()
    assert [each.message.method for each in heard] == ["ACK", "INVITE"]
    talk.a.send("UPDATE")
    if talk.a.known:  # else the driver says 481
        assert (talk.a.one(f"{code} UPDATE").message.get("Retry-After") is not None) == (code == 500)
    else:
        assert code == 481
        talk.asked.pop()
    talk.b.answer(heard[1], 486, to=f"{heard[1].message.get('To')};tag=c")
    assert talk.b.hears() == ["ACK"]
    talk.a.one("486 INVITE")
    talk.a.ack_refusal(talk.invite_of_a)
    assert talk.is_over()


def test_a_challenge_to_what_was_cancelled() -> None:
    talk = Talk(peers={"trunk-a": {"auth": CREDENTIALS}})
    invite = talk.b.send("INVITE", body=HOLD)
    asked = talk.a.one("INVITE")
    talk.b.cancel(invite)
    talk.b.one("200 CANCEL")
    talk.a.answer(asked, 401, CHALLENGE)
    assert talk.a.hears() == ["ACK"]
    talk.b.one("487 INVITE")
    talk.b.ack_refusal(invite)
    assert talk.hang_up()


def test_a_challenge_after_the_deadline() -> None:
    talk = Talk(peers={"trunk-a": {"auth": CREDENTIALS}})
    talk.b.send("INFO", DTMF, body=b"Signal=5\r\n")
    asked = talk.a.one("INFO")
    talk.run(10.1)
    talk.b.one("504 INFO")
    talk.a.hears()
    talk.a.answer(asked, 401, CHALLENGE)
    assert talk.a.hears() == []
    assert talk.hang_up()
