"""What is settled once for many calls is never taken for a call in which it is otherwise."""

from dataclasses import replace

from company import CUSTOMER, DIRECTORY, HOUR, NOW, SHOP, SomeRegions, engine, facts, route, to

from sipacr.routing.conditions import (
    All,
    AnyOf,
    Condition,
    During,
    HeaderIs,
    IsAnonymous,
    IsVip,
    Not,
    PeerIs,
    RegionIs,
)
from sipacr.routing.decide import Engine
from sipacr.routing.masks import Mask
from sipacr.routing.schedules import Schedule

OFFICE = Schedule(name="office", tz="Europe/Warsaw", week=(((480, 1200),),) * 7)


def only(condition: Condition, **more: object) -> Engine:
    return engine(route("it", to("queue-sales"), when=condition), schedules={"office": OFFICE}, **more)  # type: ignore[arg-type]


def matches(which: Engine, now: float = NOW, **call: object) -> bool:
    return bool(which.decide(facts(**call), now).rules)  # type: ignore[arg-type]


def test_headers() -> None:
    which = only(HeaderIs("x", (Mask("a*"),)))
    seen = [matches(which, headers=headers) for headers in ({}, {"x": ("b",)}, {"x": ("b", "ab")}, {"x": ("b",)}, {})]
    assert seen == [False, False, True, False, False]


def test_headers_that_no_rule_names() -> None:
    which = only(HeaderIs("x", (Mask("a*"),)))
    asserted = {"p-asserted-identity": ("<sip:+48601000111@x>",)}
    assert [matches(which, headers=headers) for headers in (asserted, {**asserted, "x": ("ab",)})] == [False, True]
    assert len(which.incoming._situations._current) == 2


def test_time() -> None:
    which = only(During(("office",)))
    closes = NOW + 3.5 * HOUR
    times = (NOW, closes - 0.001, closes, closes + 12 * HOUR, closes - 0.5, closes)
    assert [matches(which, now) for now in times] == [True, True, False, True, True, False]


def test_peer_and_anonymity() -> None:
    which = only(All((PeerIs(("trunk-a",)), Not((IsAnonymous(),)))))
    calls = [(CUSTOMER, "trunk-a"), (CUSTOMER, "trunk-b"), ("anonymous", "trunk-a"), (CUSTOMER, "trunk-a")]
    assert [matches(which, caller=caller, peer=peer) for caller, peer in calls] == [True, False, False, True]


def test_regions_of_both_sides() -> None:
    regions = SomeRegions({"+48": ("PL",), "+4812": ("PL-12",), "+49": ("DE",)})
    which = only(All((RegionIs("caller", ("PL-12", "DE")), RegionIs("dialled", ("PL",)))), regions=regions)
    calls = [("+48121112233", SHOP), (CUSTOMER, SHOP), ("+4930123456", SHOP), ("+4930123456", "+4930123457")]
    assert [matches(which, caller=caller, dialled=dialled) for caller, dialled in calls] == [True, False, True, False]
    assert not matches(which, caller="101")
    assert not matches(which, caller="anonymous")


def test_what_needs_the_call_is_never_settled() -> None:
    class Changing:
        vips = iter(["anna", None, "ivan"])

        def vip(self, customer: str) -> str | None:
            return next(self.vips)

    which = only(AnyOf((PeerIs(("trunk-b",)), IsVip())))
    store = Changing()
    assert [matches(which, store=store) for _ in range(3)] == [True, False, True]


def test_many_peers_do_not_pile_up() -> None:
    which = only(PeerIs(("p5000",)), directory=replace(DIRECTORY))
    assert [n for n in range(6000) if matches(which, peer=f"p{n}")] == [5000]
    assert len(which.incoming._situations._current) < 5000
