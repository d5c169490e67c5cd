"""Who is rung, for how long, and what comes next: stories of whole calls, and any order of events."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from company import (
    AGENTS,
    CUSTOMER,
    DIRECTORY,
    HOUR,
    NOW,
    PEERS,
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
from hypothesis import given, settings
from hypothesis import strategies as st
from rulefiles import load

from sipacr.calls.hunt import Attempt, End, Hunt, Ring
from sipacr.calls.outcome import UNREACHABLE_CODE, outcome_of
from sipacr.routing.decide import Engine
from sipacr.routing.facts import ListEntry, State
from sipacr.routing.given import GivenStore
from sipacr.routing.resolve import line_up
from sipacr.routing.ruleset import Agent, Group, RejectWith, Rule, Step

SETTINGS = """\
listen: {udp: "127.0.0.1:5060"}
numbers: {country: PL, timezone: Europe/Warsaw, own: {"+48221112233": Shop}, extensions: ["1??"], emergency: ["112"]}
peers:
  pbx: {role: pbx, address: "10.0.0.5:5060", mode: relay, contact: "pbx.example.pl:5060"}
  trunk-a: {role: trunk, address: "198.51.100.1", mode: relay}
  trunk-b: {role: trunk, address: "198.51.100.2", mode: redirect, send: national, on_3xx: pass}
destinations: {queue-main: "600@pbx", queue-sales: "601@pbx", away: "700@trunk-b"}
outgoing_via: [trunk-a, trunk-b]
"""
PEOPLE = """\
agents:
  anna: {extension: 101}
  ivan: {extension: 102, mobile: "+48601222333"}
  olga: {extension: 103}
groups:
  sales: [[anna, ivan], [olga]]
