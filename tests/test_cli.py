"""The command itself: which commands there are, what is imported for them, which settings are taken, and times."""

import subprocess
import sys
from pathlib import Path
from zoneinfo import ZoneInfo

import click
import pytest
from click.testing import CliRunner

import sipacr
from sipacr.cli import _MODULES, _commands, main
from sipacr.cli.context import read_moment

WARSAW = ZoneInfo("Europe/Warsaw")
NOW = 1_795_447_800.0  # 2026-11-23 16:30 in Warsaw


def test_names_agree_with_the_modules() -> None:
    found = {command.name: module for module in set(_MODULES.values()) for command in _commands(module)}
    assert found == _MODULES


def test_help_lists_all_commands_with_a_line_each() -> None:
    shown = CliRunner().invoke(main, ["--help"]).stdout
    for name in _MODULES:
        assert any(line.split()[:1] == [name] and len(line.split()) > 2 for line in shown.splitlines()), name


def test_version() -> None:
    assert CliRunner().invoke(main, ["--version"]).stdout == f"sipacr {sipacr.__version__}\n"


@pytest.mark.parametrize("name", ["vip", "list", "sticky", "shared", "completion"])
def test_keeping_data_does_not_import_the_sip_stack(name: str) -> None:
    script = (
        "import sys; from sipacr.cli import main\n"
        f"main([{name!r}, '--help'], standalone_mode=False)\n"
        "heavy = ('pjsua2', 'cffi', 'uvloop', 'sipacr.cli.run', 'sqlite_utils')\n"
        "print([module for module in heavy if module in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert shown.splitlines()[-1] == "[]"


def test_showing_data_does_not_import_the_rule_language(tmp_path: Path) -> None:
    for words in (["init", str(tmp_path)], ["-c", str(tmp_path), "vip", "add", "+48601000111", "anna"]):
        assert CliRunner().invoke(main, words).exit_code == 0
    script = (
        "import sys; from sipacr.cli import main\n"
        f"main(['-c', {str(tmp_path)!r}, 'vip', 'show'], standalone_mode=False)\n"
        "print([module for module in ('sipacr.rulefile.models', 'icalendar', 're2') if module in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert "anna" in shown
    assert shown.splitlines()[-1] == "[]"


def test_an_unknown_command_is_a_usage_error() -> None:
    result = CliRunner().invoke(main, ["vpi"])
    assert result.exit_code == 2
    assert "vpi" in result.stderr


@pytest.mark.parametrize(("shell", "word"), [("bash", "complete "), ("zsh", "compdef"), ("fish", "complete ")])
def test_completion(shell: str, word: str) -> None:
    shown = CliRunner().invoke(main, ["completion", shell]).stdout
    assert shown.startswith("# To use it: ")
    assert word in shown
    assert f"_SIPACR_COMPLETE={shell}_complete" in shown


def test_commands_are_completed(monkeypatch: pytest.MonkeyPatch) -> None:
    words = {"_SIPACR_COMPLETE": "bash_complete", "COMP_WORDS": "sipacr vip im", "COMP_CWORD": "2"}
    result = CliRunner().invoke(main, [], prog_name="sipacr", env=words)
    assert result.stdout == "plain,import\n"


class TestSettings:
    """Which file is taken shows in the message of what is wrong with it."""

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.delenv("SIPACR_CONFIG", raising=False)
        for name in ("sipacr.yaml", "sipacr/sipacr.yaml", "env.yaml", "option.yaml", "folder/sipacr.yaml"):
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True)
            path.write_text("nonsense: 1\n")

    def told(self, *words: str, env: dict[str, str] | None = None) -> str:
        result = CliRunner().invoke(main, [*words, "vip", "show"], env=env)
        assert result.exit_code == 2
        return result.stderr

    def test_the_option_comes_first(self) -> None:
        assert "option.yaml:" in self.told("-c", "option.yaml", env={"SIPACR_CONFIG": "env.yaml"})
        assert "folder/sipacr.yaml:" in self.told("--config", "folder")

    def test_then_the_environment(self) -> None:
        assert "env.yaml:" in self.told(env={"SIPACR_CONFIG": "env.yaml"})

    def test_then_what_is_here(self) -> None:
        assert "sipacr.yaml:" in self.told()
        assert "sipacr/sipacr.yaml:" not in self.told()
        Path("sipacr.yaml").unlink()
        assert "sipacr/sipacr.yaml:" in self.told()

    @pytest.mark.skipif(Path("/etc/sipacr/sipacr.yaml").exists(), reason="this machine has settings of its own")
    def test_nothing_is_found(self) -> None:
        Path("sipacr.yaml").unlink()
        Path("sipacr/sipacr.yaml").unlink()
        assert "name them with -c, or run: sipacr init" in self.told()

    def test_a_name_that_is_wrong(self) -> None:
        assert "missing.yaml does not exist: correct -c or SIPACR_CONFIG" in self.told("-c", "missing.yaml")


@pytest.mark.parametrize(
    ("text", "end_of_day", "moment"),
    [
        ("now", False, NOW),
        ("30d", False, NOW + 30 * 86400),
        ("90m", False, NOW + 5400),
        ("2026-11-23", False, NOW - 16.5 * 3600),
        ("2026-11-23", True, NOW + 7.5 * 3600),
        (" 2026-11-23T16:30 ", False, NOW),
        ("2026-11-23 16:30:00", True, NOW),
        ("2026-11-23T16:30+01:00", False, NOW),
        ("2026-11-23T15:30Z", False, NOW),
        ("2026-10-25", True, 1792969200.0),  # a day of 25 hours
        ("2026-10-25T02:30", False, 1792888200.0),  # twice; the first
    ],
)
def test_moments(text: str, end_of_day: bool, moment: float) -> None:
    assert read_moment(text, WARSAW, NOW, end_of_day=end_of_day) == moment


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no time"),
        ("tomorrow", "is no time: write 2026-12-24, 2026-12-24T16:30"),
        ("24.12.2026", "is no time"),
        ("2026-02-30", "is no time"),
        ("9999999999d", "is no time"),
        ("9999-12-31", "is no time"),
        ("2026-03-29T02:30", "does not exist in Europe/Warsaw: the clocks skip that hour; write it with an offset"),
    ],
)
def test_moments_that_are_none(text: str, message: str) -> None:
    with pytest.raises(click.BadParameter, match=message):
        read_moment(text, WARSAW, NOW, end_of_day=True)
