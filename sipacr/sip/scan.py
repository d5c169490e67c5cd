"""The raw text of one message: where the head ends, how long the body must be, and the headers an answer repeats.

Promises nothing about syntax inside a header: that is PJSIP's. It decides framing (RFC 3261 18.3), so that datagrams
and streams cut messages alike, and it keeps the raw values, so that an answer echoes them byte for byte.
"""

import re
from collections.abc import Iterable

VIA, FROM, TO, CALL_ID, CSEQ, RECORD_ROUTE, CONTENT_LENGTH, CONTENT_TYPE, MAX_FORWARDS, KEPT = range(1, 11)

_NAMES = {
    b"via": VIA, b"v": VIA,
    b"from": FROM, b"f": FROM,
    b"to": TO, b"t": TO,
    b"call-id": CALL_ID, b"i": CALL_ID,
    b"cseq": CSEQ,
    b"record-route": RECORD_ROUTE,
    b"content-length": CONTENT_LENGTH, b"l": CONTENT_LENGTH,
    b"content-type": CONTENT_TYPE, b"c": CONTENT_TYPE,
    b"max-forwards": MAX_FORWARDS,
}  # fmt: skip
_LONG_NAMES = {b"s": b"subject", b"k": b"supported", b"m": b"contact", b"e": b"content-encoding", b"y": b"identity"}
_SPELLINGS = 512  # remembered spellings of header names; more would be a sender who varies them on purpose
_FOLD = re.compile(rb"\r\n[ \t]+")


class Head:
    """What `Scanner.scan` found. `fault` is the 400's reason phrase if the message is not whole."""

    __slots__ = (
        "body", "call_id", "content_length", "cseq", "fault", "from_", "kept", "max_forwards", "record_routes", "text",
        "to", "typed", "vias",
    )  # fmt: skip

    def __init__(self) -> None:
        self.text = b""  # start line and headers, unfolded, with the empty line
        self.vias: list[bytes] = []
        self.from_ = b""
        self.to = b""
        self.call_id = b""
        self.cseq = b""
        self.max_forwards = b""
        self.record_routes: list[bytes] = []
        self.content_length = -1  # -1: no such header
        self.typed = False  # has a Content-Type
        self.kept: dict[str, list[str]] = {}  # the headers that were asked for, lower-case names
        self.body = b""
        self.fault: bytes | None = None

    @property
    def answerable(self) -> bool:
        """Whether there is enough to put an answer together (RFC 3261 8.2.6.2)."""
        return bool(self.vias and self.from_ and self.to and self.call_id and self.cseq)


class Scanner:
    """Reads heads. `keep` names the further headers whose values somebody wants (any case)."""

    def __init__(self, keep: Iterable[str] = ()) -> None:
        self._keep = {name.lower().encode() for name in keep}
        self._kinds: dict[bytes, tuple[int, str]] = {}

    def _kind(self, spelled: bytes) -> tuple[int, str]:
        name = spelled.rstrip(b" \t").lower()
        kind = _NAMES.get(name, 0)
        name = _LONG_NAMES.get(name, name)
        found = (kind, "") if kind else (KEPT if name in self._keep else 0, name.decode("latin-1"))
        if len(self._kinds) < _SPELLINGS:
            self._kinds[spelled] = found
        return found

    def scan(self, text: bytes) -> Head:
        """Read a head that ends with its empty line. The first fault is kept, the rest is still read for the answer."""
        head = Head()
        lines = text.split(b"\r\n")
        breaks = len(lines) - 1
        if text.count(b"\n") != breaks or text.count(b"\r") != breaks:
            head.fault = b"Bare CR or LF in Header"
        if b"\r\n " in text or b"\r\n\t" in text:
            text = _FOLD.sub(b" ", text)
            lines = text.split(b"\r\n")
        head.text = text
        kinds = self._kinds
        for line in lines[1:-2]:
            colon = line.find(b":")
            if colon < 0:
                head.fault = head.fault or b"Header Without Colon"
                continue
            kind, name = kinds.get(line[:colon]) or self._kind(line[:colon])
            if kind:
                self._take(head, kind, name, line[colon + 1 :].strip(b" \t"))
        return head

    @staticmethod
    def _take(head: Head, kind: int, name: str, value: bytes) -> None:
        if kind == VIA:
            head.vias.append(value)
        elif kind == KEPT:
            head.kept.setdefault(name, []).append(value.decode("utf-8", "replace"))
        elif kind == CONTENT_LENGTH:
            if head.content_length >= 0 or not value.isdigit() or len(value) > 9:
                head.fault = head.fault or b"Bad Content-Length"
            else:
                head.content_length = int(value)
        elif kind == FROM:
            head.fault = head.fault or (b"Two From Headers" if head.from_ else None)
            head.from_ = value
        elif kind == TO:
            head.fault = head.fault or (b"Two To Headers" if head.to else None)
            head.to = value
        elif kind == CALL_ID:
            head.fault = head.fault or (b"Two Call-ID Headers" if head.call_id else None)
            head.call_id = value
        elif kind == CSEQ:
            head.fault = head.fault or (b"Two CSeq Headers" if head.cseq else None)
            head.cseq = value
        elif kind == RECORD_ROUTE:
            head.record_routes.append(value)
        elif kind == MAX_FORWARDS:
            head.fault = head.fault or (b"Two Max-Forwards Headers" if head.max_forwards else None)
            head.max_forwards = value
        elif kind == CONTENT_TYPE:
            head.fault = head.fault or (b"Two Content-Type Headers" if head.typed else None)
            head.typed = True


def datagram(scanner: Scanner, data: bytes) -> Head:
    """The message in one datagram: what follows Content-Length is cut off, too little is a fault (RFC 3261 18.3)."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        lines = data.replace(b"\r\n", b"\n").rstrip(b"\r\n").partition(b"\n\n")[0]
        head = scanner.scan(lines.replace(b"\n", b"\r\n") + b"\r\n\r\n")
        head.fault = head.fault or b"No Empty Line After Headers"
        return head
    head = scanner.scan(data[: end + 4])
    body = data[end + 4 :]
    if head.content_length >= 0:
        if len(body) < head.content_length:
            head.fault = head.fault or b"Content-Length Exceeds Message"
        body = body[: head.content_length]
    head.body = body
    if body and not head.typed:
        head.fault = head.fault or b"Body Without Content-Type"
    return head
