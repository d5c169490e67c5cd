"""Asks the far ends of a call by OPTIONS whether they are still there, where no session timer tells it (RFC 4028)."""

from typing import TYPE_CHECKING

from sipacr.calls.message import Headers, Message
from sipacr.calls.timers import Timer
from sipacr.calls.transactions import ClientTransaction

if TYPE_CHECKING:
    from sipacr.calls.call import Call
    from sipacr.calls.half import Half

_INTERVAL = 1800.0  # seconds of a session, where the peers have none of their own
_GONE = (408, 481)  # RFC 3261 12.2.1.2
_HEADERS: Headers = [("Accept", "application/sdp")]


class Alive:
    """Every half session interval one of the two far ends is asked, in turns."""

    __slots__ = ("_asked", "_call", "_timer")

    def __init__(self, call: "Call") -> None:
        self._call = call
        self._asked: Half | None = None  # who was asked last
        self._timer: Timer | None = None

    @property
    def every(self) -> float:
        """Seconds from one question to the next."""
        assert self._call.callee is not None
        return min(peer.session_expires or _INTERVAL for peer in (self._call.peer, self._call.callee.peer)) / 2

    def start(self) -> None:
        """The call was answered."""
        self._timer = self._call.calls.timers.after(self.every, self._ask)

    def stop(self) -> None:
        """The call is over: the answer to a question that is on its way matters no more."""
        if self._timer is not None:
            self._timer.cancel()

    def response(self, transaction: ClientTransaction, message: Message) -> None:
        """Any answer is a sign of life, but that the dialog is unknown."""
        if message.code in _GONE:
            self._lost()

    def timed_out(self, transaction: ClientTransaction) -> None:
        """Nobody is there."""
        self._lost()

    def failed(self, transaction: ClientTransaction) -> None:
        """The connection is gone, and no other one can be had."""
        self._lost()

    def _ask(self) -> None:
        call = self._call
        self.start()
        half = call.near if self._asked is call.far else call.far
        if call.has_session_timer or half is None or half.ended:
            return
        self._asked = half
        call.calls.send_in_dialog(half, "OPTIONS", _HEADERS, user=self)

    def _lost(self) -> None:
        if self._asked is not None:
            self._call.lost(self._asked)
