"""Transfers: the dialog that a Replaces means on the other side of us, and subscriptions that outlive their dialog.

A far end knows its own dialog with us, never the one behind us: what it names in Replaces (RFC 3891) is looked up here
and written as the other end knows it.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, unquote

from sipacr.calls.addresses import user_and_host
from sipacr.calls.forwarding import peer_of
from sipacr.calls.half import Half
from sipacr.calls.message import Headers, Message, parameters, uri_of
from sipacr.calls.timers import Timer
from sipacr.routing.decision import Decision
from sipacr.routing.directory import Peer
from sipacr.routing.ruleset import Position, Step

if TYPE_CHECKING:
    from sipacr.calls.calls import Calls, Plan

_NOWHERE = Position("", 0, 0)
_EXPECTED = 60.0  # seconds after a REFER in which the call that it asks for may come


class Named(NamedTuple):
    """The dialog that a Replaces names, as its reader knows it: the to-tag is the reader's own."""

    call_id: str
    to_tag: str
    from_tag: str
    early_only: bool

    def __str__(self) -> str:
        early = ";early-only" if self.early_only else ""
        return f"{self.call_id};to-tag={self.to_tag};from-tag={self.from_tag}{early}"


def read_replaces(value: str) -> Named | None:
    """Read a Replaces value; None if it names no dialog."""
    call_id = value.partition(";")[0].strip()
    found = parameters(value)
    if not call_id or "to-tag" not in found or "from-tag" not in found:
        return None
    return Named(call_id, found["to-tag"], found["from-tag"], "early-only" in found)


def _renumbered(headers: Headers, numbers: Mapping[int, int]) -> Headers:
    """The headers with the id of Event as it is on the other side."""
    renumbered: Headers = []
    for name, value in headers:
        number = parameters(value).get("id", "") if name == "Event" else ""
        if number.isdecimal() and int(number) in numbers:
            value = f"{value.partition(';')[0]};id={numbers[int(number)]}"
        renumbered.append((name, value))
    return renumbered


def _to(plan: "Plan", name: str) -> "Plan":
    """Whatever the rules say: this destination, and nobody after it."""
    decision = Decision("relay", (), steps=(Step("to", name, _NOWHERE),), end="end", max_ring=plan.decision.max_ring)
    return plan._replace(decision=decision)


