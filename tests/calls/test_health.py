"""Health of peers: asked by OPTIONS, down after so many failures, up after so many answers."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sipacr.calls.health import Watch
from sipacr.calls.message import Message
from sipacr.calls.network import Target
from sipacr.calls.timers import Timers
from sipacr.calls.transactions import Transactions
from sipacr.routing.directory import Health, Peer
from sipacr.routing.numbers import NumberPlan
from tests.calls.network import FakeNetwork, answer, tokens

FIRST = Target("udp", "203.0.113.1", 5060)
SECOND = Target("udp", "203.0.113.2", 5060)
OVER_TLS = Target("tls", "2001:db8::1", 5061, "pbx.example.com")
V6 = Target("udp", "2001:db8::1", 5060)
PLAN = NumberPlan.of("PL")
ASKED = Health(30.0, 3, 2)


def peer(name: str, health: Health | None = ASKED, connect: float = 4.0) -> Peer:
    return Peer(name, "pbx", "relay", ("203.0.113.1",), PLAN, health=health, connect=connect)


class Peers:
    """A watch, and the peers that a test plays: each target of `alive` answers with its code."""

    def __init__(self, *targets: Target, health: Health = ASKED) -> None:
        self.network = FakeNetwork()
        self.network.peers["pbx"] = targets
        self.timers = Timers(1000.0)
        self.transactions = Transactions(self.network, self.timers, tokens().__next__)
        self.told: list[tuple[str, Target | None, bool, str]] = []
        self.alive: dict[Target, int] = dict.fromkeys(targets, 200)
        self.asked: list[tuple[float, Target]] = []
        self.watch = Watch(self.network, self.timers, self.transactions, tokens("h").__next__, self.note)
        self.watch.follow([peer("pbx", health)])

    def note(self, peer: str, target: Target | None, down: bool, why: str) -> None:
        self.told.append((peer, target, down, why))

    def run(self, seconds: float) -> None:
        """Let time pass; whoever is alive answers at once."""
        end = self.timers.now + seconds
        while (due := self.timers.next_due()) is not None and due <= end:
            self.timers.run(due)
            self.reply()
        self.timers.run(end)

    def reply(self) -> None:
        for flow, message, _ in self.network.take():
            target = next(each for each in self.network._flows if self.network._flows[each] == flow)
            if message.get("Via") not in self.seen:
                self.seen.add(message.get("Via"))
                self.asked.append((self.timers.now - 1000, target))
            if target in self.alive:
                self.transactions.response(answer(message, self.alive[target]), flow)

    @property
    def seen(self) -> set[str | None]:
        return self.__dict__.setdefault("_seen", set())

    def times(self) -> list[float]:
        """When it was asked since the last look."""
        found, self.asked = [when for when, _ in self.asked], []
        return found


def options(target: Target) -> Message:
    peers = Peers(target)
    peers.timers.run(1000.0)
    peers.timers.run(1000.0)
    (message,) = peers.network.messages()
    return message


def test_the_request() -> None:
    message = options(FIRST)
    assert (message.method, message.uri) == ("OPTIONS", "sip:203.0.113.1:5060")
    assert message.headers[1:] == [
        ("Max-Forwards", "70"),
        ("From", "<sip:sipacr@192.0.2.1>;tag=h1"),
        ("To", "<sip:203.0.113.1:5060>"),
        ("Call-ID", "h2"),
        ("CSeq", "1 OPTIONS"),
        ("Contact", "<sip:sipacr@192.0.2.1:5060>"),
        ("Accept", "application/sdp"),
    ]


def test_the_request_to_a_name_over_tls_and_to_ipv6() -> None:
    message = options(OVER_TLS)
    assert message.uri == "sip:pbx.example.com:5061;transport=tls"
    assert message.get("To") == "<sip:pbx.example.com:5061>"
    assert message.get("Contact") == "<sip:sipacr@192.0.2.1:5060;transport=tls>"
    assert options(V6).uri == "sip:[2001:db8::1]:5060"


@pytest.mark.parametrize(
    ("contact", "host"),
    [("[2001:db8::9]:5060;transport=tcp", "[2001:db8::9]"), ("sip.example.com", "sip.example.com"), ("[::1]", "[::1]")],
)
def test_our_host_in_from(monkeypatch: pytest.MonkeyPatch, contact: str, host: str) -> None:
    monkeypatch.setattr(FakeNetwork, "contact", lambda self, flow: contact)
    assert options(FIRST).get("From") == f"<sip:sipacr@{host}>;tag=h1"


def test_asked_at_once_and_in_each_interval() -> None:
    peers = Peers(FIRST)
    peers.run(95)
    assert peers.times() == [0, 30, 60, 90]
    assert peers.told == []
    assert len(peers.transactions) == 0


@pytest.mark.parametrize("code", [200, 302, 401, 404, 405, 408, 480, 486, 500, 501, 505, 603])
def test_whoever_answers_is_there(code: int) -> None:
    peers = Peers(FIRST)
    peers.alive[FIRST] = code
    peers.run(200)
    assert peers.told == []


@pytest.mark.parametrize("code", [502, 503, 504])
def test_who_says_that_nobody_is_there(code: int) -> None:
    peers = Peers(FIRST)
    peers.alive[FIRST] = code
    peers.run(200)
    assert peers.told == [("pbx", None, True, f"it answers {code} Some reason")]


def test_down_after_failures_in_a_row_and_up_after_answers() -> None:
    peers = Peers(FIRST)
    peers.run(1)
    del peers.alive[FIRST]
    peers.run(29 + 4 + 1 + 4 + 1 + 3.9)
    assert not peers.watch.is_down("pbx")
    assert peers.watch.down == frozenset()
    peers.run(0.1)
    assert peers.watch.is_down("pbx")
    assert peers.watch.down == {"pbx"}
    assert peers.told == [("pbx", None, True, "no answer to OPTIONS")]
    assert peers.times() == [0, 30, 35, 40]
    peers.run(60)
    assert peers.times() == [74]
    peers.alive[FIRST] = 200
    peers.run(5)
    assert peers.times() == [108, 109]
    assert peers.told[1:] == [("pbx", None, False, "it answers again")]
    assert peers.watch.down == frozenset()
    peers.run(35)
    assert peers.times() == [139]


def test_failures_count_in_a_row_only() -> None:
    peers = Peers(FIRST)
    peers.run(1)
    del peers.alive[FIRST]
    peers.run(38.5)
    peers.alive[FIRST] = 200
    peers.run(1)
    assert peers.times() == [0, 30, 35, 40]
    del peers.alive[FIRST]
    peers.run(43.4)
    assert not peers.watch.is_down("pbx")
    peers.run(0.1)
    assert peers.watch.is_down("pbx")
    assert peers.times() == [70, 75, 80]


def test_answers_count_in_a_row_only() -> None:
    peers = Peers(FIRST)
    del peers.alive[FIRST]
    peers.run(46)
    peers.alive[FIRST] = 200
    peers.run(2)
    assert peers.times() == [0, 5, 10, 44]
    del peers.alive[FIRST]
    peers.run(5)
    peers.alive[FIRST] = 200
    peers.run(30)
    assert peers.watch.is_down("pbx")
    assert peers.times() == [48.5, 82.5]
    peers.run(1)
    assert not peers.watch.is_down("pbx")
    assert peers.times() == [83.5]


def test_an_answer_that_comes_too_late_is_none() -> None:
    peers = Peers(FIRST, health=Health(30.0, 1, 1))
    peers.timers.run(1000.0)
    ((flow, message, _),) = peers.network.take()
    peers.timers.run(1004.0)
    assert peers.watch.is_down("pbx")
    assert peers.transactions.response(answer(message, 200), flow)
    assert peers.watch.is_down("pbx")


def test_a_refused_connection_counts_at_once() -> None:
    peers = Peers(FIRST, health=Health(30.0, 2, 1))
    peers.timers.run(1000.0)
    for _ in range(2):
        peers.transactions.failed(peers.network.sent[-1].flow)
        peers.timers.run(peers.timers.now + 1)
    assert peers.told == [("pbx", None, True, "it cannot be reached")]
    assert peers.timers.now == 1002.0


def test_no_way_there() -> None:
    peers = Peers(FIRST, health=Health(30.0, 1, 1))
    peers.network.unreachable = {FIRST}
    peers.run(4)
    assert peers.told == [("pbx", None, True, "there is no way to it")]


def test_a_call_that_failed_has_it_asked_at_once_but_not_twice_a_second() -> None:
    peers = Peers(FIRST)
    peers.run(10)
    peers.times()
    for _ in range(100):
        peers.watch.unreachable("pbx")
        peers.run(0.05)
    assert peers.times() == pytest.approx([10, 11, 12, 13, 14])
    peers.run(40)
    assert len(peers.times()) in (1, 2)
    assert peers.told == []


def test_a_call_that_failed_finds_a_dead_peer_soon() -> None:
    peers = Peers(FIRST)
    peers.run(5)
    del peers.alive[FIRST]
    peers.watch.unreachable("pbx", FIRST)
    peers.run(4 + 1 + 4 + 1 + 4)
    assert peers.watch.is_down("pbx")
    peers.times()
    peers.watch.unreachable("pbx", FIRST)
    peers.run(20)
    assert peers.times() == []


def test_many_calls_that_fail_do_not_put_off_the_judgement() -> None:
    peers = Peers(FIRST)
    peers.run(5)
    del peers.alive[FIRST]
    for _ in range(245):
        peers.watch.unreachable("pbx")
        peers.run(0.05)
    assert peers.watch.is_down("pbx")
    assert peers.times() == pytest.approx([0, 5, 9, 13], abs=0.1)  # 4 s of patience for each


def test_a_call_that_failed_at_a_stranger_is_nobodys() -> None:
    peers = Peers(FIRST)
    peers.run(5)
    peers.times()
    peers.watch.unreachable("other")
    peers.watch.unreachable("pbx", SECOND)
    peers.run(1)
    assert peers.times() == []


def test_several_addresses() -> None:
    peers = Peers(FIRST, SECOND)
    peers.run(1)
    del peers.alive[FIRST]
    peers.run(60)
    assert peers.told == [("pbx", FIRST, True, "no answer to OPTIONS")]
    assert not peers.watch.is_down("pbx")
    assert peers.watch.order("pbx", [FIRST, V6, SECOND]) == [V6, SECOND, FIRST]
    assert peers.watch.order("other", [FIRST, V6, SECOND]) == [FIRST, V6, SECOND]
    peers.alive[SECOND] = 503
    peers.run(60)
    assert peers.told[1:] == [
        ("pbx", SECOND, True, "it answers 503 Some reason"),
        ("pbx", None, True, "it answers 503 Some reason"),
    ]
    peers.alive[FIRST] = 404
    peers.run(60)
    assert peers.told[3:] == [("pbx", FIRST, False, "it answers again"), ("pbx", None, False, "it answers again")]
    assert peers.watch.order("pbx", [SECOND, FIRST]) == [FIRST, SECOND]


def test_addresses_come_and_go() -> None:
    peers = Peers(FIRST, SECOND)
    peers.alive = {SECOND: 200}
    peers.run(50)
    peers.network.peers["pbx"] = (FIRST,)
    peers.run(31)
    assert peers.watch.is_down("pbx")
    assert peers.told[1:] == [("pbx", None, True, "its addresses are others now")]
    peers.times()
    peers.network.peers["pbx"] = (FIRST, V6)
    peers.alive = {V6: 200}
    peers.run(31)
    assert not peers.watch.is_down("pbx")
    assert {target for _, target in peers.asked} == {FIRST, V6}


def test_a_name_that_is_not_known_yet_is_no_failure_and_one_that_stays_so_is() -> None:
    peers = Peers()
    peers.run(3)
    peers.network.peers["pbx"] = (FIRST,)
    peers.alive[FIRST] = 200
    peers.run(1)
    assert [target for _, target in peers.asked] == [FIRST]
    peers.run(100)
    assert peers.told == []
    peers = Peers()
    peers.run(4 + 1 + 4 + 1 + 4)
    assert peers.told == [("pbx", None, True, "none of its addresses is known")]


def test_who_is_watched() -> None:
    peers = Peers(FIRST)
    peers.network.peers["other"] = (SECOND,)
    peers.alive = {SECOND: 200}
    peers.watch.follow([peer("pbx"), peer("other"), peer("unasked", None)])
    peers.run(20)
    assert peers.watch.down == {"pbx"}
    peers.watch.follow([peer("pbx", Health(10.0, 3, 2)), peer("other", None)])
    assert peers.watch.down == {"pbx"}
    peers.asked.clear()
    peers.run(60)
    assert {target for _, target in peers.asked} == {FIRST}
    peers.watch.follow([])
    assert peers.watch.down == frozenset()
    peers.run(100)
    peers.asked.clear()
    peers.run(1000)
    assert peers.asked == []
    assert peers.timers.next_due() is None
    assert len(peers.told) == 1


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(["up", "down", "503", "gone", "back", "suspect", "short", "long"]), max_size=30),
    st.integers(1, 4),
    st.integers(1, 4),
)
def test_what_is_told_is_what_is(events: list[str], down_after: int, up_after: int) -> None:
    """Each change is told once, and after quiet times the state is the true one."""
    peers = Peers(FIRST, health=Health(30.0, down_after, up_after))
    for event in events:
        if event in ("up", "503"):
            peers.alive[FIRST] = 200 if event == "up" else 503
        elif event == "down":
            peers.alive.pop(FIRST, None)
        elif event in ("gone", "back"):
            peers.network.peers["pbx"] = (FIRST,) if event == "back" else ()
        elif event == "suspect":
            peers.watch.unreachable("pbx")
        else:
            peers.run(2 if event == "short" else 45)
    turns = [down for _, _, down, _ in peers.told]
    assert turns == [index % 2 == 0 for index in range(len(turns))]
    assert peers.watch.is_down("pbx") == bool(len(turns) % 2)
    peers.run(200)
    assert peers.watch.is_down("pbx") == (not peers.network.peers["pbx"] or peers.alive.get(FIRST) != 200)
