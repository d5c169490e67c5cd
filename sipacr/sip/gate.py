"""The gate: what is wrong with a request before anybody decides about it (RFC 3261 8.1.1, 8.2; RFC 4475).

Returns the verdict to answer with, or None for a request that may pass. It knows no call and keeps no state.
"""

import re

from sipacr.sip.answer import Verdict, header, status
from sipacr.sip.message import Message
from sipacr.sip.scan import MAX_FORWARDS, TO, Head

ALLOW = b"INVITE, ACK, CANCEL, BYE, OPTIONS"
SUPPORTED = ("100rel", "timer")  # a final answer at once satisfies both
OURS = frozenset({b"INVITE", b"ACK", b"CANCEL", b"BYE", b"OPTIONS"})
KNOWN = OURS | {b"REGISTER", b"PRACK", b"UPDATE", b"INFO", b"MESSAGE", b"SUBSCRIBE", b"NOTIFY", b"REFER", b"PUBLISH"}

RELAYED_TAGS = ("100rel", "timer", "replaces", "norefersub", "199", "histinfo")  # where both ends can have them
RELAYED_METHODS = ALLOW + b", PRACK, UPDATE, INFO, MESSAGE, REFER, NOTIFY"
ALLOW_LINE = b"Allow: " + ALLOW + b"\r\n"
_START = re.compile(rb"[A-Za-z0-9.!%*_+`'~-]+ ([A-Za-z][A-Za-z0-9+.-]*):[^ ]* (?i:SIP)/2\.0\r\n")
_SCHEME = re.compile(rb"[^ ]+ +([A-Za-z][A-Za-z0-9+.-]*):[^\r\n]* SIP/2\.0\r\n")
_VERSION = re.compile(rb"[^\r\n]* SIP/(\d+)\.(\d+)[ \t]*\r\n")
_EMPTY_TAG = re.compile(rb"(?i);\s*tag\s*(=\s*)?(;|$)")
_MAX_CSEQ = 2**31 - 1
_COOKIE = "z9hg4bk"
_SCHEMES = frozenset({b"sip", b"sips", b"tel"})


def start_line(head: Head) -> Verdict | None:
    """Refuse a start line that is no request line of SIP/2.0, or whose scheme is not ours (8.2.2.1)."""
    found = _START.match(head.text)
    if found:
        scheme = found[1].lower()
        if scheme in _SCHEMES:
            return None
        return Verdict(status(416))
    version = _VERSION.match(head.text)
    if version and (version[1], version[2]) != (b"2", b"0"):
        return Verdict(status(505))
    scheme_only = _SCHEME.match(head.text)
    if scheme_only and scheme_only[1].lower() not in _SCHEMES:
        return Verdict(status(416))
    return Verdict(status(400, b"Bad Request Line"))


def method_of(head: Head) -> bytes:
    """The method as it is written in the start line, also in one that is malformed."""
    return head.text.split(None, 1)[0]


def syntax(head: Head, method: bytes, message: Message | None) -> Verdict | None:
    """Refuse what is malformed (400). `message` is what PJSIP's parser made of it."""
    if message is None:
        return Verdict(status(400, b"Bad Request Line"))
    if message.error:
        return Verdict(status(400, b"Bad " + message.error.encode("ascii", "replace")))
    if not 0 <= message.cseq <= _MAX_CSEQ:
        return Verdict(status(400, b"Bad CSeq"))
    if message.cseq_method != method:
        return Verdict(status(400, b"CSeq Method Differs From Request"))
    if len(message.branch) == len(_COOKIE) and message.branch.lower() == _COOKIE:
        return Verdict(status(400, b"Empty Branch"))
    hops = head.one(MAX_FORWARDS).strip()
    if hops and not (hops.isdigit() and len(hops) < 10 and int(hops) <= 255):
        return Verdict(status(400, b"Bad Max-Forwards"))
    if not message.to_tag and _EMPTY_TAG.search(head.one(TO)):
        return Verdict(status(400, b"Empty To Tag"))
    line = head.text[: head.text.find(b"\r\n")]
    if b"?" in line and b"?" in line.rpartition(b"@")[2]:
        return Verdict(status(400, b"Headers in Request-URI"))  # RFC 3261 19.1.1
    return None


def semantics(method: bytes, message: Message, supported: tuple[str, ...] = SUPPORTED) -> Verdict | None:
    """Refuse what we do not do: methods (8.2.1), dialogs that do not exist (12.2.2), extensions that are not
    `supported` (8.2.2.3)."""
    if method not in KNOWN:
        return Verdict(status(501), ALLOW_LINE)
    if message.to_tag and method not in (b"REGISTER", b"PUBLISH"):
        return Verdict(status(481))
    if method == b"BYE":
        return Verdict(status(481))
    if method not in OURS:
        return Verdict(status(405), ALLOW_LINE)
    lacking = [tag for tag in message.require if tag and tag.lower() not in supported]
    if lacking and method != b"CANCEL":
        return Verdict(status(420), header("Unsupported", ", ".join(lacking)))
    return None
