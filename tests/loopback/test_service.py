"""The running router as a whole: reload, crash, last good rules, broken store, stop. Real processes on 127.0.0.1."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sip_messages import code, header, invite

pytestmark = pytest.mark.loopback

SETTINGS = """\
listen: {{udp: ["127.0.0.1:{port}"], tcp: ["127.0.0.1:{port}"]}}
numbers: {{country: PL, timezone: Europe/Warsaw, own: {{"+48221112233": Shop}}}}
peers:
  trunk: {{role: trunk, address: "127.0.0.1:5070", mode: redirect, rule_header: true}}
  pbx: {{role: pbx, address: "127.0.0.2:5060", mode: redirect}}
destinations: {{queue: 600@pbx}}
outgoing_via: [trunk]
"""
RULES = """\
agents: {anna: {extension: 101}, ivan: {extension: 102}}
rules:
  - {name: VIP, when: {caller: {vip: true}}, route: [{vip: true}]}
  - {name: shop, when: {dialled: "+48221112233"}, route: [{agent: anna}]}
fallback: queue
"""


def until(true: Callable[[], object], what: str, seconds: float = 20.0) -> float:
    """Wait for a condition; the seconds it took."""
    start = time.monotonic()
    while not true():
        assert time.monotonic() - start < seconds, f"not within {seconds} s: {what}"
        time.sleep(0.01)
    return time.monotonic() - start


class Running:
    """A router in a folder of its own, and a trunk that calls it."""

    source = "127.0.0.1"  # of the trunk

    def __init__(self, folder: Path, *, rules: str = RULES, start: bool = True) -> None:
        self.folder = folder
        with socket.socket(type=socket.SOCK_DGRAM) as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.settings = folder / "sipacr.yaml"
        self.rules = folder / "rules" / "rules.yaml"
        self.rules.parent.mkdir()
        self.settings.write_text(SETTINGS.format(port=self.port))
        self.rules.write_text(rules)
        self.log = folder / "log"
        self.calls = 0
        self.process: subprocess.Popen[bytes] | None = None
        ROUTERS.append(self)
        if start:
            self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "sipacr", "-c", str(self.settings), "run"]
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=output)
        until(lambda: self.alive() and self.answers(), f"the router answers\n{self.log.read_text()}")

    def alive(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        return True

    def stop(self) -> int:
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(10)

    def call(self, caller: str = "+48601000111", timeout: float = 5.0, call_id: str | None = None) -> bytes:
        """Send an INVITE, repeated as a UAC does, and return the answer; empty if none comes."""
        self.calls += 1
        data = invite(
            ("+48601000111@", f"{caller}@"),
            ("call-1@", f"{call_id or self.calls}@"),
            (";branch=", ";rport;branch="),
        )
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            sock.bind((self.source, 0))
            sock.settimeout(0.5)
            end = time.monotonic() + timeout
            while time.monotonic() < end:
                with contextlib.suppress(OSError):
                    sock.sendto(data, ("127.0.0.1", self.port))
                    return sock.recv(65535)
        return b""

    def answers(self) -> bool:
        return bool(self.call(timeout=0.2))

    def contacts(self, caller: str = "+48601000111") -> list[str]:
        """The users of the contacts that a call gets."""
        return [value.split("sip:")[1].split("@")[0] for value in header(self.call(caller), "Contact")]

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "sipacr", "-c", str(self.settings), *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    def status(self) -> dict[str, Any]:
        done = self.command("status", "--json")
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def kill_router(self) -> None:
        os.kill(int(self.status()["pid"]), signal.SIGKILL)


ROUTERS: list[Running] = []


@pytest.fixture(autouse=True)
def _none_is_left() -> Iterator[None]:
    """Stop the routers of a test, also of one that failed."""
    yield
    while ROUTERS:
        router = ROUTERS.pop()
        if router.process is not None and router.process.poll() is None:
            router.stop()


@pytest.fixture
def running(tmp_path: Path) -> Running:
    return Running(tmp_path)


def test_it_answers_shows_its_status_and_stops(running: Running) -> None:
    answer = running.call()
    assert code(answer) == 302
    assert header(answer, "X-Sipacr-Rule") == ["shop"]
    assert running.contacts() == ["101", "600"]
    status = running.status()
    assert status["calls"] >= 2
    assert status["our_faults"] == 0
    assert running.stop() == 0
    assert "stopped after" in running.log.read_text()
    gone = running.command("status")
    assert gone.returncode == 1
    assert "no router answers" in gone.stderr


def test_what_a_command_writes_is_seen_by_the_next_call(running: Running) -> None:
    assert running.contacts("+48602000222") == ["101", "600"]
    assert running.command("vip", "add", "602 000 222", "ivan").returncode == 0
    assert running.contacts("+48602000222") == ["102", "600"]


def test_a_caller_is_remembered_on_a_list_by_calling(tmp_path: Path) -> None:
    rules = RULES.replace("rules:", "lists: {white: {known: true}}\nrules:").replace(
        "route: [{agent: anna}]}", "route: [{agent: anna}], remember: {list: white, on: call}}"
    )
    running = Running(tmp_path, rules=rules)
    assert running.contacts("+48602000333") == ["101", "600"]
    until(lambda: running.command("list", "show", "white", "+48602000333").returncode == 0, "the caller is on the list")
    running.stop()


def test_reload_takes_a_good_set_and_refuses_a_bad_one_whole(running: Running) -> None:
    running.rules.write_text(RULES.replace("{agent: anna}", "{agent: ivan}"))
    assert running.contacts() == ["101", "600"]
    done = running.command("reload")
    assert (done.returncode, done.stdout.startswith("Reloaded")) == (0, True)
    assert running.contacts() == ["102", "600"]

    running.rules.write_text(RULES.replace("{agent: anna}", "{agent: ana}"))
    done = running.command("reload")
    assert done.returncode == 2
    assert "rules.yaml:4:" in done.stderr
    assert 'did you mean "anna"' in done.stderr
    assert running.contacts() == ["102", "600"]
    assert "ana" in json.dumps(running.status()["refused_reload"])

    running.settings.write_text(running.settings.read_text().replace("queue: 600@pbx", "queue: 601@pbx"))
    running.rules.write_text(RULES)
    assert running.process is not None
    running.process.send_signal(signal.SIGHUP)
    until(lambda: running.contacts() == ["101", "601"], "SIGHUP reloads")


def test_a_reload_can_be_told_to_refuse_what_breaks_golden_calls(running: Running) -> None:
    (running.folder / "rules" / "tests").mkdir()
    golden = (
        '- call: {caller: "+48601000111", dialled: "+48221112233", peer: trunk}\n  expect: {steps: [anna, queue]}\n'
    )
    (running.folder / "rules" / "tests" / "golden.yaml").write_text(golden)
    assert running.command("reload", "--test").returncode == 0
    running.rules.write_text(RULES.replace("{agent: anna}", "{agent: ivan}"))
    done = running.command("reload", "--test")
    assert done.returncode == 2
    assert "golden.yaml:1:" in done.stderr
    assert running.contacts() == ["101", "600"]
    assert running.command("reload").returncode == 0
    assert running.contacts() == ["102", "600"]


def test_a_killed_router_is_back_within_two_seconds_and_answers_alike(running: Running) -> None:
    before = running.call(call_id="the same")
    for _ in range(3):
        pid = running.status()["pid"]
        os.kill(pid, signal.SIGKILL)
        start = time.monotonic()
        assert code(running.call(timeout=10)) == 302
        assert time.monotonic() - start < 2.0
        until(lambda pid=pid: running.status()["pid"] != pid, "a new router shows its status")
    assert header(running.call(call_id="the same"), "To") == header(before, "To")
    assert "SIGKILL" in running.log.read_text()


def test_a_call_that_comes_while_no_router_runs_waits_in_the_socket(running: Running) -> None:
    os.kill(int(running.status()["pid"]), signal.SIGKILL)
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(10)
        sock.sendto(invite((";branch=", ";rport;branch=")), ("127.0.0.1", running.port))  # once, never repeated
        assert code(sock.recv(65535)) == 302


def test_broken_files_at_a_restart_are_answered_by_the_last_good_rules(running: Running) -> None:
    running.rules.write_text(RULES.replace("{agent: anna}", "{agent: ivan}"))
    assert running.command("reload").returncode == 0
    running.rules.write_text("rules: [half an edi")
    running.settings.write_text("listen: {")
    pid = running.log.stat().st_size
    child = int(subprocess.run(["pgrep", "-P", str(running.process.pid)], capture_output=True, text=True).stdout)  # type: ignore[union-attr]
    os.kill(child, signal.SIGKILL)
    assert running.contacts() == ["102", "600"]
    assert "last good rules" in running.log.read_text()[pid:]


def test_a_broken_calendar_at_a_restart_is_answered_by_the_kept_one(tmp_path: Path) -> None:
    (tmp_path / "cal").mkdir()
    calendar = tmp_path / "cal" / "pl.ics"
    good = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nEND:VCALENDAR\r\n"
    calendar.write_text(good)
    rules = RULES.replace("rules:", 'schedules: {always: {daily: "00:00-24:00", closed: [cal/pl.ics]}}\nrules:')
    running = Running(tmp_path, rules=rules.replace('when: {dialled: "+48221112233"}', "when: {during: always}"))
    calendar.write_text("garbage")
    running.kill_router()
    assert running.contacts() == ["101", "600"]
    until(lambda: running.status()["running_on"] == "last good rules", "status says so")
    calendar.write_text(good)
    assert running.command("reload").returncode == 0
    assert running.status()["running_on"] == "the files"
    running.stop()


def test_a_store_that_is_broken_from_the_start_keeps_no_call_waiting(tmp_path: Path) -> None:
    (tmp_path / "sipacr.db").write_bytes(b"this is no database" * 1000)
    running = Running(tmp_path)
    assert running.contacts() == ["101", "600"]
    done = running.command("reload")
    assert done.returncode == 0
    assert "is not a database" in done.stderr
    running.stop()


def test_a_name_that_cannot_be_resolved_costs_only_its_own_peer(tmp_path: Path) -> None:
    running = Running(tmp_path, start=False)
    text = running.settings.read_text()
    running.settings.write_text(
        text.replace("peers:", 'peers:\n  far: {role: trunk, address: "sip.invalid:5060", mode: redirect}')
    )
    running.start()
    assert running.contacts() == ["101", "600"]
    until(lambda: "sip.invalid cannot be resolved" in running.log.read_text(), "the log says so")
    done = running.command("reload")
    assert done.returncode == 0
    assert "sip.invalid cannot be resolved" in done.stderr
    running.stop()


def test_a_start_by_hand_with_errors_exits_2_and_tells_all_of_them(tmp_path: Path) -> None:
    broken = Running(tmp_path, rules=RULES.replace("fallback: queue", "fallback: qeue"), start=False)
    broken.settings.write_text(broken.settings.read_text().replace("country: PL", "country: PX"))
    done = broken.command("run")
    assert done.returncode == 2
    assert "sipacr.yaml:2:" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_in_use_is_told(running: Running, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    second = Running(other, start=False)
    second.settings.write_text(SETTINGS.format(port=running.port))
    done = second.command("run")
    assert done.returncode == 2
    assert f"cannot listen on udp 127.0.0.1 port {running.port}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_broken_store_costs_its_facts_and_no_call(running: Running) -> None:
    assert running.command("vip", "add", "+48602000222", "ivan").returncode == 0
    assert running.contacts("+48602000222") == ["102", "600"]
    store = running.folder / "sipacr.db"
    for suffix in ("", "-wal", "-shm"):
        path = store.with_name(store.name + suffix)
        if path.exists():
            path.unlink()
    store.write_bytes(b"this is no database" * 1000)
    until(lambda: running.contacts("+48602000222") == ["101", "600"], "the shop's rule goes on without the store")
    assert code(running.call()) == 302
    until(lambda: "look-up is broken" in running.log.read_text(), "the log says so")
    said = running.log.read_text().count("look-up is broken")
    for _ in range(20):
        assert code(running.call("+48602000222")) == 302
    assert running.log.read_text().count("look-up is broken") - said <= 1


def test_when_the_supervisor_is_gone_the_router_goes_too(running: Running) -> None:
    pid = int(running.status()["pid"])
    assert running.process is not None
    running.process.kill()
    running.process.wait(5)
    until(lambda: not Path(f"/proc/{pid}").exists(), "the router stops")


def test_a_router_that_hangs_is_ended_and_replaced(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    pid = int(running.status()["pid"])
    os.kill(pid, signal.SIGSTOP)
    until(lambda: not Path(f"/proc/{pid}").exists(), "the stopped router is ended", 40)
    assert code(running.call(timeout=10)) == 302
