"""Warnings about sets that load: what can never match, masks that overlap, what a redirect drops."""

from pathlib import Path

import pytest
from company import CUSTOMER, PL, SHOP, SomeRegions, engine, facts, reject
from hypothesis import given, settings
from hypothesis import strategies as st
from rulefiles import SETTINGS, of_rules, rule, rules

from sipacr.routing.conditions import (
    All,
    AnyOf,
    Condition,
    Contains,
    IsAnonymous,
    IsKnown,
    IsVip,
    MaskIs,
    Not,
    NumberIs,
    OnList,
    PeerIs,
    RegionIs,
)
from sipacr.routing.facts import ListEntry
from sipacr.routing.given import GivenStore
from sipacr.routing.masks import Mask
from sipacr.rulefile.implies import conjuncts, contradiction, filed_under, implied_by_all, questions

ANNA = "route: [{agent: anna}]"
IVAN = "route: [{agent: ivan}]"
NEXT = "route: [{agent: ivan}]\n    else: next"

# Rules of a file, and all that is said of it.
# fmt: off
PAIRS = [
    ([("", ANNA), ('{caller: "+48601000111"}', IVAN)], ['6:11: warning: "r1" can never match: "r0" (10.yaml:2:5) comes first and takes every call']),
    ([("", NEXT), ('{caller: "+48601000111"}', IVAN)], []),
    ([('{caller: {mask: "+4822*"}}', ANNA), ('{caller: "+48221112233"}', IVAN)], ['6:11: warning: "r1" can never match: "r0" (10.yaml:2:5) comes first and takes all its calls']),
    ([('{caller: {mask: "+4822*"}}', ANNA), ('{caller: {mask: "+48221*"}}', IVAN)], ['6:11: warning: "r1" can never match: "r0" (10.yaml:2:5) comes first and takes all its calls']),
    ([('{caller: {mask: "+48221*"}}', ANNA), ('{caller: {mask: "+4822*"}}', IVAN)], ['6:11: warning: the mask "+4822*" overlaps "+48221*" of "r0" (10.yaml:2:5), which comes first and sends to somebody else']),
    ([('{caller: {mask: "+48221*"}}', ANNA), ('{caller: {mask: "+4822*"}}', ANNA)], []),
    ([('{caller: {mask: "+4822*"}}', ANNA), ('{caller: {mask: "*1212"}}', IVAN)], ['6:11: warning: the mask "*1212" overlaps "+4822*" of "r0" (10.yaml:2:5), which comes first and sends to somebody else']),
    ([('{caller: {mask: "*1212"}}', ANNA), ('{caller: {mask: "+4822*"}}', IVAN)], ['6:11: warning: the mask "+4822*" overlaps "*1212" of "r0" (10.yaml:2:5), which comes first and sends to somebody else']),
    ([('{caller: {mask: "+4822*"}}', ANNA), ('{caller: {mask: "*1212"}}', "reject: 403")], []),
    ([("{caller: {region: PL}}", ANNA), ("{caller: {region: PL-14}}", IVAN)], ['6:11: warning: "r1" can never match: "r0" (10.yaml:2:5) comes first and takes all its calls']),
    ([("{caller: {region: PL-14}}", ANNA), ("{caller: {region: PL}}", IVAN)], []),
    ([("{caller: {list: black}}", ANNA), ("{caller: {list: black}}", IVAN)], ['6:11: warning: "r1" can never match: "r0" (10.yaml:2:5) comes first and takes all its calls']),
    ([("{caller: {list: black}}", ANNA), ("{caller: {list: black}, during: office}", IVAN)], ['6:11: warning: "r1" can never match: "r0" (10.yaml:2:5) comes first and takes all its calls']),
    ([("{during: office}", ANNA), ("{during: office}", IVAN)], ['6:11: warning: "r1" can never match: "r0" (10.yaml:2:5) comes first and takes all its calls']),
    ([("{during: office}", NEXT), ("{during: office}", IVAN)], []),
    ([("{share: 10%}", ANNA), ("{share: 10%}", IVAN)], []),
    ([("{caller: {regex: 'a'}}", ANNA), ("{caller: {regex: 'a'}}", IVAN)], []),
    ([("{header: {X: 'a'}}", ANNA), ("{header: {X: 'a'}}", IVAN)], []),
    ([('{dialled: "+48221112233", not: {during: office}}', ANNA), ('{dialled: "221112233", not: {during: office}, caller: {vip: true}}', IVAN)], ['6:11: warning: "r1" can never match: "r0" (10.yaml:2:5) comes first and takes all its calls']),
    ([('{any: [{caller: "+48601000111"}, {during: office}]}', ANNA), ("{during: office, caller: {vip: true}}", IVAN)], ['6:11: warning: "r1" can never match: "r0" (10.yaml:2:5) comes first and takes all its calls']),
    ([("{not: {during: office}}", ANNA), ("{during: office}", IVAN), ("", ANNA)], []),
    ([('{caller: {mask: ["+4822*","+4861*"]}}', ANNA), ('{caller: ["+48221112233","+48611112233"]}', IVAN)], ['6:11: warning: "r1" can never match: "r0" (10.yaml:2:5) comes first and takes all its calls']),
    ([('{caller: {mask: ["+4822*","+4861*"]}}', ANNA), ('{caller: ["+48221112233","+48711112233"]}', IVAN)], []),
    ([("{caller: {vip: true}}", ANNA), ("{caller: {vip: true, known: true}}", IVAN)], ['6:11: warning: "r1" can never match: "r0" (10.yaml:2:5) comes first and takes all its calls']),
    ([("{caller: {vip: true}, not: {caller: {vip: true}}}", ANNA)], ['3:11: warning: "r0" can never match: it asks for something that its own `not` refuses']),
    ([('{dialled: "+48221112233", all: [{dialled: "+48221119900"}]}', ANNA)], ['3:11: warning: "r0" can never match: it asks for two different numbers of the dialled side']),
    ([('{caller: {number: "+48601000111", mask: "+4822*"}}', ANNA)], ['3:11: warning: "r0" can never match: its number does not match its mask']),
    ([("{peer: pbx}", ANNA), ("{peer: [pbx]}", IVAN)], ['6:11: warning: "r1" can never match: "r0" (10.yaml:2:5) comes first and takes all its calls']),
    ([("{peer: [pbx, trunk-a]}", ANNA), ("{peer: pbx}", IVAN)], ['6:11: warning: "r1" can never match: "r0" (10.yaml:2:5) comes first and takes all its calls']),
    ([('{caller: {contains: "22"}}', ANNA), ('{caller: {contains: "22"}}', IVAN)], ['6:11: warning: "r1" can never match: "r0" (10.yaml:2:5) comes first and takes all its calls']),
    ([("{caller: {region: PL}, during: office}", ANNA), ("{caller: {region: PL-14}}", IVAN)], []),
    ([("{any: [{caller: {vip: true}},{caller: {known: true}}]}", ANNA), ("{any: [{caller: {known: true}},{caller: {vip: true}}]}", IVAN)], ['6:11: warning: "r1" can never match: "r0" (10.yaml:2:5) comes first and takes all its calls']),
    ([('{during: office, caller: {mask: "+4822*"}}', ANNA), ('{during: office, caller: {mask: "*1212"}}', IVAN)], ['6:11: warning: the mask "*1212" overlaps "+4822*" of "r0" (10.yaml:2:5), which comes first and sends to somebody else']),
]
# fmt: on


