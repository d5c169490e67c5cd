"""Requests of others: timers and states of RFC 3261 17.2 and RFC 6026 7.1, what belongs together; flows that die."""

from typing import Any

import pytest

from calls.network import CALLEE, CALLEE_TCP, CALLER, CALLER_TCP, request
from calls.world import User, World
from sipacr.calls.message import Headers, Message
from sipacr.calls.network import Flow
from sipacr.calls.timers import T4
from sipacr.calls.transactions import ClientTransaction, response_to

# Seconds after the first sending at which it is sent again when nothing comes back.
TIMER_E = [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]


@pytest.fixture
def world() -> World:
    return World()


# Requests of others: INVITE


def test_a_repeated_invite_hears_the_last_provisional(world: World) -> None:
    server = world.server()
    assert world.transactions.request(request(), CALLER) is None
    assert world.network.starts() == []
    world.says(server, 100)
    world.says(server, 180)
    world.network.take()
    assert world.transactions.request(request(), CALLER) is None
    assert world.network.starts(CALLER) == ["180 INVITE"]


@pytest.mark.parametrize("flow", [CALLER, CALLER_TCP])
def test_accepted_is_silent_and_takes_further_2xx_only(world: World, flow: Flow) -> None:
    server = world.server(flow=flow)
    world.says(server, 200)
    assert server.final == 200
    assert world.network.starts(flow) == ["200 INVITE"]
    assert world.transactions.request(request(), flow) is None
    world.says(server, 180)
    world.says(server, 486)
    assert world.network.starts() == []
    assert world.times_of("200 INVITE", 20) == []
    server.repeat()
    world.says(server, 200)
    assert world.network.starts() == ["200 INVITE", "200 INVITE"]
    assert not world.transactions.ack(request("ACK"), flow)  # some reuse the branch: still the dialog's
    world.at(31.9)
    assert world.transactions.request(request(), flow) is None
    world.at(33)
    assert world.transactions.request(request(), flow) is not None


def test_a_refusal_is_repeated_until_its_ack(world: World) -> None:
    server = world.server()
    world.says(server, 486)
    assert world.network.starts(CALLER) == ["486 INVITE"]
    assert world.times_of("486 INVITE", 5) == [0.5, 1.5, 3.5]
    assert world.transactions.request(request(), CALLER) is None
    assert world.network.starts() == ["486 INVITE"]
    assert world.transactions.ack(request("ACK"), CALLER)
    assert world.times_of("486 INVITE", 9.9) == []
    assert world.transactions.ack(request("ACK"), CALLER)
    assert world.transactions.request(request(), CALLER) is None  # late, and still no new call
    assert world.network.starts() == []
    world.at(5 + T4 + 0.1)
    assert not world.transactions.ack(request("ACK"), CALLER)
    world.at(12)
    world.nothing_is_left()


def test_a_refusal_that_is_never_acknowledged(world: World) -> None:
    server = world.server()
    world.says(server, 486)
    assert world.times_of("486 INVITE", 60) == TIMER_E
    world.nothing_is_left()
    world.says(server, 200)
    server.repeat()
    assert world.network.starts() == []


def test_a_refusal_on_a_connection_waits_for_its_ack_in_silence(world: World) -> None:
    server = world.server(flow=CALLER_TCP)
    world.says(server, 486)
    assert world.times_of("486 INVITE", 31.9) == []
    assert world.transactions.ack(request("ACK"), CALLER_TCP)
    world.at(33)
    world.nothing_is_left()
    world.says(world.server(flow=CALLER_TCP), 486)
    assert world.times_of("486 INVITE", 80) == []  # timer H
    world.nothing_is_left()


def test_an_ack_before_any_final_changes_nothing(world: World) -> None:
    server = world.server()
    assert world.transactions.ack(request("ACK"), CALLER)
    world.says(server, 486)
    assert world.times_of("486 INVITE", 1) == [0.5]


def test_the_ack_of_a_2xx_is_the_dialogs(world: World) -> None:
    world.says(world.server(), 200)
    assert not world.transactions.ack(request("ACK", branch="z9hG4bKother"), CALLER)


