"""What is decided: direction, order, `else`, unknown facts, the trace, and the same answer with and without index."""

from dataclasses import replace

import pytest
from company import (
    CUSTOMER,
    HOUR,
    NOW,
    SHOP,
    SomeRegions,
    bound,
    engine,
    exactly,
    facts,
    profile,
    reject,
    route,
    step,
    to,
)
from hypothesis import given
from hypothesis import strategies as st

from sipacr.routing.conditions import (
    All,
    AnyOf,
    Condition,
    Contains,
    During,
    HeaderIs,
    IsAnonymous,
    IsKnown,
    IsShared,
    IsVip,
    MaskIs,
    Not,
    OnList,
    PeerIs,
    Regex,
    RegionIs,
    Share,
)
from sipacr.routing.decide import fallback_decision
from sipacr.routing.facts import Facts, ListEntry
from sipacr.routing.given import GivenStore
from sipacr.routing.masks import Mask
from sipacr.routing.ruleset import RejectWith, Remember, Rule
from sipacr.routing.schedules import Schedule

BROKEN = GivenStore(unavailable="database is locked")
QUEUE = to("queue-sales")


def masks(side: str, *patterns: str) -> MaskIs:
    return MaskIs(side, tuple(map(Mask, patterns)))  # type: ignore[arg-type]


def always(name: str, start: int, end: int) -> Schedule:
    return Schedule(
        name=name, tz="Europe/Warsaw", week=(((start, end),),) * 7, open={}, closed=frozenset(), calendars=()
    )


SCHEDULES = {"office": always("office", 480, 1200), "night": always("night", 1320, 360)}


def test_first_match_wins_and_no_match_is_the_fallback() -> None:
    rules = (reject("blocked", when=exactly("caller", "+48700000000")), route("all", QUEUE), route("never", QUEUE))
    assert engine(*rules).decide(facts(), NOW).names == ("all",)
    assert engine(*rules).decide(facts("+48700000000"), NOW).reject == RejectWith(403)
    nobody = engine(rules[0]).decide(facts(), NOW)
    assert (nobody.action, nobody.rules, nobody.end) == ("route", (), "fallback")


def test_filed_and_residual_rules_are_tried_in_file_order() -> None:
    masked = [route(f"m{n}", QUEUE, when=masks("caller", mask)) for n, mask in enumerate(("+486*", "+4860*", "*11"))]
    dialled = [route(f"d{n}", QUEUE, when=exactly("dialled", SHOP)) for n in range(2)]
    residual = [route(f"r{n}", QUEUE, when=PeerIs(("trunk-a",))) for n in range(2)]
    mixed = [masked[0], dialled[0], residual[0], masked[1], residual[1], dialled[1], masked[2]]
    for rules in ([*masked, *dialled, *residual], [*residual, *dialled, *masked], mixed):
        assert engine(*rules).decide(facts(), NOW).names == (rules[0].name,)
        going_on = [replace(rule, else_="next") for rule in rules]
        assert engine(*going_on).decide(facts(), NOW).names == tuple(rule.name for rule in rules)


def test_when_the_trees_are_full_they_grow_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = [route("first", QUEUE, when=PeerIs(("trunk-b",)))]
    rules += [route(f"d{n}", QUEUE, when=exactly("dialled", f"+4822111220{n}"), else_="next") for n in range(5)]
    rules += [route("last", QUEUE, when=masks("caller", "+48*"))]
    which = engine(*rules)
    monkeypatch.setattr("sipacr.routing.walk._FORKS", 2)
    for n in (*range(5), *range(5)):
        assert which.decide(facts(dialled=f"+4822111220{n}"), NOW).names == (f"d{n}", "last")
        assert sum(len(each.trees) for each in which.incoming._situations._current.values()) <= 2


def test_direction() -> None:
    both = engine(route("in", QUEUE), outgoing=[reject("out", when=masks("dialled", "+4870*"))])
    assert both.decide(facts(peer="pbx"), NOW).names == ("in",), "a PBX that asks about our own number"
    assert both.decide(facts("101", "700123456", "pbx"), NOW).names == ("out",)
    assert both.decide(facts("101", "600123456", "pbx"), NOW).outgoing
    assert both.decide(facts("101", "600123456", "trunk-a"), NOW).names == ("in",), "a trunk's call is always incoming"
    assert both.decide(facts("101", "112", "pbx"), NOW).emergency
    assert both.decide(facts("101", "112", "trunk-a"), NOW).names == ("in",)


