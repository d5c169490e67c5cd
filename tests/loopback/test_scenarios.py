"""The SIPp scenarios of scenarios/ against a real router that runs with the settings and rules beside them."""

import contextlib
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCENARIOS = ROOT / "scenarios"
FUNCTIONAL = sorted((SCENARIOS / "functional").glob("*.xml"))
LOAD = [SCENARIOS / "load" / name for name in ("redirect.xml", "repeated.xml")]  # the others need two ends
# From which address a scenario calls: the README says what each is. All others come from 127.0.0.1, the trunk.
SOURCES = {"no_rule_name": "127.0.0.3", "untrusted_identity": "127.0.0.3", "stranger": "127.0.0.9"}
STARTED_AT_MOST = 20.0  # seconds

pytestmark = [
    pytest.mark.loopback,
    pytest.mark.skipif(not shutil.which("sipp"), reason="SIPp is not installed: sudo apt-get install -y sip-tester"),
]


@dataclass(frozen=True)
class Running:
    """A router on 127.0.0.1, and the folder with its settings."""

    port: int
    folder: Path


def free_port() -> int:
    """A port that is free for UDP and TCP just now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as stream, socket.socket(type=socket.SOCK_DGRAM) as datagram:
        stream.bind(("127.0.0.1", 0))
        port: int = stream.getsockname()[1]
        datagram.bind(("127.0.0.1", port))
        return port


def listening(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=0.2):
        return True
    return False


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The router of scenarios/sipacr.yaml, on a free port."""
    folder = tmp_path_factory.mktemp("scenarios")
    port = free_port()
    settings = (SCENARIOS / "sipacr.yaml").read_text()
    assert settings.count("127.0.0.1:5070") == 2
    (folder / "sipacr.yaml").write_text(settings.replace("127.0.0.1:5070", f"127.0.0.1:{port}"))
    shutil.copytree(SCENARIOS / "rules", folder / "rules")
    log = folder / "router.log"
    command = [sys.executable, "-m", "sipacr", "-c", str(folder / "sipacr.yaml"), "run"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + STARTED_AT_MOST
        while not listening(port):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        yield Running(port, folder)
        assert process.poll() is None, f"the router ended by itself:\n{log.read_text()}"
    finally:
        process.terminate()
        process.wait(10)


def sipp(running: Running, scenario: Path, folder: Path, source: str, *options: str) -> None:
    """Run one scenario; what SIPp and its trace of errors say is the failure's text."""
    command = ["sipp", "-sf", str(scenario), "-i", source, f"127.0.0.1:{running.port}", "-nostdin", "-trace_err"]
    done = subprocess.run([*command, *options], cwd=folder, capture_output=True, text=True, timeout=60)
    errors = "".join(path.read_text(errors="replace") for path in folder.glob("*_errors.log"))
    assert done.returncode == 0, f"{' '.join(done.args)}\n{errors}\n{done.stdout[-1500:]}\n{done.stderr[-500:]}"


@pytest.mark.parametrize("scenario", FUNCTIONAL, ids=lambda path: path.stem)
def test_functional_udp(running: Running, scenario: Path, tmp_path: Path) -> None:
    source = SOURCES.get(scenario.stem, "127.0.0.1")
    sipp(running, scenario, tmp_path, source, "-t", "u1", "-m", "1", "-nr", "-timeout", "15")


# A stranger's connection is closed, which SIPp takes for a failure.
@pytest.mark.parametrize("scenario", [p for p in FUNCTIONAL if p.stem != "stranger"], ids=lambda path: path.stem)
def test_functional_tcp(running: Running, scenario: Path, tmp_path: Path) -> None:
    source = SOURCES.get(scenario.stem, "127.0.0.1")
    sipp(running, scenario, tmp_path, source, "-t", "t1", "-m", "1", "-nr", "-timeout", "15")


@pytest.mark.parametrize("transport", ["u1", "t1"], ids=["udp", "tcp"])
@pytest.mark.parametrize("scenario", LOAD, ids=lambda path: path.stem)
def test_a_little_load(running: Running, scenario: Path, transport: str, tmp_path: Path) -> None:
    """Every call of two seconds' load ends as the scenario wants."""
    callers = ["-inf", str(SCENARIOS / "load" / "callers.csv"), "-nr"]
    sipp(
        running, scenario, tmp_path, "127.0.0.1", "-t", transport, *callers, "-r", "200", "-m", "400", "-timeout", "20"
    )


def test_the_readme_names_every_scenario() -> None:
    readme = (SCENARIOS / "README.md").read_text()
    named = set(re.findall(r"`((?:functional|load)/\w+\.xml)`", readme))
    assert named == {str(path.relative_to(SCENARIOS)) for path in SCENARIOS.glob("*/*.xml")}
    for name, source in SOURCES.items():
        row = next(line for line in readme.splitlines() if f"functional/{name}.xml" in line)
        assert f"`{source}`" in row, f"{name} is run from {source}"
