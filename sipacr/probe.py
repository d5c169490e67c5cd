"""One real INVITE to a running router, over the wire, and every message that comes of it (`sipacr probe`)."""

import contextlib
import secrets
import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

Transport = Literal["udp", "tcp", "tls"]

_T1 = 0.5  # seconds (RFC 3261 17.1.1.1)
_LONGEST = 65_535
_USER = "-_.!~*'()&=+$,;?/"  # what may stand unescaped in a user part (RFC 3261 25.1)


class NoSuchSource(Exception):
    """The probe cannot send from the address it was told."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One message that crossed the wire."""

    sent: bool  # by us
    after: float  # seconds since the INVITE
    text: str

    @property
    def code(self) -> int:
        """The status code of a response, 0 for a request."""
        first = self.text.split("\r\n", 1)[0].split(" ")
        return int(first[1]) if first[0] == "SIP/2.0" and len(first) > 1 and first[1].isdigit() else 0


@dataclass(frozen=True, slots=True)
class Probe:
    """What to send, and where."""

    caller: str
    dialled: str
    host: str
    port: int
    transport: Transport = "udp"
    source: str | None = None  # our own address; a peer's, or the router will not answer
    headers: Sequence[str] = ()  # "Name: value"
    timeout: float = 4.0  # seconds


def run(probe: Probe) -> Iterator[Shown]:
    """Send the INVITE and yield every message, ours too, until a final response was acknowledged or time is over.

    A call that is answered is ended at once. Raises OSError (nothing listens, TLS refused), NoSuchSource.
    """
    with contextlib.closing(_connect(probe)) as sock:
        yield from _talk(probe, sock)


def _connect(probe: Probe) -> socket.socket:
    family = socket.AF_INET6 if ":" in probe.host else socket.AF_INET
    kind = socket.SOCK_DGRAM if probe.transport == "udp" else socket.SOCK_STREAM
    sock = socket.socket(family, kind)
    try:
        if probe.source:
            try:
                sock.bind((probe.source, 0))
            except OSError as error:
                raise NoSuchSource(f"{probe.source} cannot be our own address: {error.strerror or error}") from error
        sock.settimeout(probe.timeout)
        sock.connect((probe.host, probe.port))
        if probe.transport == "tls":
            context = ssl.create_default_context()
            context.check_hostname = False  # a probe asks whether calls are answered, not by whose certificate
            context.verify_mode = ssl.CERT_NONE
            sock = context.wrap_socket(sock)
    except BaseException:
        sock.close()
        raise
    return sock


def _talk(probe: Probe, sock: socket.socket) -> Iterator[Shown]:
    started = time.monotonic()
    call = _Call(probe, sock.getsockname()[0], sock.getsockname()[1])
    invite = call.request("INVITE")
    sock.sendall(invite.encode())
    yield Shown(True, 0.0, invite)
    resend, interval, buffer = started + _T1, _T1, b""
    while (now := time.monotonic()) < started + probe.timeout:
        if probe.transport == "udp" and now >= resend:
            sock.sendall(invite.encode())
            yield Shown(True, now - started, invite)
            interval *= 2
            resend = now + interval
        sock.settimeout(max(0.01, min(started + probe.timeout, resend if probe.transport == "udp" else 1e9) - now))
        try:
            data = sock.recv(_LONGEST)
        except TimeoutError:
            continue
        if not data:
            return
        buffer = data if probe.transport == "udp" else buffer + data
        while (message := _cut(buffer)) is not None:
            text, buffer = message
            shown = Shown(False, time.monotonic() - started, text)
            yield shown
            resend = float("inf")  # a response has come: no more retransmissions (17.1.1.2)
            for ours in call.reactions(shown):
                sock.sendall(ours.encode())
                yield Shown(True, time.monotonic() - started, ours)
            if shown.code >= 200:
                return


def _cut(buffer: bytes) -> tuple[str, bytes] | None:
    """The first whole message of the buffer, and the rest."""
    head, found, rest = buffer.partition(b"\r\n\r\n")
    if not found:
        return None
    length = 0
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() in (b"content-length", b"l") and value.strip().isdigit():
            length = int(value)
    if len(rest) < length:
        return None
    return (head + found + rest[:length]).decode("utf-8", "replace"), rest[length:]


class _Call:
    """The ids of one probe and the requests made with them."""

    def __init__(self, probe: Probe, address: str, port: int) -> None:
        self._probe = probe
        host = f"[{address}]" if ":" in address else address
        self._here = f"{host}:{port}"
        self._branch = "z9hG4bK" + secrets.token_hex(8)
        self._call_id = f"probe-{secrets.token_hex(8)}"
        self._tag = secrets.token_hex(4)
        target = f"[{probe.host}]" if ":" in probe.host else probe.host
        scheme = "sips" if probe.transport == "tls" else "sip"
        self._caller = quote(probe.caller, safe=_USER)
        self._uri = f"{scheme}:{quote(probe.dialled, safe=_USER)}@{target}:{probe.port}"
        self._scheme = scheme

    def request(self, method: str, to: str | None = None, branch: str | None = None) -> str:
        """A request of this call with its number in the sequence; the INVITE carries an offer."""
        body = _offer(self._here) if method == "INVITE" else ""
        lines = [
            f"{method} {self._uri} SIP/2.0",
            f"Via: SIP/2.0/{self._probe.transport.upper()} {self._here};rport;branch={branch or self._branch}",
            "Max-Forwards: 70",
            f"From: <sip:{self._caller}@{self._here}>;tag={self._tag}",
            f"To: {to or f'<{self._uri}>'}",
            f"Call-ID: {self._call_id}",
            f"CSeq: {2 if method == 'BYE' else 1} {method}",
        ]
        if method == "INVITE":
            lines += [f"Contact: <{self._scheme}:{self._caller}@{self._here}>", *self._probe.headers]
            lines.append("Content-Type: application/sdp")
        lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join(lines) + "\r\n\r\n" + body

    def reactions(self, response: Shown) -> list[str]:
        """What we have to send upon a response: ACK to a final one (17.1.1.3), and BYE if the call was answered."""
        if response.code < 200:
            return []
        to = next((v.strip() for n, _, v in _headers(response.text) if n.lower() in ("to", "t")), None)
        if response.code >= 300:
            return [self.request("ACK", to)]
        return [self.request(m, to, "z9hG4bK" + secrets.token_hex(8)) for m in ("ACK", "BYE")]


def _headers(text: str) -> list[tuple[str, str, str]]:
    return [line.partition(":") for line in text.split("\r\n\r\n", 1)[0].split("\r\n")[1:]]


def _offer(here: str) -> str:
    host = here.rpartition(":")[0].strip("[]")
    family = "IP6" if ":" in host else "IP4"
    lines = ("v=0", f"o=probe 0 0 IN {family} {host}", "s=-", f"c=IN {family} {host}", "t=0 0", "m=audio 9 RTP/AVP 8")
    return "\r\n".join(lines) + "\r\n"
