"""What a rule file means: the Ruleset that is built of it."""

import math
from datetime import date
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rulefiles import BASE, SETTINGS, load, rule, when

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
    NumberIs,
    OnList,
    PeerIs,
    Regex,
    RegionIs,
    Share,
)
from sipacr.routing.masks import Mask
from sipacr.routing.ruleset import Agent, Group, LearnFrom, NamedList, RejectWith, Remember, Rule, Ruleset, Step
from sipacr.rulefile.sticky import PRESETS

OFFICE = During(("office",))
VIP = IsVip(True)
SHOP = NumberIs("dialled", frozenset({"+48221112233"}))


def build(folder: Path, text: str, base: str = BASE, settings: str = SETTINGS) -> Ruleset:
    _, ruleset, problems = load(folder, text, base, settings)
    assert ruleset is not None, problems
    return ruleset


def one(folder: Path, text: str) -> Rule:
    (found,) = build(folder, text).rules
    return found


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ('{caller: "601 000 111"}', NumberIs("caller", frozenset({"+48601000111"}))),
        (
            '{caller: [112, "0048601000111", john.smith]}',
            NumberIs("caller", frozenset({"+48601000111"}), frozenset({"112", "john.smith"})),
        ),
        ('{caller: {number: "+4930123456"}}', NumberIs("caller", frozenset({"+4930123456"}))),
        ('{dialled: "*97"}', NumberIs("dialled", raw=frozenset({"*97"}))),
        ('{caller: {mask: ["+4822*", "*1212"]}}', MaskIs("caller", (Mask("+4822*"), Mask("*1212")))),
        ('{caller: {contains: "22 11"}}', Contains("caller", ("2211",))),
        ("{dialled: {regex: '\\+48(22|61).*'}}", Regex("dialled", ("\\+48(22|61).*",))),
        ("{caller: {list: [black, white]}}", OnList(("black", "white"))),
        ("{caller: {region: [pl-14, DE]}}", RegionIs("caller", ("PL-14", "DE"))),
        ("{caller: {vip: true}}", VIP),
        ("{caller: {known: false}}", IsKnown(False)),
        ("{caller: {anonymous: true}}", IsAnonymous(True)),
        ("{caller: {shared: false}}", IsShared(False)),
        ("{caller: {vip: true, known: true}}", All((VIP, IsKnown(True)))),
        ("{during: office}", OFFICE),
        ("{peer: [pbx, trunk-a]}", PeerIs(("pbx", "trunk-a"))),
        (
            '{header: {X-Campaign: "summer*", X-B: ["1", "*"]}}',
            All((HeaderIs("x-campaign", (Mask("summer*"),)), HeaderIs("x-b", (Mask("1"), Mask("*"))))),
        ),
        ("{share: 12.5%}", Share(1250, "x")),
        ("{not: {caller: {vip: true}, during: office}}", Not((All((VIP, OFFICE)),))),
        ("{not: [{caller: {vip: true}}, {during: office}]}", Not((VIP, OFFICE))),
        ("{any: [{caller: {vip: true}}, {during: office}]}", AnyOf((VIP, OFFICE))),
        ("{any: [{during: office}]}", OFFICE),
        ("{all: [{during: office}, {caller: {vip: true}}, {during: office}]}", All((OFFICE, VIP))),
        (
            '{dialled: "+48221112233", any: [{caller: {vip: true}}, {not: {during: office}}]}',
            All((SHOP, AnyOf((VIP, Not((OFFICE,)))))),
        ),
    ],
)
def test_conditions(tmp_path: Path, written: str, meant: Condition) -> None:
    assert one(tmp_path, when(written)).when == meant


