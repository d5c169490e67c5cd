"""Where peers are: their names followed through NAPTR, SRV, A and AAAA (RFC 3263), asked ahead of the calls.

A call never waits for DNS: `targets` reads what `follow` keeps warm. A name that fails keeps what was last known of it.
/etc/hosts comes before DNS, as everywhere else on the machine, and what neither knows is left to the system's resolver.
"""

import asyncio
import contextlib
import logging
import math
import random
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import dns.asyncresolver
import dns.exception
import dns.rdatatype
import dns.resolver

from sipacr.calls.network import Target, Transport
from sipacr.routing.directory import Peer, is_address
from sipacr.sip.sources import split_host

log = logging.getLogger("sipacr.sip")

SHORTEST, LONGEST = 30.0, 3600.0  # seconds: bounds of a TTL
AGAIN = 30.0  # seconds until a name that failed is asked for again
_LIFETIME = 5.0  # seconds for one question, all name servers together
_PORTS: dict[Transport, int] = {"udp": 5060, "tcp": 5060, "tls": 5061}
_SERVICES: dict[Transport, str] = {"udp": "_sip._udp", "tcp": "_sip._tcp", "tls": "_sips._tcp"}  # RFC 3263 4.1
_NAPTR: dict[str, Transport] = {"SIP+D2U": "udp", "SIP+D2T": "tcp", "SIPS+D2T": "tls"}


class Name(NamedTuple):
    """One host name as the settings have it."""

    host: str
    port: int | None  # written: neither NAPTR nor SRV are asked for
    transport: Transport | None  # None: not written, DNS may choose it


class Ranked(NamedTuple):
    """The addresses of one host, with the priority and the weight of its SRV record."""

    priority: int
    weight: int
    targets: tuple[Target, ...]


@dataclass(frozen=True, slots=True)
class _Found:
    """What is known of one name."""

    ranked: tuple[Ranked, ...]
    due: float  # when to ask again
    failed: bool = False


class _Unanswered(Exception):
    """No name server answered, or none would."""


