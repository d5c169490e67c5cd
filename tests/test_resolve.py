"""Who is offered, who is skipped and why, and the contacts of a 302."""

import random
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from company import (
    AGENTS,
    CUSTOMER,
    DIRECTORY,
    EMPTY,
    HOUR,
    NOW,
    PEERS,
    SHOP,
    bound,
    engine,
    facts,
    profile,
    reject,
    route,
    step,
    to,
)

from sipacr.routing.conditions import IsVip
from sipacr.routing.decide import Engine
from sipacr.routing.facts import Absence, ListEntry, State
from sipacr.routing.given import GivenStore
from sipacr.routing.order import in_order
from sipacr.routing.resolve import alike, contacts, fallback_contacts, line_up, q_values, resolve
from sipacr.routing.ruleset import Agent, Group, RejectWith, Step
from sipacr.routing.schedules import Schedule

BROKEN = GivenStore(unavailable="database is locked")
SALES = step("group", "sales")
QUEUE = to("queue-sales")


def names(*steps: Step, state: State | None = None, rule: Any = None, **call: Any) -> list[Any]:
    """Names of all that are offered by a rule with these steps; a tuple is offered at once."""
    more = rule or {}
    which = engine(route("r", *steps, else_=more.pop("else_", None)), **more)
    asked = facts(**call)
    ranks = line_up(which, which.decide(asked, NOW), asked, state or State(), NOW).ranks
    return [rank[0].name if len(rank) == 1 else tuple(target.name for target in rank) for rank in ranks]


def skipped(one: Step, state: State | None = None, which: Engine | None = None, **call: Any) -> dict[str, str]:
    """Who is skipped in a step, and why."""
    found = resolve(which or engine(), one, facts(**call), state or State(), NOW)
    return {skip.who: skip.reason for skip in found.skipped}


def sent(*steps: Step, state: State | None = None, which: Engine | None = None, **call: Any) -> list[str]:
    """The contacts as user@host;q=...;transport"""
    which = which or engine(route("r", *steps))
    asked = facts(**call)
    found = contacts(which, which.decide(asked, NOW), asked, state or State(), NOW).contacts
    return [f"{c.user}@{c.host};q={c.q}" + (f";{c.transport}" if c.transport else "") for c in found]


# --- one step ------------------------------------------------------------------------------------------------------


def test_each_kind_offers_its_target() -> None:
    store = GivenStore(
        vips={CUSTOMER: "anna"}, lists={"white": [ListEntry("+4860*", "voicemail", "")]}, rows=[bound("olga", HOUR)]
    )
    which = engine(sticky={"returning": profile("returning")})

    def address(one: Step) -> list[str]:
        ranks = resolve(which, one, facts(store=store), State(), NOW).ranks
        return [target.address for rank in ranks for target in rank]

    assert address(step("agent", "ivan")) == ["102@pbx"]
    assert address(step("mobile", "ivan")) == ["+48601222333"]
    assert address(step("vip")) == ["101@pbx"]
    assert address(step("sticky", "returning")) == ["103@pbx"]
    assert address(step("list", "white")) == ["*98@pbx"]
    assert address(QUEUE) == ["601@pbx"]
    assert address(to("700@trunk-b")) == ["700@trunk-b"]
    assert address(SALES) == ["101@pbx", "102@pbx", "103@pbx"]
    assert address(step("crm", "main")) == []


