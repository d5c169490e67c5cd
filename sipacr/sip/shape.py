"""The shapes of a sender's INVITEs: nearly every head is like the one before but for its names, numbers and ids.

A shape is one expression, made of a head that the usual way has accepted (PJSIP's syntax check included): its own
bytes, with room only where names, numbers and ids stand. What has room there is so narrow that PJSIP and `plain` are
certain to take it as they took the first. A head that fits is understood at once; any other goes the usual way, and a
property test demands the same answer of both.
"""

import re
from collections.abc import Callable

from sipacr.routing.directory import Peer
from sipacr.routing.facts import Number
from sipacr.routing.identity import is_anonymous
from sipacr.sip.answer import END, Verdict, stamp_via
from sipacr.sip.plain import Plain
from sipacr.sip.scan import (
    ASSERTED,
    CALL_ID,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    CSEQ,
    FROM,
    MAX_FORWARDS,
    OTHER,
    PLACES,
    TO,
    VIA,
    Head,
)

_SHAPES = 4  # of one source: with a body and without, with an identity and without
_SOURCES = 256  # a shape takes up to 10 kB
_PAUSE = 1.0  # seconds between two tries to learn from one source: making an expression costs a millisecond
_PAUSE_OF_ALL = 0.1
_LONGEST = 4096  # bytes of a head that is worth learning

# What has room in a spot, by the last word of its name. The lengths bound what a memo can be made to keep.
_ROOM = {
    b"user": rb"[A-Za-z0-9+*_.-]{1,64}+",
    b"name": rb'[^"\\\x00-\x1f\x7f]{0,64}+',
    b"tag": rb"[A-Za-z0-9._-]{1,128}+",
    b"branch": rb"z9hG4bK[A-Za-z0-9._-]{1,121}+",
    b"id": rb"[!-~]{1,256}+",
    b"cseq": rb"[0-9]{1,9}+",
    b"hops": rb"(?:[1-9][0-9]|[0-9])",
    b"length": rb" {0,8}+[0-9]{1,5}+",  # some senders keep its width
}
_TEXT = rb"[ -~]{0,1024}+"  # in a header that PJSIP does not look into
_NO_SYNTAX = b' "<,' + b"," * 64  # a value that PJSIP takes only where it does not look


def _form(text: bytes) -> re.Pattern[bytes]:
    """The expression of a value's usual form; `{from_user}` in it is a spot of that name."""
    return re.compile(re.sub(rb"\{(\w+)\}", lambda spot: _spot(spot[1]), text))


def _spot(name: bytes) -> bytes:
    return b"(?P<%b>%b)" % (name, _ROOM[name.rpartition(b"_")[2]])


def _address(whose: bytes) -> bytes:
    return rb' (?:"{%b_name}" ?|[A-Za-z0-9._-]+ )?<sip:{%b_user}@[^>]*>' % (whose, whose)


_START = _form(rb"INVITE sip:{user}@[^ ]* SIP/2\.0")
_CONTACT = -1
_FORMS = {
    VIA: _form(rb"[^;]*(?:;rport)?;branch={branch}(?:;rport)?"),
    FROM: _form(_address(b"from") + rb";tag={from_tag}"),
    TO: _form(_address(b"to")),
    CALL_ID: _form(rb" {call_id}"),
    CSEQ: _form(rb" {cseq} INVITE"),
    MAX_FORWARDS: _form(rb" {hops}"),
    CONTENT_LENGTH: _form(rb"{length}"),
    ASSERTED: _form(_address(b"asserted")),
    _CONTACT: _form(_address(b"contact")),
}
_ECHOED = {FROM: b"(?P<from>", TO: b"(?P<to>"}  # whole values that an answer repeats
_PLACES = PLACES | {b"p-asserted-identity": ASSERTED, b"contact": _CONTACT, b"m": _CONTACT}

# Of the Request-URI and of the caller (From or P-Asserted-Identity) the user part, then branch, From tag, Call-ID,
# number of CSeq, the whole values of From and To with the white space before them; the rest is for `Shape.read`.
Values = tuple[bytes, bytes, bytes, bytes, bytes, bytes, bytes, bytes, bytes, bytes]
_READ = ("user", "", "branch", "from_tag", "call_id", "cseq", "from", "to", "run", "length")