def test_headers_that_rules_read(tmp_path: Path) -> None:
    text = "sticky: {s: {preset: acr, learn_from: {header: {X-List: '1'}}}}\n" + when('{header: {X-Campaign: "*"}}')
    assert build(tmp_path, text).headers == {"x-campaign", "x-list"}


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("{agent: anna}", {"kind": "agent", "name": "anna"}),
        ("{mobile: ivan}", {"kind": "mobile", "name": "ivan"}),
        ("{group: sales, order: longest-idle}", {"kind": "group", "name": "sales", "order": "longest-idle"}),
        ("{vip: true, skip_busy: true}", {"kind": "vip", "name": "", "skip_busy": True}),
        ("{sticky: returning}", {"kind": "sticky", "name": "returning"}),
        ("{crm: main}", {"kind": "crm", "name": "main"}),
        ("{list: white}", {"kind": "list", "name": "white"}),
        ("{to: voicemail}", {"kind": "to", "name": "voicemail"}),
        ("{to: 700@pbx}", {"kind": "to", "name": "700@pbx"}),
        ('{to: "sip:%2A97@PBX.example.pl:5060"}', {"kind": "to", "name": "*97@pbx"}),
        (
            "{agent: anna, ring: 1m30s, total: 2m, stop_on: [busy, declined], "
            'from: "100", headers: {X-A: b}, whisper: hi}',
            {
                "kind": "agent",
                "name": "anna",
                "ring": 90.0,
                "total": 120.0,
                "stop_on": frozenset({"busy", "declined"}),
                "from_": "100",
                "headers": (("X-A", "b"),),
                "whisper": "hi",
            },
        ),
    ],
)
def test_steps(tmp_path: Path, written: str, meant: dict[str, object]) -> None:
    (step,) = one(tmp_path, rule(f"route: [{written}]")).steps
    assert (Path(step.position.file).name, step.position.line, step.position.column) == ("10.yaml", 3, 13)
    assert step == Step(position=step.position, **meant)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("written", "action", "reject", "else_"),
    [
        ("reject: 603", "reject", RejectWith(603), None),
        (
            "reject: {code: 480, reason: Back at eight, retry_after: 2m}",
            "reject",
            RejectWith(480, "Back at eight", 120),
            None,
        ),
        ("reject: {code: 480, retry_after: 3600}", "reject", RejectWith(480, None, 3600), None),
        ("route: [{agent: anna}]", "route", None, None),
        ("redirect: [{agent: anna}]\nelse: end", "redirect", None, "end"),
        ("relay: [{agent: anna}]\nelse: next", "relay", None, "next"),
        ("route: [{agent: anna}]\nelse: fallback", "route", None, "fallback"),
        ("route: [{agent: anna}]\nelse: {reject: 486}", "route", None, RejectWith(486)),
        ("route: [{agent: anna}]\nelse: {reject: {code: 486, reason: No}}", "route", None, RejectWith(486, "No")),
    ],
)
def test_actions(tmp_path: Path, written: str, action: str, reject: object, else_: object) -> None:
    found = one(tmp_path, rule(written))
    assert (found.action, found.reject, found.else_) == (action, reject, else_)
    assert (found.position.line, found.position.column) == (2, 5)


NESTED = """\
rules:
  - name: shop
    when: {dialled: "+48221112233"}
    tag: shop
    learn: false
    remember: {list: white}
    max_ring: 90s
    connect: 2s
    rules:
      - name: vips
        when: {caller: {vip: true}}
        tag: vip
        learn: true
        max_ring: 2m
        rules:
          - name: open
            when: {during: office}
            remember: [{list: black, on: answer}, {list: white}]
            route: [{agent: anna}]
      - name: all
        route: [{agent: ivan}]
  - name: last
    reject: 403
"""


def test_nested_rules_become_leaves_in_the_order_of_the_file(tmp_path: Path) -> None:
    leaves = build(tmp_path, NESTED).rules
    assert [leaf.name for leaf in leaves] == ["open", "all", "last"]
    assert [leaf.parents for leaf in leaves] == [("shop", "vips"), ("shop",), ()]
    assert [leaf.when for leaf in leaves] == [All((SHOP, VIP, OFFICE)), SHOP, None]
    assert [(leaf.tag, leaf.learn) for leaf in leaves] == [("vip", True), ("shop", False), (None, True)]
    assert [(leaf.max_ring, leaf.connect) for leaf in leaves] == [(120.0, 2.0), (90.0, 2.0), (180.0, None)]
    assert [leaf.remember for leaf in leaves] == [
        (Remember("black", "answer"), Remember("white", "call")),
        (Remember("white", "call"),),
        (),
    ]