@pytest.mark.parametrize(("first", "second"), [(200, 486), (486, 200), (486, 603), (302, 100)])
def test_one_final_response(world: World, first: int, second: int) -> None:
    server = world.server()
    world.says(server, first)
    world.says(server, second)
    assert server.final == first
    assert world.network.starts() == [f"{first} INVITE"]


# Requests of others: the rest


def test_a_repeated_request_is_answered_again_until_timer_j(world: World) -> None:
    server = world.server("BYE")
    assert world.transactions.request(request("BYE"), CALLER) is None
    assert world.network.starts() == []
    world.says(server, 200)
    world.says(server, 481)
    assert world.times_of("200 BYE", 31.9) == []
    assert world.transactions.request(request("BYE"), CALLER) is None
    assert world.network.starts(CALLER) == ["200 BYE"]
    assert world.network.sent[0].data == world.network.sent[1].data
    world.at(33)
    world.nothing_is_left()
    assert world.transactions.request(request("BYE"), CALLER) is not None


def test_timer_j_is_zero_on_a_connection(world: World) -> None:
    world.says(world.server("BYE", CALLER_TCP), 200)
    world.nothing_is_left()


def test_a_provisional_to_another_request_is_repeated_on_demand(world: World) -> None:
    world.says(world.server("OPTIONS"), 100)
    world.network.take()
    assert world.transactions.request(request("OPTIONS"), CALLER) is None
    assert world.network.starts() == ["100 OPTIONS"]


def test_repeat_sends_the_last_response(world: World) -> None:
    server = world.server()
    server.repeat()
    assert world.network.sent == []
    world.says(server, 183)
    server.repeat()
    assert [sent.data for sent in world.network.sent] == [world.network.sent[0].data] * 2


# What belongs together (RFC 3261 17.2.3)


@pytest.mark.parametrize(
    ("fields", "flow"),
    [
        ({"branch": "z9hG4bKb"}, CALLER),
        ({"sent_by": "198.51.100.1:5062"}, CALLER),
        ({"sent_by": "198.51.100.2:5060"}, CALLER),
        ({"method": "OPTIONS"}, CALLER),
        ({"method": "CANCEL"}, CALLER),
        ({}, CALLER._replace(host="198.51.100.9")),  # a stranger
    ],
)
def test_another_transaction(world: World, fields: dict[str, str], flow: Flow) -> None:
    first = world.server()
    second = world.transactions.request(request(**fields), flow)  # type: ignore[arg-type]
    assert second is not None
    assert second is not first
    world.says(second, 486)
    assert world.network.sent[0].flow == flow
    assert first.final == 0


@pytest.mark.parametrize(
    ("fields", "flow"),
    [
        ({}, CALLER),
        ({}, CALLER._replace(port=6000)),  # a NAT gave it another port
        ({"sent_by": "198.51.100.1:5060"}, CALLER_TCP),
    ],
)
def test_the_same_transaction(world: World, fields: dict[str, str], flow: Flow) -> None:
    world.server()
    assert world.transactions.request(request(**fields), flow) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("method", "code"), [("INVITE", 0), ("INVITE", 200), ("INVITE", 486), ("BYE", 0), ("BYE", 200)]
)
def test_a_repeat_is_known_before_it_is_given_in(world: World, method: str, code: int) -> None:
    assert not world.transactions.repeats(request(method), CALLER)
    server = world.server(method)
    if code:
        world.says(server, code)
    world.network.take()
    assert world.transactions.repeats(request(method), CALLER)
    assert not world.transactions.repeats(request(method, branch="z9hG4bKnew"), CALLER)
    assert world.network.starts() == []


def test_sent_by_is_compared_in_any_case(world: World) -> None:
    world.server(sent_by="PBX.example:5060")
    assert world.transactions.request(request(sent_by="pbx.EXAMPLE:5060"), CALLER) is None


