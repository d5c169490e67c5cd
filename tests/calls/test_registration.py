"""Registering at a trunk: granted, refreshed, refused, moved to the next address, taken back."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sipacr.calls.message import Headers, Message, parameters, uri_of
from sipacr.calls.network import Flow, Target
from sipacr.calls.registration import KEEP_ALIVE, Registrant
from sipacr.calls.timers import Timers
from sipacr.calls.transactions import Transactions
from sipacr.routing.directory import Credentials, Peer, Registration
from sipacr.routing.numbers import NumberPlan
from tests.calls.network import FakeNetwork, answer, tokens

FIRST = Target("udp", "203.0.113.1", 5060)
SECOND = Target("udp", "203.0.113.2", 5060)
OVER_TCP = Target("tcp", "203.0.113.3", 5060, "sip.trunk.example.com")
PLAN = NumberPlan.of("PL")
CHALLENGE = 'Digest realm="trunk", nonce="{}", qop="auth"'


class Network(FakeNetwork):
    """Counts the keep-alives, which are no messages."""

    def __init__(self) -> None:
        super().__init__()
        self.pings: list[Flow] = []

    def send(self, flow: Flow, data: bytes) -> None:
        if data == b"\r\n\r\n":
            self.pings.append(flow)
        else:
            super().send(flow, data)


class Trunk:
    """A registrant, and the far end that a test plays."""

    def __init__(self, *targets: Target, auth: bool = False, proxy: str | None = None, expires: float = 600.0) -> None:
        self.network = Network()
        self.network.peers["trunk"] = targets
        self.timers = Timers(1000.0)
        self.transactions = Transactions(self.network, self.timers, tokens().__next__)
        self.told: list[tuple[bool, str]] = []
        self.ended = 0
        settings = Registration("48221112233", "trunk.example.com", "main", expires)
        peer = Peer(
            "trunk", "trunk", "relay", ("trunk.example.com",), PLAN, outbound_proxy=proxy, register=settings,
            auth=Credentials("48221112233", "secret") if auth else None,
        )  # fmt: skip
        self.registrant = Registrant(
            peer, settings, self.network, self.timers, self.transactions, tokens("r").__next__, self.note
        )
        self.registrant.start()
        self.run(0)

    def note(self, registrant: Registrant) -> None:
        self.told.append((registrant.until is not None, registrant.failure))

    def run(self, seconds: float) -> None:
        self.timers.run(self.timers.now + seconds)

    def request(self) -> Message:
        """The only REGISTER since the last look."""
        found = {message.get("CSeq"): message for message in self.network.messages()}
        assert len(found) == 1
        (message,) = found.values()
        assert message.method == "REGISTER"
        return message

    def asked(self) -> Target:
        """Where the only REGISTER since the last look went."""
        (flow,) = {sent.flow for sent in self.network.take()}
        return next(target for target in self.network.peers["trunk"] if self.network.flow(target) == flow)

    def answer(self, request: Message, code: int, *headers: tuple[str, str]) -> None:
        assert self.transactions.response(answer(request, code, headers=list(headers)), self.last_flow())

    def grant(self, expires: int = 600, *headers: tuple[str, str]) -> Message:
        """Grant the only REGISTER since the last look."""
        request = self.request()
        self.answer(request, 200, ("Contact", f"{request.get('Contact')};expires={expires}"), *headers)
        return request

    def last_flow(self) -> Flow:
        return self.network.sent[-1].flow

    def stop(self) -> None:
        self.registrant.stop(self.done)
        self.run(0)

    def done(self) -> None:
        self.ended += 1

    def quiet_for(self) -> float:
        """Seconds until the next REGISTER, which is left to be looked at."""
        start = self.timers.now
        while not self.network.messages():
            due = self.timers.next_due()
            assert due is not None
            assert due < start + 90_000
            self.timers.run(due)
        self.network._taken -= 1
        return self.timers.now - start


def test_the_request() -> None:
    request = Trunk(FIRST).request()
    assert request.uri == "sip:trunk.example.com"
    assert request.headers[1:] == [
        ("Max-Forwards", "70"),
        ("From", "<sip:48221112233@trunk.example.com>;tag=r2"),
        ("To", "<sip:48221112233@trunk.example.com>"),
        ("Call-ID", "r1"),
        ("CSeq", "1 REGISTER"),
        ("Contact", "<sip:main@192.0.2.1:5060>"),
        ("Expires", "600"),
        ("Supported", "path"),
    ]


def test_by_an_outbound_proxy() -> None:
    assert Trunk(FIRST, proxy="proxy.example.com:5062").request().get("Route") == "<sip:proxy.example.com:5062;lr>"
    request = Trunk(OVER_TCP, proxy="proxy.example.com").request()
    assert request.get("Route") == "<sip:proxy.example.com;transport=tcp;lr>"
    assert request.get("Contact") == "<sip:main@192.0.2.1:5060;transport=tcp>"


def test_granted_and_refreshed_in_time() -> None:
    trunk = Trunk(FIRST)
    first = trunk.grant(600)
    assert trunk.registrant.until == 1600.0
    assert trunk.told == [(True, "")]
    assert 270 <= trunk.quiet_for() <= 300
    second = trunk.grant(600)
    assert second.get("Call-ID") == first.get("Call-ID")
    assert (first.cseq[0], second.cseq[0]) == (1, 2)
    assert trunk.registrant.until == trunk.timers.now + 600
    assert trunk.told == [(True, "")]


@pytest.mark.parametrize(
    ("granted", "at_least", "at_most"), [(60, 27, 30), (1200, 540, 600), (3600, 2700, 3000), (86_400, 77_220, 85_800)]
)
def test_a_long_registration_is_refreshed_ten_minutes_before_its_end(
    granted: int, at_least: float, at_most: float
) -> None:
    trunk = Trunk(FIRST, expires=86_400.0)
    trunk.grant(granted)
    assert at_least <= trunk.quiet_for() <= at_most


@pytest.mark.parametrize(
    ("headers", "granted"),
    [
        ([("Contact", "<sip:main@192.0.2.1:5060>;expires=120"), ("Expires", "300")], 120),
        ([("Contact", "<sip:main@192.0.2.1:5060>"), ("Expires", "300")], 300),
        ([("Contact", "<sip:x@192.0.2.9>;expires=9, <sip:MAIN@192.0.2.1:5060;ob>;expires=200;q=0.5")], 200),
        ([("Contact", "<sip:x@192.0.2.9>;expires=9"), ("Contact", '"a" <sip:main@192.0.2.1:5060>;expires="7"')], 0),
        ([("Contact", "<sip:main@10.0.0.1:1024;rewritten>;expires=90")], 90),
        ([("Contact", "<sip:x@192.0.2.9>;expires=9, <sip:y@192.0.2.9>;expires=8"), ("Expires", "100")], 100),
        ([("Expires", "100000")], 600),
        ([], 600),
    ],
)  # fmt: skip
def test_how_long_it_is_granted(headers: Headers, granted: int) -> None:
    trunk = Trunk(FIRST)
    trunk.answer(trunk.request(), 200, *headers)
    assert trunk.registrant.until == (1000 + granted if granted else None)


def test_no_time_granted_is_a_failure() -> None:
    trunk = Trunk(FIRST)
    trunk.grant(0)
    assert trunk.told == [(False, "203.0.113.1:5060 answers 200, but grants no time")]
    assert trunk.quiet_for() >= 45


def test_the_service_route_is_the_last_one_that_was_told() -> None:
    trunk = Trunk(FIRST)
    trunk.grant(600, ("Service-Route", "<sip:a;lr>, <sip:b;lr>"), ("Service-Route", "<sip:c;lr>"))
    assert trunk.registrant.service_route == ("<sip:a;lr>", "<sip:b;lr>", "<sip:c;lr>")
    trunk.quiet_for()
    trunk.grant(600)
    assert trunk.registrant.service_route == ()


def test_too_brief_asks_for_what_is_wanted_and_keeps_to_it() -> None:
    trunk = Trunk(FIRST)
    trunk.answer(trunk.request(), 423, ("Min-Expires", "1800"))
    again = trunk.request()
    assert (again.get("Expires"), again.cseq[0]) == ("1800", 2)
    trunk.answer(again, 200, ("Expires", "1800"))
    assert trunk.registrant.until == 2800.0
    trunk.quiet_for()
    assert trunk.request().get("Expires") == "1800"


@pytest.mark.parametrize("headers", [[("Min-Expires", "1")], [], [("Min-Expires", "99999999999999")]])
def test_too_brief_for_ever(headers: Headers) -> None:
    trunk = Trunk(FIRST)
    trunk.answer(trunk.request(), 423, *headers)
    trunk.answer(trunk.request(), 423, *headers)
    assert trunk.network.messages() == []
    assert trunk.registrant.failure == "203.0.113.1:5060 answers 423 Some reason"
    assert trunk.registrant._asked <= 86_400


def test_too_brief_again_at_a_later_refresh() -> None:
    trunk = Trunk(FIRST)
    trunk.answer(trunk.request(), 423, ("Min-Expires", "900"))
    trunk.answer(trunk.request(), 200, ("Expires", "900"))
    trunk.quiet_for()
    trunk.answer(trunk.request(), 423, ("Min-Expires", "1800"))
    assert trunk.request().get("Expires") == "1800"


def test_challenged() -> None:
    trunk = Trunk(FIRST, auth=True)
    first = trunk.request()
    assert first.get("Authorization") is None
    trunk.answer(first, 401, ("WWW-Authenticate", CHALLENGE.format("n1")))
    second = trunk.request()
    assert second.cseq == (2, "REGISTER")
    assert second.get("Call-ID") == first.get("Call-ID")
    assert 'nonce="n1", uri="sip:trunk.example.com"' in (second.get("Authorization") or "")
    trunk.answer(second, 200, ("Expires", "600"))
    trunk.quiet_for()
    third = trunk.request()
    assert "nc=00000002" in (third.get("Authorization") or "")
    trunk.answer(third, 401, ("WWW-Authenticate", CHALLENGE.format("n2")))
    assert 'nonce="n2"' in (trunk.grant().get("Authorization") or "")
    assert trunk.told == [(True, "")]


def test_a_wrong_password_is_not_tried_fast() -> None:
    trunk = Trunk(FIRST, SECOND, auth=True)
    pauses = []
    for turn in range(8):
        trunk.answer(trunk.request(), 401, ("WWW-Authenticate", CHALLENGE.format(f"a{turn}")))
        trunk.answer(trunk.request(), 401, ("WWW-Authenticate", CHALLENGE.format(f"b{turn}")))
        pauses.append(trunk.quiet_for())
    assert all(60 * 0.75 * 2**turn <= pause <= 60 * 2**turn for turn, pause in enumerate(pauses[:5]))
    assert all(1350 <= pause <= 1800 for pause in pauses[5:])
    assert trunk.told == [(False, "203.0.113.1:5060 answers 401 Some reason: user or password is wrong")]


def test_what_is_said_of_a_challenge_that_is_not_answered() -> None:
    trunk = Trunk(FIRST)
    trunk.answer(trunk.request(), 407, ("Proxy-Authenticate", CHALLENGE.format("n")))
    assert trunk.registrant.failure.endswith("it wants user and password, and none are set")
    trunk = Trunk(FIRST, auth=True)
    trunk.answer(trunk.request(), 401, ("WWW-Authenticate", 'Basic realm="r"'))
    assert trunk.registrant.failure.endswith("it asks for them in a way that is not known here")


def test_the_next_address_when_one_is_silent_or_broken() -> None:
    trunk = Trunk(FIRST, SECOND, OVER_TCP)
    assert trunk.asked() == FIRST
    trunk.run(32)
    assert {trunk.network.flow(FIRST), trunk.network.flow(SECOND)} == {sent.flow for sent in trunk.network.take()}
    trunk.answer(trunk.network.sent[-1].message, 503)
    request = trunk.grant()
    assert request.cseq[0] == 3
    assert trunk.registrant.target == OVER_TCP
    assert trunk.told == [
        (False, "no answer from 203.0.113.1:5060"),
        (False, "203.0.113.2:5060 answers 503 Some reason"),
        (True, ""),
    ]


def test_a_refresh_begins_where_it_was_granted() -> None:
    trunk = Trunk(FIRST, SECOND)
    trunk.answer(trunk.request(), 500)
    trunk.grant()
    trunk.quiet_for()
    assert trunk.asked() == SECOND
    trunk.transactions.failed(trunk.last_flow())
    assert trunk.asked() == FIRST
    assert trunk.registrant.target == SECOND
    assert trunk.registrant.until is not None
    trunk.answer(trunk.network.sent[-1].message, 200)
    assert trunk.registrant.target == FIRST
    assert trunk.told[-2:] == [(True, "203.0.113.2:5060 cannot be reached"), (True, "")]


def test_nobody_answers() -> None:
    trunk = Trunk(FIRST, SECOND)
    pauses = []
    for _ in range(8):
        trunk.network.messages()
        trunk.run(64)
        trunk.network.messages()
        pauses.append(trunk.quiet_for())
    assert all(10 * 0.75 * 2**turn <= pause <= 10 * 2**turn for turn, pause in enumerate(pauses[:5]))
    assert all(225 <= pause <= 300 for pause in pauses[5:])
    assert len(set(pauses[5:])) == 3


def test_after_success_the_pauses_are_short_again() -> None:
    trunk = Trunk(FIRST)
    for _ in range(4):
        trunk.answer(trunk.request(), 503)
        trunk.quiet_for()
    trunk.grant()
    trunk.quiet_for()
    trunk.answer(trunk.request(), 503)
    assert trunk.quiet_for() <= 10


def test_no_address_and_no_way() -> None:
    trunk = Trunk()
    assert trunk.told == [(False, "none of its addresses is known")]
    trunk.network.peers["trunk"] = (OVER_TCP,)
    trunk.network.unreachable = {OVER_TCP}
    trunk.run(10)
    assert trunk.told[1:] == [(False, "there is no way to sip.trunk.example.com (203.0.113.3:5060)")]
    trunk.network.unreachable = set()
    trunk.run(20)
    trunk.grant()
    assert trunk.told[2:] == [(True, "")]


def test_retry_after_is_kept() -> None:
    trunk = Trunk(FIRST, SECOND)
    trunk.answer(trunk.request(), 503, ("Retry-After", "900 (maintenance);duration=60"))
    trunk.answer(trunk.request(), 503, ("Retry-After", "30"))
    assert trunk.quiet_for() == 900


def test_it_ends_if_no_refresh_succeeds() -> None:
    trunk = Trunk(FIRST)
    trunk.grant(60, ("Service-Route", "<sip:a;lr>"))
    trunk.run(59.9)
    assert trunk.registrant.until == 1060.0
    trunk.run(0.1)
    assert trunk.registrant.until is None
    assert trunk.registrant.service_route == ()
    silent = "no answer from 203.0.113.1:5060"
    assert trunk.told == [(True, ""), (True, silent), (False, silent)]


def test_a_lost_connection_is_made_again_at_once_if_it_was_steady() -> None:
    trunk = Trunk(OVER_TCP)
    trunk.grant(3600)
    flow = trunk.last_flow()
    trunk.run(100)
    trunk.registrant.lost(Flow("tcp", "203.0.113.3", 5060, 9999))
    assert trunk.registrant.until is not None
    trunk.transactions.failed(flow)
    trunk.registrant.lost(flow)
    assert trunk.told[1:] == [(False, "the connection to sip.trunk.example.com (203.0.113.3:5060) was lost")]
    assert trunk.quiet_for() < 1
    trunk.grant(3600)
    trunk.registrant.lost(flow)
    assert trunk.quiet_for() >= 7.5


def test_a_connection_that_dies_under_a_refresh() -> None:
    trunk = Trunk(OVER_TCP, FIRST)
    trunk.grant()
    flow = trunk.last_flow()
    trunk.quiet_for()
    trunk.request()
    trunk.transactions.failed(flow)
    trunk.registrant.lost(flow)
    assert trunk.registrant.until is None
    trunk.grant()
    assert trunk.registrant.target == FIRST


def test_a_connection_that_is_lost_while_it_is_refreshed_on_another() -> None:
    trunk = Trunk(OVER_TCP, FIRST)
    trunk.grant()
    bound = trunk.last_flow()
    trunk.quiet_for()
    trunk.answer(trunk.request(), 503)
    trunk.registrant.lost(bound)
    assert trunk.registrant.until is None
    assert trunk.registrant.next_try is None
    trunk.run(0.4)
    trunk.grant()
    assert trunk.registrant.target == FIRST


def test_a_datagram_that_is_lost_ends_no_registration() -> None:
    trunk = Trunk(FIRST)
    trunk.grant()
    trunk.registrant.lost(trunk.last_flow())
    assert trunk.registrant.until == 1600.0
    assert trunk.quiet_for() > 200


def test_the_way_is_kept_open_while_it_is_registered() -> None:
    trunk = Trunk(FIRST)
    trunk.run(5)
    assert trunk.network.pings == []
    trunk.grant(3600)
    trunk.run(4 * KEEP_ALIVE)
    assert trunk.network.pings == [trunk.last_flow()] * 4
    trunk.stop()
    trunk.grant(0)
    trunk.run(100)
    assert len(trunk.network.pings) == 4


def test_taken_back() -> None:
    trunk = Trunk(FIRST, auth=True)
    first = trunk.grant()
    trunk.stop()
    last = trunk.request()
    assert (last.get("Expires"), last.get("Contact"), last.cseq[0]) == ("0", first.get("Contact"), 2)
    trunk.answer(last, 401, ("WWW-Authenticate", CHALLENGE.format("n1")))
    assert trunk.ended == 0
    again = trunk.request()
    assert again.get("Expires") == "0"
    assert again.get("Authorization")
    trunk.answer(again, 200)
    assert (trunk.ended, trunk.registrant.until) == (1, None)
    trunk.run(10_000)
    assert trunk.network.messages() == []
    assert len(trunk.transactions) == 0
    assert trunk.told == [(True, ""), (False, "")]


def test_stopped_twice() -> None:
    trunk = Trunk(FIRST)
    trunk.grant()
    trunk.registrant.stop(trunk.done)
    trunk.stop()
    assert trunk.request().cseq[0] == 2
    trunk.answer(trunk.network.sent[-1].message, 200)
    assert trunk.ended == 1


def test_stopped_while_it_registers() -> None:
    trunk = Trunk(FIRST)
    trunk.stop()
    trunk.registrant.stop(trunk.done)
    assert trunk.ended == 0
    trunk.grant()
    assert trunk.request().get("Expires") == "0"
    trunk.run(32)
    assert trunk.ended == 1


@pytest.mark.parametrize("code", [403, 503])
def test_stopped_while_it_is_refused(code: int) -> None:
    trunk = Trunk(FIRST, SECOND)
    trunk.stop()
    trunk.answer(trunk.request(), code)
    assert trunk.ended == 1
    trunk.run(10_000)
    assert trunk.network.messages() == []


def test_stopped_while_it_waits() -> None:
    trunk = Trunk(FIRST)
    trunk.answer(trunk.request(), 403)
    trunk.stop()
    assert trunk.ended == 1
    trunk.run(10_000)
    assert trunk.network.messages() == []


def test_in_words() -> None:
    trunk = Trunk(FIRST)
    trunk.answer(trunk.request(), 403)
    trunk.run(5)
    said = trunk.registrant.said()
    assert said.startswith(
        "not registered; last failure 5 s ago: 203.0.113.1:5060 answers 403 Some reason; next try in "
    )
    trunk.quiet_for()
    trunk.grant()
    trunk.run(100)
    assert trunk.registrant.said().startswith("registered at 203.0.113.1:5060 for 500 s; next try in ")


EVENTS = st.lists(
    st.sampled_from(["200", "401", "403", "423", "503", "100", "fail", "lost", "wait", "long"]), max_size=40
)


@settings(deadline=None, max_examples=60)
@given(EVENTS, st.booleans(), st.permutations([FIRST, OVER_TCP]))
def test_whatever_happens_it_goes_on_and_it_ends(events: list[str], auth: bool, targets: list[Target]) -> None:
    """CSeq always rises, there is one REGISTER at a time, the state is true, and a stop ends everything once."""
    trunk = Trunk(*targets, auth=auth)
    for turn, event in enumerate(events):
        pending = trunk.registrant._transaction
        if event == "wait":
            trunk.run(7)
        elif event == "long":
            trunk.run(4000)
        elif event == "lost":
            trunk.registrant.lost(trunk.last_flow())
        elif event == "fail":
            trunk.transactions.failed(trunk.last_flow())
        elif pending is not None:
            headers = [("WWW-Authenticate", CHALLENGE.format(turn)), ("Min-Expires", "900"), ("Expires", "300")]
            trunk.answer(pending.request, int(event), *headers)
        registrant = trunk.registrant
        assert (registrant._transaction is None) == (registrant.next_try is not None)
        assert registrant.until is None or registrant.until > trunk.timers.now
    numbers = [sent.message.cseq[0] for sent in trunk.network.sent]
    assert numbers == sorted(numbers)
    trunk.stop()
    trunk.run(200)
    assert trunk.ended == 1
    assert trunk.registrant.until is None
    assert len(trunk.transactions) == 0
    trunk.network.take()
    trunk.run(10_000)
    assert trunk.network.take() == []


def test_the_contact_is_an_address_that_reads_back() -> None:
    contact = Trunk(OVER_TCP).request().get("Contact") or ""
    assert uri_of(contact) == "sip:main@192.0.2.1:5060;transport=tcp"
    assert parameters(contact) == {}