@pytest.mark.parametrize(
    ("condition", "truth"),
    [
        (exactly("caller", "601 000 111"), True),
        (exactly("dialled", "101"), False),
        (masks("caller", "+48601*"), True),
        (masks("caller", "601*"), False),  # the raw text has the plus
        (masks("caller", "*0111"), True),
        (masks("caller", "+48????00111"), True),
        (masks("caller", "+49*", "+4860?000111"), True),
        (Contains("caller", ("1000",)), True),
        (Regex("caller", (r"\+4860[0-5]\d{6}",)), True),
        (Regex("caller", (r"\+4860",)), False),  # the whole
        (Regex("caller", ("x", r".*111")), True),
        (RegionIs("caller", ("PL",)), True),
        (RegionIs("caller", ("PL-14",)), False),
        (RegionIs("dialled", ("PL-14",)), True),
        (RegionIs("dialled", ("PL",)), True),
        (IsVip(True), True),
        (IsVip(False), False),
        (IsKnown(True), True),
        (IsShared(True), False),
        (IsShared(False), True),
        (IsAnonymous(False), True),
        (OnList(("black",)), False),
        (OnList(("black", "white")), True),
        (During(("office",)), True),
        (During(("night",)), False),
        (During(("night", "office")), True),
        (PeerIs(("trunk-b", "trunk-a")), True),
        (HeaderIs("x-campaign", (Mask("summer*"),)), True),
        (HeaderIs("x-campaign", (Mask("winter*"),)), False),
        (HeaderIs("x-campaign", (Mask("*"),)), True),
        (HeaderIs("x-other", (Mask("*"),)), False),
        (Share(10_000, "r"), True),
        (Share(0, "r"), False),
        (All((IsVip(), PeerIs(("trunk-a",)))), True),
        (AnyOf((IsVip(False), PeerIs(("pbx",)))), False),
        (Not((IsVip(False), PeerIs(("pbx",)))), True),
        (Not((IsVip(True), PeerIs(("pbx",)))), False),
    ],
)
def test_conditions(condition: Condition, truth: bool) -> None:
    store = GivenStore(
        vips={CUSTOMER: "anna"},
        lists={"white": [ListEntry("+48601*", None, "")]},
    )
    regions = SomeRegions({"+48": ("PL",), "+4822": ("PL-14",)})
    which = engine(route("it", QUEUE, when=condition), regions=regions, schedules=SCHEDULES)
    call = facts(store=store, headers={"x-campaign": ("a", "summer 26")})
    assert bool(which.decide(call, NOW).rules) is truth
    assert bool(which.decide(call, NOW, trace=True).rules) is truth


@pytest.mark.parametrize(
    ("condition", "truth"),
    [
        (masks("caller", "*"), False),
        (exactly("caller", "anonymous"), False),
        (Not((exactly("caller", CUSTOMER),)), True),
        (Contains("caller", ("601",)), False),
        (Regex("caller", (".*",)), False),
        (OnList(("black",)), False),
        (RegionIs("caller", ("PL",)), False),
        (IsVip(True), False),
        (IsVip(False), True),
        (IsKnown(False), True),
        (IsShared(True), False),
        (IsAnonymous(True), True),
    ],
)
def test_anonymous_is_absent_and_asks_no_store(condition: Condition, truth: bool) -> None:
    regions = SomeRegions({"+48": ("PL",)})
    call = facts("anonymous", store=BROKEN)
    assert bool(engine(route("it", QUEUE, when=condition), regions=regions).decide(call, NOW).rules) is truth
    assert not call.broken


@pytest.mark.parametrize("condition", [IsVip(True), IsVip(False), IsKnown(False), OnList(("black",)), IsShared(False)])
def test_unavailable_is_unknown_and_passes_through(condition: Condition) -> None:
    here = PeerIs(("trunk-a",))
    both, either = All((here, condition)), AnyOf((Not((here,)), condition))
    for when in (condition, Not((condition,)), both, Not((both,)), either, Not((either,))):
        decision = engine(reject("no", when=when), route("rest", QUEUE)).decide(facts(store=BROKEN), NOW)
        assert decision.names == ("rest",)
        assert len(decision.broken) >= 1
    # What is sure whatever the store would say still matches.
    assert engine(route("yes", QUEUE, when=AnyOf((condition, here)))).decide(facts(store=BROKEN), NOW).names == ("yes",)
    decision = engine(route("no", QUEUE, when=All((condition, Not((here,)))))).decide(facts(store=BROKEN), NOW)
    assert decision.names == ()
    assert not decision.broken, "what is surely false needs no store"