_Part = tuple[bytes, bytes]  # what is literal, and the expression of what follows it


class Shape:
    """One expression and what is the same for all heads that fit it."""

    __slots__ = (
        "_after_branch", "_announced", "_before_branch", "_match", "_order", "_run", "_typed", "dialled", "hidden",
        "lines", "loose", "port",
    )  # fmt: skip

    def __init__(self, parts: list[_Part], head: Head, plain: Plain, peer: Peer, source: tuple[bytes, int]) -> None:
        """`source` is where the head came from. Raises LookupError if the head lacks a spot that is needed."""
        expression, self._run = _compiled(parts)
        groups = dict(expression.groupindex)
        self._announced = "length" in groups
        if self._announced != (head.content_length >= 0) or ("asserted_user" in groups) != bool(plain.asserted):
            raise LookupError
        groups.setdefault("length", groups["cseq"])
        asserted = plain.asserted if peer.trusted else None
        self._match = expression.match
        caller = "asserted_user" if asserted else "from_user"
        self._order = tuple(groups[name or caller] for name in _READ)
        self._typed = head.values[CONTENT_TYPE] is not None
        self.hidden = is_anonymous("1", asserted[1] if asserted else plain.from_host)  # whoever calls is nobody
        self.dialled: dict[bytes, Number] = {}  # for whoever reads the Request-URIs: few numbers of ours
        sent_by_host, self.port, _ = plain.sent_by
        via = head.one(VIA)
        if plain.rport or sent_by_host != source[0]:
            via, self.port = stamp_via(via, *source)
        before, _, after = via.partition(plain.branch.encode())
        self._before_branch, self._after_branch = b"\r\nVia:" + before, after + b"\r\nFrom:"
        self.lines: tuple[bytes, ...] = ()
        self.loose: frozenset[int] = frozenset()

    def read(self, data: bytes) -> Values | None:
        """What differs in this datagram; None if it has another shape, or not the body that its head announces."""
        found = self._match(data)
        if found is None:
            return None
        values: Values = found.group(*self._order)  # type: ignore[assignment]
        body = len(data) - found.end()
        length = int(values[9]) if self._announced else body
        if values[8] != self._run or length > body or (length and not self._typed):
            return None
        return values

    def cut(self, data: bytes, values: Values) -> tuple[bytes, bytes]:
        """Head and body of a datagram that was read."""
        end = data.find(b"\r\n\r\n") + 4
        return data[:end], data[end : end + int(values[9])] if self._announced else data[end:]

    def compose(self, verdict: Verdict, values: Values, to_tag: bytes) -> bytes:
        """The answer, as `answer.compose` makes it."""
        _, _, branch, _, call_id, cseq, from_, to, _, _ = values
        return b"".join((
            b"SIP/2.0 ", verdict.status, self._before_branch, branch, self._after_branch, from_, b"\r\nTo:", to,
            b";tag=", to_tag, b"\r\nCall-ID: ", call_id, b"\r\nCSeq: ", cseq, b" INVITE\r\n", verdict.headers, END,
        ))  # fmt: skip


class _Source:
    """The shapes of what came from one address and port."""

    __slots__ = ("next_try", "peer", "shapes")

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.shapes: list[Shape] = []
        self.next_try = 0.0


