"""The commands of README.md do what it says, in the order in which a newcomer types them."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()

ENTER = 'cd trial; export PATH="$PWD/../.venv/bin:$PATH"\n'

pytestmark = pytest.mark.loopback


def block(after: str) -> str:
    """The indented commands that follow the text `after`, as one shell script."""
    found = re.search(re.escape(after) + r".*?\n\n((?:    [^\n]*\n)+)", README, re.S)
    assert found is not None, f"README.md no longer says: {after}"
    return re.sub("^    ", "", found[1], flags=re.M)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with .venv/bin/sipacr, as after `make run`."""
    program = tmp_path / ".venv" / "bin" / "sipacr"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m sipacr "$@"\n')
    program.chmod(0o755)
    return tmp_path


def shell(script: str, folder: Path) -> str:
    """Run a script that stops at the first command that fails; its output."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_two_commands_are_targets_of_the_makefile() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M))
    commands = re.findall(r"^make (\w+)", block("## Two commands"), re.M)
    assert commands == ["run", "test"]
    assert targets.issuperset({*commands, *re.findall(r"`make (\w+)`", README)})


def test_five_minutes(checkout: Path) -> None:
    said = shell(block("## Five minutes"), checkout)
    assert "0 errors" in said
    assert re.search(r"^yes  mornings", said, re.M)
    assert re.search(r"^yes  shop A closed", said, re.M)
    said = shell(ENTER + block("A VIP is not a rule"), checkout)
    assert re.search(r"^yes  VIP", said, re.M)
    assert "anna" in said


def test_a_first_call_and_a_reload(checkout: Path) -> None:
    shell(".venv/bin/sipacr init trial", checkout)
    settings = checkout / "trial" / "sipacr.yaml"
    with socket.socket(type=socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        settings.write_text(settings.read_text().replace("127.0.0.1:5060", f"127.0.0.1:{free.getsockname()[1]}"))
    router = subprocess.Popen(
        [sys.executable, "-m", "sipacr", "-c", str(settings), "run"], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    try:
        assert router.stderr is not None
        assert "answers on" in router.stderr.readline()
        call = block("## A first call").replace("~/.cache/sipacr/example/sipacr.yaml", "trial/sipacr.yaml")
        said = shell(call, checkout)
        assert re.search(r"received.*\nSIP/2.0 302 .*\n(.*\n)*Contact: .*\n(.*\n)*X-Sipacr-Rule: ", said)
        assert re.search(r"sent.*\nACK ", said)
        rules = checkout / "trial" / "rules" / "10-people.yaml"
        rules.write_text(rules.read_text().replace("extension: 104", "extension: 105"))
        assert "Reloaded" in shell(ENTER + block("Now run it"), checkout)
    finally:
        router.terminate()
        router.communicate(timeout=10)


def test_every_place_that_is_named_exists() -> None:
    named = re.findall(r"`([\w./]+/|[\w.]+\.md|Makefile|LICENSE|[\w/]+\.py)`", README)
    assert named
    assert [name for name in named if not (ROOT / name).exists() and not (ROOT / "tests" / name).exists()] == []
