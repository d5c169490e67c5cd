"""Answers as text, made from the request's own header values (RFC 3261 8.2.6).

Verbatim echoes: what the far end wrote in From, To, Call-ID, CSeq, Record-Route and its Via comes back byte for byte,
with nothing added but `received`, `rport` (RFC 3581) and our To tag.
"""

import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote

from sipacr.sip.scan import CALL_ID, CSEQ, FROM, RECORD_ROUTE, TO, VIA, Head

REASONS = {
    200: b"OK", 302: b"Moved Temporarily",
    400: b"Bad Request", 403: b"Forbidden", 404: b"Not Found", 405: b"Method Not Allowed", 406: b"Not Acceptable",
    408: b"Request Timeout", 410: b"Gone", 413: b"Request Entity Too Large", 414: b"Request-URI Too Long",
    415: b"Unsupported Media Type", 416: b"Unsupported URI Scheme", 420: b"Bad Extension",
    421: b"Extension Required", 423: b"Interval Too Brief", 433: b"Anonymity Disallowed",
    480: b"Temporarily Unavailable", 481: b"Call/Transaction Does Not Exist", 482: b"Loop Detected",
    483: b"Too Many Hops", 484: b"Address Incomplete", 485: b"Ambiguous", 486: b"Busy Here",
    487: b"Request Terminated", 488: b"Not Acceptable Here", 491: b"Request Pending", 493: b"Undecipherable",
    500: b"Server Internal Error", 501: b"Not Implemented", 502: b"Bad Gateway", 503: b"Service Unavailable",
    504: b"Server Time-out", 505: b"Version Not Supported", 513: b"Message Too Large",
    600: b"Busy Everywhere", 603: b"Decline", 604: b"Does Not Exist Anywhere", 606: b"Not Acceptable",
    607: b"Unwanted", 608: b"Rejected",
}  # fmt: skip

END = b"Content-Length: 0\r\n\r\n"
_SENT_BY = re.compile(rb"\s(\[[^\]]*\]|[^\s:;]+)(?:\s*:\s*(\d{1,5}))?\s*$")


class Verdict(NamedTuple):
    """What to answer: the status line's rest and the further headers, each line with its CRLF."""

    status: bytes  # b"302 Moved Temporarily"
    headers: bytes = b""
    keep: bool = False  # deciding it changed state: a retransmission must get this very verdict


class Reply(NamedTuple):
    """One message to send back: on a stream to the same connection, on UDP to `port` of the source address."""

    data: bytes
    port: int


def status(code: int, reason: str | bytes | None = None) -> bytes:
    """The status line after the version: code and reason phrase (RFC 3261 21)."""
    if isinstance(reason, str):
        reason = " ".join(reason.split()).encode()
    return b"%d %b" % (code, reason or REASONS.get(code) or REASONS[code // 100 * 100])


@lru_cache(maxsize=8192)
def contact(user: str, host: str, q: str, transport: str | None) -> bytes:
    """One Contact line of a redirect. Remembered: a company has few people and many calls."""
    parameter = f";transport={transport}" if transport and transport != "udp" else ""
    escaped = quote(user, safe="-_.!~*'()&=+$,;?/")
    return f"Contact: <sip:{escaped}@{host}{parameter}>;q={q}\r\n".encode()


def header(name: str, value: str) -> bytes:
    """A header line from text that we did not write ourselves: control characters become spaces."""
    clean = "".join(c if c.isprintable() else " " for c in value)
    return f"{name}: {clean}\r\n".encode()


def stamp_via(value: bytes, host: bytes, port: int) -> tuple[bytes, int]:
    """Complete the topmost Via value with where it came from; returns it and the port to answer to (18.2.1, 18.2.2).

    `maddr` is left standing and not obeyed: an answer never goes to a third host.
    """
    end = _first_value_end(value)
    parts = value[:end].split(b";")
    found = _SENT_BY.search(parts[0])
    sent_by = found[1] if found else b""
    answer_port = int(found[2] or 5060) if found else port
    symmetric = False
    stamped = [parts[0]]
    for part in parts[1:]:
        name = part.split(b"=", 1)[0].strip().lower()
        if name == b"rport":
            symmetric = True
            stamped.append(b"rport=%d" % port)
        elif name != b"received":
            stamped.append(part)
    if symmetric or sent_by.strip(b"[]") != host:
        stamped.append(b"received=" + host)
    return b";".join(stamped) + value[end:], port if symmetric or not 0 < answer_port < 65536 else answer_port


def sent_by(value: str) -> tuple[bytes, int]:
    """Host and port of one Via value; the default port where none is written, an empty host where none can be read."""
    found = _SENT_BY.search(value.encode("latin-1").split(b";", 1)[0])
    return (found[1].strip(b"[]"), int(found[2] or 5060)) if found else (b"", 0)


def _first_value_end(value: bytes) -> int:
    """Where the first of several comma-separated values ends; a comma within quotes is none."""
    if b'"' not in value:
        comma = value.find(b",")
        return len(value) if comma < 0 else comma
    quoted = False
    for index, byte in enumerate(value):
        if byte == 0x22 and value[index - 1] != 0x5C:
            quoted = not quoted
        elif byte == 0x2C and not quoted:
            return index
    return len(value)


def answer(head: Head, verdict: Verdict, to_tag: bytes, host: bytes, port: int) -> Reply:
    """The whole response to `head`, which came from `host` and `port`. An empty `to_tag` adds none (there is one).

    What the request lacks is left out: a 400 tells more than silence.
    """
    stamped, answer_port = stamp_via(head.one(VIA), host, port)
    lines = [b"SIP/2.0 %b\r\nVia:%b\r\n" % (verdict.status, stamped)]
    lines += [b"Via:%b\r\n" % value for value in head.all(VIA)[1:]]
    lines += [b"Record-Route:%b\r\n" % value for value in head.all(RECORD_ROUTE)]
    for name, place in ((b"From", FROM), (b"To", TO), (b"Call-ID", CALL_ID), (b"CSeq", CSEQ)):
        value = head.one(place)
        if value.strip():
            tag = b";tag=" + to_tag if place == TO and to_tag else b""
            lines.append(b"%b:%b%b\r\n" % (name, value.rstrip(), tag))
    return Reply(b"".join((*lines, verdict.headers, END)), answer_port)


def compose(verdict: Verdict, via: bytes, from_: bytes, to: bytes, to_tag: bytes, call_id: bytes, cseq: bytes) -> bytes:
    """The same for a request of the common form, from its values as they stand behind their colons."""
    form = b"SIP/2.0 %b\r\nVia:%b\r\nFrom:%b\r\nTo:%b;tag=%b\r\nCall-ID:%b\r\nCSeq:%b\r\n%b%b"
    return form % (
        verdict.status, via, from_, to, to_tag, call_id, cseq, verdict.headers, END,
    )  # fmt: skip