def test_known_has_four_sources() -> None:
    rule = route("known", QUEUE, when=IsKnown())
    returning = profile("returning")
    per_number = profile("per-number", scope="number")
    which = engine(rule, sticky={"returning": returning, "per-number": per_number})

    def known(store: GivenStore) -> bool:
        return bool(which.decide(facts(store=store), NOW).rules)

    assert not known(GivenStore())
    assert known(GivenStore(vips={CUSTOMER: "gone"}))
    assert known(GivenStore(lists={"white": [ListEntry(CUSTOMER, None, "")]}))
    assert not known(GivenStore(lists={"black": [ListEntry(CUSTOMER, None, "")]}))
    assert known(GivenStore(answered={CUSTOMER}))
    assert known(GivenStore(rows=[bound("anna", HOUR)]))
    assert not known(GivenStore(rows=[bound("anna", 25 * HOUR)]))
    assert known(GivenStore(rows=[bound("anna", HOUR, "per-number", scope="+48221119900")])), "bound at another number"


def test_store_is_asked_once_a_call() -> None:
    class Counting(GivenStore):
        asked = 0

        def vip(self, customer: str) -> str | None:
            Counting.asked += 1
            return None

    rules = [route(f"r{n}", QUEUE, when=All((IsVip(), PeerIs((f"p{n}", "trunk-a"))))) for n in range(5)]
    engine(*rules, route("known", QUEUE, when=IsKnown())).decide(facts(store=Counting()), NOW)
    assert Counting.asked == 1


def test_next_appends_the_following_rules() -> None:
    rules = (
        route("first", step("agent", "anna"), else_="next"),
        reject("not this", when=IsAnonymous()),
        route("second", step("agent", "ivan"), else_="next", tag="b", learn=False),
        route("third", QUEUE, remember=(Remember("white", "call"),)),
        route("fourth", QUEUE),
    )
    decision = engine(*rules).decide(facts(), NOW)
    assert decision.names == ("first", "second", "third")
    assert [step.name for step in decision.steps] == ["anna", "ivan", "queue-sales"]
    assert (decision.end, decision.tag, decision.learn) == ("answer", "b", False)
    assert decision.remember == (Remember("white", "call"),)
    assert engine(*rules[:3]).decide(facts(), NOW).end == "fallback", "no later match"


def test_times_of_a_chain_are_those_of_its_last_steps() -> None:
    rules = (
        route("first", step("agent", "anna"), else_="next", max_ring=30.0, connect=1.0),
        route("second", QUEUE, else_="next", max_ring=60.0),
        reject("rest"),
    )
    decision = engine(*rules).decide(facts(), NOW)
    assert (decision.max_ring, decision.connect) == (60.0, None)
    decision = engine(rules[0], rules[2]).decide(facts(), NOW)
    assert (decision.max_ring, decision.connect) == (30.0, 1.0)
    assert engine().decide(facts(), NOW).max_ring == 180.0


def test_what_follows_the_last_step() -> None:
    def end(*steps: object, **more: object) -> object:
        return engine(route("r", *steps, **more)).decide(facts(), NOW).end  # type: ignore[arg-type]

    assert end(step("agent", "anna")) == "fallback"
    assert end(step("agent", "anna"), QUEUE) == "answer"
    assert end(QUEUE, step("agent", "anna")) == "fallback"
    assert end(QUEUE, else_="fallback") == "fallback"
    assert end(step("agent", "anna"), else_="end") == "end"
    assert end(step("agent", "anna"), else_=RejectWith(480)) == RejectWith(480)


def test_a_reject_after_next_is_the_final_answer() -> None:
    decision = engine(route("own", step("vip"), else_="next"), reject("rest", 603)).decide(facts(), NOW)
    assert (decision.action, decision.reject, decision.end) == ("route", None, RejectWith(603))
    assert len(decision.steps) == 1


