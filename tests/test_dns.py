"""Peers' names: what NAPTR, SRV, A and AAAA of a name server of our own make of them, and what stays when it fails."""

import asyncio
import random
import socket
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import dns.asyncresolver
import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from sipacr.calls.network import Target
from sipacr.routing.directory import Peer
from sipacr.routing.numbers import NumberPlan
from sipacr.sip.dns import AGAIN, LONGEST, SHORTEST, Names, Ranked, by_weight

PL = NumberPlan.of("PL", ())
ZONE = """\
alias.test 1 CNAME plain.test
plain.test 60 A 192.0.2.1
plain.test 50 A 192.0.2.2
plain.test 40 AAAA 2001:db8::1
_sip._udp.srv.test 300 SRV 20 0 5070 c.srv.test
_sip._udp.srv.test 300 SRV 10 0 5060 b.srv.test
_sip._tcp.srv.test 300 SRV 10 0 5062 b.srv.test
_sips._tcp.srv.test 300 SRV 10 0 5063 b.srv.test
b.srv.test 90 A 192.0.2.11
c.srv.test 300 A 192.0.2.12
srv.test 300 A 192.0.2.10
naptr.test 300 NAPTR 50 50 "s" "SIPS+D2T" "" _sips._tcp.far.test
naptr.test 300 NAPTR 40 50 "s" "SIP+D2W" "" _sip._ws.far.test
naptr.test 300 NAPTR 60 50 "u" "SIP+D2U" "" _sip._udp.wrong.test
naptr.test 300 NAPTR 60 60 "s" "SIP+D2U" "" _sip._udp.far.test
_sips._tcp.far.test 300 SRV 1 1 5061 one.far.test
_sip._udp.far.test 300 SRV 0 1 5060 one.far.test
one.far.test 300 A 192.0.2.20
tcponly.test 300 A 192.0.2.30
_sip._tcp.tcponly.test 300 SRV 1 1 5064 tcponly.test
weights.test 300 A 192.0.2.40
_sip._udp.weights.test 300 SRV 1 90 5060 w1.test
_sip._udp.weights.test 300 SRV 1 10 5060 w2.test
w1.test 300 A 192.0.2.41
w2.test 300 A 192.0.2.42
closed.test 300 A 192.0.2.50
_sip._udp.closed.test 300 SRV 0 0 0 .
long.test 999999 A 192.0.2.60
"""


class NameServer(asyncio.DatagramProtocol):
    """Answers from `zone`; names in `silent` get no answer, those in `broken` SERVFAIL."""

    def __init__(self) -> None:
        self.zone: list[tuple[str, str, str, str]] = []
        self.read(ZONE)
        self.silent = False
        self.broken: set[str] = set()
        self.asked: Counter[str] = Counter()

    def read(self, zone: str) -> None:
        self.zone = [tuple(line.split(" ", 3)) for line in zone.splitlines()]  # type: ignore[misc]

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        query = dns.message.from_wire(data)
        question = query.question[0]
        name, kind = str(question.name).rstrip("."), dns.rdatatype.to_text(question.rdtype)
        self.asked[f"{kind} {name}"] += 1
        if self.silent:
            return
        response = dns.message.make_response(query)
        response.flags |= dns.flags.RA
        if name in self.broken:
            response.set_rcode(dns.rcode.SERVFAIL)
        elif not any(owner == name for owner, *_ in self.zone):
            response.set_rcode(dns.rcode.NXDOMAIN)
        for owner, ttl, has, value in self.zone:
            if owner == name and has in (kind, "CNAME"):
                dotted = f"{value}." if has in ("SRV", "NAPTR", "CNAME") and not value.endswith(".") else value
                response.answer.append(dns.rrset.from_text(f"{owner}.", int(ttl), "IN", has, dotted))
                if has == "CNAME":
                    name = value
        self.transport.sendto(response.to_wire(), addr)


