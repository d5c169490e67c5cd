"""The examples of the manual: each YAML block loads, and says what the text block after it says, or nothing."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from rulefiles import load

from sipacr.routing.decide import Engine
from sipacr.routing.golden import run
from sipacr.routing.regions import Regions
from sipacr.rulefile import load_rules
from sipacr.rulefile.golden import load_golden
from sipacr.settings import load_settings

DOCS = Path(__file__).parents[1] / "docs"
EXAMPLE = Path(__file__).parents[1] / "sipacr" / "example"

SETTINGS = """\
listen: {udp: "127.0.0.1:5060"}
numbers: {country: PL, timezone: Europe/Warsaw, own: {"+48221112233": Shop, "+48221119900": Line}, extensions: ["1??"]}
peers:
  pbx: {role: pbx, address: "10.0.0.5:5060", mode: relay}
  trunk-a: {role: trunk, address: "198.51.100.1", mode: relay}
destinations: {queue-main: "600@pbx", queue-sales: "601@pbx", voicemail: "*98@pbx"}
outgoing_via: trunk-a
"""
# What the examples take for granted, unless they define it.
SECTIONS = {
    "agents": 'agents: {anna: {extension: 1}, ivan: {extension: 2, mobile: "+48601222333"}, olga: {extension: 3}}',
    "groups": "groups: {sales: [anna, ivan]}",
    "lists": "lists: {black: {}, white: {known: true}}",
    "schedules": 'schedules: {office: {mon-fri: "08:00-18:00"}}',
    "sticky": "sticky: {returning: {preset: acr-24h}}",
    "fallback": "fallback: queue-main",
}
BLOCK = re.compile(r"^```yaml\n(.*?)^```\n(?:```text\n(.*?)^```\n)?", re.DOTALL | re.MULTILINE)


def blocks() -> Iterator[tuple[str, str, str]]:
    """Where it stands, the YAML, and what is said of it."""
    for page in sorted(DOCS.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        for match in BLOCK.finditer(text):
            yield f"{page.name}:{text.count(chr(10), 0, match.start()) + 1}", match[1], match[2] or ""


BLOCKS = list(blocks())
OF_RULES = [block for block in BLOCKS if not block[1].startswith(("# sipacr.yaml", "- call:"))]
OF_SETTINGS = [block for block in BLOCKS if block[1].startswith("# sipacr.yaml")]
OF_CALLS = [block for block in BLOCKS if block[1].startswith("- call:")]


def test_there_are_examples_on_every_page() -> None:
    pages = {where.partition(":")[0] for where, _, _ in BLOCKS}
    assert pages == {page.name for page in DOCS.glob("*.md")} - {"README.md"}
    assert OF_SETTINGS
    assert OF_CALLS


@pytest.mark.parametrize(("where", "text", "said"), OF_RULES, ids=[where for where, _, _ in OF_RULES])
def test_rules(tmp_path: Path, where: str, text: str, said: str) -> None:
    defined = set(re.findall(r"^(\w+):", text, re.MULTILINE))
    base = "".join(f"{line}\n" for section, line in SECTIONS.items() if section not in defined)
    if "agents" in defined:  # those that the example does not define
        missing = [name for name in ("anna", "ivan", "olga") if f"  {name}:" not in text]
        base += f"agents: {{{', '.join(f'{name}: {{extension: {name}}}' for name in missing)}}}\n" if missing else ""
    problems = load(tmp_path, text, base, SETTINGS)[2]
    assert [problem for problem in problems if not problem.startswith("sipacr.yaml:")] == said.splitlines(), where


@pytest.mark.parametrize(("where", "text", "said"), OF_SETTINGS, ids=[where for where, _, _ in OF_SETTINGS])
def test_settings(tmp_path: Path, where: str, text: str, said: str) -> None:
    problems = load(tmp_path, "fallback: queue-main", None, text)[2]
    assert problems == said.splitlines(), where


@pytest.mark.parametrize(("where", "text", "said"), OF_CALLS, ids=[where for where, _, _ in OF_CALLS])
def test_golden_calls(tmp_path: Path, where: str, text: str, said: str) -> None:
    settings, _ = load_settings(EXAMPLE / "sipacr.yaml")
    assert settings is not None
    ruleset, _ = load_rules(settings.rules, settings)
    assert ruleset is not None
    (tmp_path / "calls.yaml").write_text(text)
    calls, problems = load_golden(tmp_path, ruleset, settings.directory)
    assert problems == []
    assert len(calls) == len(yaml.safe_load(text))
    engine = Engine(ruleset, settings.directory, Regions.load())
    assert [outcome.differences for outcome in (run(engine, call) for call in calls) if not outcome.passed] == [], where


def test_links_lead_somewhere() -> None:
    for page in DOCS.glob("*.md"):
        for target in re.findall(r"\]\(([\w./-]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
