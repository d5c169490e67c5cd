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
_ACKS = 4  # that are kept: a 2xx may still be repeated when the next INVITE has been answered


class Half:
    """A dialog, early or confirmed, and what is going on in it."""

    __slots__ = (
        "_acks", "accepted", "call", "calls", "cut", "dialog", "ended", "offering", "other", "passing", "peer",
        "reports",
    )  # fmt: skip

    def __init__(self, call: "Call", peer: Peer, dialog: Dialog) -> None:
        self.call = call
        self.calls: Calls = call.calls
        self.peer = peer
        self.dialog = dialog
        self.other: Half | None = None
        self.accepted: dict[int, Accepted] = {}  # CSeq number of the far end's INVITE -> our 2xx that waits for its ACK
        self.offering: Passing | None = None  # a request of this far end whose offer and answer are not complete
        self.passing: list[Passing] = []  # requests of this far end that are not done with
        # Transfers that this far end still reports on, which outlive the BYE (RFC 5057): CSeq number of our REFER to it
        # -> that of the other side's REFER to us.
        self.reports: dict[int, int] = {}
        self.ended = False  # a BYE was sent or received
        self.cut = False  # the connection broke: the next request needs another one
        self._acks: dict[int, tuple[Flow, bytes]] = {}  # our last ACKs by CSeq number, for repeated 2xx
        dialog.symmetric = peer.symmetric
        self.calls.halves[dialog.key] = self

    def passage(self) -> Passage:
        """The way of a message from the other side to this far end."""
        assert self.other is not None
        host = self.calls.network.sent_by(self.way())
        return Passage(self.other.peer, self.peer, host, _OPTIONS)

    @property
    def waits_for_ack(self) -> bool:
        """Whether a 2xx of ours is not acknowledged yet: no BYE may be sent before (RFC 3261 15)."""
        return bool(self.accepted)

    def accept(self, accepted: Accepted, seq: int) -> None:
        """A 2xx to the far end's INVITE with this CSeq number was sent."""
        self.accepted[seq] = accepted

    def acknowledged(self, message: Message) -> bool:
        """An ACK of the far end. False: no 2xx of ours waits for it."""
        accepted = self.accepted.pop(message.cseq[0], None)
        if accepted is None:
            return False
        accepted.ack(message)
        return True

    def way(self) -> Flow:
        """The way of the next request: where the connection broke, another one to the same peer if there is any."""
        if self.cut:
            network, host = self.calls.network, self.dialog.flow.host
            for target in sorted(network.targets(self.peer.name), key=lambda each: each.host != host):
                flow = network.flow(target)
                if flow is not None:
                    self.dialog.flow = flow
                    self.cut = False
                    break
        return self.dialog.flow

    def ack(self, invite: Message, headers: Headers, body: bytes = b"") -> None:
        """Acknowledge the 2xx to our INVITE, given as it was sent: its credentials go with it (13.2.2.4)."""
        seq = invite.cseq[0]
        flow = self.way()
        data = self.calls.alone(self.dialog.ack(seq, [*credentials_of(invite), *headers], body), flow)
        self._acks[seq] = (flow, data)
        if len(self._acks) > _ACKS:
            del self._acks[min(self._acks)]
        self.calls.network.send(flow, data)

    def has_acked(self, seq: int) -> bool:
        """Whether the 2xx to our INVITE with this CSeq number had its ACK."""
        return bool(self._acks) and (seq in self._acks or seq < min(self._acks))

    def ack_again(self, seq: int) -> None:
        """The 2xx was repeated: the ACK was lost, or has not been sent yet because the other side owes it."""
        if seq in self._acks:
            self.calls.network.send(*self._acks[seq])

    def end(self) -> None:
        """A BYE is sent or was received: no ACK is waited for any more."""
        self.ended = True
        for accepted in self.accepted.values():
            accepted.stop()
        self.accepted.clear()

    def bye(self, headers: Headers) -> None:
        """Hang up this side."""
        self.end()
        self.calls.send_in_dialog(self, "BYE", headers, user=Goodbye(self, headers))

    def forget(self) -> None:
        """The dialog is no more: later requests of the far end get 481."""
        self.end()
        self.calls.halves.pop(self.dialog.key, None)


class Goodbye:
    """Our BYE on its way: whatever becomes of it, the dialog is over afterwards."""

    __slots__ = ("_half", "_headers", "_tried")

    def __init__(self, half: Half, headers: Headers) -> None:
        self._half = half
        self._headers = headers
        self._tried = False

    def response(self, transaction: ClientTransaction, message: Message) -> None:
        """Credentials may be asked for; any other final answer ends it."""
        if message.code < 200:
            return
        if self._half.calls.challenged(self._half.peer, transaction.request, message) and not self._tried:
            self._tried = True
            self._half.calls.send_in_dialog(self._half, "BYE", self._headers, user=self)
            return
        self._half.call.said_goodbye(self._half)

    def timed_out(self, transaction: ClientTransaction) -> None:
        """Nobody is there any more."""
        self._half.call.said_goodbye(self._half)

    def failed(self, transaction: ClientTransaction) -> None:
        """The connection is gone, and the far end with it."""
        self._half.call.said_goodbye(self._half)