class Names:
    """The addresses of all peers."""

    def __init__(
        self,
        changed: Callable[[], None],
        make_resolver: Callable[[], dns.asyncresolver.Resolver] = dns.asyncresolver.Resolver,
        hosts: Path = Path("/etc/hosts"),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`changed` is called after the addresses of a name have become others; `clock` gives monotonic seconds."""
        self._changed = changed
        self._make_resolver = make_resolver
        self._hosts = hosts
        self._clock = clock
        self._names: dict[Name, str] = {}  # name -> the peer that is blamed for it
        self._found: dict[Name, _Found] = {}
        self._ways: dict[str, list[Target | Name]] = {}  # of each peer, in order
        self._fixed: dict[str, tuple[Target, ...]] = {}  # of peers that have no choice by weight
        self._taken = asyncio.Event()
        self._asked = asyncio.Event()

    def take(self, peers: Iterable[Peer]) -> None:
        """Follow the names of these peers from now on. The next `refresh` asks again for those that failed, and forgets
        those that are named no more."""
        self._found = {name: replace(found, due=0.0) if found.failed else found for name, found in self._found.items()}
        self._names, self._ways = {}, {}
        for peer in peers:
            transport = None if peer.any_transport else peer.transport
            ways = [
                _way(text, transport) for text in ([peer.outbound_proxy] if peer.outbound_proxy else peer.addresses)
            ]
            sources = (_way(text, transport) for text in peer.sources or peer.addresses if "/" not in text)
            self._ways[peer.name] = ways
            for name in (*ways, *sources):
                if isinstance(name, Name):
                    self._names.setdefault(name, peer.name)
        self._settle()
        self._taken.set()

    def targets(self, peer: str) -> Sequence[Target]:
        """Where to try this peer, in order: by priority, within one priority at random by weight (RFC 2782)."""
        fixed = self._fixed.get(peer)
        return fixed if fixed is not None else self._ordered(self._ways.get(peer, ()))

    @property
    def addresses(self) -> Mapping[str, Sequence[str]]:
        """All addresses of each name, for those who must tell where a packet comes from."""
        found: dict[str, dict[str, None]] = {}
        for name, known in self._found.items():
            of_host = found.setdefault(name.host, {})
            of_host.update((target.host, None) for each in known.ranked for target in each.targets)
        return {host: sorted(addresses) for host, addresses in found.items()}

    async def first_answers(self, seconds: float) -> None:
        """Wait until all names were asked for once, but not longer than this."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._asked.wait(), seconds)

    async def follow(self) -> NoReturn:
        """Ask for each name again when its time to live is over, for ever."""
        while True:
            self._taken.clear()
            for said in await self.refresh():
                log.error("%s", said)
            self._asked.set()
            due = [self._found[name].due for name in self._names if name in self._found]
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._taken.wait(), max(1.0, min(due) - self._clock()) if due else None)

    async def refresh(self) -> list[str]:
        """Ask for the names whose time has come, all at once. Returns what failed, in words."""
        now = self._clock()
        asked = {
            name: peer for name, peer in self._names.items() if name not in self._found or self._found[name].due <= now
        }
        if not asked and self._found.keys() <= self._names.keys():
            return []
        search = _Search(self._make_resolver, _read_hosts(self._hosts))
        answers = await asyncio.gather(*(self._ask(search, name) for name in asked))
        before = {name: known.ranked for name, known in self._found.items()}
        taken = dict(zip(asked, answers, strict=True))
        self._found = {name: known for name, known in (self._found | taken).items() if name in self._names}
        self._settle()
        if {name: known.ranked for name, known in self._found.items()} != before:
            self._changed()
        return [
            self._said(name, peer) for name, peer in asked.items() if name in self._found and self._found[name].failed
        ]

    async def _ask(self, search: "_Search", name: Name) -> _Found:
        known = self._found.get(name)
        try:
            ranked, ttl = await search.look_up(name)
        except _Unanswered:
            # A name that DNS told us before is not looked for elsewhere: its own order would be lost.
            ranked, ttl = ((), 0.0) if known and known.ranked else await search.ask_system(name)
        now = self._clock()
        if ranked:
            return _Found(ranked, now + min(max(ttl, SHORTEST), LONGEST))
        return _Found(known.ranked if known else (), now + AGAIN, failed=True)

    def _said(self, name: Name, peer: str) -> str:
        known = ", ".join(target.host for each in self._found[name].ranked for target in each.targets)
        kept = f"its last addresses stay: {known}" if known else "it cannot be called and gets no answer"
        return f"peer {peer}: {name.host} cannot be resolved; {kept}; an address needs no name server"

    def _settle(self) -> None:
        """Note the peers whose addresses have one order only: a call to them costs one look-up in a dict."""
        self._fixed = {}
        for peer, ways in self._ways.items():
            ranked = [self._found[way].ranked for way in ways if isinstance(way, Name) and way in self._found]
            if all(len({each.priority for each in one}) == len(one) for one in ranked):
                self._fixed[peer] = self._ordered(ways)

    def _ordered(self, ways: Iterable[Target | Name]) -> tuple[Target, ...]:
        ordered: list[Target] = []
        for way in ways:
            if isinstance(way, Target):
                ordered.append(way)
            elif way in self._found:
                ordered += by_weight(self._found[way].ranked, random.random)
        return tuple(dict.fromkeys(ordered))


