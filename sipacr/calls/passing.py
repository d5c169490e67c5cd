"""One in-dialog request on its way from one side of a call to the other, and its answer on the way back."""

import zlib
from collections.abc import Callable

from sipacr.calls import session, tailor
from sipacr.calls.accepted import Accepted
from sipacr.calls.half import Half
from sipacr.calls.message import Headers, Message, without
from sipacr.calls.outcome import passed_on
from sipacr.calls.passage import OPTIONS
from sipacr.calls.timers import Timer
from sipacr.calls.transactions import ClientTransaction, ServerTransaction, response_to

DEADLINE = 10.0  # seconds for a request that is no INVITE: after that its sender gets 504 (RFC 4320 knows no 408 there)
PATIENCE = 181.0  # seconds for a re-INVITE, which somebody may have to be asked about: as timer C (RFC 3261 16.6)
OFFERS = ("INVITE", "UPDATE")
_CONTACTS = ("INVITE", "UPDATE", "REFER", "SUBSCRIBE", "NOTIFY")  # they refresh the target (RFC 5057 5.4, RFC 6665)
_OF_ITS_OWN = ("NOTIFY", "PRACK")  # a 408 or 481 to these says nothing of the session (RFC 5057 5.1)
_OF_BODY = ("Content-Type", "Content-Disposition", "Content-Encoding", "Content-Language", "MIME-Version")
_RETRIES = 3  # of one request, for credentials and session intervals


def begin(half: Half, server: ServerTransaction, message: Message) -> None:
    """Pass a request of this side on to the other, or refuse it here."""
    rack = None
    if message.method == "PRACK":
        rack = half.call.caller.pracked(half, message.get("RAck") or "")
        if not rack:
            _pracked_here(half, server, message, known=rack is not None)
            return
    refused = _refusal(half, message)
    if refused is not None:
        half.calls.respond(server, refused[0], headers=refused[1])
        if rack:
            half.call.caller.release()
        return
    assert half.other is not None
    Passing(half, half.other, server, message, rack)


def _pracked_here(half: Half, server: ServerTransaction, message: Message, *, known: bool) -> None:
    """A PRACK that goes no further: it fits nothing, or its leg is gone or sent nothing reliable. An offer in it
    (RFC 3262 5) is for nobody."""
    caller = half.call.caller
    offers = bool(message.body and caller.invite.body)
    half.calls.respond(server, 481 if not known else 488 if offers else 200)
    caller.release()


def farewell(half: Half, bye: Message) -> Headers:
    """The headers of the BYE to the other side, for that of this one: Reason (RFC 3326) and what else may pass."""
    if half.other is None:
        return []
    return without(tailor.in_dialog(bye, half.other.passage()), _OF_BODY)


def _refusal(half: Half, message: Message) -> tuple[int, Headers] | None:
    """Status and headers for a request that does not go to the other side."""
    other = half.other
    if other is None or not half.calls.refers.passes(message, half, other):
        if half.call.state == "ringing" and not half.call.caller.many:
            return 500, _retry_after(message)  # the next leg is about to take the place of the last one
        return 481, []
    if message.get("Require") is not None:
        unknown = [tag for tag in message.values("Require") if tag.lower() not in OPTIONS]
        if unknown:
            return 420, [("Unsupported", ", ".join(unknown))]
    if message.method == "REFER":
        return _unreferable(half, other, message)
    if message.method == "SUBSCRIBE" and (message.get("Event") or "").partition(";")[0].strip() != "refer":
        return 489, [("Allow-Events", "refer")]
    if message.method in OFFERS:
        return _glare(half, other, message)
    return None


def _unreferable(half: Half, other: Half, refer: Message) -> tuple[int, Headers] | None:
    """A REFER without exactly one Refer-To (RFC 3515 2.4.2), or to what is no telephone."""
    wanted = refer.lines("Refer-To")
    if len(wanted) != 1:
        return 400, []
    return None if tailor.at_our_host(wanted[0], other.passage()) else (416, [])


def _glare(half: Half, other: Half, message: Message) -> tuple[int, Headers] | None:
    """Offers that cross (RFC 3261 14.2, RFC 3311 5.2, RFC 6141): 491 for the other side's, 500 for one's own."""
    if message.method == "UPDATE":
        if any(each.method == "UPDATE" for each in half.passing):
            return 500, _retry_after(message)
        if not message.body:  # it refreshes the session or the target and offers nothing
            return None
    elif not half.call.caller.final:  # within the first INVITE
        return (500, _retry_after(message)) if half in half.call.caller.halves else (491, [])
    if other.offering is not None or half.call.awaits_late_answer:
        return 491, []
    if half.offering is not None:
        return 500, _retry_after(message)
    return None


