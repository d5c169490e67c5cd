"""Which peer a source address belongs to."""

import pytest

from sipacr.routing.directory import Peer
from sipacr.routing.numbers import NumberPlan
from sipacr.sip.sources import Sources, split_host

PLAN = NumberPlan.of("PL")


def peer(name: str, address: str, *sources: str) -> Peer:
    return Peer(name, "trunk", "redirect", (address,), PLAN, sources=sources)


PEERS = [
    peer("pbx", "10.0.0.5:5060"),
    peer("wide", "sip.wide.example", "198.51.100.0/24", "2001:db8:1::/64"),
    peer("narrow", "198.51.100.7", "198.51.100.0/28"),
    peer("one", "127.0.0.1:5070", "127.0.0.1"),
    peer("two", "127.0.0.1:5080", "127.0.0.1"),
    peer("ported", "127.0.0.1:5099", "127.0.0.1:6000"),
    peer("named", "sip.named.example:5060"),
    peer("v6", "[2001:db8::1]:5060"),
]
SOURCES = Sources(PEERS, {"sip.named.example": ["203.0.113.9", "2001:db8::9"]})


@pytest.mark.parametrize(
    ("host", "port", "name"),
    [
        ("10.0.0.5", 5060, "pbx"),
        ("10.0.0.5", 40000, "pbx"),
        ("10.0.0.6", 5060, None),
        ("198.51.100.200", 5060, "wide"),
        ("198.51.100.9", 5060, "narrow"),
        ("2001:db8:1::77", 5060, "wide"),
        ("2001:db8:2::77", 5060, None),
        ("127.0.0.1", 5070, "one"),
        ("127.0.0.1", 5080, "two"),
        ("127.0.0.1", 6000, "ported"),
        ("127.0.0.1", 12345, "one"),
        ("203.0.113.9", 5060, "named"),
        ("2001:db8::9", 5060, "named"),
        ("2001:db8::1", 5060, "v6"),
        ("fe80::1%eth0", 5060, None),
    ],
)
def test_find(host: str, port: int, name: str | None) -> None:
    for _ in range(2):  # the second time it is remembered
        found = SOURCES.find(host, port)
        assert (found.name if found else None) == name


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.1", ("10.0.0.1", None)),
        ("10.0.0.1:5060", ("10.0.0.1", 5060)),
        ("host.example:5060", ("host.example", 5060)),
        ("[2001:db8::1]:5060", ("2001:db8::1", 5060)),
        ("[2001:db8::1]", ("2001:db8::1", None)),
        ("2001:db8::1", ("2001:db8::1", None)),
    ],
)
def test_split_host(text: str, expected: tuple[str, int | None]) -> None:
    assert split_host(text) == expected


def test_a_name_that_is_not_resolved_yet_is_nobody() -> None:
    assert Sources([peer("named", "sip.named.example:5060")], {}).find("203.0.113.9", 5060) is None
