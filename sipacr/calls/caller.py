"""The caller's INVITE until its final answer: what he hears meanwhile, the 2xx, or a refusal. We are the UAS."""

import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sipacr.calls import session, tailor
from sipacr.calls.accepted import Accepted
from sipacr.calls.dialog import Dialog
from sipacr.calls.half import Half
from sipacr.calls.message import Headers, Message, without
from sipacr.calls.network import Flow
from sipacr.calls.reliable import Reliable
from sipacr.calls.repeating import PATIENCE
from sipacr.calls.timers import Timer
from sipacr.calls.transactions import ServerTransaction, response_to
from sipacr.routing.directory import Peer

if TYPE_CHECKING:
    from sipacr.calls.call import Call

MINUTE = 60.0  # seconds between provisional responses, so that no proxy on the way gives up (RFC 3261 13.3.1.1)
_OF_BODY = ("Content-Type", "Content-Disposition", "Content-Encoding", "Content-Language", "MIME-Version")


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
        self._must = invite.has_token("Require", "100rel")  # no provisional but 100 may be unreliable (RFC 3262 3)
        self.reliable_wanted = self.many and (self._must or invite.has_token("Supported", "100rel"))
        self._contact = f"<sip:{self._calls.network.contact(flow)}>"
        self._tag = ""
        self._halves: dict[Half | None, Half] = {}  # the other side's half -> ours; with `early: one` None for all
        self._reliable: dict[Half, Reliable] = {}
        self._media: Half | None = None  # whose session description he was told with `early: one`
        self._said: tuple[Half, Message] | None = None  # the last provisional response
        self._held: tuple[Half, Message] | None = None  # a 2xx that waits for a PRACK
        self._minute: Timer | None = None
        server.user = self

    @property
    def final(self) -> int:
        """The code of the final answer, or 0."""
        return self.server.final

    @property
    def tag(self) -> str:
        """The To tag of answers to the CANCEL and of refusals: the last one that he was told."""
        if not self._tag:
            self._tag = self._calls.dialog_tag()
        return self._tag

    @property
    def halves(self) -> list[Half]:
        """His early dialogs."""
        return list(self._halves.values())

    @property
    def is_bound(self) -> bool:
        """Whether his only dialog has media of one far end, so that no other one may follow."""
        return self._media is not None

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
            if self.many and self._halves:
                self._tag = ""  # each has its own
            half = Half(self._call, self.peer, Dialog.as_server(self.invite, self.tag, self.flow, self._contact))
            self._halves[key] = half
        half.other = far
        far.other = half
        return half

    # Provisional responses

    def provisional(self, far: Half, message: Message, *, last: bool) -> None:
        """Let the caller hear what the other side says; `last` if surely no other far end can follow."""
        if self.server.final or self._held is not None:
            return
        half = self.half_for(far)
        response = self._response(half, message.code, message)
        if not self.many:
            self._limit(response, far, last)
        rack = ""
        if self.reliable_wanted and message.has_token("Require", "100rel"):
            rack = f"{message.get('RSeq')} {message.cseq[0]} INVITE"
        self._said = half, response
        self._send(half, response, rack)

    def _limit(self, response: Message, far: Half, last: bool) -> None:
        """With one To tag for all: another one's early media may follow, so the caller gets ringing alone."""
        if last and self._media in (None, far):
            if response.body:
                self._media = far
            return
        if response.code == 183:
            response.code, response.reason = 180, "Ringing"
        response.headers = without(response.headers, _OF_BODY)
        response.body = b""

    def _send(self, half: Half, response: Message, rack: str) -> None:
        """`rack`: what the far end expects of a PRACK; "": it expects none, a PRACK of the caller is for us."""
        if not rack and not self._must:
            self.server.respond(response)
            return
        reliable = self._reliable.get(half)
        if reliable is None:
            first = 1 + zlib.crc32(half.dialog.local_tag.encode()) % 0x3FFFFFFF
            reliable = Reliable(self.server, self._calls.timers, first, self._call.not_acknowledged)
            self._reliable[half] = reliable
        reliable.send(response, rack)

    def _again(self) -> None:
        """A minute has passed: say once more what was said last."""
        self._minute = self._calls.timers.after(MINUTE, self._again)
        if self._said is None:
            if not self._must:
                self._calls.respond(self.server, 183, tag=self.tag, headers=[("Contact", self._contact)])
            return
        half, last = self._said
        was_reliable = half in self._reliable
        headers = without(last.headers, ("RSeq", "Require"))
        if was_reliable:
            headers = without(headers, _OF_BODY)  # the description was acknowledged
        body = b"" if was_reliable else last.body
        self._send(half, Message(code=last.code, reason=last.reason, headers=headers, body=body), "")

    def gone(self, far: Half, reason: str | None) -> None:
        """An early dialog of the other side has ended before an answer, for this Reason (RFC 6228)."""
        half = self._halves.get(far)
        if half is None:
            return
        reliable = self._reliable.get(half)
        if reliable is not None:
            reliable.stop()
        if self.invite.has_token("Supported", "199") and not self._must:
            self._calls.timers.after(0.0, lambda: self._tell_gone(half, reason))

    def _tell_gone(self, half: Half, reason: str | None) -> None:
        """Not if the final answer has followed at once."""
        if self.server.final or self._held is not None or self._call.state != "ringing":
            return
        headers: Headers = [("Contact", self._contact)]
        if reason is not None:
            headers.append(("Reason", tailor.without_telltale(reason, half.passage())))
        self._calls.respond(self.server, 199, tag=half.dialog.local_tag, headers=headers)

    def pracked(self, half: Half, rack: str) -> str | None:
        """A PRACK of the caller: the RAck for the other side, "" if it is for us alone, or None if it fits nothing."""
        reliable = self._reliable.get(half)
        far_rack = reliable.acknowledged(rack, self.invite.cseq[0]) if reliable is not None else None
        if far_rack and (half.other is None or half.other.ended):
            return ""
        return far_rack

    # The final answer

    def release(self) -> None:
        """After a PRACK was answered: the 2xx that waited for it."""
        if self._held is not None:
            self._calls.timers.after(0.0, self._release)

    def _release(self) -> None:
        held, self._held = self._held, None
        if held is not None and not self.server.final:
            self.answer(*held)

    def answer(self, far: Half, message: Message) -> None:
        """Send the other side's 2xx, at once or when no PRACK is due any more."""
        half = self.half_for(far)
        reliable = self._reliable.get(half)
        if reliable is not None and reliable.withholds_answer:
            self._held = (far, message)
            return
        self._stop()
        self.server.respond(self._response(half, message.code, message))
        accepted = Accepted(
            self.server, self._calls.timers, self._call.acknowledged, lambda: self._call.unacknowledged(half)
        )
        half.accept(accepted, self.invite.cseq[0])
        self._forget_all_but(half)

    def reject(
        self, code: int, reason: str | None = None, headers: Sequence[tuple[str, str]] = (), body: bytes = b""
    ) -> None:
        """Refuse the call, or tell the caller where else to try (3xx)."""
        if self.server.final:
            return
        self._stop()
        self._held = None
        response = response_to(self.invite, code, reason or self._calls.reason(code), self.tag, headers)
        response.body = body
        self.server.respond(response)
        self._forget_all_but(None)

    def _forget_all_but(self, chosen: Half | None) -> None:
        """The other early dialogs have ended; PRACKs that are on their way are still taken (RFC 3262 3)."""
        for half in self._halves.values():
            if half is chosen:
                continue
            reliable = self._reliable.get(half)
            if reliable is not None and reliable.waits:
                self._calls.timers.after(PATIENCE, half.forget)
            else:
                half.forget()

    def _stop(self) -> None:
        if self._minute is not None:
            self._minute.cancel()
        for reliable in self._reliable.values():
            reliable.stop()

    def _response(self, half: Half, code: int, message: Message) -> Message:
        headers = tailor.response(message, half.passage())
        headers += session.granted(self.invite, message, self.peer.session_expires)
        response = response_to(
            self.invite, code, message.reason or self._calls.reason(code), half.dialog.local_tag,
            [("Contact", self._contact), *headers],
        )  # fmt: skip
        response.body = tailor.body(message)
        return response
