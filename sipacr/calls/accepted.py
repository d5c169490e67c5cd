"""A 2xx of ours to an INVITE: repeated until its ACK comes (RFC 3261 13.3.1.4), whatever the transport."""

from collections.abc import Callable

from sipacr.calls.message import Message
from sipacr.calls.timers import T1, T2, Timers
from sipacr.calls.transactions import ServerTransaction


class Accepted:
    """Waits for one ACK."""

    __slots__ = ("_again", "_end", "_lost", "_on_ack", "_pause", "_timers", "_transaction")

    def __init__(
        self,
        transaction: ServerTransaction,
        timers: Timers,
        on_ack: Callable[[Message], None],
        lost: Callable[[], None],
    ) -> None:
        """The 2xx has just been sent. One comes: `on_ack`, `lost` after 64*T1, or neither after `stop`."""
        self._transaction = transaction
        self._timers = timers
        self._on_ack = on_ack
        self._lost = lost
        self._pause = T1
        self._again = timers.after(T1, self._repeat)
        self._end = timers.after(64 * T1, self._give_up)

    def ack(self, message: Message) -> None:
        """The ACK is here."""
        self.stop()
        self._on_ack(message)

    def stop(self) -> None:
        """Wait no longer."""
        self._again.cancel()
        self._end.cancel()

    def _repeat(self) -> None:
        self._transaction.repeat()
        self._pause = min(2 * self._pause, T2)
        self._again = self._timers.after(self._pause, self._repeat)

    def _give_up(self) -> None:
        self.stop()
        self._lost()
