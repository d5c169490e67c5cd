"""The raw text of one message: where the head ends, how long the body must be, and the headers an answer repeats.

Promises nothing about syntax inside a header: that is PJSIP's. It decides framing (RFC 3261 18.3), so that datagrams
and streams cut messages alike, and it keeps the raw values, so that an answer echoes them byte for byte.
"""

import re
from collections.abc import Iterable

# Places in `Head.values`. Headers that somebody asked for come behind them, the first always the caller's identity.
(OTHER, VIA, FROM, TO, CALL_ID, CSEQ, RECORD_ROUTE, CONTENT_LENGTH, CONTENT_TYPE, MAX_FORWARDS, REQUIRE,
 ASSERTED) = range(12)  # fmt: skip

PLACES = {  # by name, long or short, in lower case
    b"via": VIA, b"v": VIA,
    b"from": FROM, b"f": FROM,
    b"to": TO, b"t": TO,
    b"call-id": CALL_ID, b"i": CALL_ID,
    b"cseq": CSEQ,
    b"record-route": RECORD_ROUTE,
    b"content-length": CONTENT_LENGTH, b"l": CONTENT_LENGTH,
    b"content-type": CONTENT_TYPE, b"c": CONTENT_TYPE,
    b"max-forwards": MAX_FORWARDS,
    b"require": REQUIRE,
}  # fmt: skip
_LONG_NAMES = {b"s": b"subject", b"k": b"supported", b"m": b"contact", b"e": b"content-encoding", b"y": b"identity"}
_ONCE = {FROM: b"From", TO: b"To", CALL_ID: b"Call-ID", CSEQ: b"CSeq", CONTENT_LENGTH: b"Content-Length",
         CONTENT_TYPE: b"Content-Type", MAX_FORWARDS: b"Max-Forwards"}  # fmt: skip
_SPELLINGS = 512  # remembered spellings of header names; more would be a sender who varies them on purpose
_FOLD = re.compile(rb"\r\n[ \t]+")

Value = bytes | list[bytes] | None


class Head:
    """What `Scanner.scan` found. Values are as they stand behind the colon, white space included."""

    __slots__ = ("body", "content_length", "fault", "kept_names", "text", "values")

    def __init__(self, text: bytes, values: list[Value], kept_names: tuple[str, ...]) -> None:
        self.text = text  # start line and headers, unfolded, with the empty line
        self.values = values
        self.kept_names = kept_names
        self.content_length = -1  # -1: there is none, or none that can be read
        self.body = b""
        self.fault: bytes | None = None  # the reason phrase of the 400, if the message is not whole

    def one(self, place: int) -> bytes:
        """The value of a header that may stand once (the first, if it stands more often); empty if there is none."""
        value = self.values[place]
        return value[0] if isinstance(value, list) else value or b""

    def all(self, place: int) -> list[bytes]:
        """All values of a header that may be repeated, in order."""
        value = self.values[place]
        return value if isinstance(value, list) else [value] if value is not None else []

    @property
    def kept(self) -> dict[str, list[str]]:
        """The headers that were asked for: lower-case name -> values."""
        found: dict[str, list[str]] = {}
        for place, name in enumerate(self.kept_names, ASSERTED):
            values = self.all(place)
            if values:
                found[name] = [value.strip().decode("utf-8", "replace") for value in values]
        return found

    @property
    def answerable(self) -> bool:
        """Whether there is a way back for an answer (RFC 3261 18.2.2)."""
        return bool(self.values[VIA])


