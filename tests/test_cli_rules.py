"""The commands about rules, as an admin types them: what they print and how they end."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from test_golden import CALL, RULES, configure

from sipacr.cli import main
from sipacr.store import Database

NOON = "2026-11-23T12:00"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    configure(tmp_path, f"- {CALL}\n  expect: {{rules: [own person, everybody]}}\n")
    Database(tmp_path / "sipacr.db").close()
    return tmp_path


def sipacr(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["-c", str(folder / "sipacr.yaml"), *arguments], catch_exceptions=False)


def line_of(rule: str) -> int:
    """Where a rule stands in the rule file."""
    return next(number for number, text in enumerate(RULES.splitlines(), 1) if f"name: {rule}," in text)


def break_rules(folder: Path, old: str, new: str) -> None:
    assert old in RULES
    (folder / "rules" / "rules.yaml").write_text(RULES.replace(old, new))


def test_check_tells_numbers_and_residual_rules(folder: Path) -> None:
    found = sipacr(folder, "check")
    assert found.exit_code == 0
    assert f'rules.yaml:{line_of("strangers")}:39: "+48221119900" is compared in E.164, as written' in found.output
    assert "0 errors, 0 warnings; 10 rules, 8 of them residual" in found.output


def test_check_ends_with_2_on_errors_and_tells_all(folder: Path) -> None:
    break_rules(folder, "{vip: true}], else: end", "{agent: ana}], els: end")
    found = sipacr(folder, "check")
    assert found.exit_code == 2
    assert "\n2 errors, 0 warnings" in found.output
    assert 'unknown agent "ana"; did you mean "anna"?' in found.output
    assert 'unknown key "els"' in found.output
    told = json.loads(sipacr(folder, "check", "--json").output)
    assert told["ok"] is False
    assert {problem["severity"] for problem in told["problems"]} == {"error"}
    assert all(problem["line"] == line_of("vip") for problem in told["problems"])


def test_check_reads_settings_rules_and_golden_calls_at_once(folder: Path) -> None:
    (folder / "sipacr.yaml").write_text((folder / "sipacr.yaml").read_text().replace("mode: redirect,", "mode: x,", 1))
    break_rules(folder, "preset: acr-24h", "preset: acr-25h")
    found = sipacr(folder, "check")
    assert found.exit_code == 2
    assert "sipacr.yaml:9:45: error: " in found.output
    assert "acr-25h" in found.output


def test_check_reads_golden_calls_too(folder: Path) -> None:
    (folder / "rules" / "tests" / "calls.yaml").write_text("- {}\n")
    found = sipacr(folder, "check")
    assert found.exit_code == 2
    assert "\n1 error, 0 warnings" in found.output


def test_strict_makes_warnings_errors(folder: Path) -> None:
    break_rules(folder, "caller: {region: DE-BE}", 'caller: {mask: "22*"}')
    found = sipacr(folder, "check")
    assert (found.exit_code, 'did you mean "+4822*"?' in found.output) == (0, True)
    assert sipacr(folder, "check", "--strict").exit_code == 2


def test_test(folder: Path) -> None:
    assert (sipacr(folder, "test").exit_code, sipacr(folder, "test").output) == (0, "1 passed, 0 failed\n")
    golden = folder / "rules" / "tests" / "calls.yaml"
    golden.write_text(golden.read_text() + f"- {CALL}\n  expect: {{rule: vip}}\n")
    found = sipacr(folder, "test")
    assert found.exit_code == 1
    assert f"{golden}:3:3: FAILED +48601000111 -> +48221112233 from trunk-a at 2026-11-23 16:15" in found.output
    assert 'rule "vip" did not match: caller +48601000111 is not in the VIP table' in found.output
    assert "1 passed, 1 failed" in found.output
    told = json.loads(sipacr(folder, "test", "--json").output)
    assert [entry["passed"] for entry in told] == [True, False]
    golden.write_text(f"- {CALL}\n  expct: {{}}\n")
    assert sipacr(folder, "test").exit_code == 2
    golden.unlink()
    assert (sipacr(folder, "test").exit_code, "no golden calls" in sipacr(folder, "test").output) == (0, True)


def test_explain(folder: Path) -> None:
    found = sipacr(folder, "explain", "601 000 111", "+48221112233", "--at", NOON)
    assert found.exit_code == 0
    lines = found.output.splitlines()
    assert lines[0] == "+48601000111 -> +48221112233 (Shop A), incoming from trunk-a, Mon 2026-11-23 12:00:00 CET"
    assert f"no   blocked  [{folder}/rules/rules.yaml:{line_of('blocked')}:5]" in lines
    assert "       caller +48601000111 is not on list black" in lines
    assert f"yes  own person (goes on: else next)  [{folder}/rules/rules.yaml:{line_of('own person')}:5]" in lines
    assert "       returning skipped: no binding of this caller" in lines
    assert any(line.startswith("step group sales: anna (101@pbx), then ivan (102@pbx)") for line in lines)
    assert lines[-5:] == [
        "answer: 302",
        "       101@pbx.example.pl;q=1.0",
        "       102@pbx.example.pl;q=0.9",
        "       103@pbx.example.pl;q=0.8",
        "       601@pbx.example.pl;q=0.7",
    ]


def test_explain_takes_headers_a_peer_and_a_time(folder: Path) -> None:
    found = sipacr(folder, "explain", "101", "601222444", "--peer", "pbx", "--at", "2026-11-22")
    assert "outgoing from pbx, Sun 2026-11-22 00:00:00" in found.output
    assert "goes to the trunks of outgoing_via" in found.output
    told = json.loads(
        sipacr(folder, "explain", "+1", "+48221112233", "--header", "X-Campaign: summer", "--json").output
    )
    assert (told["rules"], told["else"]) == (["summer"], "end")
    assert told["contacts"] == ["601@pbx.example.pl;q=1.0"]
    assert sipacr(folder, "explain", "1", "2", "--header", "nonsense").exit_code == 2
    wrong = sipacr(folder, "explain", "1", "2", "--peer", "trunk-c")
    assert (wrong.exit_code, "did you mean" in wrong.output) == (2, True)
    assert sipacr(folder, "explain", "1", "2", "--at", "2026-03-29T02:30").exit_code == 2


def test_explain_a_rejection(folder: Path) -> None:
    found = sipacr(folder, "explain", "anonymous", "+48221119900")
    assert found.output.splitlines()[-1] == "answer: 403"
    told = json.loads(sipacr(folder, "explain", "anonymous", "+48221119900", "--json").output)
    assert (told["caller"], told["reject"]["code"], told["contacts"]) == (None, 403, [])


def test_explain_with_a_broken_store_ends_with_3(folder: Path) -> None:
    (folder / "sipacr.db").write_bytes(b"no database at all" * 1000)
    found = sipacr(folder, "explain", "+48601000111", "+48221112233", "--at", NOON)
    assert found.exit_code == 3
    assert "unknown whether caller +48601000111 is on list black: " in found.output
    assert "returning skipped: the look-up is broken: " in found.output
    assert "600@pbx.example.pl" in found.output, "the fallback is last"


def test_explain_before_the_first_start(folder: Path) -> None:
    (folder / "sipacr.db").unlink()
    found = sipacr(folder, "explain", "+48601000111", "+48221112233")
    assert (found.exit_code, "does not exist yet" in found.output) == (0, True)


def test_explain_needs_rules_without_errors(folder: Path) -> None:
    break_rules(folder, "fallback: queue-main", "fallback: queue-mian")
    found = sipacr(folder, "explain", "1", "2")
    assert (found.exit_code, 'did you mean "queue-main"?' in found.output) == (2, True)


def test_schedule_next(folder: Path) -> None:
    assert sipacr(folder, "schedule", "next", "--at", NOON).output == "office: open, closes 2026-11-23 20:00+01:00\n"
    told = json.loads(sipacr(folder, "schedule", "next", "office", "--at", "2026-11-27T21:00", "--json").output)
    assert told == [{"schedule": "office", "open": False, "changes": "2026-11-30 08:00+01:00"}]
    wrong = sipacr(folder, "schedule", "next", "ofice")
    assert (wrong.exit_code, 'did you mean "office"?' in wrong.output) == (2, True)


@pytest.mark.parametrize(("kind", "word"), [((), "fallback"), (("settings",), "outgoing_via")])
def test_schema(folder: Path, kind: tuple[str, ...], word: str) -> None:
    told = json.loads(sipacr(folder, "schema", *kind).output)
    assert word in told["properties"]