def _retry_after(message: Message) -> Headers:
    """0 to 10 seconds, by chance (14.2): two who meet again and again do not come at the same time."""
    seed = f"{message.get('Call-ID')} {message.get('CSeq')}".encode("utf-8", "surrogateescape")
    return [("Retry-After", str(zlib.crc32(seed) % 11))]


class Passing:
    """A server transaction here, a client transaction there."""

    __slots__ = (
        "_cancelled", "_client", "_deadline", "_final", "_from", "_late_offer", "_minimum", "_offered", "_rack",
        "_request", "_server", "_to", "_tries", "method",
    )  # fmt: skip

    def __init__(
        self, source: Half, target: Half, server: ServerTransaction, request: Message, rack: str | None = None
    ) -> None:
        """`rack` is what a PRACK names at the other side (RFC 3262)."""
        self._from = source
        self._to = target
        self._server = server
        self._request = request
        self.method = request.method
        self._late_offer = request.method == "INVITE" and not request.body
        self._offered = b""  # by the other side, where the request made no offer
        self._final = 0  # the other side's answer
        self._tries = 0
        self._minimum: str | None = None  # the session interval that the other side demands
        self._cancelled = False
        self._deadline: Timer | None = None
        self._rack = rack
        server.user = self
        source.passing.append(self)
        if request.method == "INVITE" or (request.method == "UPDATE" and request.body):
            source.offering = self
        if request.method == "INVITE":
            source.calls.respond(server, 100)
            self._wait(PATIENCE, self._give_up)
        else:
            self._wait(DEADLINE, self._too_late)
        self._client = self._send()

    def _send(self) -> ClientTransaction:
        request = self._request
        source, target = self._from, self._to
        refers = source.calls.refers
        headers = refers.outward(request, tailor.in_dialog(request, target.passage()), source, target)
        if request.method in OFFERS:
            headers += session.asked(request, self._interval(target), self._minimum)
        if self._rack is not None:
            headers.append(("RAck", self._rack))
        client = source.calls.send_in_dialog(target, request.method, headers, tailor.body(request), user=self)
        refers.begun(request, client.request, target)
        return client

    @staticmethod
    def _interval(half: Half) -> float:
        """Seconds of the session timer that we ask of this side, and grant it, by ourselves."""
        return half.peer.session_expires if half.call.state == "talking" else 0.0

    # The sender's side

    def cancelled(self, reason: str | None) -> None:
        """The sender of a re-INVITE gives it up; the other side's 487 will come back."""
        if not self._final:
            self._cancelled = True
            self._client.cancel(tailor.without_telltale(reason, self._to.passage()) if reason is not None else None)

    def abandoned(self, transaction: ServerTransaction) -> None:
        """The connection of the sender died: he will not hear the answer. If it is 2xx nobody acknowledges it, which
        ends the call."""
        self.cancelled(None)

    def hung_up(self) -> None:
        """The sender said BYE: his other requests are answered with 487 (15.1.2). A transfer goes on without him."""
        if self.method not in ("REFER", "NOTIFY"):
            self._from.calls.respond(self._server, 487)  # nothing if it was answered

    def call_over(self) -> None:
        """BYEs go out. Both ends still owe answers (15.1.2), but nobody waits for them for ever."""
        if not self._final:
            if self.method == "INVITE":
                self._wait(DEADLINE, self._too_late)
        elif self._late_offer:
            self._refuse_offer()
            self._free()

    # The other side

    def response(self, transaction: ClientTransaction, message: Message) -> None:
        """Pass the other side's answer back."""
        code = message.code
        if self._final:
            if 200 <= code < 300:
                self._to.ack_again(message.cseq[0])
            return
        if code < 200:
            if code > 100 and self.method == "INVITE" and not self._request.has_token("Require", "100rel"):
                self._answer(code, message)
            return
        if self._may_retry(transaction, message):
            self._tries += 1
            self._client = self._send()
            return
        self._finish(code)
        if code < 300:
            self._succeeded(message)
        else:
            self._answer(self._failure(code), message)
        self._from.calls.refers.answered(self._request, message, self._from, self._to)
        if code in (408, 481) and self.method not in _OF_ITS_OWN:  # that side has no dialog any more (12.2.1.2)
            self._from.call.lost(self._to)

    def timed_out(self, transaction: ClientTransaction) -> None:
        """The other side is silent for the whole of Timer B or F: it is gone."""
        self._gone()

    def failed(self, transaction: ClientTransaction) -> None:
        """The connection to the other side broke under the request."""
        self._gone()

    def _may_retry(self, transaction: ClientTransaction, message: Message) -> bool:
        again = self._to.calls.challenged(self._to.peer, transaction.request, message)
        if self._tries >= _RETRIES or self._cancelled or self._server.final:
            return False
        if again:
            return True
        if message.code == 422 and self._minimum is None and self._request.get("Session-Expires") is None:
            self._minimum = message.get("Min-SE")  # the interval was our wish, so it is ours to mend
            return self._minimum is not None
        return False

    def _failure(self, code: int) -> int:
        """The code for the sender: no address of the other side is of use to him, no 408 to a request that is no INVITE
        may be sent (RFC 4320 4.2); a challenge to what he has cancelled meanwhile is as good as 487."""
        if self._cancelled and code in (401, 407):
            return 487
        if code < 400:
            return 500
        return 504 if code == 408 and self.method != "INVITE" else passed_on(code)

    def _gone(self) -> None:
        self._finish(408)
        self._from.calls.respond(self._server, self._failure(408))
        if self.method == "REFER":
            self._from.calls.refers.lost(self._request, self._to)
        self._from.call.lost(self._to)

    def _wait(self, seconds: float, end: Callable[[], None]) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self._from.calls.timers.after(seconds, end)

    def _give_up(self) -> None:
        self.cancelled(None)

    def _too_late(self) -> None:
        if self.method == "INVITE":
            self._from.calls.respond(self._server, 487)
            self.cancelled(None)
        else:
            self._from.calls.respond(self._server, 504)
        self._free()

    def _finish(self, code: int) -> None:
        self._final = code
        if self._deadline is not None:
            self._deadline.cancel()
        if not (self._late_offer and code < 300):  # else the offer waits for its answer in the ACK
            self._free()

    def _free(self) -> None:
        if self._from.offering is self:
            self._from.offering = None
        if self.method == "PRACK":
            self._from.call.caller.release()
        if self in self._from.passing:
            self._from.passing.remove(self)

    def _succeeded(self, message: Message) -> None:
        source, target = self._from, self._to
        if self.method in _CONTACTS:
            source.dialog.refresh(self._request)
            target.dialog.refresh(message)
        if self.method in OFFERS:
            source.call.refreshed(self._request, message, self._interval(source))
            source.calls.on_word(target, message)
        if self.method == "INVITE":
            self._offered = message.body
            if self._server.final or source.call.state == "over":
                source.calls.respond(self._server, 487)
                self._discard()
                return
            if not self._late_offer:
                target.ack(self._client.request, [])
        self._answer(message.code, message)
        if self.method == "INVITE":
            accepted = Accepted(self._server, source.calls.timers, self._acknowledged, self._unacknowledged)
            source.accept(accepted, self._request.cseq[0])

    def _discard(self) -> None:
        """A 2xx that the sender will not hear of."""
        if self._late_offer:
            self._refuse_offer()
            self._free()
        else:
            self._to.ack(self._client.request, [])

    def _acknowledged(self, ack: Message) -> None:
        """A late offer is answered in the ACK."""
        if self._late_offer and not self._to.has_acked(self._client.request.cseq[0]):
            self._to.ack(self._client.request, tailor.in_dialog(ack, self._to.passage()), ack.body)
        self._free()
        self._from.call.after_ack(self._from)

    def _unacknowledged(self) -> None:
        self._from.accepted.pop(self._request.cseq[0], None)
        self._free()
        if self._late_offer:
            self._refuse_offer()
        self._from.call.after_ack(self._from)
        self._from.call.lost(self._from)

    def _refuse_offer(self) -> None:
        if not self._to.has_acked(self._client.request.cseq[0]):
            self._to.calls.refuse_offer(self._to, self._client.request, self._offered)

    def _answer(self, code: int, message: Message) -> None:
        headers: Headers = tailor.response(message, self._from.passage())
        headers += session.granted(self._request, message, self._interval(self._from))
        if self.method in _CONTACTS and code < 300:
            headers = [("Contact", self._from.dialog.contact), *headers]
        reason = message.reason if code == message.code else ""
        answer = response_to(self._request, code, reason or self._from.calls.reason(code), headers=headers)
        answer.body = tailor.body(message)
        self._server.respond(answer)