@pytest.mark.parametrize(
    ("one", "call", "reason"),
    [
        (step("vip"), {}, "the caller is not in the VIP table"),
        (step("vip"), {"caller": "anonymous"}, "the caller is anonymous"),
        (step("vip"), {"store": BROKEN}, "the look-up is broken: database is locked"),
        (step("vip"), {"store": GivenStore(vips={CUSTOMER: "zoe"})}, "is in the VIP table, but there is no such agent"),
        (step("crm", "main"), {}, "no CRM is connected"),
        (step("list", "white"), {}, "the caller is not on the list"),
        (
            step("list", "white"),
            {"store": GivenStore(lists={"white": [ListEntry(CUSTOMER, None, "")]})},
            "entry +48601000111 has no target of its own",
        ),
        (
            step("list", "white"),
            {"store": GivenStore(lists={"white": [ListEntry(CUSTOMER, "600@nowhere", "")]})},
            "is the entry's target, but neither agent nor destination",
        ),
        (step("agent", "ivan"), {"caller": "+48601222333"}, "is the caller himself"),
        (step("mobile", "ivan"), {"caller": "102", "peer": "pbx"}, "is the caller himself"),
        (to("+48601000111@trunk-a"), {}, "is the caller himself"),
    ],
)
def test_skipped_because_of_the_call(one: Step, call: dict[str, Any], reason: str) -> None:
    assert list(skipped(one, **call).values()) == [reason]


@pytest.mark.parametrize(
    ("one", "state", "reason"),
    [
        (step("agent", "anna"), State(leave={"anna"}), "is on leave"),
        (step("agent", "anna"), State(left={"anna"}), "has left or is switched off"),
        (step("agent", "anna", skip_busy=True), State(busy={"anna"}), "is busy"),
        (step("agent", "anna"), State(busy={"anna"}), None),
        (step("agent", "anna"), State(down={"pbx"}), "pbx is down"),
        (QUEUE, State(down={"pbx"}), "pbx is down"),
        (step("mobile", "ivan"), State(down={"trunk-a"}), None),
        (step("mobile", "ivan"), State(down={"trunk-a", "trunk-b"}), "every outgoing trunk is down"),
    ],
)
def test_skipped_because_of_the_moment(one: Step, state: State, reason: str | None) -> None:
    assert list(skipped(one, state).values()) == ([reason] if reason else [])


def test_what_was_already_offered_is_skipped_but_not_his_mobile() -> None:
    store = GivenStore(vips={CUSTOMER: "ivan"})
    steps = (step("vip"), step("agent", "ivan"), step("mobile", "ivan"), SALES)
    assert names(*steps, store=store) == ["ivan", "ivan", "anna", "olga", "queue-main"]
    found = resolve(engine(), SALES, facts(), State(), NOW, offered=["101@pbx", "103@pbx"])
    assert [skip.reason for skip in found.skipped] == ["was already offered in this call"] * 2


def test_the_caller_is_all_his_addresses() -> None:
    assert names(SALES, step("mobile", "ivan"), caller="+48601222333") == ["anna", "olga", "queue-main"]
    other = Agent("otto", "102", "pbx-2")
    two = replace(DIRECTORY, peers={**PEERS, "pbx-2": replace(PEERS["pbx"], name="pbx-2")})
    which = engine(agents={**AGENTS, "otto": other}, directory=two)
    assert skipped(step("agent", "ivan"), which=which, caller="102", peer="pbx-2") == {}, "102 of the other PBX"
    assert skipped(step("agent", "otto"), which=which, caller="102", peer="pbx-2") == {"otto": "is the caller himself"}


# --- sticky --------------------------------------------------------------------------------------------------------


def chosen(rows: list[Any], state: State | None = None, store: Any = None, **more: Any) -> list[Any]:
    given = {"sticky": {"returning": profile("returning", **more.pop("profile", {}))}, "else_": "end"}
    one = step("sticky", "returning", order=more.pop("order", "in-order"))
    return names(one, rule={**given, **more}, state=state, store=store or GivenStore(rows=rows))


def test_sticky_takes_live_rows_only() -> None:
    assert chosen([bound("anna", 24 * HOUR)]) == ["anna"]
    assert chosen([bound("anna", 24 * HOUR + 1)]) == []
    assert chosen([bound("anna", 30 * HOUR, in_answered=NOW - HOUR)]) == ["anna"]
    assert chosen([bound("anna", 30 * HOUR, in_progress=True)]) == ["anna"]
    assert chosen([bound("anna", 9999 * HOUR)], profile={"ttl": None}) == ["anna"]
    assert chosen([bound("anna", 30 * HOUR, in_call=NOW - HOUR)]) == [], "in_call is not in refresh"


