"""Who talked to whom is learned from calls through a running router, on real sockets, and acts on the next call."""

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sipacr.calls.message import Headers, Message, parse
from sipacr.calls.transactions import response_to

pytestmark = pytest.mark.loopback

CUSTOMER, SHOP = "+48601000111", "+48221112233"
SETTINGS = """\
listen: {{udp: "127.0.0.1:{port}"}}
numbers: {{country: PL, timezone: Europe/Warsaw, own: {{"+48221112233": Shop}}, extensions: "1??"}}
peers:
  trunk: {{role: trunk, address: "127.0.0.1:{trunk}", mode: relay, connect: 2s}}
  pbx: {{role: pbx, address: "127.0.0.2:{pbx}", mode: relay, connect: 2s, trusted: true}}
destinations: {{queue: 600@pbx, box: {{to: 700@pbx, voicemail: true}}}}
outgoing_via: [trunk]
{more}
"""
RULES = """\
agents: {anna: {extension: 101}, ivan: {extension: 102}, olga: {extension: 103}}
sticky:
  returning: {preset: acr}
  missed: {preset: vipex-1, ttl: 3d}
lists: {clients: {known: true}}
rules:
  - {name: back, route: [{sticky: returning, ring: 5s}], else: next, remember: {list: clients, on: answer}}
  - {name: shop, route: [{to: queue}], else: end}
fallback: queue
"""
SDP = b"v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n"
BODY = [("Content-Type", "application/sdp")]


class End:
    """A trunk or a PBX: one UDP socket."""

    def __init__(self, host: str, router: int) -> None:
        self.sock = socket.socket(type=socket.SOCK_DGRAM)
        self.sock.bind((host, 0))
        self.sock.settimeout(8)
        self.host, self.port = self.sock.getsockname()
        self.router = ("127.0.0.1", router)

    def send(self, message: Message) -> None:
        self.sock.sendto(message.render(), self.router)

    def expect(self, what: str | int) -> Message:
        """The next message but 100, which must be this one; repeats of others are passed over."""
        until = time.monotonic() + 8
        while time.monotonic() < until:
            head, _, body = self.sock.recv(65535).partition(b"\r\n\r\n")
            message = parse(head + b"\r\n\r\n", body)
            if what in (message.method, message.code):
                return message
            assert message.code == 100 or message.method in ("ACK", "BYE", "INVITE"), message.render().decode()
        raise AssertionError(f"no {what}")

    def answer(self, request: Message, code: int, headers: Headers | None = None) -> None:
        to = "" if "tag=" in (request.get("To") or "") else "us"
        found = [("Contact", f"<sip:us@{self.host}:{self.port}>"), *(headers or [])]
        response = response_to(request, code, "Test", to, found + (BODY if code == 200 else []))
        response.body = SDP if code == 200 else b""
        self.send(response)

    def invite(self, call: str, caller: str, dialled: str, headers: Headers | None = None) -> Message:
        message = Message("INVITE", f"sip:{dialled}@127.0.0.1", headers=[
            ("Via", f"SIP/2.0/UDP {self.host}:{self.port};branch=z9hG4bK{call};rport"), ("Max-Forwards", "70"),
            ("From", f"<sip:{caller}@{self.host}>;tag=f{call}"), ("To", f"<sip:{dialled}@127.0.0.1>"),
            ("Call-ID", call), ("CSeq", "1 INVITE"), ("Contact", f"<sip:us@{self.host}:{self.port}>"),
            *(headers or []), *BODY,
        ], body=SDP)  # fmt: skip
        self.send(message)
        return message

    def within(self, invite: Message, other: str, method: str, seq: int, *, caller: bool, **more: object) -> None:
        """A request inside the dialog; `other`: the To of its beginning as the far end tagged it."""
        ours = (invite.get("From") or "") if caller else f"{invite.get('To')};tag=us"
        headers = [
            ("Via", f"SIP/2.0/UDP {self.host}:{self.port};branch=z9hG4bK{invite.get('Call-ID')}{seq}{method};rport"),
            ("Max-Forwards", "70"), ("From", ours), ("To", other if caller else invite.get("From") or ""),
            ("Call-ID", invite.get("Call-ID") or ""), ("CSeq", f"{seq} {method}"),
            ("Contact", f"<sip:us@{self.host}:{self.port}>"), *more.get("headers", ()),  # type: ignore[misc]
        ]  # fmt: skip
        self.send(Message(method, "sip:127.0.0.1", headers=headers))


