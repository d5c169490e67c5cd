"""The state machine of one relayed call: ring one target after the other, join the two sides, end both.

`ringing` until an answer or the last failure; `talking` from the 2xx; `over` when nothing more will be sent of our own
accord. Every event comes in by a method; what is to be sent goes out through the transactions.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from sipacr.calls import session, tailor
from sipacr.calls.alive import Alive
from sipacr.calls.callee import Callee
from sipacr.calls.caller import Caller
from sipacr.calls.half import Half
from sipacr.calls.hunt import Attempt, End, Hunt, Ring
from sipacr.calls.message import Headers, Message, without
from sipacr.calls.network import Flow
from sipacr.calls.outcome import UNREACHABLE_CODE, outcome_of
from sipacr.calls.passage import Invitation, Passage
from sipacr.calls.passing import farewell
from sipacr.calls.timers import Timer
from sipacr.calls.transactions import ServerTransaction
from sipacr.routing import ruleset
from sipacr.routing.directory import Peer
from sipacr.routing.facts import Request

if TYPE_CHECKING:
    from sipacr.calls.calls import Calls

State = Literal["ringing", "talking", "over"]
COMPLETED_ELSEWHERE = 'SIP;cause=200;text="Call completed elsewhere"'  # RFC 3326
_LINGER = 180.0  # seconds that a transfer may go on to be reported after the BYE (RFC 5057)


def hops_of(invite: Message) -> int:
    """Its Max-Forwards; 70 if there is none, or none that can be read (RFC 3261 16.3)."""
    text = (invite.get("Max-Forwards") or "").strip()
    return int(text) if text.isdecimal() and len(text) < 4 else 70


class Call:
    """One call, from its INVITE to its end."""

    def __init__(
        self, calls: "Calls", server: ServerTransaction, invite: Message, flow: Flow, peer: Peer, request: Request,
        hunt: Hunt,
    ) -> None:  # fmt: skip
        self.calls = calls
        self.request = request
        self.hunt = hunt
        self.peer = peer
        self.hops = hops_of(invite)
        self.state: State = "ringing"
        self.caller = Caller(self, server, invite, flow, peer)
        self.callee: Callee | None = None  # who answered
        self.near: Half | None = None  # the caller's half, from the answer on
        self.far: Half | None = None  # the callee's
        self.replaces: str | None = None  # the dialog at the callee that this call takes the place of (RFC 3891)
        self.agent: str | None = None  # who calls, if it is one of ours
        self.started = calls.wall()
        self.rang_at: float | None = None  # when the first callee rang
        self.answered_at: float | None = None
        self.ended_at: float | None = None
        self.outcome = ""  # in one word, once it is known
        self._ringing: list[Callee] = []
        self._last = False  # no other step can follow those who ring
        self._failures: dict[Attempt, Message] = {}  # what the legs that failed have answered
        self._stamps = [value for value in invite.values(tailor.STAMP) if peer.role == "pbx"]
        self._offer = b""  # of the callee, where the caller made none
        self._invite: Message | None = None  # ours, which was answered
        self._until: Timer | None = None
        self._longest: Timer | None = None
        self._expiry: Timer | None = None
        self._alive = Alive(self)
        self._goodbyes: list[tuple[Half, Headers]] = []  # BYEs that wait for an ACK

    @property
    def rung(self) -> Sequence[Callee]:
        """Those who are being rung."""
        return self._ringing

    def start(self) -> None:
        """The INVITE is here and may be relayed."""
        self.caller.start()
        self._next()

    # Ringing

    def _next(self) -> None:
        found = self.hunt.next(self.calls.wall())
        if isinstance(found, End):
            self._rejected(found)
        else:
            self._ring(found)

    def _ring(self, ring: Ring) -> None:
        self._last = ring.last and len(ring.attempts) == 1
        self._ringing = []
        timers, now = self.calls.timers, self.calls.wall()
        for attempt in ring.attempts:
            peer = self.calls.peer(attempt.peer)
            if peer is None or (self.calls.is_full(peer) and not self.hunt.decision.emergency):
                self.hunt.ended(attempt, "unreachable", UNREACHABLE_CODE, now)
            else:
                self._ringing.append(Callee(self, attempt, peer))
                self.calls.engage(attempt)
        if self._ringing:
            self._until = timers.after(max(0.0, ring.until - now), self._time_is_up)
        else:
            self._until = timers.after(0.0, self._next)
        for callee in self._ringing:
            callee.dial()

    def provisional(self, half: Half, message: Message) -> None:
        """A callee's provisional answer."""
        if self.rang_at is None:
            self.rang_at = self.calls.wall()
        self.caller.provisional(half, message, last=self._last)

    def failed(self, callee: Callee, code: int, message: Message | None, *, rung: bool) -> None:
        """One leg has ended without an answer."""
        self.calls.release(callee.attempt)
        if callee in self._ringing:
            self._ringing.remove(callee)
        now, outcome = self.calls.wall(), outcome_of(code, rung=rung)
        if message is not None:
            self._failures[callee.attempt] = message
        if outcome == "unreachable":
            self.calls.suspect(callee.peer)
        if outcome == "forwarded" and message is not None and not self.caller.is_bound:
            self.hunt.forwarded(callee.attempt, message.values("Contact"), code, now, callee.host)
        else:
            retry_after = message.get("Retry-After") if message is not None else None
            self.hunt.ended(callee.attempt, outcome, code, now, retry_after)
        if not self._ringing:
            self._stop_until()
            self._next()

    def _time_is_up(self) -> None:
        """The step's `total` or the route's `max_ring` is over."""
        now = self.calls.wall()
        for callee in self._ringing:
            code = 0 if callee.heard else UNREACHABLE_CODE
            self.hunt.ended(callee.attempt, "no_answer" if callee.heard else "unreachable", code, now)
            if not callee.heard:
                self.calls.suspect(callee.peer)
        self._cancel_all(None)
        self._next()

    def _rejected(self, end: End) -> None:
        reject = end.reject
        reason, headers, body = reject.reason, list(end.headers), b""
        failure = self._failures.get(end.attempt) if end.attempt is not None else None
        if failure is not None and failure.code == reject.code and end.attempt is not None:
            told, body = self._told(end.attempt, failure)
            headers += told
            reason = reason or failure.reason
        if reject.retry_after is not None:
            headers.append(("Retry-After", str(reject.retry_after)))
        self.caller.reject(reject.code, reason, headers, body)
        self._over("rejected")

    def _told(self, attempt: Attempt, failure: Message) -> tuple[Headers, bytes]:
        """What else a failed leg's answer tells the caller: Reason, Warning, and what a 415, 420 or 488 lacks."""
        peer = self.calls.peer(attempt.peer)
        if peer is None:
            return [], b""
        passage = Passage(peer, self.peer, self.calls.network.sent_by(self.caller.flow))
        return without(tailor.response(failure, passage), ("Retry-After",)), tailor.body(failure)

    def abandoned(self, reason: str | None) -> None:
        """The caller gave up: CANCEL, or his connection died."""
        self._give_up("abandoned", 487, reason)

    def not_acknowledged(self) -> None:
        """A reliable provisional got no PRACK for 64*T1 (RFC 3262 3)."""
        self._give_up("lost", 504, None)

    def _give_up(self, outcome: str, code: int, reason: str | None) -> None:
        """The caller's INVITE ends with this code, whoever rings or has answered just now."""
        if reason is not None:
            reason = tailor.without_telltale(reason, Passage(self.peer, self.peer, ""))
        if self.state == "ringing":
            self.hunt.abandoned(self.calls.wall())
            self._cancel_all(reason)
            self.caller.reject(code)
            self._over(outcome)
        elif not self.caller.final:  # the 2xx still waits for a PRACK
            self._end(None, [("Reason", reason)] if reason is not None else [], code)

    def _cancel_all(self, reason: str | None) -> None:
        self._stop_until()
        for callee in self._ringing:
            callee.give_up(reason)
            self.calls.release(callee.attempt)
        self._ringing = []

    def _stop_until(self) -> None:
        if self._until is not None:
            self._until.cancel()

    # Answered

    def answered(self, callee: Callee, half: Half, invite: Message, message: Message) -> None:
        """The first 2xx. All others who ring hear that the call is taken."""
        self._ringing.remove(callee)
        self.state = "talking"
        self._cancel_all(COMPLETED_ELSEWHERE)
        self.callee, self.far = callee, half
        self.answered_at = self.calls.wall()
        self.outcome = "answered"
        self.hunt.answered(callee.attempt, self.answered_at)
        self._invite = invite
        if self.caller.invite.body:
            half.ack(invite, [])
        else:
            self._offer = message.body
        self.near = self.caller.half_for(half)
        self.caller.answer(half, message)
        self._longest = self.calls.timers.after(self.max_call(), self._too_long)
        self.refreshed(self.caller.invite, message, self.peer.session_expires)
        self._alive.start()
        self.calls.tell_answered(self, message)

    @property
    def awaits_late_answer(self) -> bool:
        """Whether the callee has offered in its 2xx and the caller's answer is to come in his ACK."""
        near, invite = self.near, self.caller.invite
        return near is not None and not invite.body and invite.cseq[0] in near.accepted

    @property
    def has_session_timer(self) -> bool:
        """Whether the far ends notice by themselves when one of them is gone."""
        return self._expiry is not None

    def max_call(self) -> float:
        """Seconds that this call may last."""
        assert self.callee is not None
        return min(self.peer.max_call, self.callee.peer.max_call)

    def acknowledged(self, ack: Message) -> None:
        """The caller's ACK to the 2xx; a late offer is answered in it."""
        assert self.far is not None
        assert self.near is not None
        assert self._invite is not None
        if not self.far.has_acked(self._invite.cseq[0]):
            self.far.ack(self._invite, tailor.in_dialog(ack, self.far.passage()), ack.body)
        self.after_ack(self.near)

    def unacknowledged(self, half: Half) -> None:
        """The caller's ACK did not come for 64*T1 (13.3.1.4): both sides are hung up."""
        half.accepted.clear()
        self.after_ack(half)
        self.lost(half)

    def stray(self, half: Half, invite: Message, message: Message) -> None:
        """A 2xx to `invite` that nobody waits for: acknowledge it and hang up (13.2.2.4)."""
        if invite.body:
            half.ack(invite, [])
        else:
            self.calls.refuse_offer(half, invite, message.body)
        half.bye([])

    def refreshed(self, request: Message, response: Message, ours: float) -> None:
        """A 2xx to INVITE or UPDATE: when the session ends unless it is refreshed (RFC 4028 10). `ours`: seconds that
        we answered with, where the sender of `request` knows timers and the other side does not."""
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        seconds = session.seconds(session.in_force(request, response, ours))
        if seconds:
            self._expiry = self.calls.timers.after(float(seconds), self._expired)

    # The end

    def hung_up(self, half: Half, server: ServerTransaction, message: Message) -> None:
        """BYE of one side: answered at once, passed on to the other."""
        self.calls.respond(server, 200)
        for pending in list(half.passing):
            pending.hung_up()
        if self.state == "ringing":
            self._early_bye(half, message)
            return
        if half is not self.near and half is not self.far:
            half.forget()  # another fork, which we hang up too, or a leg that is gone
            return
        half.end()
        self._end(half, farewell(half, message), 487 if half is self.near else 480)
        self.said_goodbye(half)

    def _early_bye(self, half: Half, message: Message) -> None:
        """The caller ends one early dialog (15): that leg, and the call if no other one is left to him. A callee must
        not do that, it has to refuse our INVITE."""
        if half not in self.caller.halves or half.other is None:
            return
        leg = next((callee for callee in self._ringing if callee.rings_in(half.other)), None)
        if leg is None:
            return
        if self.caller.many and any(other is not leg and other.has_early_dialogs for other in self._ringing):
            leg.refuse()
        else:
            self.abandoned(", ".join(message.values("Reason")) or None)

    def lost(self, half: Half) -> None:
        """One side is gone, or does not know the dialog any more: hang up both (12.2.1.2)."""
        self._end(None, [])

    def hang_up(self, reason: str) -> None:
        """By command, or because the router stops."""
        if self.state == "ringing":
            self._give_up("stopped", 480, reason)
        else:
            self._end(None, [("Reason", reason)])

    def _too_long(self) -> None:
        self._end(None, [("Reason", 'SIP;cause=480;text="Maximum call time"')])

    def _expired(self) -> None:
        self._end(None, [("Reason", 'SIP;cause=408;text="Session timer expired"')])

    def _end(self, by: Half | None, reasons: Headers, code: int = 480) -> None:
        """Hang up whoever has not done so; `code`: for an INVITE of the caller whose 2xx was still held back."""
        if self.state != "talking":
            return
        assert self.near is not None
        assert self.far is not None
        for half in (self.near, self.far):
            for pending in list(half.passing):
                pending.call_over()
        self.caller.reject(code)  # nothing if he had his 2xx
        has_dialog = 200 <= self.caller.final < 300
        if self._invite is not None and not self.far.has_acked(self._invite.cseq[0]):
            self.calls.refuse_offer(self.far, self._invite, self._offer)
        for half in (self.near, self.far):
            if half is by or half.ended or (half is self.near and not has_dialog):
                continue
            if half.waits_for_ack:
                self._goodbyes.append((half, reasons))
            else:
                half.bye(reasons)
        self._over(self.outcome)

    def after_ack(self, half: Half) -> None:
        """An ACK came, or will never come: the BYE that waited for it may go (15)."""
        for waiting in [each for each in self._goodbyes if each[0] is half and not half.waits_for_ack]:
            self._goodbyes.remove(waiting)
            if not half.ended:
                half.bye(waiting[1])

    def said_goodbye(self, half: Half) -> None:
        """The BYE of one side is done with: its dialog ends, unless a transfer is still being reported."""
        if self.calls.refers.alive(half):
            self.calls.timers.after(_LINGER, half.forget)
        else:
            half.forget()

    def _over(self, outcome: str) -> None:
        if self.state == "over":
            return
        self.state = "over"
        self.outcome = outcome
        self.ended_at = self.calls.wall()
        self._alive.stop()
        for timer in (self._until, self._longest, self._expiry):
            if timer is not None:
                timer.cancel()
        if self.callee is not None:
            self.calls.release(self.callee.attempt)
        self.calls.ended(self)

    # What the legs need to know

    def connect(self, peer: Peer) -> float:
        """Seconds that a leg to this peer may be silent."""
        return self.hunt.connect if self.hunt.connect is not None else peer.connect

    def _last_outcome(self) -> ruleset.Outcome | None:
        outcome = self.hunt.tried[-1].outcome if self.hunt.tried else None
        return outcome if outcome != "answered" and outcome != "abandoned" and outcome != "elsewhere" else None

    def invitation(self, attempt: Attempt, passage: Passage) -> Invitation:
        """What a leg is offered with."""
        directory, decision, dialled = self.calls.directory, self.hunt.decision, self.request.dialled
        return Invitation(
            passage,
            user=attempt.user,
            target_host=passage.target.addresses[0],
            dialled=dialled,
            step=attempt.step,
            rule=", ".join(decision.names),
            dialled_name=directory.own.get(dialled.key, ""),
            is_forward=attempt.target.is_mobile and not decision.outgoing,
            after=self._last_outcome(),
            stamp=", ".join([*self._stamps, self.calls.stamp(dialled.key)]),
            emergency=decision.emergency,
        )
