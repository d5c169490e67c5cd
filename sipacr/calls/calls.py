"""All relayed calls: which message belongs to which, and what they share. The one door between driver and core.

The driver hands in messages, failures and the time (`timers.run`), and sends what the core gives to the `Network`.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from sipacr.calls import passing, tailor
from sipacr.calls.addresses import user_and_host
from sipacr.calls.call import Call, hops_of
from sipacr.calls.caller import Caller
from sipacr.calls.connected import named
from sipacr.calls.digest import Authentication
from sipacr.calls.half import Half
from sipacr.calls.hunt import Attempt, Hunt
from sipacr.calls.message import Headers, Message, tag, uri_of
from sipacr.calls.network import Flow, Network
from sipacr.calls.passing import OFFERS, Passing
from sipacr.calls.refer import Refers
from sipacr.calls.sdp import refusing_answer
from sipacr.calls.timers import Timers
from sipacr.calls.transactions import (
    ClientTransaction,
    ClientUser,
    ServerTransaction,
    Transactions,
    response_to,
)
from sipacr.routing.decide import Engine
from sipacr.routing.decision import Decision
from sipacr.routing.directory import Directory, Peer
from sipacr.routing.facts import Facts, State

_IN_DIALOG = frozenset(
    {"INVITE", "BYE", "PRACK", "UPDATE", "INFO", "MESSAGE", "REFER", "NOTIFY", "OPTIONS", "SUBSCRIBE"}
)
_BUSY = 10  # seconds after which a caller whom a limit refused may try again
REASONS = {
    100: "Trying", 180: "Ringing", 181: "Call Is Being Forwarded", 183: "Session Progress",
    199: "Early Dialog Terminated", 200: "OK", 202: "Accepted", 400: "Bad Request", 403: "Forbidden",
    404: "Not Found", 408: "Request Timeout", 480: "Temporarily Unavailable", 481: "Call/Transaction Does Not Exist",
    482: "Loop Detected", 483: "Too Many Hops", 486: "Busy Here", 487: "Request Terminated", 491: "Request Pending",
    500: "Server Internal Error", 502: "Bad Gateway", 503: "Service Unavailable", 504: "Server Time-out",
    600: "Busy Everywhere", 603: "Decline",
}  # fmt: skip


class Plan(NamedTuple):
    """What was decided about one INVITE, to be carried out step by step."""

    engine: Engine
    decision: Decision
    facts: Facts


class Calls:
    """The table of calls and what every part of them may use."""

    def __init__(
        self,
        network: Network,
        timers: Timers,
        token: Callable[[], str],
        directory: Directory,
        state: State,
        marker: str,
        wall: Callable[[], float],
    ) -> None:
        """`token` gives what nobody can guess and never comes twice; `marker` begins every tag of ours; `wall` tells
        unix seconds; `state` is what decisions see of busy and idle agents, which this table keeps."""
        self.network = network
        self.timers = timers
        self.wall = wall
        self.state = state
        self.marker = marker
        self.transactions = Transactions(network, timers, token)
        self.refers = Refers(self)
        self.halves: dict[tuple[str, str, str], Half] = {}
        self.live: dict[Call, None] = {}  # in the order of their beginning
        self.counts: Counter[str] = Counter()
        self._requests: set[tuple[str, str, int]] = set()  # INVITEs of the live calls
        self._token = token
        self._engaged: Counter[str] = Counter()  # agent -> calls of ours
        self._idle_since: dict[str, float] = {}
        self._load: Counter[str] = Counter()  # peer -> calls at once, in both directions
        self._authentications: dict[str, Authentication] = {}
        self.on_begin: Callable[[Call], None] = _nothing
        self.on_answer: Callable[[Call, Message], None] = _nothing_said  # with the callee's 2xx
        self.on_word: Callable[[Half, Message], None] = _nothing_heard  # what may name who is at that side now
        self.on_end: Callable[[Call], None] = _nothing
        self.on_suspicion: Callable[[str], None] = _nothing_of
        self.service_route: Callable[[str], Sequence[str]] = _none
        self.draining = False
        self._engine: Engine | None = None
        self._extensions: dict[tuple[str, str], str] = {}  # extension and PBX -> agent
        state.busy = self._engaged
        state.idle_since = self._idle_since
        self.take(directory)

    def take(self, directory: Directory) -> None:
        """Peers as they are from now on; calls in progress keep those that they began with."""
        self.directory = directory
        self._authentications = {
            name: Authentication(peer.auth, self._token)
            for name, peer in directory.peers.items()
            if peer.auth is not None
        }

    @property
    def idle(self) -> bool:
        """Whether no message can belong to anything here."""
        return not self.live and not self.halves and not len(self.transactions)

    # What comes in

    def knows(self, message: Message, flow: Flow) -> bool:
        """Absorb a repeated request; False if it is a new one."""
        if not self.transactions.repeats(message, flow):
            return False
        self.transactions.request(message, flow)
        return True

    def invite(self, message: Message, flow: Flow, peer: Peer, plan: Plan) -> None:
        """A new INVITE outside any dialog, to be relayed as decided."""
        server = self.transactions.request(message, flow)
        if server is None:
            return
        refused = self._refusal(message, peer, plan)
        replaced: Half | None = None
        if refused is None and message.get("Replaces") is not None:
            replaced, refused = self.refers.replaced(message)
        if refused is not None:
            self.respond(server, refused, tag=self.dialog_tag(), headers=_retry_after(refused))
            return
        if replaced is not None:
            plan = self.refers.put_through(plan, replaced)
        else:
            plan = self.refers.transferred(plan, message, peer)
        now = self.wall()
        hunt = Hunt(plan.engine, plan.decision, plan.facts, self.state, now)
        call = Call(self, server, message, flow, peer, plan.facts.request, hunt)
        call.agent = self._agent_calling(plan, message, peer)
        self.occupy(call.agent)
        if replaced is not None:
            call.replaces = self.refers.named_for(replaced, message)
        self.live[call] = None
        self._requests.add(_merged(message))
        self._load[peer.name] += 1
        self.counts["calls"] += 1
        call.start()
        if call.state != "over":
            self.on_begin(call)

    def _refusal(self, message: Message, peer: Peer, plan: Plan) -> int | None:
        if hops_of(message) == 0:
            return 483
        if _merged(message) in self._requests:  # it came by two ways (8.2.2.2)
            return 482
        if self.stamp(plan.facts.request.dialled.key) in message.values(tailor.STAMP):
            return 482
        if plan.decision.emergency:
            return None
        if self.draining or self.is_full(peer):
            return 503
        return None

    def _agent_calling(self, plan: Plan, invite: Message, peer: Peer) -> str | None:
        """Which agent it is that calls from an extension of the asking PBX: whom it asserts, though he may hide from
        the world, else From."""
        if self._engine is not plan.engine:
            self._engine = plan.engine
            agents = plan.engine.ruleset.agents.values()
            self._extensions = {(agent.extension, agent.pbx): agent.name for agent in agents}
        request = plan.facts.request
        found = self._extensions.get((request.caller.text, request.peer))
        if found is not None or peer.role != "pbx":
            return found
        asserted = named(invite, peer)
        if asserted is not None and (asserted.number.text, peer.name) in self._extensions:
            return self._extensions[asserted.number.text, peer.name]
        parts = user_and_host(uri_of(invite.get("From") or ""))
        return self._extensions.get((parts[0], peer.name)) if parts is not None else None

    def is_full(self, peer: Peer) -> bool:
        """Whether this peer has as many calls as it may."""
        return peer.max_calls is not None and self._load[peer.name] >= peer.max_calls

    def request(self, message: Message, flow: Flow, peer: Peer) -> bool:
        """Any request but an initial INVITE and ACK. False: it is none of ours."""
        if message.method == "CANCEL":
            return self._cancel(message, flow)
        to_tag = tag(message.get("To") or "")
        if not to_tag or message.method not in _IN_DIALOG:
            return False
        half = self._half(message, to_tag)
        if half is None:
            return False
        server = self.transactions.request(message, flow)
        if server is not None:
            self._in_dialog(half, server, message, flow)
        return True

    def _cancel(self, message: Message, flow: Flow) -> bool:
        invite = self.transactions.invite_of(message, flow)
        if invite is None:
            return False
        server = self.transactions.request(message, flow)
        if server is not None:
            user = invite.user
            self.respond(server, 200, tag=user.tag if isinstance(user, Caller) else self.dialog_tag())  # 9.2
            if not invite.final and isinstance(user, Caller | Passing):
                user.cancelled(", ".join(message.values("Reason")) or None)
        return True

    def _in_dialog(self, half: Half, server: ServerTransaction, message: Message, flow: Flow) -> None:
        number = message.cseq[0]
        if number <= half.dialog.remote_seq:  # 12.2.2: out of order
            self.respond(server, 500)
            return
        half.dialog.remote_seq = number
        if flow.transport == half.dialog.flow.transport and (flow.reliable or half.peer.symmetric):
            half.dialog.flow = flow  # a request that is large may come by TCP though all others come by UDP (18.1.1)
            half.cut = False
        if message.method == "BYE":
            half.call.hung_up(half, server, message)
        else:
            if message.method in OFFERS:
                self.on_word(half, message)
            passing.begin(half, server, message)

    def ack(self, message: Message, flow: Flow) -> bool:
        """An ACK. False: it is none of ours."""
        half = self._half(message, tag(message.get("To") or ""))
        if half is not None and half.acknowledged(message):
            return True
        return self.transactions.ack(message, flow) or half is not None

    def response(self, message: Message, flow: Flow) -> bool:
        """A response. False: it is nobody's."""
        return self.transactions.response(message, flow)

    def failed(self, flow: Flow) -> None:
        """A connection is gone, or nobody listens there."""
        if flow.reliable:
            for half in self.halves.values():
                if half.dialog.flow == flow:
                    half.cut = True
        self.transactions.failed(flow)

    def _half(self, message: Message, to_tag: str) -> Half | None:
        return self.halves.get((message.get("Call-ID") or "", to_tag, tag(message.get("From") or "")))

    # What goes out

    def respond(
        self,
        server: ServerTransaction,
        code: int,
        reason: str | None = None,
        *,
        headers: Iterable[tuple[str, str]] = (),
        tag: str = "",
    ) -> None:
        """Answer a request by ourselves."""
        server.respond(response_to(server.request, code, reason or self.reason(code), tag, list(headers)))

    def send_in_dialog(
        self, half: Half, method: str, headers: Headers, body: bytes = b"", *, user: ClientUser
    ) -> ClientTransaction:
        """A request of ours to this side's far end."""
        request = half.dialog.request(method, headers, body)
        request.headers += self.authorization(half.peer, method, request.uri, body)
        return self.transactions.send(request, half.way(), user)

    def alone(self, message: Message, flow: Flow) -> bytes:
        """An ACK to a 2xx as it goes to the wire: it has a Via of its own and no transaction (17.1)."""
        self.transactions.stamp(message, flow)
        return message.render()

    def refuse_offer(self, half: Half, invite: Message, offer: bytes) -> None:
        """Acknowledge the 2xx to our `invite` whose offer nobody will answer any more: all ports are 0."""
        host = self.network.sent_by(half.dialog.flow).rpartition(":")[0].strip("[]")
        body = refusing_answer(offer, host)
        half.ack(invite, [("Content-Type", "application/sdp")] if body else [], body)

    # What calls ask

    def peer(self, name: str) -> Peer | None:
        """The peer as it is configured now."""
        return self.directory.peers.get(name)

    def reason(self, code: int) -> str:
        """The usual phrase of a status."""
        return REASONS.get(code, "Response")

    def dialog_tag(self) -> str:
        """A tag of ours, which shows that it is one of a relayed call."""
        return self.marker + self._token()

    def call_id(self) -> str:
        """A Call-ID of ours. It names no host: nobody need know where we are."""
        return self._token()

    def stamp(self, dialled: str) -> str:
        """What we write on a call to this number, and nobody else can."""
        return hashlib.blake2s(dialled.encode(), key=self.marker.encode()[:32], digest_size=8).hexdigest()

    def routes(self, peer: Peer) -> list[str]:
        """URIs of the Route headers of a request that begins a dialog with this peer: its outbound proxy, and what it
        told us when we registered (RFC 3608 6.1)."""
        proxy = [f"sip:{peer.outbound_proxy};lr"] if peer.outbound_proxy else []
        return proxy + [uri_of(route) for route in self.service_route(peer.name)]

    def contact(self, peer: Peer, flow: Flow) -> str:
        """What stands in our Contact towards this peer, behind "sip:"."""
        user = f"{peer.register.contact}@" if peer.register is not None else ""
        return user + self.network.contact(flow)

    def authorization(self, peer: Peer, method: str, uri: str, body: bytes) -> Headers:
        """Credentials, if this peer has asked for some."""
        known = self._authentications.get(peer.name)
        return known.authorization(method, uri, body) if known is not None else []

    def challenged(self, peer: Peer, request: Message, response: Message) -> bool:
        """Whether another try of this request with credentials is worth it."""
        known = self._authentications.get(peer.name)
        return known is not None and known.challenged(request, response)

    # What is told of calls

    def engage(self, attempt: Attempt) -> None:
        """An agent is being rung."""
        self._load[attempt.peer] += 1
        if attempt.target.agent is not None:
            self.occupy(attempt.target.agent.name)

    def release(self, attempt: Attempt) -> None:
        """He is free again."""
        _less(self._load, attempt.peer)
        if attempt.target.agent is not None:
            self.vacate(attempt.target.agent.name)

    def occupy(self, agent: str | None) -> None:
        """An agent is in a call, or being rung."""
        if agent is not None:
            self._engaged[agent] += 1

    def vacate(self, agent: str | None) -> None:
        """He has one call less."""
        if agent is not None:
            _less(self._engaged, agent)
            self._idle_since[agent] = self.wall()

    def suspect(self, peer: Peer) -> None:
        """A call found this peer silent."""
        self.on_suspicion(peer.name)

    def tell_answered(self, call: Call, answer: Message) -> None:
        """A call was answered."""
        self.on_answer(call, answer)

    def ended(self, call: Call) -> None:
        """A call is over."""
        if self.live.pop(call, False) is not False:
            self._requests.discard(_merged(call.caller.invite))
            _less(self._load, call.peer.name)
            self.vacate(call.agent)
            self.on_end(call)


def _less(counter: Counter[str], name: str) -> None:
    """One less of it; nothing that is zero is kept."""
    counter[name] -= 1
    if counter[name] <= 0:
        del counter[name]


def _merged(invite: Message) -> tuple[str, str, int]:
    """What two INVITEs that were one before a proxy forked it share."""
    return invite.get("Call-ID") or "", tag(invite.get("From") or ""), invite.cseq[0]


def _retry_after(code: int) -> Headers:
    return [("Retry-After", str(_BUSY))] if code == 503 else []


def _nothing(call: Call) -> None:
    """Nobody wants to know."""


def _nothing_said(call: Call, message: Message) -> None:
    """Nobody wants to know."""


def _nothing_heard(half: Half, message: Message) -> None:
    """Nobody wants to know."""


def _none(peer: str) -> Sequence[str]:
    """No registration."""
    return ()


def _nothing_of(peer: str) -> None:
    """Nobody wants to know."""
