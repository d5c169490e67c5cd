"""Who is no peer: counted, banned, answered alike or not at all; never a peer; bounded; bans that outlive the process."""

import logging
import re
from pathlib import Path

import pytest
from sip_messages import code, header, invite, request

from sipacr.routing.directory import Treatment
from sipacr.sip import strangers as under_trial
from sipacr.sip.strangers import Ban, Strangers, forbidden, read_bans, write_bans

PEERS = {"10.0.0.5", "2001:db8::5"}
HOST = "203.0.113.7"


class World:
    def __init__(self, treatment: Treatment | None = None) -> None:
        self.now = 1_000_000.0
        self.peers = set(PEERS)
        self.strangers = Strangers(self.peers.__contains__, lambda: self.now)
        self.strangers.take(treatment or Treatment())

    def come(self, times: int, address: str = HOST, data: bytes = b"", every: float = 0.0) -> int:
        """How many of them were answered."""
        answered = 0
        for _ in range(times):
            answered += self.strangers.came(address, 5060, data or invite()) is not None
            self.now += every
        return answered


def test_ten_requests_are_a_ban_for_an_hour() -> None:
    world = World()
    assert world.come(9) == 0
    assert not world.strangers.is_banned(HOST)
    world.come(1)
    assert world.strangers.is_banned(HOST)
    assert [ban.address for ban in world.strangers.bans()] == [HOST]
    assert not world.strangers.is_banned("203.0.113.8")
    world.now += 3599
    assert world.strangers.is_banned(HOST)
    world.now += 2
    assert not world.strangers.is_banned(HOST)
    assert world.strangers.bans() == []


def test_who_comes_seldom_is_not_banned() -> None:
    world = World()
    world.come(100, every=70.0)
    assert not world.strangers.is_banned(HOST)


def test_a_peer_is_never_banned() -> None:
    world = World()
    for address in PEERS:
        world.come(100, address)  # from a port that is not its own
        assert not world.strangers.ban(address, 60.0, "by command")
        assert not world.strangers.is_banned(address)
    world.come(10)
    world.peers.add(HOST)  # a reload makes it one
    world.strangers.take(Treatment())
    assert not world.strangers.is_banned(HOST)


def test_without_bans_they_are_counted_only() -> None:
    world = World(Treatment(after=0))
    world.come(100)
    assert world.strangers.requests == 100
    assert world.strangers.bans() == []


def test_all_get_the_same_answer_until_they_are_banned() -> None:
    world = World(Treatment(refuse=True))
    assert world.come(20) == 9
    assert World().come(5) == 0


def test_bans_can_be_lifted_and_begin_anew() -> None:
    world = World()
    world.come(10)
    assert world.strangers.lift(HOST)
    assert not world.strangers.lift(HOST)
    world.come(9)
    assert not world.strangers.is_banned(HOST)
    world.come(1)
    assert world.strangers.is_banned(HOST)


def test_the_line_that_fail2ban_reads(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        World().come(10)
    assert caplog.messages == [f"banned {HOST} for 3600 s: 10 requests of no peer (udp)"]
    page = (Path(__file__).parents[1] / "docs" / "operating.md").read_text("utf-8")
    (pattern,) = re.findall(r"failregex = (banned <HOST>[^`]*)`", page)
    assert re.search(pattern.replace("<HOST>", r"(\S+)"), caplog.messages[0])[1] == HOST  # type: ignore[index]


def test_who_forges_addresses_fills_neither_memory_nor_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(under_trial, "_SEEN", 100)
    monkeypatch.setattr(under_trial, "_BANS", 50)
    world = World()
    with caplog.at_level(logging.WARNING):
        for number in range(1000):
            world.come(1, f"198.18.{number // 256}.{number % 256}")
        for number in range(1000):
            world.come(10, f"198.19.{number // 256}.{number % 256}")
    assert len(world.strangers._seen) <= 100
    assert len(world.strangers.bans()) == 50
    assert len(caplog.messages) == 5
    assert world.strangers.banned == 1000


@pytest.mark.parametrize("method", ["INVITE", "REGISTER", "OPTIONS", "BYE", "SUBSCRIBE", "FOO"])
def test_every_method_is_answered_alike(method: str) -> None:
    data = request(method)
    reply = forbidden(data, b"203.0.113.7", 6000)
    assert reply is not None
    assert reply.data.startswith(b"SIP/2.0 403 Forbidden\r\n")
    assert reply.data.endswith(b"Content-Length: 0\r\n\r\n")
    assert "received=203.0.113.7" in header(reply.data, "Via")[0]
    for name in ("From", "Call-ID", "CSeq"):
        assert header(reply.data, name) == header(data, name)
    assert ";tag=" in header(reply.data, "To")[0]
    names = {line.split(":")[0] for line in reply.data.decode().split("\r\n")[1:-2]}
    assert names == {"Via", "From", "To", "Call-ID", "CSeq", "Content-Length"}  # nothing tells who we are
    assert len(reply.data) < len(data) + 100


def test_the_answer_does_not_depend_on_who_is_called() -> None:
    answers = set()
    for user in ("101", "600", "nobody", "%00", "x" * 300):
        reply = forbidden(invite(("INVITE sip:+48221112233", f"INVITE sip:{user}")), b"203.0.113.7", 5070)
        assert reply is not None
        answers.add(re.sub(rb"tag=[0-9a-f]+", b"", reply.data))
    assert len(answers) == 1


@pytest.mark.parametrize(
    "data",
    [
        request("ACK"),
        b"SIP/2.0 200 OK\r\nVia: x\r\n\r\n",
        b"",
        b"\0" * 20,
        b"GET / HTTP/1.1\r\n\r\n",
        b"INVITE sip:x SIP/2.0\r\n\r\n",
        b"INVITE sip:x SIP/2.0",
        invite(("Via:", "X:")),
        invite(("Call-ID:", "X:")),
        invite(("CSeq:", "CSeq: 1 INVITE\nCSeq:")),
        b"INVITE sip:" + b"x" * 65000 + b" SIP/2.0\r\n",
    ],
)
def test_what_gets_no_answer(data: bytes) -> None:
    assert forbidden(data, b"203.0.113.7", 5070) is None


def test_compact_headers_are_answered_too() -> None:
    reply = forbidden(invite(("Via:", "v:"), ("From:", "f:"), ("To:", "t:"), ("Call-ID:", "i:")), b"127.0.0.1", 5070)
    assert reply is not None
    assert code(reply.data) == 403


def test_bans_outlive_the_process(tmp_path: Path) -> None:
    path = tmp_path / "x.bans"
    world = World()
    world.come(10)
    world.strangers.ban("2001:db8::99", 60.0, "by command")
    write_bans(path, world.strangers.bans())
    later = World()
    later.now += 100
    later.strangers.remember(read_bans(path))
    assert [ban.address for ban in later.strangers.bans()] == [HOST]
    later.peers.add(HOST)
    other = Strangers(later.peers.__contains__, lambda: later.now)
    other.remember(read_bans(path))
    assert other.bans() == []


@pytest.mark.parametrize(
    "text", ["", "{}x", '{"a": 1}', "[1]", '[["x", "y", "z"]]', '[["1.2.3.4"]]', '[["host", 1, "x"]]']
)
def test_a_broken_file_of_bans_is_no_reason_not_to_start(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.bans"
    path.write_text(text)
    assert read_bans(path) == []
    assert read_bans(tmp_path / "none") == []


def test_a_file_that_cannot_be_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_bans(tmp_path / "none" / "x.bans", [Ban(HOST, 1.0, "x")])
    assert "cannot be written" in caplog.text
