"""Settings and rule files for tests of what is said about them: written, loaded, and the problems as text."""

from pathlib import Path

from sipacr.routing.ruleset import Ruleset
from sipacr.rulefile import load_rules
from sipacr.settings import Settings, load_settings

SETTINGS = """\
listen: {udp: "127.0.0.1:5060"}
numbers: {country: PL, timezone: Europe/Warsaw, own: {"+48221112233": Shop, "+48221119900": Line, "*97": Code}, extensions: ["1??"]}
peers:
  pbx: {role: pbx, address: "10.0.0.5:5060", mode: redirect, contact: "pbx.example.pl:5060"}
  trunk-a: {role: trunk, address: "198.51.100.1", mode: redirect}
destinations: {queue-main: "600@pbx", queue-sales: "601@pbx", voicemail: "*98@pbx"}
outgoing_via: trunk-a
"""

BASE = """\
agents:
  anna: {extension: 101}
  ivan: {extension: 102, mobile: "+48601222333"}
groups: {sales: [[anna, ivan]]}
lists: {black: {}, white: {known: true}}
schedules: {office: {mon-fri: "08:00-18:00"}}
sticky: {returning: {preset: acr-24h}}
fallback: queue-main
"""

FALLBACK = "fallback: queue-main\n"


def load(
    folder: Path, text: str, base: str | None = BASE, settings: str = SETTINGS
) -> tuple[Settings | None, Ruleset | None, list[str]]:
    """Loads sipacr.yaml and the rules 00.yaml (`base`) and 10.yaml (`text`); problems without the folder's name."""
    rules = folder / "rules"
    rules.mkdir(exist_ok=True)
    (folder / "sipacr.yaml").write_text(settings, encoding="utf-8")
    if base is not None:
        (rules / "00.yaml").write_text(base, encoding="utf-8")
    (rules / "10.yaml").write_text(text, encoding="utf-8")
    read, problems = load_settings(folder / "sipacr.yaml")
    ruleset, more = load_rules(rules, read)
    return (
        read,
        ruleset,
        [str(problem).replace(f"{rules}/", "").replace(f"{folder}/", "") for problem in problems + more],
    )


def of_rules(folder: Path, text: str, base: str | None = BASE, settings: str = SETTINGS) -> list[str]:
    """What is said of 10.yaml, as `line:column: error: ...`; of another file with its name."""
    return [problem.removeprefix("10.yaml:") for problem in load(folder, text, base, settings)[2]]


def rule(rest: str) -> str:
    """A file with one rule: its lines after the name, the first of which is line 3."""
    return "rules:\n  - name: x\n" + "".join(f"    {line}\n" for line in rest.splitlines())


def when(condition: str) -> str:
    """A file with one rule under this condition, which begins at 3:11."""
    return rule(f"when: {condition}\nroute: [{{agent: anna}}]")


def rules(*pairs: tuple[str, str]) -> str:
    """A file with rules r0, r1, ... of condition ("" for none) and the rest, a rule every three lines."""
    written = []
    for number, (condition, rest) in enumerate(pairs):
        written.append(f"  - name: r{number}\n")
        written.append(f"    when: {condition}\n" if condition else "    tag: always\n")
        written.append(f"    {rest}\n")
    return "rules:\n" + "".join(written)