@pytest.mark.parametrize(
    ("fields", "same"),
    [
        ({}, True),
        ({"call_id": "x"}, False),
        ({"from_tag": "x"}, False),
        ({"cseq": 2}, False),
        ({"sent_by": "x"}, False),
    ],
)
def test_a_branch_without_the_magic_cookie(world: World, fields: dict[str, Any], same: bool) -> None:
    world.says(world.server(branch="1"), 486)
    assert world.transactions.ack(request("ACK", branch="1", **fields), CALLER) is same
    assert (world.transactions.request(request(branch="1", **fields), CALLER) is None) is same


def test_no_branch_at_all(world: World) -> None:
    bare = [("Via", "SIP/2.0/UDP 198.51.100.1")]

    def bare_request(method: str) -> Message:
        message = request(method)
        message.headers = bare + message.headers[1:]
        return message

    server = world.transactions.request(bare_request("INVITE"), CALLER)
    assert server is not None
    assert world.transactions.request(bare_request("INVITE"), CALLER) is None
    assert world.transactions.invite_of(bare_request("CANCEL"), CALLER) is server


# CANCEL of others


@pytest.mark.parametrize("code", [0, 100, 180, 200, 486])
def test_cancel_finds_its_invite_answered_or_not(world: World, code: int) -> None:
    server = world.server()
    if code:
        world.says(server, code)
    assert world.transactions.request(request("CANCEL"), CALLER) is not None
    assert world.transactions.invite_of(request("CANCEL"), CALLER) is server
    assert world.transactions.request(request("CANCEL"), CALLER) is None


@pytest.mark.parametrize(
    ("fields", "flow"),
    [
        ({"branch": "z9hG4bKb"}, CALLER),
        ({"sent_by": "198.51.100.1"}, CALLER),
        ({}, CALLER._replace(host="198.51.100.9")),
    ],
)
def test_cancel_of_something_else(world: World, fields: dict[str, Any], flow: Flow) -> None:
    world.server()
    assert world.transactions.invite_of(request("CANCEL", **fields), flow) is None


def test_cancel_does_not_mean_a_bye(world: World) -> None:
    world.says(world.server("BYE"), 200)
    assert world.transactions.invite_of(request("CANCEL"), CALLER) is None


def test_cancel_after_the_ack_still_finds_its_invite(world: World) -> None:
    server = world.server()
    world.says(server, 487)
    world.transactions.ack(request("ACK"), CALLER)
    assert world.transactions.invite_of(request("CANCEL"), CALLER) is server


# Flows that die


def test_a_dead_flow_fails_its_own_requests(world: World) -> None:
    _, user = world.client(flow=CALLEE_TCP)
    ringing, ringing_user = world.client(flow=CALLEE_TCP)
    world.hear(ringing, 180)
    _, bye_user = world.client("BYE", CALLEE_TCP)
    other, other_user = world.client(flow=CALLEE)
    world.transactions.failed(CALLEE_TCP)
    world.transactions.failed(CALLEE_TCP)
    assert (user.told, ringing_user.told, bye_user.told) == (["failed"], ["180", "failed"], ["failed"])
    assert other_user.told == []
    assert not world.hear(ringing, 200)
    world.hear(other, 404)
    world.at(70)
    assert ringing_user.told == ["180", "failed"]
    world.nothing_is_left()


def test_a_dead_flow_after_the_final_is_not_told(world: World) -> None:
    answered, user = world.client(flow=CALLEE_TCP)
    world.hear(answered, 200)
    refused, refused_user = world.client()
    world.hear(refused, 486)
    world.transactions.failed(CALLEE_TCP)
    world.transactions.failed(CALLEE)
    assert (user.told, refused_user.told) == (["200"], ["486"])


def test_a_dead_flow_ends_the_wait_after_a_cancel(world: World) -> None:
    transaction, user = world.client(flow=CALLEE_TCP)
    world.hear(transaction, 180)
    transaction.cancel()
    world.transactions.failed(CALLEE_TCP)
    world.at(70)
    assert user.told == ["180", "failed"]
    world.nothing_is_left()