@pytest.mark.parametrize(("pairs", "said"), PAIRS)
def test_rules_of_one_file(tmp_path: Path, pairs: list[tuple[str, str]], said: list[str]) -> None:
    assert of_rules(tmp_path, rules(*pairs)) == said


def test_nested_rules_have_the_conditions_of_their_parents(tmp_path: Path) -> None:
    text = """\
rules:
- name: p
  when: {dialled: "+48221112233"}
  rules:
  - name: a
    when: {dialled: "+48221119900"}
    reject: 403
  - name: b
    reject: 403
  - name: c
    reject: 403
- name: d
  when:
    dialled: "+48221112233"
    caller:
      vip: true
  route:
  - {group: sales}
"""
    assert of_rules(tmp_path, text) == [
        '6:11: warning: "a" can never match: it asks for two different numbers of the dialled side',
        '10:5: warning: "c" can never match: "b" (10.yaml:8:5) comes first and takes all its calls',
        '14:5: warning: "d" can never match: "b" (10.yaml:8:5) comes first and takes all its calls',
    ]


def test_a_child_that_goes_on_shadows_nothing(tmp_path: Path) -> None:
    text = """\
rules:
- name: p
  when: {dialled: "+48221112233"}
  rules:
  - name: a
    route: [{agent: anna}]
    else: next
- name: b
  when: {dialled: "+48221112233", caller: {vip: true}}
  reject: 403
"""
    assert of_rules(tmp_path, text) == []