def test_the_last_sticky_of_a_chain_is_kept() -> None:
    rules = (
        route("global", step("sticky", "campaign"), step("agent", "anna"), else_="next"),
        route("scheme", step("sticky", "returning"), else_="next"),
        route("rest", QUEUE),
    )
    sticky = {"campaign": profile("campaign"), "returning": profile("returning")}
    decision = engine(*rules, sticky=sticky).decide(facts(), NOW)
    assert [step.name for step in decision.steps] == ["anna", "returning", "queue-sales"]
    assert [step.name for step in decision.left_out] == ["campaign"]
    alone = engine(rules[0], rules[2], sticky=sticky).decide(facts(), NOW)
    assert [step.name for step in alone.steps] == ["campaign", "anna", "queue-sales"]


def test_actions_of_a_chain() -> None:
    def action(*actions: str) -> str:
        rules = [route(f"{n}", QUEUE, action=action, else_="next") for n, action in enumerate(actions)]
        return engine(*rules).decide(facts(), NOW).action

    assert action("route") == "route"
    assert action("route", "redirect") == "redirect"
    assert action("route", "redirect", "relay") == "relay"


def test_same_rules_give_the_same_object_unless_something_broke() -> None:
    which = engine(route("vip", step("vip"), when=IsVip(), else_="next"), route("rest", QUEUE))
    assert which.decide(facts(), NOW) is which.decide(facts("+48601000112"), NOW)
    broken = which.decide(facts(store=BROKEN), NOW)
    assert broken is not which.decide(facts(), NOW)
    assert broken.broken == ("the VIP table: database is locked",)


def test_trace_says_why() -> None:
    rules = (
        route("partners", QUEUE, when=masks("caller", "+4822*", "+49*")),
        reject("blocked", when=All((OnList(("black",)), Not((IsVip(),))))),
        route("office", QUEUE, when=During(("office",)), else_="next"),
        route("campaign", QUEUE, when=HeaderIs("x-campaign", (Mask("summer*"),))),
        route("south", QUEUE, when=RegionIs("caller", ("PL-12",))),
        route("unknown", QUEUE, when=AnyOf((IsShared(), OnList(("white",))))),
        route("rest", QUEUE),
        route("not reached", QUEUE),
    )
    regions = SomeRegions({"+48": ("PL",)}, guess=True)
    store = GivenStore(vips={CUSTOMER: "anna"})
    decision = engine(*rules, regions=regions, schedules=SCHEDULES).decide(
        facts(store=store), NOW + 4 * HOUR, trace=True
    )
    assert decision.trace is not None
    told = {tried.rule.name: tried.reasons for tried in decision.trace.tried}
    assert list(told) == [rule.name for rule in rules[:-1]]
    assert told["partners"] == ("caller +48601000111 does not match +4822* or +49*",)
    assert told["blocked"] == (
        "caller +48601000111 is a VIP of anna",
        "caller +48601000111 is not on list black",
    )
    assert told["office"] == ("schedule office is closed at 2026-11-23 20:30",)
    assert told["campaign"] == ("there is no header x-campaign",)
    assert told["south"] == (
        "caller +48601000111 is in PL, the numbering plan's guess (only the country is known, as with most mobile "
        "numbers), not in PL-12",
    )
    assert told["unknown"] == ("caller +48601000111 has no shared number; caller +48601000111 is not on list white",)
    assert told["rest"] == ()


def test_trace_tells_what_is_unknown() -> None:
    decision = engine(reject("unknown", when=IsKnown(False))).decide(facts(store=BROKEN), NOW, trace=True)
    assert decision.trace is not None
    assert decision.trace.tried[0].reasons[0].startswith("unknown whether caller +48601000111 is known: ")
    assert "database is locked" in decision.trace.tried[0].reasons[0]


def test_fallback_decision_survives_odd_facts() -> None:
    which = engine()
    assert not fallback_decision(which, facts()).outgoing
    assert fallback_decision(which, facts("101", "600123456", "pbx")).outgoing
    assert fallback_decision(which, Facts(None, None)).end == "fallback"  # type: ignore[arg-type]


# --- the index and the full walk agree -----------------------------------------------------------------------------