class _Search:
    """The questions of one refresh."""

    def __init__(self, make_resolver: Callable[[], dns.asyncresolver.Resolver], hosts: Mapping[str, list[str]]) -> None:
        self._hosts = hosts
        try:
            self._resolver: dns.asyncresolver.Resolver | None = make_resolver()
        except dns.exception.DNSException as error:  # no /etc/resolv.conf, or none that can be read
            log.warning("no name server is configured: %s", error)
            self._resolver = None

    async def look_up(self, name: Name) -> tuple[tuple[Ranked, ...], float]:
        """What stands for this name, and for how many seconds. Raises _Unanswered."""
        if name.port is None and name.host.lower() not in self._hosts:
            ranked, ttl = await self._services(name)
            if ranked:
                return ranked, ttl
        addresses, ttl = await self._addresses(name.host)
        return _plain(name, addresses), ttl

    async def ask_system(self, name: Name) -> tuple[tuple[Ranked, ...], float]:
        """The same by the system's resolver, which knows addresses only; none if it does not know the name either."""
        try:
            answers = await asyncio.get_running_loop().getaddrinfo(name.host, None, type=socket.SOCK_DGRAM)
        except OSError:
            return (), 0.0
        return _plain(name, [str(answer[4][0]) for answer in answers]), SHORTEST

    async def _services(self, name: Name) -> tuple[tuple[Ranked, ...], float]:
        """By NAPTR and SRV; nothing if there are none (RFC 3263 4.1, 4.2)."""
        services = [(f"{_SERVICES[over]}.{name.host}", over) for over in _SERVICES if name.transport in (None, over)]
        ttl, all_of_them = LONGEST, False
        if name.transport is None:
            named, lifetime = await self._naptr(name.host)
            if named:
                services, ttl, all_of_them = named, lifetime, True
        ranked: list[Ranked] = []
        for place, (service, over) in enumerate(services):
            found, lifetime = await self._srv(service, over, name.host, place << 16)
            if found:
                ranked += found
                ttl = min(ttl, lifetime)
                if not all_of_them:
                    break
        return tuple(ranked), ttl

    async def _naptr(self, host: str) -> tuple[list[tuple[str, Transport]], float]:
        """The services that the domain offers, in its order of preference, of those that we speak."""
        records, ttl = await self._records(host, "NAPTR")
        offered = [
            ((record.order, record.preference), str(record.replacement), _NAPTR[service])
            for record in records
            if (service := record.service.decode().upper()) in _NAPTR and record.flags.lower() == b"s"
        ]
        return [(replacement, over) for _, replacement, over in sorted(offered)], ttl

    async def _srv(self, service: str, over: Transport, name: str, base: int) -> tuple[list[Ranked], float]:
        records, ttl = await self._records(service, "SRV")
        found = []
        for record in records:
            host = str(record.target).rstrip(".")
            if host:  # "." alone: decidedly not available
                addresses, lifetime = await self._addresses(host)
                ttl = min(ttl, lifetime)
                targets = tuple(Target(over, address, record.port, name) for address in addresses)
                found.append(Ranked(base + record.priority, record.weight, targets))
        return [each for each in found if each.targets], ttl

    async def _addresses(self, host: str) -> tuple[list[str], float]:
        """IPv4 before IPv6: where a network has half of an IPv6, a call should not have to find that out."""
        listed = self._hosts.get(host.lower().rstrip("."))
        if listed:
            return listed, SHORTEST
        (four, ttl), (six, lifetime) = await asyncio.gather(self._records(host, "A"), self._records(host, "AAAA"))
        addresses = [str(record.address) for record in (*four, *six)]
        if addresses:
            return addresses, min(ttl, lifetime)
        ranked, ttl = await self.ask_system(Name(host, 0, "udp"))
        return [target.host for each in ranked for target in each.targets], ttl

    async def _records(self, name: str, kind: str) -> tuple[list[Any], float]:
        """All records of one kind, and their time to live; none if there are none. Raises _Unanswered."""
        if self._resolver is None:
            return [], LONGEST
        try:
            answer = await self._resolver.resolve(name, kind, raise_on_no_answer=False, lifetime=_LIFETIME)
        except dns.resolver.NXDOMAIN:
            return [], LONGEST
        except (dns.exception.DNSException, OSError) as error:
            log.debug("%s %s: %s", name, kind, error)
            raise _Unanswered from error
        if answer.rrset is None:
            return [], LONGEST
        return list(answer.rrset), float(answer.chaining_result.minimum_ttl)


def by_weight(ranked: Sequence[Ranked], chance: Callable[[], float]) -> list[Target]:
    """Lowest priority first; within one each weight has its share of the first places (RFC 2782), 0 the last ones."""

    def place(each: Ranked) -> tuple[int, float, float]:
        drawn = chance()
        return each.priority, -math.log(1.0 - drawn) / each.weight if each.weight else math.inf, drawn

    return [target for each in sorted(ranked, key=place) for target in each.targets]


def _way(text: str, transport: Transport | None) -> Target | Name:
    """An address as it is written: where it leads, if that needs no name server."""
    host, port = split_host(text)
    if is_address(host):
        over = transport or "udp"
        return Target(over, str(ip_address(host)), port or _PORTS[over])
    return Name(host.rstrip("."), port, transport)


def _plain(name: Name, addresses: Iterable[str]) -> tuple[Ranked, ...]:
    """What a name without services stands for."""
    over = name.transport or "udp"
    port = name.port or _PORTS[over]
    targets = tuple(dict.fromkeys(Target(over, address, port, name.host) for address in addresses))
    return (Ranked(0, 0, targets),) if targets else ()


def _read_hosts(path: Path) -> dict[str, list[str]]:
    """Lower-case names -> addresses of a file like /etc/hosts; one that cannot be read says nothing."""
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except OSError:
        return {}
    found: dict[str, list[str]] = {}
    for line in lines:
        address, *names = line.partition("#")[0].split() or [""]
        if is_address(address):
            for name in names:
                found.setdefault(name.lower(), []).append(address)
    return found