class Refers:
    """What REFER means to all calls."""

    def __init__(self, calls: "Calls") -> None:
        self._calls = calls
        self._expected: dict[tuple[str, str], tuple[str, Timer]] = {}  # peer and what it dials -> who is meant

    def outward(self, request: Message, headers: Headers, source: Half, target: Half) -> Headers:
        """The headers of a request for the other side. Refer-To has lost what it carried; the call that the transfer
        replaces is named again, as that side knows it. A transfer that reports name by the number of its REFER has
        another number there (RFC 3515 2.4.6)."""
        if request.method == "NOTIFY":
            return _renumbered(headers, source.reports)
        if request.method == "SUBSCRIBE":
            return _renumbered(headers, {theirs: ours for ours, theirs in target.reports.items()})
        if request.method != "REFER":
            return headers
        embedded = uri_of(request.get("Refer-To") or "").partition("?")[2]
        for part in embedded.split("&"):
            name, _, text = part.partition("=")
            mapped = self.mapped(unquote(text)) if name.lower() == "replaces" else None
            if mapped is not None:
                replaces = f"?Replaces={quote(mapped, safe='')}"
                return [
                    (n, f"{v[:-1]}{replaces}>") if n == "Refer-To" and v[-1:] == ">" else (n, v) for n, v in headers
                ]
        return headers

    def mapped(self, value: str) -> str | None:
        """The Replaces within a Refer-To, for whoever is to carry it out: the dialog that is meant, by the ids that its
        far end knows. None: it is none of ours."""
        named = read_replaces(value)
        half = self._calls.halves.get((named.call_id, named.to_tag, named.from_tag)) if named is not None else None
        if named is None or half is None or half.other is None:
            return None
        far = half.other.dialog
        return str(Named(far.call_id, far.remote_tag, far.local_tag, named.early_only))

    def replaced(self, invite: Message) -> tuple[Half | None, int | None]:
        """Towards whom an INVITE with Replaces is to be put through, or the code that refuses it (RFC 3891 3). Its
        sender was given the ids by `mapped`, so the from-tag is ours; or he names a dialog of his own neighbour with
        us, whose far end is meant."""
        lines = invite.lines("Replaces")
        named = read_replaces(lines[0])
        if named is None or len(lines) > 1:
            return None, 400
        halves = self._calls.halves
        meant = halves.get((named.call_id, named.from_tag, named.to_tag))
        if meant is None:
            near = halves.get((named.call_id, named.to_tag, named.from_tag))
            meant = near.other if near is not None else None
        if meant is None:
            return None, 481
        if meant.ended:
            return None, 603
        if named.early_only and meant.call.state == "talking":
            return None, 486
        return meant, None

    def put_through(self, plan: "Plan", half: Half) -> "Plan":
        """What is done with an INVITE that replaces the dialog of `half`: no rule decides, its far end is called."""
        user = user_and_host(uri_of(half.dialog.remote)) or ("", "")
        return _to(plan, f"{user[0] or 'transfer'}@{half.peer.name}")

    def transferred(self, plan: "Plan", invite: Message, peer: Peer) -> "Plan":
        """What is done with any other INVITE: the same, unless it is the call that a PBX has asked for by REFER."""
        dialled = user_and_host(invite.uri) or ("", "")
        expected = self._expected.get((peer.name, dialled[0]))
        return plan if expected is None else _to(plan, expected[0])

    def named_for(self, half: Half, invite: Message) -> str:
        """The Replaces of the INVITE to that far end."""
        dialog = half.dialog
        early_only = "early-only" in parameters(invite.get("Replaces") or "")
        return str(Named(dialog.call_id, dialog.remote_tag, dialog.local_tag, early_only))

    def begun(self, request: Message, sent: Message, target: Half) -> None:
        """A request went to the other side as `sent`. The NOTIFYs of a REFER may come before its answer (RFC 6665
        4.1.2.4)."""
        if request.method == "REFER":
            self._forget_refer(request, target)  # that was challenged
            target.reports[sent.cseq[0]] = request.cseq[0]
            self._expect(request, sent, target)

    def _expect(self, request: Message, sent: Message, target: Half) -> None:
        """A PBX refers somebody outside: what he will dial is a number of that PBX, of which the rules for calls from
        outside know nothing."""
        meant, told = (user_and_host(uri_of(each.get("Refer-To") or "")) for each in (request, sent))
        source, directory = target.other, self._calls.directory
        if source is None or meant is None or told is None or not meant[0]:
            return
        if (source.peer.role, target.peer.role) != ("pbx", "trunk") or source.peer.plan.read(
            meant[0]
        ).key in directory.own:
            return
        there = peer_of(directory.peers.values(), meant[1], source.peer.name)
        pbx = there if there is not None and there.role == "pbx" else source.peer
        key = (target.peer.name, told[0])
        if key in self._expected:
            self._expected[key][1].cancel()
        forget = self._calls.timers.after(_EXPECTED, lambda: self._forget_expected(key))
        self._expected[key] = (f"{meant[0]}@{pbx.name}", forget)

    def _forget_expected(self, key: tuple[str, str]) -> None:
        del self._expected[key]

    def answered(self, request: Message, response: Message, source: Half, target: Half) -> None:
        """The final answer to a request: whether the other side will report at all, or this was its last report."""
        accepted = response.code < 300
        if request.method == "REFER":
            if not accepted or (response.get("Refer-Sub") or "").lower() == "false":  # RFC 4488 4
                self.lost(request, target)
        elif request.method == "NOTIFY":
            event = request.get("Event") or ""
            state = (request.get("Subscription-State") or "").lower()
            is_last = response.code == 481 or (accepted and state.startswith("terminated"))
            if is_last and event.partition(";")[0].strip() == "refer":
                number = parameters(event).get("id", "")
                self._last_report(source, int(number) if number.isdecimal() else min(source.reports, default=0))

    def lost(self, request: Message, target: Half) -> None:
        """Nobody will report on this REFER."""
        self._forget_refer(request, target)
        self._end_if_idle(target)

    def _forget_refer(self, request: Message, target: Half) -> None:
        number = request.cseq[0]
        target.reports = {ours: theirs for ours, theirs in target.reports.items() if theirs != number}

    def _last_report(self, half: Half, number: int) -> None:
        half.reports.pop(number, None)
        self._end_if_idle(half)

    def _end_if_idle(self, half: Half) -> None:
        """When nothing is left to report, the dialogs of a call that is over go."""
        if not self.alive(half):
            for each in (half, half.other):
                if each is not None and each.ended:
                    each.forget()

    def passes(self, request: Message, source: Half, target: Half) -> bool:
        """Whether this request may still go to the other side: after a BYE only the report of a transfer, or the wish
        to hear no more of it (RFC 5057)."""
        if request.method == "NOTIFY" and source.reports:
            return True
        if request.method == "SUBSCRIBE" and target.reports:
            return True
        return not (source.ended or target.ended)

    def alive(self, half: Half) -> bool:
        """Whether something is still to be reported in this dialog or the other side's."""
        return bool(half.reports or (half.other is not None and half.other.reports))
