"""One in-dialog request on its way from one side of a call to the other, and its answer on the way back."""

from sipacr.calls import session, tailor
from sipacr.calls.accepted import Accepted
from sipacr.calls.half import Half
from sipacr.calls.message import Headers, Message
from sipacr.calls.outcome import passed_on
from sipacr.calls.timers import Timer
from sipacr.calls.transactions import ClientTransaction, ServerTransaction, response_to

DEADLINE = 10.0  # seconds for a request that is no INVITE: after that its sender gets 504 (RFC 4320 knows no 408 there)
_OFFERS = ("INVITE", "UPDATE")


def begin(half: Half, server: ServerTransaction, message: Message) -> None:
    """Pass a request of this side on to the other, or refuse it here."""
    rack = None
    if message.method == "PRACK":
        rack = half.call.caller.pracked(half, message.get("RAck") or "")
    if rack is None and message.method == "PRACK":
        half.calls.respond(server, 481)
        return
    if half.other is None or not half.calls.refers.passes(message, half, half.other):
        half.calls.respond(server, 481)
        return
    if message.method in _OFFERS:
        if half.other.offering is not None:  # an offer of the other side is on its way to this one: glare (14.2)
            half.calls.respond(server, 491)
            return
        if half.offering is not None:
            half.calls.respond(server, 500, headers=[("Retry-After", "2")])
            return
    Passing(half, half.other, server, message, rack)


class Passing:
    """A server transaction here, a client transaction there."""

    __slots__ = (
        "_client",
        "_deadline",
        "_final",
        "_from",
        "_late_offer",
        "_offered",
        "_rack",
        "_request",
        "_server",
        "_to",
        "_tried",
    )

    def __init__(
        self, source: Half, target: Half, server: ServerTransaction, request: Message, rack: str | None = None
    ) -> None:
        """`rack` is what a PRACK names at the other side (RFC 3262)."""
        self._from = source
        self._to = target
        self._server = server
        self._request = request
        self._late_offer = request.method == "INVITE" and not request.body
        self._offered = b""  # by the other side, where the request made no offer
        self._final = 0
        self._tried = False
        self._deadline: Timer | None = None
        self._rack = rack
        server.user = self
        source.passing.append(self)
        if request.method in _OFFERS:
            source.offering = self
        if request.method != "INVITE":
            self._deadline = source.calls.timers.after(DEADLINE, self._too_late)
        else:
            source.calls.respond(server, 100)
        self._client = self._send()

    def _send(self) -> ClientTransaction:
        request = self._request
        headers = self._from.calls.refers.outward(request, tailor.in_dialog(request, self._to.passage()))
        if request.method in _OFFERS:
            headers += session.asked(request, 0)
        if self._rack is not None:
            headers.append(("RAck", self._rack))
        return self._from.calls.send_in_dialog(self._to, request.method, headers, tailor.body(request), user=self)

    def cancelled(self, reason: str | None) -> None:
        """The sender of a re-INVITE gives it up; the other side's 487 will come back."""
        if self._request.method == "INVITE" and not self._final:
            self._client.cancel(reason)

    def abandoned(self, transaction: ServerTransaction) -> None:
        """The connection of the sender died; the answer would reach nobody. The call itself may live on."""

    def response(self, transaction: ClientTransaction, message: Message) -> None:
        """Pass the other side's answer back."""
        code = message.code
        if self._final:
            if 200 <= code < 300 and self._request.method == "INVITE":
                self._to.ack_again(message.cseq[0])
            return
        if code < 200:
            if code > 100 and not self._server.final:
                self._answer(code, message)
            return
        if (
            code in (401, 407)
            and not self._tried
            and self._to.calls.challenged(self._to.peer, transaction.request, message)
        ):
            self._tried = True
            self._client = self._send()
            return
        self._finish(code)
        if code < 300:
            self._succeeded(message)
        else:
            self._answer(passed_on(code), message)
        if code in (408, 481):  # the dialog is gone at that side (12.2.1.2)
            self._from.call.lost(self._to)

    def gone_with_the_dialog(self) -> None:
        """One side hung up: nothing more will be answered."""
        if not self._final:
            self._finish(487)
            self._from.calls.respond(self._server, 487 if self._request.method == "INVITE" else 481)

    def timed_out(self, transaction: ClientTransaction) -> None:
        """The other side is silent for the whole of Timer B or F: it is gone."""
        self._gone()

    def failed(self, transaction: ClientTransaction) -> None:
        """The connection to the other side broke under the request."""
        self._gone()

    def _gone(self) -> None:
        if not self._final:
            self._finish(504)
            self._from.calls.respond(self._server, 504 if self._request.method != "INVITE" else 408)
        self._from.call.lost(self._to)

    def _too_late(self) -> None:
        if not self._server.final:
            self._from.calls.respond(self._server, 504)
            self._free()

    def _finish(self, code: int) -> None:
        self._final = code
        if self._deadline is not None:
            self._deadline.cancel()
        self._free()

    def _free(self) -> None:
        if self._from.offering is self:
            self._from.offering = None
        if self._request.method == "PRACK":
            self._from.call.caller.release()
        if self in self._from.passing:
            self._from.passing.remove(self)

    def _succeeded(self, message: Message) -> None:
        source, target, method = self._from, self._to, self._request.method
        if method in _OFFERS:
            source.dialog.refresh(self._request)
            target.dialog.refresh(message)
            source.call.refreshed(self._request, message)
        if method == "INVITE":
            if self._late_offer:
                self._offered = message.body
            else:
                target.ack(self._client.request, [])
        source.calls.refers.answered(self._request, message, source, target)
        if self._server.final:  # after the deadline
            return
        self._answer(message.code, message)
        if method == "INVITE":
            accepted = Accepted(self._server, source.calls.timers, self._acknowledged, self._unacknowledged)
            source.accept(accepted, self._request.cseq[0])

    def _acknowledged(self, ack: Message) -> None:
        """A late offer is answered in the ACK."""
        if self._late_offer:
            self._to.ack(self._client.request, tailor.in_dialog(ack, self._to.passage()), ack.body)
        self._from.call.after_ack(self._from)

    def _unacknowledged(self) -> None:
        self._from.accepted.pop(self._request.cseq[0], None)
        if self._late_offer:
            self._to.calls.refuse_offer(self._to, self._client.request, self._offered)
        self._from.call.lost(self._from)

    def _answer(self, code: int, message: Message) -> None:
        headers: Headers = tailor.response(message, self._from.passage())
        headers += session.granted(self._request, message, 0)
        if self._request.method in _OFFERS and code < 300:
            headers = [("Contact", self._from.dialog.contact), *headers]
        reason = message.reason if code == message.code else ""
        answer = response_to(self._request, code, reason or self._from.calls.reason(code), headers=headers)
        answer.body = tailor.body(message)
        self._server.respond(answer)
