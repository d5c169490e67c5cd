"""The caller's INVITE until its final answer: what he hears meanwhile, the 2xx, or a refusal. We are the UAS."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sipacr.calls import session, tailor
from sipacr.calls.accepted import Accepted
from sipacr.calls.dialog import Dialog
from sipacr.calls.half import Half
from sipacr.calls.message import Message, without
from sipacr.calls.network import Flow
from sipacr.calls.reliable import Reliable
from sipacr.calls.timers import Timer
from sipacr.calls.transactions import ServerTransaction, response_to
from sipacr.routing.directory import Peer

if TYPE_CHECKING:
    from sipacr.calls.call import Call

MINUTE = 60.0  # seconds between provisional responses, so that no proxy on the way gives up (RFC 3261 13.3.1.1)


class Caller:
    """One incoming INVITE."""

    def __init__(self, call: "Call", server: ServerTransaction, invite: Message, flow: Flow, peer: Peer) -> None:
        self._call = call
        self._calls = call.calls
        self.server = server
        self.invite = invite
        self.flow = flow
        self.peer = peer
        self.many = peer.early == "many"
        self.reliable_wanted = self.many and (
            invite.has_token("Supported", "100rel") or invite.has_token("Require", "100rel")
        )
        self._contact = f"<sip:{self._calls.network.contact(flow)}>"
        self._tag = ""
        self._halves: dict[Half | None, Half] = {}  # the other side's half -> ours; with `early: one` None for all
        self._reliable: dict[Half, Reliable] = {}
        self._held: tuple[Half, Message] | None = None  # a 2xx that waits for a PRACK
        self._minute: Timer | None = None
        server.user = self

    @property
    def final(self) -> int:
        """The code of the final answer, or 0."""
        return self.server.final

    @property
    def halves(self) -> list[Half]:
        """His early dialogs."""
        return list(self._halves.values())

    def start(self) -> None:
        """100 at once, and something every minute."""
        self._calls.respond(self.server, 100)
        self._minute = self._calls.timers.after(MINUTE, self._again)

    def cancelled(self, reason: str | None) -> None:
        """CANCEL: the caller gives up."""
        self._call.abandoned(reason)

    def abandoned(self, transaction: ServerTransaction) -> None:
        """The connection of the ringing caller died."""
        self._call.abandoned(None)

    def half_for(self, far: Half) -> Half:
        """The caller's side of an early dialog of the other side."""
        key = far if self.many else None
        half = self._halves.get(key)
        if half is None:
            if self.many or not self._tag:
                self._tag = self._calls.dialog_tag()
            half = Half(self._call, self.peer, Dialog.as_server(self.invite, self._tag, self.flow, self._contact))
            self._halves[key] = half
        half.other = far
        far.other = half
        return half

    def provisional(self, far: Half, message: Message, *, last: bool) -> None:
        """Let the caller hear what the other side says; `last` if surely no further leg can follow."""
        if self.server.final or self._held is not None:
            return
        half = self.half_for(far)
        reliable = message.get("RSeq") if message.has_token("Require", "100rel") else None
        response = self._response(half, message.code, message)
        if reliable is not None and self.reliable_wanted:
            rack = f"{reliable} {message.cseq[0]} INVITE"
            if half not in self._reliable:
                first = 1 + hash(half.dialog.local_tag) % 0x7FFF
                self._reliable[half] = Reliable(self.server, self._calls.timers, first, self._call.not_acknowledged)
            self._reliable[half].send(response, rack)
            return
        if not self.many and not last:  # another person's early media may follow: the caller gets ringing alone
            if message.code == 183:
                response.code, response.reason = 180, "Ringing"
            response.headers = without(response.headers, ("Content-Type", "Content-Disposition", "Content-Encoding"))
            response.body = b""
        self.server.respond(response)

    def gone(self, far: Half) -> None:
        """An early dialog of the other side has ended before an answer (RFC 6228)."""
        half = self._halves.get(far)
        if half is None or not self.many or self.server.final:
            return
        reliable = self._reliable.pop(half, None)
        if reliable is not None:
            reliable.stop()
        if self.invite.has_token("Supported", "199") and self._held is None:
            self._calls.respond(self.server, 199, tag=half.dialog.local_tag, headers=[("Contact", self._contact)])

    def pracked(self, half: Half, rack: str) -> str | None:
        """A PRACK of the caller: the RAck for the other side, or None if it fits nothing."""
        reliable = self._reliable.get(half)
        return reliable.acknowledged(rack, self.invite.cseq[0]) if reliable is not None else None

    def release(self) -> None:
        """After a PRACK was passed on: the 2xx that waited for it."""
        if self._held is not None:
            held, self._held = self._held, None
            self.answer(*held)

    def answer(self, far: Half, message: Message) -> Half | None:
        """Send the other side's 2xx; the caller's half, or None while a PRACK is still due."""
        half = self.half_for(far)
        reliable = self._reliable.get(half)
        if reliable is not None and reliable.withholds_answer:
            self._held = (far, message)
            return None
        self._stop()
        self.server.respond(self._response(half, message.code, message))
        seq = self.invite.cseq[0]
        accepted = Accepted(
            self.server, self._calls.timers, self._call.acknowledged, lambda: self._call.unacknowledged(half)
        )
        half.accept(accepted, seq)
        for other in list(self._halves.values()):
            if other is not half:
                other.forget()
        return half

    def reject(self, code: int, reason: str | None = None, headers: Sequence[tuple[str, str]] = ()) -> None:
        """Refuse the call, or tell the caller where else to try (3xx)."""
        if self.server.final:
            return
        self._stop()
        self._calls.respond(self.server, code, reason, headers=headers, tag=self._tag or self._calls.dialog_tag())
        for half in self._halves.values():
            half.forget()

    def _stop(self) -> None:
        if self._minute is not None:
            self._minute.cancel()
        for reliable in self._reliable.values():
            reliable.stop()

    def _again(self) -> None:
        self._minute = self._calls.timers.after(MINUTE, self._again)
        if not self._halves:
            self._tag = self._tag or self._calls.dialog_tag()
            self._calls.respond(self.server, 183, tag=self._tag, headers=[("Contact", self._contact)])
        elif not self._reliable:
            self.server.repeat()

    def _response(self, half: Half, code: int, message: Message) -> Message:
        headers = tailor.response(message, half.passage())
        headers += session.granted(self.invite, message, self.peer.session_expires)
        response = response_to(
            self.invite, code, message.reason or self._calls.reason(code), half.dialog.local_tag,
            [("Contact", self._contact), *headers],
        )  # fmt: skip
        response.body = tailor.body(message)
        return response
