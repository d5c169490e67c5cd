"""Before any work is done for a new call: is there time for it, and may this peer have another one? Else 503.

Only INVITEs outside dialogs are ever refused here; all that belongs to a call goes on, emergency calls too. What is
refused costs a twentieth of a relayed call, so that those who are let in succeed however many knock.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Protocol

from sipacr.routing.directory import Directory, Peer
from sipacr.sip.answer import Reply, stamp_via
from sipacr.sip.front import Front
from sipacr.sip.limits import Buckets
from sipacr.sip.scan import Head

PATIENCE = 0.05  # seconds that datagrams may wait for us
_LATE = 0.25  # seconds that the loop may be late: a starved machine with few calls is late too, and need refuse none
_PERSISTENT = 0.2  # seconds of longer waiting after which it is no mere hiccup: no new calls are taken
_SAY_EACH = 100  # refusals: asking the log each time would cost as much as they do
_ALERT = 10.0  # seconds after an overload in which longer waiting is not put up with at all

# Lines of a head that a response repeats, each with those that continue it.
_LINES = re.compile(
    rb"\r\n((?:via|v|from|f|to|t|call-id|i|cseq)[ \t]*:[^\r\n]*(?:\r\n[ \t][^\r\n]*)*)", re.IGNORECASE
).findall
# What nearly all requests have, each once and in one line; others are looked at more closely.
_VIA, _FROM, _TO, _ID, _CSEQ = range(5)
_KINDS = {b"via:": _VIA, b"from": _FROM, b"to: ": _TO, b"call": _ID, b"cseq": _CSEQ}
_ODD = re.compile(rb"\r\n[ \tvV][^i]").search  # a line that goes on, a compact Via
_BRANCH = b"z9hG4bK-a-branch"
_STAMPS = 1024
_ANSWER = (
    b"SIP/2.0 503 Service Unavailable\r\n%b\r\n%b\r\n%b;tag=%x\r\n%b\r\n%b\r\nRetry-After: %d\r\n"
    b"Content-Length: 0\r\n\r\n"
)
_VIAS, _TOS = (b"via", b"v"), (b"to", b"t")


class Core(Protocol):
    """What is asked of the relayed calls."""

    marker: bytes  # stands in the To of every request inside a relayed call

    def is_full(self, peer: Peer) -> bool:
        """Whether this peer has as many calls at once as it may."""

    def knows_invite(self, via: str, host: str) -> bool:
        """Whether an INVITE with this Via from this address was taken before."""


class Door:
    """Stands before a `Front` and has its methods."""

    def __init__(self, front: Front, say: Callable[[str, str], None], clock: Callable[[], float]) -> None:
        """`say` tells a cause and a sentence to the log; `clock` gives monotonic seconds."""
        self._front = front
        self.core: Core | None = None
        self._say = say
        self._clock = clock
        self._limited = False  # some peer has a limit
        self._behind = 0.0  # seconds that datagrams wait
        self._told = False  # since the last look at the loop
        self._lag = 0.0  # seconds that the loop is late
        self._since: float | None = None  # when the waiting began
        self._alert = float("-inf")  # until when an overload is not forgotten
        self.busy = False  # no new calls are taken
        self._guarded = False
        self._emergency_dialled: Callable[[bytes], object] = _nothing  # in the Request-URI
        self._emergency_named: Callable[[bytes], object] = _nothing  # anywhere
        self._rates = Buckets()
        self.counts: Counter[tuple[str, str]] = Counter()  # refused calls by cause and peer
        self._stamps: dict[tuple[bytes, bytes, bytes, int], tuple[bytes, bytes, int]] = {}
        self.scan = front.scan
        self.refuse = front.refuse

    def take(self, directory: Directory) -> None:
        """Peers and emergency numbers as they are from now on."""
        peers: Iterable[Peer] = directory.peers.values()
        self._limited = any(
            peer.max_rate or peer.max_rate_each or (peer.max_calls and peer.mode == "relay") for peer in peers
        )
        numbers = b"|".join(re.escape(number.encode()) for number in sorted(directory.emergency))
        uri = rb"(?:sips?|tel):(?:%b)[@;>\s]" % numbers
        self._emergency_dialled = re.compile(rb"INVITE " + uri).match if numbers else _nothing
        self._emergency_named = re.compile(uri).search if numbers else _nothing
        self._settle()

    def waited(self, seconds: float) -> None:
        """How long the datagrams that are read now have waited."""
        self._told = True
        if seconds != self._behind:
            self._behind = seconds
            self._settle()

    def late(self, seconds: float) -> None:
        """How late the loop is; to be called several times a second."""
        if not self._told:
            self._behind = 0.0
        self._told = False
        self._lag = seconds
        self._settle()

    @property
    def delay(self) -> float:
        """Seconds that a message waits for us now."""
        return max(self._behind, self._lag)

    def _settle(self) -> None:
        if self._behind <= PATIENCE and self._lag <= _LATE:
            self._since = None
            self.busy = False
        else:
            now = self._clock()
            self._since = now if self._since is None else self._since
            self.busy = now < self._alert or now - self._since >= _PERSISTENT
            if self.busy:
                self._alert = now + _ALERT
        self._guarded = self.busy or self._limited

    def datagram(self, data: bytes, peer: Peer, host: bytes, port: int, number: int = 0) -> Reply | None:
        """As `Front.datagram`."""
        if self._guarded and data[:7] == b"INVITE ":
            end = data.find(b"\r\n\r\n")
            refusal = self._refusal(data[: end + 2] if end > 0 else data, peer, host, port)
            if refusal is not None:
                return refusal
        return self._front.datagram(data, peer, host, port, number)

    def request(self, head: Head, peer: Peer, host: bytes, port: int, number: int = 0) -> Reply | None:
        """As `Front.request`, for what comes on streams."""
        if self._guarded and head.text[:7] == b"INVITE ":
            refusal = self._refusal(head.text[:-2], peer, host, port)
            if refusal is not None:
                return refusal
        return self._front.request(head, peer, host, port, number)

    def _refusal(self, text: bytes, peer: Peer, host: bytes, port: int) -> Reply | None:
        """The 503 to this INVITE; None to let it in."""
        core = self.core
        if core is None or core.marker in text:
            return None
        why, retry_after = self._why(core, peer, host)
        if not why:
            return None
        emergency = self._emergency_dialled if peer.dialled_from == "request-uri" else self._emergency_named
        if emergency(text):
            return None
        reply = self._answer(core, text, host, port, retry_after)
        if reply is not None:
            self._note(why, peer.name)
        return reply

    def _note(self, why: str, peer: str) -> None:
        """Count a refusal; now and then it is said."""
        key = (why, peer)
        self.counts[key] += 1
        if self.counts[key] % _SAY_EACH == 1:
            self._say(f"refused: {why} {peer}", f"calls of {peer} are refused with 503: {_SAID[why]}")

    def _why(self, core: Core, peer: Peer, host: bytes) -> tuple[str, int]:
        """The cause, and when it is worth trying again (seconds)."""
        if self.busy:
            return "overload", 2
        if peer.max_calls is not None and peer.mode == "relay" and core.is_full(peer):
            return "max_calls", 10
        now = self._clock()
        if peer.max_rate_each is not None and not self._rates.take((peer.name, host), peer.max_rate_each, now):
            return "max_rate_each", 1
        if peer.max_rate is not None and not self._rates.take(peer.name, peer.max_rate, now):
            return "max_rate", 1
        return "", 0

    def _answer(self, core: Core, text: bytes, host: bytes, port: int, retry_after: int) -> Reply | None:
        """None where the Front has to look: a dialog's, a repeat of what was taken, or no request that is whole."""
        found: dict[int, bytes] = {}
        kind_of = _KINDS.get
        for line in text.split(b"\r\n"):
            kind = kind_of(line[:4].lower())
            if kind is not None:
                if kind in found:
                    return self._answer_any(core, text, host, port, retry_after)
                found[kind] = line
        if len(found) != 5 or _ODD(text) or b"tag=" in found[_TO]:
            return self._answer_any(core, text, host, port, retry_after)
        via = found[_VIA]
        if core.knows_invite(via[4:].strip().decode("latin-1"), host.decode()):
            return None
        via, port = self._stamp(via, host, port)
        tag = hash(text) & 0xFFFFFFFFFFFF
        return Reply(_ANSWER % (via, found[_FROM], found[_TO], tag, found[_ID], found[_CSEQ], retry_after), port)

    def _stamp(self, via: bytes, host: bytes, port: int) -> tuple[bytes, int]:
        """As `stamp_via`; those of one sender differ in the branch alone."""
        start = via.find(b";branch=") + 8
        end = via.find(b";", start)
        end = end if end > 0 else len(via)
        if start < 8 or b"," in via or b'"' in via:
            return stamp_via(via, host, port)
        key = (via[:start], via[end:], host, port)
        known = self._stamps.get(key)
        if known is None:
            stamped, answer_port = stamp_via(via[:start] + _BRANCH + via[end:], host, port)
            before, _, after = stamped.partition(_BRANCH)
            if len(self._stamps) >= _STAMPS:
                self._stamps.clear()
            known = self._stamps[key] = before, after, answer_port
        return known[0] + via[start:end] + known[1], known[2]

    def _answer_any(self, core: Core, text: bytes, host: bytes, port: int, retry_after: int) -> Reply | None:
        """The same for headers in any form."""
        vias: list[bytes] = []
        others: list[bytes] = []
        answer_port = port
        for line in _LINES(text):
            name, _, value = line.partition(b":")
            name = name.rstrip().lower()
            if name in _VIAS:
                if not vias:
                    if core.knows_invite(value.decode("latin-1").strip(), host.decode()):
                        return None
                    value, answer_port = stamp_via(value, host, port)
                vias.append(b"Via:%b\r\n" % value)
            elif name in _TOS:
                if b"tag" in value.lower():
                    return None
                others.append(b"%b;tag=%x\r\n" % (line, hash(text) & 0xFFFFFFFFFFFF))
            else:
                others.append(line + b"\r\n")
        if not vias or len(others) != 4:
            return None
        head = b"SIP/2.0 503 Service Unavailable\r\n"
        tail = b"Retry-After: %d\r\nContent-Length: 0\r\n\r\n" % retry_after
        return Reply(b"".join((head, *vias, *others, tail)), answer_port)


_SAID = {
    "overload": "the router is behind its work",
    "max_calls": "it has as many calls as its max_calls",
    "max_rate": "it calls more often than its max_rate",
    "max_rate_each": "one of its addresses calls more often than its max_rate_each",
}


def _nothing(_: bytes) -> None:
    """There are no emergency numbers."""