class Scanner:
    """Reads heads. `keep` names the further headers (any case) whose values somebody wants."""

    def __init__(self, keep: Iterable[str] = ()) -> None:
        self._kept_names = tuple(dict.fromkeys(("p-asserted-identity", *(name.lower() for name in keep))))
        self._places = PLACES | {name.encode(): place for place, name in enumerate(self._kept_names, ASSERTED)}
        self._spelled = dict(self._places)
        self._empty: list[Value] = [None] * (ASSERTED + len(self._kept_names))

    def _place(self, spelled: bytes) -> int:
        """The place of a header's name in a spelling that is not remembered yet."""
        name = spelled.rstrip(b" \t").lower()
        place = self._places.get(_LONG_NAMES.get(name, name), OTHER)
        if len(self._spelled) < _SPELLINGS and spelled[:1] not in (b" ", b"\t", b""):  # `scan` wants to see those
            self._spelled[spelled] = place
        return place

    def scan(self, text: bytes) -> Head:
        """Read a head that ends with its empty line. The first fault is kept, the rest is still read for the answer."""
        values = self._empty.copy()
        lines = text[:-2].splitlines()
        if sum(map(len, lines)) + 2 * len(lines) + 2 != len(text):
            return self._scan_odd(text)
        spelled = self._spelled
        fault = None
        rest = iter(lines)
        next(rest)  # the start line
        for line in rest:
            name, colon, value = line.partition(b":")
            place = spelled.get(name)
            if place is None:
                if not colon or name[:1] in (b" ", b"\t", b""):
                    return self._scan_odd(text)
                place = self._place(name)
            if place:
                if values[place] is None:
                    values[place] = value
                else:
                    fault = _again(values, place, value) or fault
        return self._head(text, values, fault)

    def _scan_odd(self, text: bytes) -> Head:
        """The same where lines are folded, or one has no colon, or a CR or LF stands alone."""
        if _FOLD.search(text):
            return self.scan(_FOLD.sub(b" ", text))
        values = self._empty.copy()
        fault = b"Bare CR or LF in Header"
        if len(text.split(b"\r\n")) - 1 == text.count(b"\n") == text.count(b"\r"):
            fault = b"Header Without Colon"
        for line in text.split(b"\r\n")[1:-2]:
            name, colon, value = line.partition(b":")
            place = self._place(name) if colon else OTHER
            if place and values[place] is None:
                values[place] = value
            elif place:
                _again(values, place, value)
        return self._head(text, values, fault)

    def _head(self, text: bytes, values: list[Value], fault: bytes | None) -> Head:
        head = Head(text, values, self._kept_names)
        length = values[CONTENT_LENGTH]
        if length is not None:
            number = length.strip() if type(length) is bytes else b""
            if number.isdigit() and len(number) <= 9:
                head.content_length = int(number)
            else:
                fault = fault or b"Bad Content-Length"
        head.fault = fault
        return head


def _again(values: list[Value], place: int, value: bytes) -> bytes | None:
    """A further value of a header; the fault, if it may stand only once."""
    before = values[place]
    values[place] = [*before, value] if isinstance(before, list) else [before or b"", value]
    return b"Two %b Headers" % _ONCE[place] if place in _ONCE else None


def datagram(scanner: Scanner, data: bytes) -> Head:
    """The message in one datagram: what follows Content-Length is cut off, too little is a fault (RFC 3261 18.3)."""
    if data[:1] == b"\r" or data[:1] == b"\n":
        data = data.lstrip(b"\r\n")  # RFC 3261 7.5
    end = data.find(b"\r\n\r\n") + 4
    if end == 3:
        lines = data.replace(b"\r\n", b"\n").rstrip(b"\r\n").partition(b"\n\n")[0]
        head = scanner.scan(lines.replace(b"\n", b"\r\n") + b"\r\n\r\n")
        head.fault = head.fault or b"No Empty Line After Headers"
        return head
    head = scanner.scan(data[:end])
    length = head.content_length
    if length >= 0 and len(data) - end < length:
        head.fault = head.fault or b"Content-Length Exceeds Message"
    head.body = data[end:] if length < 0 else data[end : end + length]
    check_body(head)
    return head


def check_body(head: Head) -> None:
    """A body of no type means nothing (RFC 3261 20.15)."""
    if head.body and head.values[CONTENT_TYPE] is None:
        head.fault = head.fault or b"Body Without Content-Type"
