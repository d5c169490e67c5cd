"""One request through PJSIP's parser, and the few fields of it that the gate and the rules read."""

import re
from itertools import pairwise
from typing import Any

from sipacr.sip.library import MAX_MESSAGE, Library, Schemes, ffi, text
from sipacr.sip.scan import CSEQ, Head

_BRACKETED = re.compile(r'^(?:"(?:[^"\\]|\\.)*"|[^"<>])*<([^<>]*)>')
_ENTITY = re.compile(r'<[^<>]*>|"(?:[^"\\]|\\.)*"|,')


# What an answer needs; a malformed header of any other kind is ignored (RFC 3261 8.2, RFC 4475 3.3.7).
_NECESSARY = frozenset({
    "via", "v", "from", "f", "to", "t", "call-id", "i", "cseq", "max-forwards", "content-length", "l", "content-type",
    "c", "contact", "m", "require", "route", "record-route",
})  # fmt: skip
_HARMLESS = b"X: x\r\n\r\n"


_CSEQ = re.compile(rb"[ \t]*(\d{1,20})[ \t]+([A-Za-z0-9.!%*_+`'~-]+)[ \t]*")


class Message:
    """A parsed request. Only `Parser.parse` makes it; nothing in it refers to PJSIP's memory."""

    __slots__ = (
        "branch", "cseq", "cseq_method", "error", "from_host", "from_tag", "from_user", "require", "scheme", "to_tag",
        "user",
    )  # fmt: skip

    def __init__(self) -> None:
        self.error: str | None = None  # name of the first header with a syntax error
        self.scheme = ""  # of the Request-URI: sip, sips, tel, or "" for any other
        self.user = ""
        self.from_user = ""
        self.from_host = ""
        self.from_tag = ""
        self.to_tag = False
        self.cseq = -1  # -1: malformed
        self.cseq_method = b""
        self.branch = ""
        self.require: tuple[str, ...] = ()