class World:
    """A name server, a clock that stands still, and the names under trial."""

    def __init__(self, server: NameServer, port: int, hosts: Path) -> None:
        self.server = server
        self.now = 1000.0
        self.changes = 0
        self._port = port
        self.names = Names(self._changed, self._resolver, hosts, lambda: self.now)

    def _changed(self) -> None:
        self.changes += 1

    def _resolver(self) -> dns.asyncresolver.Resolver:
        resolver = dns.asyncresolver.Resolver(configure=False)
        resolver.nameservers, resolver.port = ["127.0.0.1"], self._port
        resolver.timeout = resolver.lifetime = 0.2
        return resolver

    async def ask(self, *peers: Peer) -> list[str]:
        self.names.take(peers)
        return await self.names.refresh()


def peer(*addresses: str, transport: Any = None, **more: Any) -> Peer:
    more.setdefault("name", "x")
    return Peer(
        role="trunk", mode="relay", addresses=addresses, plan=PL, transport=transport or "udp",
        any_transport=transport is None, **more,
    )  # fmt: skip


def run(tmp_path: Path, story: Callable[[World], Awaitable[None]], hosts: str = "") -> None:
    async def play() -> None:
        loop = asyncio.get_running_loop()
        transport, server = await loop.create_datagram_endpoint(NameServer, ("127.0.0.1", 0))
        try:
            await story(World(server, transport.get_extra_info("sockname")[1], tmp_path / "hosts"))
        finally:
            transport.close()

    (tmp_path / "hosts").write_text(hosts)
    asyncio.run(play())


@pytest.fixture(autouse=True)
def _no_system_resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    async def unknown(self: Any, host: str, *_: Any, **__: Any) -> list[Any]:
        if host == "mdns.local":
            return [(socket.AF_INET, socket.SOCK_DGRAM, 17, "", ("192.0.2.99", 0))]
        raise OSError("unknown here")

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", unknown)


# fmt: off
WAYS = [
    # Port or address: nothing but A and AAAA is asked for (RFC 3263 4.1, 4.2).
    ("plain.test:5070", "udp", ["udp 192.0.2.1:5070", "udp 192.0.2.2:5070", "udp 2001:db8::1:5070"]),
    ("srv.test:5060", None, ["udp 192.0.2.10:5060"]),
    ("srv.test:5060", "tls", ["tls 192.0.2.10:5060"]),
    ("plain.test", "tls", ["tls 192.0.2.1:5061", "tls 192.0.2.2:5061", "tls 2001:db8::1:5061"]),
    ("192.0.2.7", "tcp", ["tcp 192.0.2.7:5060"]),
    ("[2001:db8::7]:5080", None, ["udp 2001:db8::7:5080"]),
    # A transport that is written: SRV of that one.
    ("srv.test", "udp", ["udp 192.0.2.11:5060", "udp 192.0.2.12:5070"]),
    ("srv.test", "tcp", ["tcp 192.0.2.11:5062"]),
    ("srv.test", "tls", ["tls 192.0.2.11:5063"]),
    ("naptr.test", "udp", []),
    # None: NAPTR by order, of those we speak; else the first SRV; else UDP.
    ("naptr.test", None, ["tls 192.0.2.20:5061", "udp 192.0.2.20:5060"]),
    ("srv.test", None, ["udp 192.0.2.11:5060", "udp 192.0.2.12:5070"]),
    ("tcponly.test", None, ["tcp 192.0.2.30:5064"]),
    ("plain.test", None, ["udp 192.0.2.1:5060", "udp 192.0.2.2:5060", "udp 2001:db8::1:5060"]),
    ("alias.test", None, ["udp 192.0.2.1:5060", "udp 192.0.2.2:5060", "udp 2001:db8::1:5060"]),
    ("closed.test", "udp", ["udp 192.0.2.50:5060"]),
    ("nowhere.test", None, []),
    ("mdns.local", None, ["udp 192.0.2.99:5060"]),
    # What /etc/hosts says comes first.
    ("pinned.test", "tcp", ["tcp 10.0.0.9:5060"]),
    ("Srv-Pinned.test.", None, ["udp 10.0.0.8:5060"]),
]
# fmt: on
HOSTS = "# ours\n10.0.0.9 pinned.test other # yes\n10.0.0.8\tsrv-pinned.test\n\nbroken\n"


def shown(targets: Any) -> list[str]:
    return [f"{target.transport} {target.host}:{target.port}" for target in targets]


