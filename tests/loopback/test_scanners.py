"""Scanners before a running router: sipvicious finds nobody and is banned, the same from a peer's address is not."""

import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sip_messages import request
from test_service import ROUTERS, Running, _none_is_left, until  # noqa: F401  # the fixture ends the routers

pytestmark = pytest.mark.loopback

STRANGER = "127.0.0.1"  # the tools call from there, whatever they are told
TRUNK = "127.0.0.3"
TOOLS = Path(sys.executable).parent


def bans(running: Running) -> list[dict[str, Any]]:
    done = running.command("bans", "list", "--json")
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def scan(running: Running, tool: str, *words: str) -> str:
    program = TOOLS / f"sipvicious_{tool}"
    if not program.exists() and not shutil.which(program.name):
        pytest.skip("sipvicious is not installed")
    line = [str(program), *words, "-p", str(running.port), "127.0.0.1"]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, cwd=running.folder)
    return done.stdout + done.stderr


@pytest.mark.parametrize("strangers", ["silent", "refuse"])
def test_scanners_find_nobody_and_are_banned(tmp_path: Path, strangers: str) -> None:
    running = Running(tmp_path, start=False)
    running.source = TRUNK
    settings = running.settings.read_text().replace("127.0.0.1:5070", f"{TRUNK}:5070")
    running.settings.write_text(f"strangers: {strangers}\n{settings}")
    running.start()
    said = scan(running, "svmap", "-m", "OPTIONS")
    said += scan(running, "svwar", "-e", "100-130", "-m", "INVITE", "--force")
    said += scan(running, "svcrack", "-u", "101", "-r", "100-120")
    assert "sipacr" not in said.lower()
    assert "reqauth" not in said
    assert not any(f"| {extension} " in said for extension in range(100, 131)), said
    assert "password of" not in said.lower()
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind((STRANGER, 0))
        for _ in range(10):  # the tools give up early where nobody answers
            sock.sendto(request("REGISTER"), ("127.0.0.1", running.port))
    until(lambda: bans(running), "banned")
    (ban,) = bans(running)
    assert ban["address"] == STRANGER
    assert "10 requests" in ban["why"]
    assert running.contacts() == ["101", "600"]  # calls go on


def test_the_same_from_a_peer_is_no_reason_for_a_ban(tmp_path: Path) -> None:
    running = Running(tmp_path)
    scan(running, "svwar", "-e", "100-130", "-m", "OPTIONS", "--force")
    assert bans(running) == []
    assert running.contacts() == ["101", "600"]


def test_bans_by_command_survive_a_restart(tmp_path: Path) -> None:
    running = Running(tmp_path)
    assert running.command("bans", "add", "127.0.0.1").returncode == 1  # the trunk
    assert running.command("bans", "add", "x").returncode == 2
    assert running.command("bans", "add", "203.0.113.7", "--for", "2h").returncode == 0
    assert running.command("bans", "add", "2001:0db8::7").returncode == 0
    file = running.folder / "sipacr.bans"
    until(lambda: file.exists() and "2001:db8::7" in file.read_text(), "the bans are written")
    running.stop()
    running.start()
    assert [ban["address"] for ban in bans(running)] == ["203.0.113.7", "2001:db8::7"]
    assert "until" in running.command("bans", "list").stdout
    commands = running.command("bans", "list", "--nft").stdout.splitlines()
    assert commands[-2].startswith("add element inet sipacr banned4 { 203.0.113.7 timeout 7")
    assert commands[-1].startswith("add element inet sipacr banned6 { 2001:db8::7 timeout 3")
    assert running.command("bans", "remove", "203.0.113.7").returncode == 0
    assert running.command("bans", "remove", "203.0.113.7").returncode == 1
    assert [ban["address"] for ban in bans(running)] == ["2001:db8::7"]


def test_connections_of_a_stranger_count_too(tmp_path: Path) -> None:
    running = Running(tmp_path)
    for _ in range(12):
        with socket.create_connection(("127.0.0.1", running.port), source_address=("127.0.0.66", 0)) as sock:
            sock.settimeout(5)
            assert sock.recv(10) == b""
    (ban,) = bans(running)
    assert ban["why"] == "10 requests of no peer (tcp)"