class World:
    """A running router between a trunk and a PBX."""

    def __init__(self, folder: Path, more: str = "") -> None:
        self.folder = folder
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            port = sock.getsockname()[1]
        self.trunk, self.pbx = End("127.0.0.1", port), End("127.0.0.2", port)
        text = SETTINGS.format(port=port, trunk=self.trunk.port, pbx=self.pbx.port, more=more)
        (folder / "sipacr.yaml").write_text(text)
        (folder / "rules").mkdir()
        (folder / "rules/rules.yaml").write_text(RULES)
        self.log = folder / "log"
        self.start()

    def start(self) -> None:
        self.log.write_text("")
        with self.log.open("ab") as output:
            command = [sys.executable, "-m", "sipacr", "-c", str(self.folder / "sipacr.yaml"), "run"]
            self.process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
        WORLDS.append(self)
        self.logged("answers on")

    def logged(self, text: str) -> None:
        until = time.monotonic() + 20
        while text not in self.log.read_text():
            assert time.monotonic() < until, f"{text!r} is not in the log:\n{self.log.read_text()}"
            time.sleep(0.01)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """kill -9 of the router and its supervisor at once."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(20)

    def sipacr(self, *words: str, **more: object) -> str:
        command = [sys.executable, "-m", "sipacr", "-c", str(self.folder / "sipacr.yaml"), *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, **more)  # type: ignore[call-overload]
        assert done.returncode == 0, done.stdout + done.stderr
        return str(done.stdout)

    def rows(self, profile: str = "returning") -> list[tuple[str, str]]:
        with sqlite3.connect(self.folder / "sipacr.db") as database:
            found = database.execute("SELECT customer, agent FROM bindings WHERE profile = ? ORDER BY 2", (profile,))
            return found.fetchall()

    def customer_calls(self, call: str, naming: str = "") -> tuple[str, Message, str]:
        """He calls, whoever is rung answers, named so by the PBX: who was rung, the PBX's INVITE, and To of the 200."""
        invite = self.trunk.invite(call, CUSTOMER, SHOP)
        leg = self.pbx.expect("INVITE")
        self.pbx.answer(leg, 200, [("P-Asserted-Identity", f"<sip:{naming}@pbx>")] if naming else [])
        answered = self.trunk.expect(200).get("To") or ""
        self.trunk.within(invite, answered, "ACK", 1, caller=True)
        self.pbx.expect("ACK")
        return re.findall(r"sip:([^@]+)@", leg.uri)[0], leg, answered

    def pbx_hangs_up(self, leg: Message) -> None:
        self.pbx.within(leg, "", "BYE", 7, caller=False)
        self.pbx.expect(200)
        self.trunk.answer(self.trunk.expect("BYE"), 200)


WORLDS: list[World] = []


@pytest.fixture(autouse=True)
def _none_is_left() -> Iterator[None]:
    yield
    while WORLDS:
        WORLDS.pop().close()