def test_the_caller_of_an_invite_is_gone(world: World) -> None:
    server = world.server(flow=CALLER_TCP)
    world.says(server, 180)
    other = world.server(branch="z9hG4bKother")
    world.network.take()
    world.transactions.failed(CALLER_TCP)
    world.transactions.failed(CALLER_TCP)
    assert isinstance(server.user, User)
    assert server.user.told == ["abandoned"]
    assert isinstance(other.user, User)
    assert other.user.told == []
    world.says(server, 487)
    server.repeat()
    assert world.network.sent == world.network.sent[:1]
    assert server.final == 0


@pytest.mark.parametrize(("method", "code"), [("INVITE", 200), ("INVITE", 486), ("BYE", 0), ("BYE", 200)])
def test_the_caller_is_gone_and_nobody_minds(world: World, method: str, code: int) -> None:
    server = world.server(method, CALLER_TCP)
    if code:
        world.says(server, code)
    world.transactions.failed(CALLER_TCP)
    assert isinstance(server.user, User)
    assert server.user.told == []


def test_without_a_user_nobody_is_told(world: World) -> None:
    assert world.transactions.request(request(), CALLER_TCP) is not None
    world.transactions.failed(CALLER_TCP)
    world.nothing_is_left()


def test_users_may_act_while_a_flow_fails(world: World) -> None:
    class Stubborn(User):
        def failed(self, transaction: ClientTransaction) -> None:
            super().failed(transaction)
            for each in ringing:
                each.cancel()
            world.transactions.send(request(via=False), CALLEE, User())

    users = [Stubborn(), Stubborn()]
    ringing = [world.transactions.send(request(via=False), CALLEE_TCP, user) for user in users]
    for each in ringing:
        world.hear(each, 180)
    world.network.take()
    world.transactions.failed(CALLEE_TCP)
    assert [user.told for user in users] == [["180", "failed"]] * 2
    assert world.network.starts() == ["INVITE", "INVITE"]


# Responses made of requests


def test_a_response_copies_what_it_must() -> None:
    invite = request(
        headers=[("Via", "SIP/2.0/UDP p;branch=z9hG4bKp"), ("Record-Route", "<sip:p;lr>"), ("Timestamp", "5")]
    )
    vias = invite.lines("Via")
    for code, tagged, routes, stamps in [
        (100, False, [], ["5"]),
        (180, True, ["<sip:p;lr>"], []),
        (200, True, ["<sip:p;lr>"], []),
        (486, True, [], []),
    ]:
        made = response_to(invite, code, "Text", "us" if tagged else "", [("Contact", "<sip:us>")])
        assert (made.code, made.reason, made.body) == (code, "Text", b"")
        assert made.lines("Via") == vias
        assert made.lines("Record-Route") == routes
        assert made.lines("Timestamp") == stamps
        assert made.get("To") == "<sip:+48221112233@192.0.2.1>" + (";tag=us" if tagged else "")
        assert made.get("Max-Forwards") is None
        assert made.headers[-1] == ("Contact", "<sip:us>")
        for name in ("From", "Call-ID", "CSeq"):
            assert made.lines(name) == invite.lines(name)


def test_a_to_that_has_a_tag_keeps_it() -> None:
    assert (response_to(request("BYE", to_tag="us"), 200, "OK", "x").get("To") or "").endswith(";tag=us")


def test_record_route_is_not_copied_where_no_dialog_is_made() -> None:
    routed: Headers = [("Record-Route", "<sip:p;lr>")]
    assert response_to(request("OPTIONS", headers=routed), 200, "OK").get("Record-Route") is None
    assert response_to(request("REFER", headers=routed), 202, "Accepted").get("Record-Route") == "<sip:p;lr>"


# Many


def test_many_at_once_share_their_timers(world: World) -> None:
    for number in range(1000):
        world.at(number / 2500)
        transaction, _ = world.client()
        server = world.server(branch=f"z9hG4bK{number}")
        world.hear(transaction, 200)
        world.says(server, 200)
    assert len(world.timers) < 10
    world.at(0.5)
    assert len(world.timers) == 2  # for what must be remembered: nothing waits to be repeated
    world.at(40)
    world.nothing_is_left()