SIDES = st.sampled_from(["caller", "dialled"])
NUMBERS = st.sampled_from([CUSTOMER, "+48601000112", "101", SHOP, "+48221119900", "+4930123456", "anonymous"])
PATTERNS = st.sampled_from(["+48*", "+48601*", "+4822*", "*111", "1??", "*", "+4860100011?", "*00*", "+??601*", "101"])
LEAVES = st.one_of(
    st.builds(lambda side, numbers: exactly(side, *numbers), SIDES, st.lists(NUMBERS, min_size=1, max_size=3)),
    st.builds(lambda side, found: masks(side, *found), SIDES, st.lists(PATTERNS, min_size=1, max_size=4)),
    st.builds(Contains, SIDES, st.sampled_from([("601",), ("48", "0")])),
    st.builds(Regex, SIDES, st.sampled_from([(r"\+48.*",), (r"\d+", r"\+4822.*")])),
    st.builds(RegionIs, SIDES, st.sampled_from([("PL",), ("PL-14", "DE")])),
    st.builds(IsVip, st.booleans()),
    st.builds(IsKnown, st.booleans()),
    st.builds(IsAnonymous, st.booleans()),
    st.builds(IsShared, st.booleans()),
    st.builds(OnList, st.sampled_from([("black",), ("white",), ("black", "white")])),
    st.builds(During, st.sampled_from([("office",), ("night",), ("office", "night")])),
    st.builds(PeerIs, st.sampled_from([("trunk-a",), ("pbx", "trunk-b")])),
    st.builds(HeaderIs, st.just("x"), st.just((Mask("a*"),))),
    st.builds(Share, st.sampled_from([0, 5000, 10_000]), st.just("r")),
)
CONDITIONS = st.recursive(
    LEAVES,
    lambda inner: st.builds(
        lambda kind, parts: kind(tuple(parts)),
        st.sampled_from([All, AnyOf, Not]),
        st.lists(inner, min_size=1, max_size=3),
    ),
    max_leaves=6,
)
WHENS = st.none() | CONDITIONS


@st.composite
def rulesets(draw: st.DrawFn) -> tuple[Rule, ...]:
    whens = draw(st.lists(WHENS, max_size=12))
    return tuple(
        route(f"r{n}", QUEUE, when=when, else_=draw(st.sampled_from([None, "next"]))) for n, when in enumerate(whens)
    )


STORES = st.sampled_from(
    [
        BROKEN,
        GivenStore(),
        GivenStore(vips={CUSTOMER: "anna"}, shared={"101"}, lists={"black": [ListEntry("+4860*", None, "")]}),
        GivenStore(answered={CUSTOMER}, lists={"white": [ListEntry("101", None, "")]}),
    ]
)


class HalfBroken(GivenStore):
    """Lists can be read, VIPs cannot."""

    def vip(self, customer: str) -> str | None:
        BROKEN.vip(customer)
        return None


@given(
    rulesets(),
    st.lists(
        st.tuples(
            NUMBERS,
            NUMBERS.filter(lambda text: text != "anonymous"),
            st.sampled_from(["trunk-a", "trunk-b", "pbx"]),
            STORES | st.just(HalfBroken()),
            st.sampled_from([NOW, NOW + 8 * HOUR]),
            st.sampled_from([{}, {"x": ("abc",)}, {"x": ("b",)}]),
        ),
        min_size=1,
        max_size=8,  # each in the trees that those before it have grown
    ),
)
def test_the_index_and_the_full_walk_agree(
    rules: tuple[Rule, ...],
    calls: list[tuple[str, str, str, GivenStore, float, dict[str, tuple[str, ...]]]],
) -> None:
    regions = SomeRegions({"+48": ("PL",), "+4822": ("PL-14",)})
    which = engine(*rules, outgoing=rules, regions=regions, schedules=SCHEDULES)
    for caller, dialled, peer, store, now, headers in calls:
        call = {"caller": caller, "dialled": dialled, "peer": peer, "store": store, "headers": headers}
        quick = which.decide(facts(**call), now)  # type: ignore[arg-type]
        full = which.decide(facts(**call), now, trace=True)  # type: ignore[arg-type]
        assert quick.names == full.names
        assert quick.steps == full.steps
        assert full.trace is not None
        assert all(tried.matched or all(tried.reasons) for tried in full.trace.tried)