lists: {black: {}}
sticky: {returning: {preset: acr-24h}, ringing: {preset: ringostat-scheme, ttl: 14d, create: [in_answered]}}
fallback: queue-main
"""
SILENT = 4.0  # seconds: `connect`
ANSWER = 1.0  # seconds until a far end answers


class Does(NamedTuple):
    """What one target does: a final code after a second; silence; or it rings until it is given up."""

    code: int = 0
    contacts: tuple[str, ...] = ()
    silent: bool = False


RINGS = Does()
SILENCE = Does(silent=True)


def name_of(attempt: Attempt) -> str:
    return attempt.user if attempt.target.is_mobile or attempt.target.is_trunk else attempt.target.name


def where(attempt: Attempt) -> str:
    """`anna~20` rings 20 s; a number with its trunk: `+48601222333@trunk-a`."""
    name = name_of(attempt)
    if attempt.target.is_mobile or attempt.target.is_trunk:
        name = f"{name}@{attempt.peer}"
    return name if attempt.ring is None else f"{name}~{attempt.ring:g}"


def over(hunt: Hunt, ring: Ring, attempt: Attempt, does: Does, now: float) -> float:
    """Carries out what the target does; the time at which its leg has ended."""
    until = min(ring.until, now + (attempt.ring if attempt.ring is not None else 1e9))
    if does.silent and now + SILENT < until:
        hunt.ended(attempt, "unreachable", UNREACHABLE_CODE, now + SILENT)
        return now + SILENT
    if does.contacts:
        hunt.forwarded(attempt, does.contacts, does.code, now + ANSWER)
        return now + ANSWER
    if does.code:
        hunt.ended(attempt, outcome_of(does.code), does.code, now + ANSWER)
        return now + ANSWER
    hunt.ended(attempt, "no_answer", 0, until)
    return until


def play(hunt: Hunt, does: Mapping[str, Any]) -> str:
    """The whole story of a call: at which second who is rung, until it ends or somebody answers."""
    now, told = NOW, []
    for _ in range(50):
        found = hunt.next(now)
        at = f"{now - NOW:g}"
        if isinstance(found, End):
            return " | ".join([*told, f"{at} {found.reject.code}"])
        told.append(f"{at} {' + '.join(map(where, found.attempts))}{' !' if found.last else ''}")
        ends = [now]
        for attempt in found.attempts:
            each = does.get(f"{name_of(attempt)}@{attempt.peer}", does.get(name_of(attempt), RINGS))
            each = Does(each) if isinstance(each, int) else each
            if each.code == 200:
                hunt.answered(attempt, now + ANSWER)
                return " | ".join([*told, f"{now + ANSWER - NOW:g} {name_of(attempt)} answers"])
            ends.append(over(hunt, found, attempt, each, now))
        now = max(ends)
    raise AssertionError(told)


# route, rest of the rule, what targets do, what happens
STORIES: dict[str, tuple[str, str, dict[str, Any], str]] = {
    "one after the other": ("[{agent: anna}, {agent: ivan, ring: 15s}]", "", {}, "0 anna~20 | 20 ivan~15 | 35 queue-main ! | 215 480"),
    "the next one at once": ("[{agent: anna}, {agent: ivan}]", "", {"anna": 486, "ivan": 200}, "0 anna~20 | 1 ivan~20 | 2 ivan answers"),
    "declined, unavailable, unknown, refused": ("[{agent: anna}, {agent: ivan}, {agent: olga}, {to: queue-sales}]", "else: end", {"anna": 603, "ivan": 480, "olga": 404, "queue-sales": 488}, "0 anna~20 | 1 ivan~20 | 2 olga~20 | 3 queue-sales ! | 4 603"),
    "a dead peer costs little": ("[{agent: anna}]", "", {"anna": SILENCE, "queue-main": 200}, "0 anna~20 | 4 queue-main ! | 5 queue-main answers"),
    "a queue may ring long": ("[{to: queue-sales}]", "", {}, "0 queue-sales | 180 480"),
    "a to with a ring": ("[{to: queue-sales, ring: 30s}]", "", {}, "0 queue-sales~30 | 30 480"),
    "a to that answers ends the call": ("[{agent: anna}, {to: queue-sales}]", "", {"anna": 404, "queue-sales": 486}, "0 anna~20 | 1 queue-sales | 2 486"),
    "a to that is unreachable does not": ("[{agent: anna}, {to: queue-sales}]", "", {"queue-sales": 503}, "0 anna~20 | 20 queue-sales | 21 queue-main ! | 201 480"),
    "unless it says end": ("[{to: queue-sales}]", "else: end", {"queue-sales": 503}, "0 queue-sales ! | 1 500"),
    "fallback after a to": ("[{to: queue-sales}]", "else: fallback", {"queue-sales": 486, "queue-main": 480}, "0 queue-sales | 1 queue-main ! | 2 486"),
    "end": ("[{agent: anna}]", "else: end", {}, "0 anna~20 ! | 20 480"),
    "a reject at the end": ("[{agent: anna}]", "else: {reject: 486}", {"anna": 603}, "0 anna~20 ! | 1 486"),
    "nobody to offer": ("[{vip: true}]", "else: end", {}, "0 480"),
    "total bounds a step": ("[{group: sales, ring: 15s, total: 20s}, {to: queue-sales}]", "", {"queue-sales": 486}, "0 anna~15 | 15 ivan~5 | 20 queue-sales | 21 486"),
    "and whom it left out can be offered later": ("[{group: sales, total: 20s}, {agent: olga}]", "else: end", {}, "0 anna~20 | 20 olga~20 ! | 40 480"),
    "total bounds who rings without an end": ("[{to: queue-sales, total: 40s}, {agent: anna}]", "else: end", {}, "0 queue-sales | 40 anna~20 ! | 60 480"),
    "max_ring bounds the steps, not the fallback": ("[{agent: anna}, {agent: ivan}, {agent: olga}]", "max_ring: 30s", {"queue-main": 200}, "0 anna~20 | 20 ivan~10 | 30 queue-main ! | 31 queue-main answers"),
    "a short max_ring leaves the fallback its time": ("[{agent: anna}]", "max_ring: 5s", {}, "0 anna~5 | 5 queue-main ! | 185 480"),
    "max_ring and end": ("[{agent: anna}, {agent: ivan}]", "max_ring: 10s\n    else: end", {}, "0 anna~10 | 10 480"),
    "lines of a group": ("[{group: sales}]", "else: end", {"anna": 486, "ivan": 486}, "0 anna~20 | 1 ivan~20 | 2 olga~20 ! | 22 486"),
    "all at once": ("[{group: sales, order: all}]", "else: end", {"anna": 486}, "0 anna~20 + ivan~20 | 20 olga~20 ! | 40 486"),
    "the first to answer wins": ("[{group: sales, order: all}]", "", {"ivan": 200}, "0 anna~20 + ivan~20 | 1 ivan answers"),
    "nobody twice": ("[{agent: ivan}, {mobile: ivan}, {group: sales}]", "else: end", {}, "0 ivan~20 | 20 +48601222333@trunk-a~20 | 40 anna~20 | 60 olga~20 ! | 80 480"),
    "stop_on": ("[{agent: anna, stop_on: [declined]}, {agent: ivan}]", "else: end", {"anna": 603}, "0 anna~20 | 1 603"),
    "stop_on something else": ("[{agent: anna, stop_on: [busy]}, {agent: ivan}]", "else: end", {"anna": 603}, "0 anna~20 | 1 ivan~20 ! | 21 603"),
    "stop_on within a group": ("[{group: sales, stop_on: [declined]}, {to: queue-sales}]", "", {"anna": 486, "ivan": 603}, "0 anna~20 | 1 ivan~20 | 2 queue-main ! | 182 603"),
    "a mobile by the next trunk": ("[{mobile: ivan}]", "", {"+48601222333@trunk-a": 500, "601222333@trunk-b": 486}, "0 +48601222333@trunk-a~20 | 1 601222333@trunk-b~20 | 2 queue-main ! | 182 486"),
    "a mobile is one telephone on each trunk": ("[{to: +48601222333@trunk-a}, {mobile: ivan}]", "else: end", {}, "0 +48601222333@trunk-a | 180 480"),
    "one trunk was tried already": ("[{to: +48601222333@trunk-a, ring: 10s}, {mobile: ivan}, {to: 601222333@trunk-b}]", "else: end", {}, "0 +48601222333@trunk-a~10 | 10 601222333@trunk-b~20 | 30 480"),
    "not if he is busy": ("[{mobile: ivan}]", "else: end", {"+48601222333": 486}, "0 +48601222333@trunk-a~20 | 1 486"),
    "stop_on counts when all trunks have failed": ("[{mobile: ivan, stop_on: [unreachable]}, {agent: anna}]", "else: end", {"+48601222333": 500, "601222333": 500}, "0 +48601222333@trunk-a~20 | 1 601222333@trunk-b~20 | 2 500"),
    "followed": ("[{agent: anna, ring: 15s}]", "else: end", {"anna": Does(302, ("<sip:250@10.0.0.5>",))}, "0 anna~15 ! | 1 250@pbx~15 ! | 16 480"),
    "followed by several, best first": ("[{to: queue-sales}]", "else: end", {"queue-sales": Does(300, ("<sip:251@10.0.0.5>;q=0.1", "<sip:103@10.0.0.5>;q=0.9")), "olga": 486, "251@pbx": 486}, "0 queue-sales ! | 1 olga | 2 251@pbx ! | 3 486"),
    "never back to itself": ("[{agent: anna}]", "else: end", {"anna": Does(302, ("<sip:101@10.0.0.5>",))}, "0 anna~20 ! | 1 480"),
    "never to one who was offered": ("[{agent: ivan}, {agent: anna}]", "else: end", {"ivan": 486, "anna": Does(302, ("<sip:102@10.0.0.5>",))}, "0 ivan~20 | 1 anna~20 ! | 2 486"),
    "three times": ("[{agent: anna}]", "else: end", {"anna": Does(302, ("<sip:1@10.0.0.5>",)), "1@pbx": Does(302, ("<sip:2@10.0.0.5>",)), "2@pbx": Does(302, ("<sip:3@10.0.0.5>",)), "3@pbx": Does(302, ("<sip:4@10.0.0.5>",))}, "0 anna~20 ! | 1 1@pbx~20 ! | 2 2@pbx~20 ! | 3 3@pbx~20 ! | 4 480"),
    "a stranger is not followed": ("[{agent: anna}, {agent: ivan}]", "else: end", {"anna": Does(302, ("<sip:101@203.0.113.9>",)), "ivan": 486}, "0 anna~20 | 1 ivan~20 ! | 2 486"),
    "nor a trunk": ("[{agent: anna}]", "else: end", {"anna": Does(302, ("<sip:+48601000999@198.51.100.1>",))}, "0 anna~20 ! | 1 480"),
    "a trunk may name its own": ("[{mobile: ivan}]", "else: end", {"+48601222333": Does(302, ("<sip:+48601000999@198.51.100.1>",)), "+48601000999": 486}, "0 +48601222333@trunk-a~20 | 1 +48601000999@trunk-a~20 ! | 2 486"),
    "stop_on a 3xx only if it is not followed": ("[{agent: anna, stop_on: [forwarded, busy]}, {agent: ivan}]", "else: end", {"anna": Does(302, ("<sip:250@10.0.0.5>",)), "250@pbx": 486}, "0 anna~20 | 1 250@pbx~20 | 2 486"),
    "stop_on stops what was to be followed": ("[{agent: anna, stop_on: [declined]}]", "else: end", {"anna": Does(300, ("<sip:250@10.0.0.5>", "<sip:251@10.0.0.5>")), "250@pbx": 603}, "0 anna~20 ! | 1 250@pbx~20 | 2 603"),
    "nothing is followed after stop_on": ("[{group: sales, order: all, stop_on: [declined]}]", "else: end", {"anna": 603, "ivan": Does(302, ("<sip:250@10.0.0.5>",))}, "0 anna~20 + ivan~20 | 1 603"),
    "stop_on a 3xx back to itself": ("[{agent: anna, stop_on: [forwarded]}, {agent: ivan}]", "else: end", {"anna": Does(302, ("<sip:101@10.0.0.5>",))}, "0 anna~20 | 1 480"),
    "forwarded to one who is unreachable": ("[{to: queue-sales}]", "", {"queue-sales": Does(302, ("<sip:250@10.0.0.5>",)), "250@pbx": 503, "queue-main": 200}, "0 queue-sales | 1 250@pbx | 2 queue-main ! | 3 queue-main answers"),
    "total bounds what is followed": ("[{agent: anna, total: 10s}]", "else: end", {"anna": Does(302, ("<sip:250@10.0.0.5>", "<sip:251@10.0.0.5>"))}, "0 anna~10 ! | 1 250@pbx~9 | 10 480"),
}  # fmt: skip


@pytest.mark.parametrize(("steps", "rest", "does", "story"), STORIES.values(), ids=STORIES)
def test_stories(tmp_path: Path, steps: str, rest: str, does: dict[str, Any], story: str) -> None:
    text = f"rules:\n  - name: r\n    route: {steps}\n" + (f"    {rest}\n" if rest else "")
    read, ruleset, problems = load(tmp_path, text, PEOPLE, SETTINGS)
    assert read is not None, problems
    assert ruleset is not None, problems
    which = Engine(ruleset, read.directory, engine().truths.regions)
    asked = facts()
    assert play(Hunt(which, which.decide(asked, NOW), asked, State(), NOW), does) == story


def story(
    *steps: Step, does: Mapping[str, Any] | None = None, state: State | None = None, rule: Any = None, **call: Any
) -> str:
    """The story of one rule with these steps in the small company."""
    more = dict(rule or {})
    written = {key: more.pop(key) for key in ("else_", "max_ring", "connect") if key in more}
    which = engine(route("r", *steps, **written), **more)
    asked = facts(**call)
    return play(Hunt(which, which.decide(asked, NOW), asked, state or State(), NOW), does or {})


def hunt_of(which: Engine, state: State | None = None, **call: Any) -> Hunt:
    asked = facts(**call)
    return Hunt(which, which.decide(asked, NOW), asked, state or State(), NOW)


def ring(hunt: Hunt, now: float = NOW) -> Ring:
    found = hunt.next(now)
    assert isinstance(found, Ring), found
    return found


def end(hunt: Hunt, now: float = NOW) -> End:
    found = hunt.next(now)
    assert isinstance(found, End), found
    return found


def fail(hunt: Hunt, now: float, code: int = 486) -> None:
    """All who ring answer with this."""
    for attempt in ring(hunt, now).attempts:
        hunt.ended(attempt, outcome_of(code), code, now)


ANNA, IVAN, OLGA = (step("agent", name) for name in ("anna", "ivan", "olga"))
SALES = step("group", "sales")
QUEUE = to("queue-sales")
BROKEN = GivenStore(unavailable="database is locked")
ENDS = {"else_": "end"}


# --- who is rung for how long --------------------------------------------------------------------------------------


def test_ring_times() -> None:
    sticky = {"sticky": {"returning": profile("returning", ring=7.0)}}
    store = GivenStore(rows=[bound("anna", HOUR)], lists={"white": [ListEntry(CUSTOMER, "voicemail", "")]})
    assert story(step("sticky", "returning"), rule=ENDS | sticky, store=store).startswith("0 anna~7 ")
    assert story(step("sticky", "returning", ring=9.0), rule=ENDS | sticky, store=store).startswith("0 anna~9 ")
    assert story(step("list", "white"), rule=ENDS, store=store).startswith("0 voicemail !"), "a destination"
    persons = GivenStore(vips={CUSTOMER: "anna"}, lists={"white": [ListEntry(CUSTOMER, "olga", "")]})
    assert story(step("list", "white"), rule=ENDS, store=persons).startswith("0 olga~20 ")
    assert story(step("vip"), rule=ENDS, store=persons).startswith("0 anna~20 ")


def test_connect_is_the_rules_or_the_peers() -> None:
    assert hunt_of(engine(route("r", ANNA))).connect is None
    assert hunt_of(engine(route("r", ANNA, connect=2.0))).connect == 2.0


def test_an_attempt_says_where_it_stands() -> None:
    one = step("agent", "anna", from_="sip:shop@example.pl")
    hunt = hunt_of(engine(route("r", one, ANNA, IVAN)))
    first = ring(hunt).attempts[0]
    assert (first.peer, first.user, first.step, first.number, first.started) == ("pbx", "101", one, 1, NOW)
    hunt.ended(first, "busy", 486, NOW + 1)
    second = ring(hunt, NOW + 1).attempts[0]
    assert (second.target.name, second.number, second.started, second.by) == ("ivan", 2, NOW + 1, None)
    assert [(tried.outcome, tried.code, tried.started, tried.ended) for tried in hunt.tried] == [
        ("busy", 486, NOW, NOW + 1)
    ]
    assert [(skipped.step, skipped.who, skipped.reason) for skipped in hunt.skipped] == [
        (ANNA, "anna", "was already offered in this call")
    ]


def test_the_second_end_of_a_leg_is_ignored() -> None:
    hunt = hunt_of(engine(route("r", ANNA, else_="end")))
    (attempt,) = ring(hunt).attempts
    hunt.ended(attempt, "no_answer", 0, NOW + 20)
    hunt.ended(attempt, "declined", 603, NOW + 20)
    hunt.forwarded(attempt, ["<sip:250@10.0.0.5>"], 302, NOW + 20)
    assert end(hunt, NOW + 20).reject == RejectWith(480)
    assert len(hunt.tried) == 1


def test_who_answered_and_who_lost() -> None:
    hunt = hunt_of(engine(route("r", step("group", "sales", order="all"))))
    _, ivan = ring(hunt).attempts
    hunt.answered(ivan, NOW + 3)
    assert {tried.attempt.target.name: tried.outcome for tried in hunt.tried} == {
        "ivan": "answered",
        "anna": "elsewhere",
    }


def test_the_caller_gives_up() -> None:
    hunt = hunt_of(engine(route("r", step("group", "sales", order="all"))))
    anna, _ = ring(hunt).attempts
    hunt.ended(anna, "busy", 486, NOW + 1)
    hunt.abandoned(NOW + 3)
    assert [(tried.attempt.target.name, tried.outcome) for tried in hunt.tried] == [
        ("anna", "busy"),
        ("ivan", "abandoned"),
    ]


# --- each step at its turn -----------------------------------------------------------------------------------------


def test_who_is_busy_is_as_of_the_moment() -> None:
    state = State(busy={"ivan"})
    hunt = hunt_of(engine(route("r", SALES, else_="end")), state)
    first = ring(hunt)
    assert [attempt.target.name for attempt in first.attempts] == ["anna"]
    assert not first.last
    hunt.ended(first.attempts[0], "busy", 486, NOW + 1)
    state.busy = {"olga"}
    second = ring(hunt, NOW + 1)
    assert [attempt.target.name for attempt in second.attempts] == ["ivan"], "free again, and of a lower line"
    assert not second.last, "olga may come free"
    hunt.ended(second.attempts[0], "busy", 486, NOW + 2)
    assert end(hunt, NOW + 2).reject.code == 486
    assert [(each.who, each.reason) for each in hunt.skipped] == [("ivan", "is busy"), ("olga", "is busy")]


def test_who_is_down_or_on_leave_is_as_of_the_moment() -> None:
    state = State()
    hunt = hunt_of(engine(route("r", ANNA, IVAN, step("mobile", "ivan"), else_="end")), state)
    fail(hunt, NOW)
    state.down = {"pbx", "trunk-a"}
    (attempt,) = ring(hunt, NOW + 1).attempts
    assert where(attempt) == "601222333@trunk-b~20"
    assert attempt.ways == ()


def test_round_robin_moves_when_somebody_is_offered() -> None:
    groups = {"g": Group("g", (("anna", "ivan", "olga"),))}
    which = engine(route("r", step("group", "g", order="round-robin"), else_="end"), groups=groups)
    state = State()
    rung = []
    for _ in range(4):
        hunt = hunt_of(which, state)
        names = []
        while isinstance(found := hunt.next(NOW), Ring):
            names.append(found.attempts[0].target.name)
            hunt.ended(found.attempts[0], "busy", 486, NOW)
        rung.append(names)
    assert rung == [
        ["anna", "ivan", "olga"],
        ["ivan", "olga", "anna"],
        ["olga", "anna", "ivan"],
        ["anna", "ivan", "olga"],
    ]


def test_the_cursor_of_a_line_stays_until_it_is_rung() -> None:
    groups = {"g": Group("g", (("anna", "ivan"), ("olga", "otto")))}
    agents = {**AGENTS, "otto": Agent("otto", "104", "pbx")}
    state = State()
    hunt = hunt_of(engine(route("r", step("group", "g", order="round-robin")), groups=groups, agents=agents), state)
    assert state.cursor == {}, "nobody was offered yet"
    fail(hunt, NOW)
    assert state.cursor == {"g": 1}
    fail(hunt, NOW)
    assert state.cursor == {"g": 1}
    fail(hunt, NOW)
    assert state.cursor == {"g": 1, "g/2": 1}


def test_longest_idle_and_random() -> None:
    state = State(idle_since={"anna": NOW - 5, "ivan": NOW - 50})
    assert story(step("group", "sales", order="longest-idle"), state=state, rule=ENDS).startswith(
        "0 ivan~20 | 20 anna~20 | 40 olga"
    )
    random = {story(step("group", "sales", order="random"), rule=ENDS, call_id=f"c{n}") for n in range(20)}
    assert {told.split(" | ")[2] for told in random} == {"40 olga~20 !"}
    assert len(random) == 2


# --- the end -------------------------------------------------------------------------------------------------------


def test_a_rejection() -> None:
    hunt = hunt_of(engine(reject("no", 603)))
    assert end(hunt) == End(RejectWith(603), 'rule "no" rejects')


def test_nobody_matched() -> None:
    assert play(hunt_of(engine()), {}) == "0 queue-main ! | 180 480"


def test_a_fallback_that_seems_down_is_tried() -> None:
    assert story(ANNA, state=State(down={"pbx"})) == "0 queue-main ! | 180 480"


def test_several_fallbacks() -> None:
    more = {"fallback": ("queue-main", "voicemail")}
    assert story(ANNA, rule=more, does={"queue-main": 486}) == "0 anna~20 | 20 queue-main | 21 voicemail ! | 200 486"
    assert story(to("queue-main"), rule={"else_": "fallback", **more}, does={"queue-main": 486}) == (
        "0 queue-main | 1 voicemail ! | 181 486"
    ), "not the same one twice"


def test_a_broken_look_up_ends_in_the_fallback() -> None:
    vip = step("vip")
    assert story(vip, rule=ENDS, store=BROKEN) == "0 queue-main ! | 180 480"
    assert story(vip, QUEUE, store=BROKEN, does={"queue-sales": 486}) == "0 queue-sales | 1 queue-main ! | 181 486"
    assert story(vip, QUEUE, rule=ENDS, store=BROKEN, does={"queue-sales": 486}) == (
        "0 queue-sales | 1 queue-main ! | 181 486"
    )
    assert story(vip, to("queue-main"), store=BROKEN, does={"queue-main": 486}) == "0 queue-main ! | 1 486"
    hunt = hunt_of(engine(route("r", vip)), store=BROKEN)
    ring(hunt)
    assert hunt.broken == ["vip: database is locked"]


def test_the_best_failure_says_whose_it_is() -> None:
    hunt = hunt_of(engine(route("r", ANNA, IVAN, else_="end")))
    (anna,) = ring(hunt).attempts
    hunt.ended(anna, "busy", 486, NOW, "120 (lunch);duration=60")
    fail(hunt, NOW, 404)
    found = end(hunt)
    assert (found.reject, found.attempt) == (RejectWith(486, retry_after=120), anna)
    assert found.why == "anna: busy, the best of 2 failures"


@pytest.mark.parametrize("retry_after", ["soon", "", "9" * 5000, "-1", "²"])
def test_an_odd_retry_after_is_none(retry_after: str) -> None:
    hunt = hunt_of(engine(route("r", ANNA, else_="end")))
    hunt.ended(ring(hunt).attempts[0], "busy", 486, NOW, retry_after)
    assert end(hunt).reject == RejectWith(486)


def test_a_503_is_ours_and_bars_nobody() -> None:
    hunt = hunt_of(engine(route("r", ANNA, else_="end")))
    hunt.ended(ring(hunt).attempts[0], "unreachable", 503, NOW, "3600")
    assert end(hunt).reject == RejectWith(500)


def test_why_steps_were_not_reached() -> None:
    hunt = hunt_of(engine(route("r", step("agent", "anna", stop_on=frozenset({"busy"})), IVAN, else_="end")))
    fail(hunt, NOW)
    end(hunt)
    assert [(each.who, each.reason) for each in hunt.skipped] == [("ivan", "anna was busy, which stops the steps")]
    hunt = hunt_of(engine(route("r", ANNA, step("vip"), else_="end", max_ring=5.0)))
    fail(hunt, NOW)
    end(hunt, NOW + 5)
    assert [(each.who, each.reason) for each in hunt.skipped] == [("vip", "max_ring was over")]


# --- outgoing ------------------------------------------------------------------------------------------------------

OUT: dict[str, Any] = {"caller": "101", "dialled": "601 222 444", "peer": "pbx"}


def out(does: Mapping[str, Any], state: State | None = None, *rules: Rule, **call: Any) -> str:
    return play(hunt_of(engine(outgoing=rules), state, **{**OUT, **call}), does)


def test_outgoing_calls_go_by_the_trunks_in_order() -> None:
    assert out({}) == "0 +48601222444@trunk-a | 180 480"
    assert out({"+48601222444": 500}) == "0 +48601222444@trunk-a | 1 601222444@trunk-b ! | 180 480"
    assert out({"+48601222444": SILENCE}) == "0 +48601222444@trunk-a | 4 601222444@trunk-b ! | 180 480"
    assert out({"+48601222444": 407}) == "0 +48601222444@trunk-a | 1 601222444@trunk-b ! | 180 480", "our credentials"
    for code in (486, 404, 403, 603, 480):
        assert out({"+48601222444": code}) == f"0 +48601222444@trunk-a | 1 {code}", "the number's own answer"
    assert out({"+48601222444": 503, "601222444": 503}).endswith(" | 2 500")
    assert out({}, State(down={"trunk-a"})) == "0 601222444@trunk-b ! | 180 480"
    assert out({"+48601222444": 500}, State(down={"trunk-a", "trunk-b"})).startswith(
        "0 +48601222444@trunk-a | 1 601222444@trunk-b"
    )


def test_no_trunk() -> None:
    nowhere = engine(directory=replace(DIRECTORY, outgoing_via=()))
    assert end(hunt_of(nowhere, **OUT)).reject == RejectWith(503, "No outgoing route")
    assert (
        play(hunt_of(engine(route("r", step("mobile", "ivan"), else_="end"), directory=nowhere.directory)), {})
        == "0 480"
    )


def test_outgoing_rules_come_first() -> None:
    own = route("own", to("+48601222444@trunk-b"), else_="fallback")
    assert out({"+48601222444@trunk-b": 500}, None, own) == "0 +48601222444@trunk-b | 1 +48601222444@trunk-a | 181 480"
    assert out({}, None, reject("no")) == "0 403"


def test_emergency_calls_try_every_way_whatever_is_answered() -> None:
    asked = {"dialled": "112"}
    assert out({"112": 404}, None, reject("no"), **asked) == "0 112@trunk-a | 1 112@trunk-b ! | 2 404"
    assert out({}, State(down={"trunk-a"}), **asked) == "0 112@trunk-b | 180 112@trunk-a ! | 360 480"
    foreign = Does(302, ("<sip:113@sip.carrier-a.example>",))
    assert out({"112@trunk-a": foreign}, None, **asked).startswith(
        "0 112@trunk-a | 1 113@trunk-a | 181 112@trunk-b ! |"
    )


# --- 3xx -----------------------------------------------------------------------------------------------------------


def redirected(*contacts: str, by: Step = ANNA, host: str = "", **call: Any) -> tuple[list[str], list[str]]:
    """Who is rung after a step was answered with these contacts, and why others are not."""
    hunt = hunt_of(engine(route("r", by, else_="end"), outgoing=[reject("premium", when=PREMIUM)]), **call)
    (attempt,) = ring(hunt).attempts
    hunt.forwarded(attempt, contacts, 302, NOW + 1, host)
    rung = []
    while isinstance(found := hunt.next(NOW + 1), Ring):
        (one,) = found.attempts
        assert one.by is attempt
        rung.append(f"{one.user}@{one.peer}")
        hunt.ended(one, "busy", 486, NOW + 1)
    return rung, [each.reason for each in hunt.skipped]


PREMIUM = exactly("dialled", "+48701234567")


@pytest.mark.parametrize(
    ("contact", "target"),
    [
        ("<sip:250@10.0.0.5>", "250@pbx"),
        ("sip:250@10.0.0.5:5060;transport=udp", "250@pbx"),
        ('"Shop, A" <SIP:250@PBX.example.pl.;user=phone?Replaces=x>;q=0.3', "250@pbx"),
        ("<sips:250@pbx.example.pl>", "250@pbx"),
        ("<sip:%2a98:secret@10.0.0.5:5071>", "*98@pbx"),
        ("<sip:102@10.0.0.5>", "102@pbx"),
        ("<sip:700@192.0.2.7>", None),  # a trunk that no step names
        ("<sip:250@203.0.113.1>", None),
        ("<sip:10.0.0.5>", None),
        ("<tel:+48601000999>", None),
        ("*", None),
        ("<sip:a%0d%0ab@10.0.0.5>", None),
        ("<sip:250@10.0.0.5>;q=nan", "250@pbx"),
        ("<sip:250@10.0.0.5:99999999999999>;q=x", "250@pbx"),
        (f"<sip:250@10.0.0.5:{'9' * 5000}>", "250@pbx"),
        ("", None),
    ],
)
def test_contacts(contact: str, target: str | None) -> None:
    assert redirected(contact)[0] == ([target] if target else [])


def test_a_contact_at_the_address_that_sent_it() -> None:
    assert redirected("<sip:250@10.9.9.9:5080>", host="10.9.9.9")[0] == ["250@pbx"]
    assert redirected("<sip:250@[2001:DB8::9]>", host="2001:db8::9")[0] == ["250@pbx"]


def test_why_a_contact_is_not_followed() -> None:
    assert redirected("<sip:+48601000111@10.0.0.5>") == ([], ["is the caller himself"])
    assert redirected("<sip:101@10.0.0.5>") == ([], ["was already offered in this call"])
    assert redirected("<sip:1@203.0.113.1>") == ([], ["is at no host of a declared peer"])
    assert redirected("<sip:250@10.0.0.5>", "<sip:250@10.0.0.5>") == (["250@pbx"], ["was already offered in this call"])
    assert redirected("<sip:+48701234567@sip.carrier-a.example>", by=step("mobile", "ivan")) == (
        [],
        ["is a number that the rules for outgoing calls reject"],
    ), "a 3xx is no way around the rules"
    rung, reasons = redirected(*(f"<sip:{n}@10.0.0.5>" for n in range(30)))
    assert rung == ["0@pbx", "1@pbx", "2@pbx"]
    assert reasons == ["3 redirections were followed already"] * 7, "of thirty contacts ten are looked at"
    assert redirected("<sip:102@10.0.0.5>", caller="+48601222333") == ([], ["is the caller himself"])


def test_a_peer_that_is_down_is_not_followed_to() -> None:
    state = State()
    hunt = hunt_of(engine(route("r", step("mobile", "ivan"), else_="end")), state)
    (attempt,) = ring(hunt).attempts
    state.down = {"pbx"}
    hunt.forwarded(attempt, ["<sip:250@10.0.0.5>"], 302, NOW)
    assert end(hunt).reject == RejectWith(480)
    assert hunt.skipped[0].reason == "pbx is down"


def test_peers_on_one_host_are_told_apart_by_the_port() -> None:
    here = {
        "pbx": replace(PEERS["pbx"], addresses=("127.0.0.1:5080",), contact=None),
        "trunk-a": replace(PEERS["trunk-a"], addresses=("127.0.0.1:5070",)),
        "pbx-2": replace(PEERS["pbx"], name="pbx-2", addresses=("127.0.0.1",), contact=None),
    }
    which = engine(route("r", ANNA, else_="end"), directory=replace(DIRECTORY, peers=here, outgoing_via=("trunk-a",)))

    def followed(contact: str) -> str | None:
        hunt = hunt_of(which)
        hunt.forwarded(ring(hunt).attempts[0], [contact], 302, NOW)
        found = hunt.next(NOW)
        return found.attempts[0].peer if isinstance(found, Ring) else None

    assert followed("<sip:250@127.0.0.1>") == "pbx-2"
    assert followed("<sip:250@127.0.0.1:5080>") == "pbx"
    assert followed("<sip:250@127.0.0.1:5070>") is None, "the trunk"
    assert followed("<sip:250@127.0.0.1:9999>") == "pbx", "who sent it"


def test_a_followed_extension_is_the_agent() -> None:
    hunt = hunt_of(engine(route("r", ANNA)))
    hunt.forwarded(ring(hunt).attempts[0], ["<sip:103@pbx.example.pl>"], 302, NOW)
    assert ring(hunt).attempts[0].target.agent == AGENTS["olga"]


@pytest.mark.parametrize(
    ("on_3xx", "asking", "answer"),
    [("pass", "trunk-a", 302), ("pass", "pbx", 486), ("follow", "trunk-a", 486)],
)
def test_a_3xx_is_passed_to_who_takes_redirects(on_3xx: Any, asking: str, answer: int) -> None:
    peers = {**PEERS, "pbx": replace(PEERS["pbx"], on_3xx=on_3xx)}
    hunt = hunt_of(engine(route("r", ANNA, else_="end"), directory=replace(DIRECTORY, peers=peers)), peer=asking)
    (attempt,) = ring(hunt).attempts
    hunt.forwarded(attempt, ["<sip:1@203.0.113.9>", "<sip:*98@10.0.0.5>", "<sip:25 0@10.0.0.5>;q=0.2"], 302, NOW)
    while isinstance(found := hunt.next(NOW), Ring):
        hunt.ended(found.attempts[0], "busy", 486, NOW)
    assert found.reject.code == answer
    if answer == 302:
        assert found.headers == (
            ("Contact", "<sip:*98@pbx.example.pl:5060>;q=1.0"),
            ("Contact", "<sip:25%200@pbx.example.pl:5060>;q=0.9"),
        )


def test_a_3xx_without_a_usable_contact_is_not_passed() -> None:
    peers = {**PEERS, "pbx": replace(PEERS["pbx"], on_3xx="pass")}
    hunt = hunt_of(engine(route("r", ANNA, IVAN, else_="end"), directory=replace(DIRECTORY, peers=peers)))
    hunt.forwarded(ring(hunt).attempts[0], ["<sip:1@203.0.113.9>"], 302, NOW)
    assert ring(hunt).attempts[0].target.name == "ivan"


# --- any order of events -------------------------------------------------------------------------------------------

STEPS = st.sampled_from(
    [
        ANNA, IVAN, OLGA, QUEUE, to("queue-main"), to("700@trunk-b"), step("mobile", "ivan"), step("mobile", "ivan", total=15.0),
        step("vip"), step("sticky", "returning"), step("list", "white"), step("crm", "main"),
        *(step("group", "sales", order=order, total=total) for order in ("in-order", "all", "round-robin", "longest-idle", "random") for total in (None, 25.0)),
        step("agent", "olga", stop_on=frozenset({"busy", "forwarded"})), step("group", "sales", stop_on=frozenset({"declined"})),
    ]
)  # fmt: skip
CODES = st.sampled_from([0, 302, 400, 401, 403, 404, 407, 408, 480, 484, 486, 487, 488, 500, 503, 600, 603, 606])
CONTACTS = st.sampled_from(
    [
        (),
        ("<sip:102@10.0.0.5>",),
        ("<sip:900@10.0.0.5>", "<sip:901@10.0.0.5>;q=0.1"),
        ("<sip:+48601000999@sip.carrier-a.example>",),
        ("<sip:x@192.0.2.99>",),
    ]
)
CALLS = st.sampled_from([{}, {"caller": "+48601222333"}, {"caller": "anonymous"}, OUT, {**OUT, "dialled": "112"}])
STORES = st.sampled_from(
    [
        GivenStore(),
        BROKEN,
        GivenStore(
            vips={CUSTOMER: "ivan"}, rows=[bound("anna", HOUR)], lists={"white": [ListEntry(CUSTOMER, "voicemail", "")]}
        ),
    ]
)
ELSES = st.sampled_from([None, "end", "fallback", RejectWith(486)])
PEOPLE_NAMES = st.frozensets(st.sampled_from(["anna", "ivan", "olga"]))
DOWN = st.frozensets(st.sampled_from(["pbx", "trunk-a", "trunk-b"]))


def company(steps: Sequence[Step], else_: Any, max_ring: float) -> Engine:
    rule = route("r", *steps, else_=else_, max_ring=max_ring)
    return engine(rule, outgoing=[rule], sticky={"returning": profile("returning", keep="all")})


@settings(max_examples=300, deadline=None)
@given(
    steps=st.lists(STEPS, min_size=1, max_size=6), else_=ELSES, call=CALLS, store=STORES,
    max_ring=st.sampled_from([3.0, 40.0, 180.0]), data=st.data(),
)  # fmt: skip
def test_any_order_of_events_ends(
    steps: list[Step], else_: Any, call: Any, store: Any, max_ring: float, data: Any
) -> None:
    state = State(busy=data.draw(PEOPLE_NAMES), down=data.draw(DOWN))
    hunt = hunt_of(company(steps, else_, max_ring), state, store=store, **call)
    now, offered, stopped = NOW, [], False
    limit = len(hunt.decision.steps)
    while isinstance(found := hunt.next(now), Ring):
        offered += [(attempt.peer, attempt.user) for attempt in found.attempts]
        assert len(offered) < 100
        assert found.attempts
        assert found.until <= hunt.deadline
        if not hunt.decision.emergency:
            tail = found.attempts[0].step is None
            assert found.until <= (NOW + max_ring + max(max_ring, 180) if tail else NOW + max_ring)
            assert not (stopped and not tail), "no step after stop_on"
        waiting = list(found.attempts)
        until = [min(found.until, now + (attempt.ring or 1e9)) for attempt in waiting]
        assert all(now < each for each in until)
        for attempt, latest in data.draw(st.permutations(list(zip(waiting, until, strict=True)))):
            code = data.draw(CODES)
            ended = latest if code == 0 else data.draw(st.floats(now, latest))
            if code == 302:
                hunt.forwarded(attempt, data.draw(CONTACTS), code, ended)
                after = [tried.outcome for tried in hunt.tried]
                assert after[-1] == "forwarded"
            else:
                outcome = outcome_of(code) if code else "no_answer"
                hunt.ended(attempt, outcome, code, ended)
                ways = attempt.ways and (outcome == "unreachable" or code in (401, 407))
                stopped = stopped or bool(attempt.step and outcome in attempt.step.stop_on and not ways)
            now = max(now, ended)
        state.busy = data.draw(PEOPLE_NAMES)
        if found.last and all(tried.outcome != "forwarded" for tried in hunt.tried):
            assert isinstance(hunt.next(now), End), "nothing follows the last"
    assert len(offered) == len(set(offered)), "nobody is offered twice"
    assert len(hunt.tried) == len(offered)
    assert 400 <= found.reject.code < 700
    assert found.reject.code not in (401, 407)
    assert found.reject.code != 503 or found.reject.reason == "No outgoing route"
    assert hunt.next(now) == found, "it stays ended"
    assert len(hunt.decision.steps) == limit


@settings(max_examples=200, deadline=None)
@given(
    steps=st.lists(STEPS, min_size=1, max_size=6), else_=ELSES, call=CALLS, store=STORES, busy=PEOPLE_NAMES, down=DOWN
)
def test_one_after_the_other_is_what_would_be_lined_up(
    steps: list[Step], else_: Any, call: Any, store: Any, busy: Any, down: Any
) -> None:
    """With all who are rung busy at once, the ring is the line-up that `explain` shows, where `total` and `stop_on` let it."""
    plain = [replace(one, total=None, stop_on=frozenset()) for one in steps]
    which = company(plain, else_, 180.0)
    asked = facts(store=store, **call)
    state = State(busy=busy, down=down)
    decision = which.decide(asked, NOW)
    expected = line_up(which, decision, asked, state, NOW)
    hunt = Hunt(which, decision, asked, State(busy=busy, down=down), NOW)
    rung = []
    while isinstance(found := hunt.next(NOW), Ring):
        rung.append(tuple(attempt.target for attempt in found.attempts))
        for attempt in found.attempts:
            hunt.ended(attempt, "busy", 486, NOW)
    ranks = list(expected.ranks)
    if decision.outgoing and not decision.emergency:  # a busy number is not tried by another trunk
        trunks = [rank for rank in ranks if rank[0].is_trunk]
        ranks = [rank for rank in ranks if not rank[0].is_trunk] + trunks[:1]
    assert rung == ranks
    if not ranks and decision.end != "end":
        assert found.reject == expected.reject
    if not ranks and decision.end == "end":
        assert found.reject == RejectWith(480)
    assert {(each.who, each.reason) for each in hunt.skipped} == {(each.who, each.reason) for each in expected.skipped}
