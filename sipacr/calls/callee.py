"""One leg that is rung: our INVITE to one target, over its addresses, until it answers or fails. We are the UAC."""

from typing import TYPE_CHECKING

from sipacr.calls import session, tailor
from sipacr.calls.addresses import sip_uri
from sipacr.calls.dialog import Dialog
from sipacr.calls.half import Half
from sipacr.calls.hunt import Attempt
from sipacr.calls.identity_headers import from_value, to_value
from sipacr.calls.message import Headers, Message, tag
from sipacr.calls.network import Flow, Target
from sipacr.calls.outcome import UNREACHABLE_CODE
from sipacr.calls.passage import Passage
from sipacr.calls.timers import Timer
from sipacr.calls.transactions import ClientTransaction
from sipacr.routing.directory import Peer

if TYPE_CHECKING:
    from sipacr.calls.call import Call

_RETRIES = 3  # of one INVITE, for credentials and session intervals


class Callee:
    """One attempt of a call."""

    def __init__(self, call: "Call", attempt: Attempt, peer: Peer) -> None:
        self._call = call
        self._calls = call.calls
        self.attempt = attempt
        self.peer = peer
        self.over = False  # answered, failed or given up: nothing of it matters to the hunt any more
        self._targets: list[Target] = list(self._calls.network.targets(peer.name))
        self._call_id = self._calls.call_id()
        self._tag = self._calls.dialog_tag()
        self._seq = 0
        self._retries = 0
        self._min_se: str | None = None
        self._transaction: ClientTransaction | None = None
        self._heard = False  # a provisional came
        self._halves: dict[str, Half] = {}  # the far end's tag -> our half of the dialog
        self._seen: dict[str, int] = {}  # the far end's tag -> RSeq of its last reliable response
        self._answered: Half | None = None
        self._failed: tuple[int, Message | None] = (UNREACHABLE_CODE, None)
        self._connect: Timer | None = None
        self._ring: Timer | None = None

    def dial(self) -> None:
        """Send the INVITE; what becomes of it comes later, never from in here."""
        timers = self._calls.timers
        if self.attempt.ring is not None:
            self._ring = timers.after(self.attempt.ring, self._rung)
        self._dial()

    def _dial(self) -> None:
        while self._targets:
            flow = self._calls.network.flow(self._targets.pop(0))
            if flow is not None:
                self._invite(flow)
                return
        self._calls.timers.after(0.0, self._unreachable)

    def _invite(self, flow: Flow) -> None:
        call, calls = self._call, self._calls
        self._seq += 1
        invite = call.caller.invite
        passage = Passage(call.peer, self.peer, calls.network.sent_by(flow), call.options)
        invitation = call.invitation(self.attempt, passage)
        headers: Headers = [("Route", f"<{route}>") for route in calls.routes(self.peer)]
        uri = sip_uri(invitation.user, invitation.target_host)
        headers += (
            ("Max-Forwards", str(call.hops - 1)),
            ("From", f"{from_value(invite, invitation)};tag={self._tag}"),
            ("To", to_value(invitation)),
            ("Call-ID", self._call_id),
            ("CSeq", f"{self._seq} INVITE"),
            ("Contact", f"<sip:{calls.contact(self.peer, flow)}>"),
        )
        body = tailor.body(invite)
        headers += calls.authorization(self.peer, "INVITE", uri, body)
        headers += tailor.initial_request(invite, invitation)
        if call.replaces is not None:
            headers += (("Replaces", call.replaces), ("Require", "replaces"))
        headers += session.asked(invite, self.peer.session_expires, self._min_se)
        self._heard = False
        self._connect = calls.timers.after(call.connect(self.peer), self._silent)
        self._transaction = calls.transactions.send(Message("INVITE", uri, headers=headers, body=body), flow, self)

    def give_up(self, reason: str | None) -> None:
        """Cancel it; it has no say in the call any more. Never twice."""
        if self.over:
            return
        self._end()
        if self._transaction is not None:
            self._transaction.cancel(reason)
        self._forget_early()

    # What the transaction tells

    def response(self, transaction: ClientTransaction, message: Message) -> None:
        """A provisional or final answer of the far end."""
        code = message.code
        if code >= 300:
            if transaction is self._transaction and not self.over:
                self._refused(transaction, message)
            return
        if code >= 200:
            self._accepted(transaction, message)
            return
        if transaction is not self._transaction or self.over:
            return
        self._heard = True
        self._stop_connect()
        if code > 100:
            self._provisional(transaction, message)

    def timed_out(self, transaction: ClientTransaction) -> None:
        """Timer B, or nothing came after a CANCEL."""
        if transaction is self._transaction and not self.over:
            self._next_target(408)

    def failed(self, transaction: ClientTransaction) -> None:
        """The connection broke or was refused."""
        if transaction is self._transaction and not self.over:
            self._next_target(UNREACHABLE_CODE)

    def _provisional(self, transaction: ClientTransaction, message: Message) -> None:
        far = tag(message.get("To") or "")
        if message.code == 199:
            self._early_gone(far)
            return
        reliable = message.get("RSeq") if message.has_token("Require", "100rel") else None
        if reliable is not None:
            if not reliable.isdigit() or int(reliable) <= self._seen.get(far, 0):
                return  # repeated, because our PRACK is still on its way from the caller
            self._seen[far] = int(reliable)
        half = self._halves.get(far)
        if half is None:
            half = self._halves[far] = self._half(transaction, message)
        elif message.get("Contact"):
            half.dialog.refresh(message)
        self._call.provisional(half, message)

    def _half(self, transaction: ClientTransaction, message: Message) -> Half:
        flow = transaction.flow
        contact = f"<sip:{self._calls.contact(self.peer, flow)}>"
        return Half(self._call, self.peer, Dialog.as_client(transaction.request, message, flow, contact))

    def _accepted(self, transaction: ClientTransaction, message: Message) -> None:
        far = tag(message.get("To") or "")
        answered = self._answered
        if answered is not None and answered.dialog.remote_tag == far:
            answered.ack_again(message.cseq[0])
            return
        if self.over:  # given up, or another fork has answered
            self._call.stray(self._half(transaction, message), transaction.request, message)
            return
        half = self._halves.pop(far, None)
        if half is None:
            half = self._half(transaction, message)
        else:
            half.dialog.refresh(message)
            half.dialog.routes = message.values("Record-Route")[::-1]
        self._answered = half
        self._end()
        self._forget_early()
        self._call.answered(self, half, transaction.request, message)

    def _refused(self, transaction: ClientTransaction, message: Message) -> None:
        code = message.code
        if self._retries < _RETRIES and self._may_retry(transaction, message):
            self._retries += 1
            self._invite(transaction.flow)
            return
        if code == 503 and self._targets:  # RFC 3263 4.3: another server of the same name
            self._next_target(code, message)
            return
        self._fail(code, message)

    def _may_retry(self, transaction: ClientTransaction, message: Message) -> bool:
        if message.code in (401, 407):
            return self._calls.challenged(self.peer, transaction.request, message)
        if message.code == 422 and self._min_se is None:
            self._min_se = message.get("Min-SE")
            return self._min_se is not None
        return False

    # The end

    def _silent(self) -> None:
        """No provisional within `connect` seconds."""
        self._next_target(408)

    def _rung(self) -> None:
        """The ring time is over: the far end is given up at once, its 487 is not waited for."""
        self._stop_connect()
        outcome_code = 408 if self._heard else UNREACHABLE_CODE
        if self._transaction is not None:
            self._transaction.cancel(None)
        self._fail(outcome_code, None, rung=self._heard)

    def _unreachable(self) -> None:
        if not self.over:
            self._fail(*self._failed)

    def _next_target(self, code: int, message: Message | None = None) -> None:
        self._stop_connect()
        if self._transaction is not None and not self._transaction.final:
            self._transaction.cancel(None)
        self._failed = (UNREACHABLE_CODE if code == 408 else code, message)
        self._calls.suspect(self.peer)
        self._dial()

    def _fail(self, code: int, message: Message | None, *, rung: bool = False) -> None:
        self._end()
        self._forget_early()
        self._call.failed(self, code, message, rung=rung)

    def _end(self) -> None:
        self.over = True
        self._stop_connect()
        if self._ring is not None:
            self._ring.cancel()

    def _stop_connect(self) -> None:
        if self._connect is not None:
            self._connect.cancel()

    def _early_gone(self, far: str) -> None:
        half = self._halves.pop(far, None)
        if half is not None:
            half.forget()
            self._call.caller.gone(half)

    def _forget_early(self) -> None:
        for far in list(self._halves):
            self._early_gone(far)
