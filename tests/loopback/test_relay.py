"""Relayed calls through a running router, on real sockets: each transport on either side, registrations of connections,
drops of connections, a stop while people talk."""

import contextlib
import re
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sipacr.calls.message import Message, parse
from sipacr.calls.transactions import response_to

pytestmark = pytest.mark.loopback

SETTINGS = """\
listen: {{udp: "127.0.0.1:{port}", tcp: "127.0.0.1:{port}", tls: "127.0.0.1:{tls}", public: 203.0.113.10}}
tls: {{certificate: our.crt, key: our.key, ca: ca.crt}}
numbers: {{country: PL, timezone: Europe/Warsaw, own: {{"+48221112233": Shop}}}}
peers:
  trunk: {{role: trunk, address: "127.0.0.1:{trunk}", mode: relay, transport: {trunk_by}, connect: 2s}}
  pbx: {{role: pbx, address: "{pbx_host}:{pbx}", sources: "127.0.0.2", mode: redirect, transport: {pbx_by}, connect: 2s}}
destinations: {{queue: 600@pbx}}
outgoing_via: [trunk]
drain: {drain}
"""
RULES = """\
agents: {anna: {extension: 101}}
rules:
  - {name: shop, when: {dialled: "+48221112233"}, route: [{agent: anna, ring: 20s}], else: end}
fallback: queue
"""
SDP = b"v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n"


class Line:
    """One end of a signalling way: a UDP socket, or a connection. Reads and writes whole messages."""

    def __init__(self, sock: socket.socket, far: tuple[str, int] | None) -> None:
        self.sock = sock
        self.far = far
        self._buffer = b""
        sock.settimeout(8)

    def send(self, message: Message) -> None:
        data = message.render()
        if self.sock.type == socket.SOCK_DGRAM:
            assert self.far is not None
            self.sock.sendto(data, self.far)
        else:
            self.sock.sendall(data)

    def receive(self) -> Message:
        """The next message; 100 Trying is passed over."""
        while True:
            message = self._next()
            if message.code != 100:
                return message

    def _next(self) -> Message:
        if self.sock.type == socket.SOCK_DGRAM:
            data, self.far = self.sock.recvfrom(65535)
            head, _, body = data.partition(b"\r\n\r\n")
            return parse(head + b"\r\n\r\n", body)
        while True:
            head, empty, rest = self._buffer.partition(b"\r\n\r\n")
            length = int(re.search(rb"\r\nContent-Length: (\d+)", head + b"\r\nContent-Length: 0")[1])  # type: ignore[index]
            if empty and len(rest) >= length:
                self._buffer = rest[length:]
                return parse(head + b"\r\n\r\n", rest[:length])
            data = self.sock.recv(65535)
            if not data:
                raise ConnectionError("closed")
            self._buffer += data

    def expect(self, what: str | int) -> Message:
        message = self.receive()
        assert what in (message.method, message.code), message.render().decode()
        return message

    def answer(self, request: Message, code: int, tag: str, *, contact: str = "", body: bytes = b"") -> None:
        headers = [("Contact", f"<sip:{contact}>")] if contact else []
        headers += [("Content-Type", "application/sdp")] if body else []
        response = response_to(request, code, "Test", "" if "tag=" in (request.get("To") or "") else tag, headers)
        response.body = body
        self.send(response)