def test_people(tmp_path: Path) -> None:
    text = """\
agents:
  olga: {extension: "0103", mobile: 601 222 444, weight: 3, sticky: false}
groups:
  seniors: [ivan, anna]
  lines: [[anna], [ivan, olga]]
  mixed: [[anna, ivan]]
lists: {grey: {known: false}}
"""
    found = build(tmp_path, text)
    assert found.agents["olga"] == Agent("olga", "0103", "pbx", "+48601222444", 3, False)
    assert found.agents["anna"] == Agent("anna", "101", "pbx")
    assert found.groups["seniors"] == Group("seniors", (("ivan", "anna"),))
    assert found.groups["lines"].lines == (("anna",), ("ivan", "olga"))
    assert found.groups["mixed"].lines == (("anna", "ivan"),)
    assert found.lists == {
        "black": NamedList("black"),
        "white": NamedList("white", known=True),
        "grey": NamedList("grey"),
    }
    assert found.fallback == ("queue-main",)


def test_schedules(tmp_path: Path) -> None:
    (tmp_path / "pl.ics").write_text(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTAMP:20260101T000000Z\r\n"
        "DTSTART;VALUE=DATE:20261225\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    )
    text = """\
schedules:
  s:
    fri-mon: ["08:00-12:00", "12:30 - 24:00"]
    tue: "22:00-6:00"
    tz: America/New_York
    closed: [2026-12-24, pl.ics]
    open: {2026-12-27: "10:00-14:00", 2026-12-28: ["00:00-24:00"]}
"""
    schedule = build(tmp_path, text).schedules["s"]
    weekend = ((480, 720), (750, 1440))
    assert schedule.tz == "America/New_York"
    assert schedule.week == (weekend, ((1320, 360),), (), (), weekend, weekend, weekend)
    assert schedule.open == {date(2026, 12, 27): ((600, 840),), date(2026, 12, 28): ((0, 1440),)}
    assert schedule.closed == {date(2026, 12, 24)}
    assert [calendar.name for calendar in schedule.calendars] == ["pl.ics"]
    assert build(tmp_path, "lists: {x: {}}").schedules["office"].tz == "Europe/Warsaw"


DAY = 86400.0


@pytest.mark.parametrize(
    ("written", "create", "refresh", "end", "ttl"),
    [
        ("preset: acr-in", "in_answered", "in_answered conversation", "", None),
        ("preset: acr-out", "out_attempt", "out_attempt conversation", "", None),
        ("preset: acr-out, create: out_answered", "out_answered", "out_answered conversation", "", None),
        ("preset: acr", "in_answered out_attempt", "in_answered out_attempt conversation", "", None),
        ("preset: acr-24h", "in_answered out_attempt", "in_answered out_attempt conversation", "", DAY),
        ("preset: acr-24h, ttl: forever", "in_answered out_attempt", "in_answered out_attempt conversation", "", None),
        ("preset: ringostat-global, ttl: 30d, during: office", "out_attempt", "out_attempt", "", 30 * DAY),
        ("preset: ringostat-scheme, ttl: 1w, create: in_answered", "in_answered", "in_answered", "", 7 * DAY),
        ("preset: vipex-1, ttl: 3d", "out_failed", "", "conversation", 3 * DAY),
        ("preset: vipex-2, ttl: 3d", "out_failed", "out_attempt", "conversation", 3 * DAY),
        ("preset: vipex-2, ttl: 3d, create: out_attempt", "out_attempt", "out_attempt", "conversation", 3 * DAY),
        ("preset: vipex-3, ttl: 3d", "out_failed out_answered", "out_attempt", "", 3 * DAY),
        ("preset: vipex-4, ttl: 3d", "out_failed out_answered", "out_attempt in_call", "", 3 * DAY),
        ("preset: missed-once, ttl: 12h", "out_failed", "", "used", DAY / 2),
        ("preset: acr, refresh: in_call", "in_answered out_attempt", "in_call", "", None),
        ("create: in_answered", "in_answered", "", "", None),
        (
            "create: [in_answered], refresh: conversation, end: [used], ttl: 90m",
            "in_answered",
            "conversation",
            "used",
            5400.0,
        ),
    ],
)
def test_sticky_profiles(tmp_path: Path, written: str, create: str, refresh: str, end: str, ttl: float | None) -> None:
    found = build(tmp_path, f"sticky:\n  s: {{{written}}}").sticky["s"]
    assert (found.create, found.refresh) == (set(create.split()), set(refresh.split()))
    assert (found.end, found.ttl) == (set(end.split()), ttl)


def test_every_preset_has_its_talk_and_ring(tmp_path: Path) -> None:
    needs = {"ttl": "ttl: 3d", "during": "during: office", "create": "create: in_answered"}
    written = {
        name: ", ".join([f"preset: {name}", *(needs[key] for key in preset.required)])
        for name, preset in PRESETS.items()
    }
    text = "sticky:\n" + "".join(f"  {name}: {{{inner}}}\n" for name, inner in written.items())
    found = build(tmp_path, text).sticky
    assert {name: profile.min_talk for name, profile in found.items() if profile.min_talk} == {
        "vipex-1": 10.0,
        "vipex-2": 10.0,
        "missed-once": 10.0,
    }
    assert {name: profile.ring for name, profile in found.items() if profile.ring} == {
        "ringostat-global": 20.0,
        "ringostat-scheme": 30.0,
    }


def test_a_profile_with_everything(tmp_path: Path) -> None:
    text = """\
sticky:
  s:
    preset: acr
    min_talk: 5s
    keep: all
    scope: number
    during: [office]
    ring: 25s
    learn_from: {agents: anna, groups: [sales], peers: pbx, numbers: "22 111-22-33", header: {X-Campaign: "s*"}}
"""
    found = build(tmp_path, text).sticky["s"]
    assert (found.min_talk, found.keep, found.scope, found.during, found.ring) == (
        5.0,
        "all",
        "number",
        ("office",),
        25.0,
    )
    assert found.learn_from == LearnFrom(("anna",), ("sales",), ("pbx",), ("+48221112233",), {"x-campaign": "s*"})


def test_the_version_is_that_of_the_texts(tmp_path: Path) -> None:
    versions = [build(tmp_path, text).version for text in ("lists: {x: {}}", "lists: {x: {}}", "lists: {x: {}} #")]
    assert versions[0] == versions[1] != versions[2]
    assert len(versions[0]) == 12


def test_files_in_byte_order(tmp_path: Path) -> None:
    build(tmp_path, rule("reject: 403"))
    for name in ("2.yaml", "10b.yaml", "B.yaml", "a.yaml", "\u00e9.yaml"):
        (tmp_path / "rules" / name).write_text(f"rules: [{{name: {name}, reject: 403, when: {{during: office}}}}]\n")
    assert [found.name for found in build(tmp_path, rule("reject: 403\nwhen: {during: office}")).rules] == [
        "x",
        "10b.yaml",
        "2.yaml",
        "B.yaml",
        "a.yaml",
        "\u00e9.yaml",
    ]


VOCABULARY = """
agents groups lists schedules sticky rules outgoing fallback name when route redirect relay reject else tag learn
remember caller dialled during peer header share any all not number mask contains regex list region vip known agent
mobile group crm to ring total order skip_busy stop_on from headers whisper code reason retry_after preset create ttl
learn_from open closed tz mon-fri daily extension pbx weight anna ivan sales black office returning queue-main next
true false 20s 0s 603 +48221112233 +4822* *97 [ ] { } : , - 10% PL vipex-1 "08:00-18:00" 2026-12-24 x
"""
WORDS = st.sampled_from(VOCABULARY.split())
TEXTS = st.one_of(
    st.lists(st.tuples(st.integers(0, 6), st.lists(WORDS, max_size=5)), max_size=12).map(
        lambda lines: "".join(f"{'  ' * indent}{': '.join(words)}\n" for indent, words in lines)
    ),
    st.lists(WORDS, max_size=40).map(" ".join),
    st.text(max_size=80),
)
NODES = st.recursive(
    WORDS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda nodes: f"[{', '.join(nodes)}]"),
        st.lists(st.tuples(WORDS, inner), max_size=4).map(
            lambda pairs: "{" + ", ".join(f"{key}: {value}" for key, value in pairs) + "}"
        ),
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(TEXTS, NODES, NODES.map(lambda node: f"rules: [{{name: x, when: {node}}}]"), NODES.map(when)))
def test_no_text_ever_raises(tmp_path: Path, text: str) -> None:
    for settings_text in (SETTINGS, text):
        _, ruleset, problems = load(tmp_path, text.encode(errors="replace").decode(), settings=settings_text)
        assert ruleset is not None or problems
        assert all("Traceback" not in problem and "pydantic" not in problem.lower() for problem in problems)


def test_forever_is_no_number_of_seconds(tmp_path: Path) -> None:
    found = build(tmp_path, "sticky:\n  s: {preset: acr, ttl: forever}").sticky["s"]
    assert found.ttl is None
    assert not math.isinf(found.min_talk)