class Parser:
    """PJSIP's parser on one reusable buffer. Not re-entrant: one message at a time."""

    def __init__(self, library: Library, schemes: Schemes) -> None:
        self._lib, self._pool, self._schemes = library.lib, library.pool, schemes
        self._buffer = ffi.new("char[]", MAX_MESSAGE + 1)
        self._rdata = rdata = ffi.new("pjsip_rx_data *")
        rdata.tp_info.pool = library.pool
        self._info = ffi.addressof(rdata, "msg_info")
        self._errors = errors = ffi.addressof(rdata.msg_info, "parse_err")
        errors.prev = errors.next = errors
        self._faults = faults = ffi.new("pjsip_parser_err_report *")  # of `accepts`; always empty between two calls
        faults.prev = faults.next = faults
        self._fresh = bytes(ffi.buffer(self._info))
        self._size = len(self._fresh)
        self._sip_uri = ffi.typeof("pjsip_sip_uri *")
        self._tel_uri = ffi.typeof("pjsip_tel_uri *")
        self._name_addr = ffi.typeof("pjsip_name_addr *")

    def parse(self, head: Head) -> Message | None:
        """Parse a request's head. None if not even the start line can be read."""
        info = self._info
        parsed = self._parse(head.text)
        if not parsed:
            # A fault in the last header costs PJSIP the whole message: look again with a harmless one behind it.
            return None if head.text.endswith(b"\r\n" + _HARMLESS) else self._parse_again(head)
        message = Message()
        if info.parse_err.next != self._errors:
            message.error = self._first_error()
            if message.error:
                return message
        if info.require:
            message.require = tuple(text(info.require.values[i]).strip() for i in range(info.require.count))
        cseq = _CSEQ.fullmatch(head.one(CSEQ))
        if cseq is not None:
            message.cseq, message.cseq_method = int(cseq[1]), cseq[2]
        from_, to, via = info.from_, info.to, info.via
        if not (from_ and to and via and info.cseq and info.cid):
            message.error = "Request: From, To, CSeq or Call-ID Missing"
            return message
        message.scheme, message.user, _ = self._address(parsed.req.uri)
        _, message.from_user, message.from_host = self._address(from_.uri.uri)
        message.from_tag = text(from_.tag)
        message.to_tag = to.tag.slen > 0
        message.branch = text(via.branch_param)
        return message

    def _parse(self, data: bytes) -> Any:
        """What PJSIP makes of a head; the details are in `_info`."""
        length = len(data)
        ffi.memmove(self._buffer, data, length)
        self._buffer[length] = b"\0"
        ffi.memmove(self._info, self._fresh, self._size)
        self._lib.pj_pool_reset(self._pool)
        return self._lib.pjsip_parse_rdata(self._buffer, length, self._rdata)

    def _parse_again(self, head: Head) -> Message | None:
        longer = Head(head.text[:-2] + _HARMLESS, head.values, head.kept_names)
        return self.parse(longer) if len(longer.text) <= MAX_MESSAGE else None

    def accepts(self, head: bytes) -> bool:
        """Whether PJSIP finds no fault in a request's head. Cheaper than `parse`, and nothing can be read after it."""
        lib, faults = self._lib, self._faults
        lib.pj_pool_reset(self._pool)
        parsed = lib.pjsip_parse_msg(self._pool, head, len(head), faults)
        if parsed and faults.next == faults:
            return True
        faults.prev = faults.next = faults  # what it points to dies with the next reset of the pool
        return False

    def usable(self, head: Head) -> bool:
        """Whether PJSIP finds no fault that matters in the head of a request or response. Reads as `accepts` does."""
        if self.accepts(head.text):
            return True
        parsed = self._parse(head.text)
        if not parsed:
            return not head.text.endswith(_HARMLESS) and self.usable(
                Head(head.text[:-2] + _HARMLESS, head.values, head.kept_names)
            )
        info = self._info
        whole = info.from_ and info.to and info.via and info.cseq and info.cid
        return bool(whole) and (info.parse_err.next == self._errors or self._first_error() is None)

    def _first_error(self) -> str | None:
        report = self._info.parse_err.next
        while report != self._errors:
            name = text(report.hname)
            if name.lower() in _NECESSARY:
                return name
            report = report.next
        return None

    def to_user(self) -> str:
        """The user part of the To header of the message parsed last (for peers with `dialled_from: to`)."""
        return self._address(self._info.to.uri.uri)[1]

    def address(self, value: str) -> tuple[str, str] | None:
        """User and host of the first URI in a value of P-Asserted-Identity and the like; None if it has no user.

        Of several values (RFC 3325: a sip and a tel URI) the first with a user part counts.
        """
        for part in entities(value):
            bracketed = _BRACKETED.search(part)
            raw = (bracketed[1] if bracketed else part.split(";", 1)[0].strip()).encode()
            if len(raw) > MAX_MESSAGE:
                continue
            ffi.memmove(self._buffer, raw, len(raw))
            self._buffer[len(raw)] = b"\0"
            uri = self._lib.pjsip_parse_uri(self._pool, self._buffer, len(raw), 0)
            if uri:
                scheme, user, host = self._address(uri)
                if scheme and user:
                    return user, host
        return None

    def _address(self, uri: Any) -> tuple[str, str, str]:
        """Scheme, user and host; the struct is told by its virtual table before it is cast."""
        schemes, table = self._schemes, uri.vptr
        if table == schemes.name_addr:
            uri = ffi.cast(self._name_addr, uri).uri
            table = uri.vptr
        if table == schemes.sip or table == schemes.sips:
            sip = ffi.cast(self._sip_uri, uri)
            return ("sip" if table == schemes.sip else "sips"), text(sip.user), text(sip.host)
        if table == schemes.tel:
            tel = ffi.cast(self._tel_uri, uri)
            number = text(tel.number)
            context = text(tel.context)
            return "tel", f"{number};phone-context={context}" if context else number, ""
        return "", "", ""


def entities(value: str) -> list[str]:
    """Split a header value at its commas, those inside quotes and angle brackets excepted."""
    cuts = [0, *(m.end() for m in _ENTITY.finditer(value) if m.group() == ","), len(value) + 1]
    return [value[a : b - 1].strip() for a, b in pairwise(cuts)]