class Shapes:
    """The shapes of all sources. Bounded in number, and in how often one is made."""

    def __init__(self, accepts: Callable[[bytes], bool]) -> None:
        """`accepts`: whether PJSIP finds no fault in a head."""
        self._accepts = accepts
        self._sources: dict[tuple[bytes, int], _Source] = {}
        self._next_try = 0.0

    def forget(self) -> None:
        """What made heads usual has changed: learn anew."""
        self._sources.clear()

    def of(self, peer: Peer, host: bytes, port: int) -> list[Shape]:
        """The shapes of a source, the latest first."""
        source = self._sources.get((host, port))
        return source.shapes if source is not None and source.peer is peer else []

    def wants(self, peer: Peer, host: bytes, port: int, now: float) -> bool:
        """Whether it is time to learn from this source; if so, the next time is later. `now`: monotonic seconds."""
        if now < self._next_try:
            return False
        source = self._sources.get((host, port))
        if source is None or source.peer is not peer:
            if len(self._sources) >= _SOURCES:
                self._sources.clear()
            source = self._sources[host, port] = _Source(peer)
        elif now < source.next_try:
            return False
        self._next_try, source.next_try = now + _PAUSE_OF_ALL, now + _PAUSE
        return True

    def learn(self, head: Head, plain: Plain, peer: Peer, host: bytes, port: int) -> None:
        """Make a shape of a head that `plain` was read from and that PJSIP accepts. A head without one is let go."""
        shapes = self._sources[host, port].shapes
        lines = tuple(head.text[:-4].split(b"\r\n"))
        known = next((shape for shape in shapes if _names(shape.lines) == _names(lines)), None)
        loose = self._loosened(head.text, known, lines) if known else frozenset()
        parts = _parts(lines, loose) if len(head.text) <= _LONGEST else None
        if parts is None:
            return
        try:
            shape = Shape(parts, head, plain, peer, (host, port))
        except LookupError:
            return
        shape.lines, shape.loose = lines, loose
        if known:
            shapes.remove(known)
        self._sources[host, port].shapes = [shape, *shapes][:_SHAPES]

    def _loosened(self, text: bytes, known: Shape, lines: tuple[bytes, ...]) -> frozenset[int]:
        """Which lines differ from head to head, and may: PJSIP does not look into them, nor does anybody here."""
        loose = set(known.loose)
        for number, (old, new) in enumerate(zip(known.lines, lines, strict=True)):
            name = new.partition(b":")[0]
            if number and old != new and _place(name) == OTHER:
                tried = (*lines[:number], name + b":" + _NO_SYNTAX, *lines[number + 1 :])
                if self._accepts(b"\r\n".join(tried) + b"\r\n\r\n"):
                    loose.add(number)
        return frozenset(loose)


def _place(name: bytes) -> int:
    return _PLACES.get(name.rstrip(b" \t").lower(), OTHER)


def _names(lines: tuple[bytes, ...]) -> list[bytes]:
    return [line.partition(b":")[0] for line in lines[1:]]


def _parts(lines: tuple[bytes, ...], loose: frozenset[int]) -> list[_Part] | None:
    """What fits a head of these lines but for its spots; the lines with the numbers `loose` may be anything."""
    start = _spotted(_START, lines[0])
    if start is None:
        return None
    forms = _FORMS.copy()
    parts = [*start, (b"\r\n", b"")]
    for number, line in enumerate(lines[1:], 1):
        name, colon, value = line.partition(b":")
        place = _place(name)
        form = forms.pop(place, None)  # of several Contacts the first has spots
        spotted = [(b"", _TEXT)] if number in loose else _spotted(form, value) if form else None
        echoed = _ECHOED.get(place)
        parts += [
            (name + colon, echoed or b""),
            *(spotted or [(value, b"")]),
            (b"", b")" if echoed else b""),
            (b"\r\n", b""),
        ]
    return [*parts, (b"\r\n", b"")]


def _spotted(form: re.Pattern[bytes], value: bytes) -> list[_Part] | None:
    """The spots of a value with what stands before each. None if it has not the usual form."""
    found = form.fullmatch(value)
    if found is None:
        return None
    parts, at = [], 0
    for name in form.groupindex:
        start, end = found.span(name)
        if start >= 0:
            parts.append((value[at:start], _spot(name.encode())))
            at = end
    return [*parts, (value[at:], b"")]


def _compiled(parts: list[_Part]) -> tuple[re.Pattern[bytes], bytes]:
    """The expression of these parts, and the longest run of literal bytes, which is to be compared with group `run`:
    an expression takes 16 instructions a byte to do so."""
    merged: list[_Part] = []
    run = b""
    for literal, spot in (*parts, (b"", b"(?:)")):
        run += literal
        if spot:
            merged.append((run, spot))
            run = b""
    longest = max(range(len(merged)), key=lambda number: len(merged[number][0]))
    pattern = [re.escape(literal) + spot for literal, spot in merged]
    run, spot = merged[longest]
    pattern[longest] = b"(?P<run>.{%d})" % len(run) + spot
    return re.compile(b"".join(pattern), re.DOTALL), run
