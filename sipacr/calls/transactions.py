"""Transactions (RFC 3261 17, RFC 6026): repeats what is lost, absorbs what is repeated, ties responses to requests.

Synchronous: messages, time and failures come in by calls, what is to be sent goes out through the `Network`. A user is
called from `response`, from `failed` and from timers, never from within `send`, `cancel` or `respond`.
"""

from collections.abc import Callable, Iterable
from typing import Protocol

from sipacr.calls.message import Headers, Message, split, tag, with_parameter
from sipacr.calls.network import Flow, Network
from sipacr.calls.repeating import PATIENCE, Clock, Fading, Repeating
from sipacr.calls.timers import T2, T4, Timers
from sipacr.calls.via import COOKIE, Key, branch_and_sent_by, server_key

_VERSIONS = {"udp": "SIP/2.0/UDP ", "tcp": "SIP/2.0/TCP ", "tls": "SIP/2.0/TLS "}
_OF_CANCEL = frozenset({"Route", "From", "To", "Call-ID"})  # RFC 3261 9.1
_OF_ACK = frozenset({"Route", "From", "Call-ID", "Authorization", "Proxy-Authorization"})  # RFC 3261 17.1.1.3, 22.1

_COPIED = frozenset({"Via", "From", "Call-ID", "CSeq"})  # and To, RFC 3261 8.2.6.2
_COPIED_TO_100 = _COPIED | {"Timestamp"}
_COPIED_IN_DIALOG = _COPIED | {"Record-Route"}
_MAKES_DIALOG = frozenset({"INVITE", "SUBSCRIBE", "REFER"})


class ServerUser(Protocol):
    """Who answers a request."""

    def abandoned(self, transaction: "ServerTransaction") -> None:
        """The flow died before the INVITE had a final response. Nothing more can be sent on it."""


class ClientUser(Protocol):
    """Who waits for the answer to a request: exactly one final `response`, `timed_out` or `failed` comes."""

    def response(self, transaction: "ClientTransaction", message: Message) -> None:
        """Each provisional, the final; every further 2xx of an INVITE, repeated or of another fork, for 64*T1."""

    def timed_out(self, transaction: "ClientTransaction") -> None:
        """No response in 64*T1, or no final 64*T1 after the CANCEL."""

    def failed(self, transaction: "ClientTransaction") -> None:
        """The flow died."""


class ServerTransaction(Repeating):
    """A request that came in, and the last response to it."""

    __slots__ = ("_key", "_table", "final", "over", "request", "user")

    def __init__(self, request: Message, flow: Flow, table: "Transactions", key: Key) -> None:
        Repeating.__init__(self, flow, table.clock)
        self.request = request
        self.final = 0  # code of the final response that was sent
        self.over = False  # nothing will be sent any more
        self.user: ServerUser | None = None
        self._table = table
        self._key = key

    def respond(self, message: Message) -> None:
        """Send a response and keep it for retransmissions.

        After a final one only a further 2xx to an INVITE that had a 2xx is sent (RFC 6026); all else is ignored.
        """
        code = message.code
        if self.over or (self.final and not (self.final < 300 and 200 <= code < 300)):
            return
        self._data = data = message.render()
        self._clock.network.send(self.flow, data)
        if code < 200 or self.final:
            return
        self.final = code
        if self.request.method != "INVITE":
            self.over = True
            self._table.answered(self, self._key, None if self.flow.reliable else data)
        elif code < 300:
            self._table.accepted(self, self._key)
        else:
            self._repeat_until_answered(T2)

    def repeat(self) -> None:
        """Send the last response again: a 2xx until its ACK, a reliable provisional until its PRACK."""
        if self._data and not self.over:
            self._clock.network.send(self.flow, self._data)

    def acknowledged(self) -> None:
        """The ACK to a final response that is no 2xx: further ones are absorbed for T4 (timer I)."""
        if self.waiting:
            self._answered()
            self.over = True
            if self.flow.reliable:
                self._end()
            else:
                self._clock.timers.after(T4, self._end)

    def abandon(self) -> None:
        """Send nothing more."""
        self._answered()
        self.over = True
        self._end()

    def give_up(self) -> None:
        """Timer H: the ACK did not come."""
        self.over = True
        self._end()

    def _end(self) -> None:
        self._table.server_ended(self._key)


