"""The example that `sipacr init` copies: it loads without a word, and shows each feature that routing has."""

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from sipacr.routing.decide import Engine
from sipacr.routing.facts import Facts
from sipacr.routing.golden import Outcome, run
from sipacr.routing.regions import Regions
from sipacr.routing.ruleset import Ruleset
from sipacr.rulefile import load_rules
from sipacr.rulefile.golden import load_golden
from sipacr.settings import Settings, load_settings

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "sipacr" / "example"

# The rows of what sipacr is for that rules alone can do.
FEATURES = "S0.2 S0.3 S0.4 S0.5 S0.7 S1.5 S1.6 S1.7 S1.8 S2.1 S2.3 S2.4 S2.5 S2.6 S2.7 S2.8 S3.4 S3.7"
FEATURE = re.compile(r"\bS\d\.\d\b")


@pytest.fixture(scope="module")
def example() -> tuple[Settings, Ruleset]:
    settings, problems = load_settings(EXAMPLE / "sipacr.yaml")
    assert settings is not None, problems
    ruleset, more = load_rules(settings.rules, settings)
    assert problems + more == []
    assert ruleset is not None
    return settings, ruleset


def test_it_listens_on_loopback_only(example: tuple[Settings, Ruleset]) -> None:
    settings, _ = example
    hosts = [host for host, _ in (*settings.listen.udp, *settings.listen.tcp, *settings.listen.tls)]
    hosts += [address.partition(":")[0] for peer in settings.directory.peers.values() for address in peer.addresses]
    assert {host.split(".")[0] for host in hosts} == {"127"}


def test_the_folder_at_the_top_is_the_same(example: tuple[Settings, Ruleset]) -> None:
    settings, ruleset = example
    again, _ = load_rules(ROOT / "rules", settings)
    assert again is not None
    assert again.version == ruleset.version


class Run(NamedTuple):
    """A golden call of the example, and what came of it."""

    outcome: Outcome
    rules: frozenset[str]  # those that matched, and their parents


def features(text: str) -> list[frozenset[str]]:
    """For each line of a file of golden calls the features that the comment above it names.

    A comment that names none changes nothing, unless an empty line before it begins something new.
    """
    named: frozenset[str] = frozenset()
    before, found = "", []
    for line in text.splitlines():
        if line.startswith("#") and (not before or FEATURE.search(line)):
            named = frozenset(FEATURE.findall(line))
        found.append(named)
        before = line
    return found


@pytest.fixture(scope="module")
def runs(example: tuple[Settings, Ruleset]) -> dict[str, list[Run]]:
    """The golden calls by feature; those of none under ""."""
    settings, ruleset = example
    calls, problems = load_golden(settings.rules / "tests", ruleset, settings.directory)
    assert problems == []
    engine = Engine(ruleset, settings.directory, Regions.load())
    found: dict[str, list[Run]] = {}
    for call in calls:
        matched = engine.decide(Facts(call.request, call.store, dict(call.seen)), call.now).rules
        decided = Run(run(engine, call), frozenset(name for rule in matched for name in (rule.name, *rule.parents)))
        shown = features(Path(call.position.file).read_text())[call.position.line - 1]
        for feature in shown or {""}:
            found.setdefault(feature, []).append(decided)
    return found


def rules_of(feature: str) -> set[str]:
    """The rules on whose line the example names this feature."""
    text = "".join(path.read_text() for path in sorted((EXAMPLE / "rules").glob("*.yaml")))
    return {found[1].strip() for found in re.finditer(rf"- name: ([^#\n]+)#[^\n]*{feature}", text)}


@pytest.mark.parametrize("feature", FEATURES.split())
def test_each_feature_has_a_golden_call_that_passes(feature: str, runs: dict[str, list[Run]]) -> None:
    assert feature in runs, f"no golden call below a comment with {feature}"
    assert [found.outcome.differences for found in runs[feature] if not found.outcome.passed] == []


@pytest.mark.parametrize("feature", FEATURES.split())
def test_each_feature_has_a_rule_that_its_golden_calls_reach(feature: str, runs: dict[str, list[Run]]) -> None:
    assert any(feature in path.read_text() for path in (EXAMPLE / "rules").glob("*.yaml"))
    for rule in rules_of(feature):
        assert any(rule in found.rules for found in runs[feature]), f"no golden call of {feature} reaches {rule}"


def test_each_rule_is_reached(example: tuple[Settings, Ruleset], runs: dict[str, list[Run]]) -> None:
    assert [decided.outcome.differences for decided in runs[""] if not decided.outcome.passed] == []
    reached = {name for found in runs.values() for decided in found for name in decided.rules}
    assert {rule.name for rule in (*example[1].rules, *example[1].outgoing)} - reached == set()


def test_comments_name_features_that_exist(runs: dict[str, list[Run]]) -> None:
    assert set(runs) - {""} == set(FEATURES.split())
