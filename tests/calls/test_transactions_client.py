"""Our requests: timers and states of RFC 3261 17.1 and RFC 6026 7.2, lost and repeated messages, CANCEL."""

from typing import Any

import pytest

from calls.network import CALLEE, CALLEE_TCP, answer, request
from calls.world import User, World
from sipacr.calls.message import Message
from sipacr.calls.network import Flow, Target
from sipacr.calls.transactions import ClientTransaction

# Seconds after the first sending at which it is sent again when nothing comes back.
TIMER_A = [0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
TIMER_E = [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]


@pytest.fixture
def world() -> World:
    return World()


# Our requests: INVITE


def test_our_via_stands_on_top_with_branch_and_rport(world: World) -> None:
    transaction, _ = world.client()
    message = world.network.messages(CALLEE)[0]
    assert message.headers[0] == ("Via", "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKt1;rport")
    assert transaction.branch == "z9hG4bKt1"
    assert transaction.request.headers == message.headers


@pytest.mark.parametrize(("transport", "via"), [("tcp", "SIP/2.0/TCP"), ("tls", "SIP/2.0/TLS")])
def test_via_on_a_connection(world: World, transport: Any, via: str) -> None:
    world.client(flow=Flow(transport, "203.0.113.1", 5061, 5))
    assert world.network.messages()[0].get("Via") == f"{via} 192.0.2.1:5060;branch=z9hG4bKt1"


@pytest.mark.parametrize(("method", "times"), [("INVITE", TIMER_A), ("OPTIONS", TIMER_E), ("BYE", TIMER_E)])
def test_unanswered_on_udp(world: World, method: str, times: list[float]) -> None:
    transaction, user = world.client(method)
    first = world.network.sent[0].data
    assert world.times_of(method, 31.9) == times
    assert all(sent.data == first for sent in world.network.sent)
    assert user.told == []
    world.at(32.001)
    assert user.told == ["timed out"]
    assert not transaction.waiting
    world.at(40)
    assert user.told == ["timed out"]
    world.nothing_is_left()


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS"])
def test_unanswered_on_a_connection(world: World, method: str) -> None:
    _, user = world.client(method, CALLEE_TCP)
    assert world.times_of(method, 31.9) == []
    assert user.told == []
    world.at(32.001)
    assert user.told == ["timed out"]
    world.nothing_is_left()


def test_a_response_after_the_time_out_is_nobodys(world: World) -> None:
    transaction, user = world.client()
    world.at(33)
    assert not world.hear(transaction, 200)
    assert user.told == ["timed out"]


def test_a_provisional_ends_repeats_and_patience(world: World) -> None:
    transaction, user = world.client()
    world.at(0.7)
    assert world.hear(transaction, 100)
    assert world.times_of("INVITE", 600) == []
    assert world.hear(transaction, 180)
    assert world.hear(transaction, 183)
    assert user.told == ["100", "180", "183"]
    assert (transaction.provisional, transaction.final) == (183, 0)
    assert len(world.transactions) == 1


def test_a_provisional_before_the_first_repeat(world: World) -> None:
    transaction, _ = world.client()
    world.at(0.4)
    world.hear(transaction, 100)
    assert world.times_of("INVITE") == []


@pytest.mark.parametrize("code", [300, 404, 486, 503, 603])
def test_a_refused_invite_is_acknowledged_here(world: World, code: int) -> None:
    headers = [("Route", "<sip:p1;lr>"), ("Route", "<sip:p2;lr>"), ("Proxy-Authorization", "Digest x")]
    transaction, user = world.client(headers=[*headers, ("Subject", "s")], cseq=7)
    world.network.take()
    world.hear(transaction, code, to_tag="them")
    assert user.told == [str(code)]
    (ack,) = world.network.messages(CALLEE)
    assert (ack.method, ack.uri, ack.body) == ("ACK", transaction.request.uri, b"")
    assert ack.lines("Via") == [transaction.request.get("Via")]
    assert ack.lines("To") == ["<sip:+48221112233@192.0.2.1>;tag=them"]
    assert ack.lines("CSeq") == ["7 ACK"]
    assert ack.lines("Max-Forwards") == ["70"]
    for name in ("From", "Call-ID", "Route", "Proxy-Authorization"):
        assert ack.lines(name) == transaction.request.lines(name) != []
    assert ack.get("Subject") is None


def test_a_refusal_that_is_repeated_gets_its_ack_again_until_timer_d(world: World) -> None:
    transaction, user = world.client()
    world.hear(transaction, 486)
    world.at(31.9)
    world.network.take()
    assert world.hear(transaction, 486)
    assert world.network.starts(CALLEE) == ["ACK"]
    assert world.network.sent[-1].data == world.network.sent[-2].data
    assert world.hear(transaction, 180)
    assert world.hear(transaction, 200)
    assert world.network.starts() == []
    assert user.told == ["486"]
    world.at(33)
    assert not world.hear(transaction, 486)
    world.nothing_is_left()


def test_timer_d_is_zero_on_a_connection(world: World) -> None:
    transaction, _ = world.client(flow=CALLEE_TCP)
    world.hear(transaction, 486)
    assert len(world.transactions) == 0


@pytest.mark.parametrize("flow", [CALLEE, CALLEE_TCP])
def test_every_2xx_is_told_until_timer_m(world: World, flow: Flow) -> None:
    transaction, user = world.client(flow=flow)
    world.network.take()
    world.hear(transaction, 180)
    world.hear(transaction, 200)
    world.hear(transaction, 200)
    world.at(31.9)
    world.hear(transaction, 200, to_tag="fork")
    assert world.hear(transaction, 180, to_tag="fork")
    assert world.hear(transaction, 486, to_tag="fork")
    assert user.told == ["180", "200", "200", "200"]
    assert world.network.starts() == []  # the ACK is the dialog's
    world.at(33)
    assert not world.hear(transaction, 200)
    world.nothing_is_left()


# Our requests: others


@pytest.mark.parametrize("flow", [CALLEE, CALLEE_TCP])
def test_the_answer_to_another_request(world: World, flow: Flow) -> None:
    transaction, user = world.client("BYE", flow)
    assert world.hear(transaction, 200)
    assert user.told == ["200"]
    assert world.times_of("BYE") == []
    world.nothing_is_left()


def test_a_repeated_answer_to_another_request_is_not_told(world: World) -> None:
    transaction, user = world.client("BYE")
    world.hear(transaction, 200)
    world.hear(transaction, 200)
    world.hear(transaction, 481)
    assert user.told == ["200"]


def test_after_a_provisional_other_requests_are_repeated_each_t2_and_given_up_by_timer_f(world: World) -> None:
    transaction, user = world.client("OPTIONS")
    world.at(0.2)
    world.hear(transaction, 100)
    assert world.times_of("OPTIONS", 31.9) == [0.5, 4.5, 8.5, 12.5, 16.5, 20.5, 24.5, 28.5]
    world.at(33)
    assert user.told == ["100", "timed out"]
    world.nothing_is_left()


# Responses that are not ours


def changed(message: Message, name: str, value: str) -> Message:
    message.headers = [(each, value if each == name else old) for each, old in message.headers]
    return message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Via", "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKt2;rport"),
        ("Via", "SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bKt1;rport"),
        ("Via", "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKT1;rport"),
        ("Via", "SIP/2.0/UDP 192.0.2.1:5060"),
        ("Via", "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKt1, SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKt1"),
        ("Via", ""),
        ("CSeq", "1 OPTIONS"),
        ("CSeq", "1 CANCEL"),
        ("CSeq", "1 ACK"),
        ("CSeq", ""),
    ],
)
def test_a_response_that_fits_nothing_is_nobodys(world: World, name: str, value: str) -> None:
    transaction, user = world.client()
    assert not world.transactions.response(changed(answer(transaction.request, 200), name, value), CALLEE)
    assert user.told == []