@pytest.mark.parametrize(("address", "transport", "expected"), WAYS)
def test_what_a_name_leads_to(tmp_path: Path, address: str, transport: Any, expected: list[str]) -> None:
    async def story(world: World) -> None:
        failed = await world.ask(peer(address, transport=transport))
        assert shown(world.names.targets("x")) == expected
        assert bool(failed) == (not expected)

    run(tmp_path, story, HOSTS)


def test_nothing_is_asked_that_the_port_or_the_transport_says_already(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        await world.ask(peer("plain.test:5060"), peer("192.0.2.7", name="y"))
        assert set(world.server.asked) == {"A plain.test", "AAAA plain.test"}
        world.server.asked.clear()
        await world.ask(peer("srv.test", transport="tcp"))
        assert not [asked for asked in world.server.asked if asked.startswith("NAPTR") or "_udp" in asked]

    run(tmp_path, story)


def test_an_address_needs_no_name_server(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        world.names.take([peer("192.0.2.7:5070", "10.0.0.1", transport="tls")])
        assert world.names.targets("x") == (Target("tls", "192.0.2.7", 5070), Target("tls", "10.0.0.1", 5061))
        assert await world.names.refresh() == []
        assert not world.server.asked
        assert world.names.targets("stranger") == ()

    run(tmp_path, story)


def test_several_addresses_in_their_order_and_the_name_for_the_certificate(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        await world.ask(peer("naptr.test", "192.0.2.7", "plain.test:5061", transport=None))
        targets = world.names.targets("x")
        assert shown(targets)[:4] == [
            "tls 192.0.2.20:5061",
            "udp 192.0.2.20:5060",
            "udp 192.0.2.7:5060",
            "udp 192.0.2.1:5061",
        ]
        assert [target.name for target in targets][:4] == ["naptr.test", "naptr.test", "", "plain.test"]

    run(tmp_path, story)


def test_an_outbound_proxy_is_where_requests_go_and_where_they_come_from(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        await world.ask(peer("plain.test", outbound_proxy="srv.test", transport="udp"))
        assert shown(world.names.targets("x")) == ["udp 192.0.2.11:5060", "udp 192.0.2.12:5070"]
        assert world.names.addresses["srv.test"] == ["192.0.2.11", "192.0.2.12"]
        assert world.names.addresses["plain.test"] == ["192.0.2.1", "192.0.2.2", "2001:db8::1"]

    run(tmp_path, story)


def test_names_among_the_sources_are_followed_too(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        failed = await world.ask(peer("192.0.2.7", sources=("plain.test:5060", "10.0.0.0/8", "gone.test")))
        assert world.names.addresses == {"plain.test": ["192.0.2.1", "192.0.2.2", "2001:db8::1"], "gone.test": []}
        assert failed == ["peer x: gone.test cannot be resolved; it cannot be called and gets no answer; an address needs no name server"]  # fmt: skip

    run(tmp_path, story)


def test_the_time_to_live_is_kept_within_bounds(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        here = peer("plain.test:5060", transport="udp")  # 40 s: the least of its records
        await world.ask(here)
        for later, asked in ((39.0, 1), (41.0, 2)):
            world.now = 1000.0 + later
            await world.names.refresh()
            assert world.server.asked["A plain.test"] == asked
        world.server.read("plain.test 1 A 192.0.2.1\nlong.test 999999 A 192.0.2.60")
        world.now += 100
        await world.ask(here, peer("long.test:5060", name="y"))
        world.now += SHORTEST - 1
        await world.names.refresh()
        assert world.server.asked["A plain.test"] == 3
        world.now += 2
        await world.names.refresh()
        assert world.server.asked["A plain.test"] == 4
        assert world.server.asked["A long.test"] == 1
        world.now += LONGEST
        await world.names.refresh()
        assert world.server.asked["A long.test"] == 2

    run(tmp_path, story)


@pytest.mark.parametrize("how", ["silent", "broken", "gone"])
def test_a_failure_keeps_what_was_known(tmp_path: Path, how: str) -> None:
    async def story(world: World) -> None:
        assert await world.ask(peer("plain.test:5060")) == []
        before = world.names.targets("x")
        assert len(before) == 3
        world.server.silent = how == "silent"
        world.server.broken = {"plain.test"} if how == "broken" else set()
        if how == "gone":
            world.server.read("other.test 300 A 192.0.2.1")
        world.now += 61
        assert await world.names.refresh() == [
            "peer x: plain.test cannot be resolved; its last addresses stay: 192.0.2.1, 192.0.2.2, 2001:db8::1; an address needs no name server"
        ]
        assert world.names.targets("x") == before
        assert world.changes == 1
        world.server.silent, world.server.broken = False, set()
        world.server.read("plain.test 60 A 192.0.2.77")
        world.now += AGAIN - 1
        assert await world.names.refresh() == []
        assert world.names.targets("x") == before
        world.now += 2
        assert await world.names.refresh() == []
        assert shown(world.names.targets("x")) == ["udp 192.0.2.77:5060"]
        assert world.changes == 2

    run(tmp_path, story)


def test_a_reload_keeps_what_is_known_and_forgets_what_is_not_named_any_more(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        await world.ask(peer("plain.test:5060"), peer("srv.test", name="y", transport="udp"))
        world.names.take([peer("plain.test:5060")])
        assert len(world.names.targets("x")) == 3
        assert world.names.targets("y") == ()
        assert set(world.names.addresses) == {"plain.test", "srv.test"}
        assert await world.names.refresh() == []
        assert set(world.names.addresses) == {"plain.test"}

    run(tmp_path, story)


def test_a_reload_asks_at_once_for_what_failed(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        assert await world.ask(peer("late.test:5060"))
        world.server.read("late.test 60 A 192.0.2.77")
        assert await world.ask(peer("late.test:5060")) == []
        assert shown(world.names.targets("x")) == ["udp 192.0.2.77:5060"]

    run(tmp_path, story)


def test_without_name_servers_the_system_is_asked(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        def none() -> dns.asyncresolver.Resolver:
            raise dns.resolver.NoResolverConfiguration

        names = Names(lambda: None, none, tmp_path / "none")
        names.take([peer("mdns.local")])
        assert await names.refresh() == []
        assert shown(names.targets("x")) == ["udp 192.0.2.99:5060"]

    run(tmp_path, story)


def test_it_follows_by_itself_and_takes_a_reload_at_once(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        done = asyncio.Event()
        names = Names(done.set, world._resolver, tmp_path / "none")
        following = asyncio.get_running_loop().create_task(names.follow())
        for host, first in (("plain.test", "192.0.2.1"), ("srv.test", "192.0.2.11")):
            done.clear()
            names.take([peer(host)])
            await names.first_answers(5)
            await asyncio.wait_for(done.wait(), 5)
            assert names.targets("x")[0].host == first
        following.cancel()

    run(tmp_path, story)


def test_a_start_does_not_wait_for_a_name_server_that_is_silent(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        world.server.silent = True
        world.names.take([peer("plain.test")])
        following = asyncio.get_running_loop().create_task(world.names.follow())
        await asyncio.wait_for(world.names.first_answers(0.05), 5)
        assert world.names.targets("x") == ()
        following.cancel()

    run(tmp_path, story)


def test_calls_are_shared_out_by_weight(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        await world.ask(peer("weights.test", transport="udp"))
        first = Counter(world.names.targets("x")[0].host for _ in range(1000))
        assert 850 < first["192.0.2.41"] < 950
        assert {len(world.names.targets("x")) for _ in range(10)} == {2}

    random.seed(7)
    run(tmp_path, story)


def test_priority_comes_before_weight_and_no_weight_comes_last() -> None:
    chance = random.Random(3)
    one, two, three, four = (Target("udp", f"192.0.2.{n}", 5060) for n in range(4))
    ranked = [Ranked(2, 1000, (four,)), Ranked(1, 0, (three,)), Ranked(1, 3, (one,)), Ranked(1, 1, (two,))]
    orders = Counter(tuple(by_weight(ranked, chance.random)) for _ in range(2000))
    assert set(orders) == {(one, two, three, four), (two, one, three, four)}
    assert 1400 < orders[one, two, three, four] < 1600