def test_keep() -> None:
    rows = [
        bound("anna", 3 * HOUR, in_answered=NOW - HOUR),
        bound("ivan", 2 * HOUR),
        bound("olga", 4 * HOUR, in_call=NOW - 1),
    ]
    refresh = frozenset({"in_answered", "in_call"})
    assert chosen(rows, profile={"refresh": refresh}) == ["anna"], "in_call moves clocks, not the order"
    assert chosen(rows, profile={"keep": "first"}) == ["olga"]
    assert chosen(rows, profile={"keep": "all"}) == ["anna", "ivan", "olga"]
    assert chosen(rows, profile={"keep": "all"}, order="all") == [("anna", "ivan", "olga")]
    talking = [*rows[:2], bound("olga", 4 * HOUR, in_progress=True)]
    assert chosen(talking) == ["olga"], "a call in progress is the latest"


def test_who_has_left_drops_out_before_keep_but_who_is_away_does_not() -> None:
    rows = [bound("anna", HOUR), bound("ivan", 2 * HOUR)]
    assert chosen(rows, State(left={"anna"})) == ["ivan"]
    assert chosen(rows, State(left={"anna"}, successors={"anna": "olga"})) == ["olga"]
    assert chosen(rows, State(left={"anna"}, successors={"anna": "ivan"}), profile={"keep": "all"}) == ["ivan"]
    assert chosen(rows[:1], State(left={"anna"}, successors={"anna": "olga"})) == ["olga"]
    assert chosen([bound("zoe", HOUR), *rows[1:]]) == ["ivan"], "no longer among the agents"
    assert chosen(rows, agents={**AGENTS, "anna": replace(AGENTS["anna"], sticky=False)}) == ["ivan"]
    assert chosen(rows, State(leave={"anna"})) == []
    assert chosen(rows, State(leave={"anna"}), profile={"keep": "all"}) == ["ivan"]


def test_sticky_scope_hours_shared_and_broken() -> None:
    scoped = [bound("anna", HOUR, scope=SHOP), bound("ivan", HOUR, scope="+48221119900")]
    assert chosen(scoped, profile={"scope": "number"}) == ["anna"]
    assert chosen([bound("anna", HOUR)], store=GivenStore(rows=[bound("anna", HOUR)], shared={CUSTOMER})) == []
    closed = Schedule(name="hours", tz="Europe/Warsaw", week=((),) * 7)
    more = {"schedules": {"hours": closed}, "profile": {"during": ("hours",)}}
    assert chosen([bound("anna", HOUR)], **more) == []
    assert chosen([], store=BROKEN) == ["queue-main"], "broken: the fallback whatever `else` says"


# --- groups --------------------------------------------------------------------------------------------------------


def test_orders() -> None:
    seven = tuple(f"a{n}" for n in range(7))
    request = facts().request
    agents = {name: Agent(name, name, "pbx", weight=0 if name == "a6" else 1) for name in seven}

    def order(how: Any, state: State | None = None, **more: Any) -> tuple[str, ...]:
        return in_order(seven, how, "g", agents, replace(request, **more), state or State())

    assert order("in-order") == seven
    assert order("round-robin", State(cursor={"g": 9})) == (*seven[2:], *seven[:2])
    idle = {name: NOW - 10 * int(name[1]) for name in seven[1:]}
    assert order("longest-idle", State(idle_since=idle)) == ("a0", *reversed(seven[1:])), "never seen is longest"
    once = order("random", call_id="x", from_tag="t", cseq=1)
    assert once == order("random", call_id="x", from_tag="t", cseq=1), "a retransmission is answered alike"
    assert sorted(once) == sorted(seven)
    assert once[-1] == "a6", "weight 0 is last"
    assert len({order("random", call_id=f"x{n}") for n in range(20)}) > 10


