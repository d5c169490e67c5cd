"""A SIP message as the relay sees it: start line, headers in their order, body. Made only from heads PJSIP accepted.

Text is UTF-8 with surrogate escapes, so that whatever a far end wrote is passed on byte for byte.
"""

import re
from collections.abc import Iterable, Iterator

# The forms of RFC 3261 7.3.3 and of the extensions that are relayed; all other names stay as they were written.
_COMPACT = {
    "v": "Via", "f": "From", "t": "To", "i": "Call-ID", "m": "Contact", "l": "Content-Length", "c": "Content-Type",
    "e": "Content-Encoding", "k": "Supported", "s": "Subject", "r": "Refer-To", "b": "Referred-By", "o": "Event",
    "u": "Allow-Events", "x": "Session-Expires", "y": "Identity", "d": "Request-Disposition", "a": "Accept-Contact",
    "j": "Reject-Contact",
}  # fmt: skip
_KNOWN = """
    Accept Accept-Encoding Accept-Language Alert-Info Allow Allow-Events Authorization Call-ID Call-Info Contact
    Content-Disposition Content-Encoding Content-Language Content-Length Content-Type CSeq Date Diversion Error-Info
    Event Expires From Geolocation History-Info Identity In-Reply-To Max-Forwards MIME-Version Min-Expires Min-SE
    Organization P-Asserted-Identity P-Preferred-Identity Path Priority Privacy Proxy-Authenticate
    Proxy-Authorization Proxy-Require RAck Reason Record-Route Refer-Sub Refer-To Referred-By Remote-Party-ID
    Replaces Reply-To Require Retry-After Route RSeq Server Service-Route Session-Expires Subject Subscription-State
    Supported Target-Dialog Timestamp To Unsupported User-Agent Via Warning WWW-Authenticate X-Sipacr-Rule
"""
_NAMES = {name.lower(): name for name in _KNOWN.split()} | _COMPACT
_spelled: dict[str, str] = {}  # as it was written -> canonical
_REMEMBERED = 1024
_END = re.compile(r"\r\n?|\n")  # PJSIP ends a line at each of these
_FOLD = re.compile(r"\r\n[ \t]+")
_WHITE = " \t"  # not str.strip's: that would take bytes of others
# PJSIP accepts more than the one space of RFC 3261 7.2 and 20.16.
_RESPONSE = re.compile(r"[ \t]*SIP/2\.0[ \t]*([0-9]{3})[ \t]?(.*)", re.IGNORECASE)
_CSEQ = re.compile(r"([0-9]{1,10})[ \t]*(\S*)")

Headers = list[tuple[str, str]]


class Message:
    """A request (`method` and `uri`) or a response (`code` and `reason`)."""

    __slots__ = ("body", "code", "headers", "method", "reason", "uri")

    def __init__(
        self, method: str = "", uri: str = "", code: int = 0, reason: str = "", *, headers: Headers, body: bytes = b""
    ) -> None:
        """`headers` are (canonical name, value) in order, without Content-Length: `render` writes it."""
        self.method = method
        self.uri = uri
        self.code = code  # 0: a request
        self.reason = reason
        self.headers = headers
        self.body = body

    def __repr__(self) -> str:
        return f"<{self.method or self.code} {self.get('CSeq')} {self.get('Call-ID')}>"

    def get(self, name: str) -> str | None:
        """The first value of the header, as one line had it."""
        for each, value in self.headers:
            if each == name:
                return value
        return None

    def lines(self, name: str) -> list[str]:
        """The value of each line of the header."""
        return [value for each, value in self.headers if each == name]

    def values(self, name: str) -> list[str]:
        """All values of a header that is a list: lines split at their commas, in order."""
        return [part for each, value in self.headers if each == name for part in split(value)]

    def has_token(self, name: str, token: str) -> bool:
        """Whether one of the values is this token (option tags, methods; any case)."""
        return any(part.lower() == token.lower() for part in self.values(name))

    @property
    def cseq(self) -> tuple[int, str]:
        """Number and method; (0, "") if there is none."""
        value = self.get("CSeq") or ""
        number, _, method = value.partition(" ")
        if method.isalpha() and number.isdecimal() and len(number) <= 10:
            return int(number), method
        found = _CSEQ.fullmatch(value)
        return (int(found[1]), found[2]) if found else (0, "")

    def render(self) -> bytes:
        """The message as it goes to the wire."""
        start = f"{self.method} {self.uri} SIP/2.0" if self.method else f"SIP/2.0 {self.code} {self.reason}"
        lines = [start]
        lines += [f"{name}: {value}" for name, value in self.headers]
        lines.append(f"Content-Length: {len(self.body)}\r\n\r\n")
        return "\r\n".join(lines).encode("utf-8", "surrogateescape") + self.body