class World:
    """A running router, a trunk and a PBX on sockets of the test."""

    def __init__(
        self,
        folder: Path,
        trunk_by: str = "udp",
        pbx_by: str = "udp",
        drain: str = "20s",
        more: str = "",
        **values: str,
    ) -> None:
        self.folder = folder
        self.trunk_by, self.pbx_by = trunk_by, pbx_by
        self.ports = {name: _free() for name in ("port", "tls", "trunk", "pbx", "metrics")}
        certificates(folder)
        for name in ("trunk", "pbx"):
            host = "127.0.0.2" if name == "pbx" and pbx_by != "tls" else "127.0.0.1"  # that is `localhost`
            by = trunk_by if name == "trunk" else pbx_by
            sock = socket.socket(type=socket.SOCK_DGRAM if by == "udp" else socket.SOCK_STREAM)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((host, self.ports[name]))
            if by != "udp":
                sock.listen()
                sock.settimeout(8)
            setattr(self, f"_{name}", sock)
        values.setdefault("pbx_host", "localhost" if pbx_by == "tls" else "127.0.0.2")
        text = (SETTINGS + more).format(**self.ports, trunk_by=trunk_by, pbx_by=pbx_by, drain=drain, **values)
        (folder / "sipacr.yaml").write_text(text)
        (folder / "rules").mkdir()
        (folder / "rules/rules.yaml").write_text(RULES)
        self.log = folder / "log"
        with self.log.open("ab") as output:
            command = [sys.executable, "-m", "sipacr", "-c", str(folder / "sipacr.yaml"), "run"]
            self.process = subprocess.Popen(command, stdout=output, stderr=output)
        WORLDS.append(self)
        until(lambda: "answers on" in self.log.read_text(), self.log)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
        for sock in (self._trunk, self._pbx):  # type: ignore[attr-defined]
            sock.close()

    def trunk(self) -> Line:
        """Where calls come from."""
        far = ("127.0.0.1", self.ports["tls" if self.trunk_by == "tls" else "port"])
        if self.trunk_by == "udp":
            return Line(self._trunk, far)  # type: ignore[attr-defined]
        sock = socket.create_connection(far)
        if self.trunk_by == "tls":
            context = ssl.create_default_context(cafile=str(self.folder / "ca.crt"))
            sock = context.wrap_socket(sock, server_hostname="sipacr.test")
        return Line(sock, None)

    def pbx(self) -> Line:
        """Where calls go to; a connection is accepted."""
        if self.pbx_by == "udp":
            return Line(self._pbx, None)  # type: ignore[attr-defined]
        sock, _ = self._pbx.accept()  # type: ignore[attr-defined]
        if self.pbx_by == "tls":
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(self.folder / "ca.crt"))
            context.load_cert_chain(self.folder / "pbx.crt", self.folder / "pbx.key")
            context.verify_mode = ssl.CERT_REQUIRED
            sock = context.wrap_socket(sock, server_side=True)
        return Line(sock, None)

    def request(
        self, method: str, *, call: str = "a", to: str = "", seq: int = 1, uri: str = "", body: bytes = b""
    ) -> Message:
        """What the trunk sends."""
        port = self.ports["trunk"]
        branch = seq if method in ("ACK", "CANCEL") else f"{seq}{method}"
        branch = f"{seq}INVITE" if method == "CANCEL" else branch
        headers = [
            ("Via", f"SIP/2.0/{self.trunk_by.upper()} 127.0.0.1:{port};branch=z9hG4bK{call}{branch};rport"),
            ("Max-Forwards", "70"),
            ("From", "<sip:+48601000111@trunk.example>;tag=t1"),
            ("To", to or "<sip:+48221112233@127.0.0.1>"),
            ("Call-ID", f"call-{call}"),
            ("CSeq", f"{seq} {method}"),
            ("Contact", f"<sip:trunk@127.0.0.1:{port};transport={self.trunk_by}>"),
        ]
        headers += [("Content-Type", "application/sdp")] if body else []
        return Message(method, uri or "sip:+48221112233@127.0.0.1", headers=headers, body=body)


WORLDS: list[World] = []


@pytest.fixture(autouse=True)
def _none_is_left() -> Iterator[None]:
    yield
    while WORLDS:
        WORLDS.pop().close()


def until(true: Callable[[], object], log: Path, seconds: float = 20.0) -> None:
    start = time.monotonic()
    while not true():
        assert time.monotonic() - start < seconds, log.read_text()
        time.sleep(0.01)