def test_random_goes_by_weight() -> None:
    agents = {"a": Agent("a", "1", "pbx", weight=3), "b": Agent("b", "2", "pbx")}
    request = facts().request
    first = [
        in_order(("a", "b"), "random", "g", agents, replace(request, call_id=str(n)), State())[0] for n in range(2000)
    ]
    assert 1400 < first.count("a") < 1600


def test_lines_and_busy_agents() -> None:
    assert names(SALES) == ["anna", "ivan", "olga", "queue-main"]
    assert names(SALES, state=State(busy={"anna", "olga"})) == ["ivan", "queue-main"]
    assert names(step("group", "sales", order="all")) == [("anna", "ivan"), "olga", "queue-main"]
    idle = State(idle_since={"anna": NOW - 5})
    assert names(step("group", "sales", order="longest-idle"), state=idle) == ["ivan", "anna", "olga", "queue-main"]


def test_round_robin_goes_on_after_the_first_who_was_offered() -> None:
    one = step("group", "sales", order="round-robin")
    group = {"sales": Group("sales", (("anna", "ivan", "olga"),))}
    state = State(cursor={"sales": 1}, busy={"ivan"})
    found = resolve(engine(groups=group), one, facts(), state, NOW)
    assert [rank[0].name for rank in found.ranks] == ["olga", "anna"]
    assert found.advance == (("sales", 0),)
    assert state.cursor == {"sales": 1}, "resolve changes nothing itself"


# --- after the last step -------------------------------------------------------------------------------------------


def test_what_follows_the_last_step() -> None:
    anna = step("agent", "anna")
    assert names(anna) == ["anna", "queue-main"]
    assert names(anna, QUEUE) == ["anna", "queue-sales"]
    assert names(anna, QUEUE, rule={"else_": "fallback"}) == ["anna", "queue-sales", "queue-main"]
    assert names(anna, rule={"else_": "end"}) == ["anna"]
    assert names(anna, to("700@trunk-b"), state=State(down={"trunk-b"})) == ["anna", "queue-main"]
    assert names(anna, state=State(down={"pbx"})) == ["queue-main"], "a fallback that seems down is tried"


def test_a_broken_look_up_ends_in_the_fallback() -> None:
    vip = step("vip")
    assert names(vip, rule={"else_": "end"}, store=BROKEN) == ["queue-main"]
    assert names(vip, QUEUE, store=BROKEN) == ["queue-sales", "queue-main"], "even after a queue"
    assert names(vip, to("queue-main"), store=BROKEN) == ["queue-main"], "unless it is the same address"
    which = engine(route("own", vip, else_="next"), reject("rest"))
    asked = facts(store=BROKEN)
    found = contacts(which, which.decide(asked, NOW), asked, State(), NOW)
    assert (len(found.contacts), found.reject, found.broken) == (1, None, ("vip: database is locked",))


def test_nobody_left_is_a_rejection() -> None:
    def answer(else_: Any, *more: Any) -> RejectWith | None:
        which = engine(route("r", step("vip"), else_=else_), *more)
        asked = facts()
        return contacts(which, which.decide(asked, NOW), asked, State(), NOW).reject

    assert answer("end") == RejectWith(480)
    assert answer(RejectWith(486)) == RejectWith(486)
    assert answer("next", reject("no", 603)) == RejectWith(603)
    assert answer(None) is None


def test_a_rejection_has_no_contacts() -> None:
    which = engine(reject("no", 603))
    found = contacts(which, which.decide(facts(), NOW), facts(), State(), NOW)
    assert (found.contacts, found.reject) == ((), RejectWith(603))


# --- contacts ------------------------------------------------------------------------------------------------------


