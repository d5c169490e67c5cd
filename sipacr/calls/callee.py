"""One leg that is rung: our INVITE to one target, over its addresses, until it answers or fails. We are the UAC."""

from typing import TYPE_CHECKING

from sipacr.calls import session, tailor
from sipacr.calls.addresses import sip_uri
from sipacr.calls.dialog import Dialog
from sipacr.calls.half import Half
from sipacr.calls.hunt import Attempt
from sipacr.calls.identity_headers import from_value, to_value
from sipacr.calls.message import Headers, Message, tag, with_parameter, without
from sipacr.calls.network import Flow, Target
from sipacr.calls.outcome import UNREACHABLE_CODE, answer_of
from sipacr.calls.passage import OPTIONS, Passage
from sipacr.calls.timers import Timer
from sipacr.calls.transactions import ClientTransaction
from sipacr.routing.directory import Peer

if TYPE_CHECKING:
    from sipacr.calls.call import Call

_RETRIES = 3  # of one INVITE, for credentials and session intervals
_FORKS = 16  # early dialogs of one leg that are told to the caller
_OPTIONS = OPTIONS - {"100rel"}  # that is a matter of one leg, see `_supported`


class Callee:
    """One attempt of a call."""

    def __init__(self, call: "Call", attempt: Attempt, peer: Peer) -> None:
        self._call = call
        self._calls = call.calls
        self.attempt = attempt
        self.peer = peer
        self.over = False  # answered, failed or given up: nothing of it matters to the hunt any more
        self.heard = False  # a provisional came from the present target
        self._targets: list[Target] = list(self._calls.network.targets(peer.name))
        self._call_id = self._calls.call_id()
        self._tag = self._calls.dialog_tag()
        self._seq = 0
        self._retries = 0
        self._min_se: str | None = None
        self._transaction: ClientTransaction | None = None  # to the present target
        self._halves: dict[str, Half] = {}  # the far end's tag -> our half of the early dialog
        self._seen: dict[str, int] = {}  # the far end's tag -> RSeq of its last reliable response
        self._confirmed: dict[tuple[str, str], Half] = {}  # branch and the far end's tag -> the dialog of its 2xx
        self._failed: tuple[int, Message | None] = (UNREACHABLE_CODE, None)
        self._connect: Timer | None = None
        self._ring: Timer | None = None

    @property
    def host(self) -> str:
        """The address that the INVITE went to."""
        return self._transaction.flow.host if self._transaction is not None else ""

    @property
    def call_id(self) -> str:
        """As the far end knows it."""
        return self._call_id

    @property
    def has_early_dialogs(self) -> bool:
        """Whether the caller was told of a dialog with it."""
        return bool(self._halves)

    def rings_in(self, half: Half) -> bool:
        """Whether this is one of its early dialogs."""
        return half in self._halves.values()

    def dial(self) -> None:
        """Send the INVITE; what becomes of it comes later, never from in here."""
        if self.attempt.ring is not None:
            self._ring = self._calls.timers.after(self.attempt.ring, self._rung)
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
        self._stop_connect()
        self.heard = False
        invite = call.caller.invite
        passage = Passage(call.peer, self.peer, calls.network.sent_by(flow), _OPTIONS)
        invitation = call.invitation(self.attempt, passage)
        headers: Headers = [("Route", f"<{route}>") for route in calls.routes(self.peer)]
        uri = sip_uri(invitation.user, invitation.target_host)
        headers += (
            ("Max-Forwards", str(call.hops - 1)),
            ("From", with_parameter(from_value(invite, invitation), "tag", self._tag)),
            ("To", to_value(invitation)),
            ("Call-ID", self._call_id),
            ("CSeq", f"{self._seq} INVITE"),
            ("Contact", f"<sip:{calls.contact(self.peer, flow)}>"),
        )
        body = tailor.body(invite)
        headers += calls.authorization(self.peer, "INVITE", uri, body)
        headers += self._supported(tailor.initial_request(invite, invitation))
        headers += session.asked(invite, self.peer.session_expires, self._min_se)
        self._connect = calls.timers.after(call.connect(self.peer), self._silent)
        self._transaction = calls.transactions.send(Message("INVITE", uri, headers=headers, body=body), flow, self)

    def _supported(self, headers: Headers) -> Headers:
        """What the caller demands of us is no demand on who is called: it is met on the caller's leg alone."""
        call = self._call
        if call.caller.invite.get("Require") is not None:
            headers = without(headers, ("Require",))
        if call.caller.reliable_wanted:
            headers.append(("Supported", "100rel"))
        if call.replaces is not None:
            headers += (("Replaces", call.replaces), ("Require", "replaces"))
        return headers

    def give_up(self, reason: str | None) -> None:
        """Cancel it; it has no say in the call any more. Never twice."""
        if self.over:
            return
        self._end()
        if self._transaction is not None:
            self._transaction.cancel(reason)
        self._forget_early(0)

    def refuse(self) -> None:
        """The caller does not want this leg, but goes on to wait for others."""
        if self._transaction is not None:
            self._transaction.cancel(None)
        self._fail(487, None)

    # What the transaction tells

    def response(self, transaction: ClientTransaction, message: Message) -> None:
        """A provisional or final answer of the far end."""
        code = message.code
        waited_for = transaction is self._transaction and not self.over
        if code < 200:
            if waited_for:
                self.heard = True
                self._stop_connect()
                if code > 100:
                    self._provisional(transaction, message)
            return
        again = self._calls.challenged(self.peer, transaction.request, message)
        if code < 300:
            self._accepted(transaction, message)
        elif waited_for:
            self._refused(transaction, message, again)

    def timed_out(self, transaction: ClientTransaction) -> None:
        """Timer B, or nothing came after a CANCEL."""
        if transaction is self._transaction and not self.over:
            self._next_target(UNREACHABLE_CODE)

    def failed(self, transaction: ClientTransaction) -> None:
        """The connection broke or was refused."""
        if transaction is self._transaction and not self.over:
            self._next_target(UNREACHABLE_CODE)

    def _provisional(self, transaction: ClientTransaction, message: Message) -> None:
        far = tag(message.get("To") or "")
        if message.code == 199:
            self._early_gone(far, message.get("Reason"))
            return
        if not self._is_in_order(far, message):
            return
        half = self._halves.get(far)
        if half is None:
            if len(self._halves) >= _FORKS:
                return
            half = self._halves[far] = self._half(transaction, message)
        else:
            half.dialog.refresh(message)
        self._call.provisional(half, message)

    def _is_in_order(self, far: str, message: Message) -> bool:
        """Of reliable responses only the next one counts (RFC 3262 4); others are repeated until our PRACK comes."""
        rseq = message.get("RSeq") or ""
        if not message.has_token("Require", "100rel"):
            return True
        last = self._seen.get(far)
        if not rseq.isdecimal() or len(rseq) > 10 or (last is not None and int(rseq) != last + 1):
            return False
        self._seen[far] = int(rseq)
        return True

    def _half(self, transaction: ClientTransaction, message: Message) -> Half:
        flow = transaction.flow
        contact = f"<sip:{self._calls.contact(self.peer, flow)}>"
        return Half(self._call, self.peer, Dialog.as_client(transaction.request, message, flow, contact))

    def _accepted(self, transaction: ClientTransaction, message: Message) -> None:
        far = tag(message.get("To") or "")
        key = transaction.branch, far
        known = self._confirmed.get(key)
        if known is not None:
            known.ack_again(message.cseq[0])
            return
        if self.over or transaction is not self._transaction:  # given up, or another fork has answered
            half = self._confirmed[key] = self._half(transaction, message)
            self._call.stray(half, transaction.request, message)
            return
        early = self._halves.pop(far, None)
        if early is None:
            half = self._half(transaction, message)
        else:
            half = early
            half.dialog.routes = message.values("Record-Route")[::-1]
            half.dialog.refresh(message)
        self._confirmed[key] = half
        self._end()
        self._call.answered(self, half, transaction.request, message)
        self._forget_early(0)

    def _refused(self, transaction: ClientTransaction, message: Message, again: bool) -> None:
        code = message.code
        if self._retries < _RETRIES and (again or (code == 422 and self._raise_interval(message))):
            self._retries += 1
            self._forget_early(code)
            self._invite(transaction.flow)
            return
        if code == 503 and self._targets:  # RFC 3263 4.3: another server of the same name
            self._next_target(code, message)
            return
        self._fail(code, message)

    def _raise_interval(self, message: Message) -> bool:
        """Take the least session interval of a 422; False: it is no more than we asked for (RFC 4028 7.3)."""
        least = (message.get("Min-SE") or "").partition(";")[0].strip()
        if not least.isdecimal() or len(least) > 9 or int(least) <= int(self._min_se or 0):
            return False
        self._min_se = least
        return True

    # The end

    def _silent(self) -> None:
        """No provisional within `connect` seconds."""
        self._next_target(UNREACHABLE_CODE)

    def _rung(self) -> None:
        """The ring time is over: the far end is given up at once, its 487 is not waited for."""
        if self._transaction is not None:
            self._transaction.cancel(None)
        self._fail(0 if self.heard else UNREACHABLE_CODE, None, rung=self.heard)

    def _unreachable(self) -> None:
        if not self.over:
            self._fail(*self._failed)

    def _next_target(self, code: int, message: Message | None = None) -> None:
        """The present target failed; a 2xx that it still sends is for nobody."""
        self._stop_connect()
        if self._transaction is not None:
            self._transaction.cancel(None)
            self._transaction = None
        self._failed = (code, message)
        self._forget_early(code)
        self._calls.suspect(self.peer)
        if self._call.caller.is_bound:
            self._targets.clear()
        self._tag = self._calls.dialog_tag()  # its dialogs must not be taken for those of the next target
        self._dial()

    def _fail(self, code: int, message: Message | None, *, rung: bool = False) -> None:
        self._end()
        self._call.failed(self, code, message, rung=rung)
        self._forget_early(code)

    def _end(self) -> None:
        self.over = True
        self._stop_connect()
        if self._ring is not None:
            self._ring.cancel()

    def _stop_connect(self) -> None:
        if self._connect is not None:
            self._connect.cancel()

    def _early_gone(self, far: str, reason: str | None) -> None:
        half = self._halves.pop(far, None)
        if half is not None:
            half.forget()
            self._call.caller.gone(half, reason)

    def _forget_early(self, code: int) -> None:
        """The early dialogs have ended with this code; 0: we ended them."""
        self._seen.clear()
        for far in list(self._halves):
            self._early_gone(far, f"SIP;cause={answer_of(code)}")