def _free() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def certificates(folder: Path) -> None:
    """A CA, our pair and the PBX's, which is `localhost`."""
    run = lambda *words: subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)  # noqa: E731
    run(
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-keyout",
        "ca.key",
        "-out",
        "ca.crt",
        "-days",
        "2",
        "-subj",
        "/CN=Test CA",
    )
    for name, host in (("our", "sipacr.test"), ("pbx", "localhost"), ("stranger", "elsewhere.test")):
        run(
            "req",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-keyout",
            f"{name}.key",
            "-out",
            f"{name}.csr",
            "-subj",
            f"/CN={host}",
        )
        (folder / f"{name}.ext").write_text(f"subjectAltName=DNS:{host}\n")
        run(
            "x509",
            "-req",
            "-in",
            f"{name}.csr",
            "-CA",
            "ca.crt",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-days",
            "2",
            "-out",
            f"{name}.crt",
            "-extfile",
            f"{name}.ext",
        )


def talk(world: World) -> tuple[Line, Line, Message, Message]:
    """Both sides in a call: trunk, PBX, the 200 that the trunk got, the INVITE that the PBX got."""
    trunk = world.trunk()
    trunk.send(world.request("INVITE", body=SDP))
    pbx = world.pbx()
    invite = pbx.expect("INVITE")
    pbx.answer(invite, 180, "p1", contact="anna@127.0.0.2")
    trunk.expect(180)
    pbx.answer(invite, 200, "p1", contact=f"anna@127.0.0.2:{world.ports['pbx']}", body=SDP)
    answered = trunk.expect(200)
    assert answered.body == invite.body == SDP
    pbx.expect("ACK")
    trunk.send(world.request("ACK", to=answered.get("To") or ""))
    return trunk, pbx, answered, invite


@pytest.mark.parametrize("pbx_by", ["udp", "tcp", "tls"])
@pytest.mark.parametrize("trunk_by", ["udp", "tcp", "tls"])
def test_a_call_on_any_two_transports(tmp_path: Path, trunk_by: str, pbx_by: str) -> None:
    world = World(tmp_path, trunk_by, pbx_by)
    trunk, pbx, answered, invite = talk(world)
    port = world.ports["tls" if pbx_by == "tls" else "port"]
    assert invite.uri.startswith("sip:101@")
    assert (invite.get("Via") or "").startswith(f"SIP/2.0/{pbx_by.upper()} 127.0.0.1:{port};branch=z9hG4bK")
    suffix = "" if pbx_by == "udp" else f";transport={pbx_by}"
    assert invite.get("Contact") == f"<sip:127.0.0.1:{port}{suffix}>"
    towards_trunk = answered.get("Contact") or ""  # who may not be able to reach us by our own address
    assert towards_trunk.startswith(f"<sip:203.0.113.10:{world.ports['tls' if trunk_by == 'tls' else 'port']}")
    pbx.send(Message("BYE", "sip:x", headers=[
        ("Via", f"SIP/2.0/{pbx_by.upper()} 127.0.0.2:{world.ports['pbx']};branch=z9hG4bKbye"),
        ("From", (invite.get("To") or "") + ";tag=p1"), ("To", invite.get("From") or ""),
        ("Call-ID", invite.get("Call-ID") or ""), ("CSeq", "7 BYE"), ("Max-Forwards", "70"),
    ]))  # fmt: skip
    pbx.expect(200)
    bye = trunk.expect("BYE")
    trunk.answer(bye, 200, "")


def test_a_caller_gives_up(tmp_path: Path) -> None:
    world = World(tmp_path)
    trunk, pbx = world.trunk(), world.pbx()
    trunk.send(world.request("INVITE", body=SDP))
    trunk.send(world.request("INVITE", body=SDP))  # a repeat is no second call
    invite = pbx.expect("INVITE")
    pbx.answer(invite, 180, "p1", contact="anna@127.0.0.2")
    trunk.expect(180)
    trunk.send(world.request("CANCEL"))
    answers = {trunk.receive().code for _ in range(3)}
    assert answers >= {200, 487}
    assert pbx.expect("CANCEL").get("Call-ID") == invite.get("Call-ID")