def parse(head: bytes, body: bytes = b"") -> Message:
    """Read a head that PJSIP has accepted, up to its empty line, and take `body` as it is.

    Raises ValueError if the start line is none: PJSIP cannot have accepted it.
    """
    text = head.lstrip(b"\r\n").decode("utf-8", "surrogateescape")  # RFC 3261 7.5
    if not text.count("\r\n") == text.count("\n") == text.count("\r"):
        text = _END.sub("\r\n", text)
    if "\r\n " in text or "\r\n\t" in text:
        text = _FOLD.sub(" ", text)
    lines = text.split("\r\n")
    headers: Headers = []
    for line in lines[1:]:
        written, colon, value = line.partition(":")
        if colon:
            name = _spelled.get(written) or _spell(written)
            if name != "Content-Length":
                headers.append((name, value.strip(_WHITE)))
    return _with_usual_start(lines[0], headers, body) or _with_odd_start(lines[0], headers, body)


def whole(data: bytes) -> tuple[Message, dict[str, str], int] | None:
    """A datagram in its usual form, its headers by name, and where its head ends. None where somebody has to look
    closer: framing (RFC 3261 18.3), folded lines, a header that stands twice. No word about the syntax in a header.
    """
    end = data.find(b"\r\n\r\n") + 4
    text = data[:end].decode("utf-8", "surrogateescape")
    breaks = text.count("\r\n")
    if end == 3 or not breaks == text.count("\n") == text.count("\r") or "\r\n " in text or "\r\n\t" in text:
        return None
    lines = text.split("\r\n")
    headers: Headers = []
    for line in lines[1:-2]:
        written, colon, value = line.partition(":")
        if not written or not colon:
            return None
        headers.append((_spelled.get(written) or _spell(written), value.strip(_WHITE)))
    values = dict(headers)
    if len(values) != len(headers):
        return None
    body = data[end:]
    length = values.get("Content-Length")
    if length is not None:
        if not (length.isdecimal() and length.isascii() and len(length) <= 9 and int(length) <= len(body)):
            return None
        body = body[: int(length)]
        headers.remove(("Content-Length", length))
    if body and "Content-Type" not in values:
        return None
    message = _with_usual_start(lines[0], headers, body)
    return (message, values, end) if message is not None else None


def _with_usual_start(line: str, headers: Headers, body: bytes) -> Message | None:
    first, _, rest = line.partition(" ")
    second, _, third = rest.partition(" ")
    if third == "SIP/2.0" and first and second:
        return Message(first, second, headers=headers, body=body)
    if first == "SIP/2.0" and len(second) == 3 and second.isdecimal():
        return Message(code=int(second), reason=third, headers=headers, body=body)
    return None


def _with_odd_start(line: str, headers: Headers, body: bytes) -> Message:
    response = _RESPONSE.fullmatch(line)
    if response:
        return Message(code=int(response[1]), reason=response[2].strip(_WHITE), headers=headers, body=body)
    line = line.strip(_WHITE)
    method, uri = (*re.split(r"[ \t]+", line[:-7].rstrip(_WHITE), maxsplit=1), "")[:2]
    if not uri or line[-7:].upper() != "SIP/2.0" or line[-8] not in _WHITE:
        raise ValueError(f"no start line: {line!r}")
    return Message(method, uri, headers=headers, body=body)


