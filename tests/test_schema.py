"""JSON Schema of both kinds of file: what is right fits, what is plainly wrong does not."""

import re
from pathlib import Path
from typing import Any, ClassVar

import jsonschema
import pytest
import yaml
from rulefiles import BASE, SETTINGS, rule, when

from sipacr.rulefile.schema import rules_schema, settings_schema

EXAMPLE = Path(__file__).parents[1] / "sipacr" / "example"
RULES = jsonschema.Draft202012Validator(rules_schema())
OF_SETTINGS = jsonschema.Draft202012Validator(settings_schema())


class Editor(yaml.SafeLoader):
    """YAML 1.2 as editors read it: numbers, true and false are guessed, dates and `on` are text."""

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}


Editor.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"(?:true|false)\Z"), list("tf"))
Editor.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"[-+]?[1-9][0-9]*\Z"), list("-+0123456789"))


def read(text: str) -> Any:
    return yaml.load(text, Editor)


@pytest.mark.parametrize("schema", [rules_schema(), settings_schema()])
def test_it_is_a_schema(schema: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)
    assert "Shape" not in str(schema["title"])
    assert '{"type": "null"}' not in str(schema)


@pytest.mark.parametrize("path", sorted((EXAMPLE / "rules").glob("*.yaml")), ids=lambda path: path.name)
def test_the_example_rules_fit(path: Path) -> None:
    RULES.validate(read(path.read_text()))


def test_settings_fit() -> None:
    OF_SETTINGS.validate(read((EXAMPLE / "sipacr.yaml").read_text()))
    OF_SETTINGS.validate(read(SETTINGS))


FITTING = [
    BASE,
    rule("reject: 603"),
    rule("reject: {code: 480, reason: Back, retry_after: 60s}"),
    rule("route: [{agent: anna, ring: 20s, stop_on: busy}, {group: sales, order: all}]\nelse: {reject: 480}"),
    rule("rules: [{name: y, when: {not: {during: office}}, redirect: [{to: voicemail}], else: next}]"),
    rule("relay: [{vip: true}]\nmax_ring: 60s\nconnect: 2s"),
    rule("route: [{vip: true}]\nremember: [{list: white, on: answer}]\nlearn: false\ntag: 7"),
    when('{caller: "+48601000111"}'),
    when('{caller: ["+48601000111", 112]}'),
    when('{caller: {mask: ["+4822*"], vip: true}, dialled: {number: 5}}'),
    when("{any: [{share: 10%}, {all: [{peer: [pbx]}]}], not: [{header: {X-A: a}}, {during: [office, x]}]}"),
    'schedules: {s: {daily: "22:00-06:00"}, t: {mon-fri: ["08:00-12:00"], closed: [2026-12-24], tz: UTC}}',
    "sticky: {s: {preset: vipex-1, ttl: 3d}, t: {create: [in_answered], learn_from: {agents: anna}}}",
]
WRONG = [
    "agnets: {}",
    "agents: {anna: {}}",
    "agents: {anna: {extension: 101, foo: 1}}",
    "lists: [a]",
    rule("rejct: 603"),
    rule("reject: 302"),
    rule("route: {agent: anna}"),
    rule("route: [{agent: anna, ring: 20}]"),
    rule("route: [{agent: anna, order: longest}]"),
    rule("route: [{vip: false}]"),
    rule("route: [{agent: anna}]\nelse: nxt"),
    rule("route: [{agent: anna}]\nlearn: 1"),
    rule("route: [{agent: anna}]\nmax_ring: 60"),
    when("{callr: x}"),
    when("{caller: {vip: 1}}"),
    when("{share: 10}"),
    when("{any: {during: office}}"),
    'schedules: {s: {weekdays: "08:00-18:00"}}',
    "schedules: {s: {mon: 8-12}}",
    "sticky: {s: {preset: acr24}}",
]


@pytest.mark.parametrize("text", FITTING)
def test_what_is_right_fits(text: str) -> None:
    RULES.validate(read(text))


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_does_not(text: str) -> None:
    assert not RULES.is_valid(read(text))


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("listen:", "lisen:"),
        ("role: pbx", "role: pxb"),
        ("mode: redirect", "mode: b2bua"),
        ("country: PL", "country: Poland"),
        ('"600@pbx"', '"600"'),
        ("outgoing_via: trunk-a", "limits: {calls: 1}"),
    ],
)
def test_settings_that_are_wrong_do_not_fit(right: str, wrong: str) -> None:
    assert right in SETTINGS
    assert not OF_SETTINGS.is_valid(read(SETTINGS.replace(right, wrong)))
