"""One side of a call: its dialog with one far end, joined to the other side; the 2xx and ACKs of its INVITEs."""

from typing import TYPE_CHECKING

from sipacr.calls.accepted import Accepted
from sipacr.calls.dialog import Dialog
from sipacr.calls.digest import credentials_of
from sipacr.calls.message import Headers, Message
from sipacr.calls.network import Flow
from sipacr.calls.passage import OPTIONS, Passage
from sipacr.calls.transactions import ClientTransaction
from sipacr.routing.directory import Peer

if TYPE_CHECKING:
    from sipacr.calls.call import Call
    from sipacr.calls.calls import Calls
    from sipacr.calls.passing import Passing


_OPTIONS = OPTIONS - {"100rel"}  # nothing inside a dialog is answered reliably through us


class Half:
    """A dialog, early or confirmed, and what is going on in it."""

    __slots__ = (
        "_acked", "accepted", "call", "calls", "dialog", "ended", "offering", "other", "passing", "peer", "reports",
    )  # fmt: skip

    def __init__(self, call: "Call", peer: Peer, dialog: Dialog) -> None:
        self.call = call
        self.calls: Calls = call.calls
        self.peer = peer
        self.dialog = dialog
        self.other: Half | None = None
        self.accepted: dict[int, Accepted] = {}  # CSeq number of the far end's INVITE -> our 2xx that waits for its ACK
        self.offering: Passing | None = None  # a request with an offer of this far end on its way to the other side
        self.passing: list[Passing] = []  # requests of this far end that wait for the other side's answer
        self.reports = 0  # transfers that this far end still reports on; they outlive the BYE (RFC 5057)
        self.ended = False  # a BYE was sent or received
        self._acked: tuple[int, Flow, bytes] | None = None  # our last ACK: a repeated 2xx gets it again
        self.calls.halves[dialog.key] = self

    def passage(self) -> Passage:
        """The way of a message from the other side to this far end."""
        assert self.other is not None
        host = self.calls.network.sent_by(self.dialog.flow)
        return Passage(self.other.peer, self.peer, host, _OPTIONS)

    @property
    def waits_for_ack(self) -> bool:
        """Whether a 2xx of ours is not acknowledged yet: no BYE may be sent before (RFC 3261 15)."""
        return bool(self.accepted)

    def accept(self, accepted: Accepted, seq: int) -> None:
        """A 2xx to the far end's INVITE with this CSeq number was sent."""
        self.accepted[seq] = accepted

    def acknowledged(self, message: Message) -> None:
        """The far end's ACK to a 2xx."""
        accepted = self.accepted.pop(message.cseq[0], None)
        if accepted is not None:
            accepted.ack(message)

    def ack(self, invite: Message, headers: Headers, body: bytes = b"") -> None:
        """Acknowledge the 2xx to our INVITE, given as it was sent: its credentials go with it (13.2.2.4)."""
        seq = invite.cseq[0]
        flow = self.dialog.flow
        data = self.calls.alone(self.dialog.ack(seq, [*credentials_of(invite), *headers], body), flow)
        self._acked = (seq, flow, data)
        self.calls.network.send(flow, data)

    def has_acked(self, seq: int) -> bool:
        """Whether the 2xx to our INVITE with this CSeq number had its ACK."""
        return self._acked is not None and self._acked[0] >= seq

    def ack_again(self, seq: int) -> None:
        """The 2xx was repeated: the ACK was lost, or has not been sent yet because the other side owes it."""
        if self._acked is not None and self._acked[0] == seq:
            self.calls.network.send(*self._acked[1:])

    def bye(self, headers: Headers) -> None:
        """Hang up this side."""
        self.ended = True
        for accepted in self.accepted.values():
            accepted.stop()
        self.accepted.clear()
        self.calls.send_in_dialog(self, "BYE", headers, user=Goodbye(self))

    def forget(self) -> None:
        """The dialog is no more: later requests of the far end get 481."""
        self.ended = True
        for accepted in self.accepted.values():
            accepted.stop()
        self.accepted.clear()
        self.calls.halves.pop(self.dialog.key, None)


class Goodbye:
    """Our BYE on its way: whatever becomes of it, the dialog is over afterwards."""

    __slots__ = ("_half", "_tried")

    def __init__(self, half: Half) -> None:
        self._half = half
        self._tried = False

    def response(self, transaction: ClientTransaction, message: Message) -> None:
        """Credentials may be asked for; any other final answer ends it."""
        if message.code < 200:
            return
        if not self._tried and self._half.calls.challenged(self._half.peer, transaction.request, message):
            self._tried = True
            self._half.calls.send_in_dialog(self._half, "BYE", [], user=self)
            return
        self._half.call.said_goodbye(self._half)

    def timed_out(self, transaction: ClientTransaction) -> None:
        """Nobody is there any more."""
        self._half.call.said_goodbye(self._half)

    def failed(self, transaction: ClientTransaction) -> None:
        """The connection is gone, and the far end with it."""
        self._half.call.said_goodbye(self._half)