def _spell(written: str) -> str:
    stripped = written.strip(_WHITE)
    name = _NAMES.get(stripped.lower(), stripped)
    if len(_spelled) < _REMEMBERED:
        _spelled[written] = name
    return name


def split(value: str) -> list[str]:
    """Split at the commas that stand neither in quotes nor in angle brackets; empty parts are dropped."""
    if "," not in value:
        return [value] if value else []
    if '"' not in value and "<" not in value:
        return [part for each in value.split(",") if (part := each.strip(_WHITE))]
    parts, start, quoted, angle, escaped = [], 0, False, False, False
    for index, character in enumerate(value):
        if escaped:
            escaped = False
        elif quoted:
            escaped = character == "\\"
            quoted = character != '"'
        elif character == '"':
            quoted = not angle
        elif character in "<>":
            angle = character == "<"
        elif character == "," and not angle:
            parts.append(value[start:index].strip(_WHITE))
            start = index + 1
    return [part for part in (*parts, value[start:].strip(_WHITE)) if part]


def parameters(value: str) -> dict[str, str]:
    """The header parameters behind the address or the first token: lower-case names, values as written.

    Of `"A" <sip:a;lr>;tag=1` these are `{"tag": "1"}`; one without a value has "".
    """
    found: dict[str, str] = {}
    for part in _cut(_behind(value), ";")[1:]:
        name, _, text = part.partition("=")
        found[name.strip(_WHITE).lower()] = text.strip(_WHITE)
    return found


def tag(value: str) -> str:
    """The tag of a From or To; "" if there is none."""
    behind = value[value.rfind(">") + 1 :]
    if behind.startswith(";tag=") and ";" not in behind[5:] and '"' not in behind:  # as nearly everybody writes it
        return behind[5:].strip(_WHITE)
    return parameters(value).get("tag", "")


def uri_of(value: str) -> str:
    """The URI of an address: within the angle brackets, or all before the first parameter."""
    start = _outside_quotes(value, "<")
    if start >= 0:
        return value[start + 1 : value.find(">", start)]
    return value.partition(";")[0].strip(_WHITE)


def display_of(value: str) -> str:
    """The display name as it is written, quotes included; "" if there is none."""
    start = _outside_quotes(value, "<")
    return value[:start].strip(_WHITE) if start > 0 else ""


def with_parameter(value: str, name: str, text: str) -> str:
    """The value with this header parameter added at its end."""
    return f"{value};{name}={text}"


def without(headers: Headers, names: Iterable[str]) -> Headers:
    """The headers that bear none of these canonical names."""
    unwanted = frozenset(names)
    return [each for each in headers if each[0] not in unwanted]


def _behind(value: str) -> str:
    start = _outside_quotes(value, "<")
    return value[value.find(">", start) + 1 :] if start >= 0 else value


def _outside_quotes(value: str, sought: str) -> int:
    first = value.find(sought)
    before = value[: first + 1]
    if '"' not in before or ("\\" not in before and before.count('"') % 2 == 0):
        return first
    return next(_bare(value, sought), -1)


def _cut(text: str, at: str) -> list[str]:
    """Split at a character outside quotes."""
    if '"' not in text:
        return text.split(at)
    parts, start = [], 0
    for index in _bare(text, at):
        parts.append(text[start:index])
        start = index + 1
    return [*parts, text[start:]]


def _bare(text: str, sought: str) -> Iterator[int]:
    """Where this character stands outside quotes."""
    quoted = escaped = False
    for index, character in enumerate(text):
        if escaped:
            escaped = False
        elif quoted:
            escaped = character == "\\"
            quoted = character != '"'
        elif character == '"':
            quoted = True
        elif character == sought:
            yield index