OUTGOING = [
    ("{peer: trunk-a}", "outgoing calls come from a peer with role pbx"),
    ('{dialled: "221112233"}', "a call to one of our own numbers is an incoming one, whoever makes it"),
    ("{dialled: [112, 997]}", "calls to emergency numbers skip all rules"),
    ("{peer: [trunk-a, pbx]}", None),
    ('{dialled: ["+48221112233", "+48601000111"]}', None),
    ("{dialled: 118}", None),
]


@pytest.mark.parametrize(("condition", "why"), OUTGOING)
def test_calls_that_are_never_outgoing(tmp_path: Path, condition: str, why: str | None) -> None:
    settings_text = SETTINGS.replace('extensions: ["1??"]', "emergency: [112, 997]")
    text = f"outgoing:\n  - name: x\n    when: {condition}\n    reject: 403\n"
    said = [] if why is None else [f'3:11: warning: "x" can never match: {why}']
    assert of_rules(tmp_path, text, settings=settings_text) == said


DROPPED = """\
route:
  - agent: anna
    ring: 20s
    total: 30s
    stop_on: busy
    from: "+48221112233"
    headers: {X-A: b}
    whisper: shop
    skip_busy: true
  - {group: sales, order: all}
remember: {list: white, on: answer}
"""


def test_a_redirect_drops_what_is_the_trunks_doing(tmp_path: Path) -> None:
    lost = 'is lost when the call is redirected, as calls from "pbx", "trunk-a" are (mode: redirect)'
    assert of_rules(tmp_path, rule(DROPPED)) == [
        f'5:9: warning: "ring" {lost}',
        f'6:9: warning: "total" {lost}',
        f'7:9: warning: "stop_on" {lost}',
        f'8:9: warning: "from" {lost}',
        f'9:9: warning: "headers" {lost}',
        f'10:9: warning: "whisper" {lost}',
        f'13:33: warning: "on: answer" {lost}',
    ]


def test_only_calls_that_can_reach_the_rule_count(tmp_path: Path) -> None:
    relayed = SETTINGS.replace('198.51.100.1", mode: redirect', '198.51.100.1", mode: relay')
    text = rule("when: {peer: trunk-a}\nroute: [{agent: anna, ring: 20s}]")
    assert of_rules(tmp_path, text, settings=relayed) == []
    lost = '"ring" is lost when the call is redirected, as calls from "pbx" are (mode: redirect)'
    text = rule("route: [{agent: anna, ring: 20s}]")
    assert of_rules(tmp_path, text, settings=relayed) == [f"3:27: warning: {lost}"]
    text = text.replace("rules:", "outgoing:")
    assert of_rules(tmp_path, text) == [f"3:27: warning: {lost}"]


def test_a_redirect_that_is_relayed(tmp_path: Path) -> None:
    relayed = SETTINGS.replace("mode: redirect", "mode: relay")
    assert of_rules(tmp_path, rule("redirect: [{agent: anna}]"), settings=relayed) == [
        '3:5: warning: calls from "pbx", "trunk-a" are relayed (mode: relay), whatever this rule says'
    ]
    assert of_rules(tmp_path, rule("relay: [{agent: anna, ring: 20s}]")) == []