def test_contacts_of_people_and_destinations() -> None:
    assert sent(step("agent", "anna"), step("mobile", "ivan"), to("700@trunk-b"), QUEUE) == [
        "101@pbx.example.pl:5060;q=1.0",
        "+48601222333@sip.carrier-a.example:5060;q=0.9",  # the asking peer
        "700@192.0.2.7;q=0.8;tcp",
        "601@pbx.example.pl:5060;q=0.7",
    ]
    assert sent(step("mobile", "ivan"), peer="trunk-b", state=State(down={"trunk-a", "trunk-b"}))[0] == (
        "+48601222333@192.0.2.7;q=1.0;tcp"
    ), "who asks is up"


def test_equal_q_for_those_rung_at_once() -> None:
    found = sent(step("group", "sales", order="all"))
    assert [line.rpartition("=")[2] for line in found] == ["1.0", "1.0", "0.9", "0.8"]


def test_q_values() -> None:
    assert q_values(3) == ("1.0", "0.9", "0.8")
    assert q_values(10)[-1] == "0.1"
    assert q_values(11)[:3] == ("1.0", "0.99", "0.98")
    assert min(map(float, q_values(150))) == 0


def test_at_most_max_contacts_and_the_last_one_stays_last() -> None:
    six = {f"a{n}": Agent(f"a{n}", f"20{n}", "pbx") for n in range(6)}
    steps = [step("agent", name) for name in six]
    which = engine(route("r", *steps, QUEUE), agents=six)
    assert [line[:3] for line in sent(which=which)] == ["200", "201", "202", "203", "601"]
    assert sent(which=which)[-1].endswith("q=0.6")
    which = engine(route("r", *steps), agents=six, fallback=("queue-main", "voicemail"))
    assert [line[:3] for line in sent(which=which)] == ["200", "201", "202", "600", "*98"]
    all_at_once = engine(
        route("r", step("group", "g", order="all")), agents=six, groups={"g": Group("g", (tuple(six),))}
    )
    assert [line.rpartition("=")[2] for line in sent(which=all_at_once)] == ["1.0"] * 4 + ["0.9"]
    narrow = replace(DIRECTORY, peers={**PEERS, "trunk-a": replace(PEERS["trunk-a"], max_contacts=1)})
    only = engine(route("r", *steps), agents=six, directory=narrow)
    assert [line[:3] for line in sent(which=only)] == ["600"]


def test_outgoing_goes_by_the_trunks_in_their_formats() -> None:
    which = engine()
    call = {"caller": "101", "dialled": "601 222 444", "peer": "pbx"}
    assert sent(which=which, **call) == [
        "+48601222444@sip.carrier-a.example:5060;q=1.0",
        "601222444@192.0.2.7;q=0.9;tcp",
    ]
    assert len(sent(which=which, state=State(down={"trunk-a"}), **call)) == 1
    assert len(sent(which=which, state=State(down={"trunk-a", "trunk-b"}), **call)) == 2
    emergency = sent(which=which, state=State(down={"trunk-a"}), **{**call, "dialled": "112"})
    assert [line[:7] for line in emergency] == ["112@192", "112@sip"], "who seems down is tried too, last"
    assert sent(which=which, **{**call, "dialled": "112"})[0] == "112@sip.carrier-a.example:5060;q=1.0"
    nowhere = engine(directory=replace(DIRECTORY, outgoing_via=()))
    asked = facts(**call)
    found = contacts(nowhere, nowhere.decide(asked, NOW), asked, State(), NOW)
    assert found.reject == RejectWith(503, "No outgoing route")


def test_customers_of_one_agent_are_alike() -> None:
    which = engine(route("r", step("vip"), when=IsVip()), route("rest", QUEUE))

    def once(caller: str) -> object:
        asked = facts(caller, store=GivenStore(vips={CUSTOMER: "anna", "+48601000112": "anna"}))
        decision = which.decide(asked, NOW)
        return decision, alike(which, decision, asked, State(), NOW)

    assert once(CUSTOMER) == once("+48601000112")
    assert once(CUSTOMER) != once("+48601000113")


