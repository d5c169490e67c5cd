"""The example that `sipacr init` copies: it loads without a word, and shows each feature that routing has."""

import re
from pathlib import Path

import pytest

from sipacr.routing.ruleset import Ruleset
from sipacr.rulefile import load_rules
from sipacr.settings import Settings, load_settings

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "sipacr" / "example"

# The rows of what sipacr is for that rules alone can do.
FEATURES = "S0.2 S0.3 S0.4 S0.5 S0.7 S1.5 S1.6 S1.7 S1.8 S2.1 S2.3 S2.4 S2.5 S2.6 S2.7 S2.8 S3.4 S3.7"


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


@pytest.mark.parametrize("feature", FEATURES.split())
def test_each_feature_has_its_rule_and_its_golden_call(feature: str) -> None:
    def names(folder: Path) -> set[str]:
        return {name for path in folder.glob("*.yaml") for name in re.findall(r"S\d\.\d", path.read_text())}

    assert feature in names(EXAMPLE / "rules")
    assert feature in names(EXAMPLE / "rules" / "tests")