def until(true: Callable[[], object], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_the_customer_comes_back_to_who_talked_with_him(tmp_path: Path) -> None:
    """S0.5: first the queue, where anna answers; then anna at once, even while they still talk."""
    world = World(tmp_path)
    rung, first, _ = world.customer_calls("one", naming="101")
    assert rung == "600"
    world.logged("binding made: returning: +48601000111 to anna")
    rung, second, _ = world.customer_calls("two")
    assert rung == "101"
    world.pbx_hangs_up(first)
    world.pbx_hangs_up(second)
    rung, third, _ = world.customer_calls("three", naming="102")  # ivan picks up what rings at anna's
    assert rung == "101"
    world.pbx_hangs_up(third)
    until(lambda: world.rows() == [(CUSTOMER, "anna"), (CUSTOMER, "ivan")])
    rung, fourth, _ = world.customer_calls("four")
    assert rung == "102"
    world.pbx_hangs_up(fourth)
    assert CUSTOMER in world.sipacr("list", "show", "clients")  # S2.3


def test_connected_line_names_who_took_the_call_over(tmp_path: Path) -> None:
    world = World(tmp_path)
    _, leg, _ = world.customer_calls("one")  # the queue itself has answered
    world.pbx.within(leg, "", "UPDATE", 5, caller=False, headers=[("P-Asserted-Identity", '"Olga" <sip:103@pbx>')])
    world.trunk.answer(world.trunk.expect("UPDATE"), 200)
    world.pbx.expect(200)
    until(lambda: world.rows() == [(CUSTOMER, "olga")])
    world.pbx_hangs_up(leg)
    rung, leg, _ = world.customer_calls("two")
    assert rung == "103"
    world.pbx_hangs_up(leg)


def test_an_outgoing_call_binds_at_its_attempt(tmp_path: Path) -> None:
    """S0.6: the extension calls the customer; before anything else happens, his call goes to it."""
    world = World(tmp_path)
    world.pbx.invite("out", "102", CUSTOMER)
    leg = world.trunk.expect("INVITE")
    world.trunk.answer(leg, 180)
    world.pbx.expect(180)
    until(lambda: world.rows() == [(CUSTOMER, "ivan")])
    assert world.rows("missed") == []  # nothing has failed yet
    world.trunk.answer(leg, 486)
    world.pbx.expect(486)
    until(lambda: world.rows("missed") == [(CUSTOMER, "ivan")])
    rung, back, _ = world.customer_calls("back")
    assert rung == "102"
    world.pbx_hangs_up(back)


def test_kill_9_loses_nothing_that_the_log_has_told(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.customer_calls("one", naming="101")
    world.logged("binding made: returning: +48601000111 to anna")
    world.kill()
    assert world.rows() == [(CUSTOMER, "anna")]
    world.start()
    world.logged("one: lost in a crash")
    with sqlite3.connect(tmp_path / "sipacr.db") as database:
        assert database.execute("SELECT outcome FROM records").fetchall() == [("lost",)]
        assert database.execute("SELECT in_progress FROM bindings").fetchall() == [(0,)]
    rung, leg, _ = world.customer_calls("two")
    assert rung == "101"
    world.pbx_hangs_up(leg)


def test_a_voicemail_teaches_nothing(tmp_path: Path) -> None:
    world = World(tmp_path)
    _, leg, _ = world.customer_calls("one", naming="700")
    world.pbx_hangs_up(leg)
    with sqlite3.connect(tmp_path / "sipacr.db") as database:
        until(lambda: database.execute("SELECT outcome, ended > 0 FROM records").fetchall() == [("voicemail", 1)])
    assert world.rows() == []


def test_an_agent_who_leaves_to_another_one(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.sipacr("sticky", "set", "returning", CUSTOMER, "anna")
    world.sipacr("agent", "leave", "anna", "--to", "ivan")
    world.logged("agents who have left: anna to ivan; on leave: -")
    rung, leg, _ = world.customer_calls("one")
    assert rung == "102"
    world.pbx_hangs_up(leg)
    world.sipacr("sticky", "forget", "returning", CUSTOMER, "--agent", "ivan")
    world.sipacr("agent", "leave", "anna")
    world.logged("agents who have left: anna to nobody")
    rung, leg, _ = world.customer_calls("two")
    assert rung == "600"
    world.pbx_hangs_up(leg)
    world.sipacr("agent", "back", "anna")
    world.logged("agents who have left: -")
    rung, leg, _ = world.customer_calls("three")
    assert rung == "101"
    world.pbx_hangs_up(leg)


def test_what_a_webhook_tells_acts_on_the_next_call(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("0123456789abcdef\n")
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    world = World(tmp_path, f"learn: {{http: '127.0.0.1:{port}', token_file: token}}")
    call = {
        "time": time.time() - 60, "direction": "in", "customer": CUSTOMER, "agent": "103", "answered": "yes",
        "talk": 30, "uid": "1.1",
    }  # fmt: skip
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/calls",
        data=json.dumps(call).encode(),
        headers={"Authorization": "Bearer 0123456789abcdef", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 202
    until(lambda: world.rows() == [(CUSTOMER, "olga")])
    rung, leg, _ = world.customer_calls("one")
    assert rung == "103"
    world.pbx_hangs_up(leg)