class ClientTransaction(Repeating):
    """A request of ours and what came back."""

    __slots__ = ("_cancel", "_reason", "_table", "branch", "final", "key", "provisional", "request", "user")

    def __init__(self, request: Message, flow: Flow, user: ClientUser, table: "Transactions", key: Key) -> None:
        Repeating.__init__(self, flow, table.clock)
        self.request = request  # as sent: its first header is our Via
        self.user = user
        self.branch = key[0]
        self.provisional = 0  # code of the last one
        self.final = 0
        self._cancel = False  # a CANCEL is to be sent as soon as it may be
        self._reason: str | None = None
        self._table = table
        self.key = key

    def start(self, longest: float) -> None:
        """Send the request."""
        self._data = data = self.request.render()
        self._clock.network.send(self.flow, data)
        self._repeat_until_answered(longest)

    def cancel(self, reason: str | None = None) -> None:
        """Give up an INVITE: CANCEL now or after the first provisional (RFC 3261 9.1), with this Reason (RFC 3326).

        The user still gets the final response (487, or a 2xx that crossed the CANCEL), or `timed_out`. Does nothing for
        other methods, a second time, or when all is over.
        """
        if self._cancel or self.request.method != "INVITE" or not self._table.pending(self.key):
            return
        self._cancel = True
        self._reason = reason
        if self.provisional:
            self._send_cancel()

    def _send_cancel(self) -> None:
        request = self.request
        headers: Headers = [request.headers[0], ("Max-Forwards", "70")]
        headers += [each for each in request.headers if each[0] in _OF_CANCEL]
        headers.append(("CSeq", f"{request.cseq[0]} CANCEL"))
        if self._reason is not None:
            headers.append(("Reason", self._reason))
        self._table.start(Message("CANCEL", request.uri, headers=headers), self.flow, _NOBODY, self.key)
        self._timer = self._clock.timers.after(PATIENCE, self.give_up)

    def received(self, message: Message) -> None:
        """A response, before any final one."""
        code, invite = message.code, self.request.method == "INVITE"
        if code < 200:
            first = not self.provisional
            self.provisional = code
            self._longest = self._interval = T2  # timer E in Proceeding; an INVITE is not repeated any more
            if invite and first:
                self._answered()
                if self._cancel:
                    self._send_cancel()
        else:
            self.final = code
            self._answered()
            self._table.client_ended(self.key)
            if invite:
                self._finish_invite(message)
        self.user.response(self, message)

    def _finish_invite(self, message: Message) -> None:
        if self.final < 300:
            self._data = b""
            self._table.remember(self.key, self)
            return
        request = self.request
        headers: Headers = [request.headers[0], ("Max-Forwards", "70")]
        headers += [each for each in request.headers if each[0] in _OF_ACK]
        headers.append(("To", message.get("To") or ""))
        headers.append(("CSeq", f"{request.cseq[0]} ACK"))
        self._data = data = Message("ACK", request.uri, headers=headers).render()
        self._clock.network.send(self.flow, data)
        if not self.flow.reliable:
            self._table.remember(self.key, self)

    def received_late(self, message: Message) -> None:
        """A response to an INVITE that had its final one."""
        if self.final < 300:
            if 200 <= message.code < 300:
                self.user.response(self, message)
        elif message.code >= 300:
            self._clock.network.send(self.flow, self._data)

    def give_up(self) -> None:
        """Timers B and F, and the end of the wait after a CANCEL."""
        self._table.client_ended(self.key)
        self.user.timed_out(self)

    def fail(self) -> None:
        """The flow died."""
        self._answered()
        self.user.failed(self)