@pytest.mark.parametrize("at", [0, 1, 5])
@pytest.mark.parametrize(
    "other", ["SIP/2.0/UDP 198.51.100.1;branch=z9hG4bKa", "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKt1"]
)
def test_a_response_with_two_vias_is_nobodys(world: World, at: int, other: str) -> None:
    transaction, user = world.client()
    response = answer(transaction.request, 200)
    response.headers.insert(at, ("Via", other))
    assert not world.transactions.response(response, CALLEE)
    assert user.told == []


@pytest.mark.parametrize("late", [False, True])
def test_a_response_counts_only_from_the_peer_that_was_asked(world: World, late: bool) -> None:
    transaction, user = world.client()
    if late:
        assert world.hear(transaction, 200)
    before = list(user.told)
    response = answer(transaction.request, 200)
    elsewhere = CALLEE._replace(host="203.0.113.77")
    assert not world.transactions.response(response, elsewhere)
    assert user.told == before
    assert world.transactions.response(response, CALLEE._replace(port=40_000))  # another port of the same machine
    ways = [Target("udp", CALLEE.host, 5060), Target("udp", elsewhere.host, 5060)]
    world.network.peers["pbx"] = ways  # both are addresses of one peer
    assert world.transactions.response(response, elsewhere)
    assert user.told == [*before, "200", "200"]


