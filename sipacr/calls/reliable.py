"""Reliable provisional responses to the caller in one early dialog (RFC 3262 3): repeated until their PRACK comes."""

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from sipacr.calls.message import Message
from sipacr.calls.timers import T1, Timer, Timers
from sipacr.calls.transactions import ServerTransaction


class Sent(NamedTuple):
    """One response and what it stands for at the side it came from."""

    response: Message
    rseq: int
    far_rack: str  # the RAck that the far end expects: its own RSeq and the CSeq of our INVITE to it


class Reliable:
    """Sends one after the other: the next only when the one before is acknowledged."""

    __slots__ = ("_lost", "_next", "_pause", "_timer", "_timers", "_transaction", "_until", "_waiting")

    def __init__(self, transaction: ServerTransaction, timers: Timers, first: int, lost: Callable[[], None]) -> None:
        """`first` is the first RSeq, 1 to 2^31-1; `lost` is called if a PRACK does not come for 64*T1."""
        self._transaction = transaction
        self._timers = timers
        self._next = first
        self._lost = lost
        self._waiting: deque[Sent] = deque()  # the first of them was sent
        self._timer: Timer | None = None
        self._pause = T1
        self._until = 0.0

    @property
    def withholds_answer(self) -> bool:
        """A session description is not acknowledged yet: the 2xx has to wait (RFC 3262 3)."""
        return any(sent.response.body for sent in self._waiting)

    def send(self, response: Message, far_rack: str) -> None:
        """Send it, or after those before it."""
        response.headers.append(("Require", "100rel"))
        response.headers.append(("RSeq", str(self._next)))
        self._waiting.append(Sent(response, self._next, far_rack))
        self._next += 1
        if len(self._waiting) == 1:
            self._begin()

    def acknowledged(self, rack: str, invite_seq: int) -> str | None:
        """A PRACK with this RAck: what to ask of the far end in its place, or None if it fits nothing that waits."""
        if not self._waiting:
            return None
        sent = self._waiting[0]
        if rack.split() != [str(sent.rseq), str(invite_seq), "INVITE"]:
            return None
        self._waiting.popleft()
        self._stop()
        if self._waiting:
            self._begin()
        return sent.far_rack

    def stop(self) -> None:
        """A final answer has been sent: nothing is repeated any more."""
        self._waiting.clear()
        self._stop()

    def _begin(self) -> None:
        self._pause = T1
        self._until = self._timers.now + 64 * T1
        self._transaction.respond(self._waiting[0].response)
        self._timer = self._timers.after(T1, self._repeat)

    def _repeat(self) -> None:
        if self._timers.now >= self._until:
            self.stop()
            self._lost()
            return
        self._transaction.respond(self._waiting[0].response)
        self._pause *= 2
        self._timer = self._timers.after(min(self._pause, self._until - self._timers.now), self._repeat)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