class Transactions:
    """All transactions of all calls."""

    def __init__(self, network: Network, timers: Timers, token: Callable[[], str]) -> None:
        """`token` gives what nobody can guess and what never comes twice."""
        self.clock = Clock(network, timers)
        self._network = network
        self._token = token
        # Keys are (branch, sent-by, method), and for servers the source's host. A late entry of a non-INVITE is the
        # response that repeats are answered with; it does not keep the messages and the user alive.
        self._servers: dict[Key, ServerTransaction] = {}
        self._late_servers: Fading[Key, ServerTransaction | bytes] = Fading(timers)
        self._clients: dict[Key, ClientTransaction] = {}
        self._late_clients: Fading[Key, ClientTransaction] = Fading(timers)

    def __len__(self) -> int:
        """How many there are, those included that only wait for late repeats."""
        return len(self._servers) + len(self._late_servers) + len(self._clients) + len(self._late_clients)

    def request(self, message: Message, flow: Flow) -> ServerTransaction | None:
        """The transaction of a new request (any but ACK); None: a repeat, which is absorbed or answered again."""
        key = server_key(message, flow, message.method)
        known = self._servers.get(key) or self._late_servers.get(key)
        if known is None:
            self._servers[key] = transaction = ServerTransaction(message, flow, self, key)
            return transaction
        if isinstance(known, bytes):
            self._network.send(flow, known)
        elif not 200 <= known.final < 300:  # the dialog repeats a 2xx
            known.repeat()
        return None

    def repeats(self, message: Message, flow: Flow) -> bool:
        """Whether a transaction of this request is known, which `request` would absorb."""
        key = server_key(message, flow, message.method)
        return key in self._servers or self._late_servers.get(key) is not None

    def knows_invite(self, via: str, host: str) -> bool:
        """Whether an INVITE with this top Via from this address was taken."""
        key = (*branch_and_sent_by(via), "INVITE", host)
        return key in self._servers or self._late_servers.get(key) is not None

    def ack(self, message: Message, flow: Flow) -> bool:
        """Whether this ACK belongs to an INVITE without a 2xx and is absorbed; if not it is for a dialog."""
        transaction = self._servers.get(server_key(message, flow, "INVITE"))
        if transaction is None:
            return False
        transaction.acknowledged()
        return True

    def invite_of(self, cancel: Message, flow: Flow) -> ServerTransaction | None:
        """The INVITE that a CANCEL means, answered or not (RFC 3261 9.2); None: answer 481."""
        key = server_key(cancel, flow, "INVITE")
        known = self._servers.get(key) or self._late_servers.get(key)
        return None if isinstance(known, bytes) else known

    def response(self, message: Message, flow: Flow) -> bool:
        """Give a response to its transaction. False: it is nobody's, or not of the peer that was asked: drop it."""
        via = cseq = ""
        for name, value in message.headers:
            if name == "Via":
                if via:
                    return False
                via = value
            elif name == "CSeq":
                cseq = value
        if "," in via and len(split(via)) > 1:
            return False
        method = cseq.rpartition(" ")[2]
        key = (*branch_and_sent_by(via), method if method.isalpha() else message.cseq[1])
        transaction = self._clients.get(key)
        late = self._late_clients.get(key) if transaction is None else None
        asked = transaction or late
        if asked is None or (
            flow.host != asked.flow.host and not self._network.same_peer(flow, asked.flow)  # a peer may have several
        ):
            return False
        if transaction is not None:
            transaction.received(message)
        else:
            asked.received_late(message)
        return True

    def send(self, message: Message, flow: Flow, user: ClientUser) -> ClientTransaction:
        """Put our Via on top of a request and send it, again and again on UDP until something comes back.

        The message is the transaction's from now on.
        """
        return self.start(message, flow, user, self.stamp(message, flow))

    def stamp(self, message: Message, flow: Flow) -> Key:
        """Put our Via on top of a request, with a branch of its own; the branch and the sent-by in it."""
        sent_by = self._network.sent_by(flow)
        branch = COOKIE + self._token()
        rport = "" if flow.reliable else ";rport"
        message.headers.insert(0, ("Via", f"{_VERSIONS[flow.transport]}{sent_by};branch={branch}{rport}"))
        return branch, sent_by.lower()

    def start(self, message: Message, flow: Flow, user: ClientUser, ids: Key) -> ClientTransaction:
        """Send a request that has its Via; `ids` begin with the branch and the sent-by in it."""
        method = message.method
        key = (ids[0], ids[1], method)
        self._clients[key] = transaction = ClientTransaction(message, flow, user, self, key)
        transaction.start(PATIENCE if method == "INVITE" else T2)
        return transaction

    def failed(self, flow: Flow) -> None:
        """A connection died or was refused, or a datagram could not be delivered.

        Looks through all that is unanswered: that is little, and flows seldom die.
        """
        clients = [each for each in self._clients.values() if each.flow == flow]
        servers = [
            each
            for each in self._servers.values()
            if each.flow == flow and not each.final and each.request.method == "INVITE"
        ]
        for client in clients:
            del self._clients[client.key]
        for server in servers:
            server.abandon()
        for client in clients:
            client.fail()
        for server in servers:
            if server.user is not None:
                server.user.abandoned(server)

    def pending(self, key: Key) -> bool:
        """Whether a request of ours has no final response yet."""
        return key in self._clients

    def answered(self, transaction: ServerTransaction, key: Key, data: bytes | None) -> None:
        """A request that is no INVITE had its final response, which may be asked for again (timer J)."""
        del self._servers[key]
        if data is not None:
            self._late_servers.add(key, data)

    def accepted(self, transaction: ServerTransaction, key: Key) -> None:
        """An INVITE had its first 2xx; its repeats are absorbed (timer L of RFC 6026)."""
        del self._servers[key]
        self._late_servers.add(key, transaction)

    def server_ended(self, key: Key) -> None:
        """Forget it."""
        self._servers.pop(key, None)

    def client_ended(self, key: Key) -> None:
        """Forget it."""
        self._clients.pop(key, None)

    def remember(self, key: Key, transaction: ClientTransaction) -> None:
        """An INVITE had its final response, which may come again (timers D and M)."""
        self._late_clients.add(key, transaction)


class _Nobody:
    """The user of a CANCEL: its answer interests nobody."""

    def response(self, transaction: ClientTransaction, message: Message) -> None: ...

    def timed_out(self, transaction: ClientTransaction) -> None: ...

    def failed(self, transaction: ClientTransaction) -> None: ...


_NOBODY = _Nobody()


def response_to(
    request: Message, code: int, reason: str, to_tag: str = "", headers: Iterable[tuple[str, str]] = ()
) -> Message:
    """A response without a body (RFC 3261 8.2.6.2); `to_tag` is put on a To that has none, `headers` come last.

    Record-Route is copied where the response makes a dialog, Timestamp to a 100.
    """
    copied = _COPIED
    if code == 100:
        copied = _COPIED_TO_100
    elif code < 300 and request.method in _MAKES_DIALOG:
        copied = _COPIED_IN_DIALOG
    answer: Headers = []
    for each in request.headers:
        name = each[0]
        if name in copied:
            answer.append(each)
        elif name == "To":
            answer.append(each if not to_tag or tag(each[1]) else (name, with_parameter(each[1], "tag", to_tag)))
    answer.extend(headers)
    return Message(code=code, reason=reason, headers=answer)