def test_a_response_without_via_or_cseq_is_nobodys(world: World) -> None:
    world.client()
    assert not world.transactions.response(Message(code=200, headers=[]), CALLEE)


@pytest.mark.parametrize(
    "via",
    [
        "SIP/2.0/UDP 192.0.2.1:5060;rport=5060;received=192.0.2.1;branch=z9hG4bKt1",
        "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKt1;rport=5060;received=192.0.2.1",
        "SIP / 2.0 / UDP  192.0.2.1 : 5060 ; Branch = z9hG4bKt1",
        "SIP/2.0/UDP\t192.0.2.1:5060;branch=z9hG4bKt1",
        'SIP/2.0/UDP 192.0.2.1:5060;x=";branch=no,";branch=z9hG4bKt1',
        "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKt1,",
    ],
)
def test_our_via_however_it_comes_back(world: World, via: str) -> None:
    transaction, user = world.client()
    assert world.transactions.response(changed(answer(transaction.request, 180), "Via", via), CALLEE)
    assert user.told == ["180"]


@pytest.mark.parametrize("cseq", ["1\tINVITE", "1INVITE", "1  INVITE", "1 \tINVITE"])
def test_our_cseq_however_it_comes_back(world: World, cseq: str) -> None:
    transaction, user = world.client()
    assert world.transactions.response(changed(answer(transaction.request, 180), "CSeq", cseq), CALLEE)
    assert user.told == ["180"]


# CANCEL of ours


def test_cancel_after_a_provisional(world: World) -> None:
    transaction, user = world.client(cseq=5, headers=[("Route", "<sip:p;lr>"), ("Subject", "s")])
    world.hear(transaction, 180)
    world.network.take()
    transaction.cancel('SIP;cause=200;text="Call completed elsewhere"')
    (cancel,) = world.network.messages(CALLEE)
    assert (cancel.method, cancel.uri) == ("CANCEL", transaction.request.uri)
    assert cancel.lines("Via") == [transaction.request.get("Via")]
    assert cancel.lines("CSeq") == ["5 CANCEL"]
    assert cancel.lines("Reason") == ['SIP;cause=200;text="Call completed elsewhere"']
    for name in ("From", "To", "Call-ID", "Route", "Max-Forwards"):
        assert cancel.lines(name) == transaction.request.lines(name) != []
    assert cancel.get("Subject") is None
    assert world.transactions.response(answer(cancel, 200), CALLEE)
    assert user.told == ["180"]
    assert world.hear(transaction, 487)
    assert user.told == ["180", "487"]
    assert world.network.starts() == ["ACK"]
    world.at(40)
    assert user.told == ["180", "487"]
    world.nothing_is_left()