def test_a_mobile_needs_a_way_out_where_it_is_relayed(tmp_path: Path) -> None:
    without = SETTINGS.replace("outgoing_via: trunk-a\n", "")
    assert of_rules(tmp_path, rule("route: [{mobile: ivan}]"), settings=without) == []
    relayed = without.replace("mode: redirect", "mode: relay")
    assert of_rules(tmp_path, rule("route: [{mobile: ivan}]"), settings=relayed) == [
        "3:14: warning: a mobile is reached by outgoing_via, which sipacr.yaml does not name"
    ]


def test_thousands_of_rules_are_compared(tmp_path: Path) -> None:
    """By what they ask: compared each with each, these would take minutes."""
    many = [(f'{{caller: {{mask: "*{number}"}}}}', "reject: 403") for number in range(100_000, 103_000)]
    many += [('{caller: {mask: "*9100007"}}', "reject: 403"), ('{caller: "+48600100008"}', "reject: 403")]
    said = of_rules(tmp_path, rules(*many))
    assert [problem.partition(": warning: ")[2].split(" (")[0] for problem in said] == [
        '"r3000" can never match: "r7"',
        '"r3001" can never match: "r8"',
    ]


NUMBERS = [CUSTOMER, "+48221112255", "+48618761212", "+4930123456"]
MASKS = ["+48*", "+4822*", "+48???112255", "*1212", "*", "+49*", "22*", "+48618761212"]
REGIONS = SomeRegions({"+48": ("PL",), "+4822": ("PL-14",), "+49": ("DE",)})


def numbers_of(texts: list[str]) -> NumberIs:
    read = [PL.read(text) for text in texts]
    e164 = frozenset(number.e164 for number in read if number.e164)
    return NumberIs("caller", e164, frozenset(number.text for number in read if not number.e164))


def some(values: list[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True)


LEAVES: st.SearchStrategy[Condition] = st.one_of(
    some([*NUMBERS, "112"]).map(numbers_of),
    some(MASKS).map(lambda texts: MaskIs("caller", tuple(map(Mask, texts)))),
    some(["22", "12", "+48"]).map(lambda texts: Contains("caller", tuple(texts))),
    some(["PL", "PL-14", "DE"]).map(lambda codes: RegionIs("caller", tuple(codes))),
    some(["black", "white"]).map(lambda names: OnList(tuple(names))),
    some(["pbx", "trunk-a", "trunk-b"]).map(lambda names: PeerIs(tuple(names))),
    st.sampled_from([IsVip, IsKnown, IsAnonymous]).flatmap(lambda kind: st.booleans().map(kind)),
)
CONDITIONS = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, min_size=1, max_size=3).flatmap(
        lambda parts: st.sampled_from([All(tuple(parts)), AnyOf(tuple(parts)), Not(tuple(parts))])
    ),
    max_leaves=5,
)
CALLS = [
    (caller, peer, GivenStore(vips=vips, lists=lists))
    for caller in [*NUMBERS, "112", "22123", "+48618761213", "anonymous"]
    for peer in ("trunk-a", "pbx")
    for vips in ({}, {caller: "anna"})
    for lists in ({}, {"black": [ListEntry(caller, None, "")], "white": [ListEntry(caller, None, "")]})
]


@settings(max_examples=300, deadline=None)
@given(CONDITIONS, CONDITIONS)
def test_what_is_said_never_to_match_never_does(earlier: Condition, later: Condition) -> None:
    theirs, parts = conjuncts(earlier), conjuncts(later)
    implied = implied_by_all(theirs, parts)
    against = contradiction(parts)
    if not implied and against is None:
        return
    one = engine(reject("earlier", when=earlier), reject("later", when=later), regions=REGIONS)
    for caller, peer, store in CALLS:
        asked = facts(caller, SHOP, peer, store)
        assert one.decide(asked, 0.0).names != ("later",)


@settings(max_examples=300, deadline=None)
@given(CONDITIONS, CONDITIONS)
def test_whatever_is_implied_is_found_by_its_keys(earlier: Condition, later: Condition) -> None:
    theirs, parts = conjuncts(earlier), conjuncts(later)
    if implied_by_all(theirs, parts):
        asked = set(questions(parts))
        for keys in filed_under(theirs):
            assert asked & set(keys)
