"""A SIP message as the relay sees it: start line, headers in their order, body. Made only from heads PJSIP accepted.

Text is UTF-8 with surrogate escapes, so that whatever a far end wrote is passed on byte for byte.
"""

import re
from collections.abc import Iterable

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
_FOLD = re.compile(r"\r?\n[ \t]+")

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
        """Number and method."""
        number, _, method = (self.get("CSeq") or "0 ").partition(" ")
        return int(number), method.strip()

    def render(self) -> bytes:
        """The message as it goes to the wire."""
        start = f"{self.method} {self.uri} SIP/2.0" if self.method else f"SIP/2.0 {self.code} {self.reason}"
        lines = [start]
        lines += [f"{name}: {value}" for name, value in self.headers]
        lines.append(f"Content-Length: {len(self.body)}\r\n\r\n")
        return "\r\n".join(lines).encode("utf-8", "surrogateescape") + self.body


def parse(head: bytes, body: bytes = b"") -> Message:
    """Read a head that PJSIP has accepted, up to its empty line, and take `body` as it is."""
    text = head.decode("utf-8", "surrogateescape")
    if "\n " in text or "\n\t" in text:
        text = _FOLD.sub(" ", text)
    lines = text.split("\r\n") if text.count("\n") == text.count("\r\n") else text.replace("\r\n", "\n").split("\n")
    headers: Headers = []
    for line in lines[1:]:
        written, colon, value = line.partition(":")
        if colon:
            name = _spelled.get(written) or _spell(written)
            if name != "Content-Length":
                headers.append((name, value.strip()))
    first, _, rest = lines[0].partition(" ")
    if first[:4].upper() == "SIP/":
        code, _, reason = rest.partition(" ")
        return Message(code=int(code), reason=reason, headers=headers, body=body)
    return Message(first, rest.rpartition(" ")[0].strip(), headers=headers, body=body)


def _spell(written: str) -> str:
    stripped = written.strip()
    name = _NAMES.get(stripped.lower(), stripped)
    if len(_spelled) < _REMEMBERED:
        _spelled[written] = name
    return name


def split(value: str) -> list[str]:
    """Split at the commas that stand neither in quotes nor in angle brackets; empty parts are dropped."""
    if "," not in value:
        return [value] if value else []
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
            parts.append(value[start:index].strip())
            start = index + 1
    return [part for part in (*parts, value[start:].strip()) if part]


def parameters(value: str) -> dict[str, str]:
    """The header parameters behind the address or the first token: lower-case names, values as written.

    Of `"A" <sip:a;lr>;tag=1` these are `{"tag": "1"}`; one without a value has "".
    """
    found: dict[str, str] = {}
    for part in _cut(_behind(value), ";")[1:]:
        name, _, text = part.partition("=")
        found[name.strip().lower()] = text.strip()
    return found


def tag(value: str) -> str:
    """The tag of a From or To; "" if there is none."""
    behind = value[value.rfind(">") + 1 :]
    if behind.startswith(";tag=") and ";" not in behind[5:]:  # as nearly everybody writes it
        return behind[5:]
    return parameters(value).get("tag", "")


def uri_of(value: str) -> str:
    """The URI of an address: within the angle brackets, or all before the first parameter."""
    start = _outside_quotes(value, "<")
    if start >= 0:
        return value[start + 1 : value.find(">", start)]
    return value.partition(";")[0].strip()


def display_of(value: str) -> str:
    """The display name as it is written, quotes included; "" if there is none."""
    start = _outside_quotes(value, "<")
    return value[:start].strip() if start > 0 else ""


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
    if '"' not in value:
        return value.find(sought)
    quoted = escaped = False
    for index, character in enumerate(value):
        if escaped:
            escaped = False
        elif quoted:
            escaped = character == "\\"
            quoted = character != '"'
        elif character == '"':
            quoted = True
        elif character == sought:
            return index
    return -1


def _cut(text: str, at: str) -> list[str]:
    """Split at a character outside quotes."""
    if '"' not in text:
        return text.split(at)
    parts, start, quoted, escaped = [], 0, False, False
    for index, character in enumerate(text):
        if escaped:
            escaped = False
        elif quoted:
            escaped = character == "\\"
            quoted = character != '"'
        elif character == '"':
            quoted = True
        elif character == at:
            parts.append(text[start:index])
            start = index + 1
    return [*parts, text[start:]]
