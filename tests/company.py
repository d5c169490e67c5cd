"""A small company for tests of the routing core: one PBX, two trunks, three agents; rules are given by each test."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sipacr.routing.conditions import Condition, NumberIs
from sipacr.routing.decide import Engine
from sipacr.routing.directory import Destination, Directory, Peer
from sipacr.routing.facts import Binding, Facts, Request
from sipacr.routing.given import GivenStore
from sipacr.routing.numbers import NumberPlan
from sipacr.routing.regions import Region, Regions
from sipacr.routing.ruleset import (
    Agent,
    Group,
    NamedList,
    Position,
    RejectWith,
    Rule,
    Ruleset,
    Step,
    StickyProfile,
    TargetKind,
)

NOW = 1_795_447_800.0  # 2026-11-23 16:30 in Warsaw, a Monday
HOUR = 3600.0
HERE = Position("rules.yaml", 1, 1)
PL = NumberPlan.of("PL")
SHOP = "+48221112233"
CUSTOMER = "+48601000111"

PEERS = {
    "pbx": Peer("pbx", "pbx", "relay", ("10.0.0.5:5060",), PL, contact="pbx.example.pl:5060"),
    "trunk-a": Peer("trunk-a", "trunk", "redirect", ("sip.carrier-a.example:5060",), PL),
    "trunk-b": Peer("trunk-b", "trunk", "redirect", ("192.0.2.7",), PL, send="national", transport="tcp"),
}
DIRECTORY = Directory(
    PEERS,
    PL,
    "Europe/Warsaw",
    own={SHOP: "Shop A", "+48221119900": "Customers' line"},
    extensions=("1??",),
    emergency=frozenset({"112"}),
    destinations={
        "queue-main": Destination("600", "pbx"),
        "queue-sales": Destination("601", "pbx"),
        "voicemail": Destination("*98", "pbx"),
    },
    outgoing_via=("trunk-a", "trunk-b"),
)
AGENTS = {
    "anna": Agent("anna", "101", "pbx"),
    "ivan": Agent("ivan", "102", "pbx", "+48601222333"),
    "olga": Agent("olga", "103", "pbx"),
}
EMPTY = Ruleset(
    agents=AGENTS,
    groups={"sales": Group("sales", (("anna", "ivan"), ("olga",)))},
    lists={"black": NamedList("black"), "white": NamedList("white", known=True)},
    schedules={},
    sticky={},
    rules=(),
    outgoing=(),
    fallback=("queue-main",),
)


class SomeRegions(Regions):
    """Regions of a few prefixes; all of them guesses, or none."""

    def __init__(self, prefixes: Mapping[str, tuple[str, ...]], guess: bool = False) -> None:
        self._prefixes = prefixes
        self._guess = guess

    def lookup(self, e164: str) -> Region:
        for prefix in sorted(self._prefixes, key=len, reverse=True):
            if e164.startswith(prefix):
                return Region(self._prefixes[prefix], self._guess)
        return Region((), False)

    def codes(self, e164: str) -> tuple[str, ...]:
        return self.lookup(e164).codes


def step(kind: TargetKind, name: str = "", **manner: Any) -> Step:
    return Step(kind, name, HERE, **manner)


def to(name: str) -> Step:
    return step("to", name)


def route(name: str, *steps: Step, when: Condition | None = None, **more: Any) -> Rule:
    more.setdefault("action", "route")
    return Rule(name, HERE, when, steps=steps, **more)


def reject(name: str, code: int = 403, when: Condition | None = None) -> Rule:
    return Rule(name, HERE, when, "reject", reject=RejectWith(code))


def exactly(side: Any, *numbers: str) -> NumberIs:
    read = [PL.read(number) for number in numbers]
    return NumberIs(
        side,
        frozenset(number.e164 for number in read if number.e164),
        frozenset(number.text for number in read if not number.e164),
    )


def profile(name: str, **more: Any) -> StickyProfile:
    values: dict[str, Any] = {
        "preset": None,
        "create": frozenset({"in_answered"}),
        "refresh": frozenset({"in_answered"}),
        "end": frozenset(),
        "ttl": 24 * HOUR,
    }
    return StickyProfile(name, **(values | more))


def bound(agent: str, ago: float, name: str = "returning", **more: Any) -> Binding:
    """A row of the customer that was made `ago` seconds before NOW."""
    return Binding(name, more.pop("scope", ""), more.pop("customer", CUSTOMER), agent, NOW - ago, **more)


def engine(
    *rules: Rule, outgoing: Sequence[Rule] = (), directory: Directory = DIRECTORY, regions: Any = None, **more: Any
) -> Engine:
    ruleset = replace(EMPTY, rules=rules, outgoing=tuple(outgoing), **more)
    return Engine(ruleset, directory, regions or SomeRegions({}))


def facts(
    caller: str = CUSTOMER,
    dialled: str = SHOP,
    peer: str = "trunk-a",
    store: GivenStore | None = None,
    headers: Mapping[str, Sequence[str]] | None = None,
    **more: Any,
) -> Facts:
    request = Request(
        caller=PL.read("" if caller == "anonymous" else caller),
        dialled=PL.read(dialled),
        peer=peer,
        anonymous=caller == "anonymous",
        headers=headers or {},
        **more,
    )
    return Facts(request, store or GivenStore())