REMEMBERED = {
    "vip": [step("vip"), QUEUE],
    "sticky": [step("sticky", "returning"), step("agent", "anna"), QUEUE],
    "scope": [step("sticky", "here"), step("vip")],
    "fixed": [step("agent", "ivan", skip_busy=True), step("mobile", "ivan"), SALES, to("+48601000111@pbx")],
    "list": [step("list", "white"), QUEUE],
    "round-robin": [step("group", "sales", order="round-robin")],
    "crm": [step("crm", "main"), QUEUE],
}


@pytest.mark.parametrize("steps", REMEMBERED.values(), ids=REMEMBERED)
def test_calls_that_are_alike_have_the_same_contacts(steps: list[Step]) -> None:
    """Calls that are told to be alike have the same contacts, and none are told so where chance or a cursor decides."""
    more: Any = {"sticky": {"returning": profile("returning"), "here": profile("here", scope="number", keep="all")}}
    here = [bound(agent, HOUR, "here", scope=SHOP) for agent in ("anna", "ivan")]
    callers = [CUSTOMER, "+48601000112", "+48601222333", "102", "anonymous"]
    stores = [
        GivenStore(),
        BROKEN,
        *(GivenStore(vips=dict.fromkeys(callers, name), rows=[bound(name, HOUR)]) for name in ("anna", "ivan", "gone")),
        GivenStore(rows=here, lists={"white": [ListEntry("+48601000111", "+48601000111@pbx", "")]}),
        GivenStore(rows=[bound("anna", 30 * HOUR), *here], shared=[CUSTOMER]),
        GivenStore(lists={"white": [ListEntry(number, "olga", "") for number in callers]}),
    ]
    states = [State(), State(busy={"ivan"}), State(left={"anna"}), State(leave={"anna"}), State(down={"pbx"}),
              State(cursor={"sales": 1})]  # fmt: skip
    rules = [route("r", *steps)]
    warm = engine(*rules, **more)
    known: dict[Any, Any] = {}
    calls = list(
        product(callers, stores, states, ("trunk-a", "trunk-b", "pbx"), (SHOP, "+48221119900"), (None, "olga"))
    )
    random.Random(1).shuffle(calls)
    for caller, store, state, peer, dialled, owner in calls:
        asked = facts(caller, dialled, peer, store)
        asked.seen["crm main"] = owner
        decision = warm.decide(asked, NOW)
        answers = alike(warm, decision, asked, state, NOW)
        found = contacts(warm, decision, asked, state, NOW)
        if answers is not None:
            assert known.setdefault((decision, peer, answers), found) == found
    assert bool(known) == all(one.kind not in ("list", "crm") and one.order == "in-order" for one in steps)


def test_fallback_contacts_need_no_working_rules() -> None:
    asked = facts(store=BROKEN, peer="nobody we know")
    assert [contact.user for contact in fallback_contacts(engine(), asked).contacts] == ["600"]
    assert EMPTY.fallback == ("queue-main",)


def test_who_has_left_to_another_one() -> None:
    """His bindings lead to his successor, through as many as have left; a circle leads to nobody."""
    state = State()
    absences = [
        Absence("anna", 0.0, None, "ivan"),
        Absence("ivan", 0.0, None, "olga"),
        Absence("olga", NOW, NOW + 60.0),
    ]
    state.miss(absences, NOW - 1.0)
    assert (state.left, state.leave, state.follow("anna"), state.follow("olga")) == (
        {"anna", "ivan"},
        set(),
        "olga",
        "olga",
    )
    state.miss(absences, NOW)
    assert state.leave == {"olga"}
    state.miss(absences, NOW + 60.0)
    assert state.leave == set()
    state.miss([Absence("anna", 0.0, None, "ivan"), Absence("ivan", 0.0, None, "anna")], NOW)
    assert state.follow("anna") in state.left