def test_what_is_none_of_the_relays_is_answered_as_ever(tmp_path: Path) -> None:
    world = World(tmp_path)
    talk(world)
    trunk = world.trunk()
    for method, code in (("BYE", 481), ("OPTIONS", 200), ("CANCEL", 481), ("REFER", 405), ("FOO", 501)):
        trunk.send(world.request(method, call="other"))
        assert trunk.receive().code == code
    trunk.send(world.request("INFO", call="other", to="<sip:x@y>;tag=none"))
    assert trunk.expect(481)


def test_a_closed_port_and_a_refused_connection_end_the_step_soon(tmp_path: Path) -> None:
    for number, by in enumerate(("udp", "tcp", "tls")):
        folder = tmp_path / by
        folder.mkdir()
        world = World(folder, "udp", by)
        world._pbx.close()  # type: ignore[attr-defined]
        trunk = world.trunk()
        started = time.monotonic()
        trunk.send(world.request("INVITE", call=f"c{number}", body=SDP))
        while (answer := trunk.receive()).code < 200:
            pass
        assert answer.code >= 400
        assert time.monotonic() - started < 6


def test_a_certificate_of_somebody_else_is_no_way(tmp_path: Path) -> None:
    world = World(tmp_path, "udp", "tls", pbx_host="127.0.0.1")  # its certificate names no address
    trunk = world.trunk()
    trunk.send(world.request("INVITE", body=SDP))
    with contextlib.suppress(OSError):  # we hang up before it has finished
        world.pbx()
    assert trunk.receive().code >= 400
    assert "its certificate is of somebody else" in world.log.read_text()


def test_the_connection_of_a_ringing_caller_dies(tmp_path: Path) -> None:
    world = World(tmp_path, "tcp", "udp")
    trunk, pbx = world.trunk(), world.pbx()
    trunk.send(world.request("INVITE", body=SDP))
    invite = pbx.expect("INVITE")
    pbx.answer(invite, 180, "p1", contact="anna@127.0.0.2")
    trunk.expect(180)
    trunk.sock.close()
    pbx.expect("CANCEL")


def test_a_stop_waits_for_the_calls(tmp_path: Path) -> None:
    world = World(tmp_path)
    trunk, pbx, answered, _ = talk(world)
    world.process.terminate()
    until(lambda: "1 calls have 20 s to end" in world.log.read_text(), world.log)
    trunk.send(world.request("INVITE", call="late", body=SDP))
    refused = trunk.expect(503)
    assert refused.get("Retry-After")
    assert world.process.poll() is None
    trunk.send(world.request("BYE", to=answered.get("To") or "", seq=2))
    trunk.expect(200)
    bye = pbx.expect("BYE")
    pbx.answer(bye, 200, "")
    assert world.process.wait(10) == 0


def test_a_stop_hangs_up_when_the_time_is_over(tmp_path: Path) -> None:
    world = World(tmp_path, drain="1s")
    trunk, pbx, *_ = talk(world)
    world.process.terminate()
    for line in (trunk, pbx):
        bye = line.expect("BYE")
        assert "Router stopped" in (bye.get("Reason") or "")
        line.answer(bye, 200, "")
    assert world.process.wait(10) == 0


def test_a_second_signal_stops_at_once(tmp_path: Path) -> None:
    world = World(tmp_path)
    talk(world)
    world.process.terminate()
    until(lambda: "1 calls have 20 s to end" in world.log.read_text(), world.log)
    started = time.monotonic()
    world.process.terminate()
    assert world.process.wait(10) == 0
    assert time.monotonic() - started < 3