def test_cancel_without_a_reason_has_none(world: World) -> None:
    transaction, _ = world.client()
    world.hear(transaction, 180)
    world.network.take()
    transaction.cancel()
    assert world.network.messages()[0].get("Reason") is None


def test_cancel_waits_for_a_provisional(world: World) -> None:
    transaction, user = world.client()
    transaction.cancel("Q.850;cause=16")
    assert world.times_of("CANCEL", 5) == []
    world.hear(transaction, 100)
    assert world.network.starts() == ["CANCEL"]
    world.hear(transaction, 180)
    assert world.network.starts() == []
    assert user.told == ["100", "180"]


def test_cancel_from_within_the_first_provisional(world: World) -> None:
    class Hasty(User):
        def response(self, transaction: ClientTransaction, message: Message) -> None:
            super().response(transaction, message)
            transaction.cancel()

    user = Hasty()
    transaction = world.transactions.send(request(via=False), CALLEE, user)
    world.hear(transaction, 180)
    assert world.network.starts() == ["INVITE", "CANCEL"]
    world.hear(transaction, 487)
    assert world.network.starts() == ["ACK"]
    assert user.told == ["180", "487"]


def test_cancel_that_nothing_answers_ends_with_timer_b(world: World) -> None:
    transaction, user = world.client()
    transaction.cancel()
    assert world.times_of("INVITE", 31.9) == TIMER_A
    world.at(33)
    assert user.told == ["timed out"]
    world.nothing_is_left()


@pytest.mark.parametrize("answered", [True, False])
def test_no_final_64_t1_after_the_cancel(world: World, answered: bool) -> None:
    transaction, user = world.client()
    world.hear(transaction, 180)
    world.at(10)
    world.network.take()
    transaction.cancel()
    if answered:
        world.transactions.response(answer(world.network.messages()[0], 200), CALLEE)
    else:
        assert world.times_of("CANCEL", 41.9) == [10 + each for each in TIMER_E]
    world.at(41.9)
    assert user.told == ["180"]
    world.at(42.001)
    assert user.told == ["180", "timed out"]
    assert not world.hear(transaction, 487)
    world.at(43)
    world.nothing_is_left()


def test_a_provisional_after_the_cancel_does_not_stop_the_wait(world: World) -> None:
    transaction, user = world.client()
    world.hear(transaction, 180)
    transaction.cancel()
    world.at(20)
    world.hear(transaction, 180)
    world.at(33)
    assert user.told == ["180", "180", "timed out"]


def test_a_2xx_crosses_the_cancel(world: World) -> None:
    transaction, user = world.client()
    world.hear(transaction, 180)
    transaction.cancel()
    world.hear(transaction, 200)
    assert user.told == ["180", "200"]
    world.at(80)
    assert user.told == ["180", "200"]
    world.nothing_is_left()


def test_a_2xx_comes_before_the_cancel_could_be_sent(world: World) -> None:
    transaction, user = world.client()
    transaction.cancel()
    world.hear(transaction, 200)
    assert user.told == ["200"]
    assert world.network.starts() == ["INVITE"]


@pytest.mark.parametrize("code", [200, 486])
def test_cancel_after_the_final_does_nothing(world: World, code: int) -> None:
    transaction, _ = world.client()
    world.hear(transaction, 180)
    world.hear(transaction, code)
    world.network.take()
    transaction.cancel()
    assert world.times_of("CANCEL") == []


def test_only_an_invite_is_cancelled_and_only_once(world: World) -> None:
    options, _ = world.client("OPTIONS")
    world.hear(options, 100)
    options.cancel()
    invite, _ = world.client()
    world.hear(invite, 100)
    invite.cancel()
    invite.cancel("again")
    assert world.network.starts() == ["OPTIONS", "INVITE", "CANCEL"]
