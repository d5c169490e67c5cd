"""Reliable provisional responses to the caller in one early dialog (RFC 3262 3): repeated until their PRACK comes."""

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from sipacr.calls.message import Message
from sipacr.calls.timers import T1, Timer, Timers
from sipacr.calls.transactions import ServerTransaction

_EARLY = 0.001  # seconds: what adding up floats may lose
_MOST = 8  # that wait behind one: only a far end that does not wait for PRACKs itself sends more


class Sent(NamedTuple):
    """One response and what it stands for at the side it came from."""

    response: Message
    rseq: int
    far_rack: (
        str  # the RAck that the far end expects: its own RSeq and the CSeq of our INVITE to it; "": it expects none
    )


class Reliable:
    """Sends one after the other: the next only when the one before is acknowledged."""

    __slots__ = ("_lost", "_next", "_out", "_pause", "_queue", "_timer", "_timers", "_transaction", "_until")

    def __init__(self, transaction: ServerTransaction, timers: Timers, first: int, lost: Callable[[], None]) -> None:
        """`first` is the first RSeq, 1 to 2^31-1; `lost` is called if a PRACK does not come for 64*T1."""
        self._transaction = transaction
        self._timers = timers
        self._next = first
        self._lost = lost
        self._out: Sent | None = None  # was sent and is not acknowledged
        self._queue: deque[Sent] = deque()
        self._timer: Timer | None = None
        self._pause = T1
        self._until = 0.0

    @property
    def waits(self) -> bool:
        """Whether a PRACK is still due, or may still come after the final answer."""
        return self._out is not None

    @property
    def withholds_answer(self) -> bool:
        """A session description is not acknowledged yet: the 2xx has to wait (RFC 3262 3)."""
        return self._out is not None and any(each.response.body for each in (self._out, *self._queue))

    def send(self, response: Message, far_rack: str) -> None:
        """Send it, or after those before it."""
        if len(self._queue) >= _MOST:
            return
        response.headers.append(("Require", "100rel"))
        response.headers.append(("RSeq", str(self._next)))
        self._queue.append(Sent(response, self._next, far_rack))
        self._next += 1
        if self._out is None:
            self._begin()

    def acknowledged(self, rack: str, invite_seq: int) -> str | None:
        """A PRACK with this RAck: what to ask of the far end in its place, or None if it fits nothing that was sent."""
        sent = self._out
        if sent is None or rack.split() != [str(sent.rseq), str(invite_seq), "INVITE"]:
            return None
        self._out = None
        self._stop()
        if self._queue:
            self._begin()
        return sent.far_rack

    def stop(self) -> None:
        """A final answer follows, or the leg is gone: nothing is repeated, but the PRACK of what was sent is taken."""
        self._queue.clear()
        self._stop()

    def _begin(self) -> None:
        self._out = self._queue.popleft()
        self._pause = T1
        self._until = self._timers.now + 64 * T1
        self._transaction.respond(self._out.response)
        self._timer = self._timers.after(T1, self._repeat)

    def _repeat(self) -> None:
        if self._out is None:
            return
        left = self._until - self._timers.now
        if left < _EARLY:
            self.stop()
            self._lost()
            return
        self._transaction.respond(self._out.response)
        self._pause *= 2
        self._timer = self._timers.after(min(self._pause, left), self._repeat)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
