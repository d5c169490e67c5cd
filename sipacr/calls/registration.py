"""A registration of ours at a trunk, kept alive (RFC 3261 10): one `Registrant` for each peer with `register`."""

import hashlib
from collections.abc import Callable

from sipacr.calls.digest import Authentication
from sipacr.calls.message import Headers, Message, parameters, uri_of, with_parameter
from sipacr.calls.network import Flow, Network, Target
from sipacr.calls.timers import Timer, Timers
from sipacr.calls.transactions import ClientTransaction, Transactions
from sipacr.routing.directory import Peer, Registration

KEEP_ALIVE = 25.0  # seconds between keep-alives: NATs forget UDP after 30 (RFC 5626 4.4.2)
_PING = b"\r\n\r\n"  # RFC 5626 3.5.1
_AHEAD = 600.0  # seconds: a long registration is refreshed so long before its end, a short one at half its time
_PAUSES = (10.0, 300.0)  # seconds to the next round after nobody answered: the first one, doubled up to the second
_PAUSES_REFUSED = (60.0, 1800.0)  # after a refusal: who tries a wrong password fast is barred
_LONGEST_WISH = 86_400  # seconds: a Retry-After or Min-Expires beyond a day is not believed
_STEADY = 60.0  # seconds: a connection that lasted longer is opened again at once


class Registrant:
    """Registers, refreshes, moves on to the trunk's next address, waits longer after each round that failed.

    All times are monotonic seconds of the `Timers`.
    """

    def __init__(
        self,
        peer: Peer,
        settings: Registration,
        network: Network,
        timers: Timers,
        transactions: Transactions,
        token: Callable[[], str],
        changed: Callable[["Registrant"], None],
    ) -> None:
        """`settings` are the peer's `register`.

        `changed` is called when it became registered, when that ended, when it fails for another reason than before,
        and when it works again.
        """
        self.peer = peer
        self.until: float | None = None  # registered until then; None: not registered
        self.failure = ""  # why the last try failed; "" after success
        self.failed_at: float | None = None
        self.next_try: float | None = None  # when the next REGISTER is due; None: one is under way, or it is stopped
        self.target: Target | None = None  # the address that granted the registration, the last one if it is over
        self.service_route: tuple[str, ...] = ()  # Route values for requests outside dialogs (RFC 3608)
        self._settings = settings
        self._network = network
        self._timers = timers
        self._transactions = transactions
        self._changed = changed
        self._authentication = None if peer.auth is None else Authentication(peer.auth, token)
        self._address = f"sip:{settings.user}@{settings.domain}"
        self._call_id = token()
        self._tag = token()
        self._cseq = 0
        self._asked = settings.expires  # seconds; a 423 raises it
        self._raised = False  # in this round
        self._bound: Flow | None = None  # where it is registered, and calls come from
        self._since = 0.0  # registered since then
        self._trying: Target | None = None
        self._flow: Flow | None = None  # to the address that is being tried
        self._left: list[Target] = []  # of this round, still to be tried
        self._retry_after = 0.0  # seconds that somebody in this round asked for
        self._rounds = 0  # that failed, one after the other
        self._transaction: ClientTransaction | None = None
        self._next = self._expiry = self._keep_alive = Timer(0.0, _nothing)
        self._stopping = self._leaving = False
        self._done = _nothing

    def start(self) -> None:
        """Register, as soon as the timers run."""
        self._try_after(0.0)

    def stop(self, done: Callable[[], None]) -> None:
        """Take the registration back (Expires: 0) and end; then `done` is called, after 64*T1 at the latest.

        Another one for the same Contact may only start after that: it would be taken back too.
        """
        if self._stopping:
            return
        self._done = done
        self._stopping = True
        self._next.cancel()
        self.next_try = None
        if self._transaction is None:  # else after its answer: REGISTERs go one after the other (RFC 3261 10.2)
            self._timers.after(0.0, self._leave)

    def lost(self, flow: Flow) -> None:
        """A connection died: if calls to us would have come on it, register on a new one.

        Call it after `Transactions.failed`.
        """
        if self.until is None or flow != self._bound or not flow.reliable or self._stopping:
            return
        self._end_registration()
        self._fail(f"the connection to {_at(self.target)} was lost")
        if self._transaction is not None:  # a refresh, which has failed too or goes another way
            return
        if self._timers.now - self._since > _STEADY:
            self._try_after(self._jitter())
        else:
            self._rest(*_PAUSES)

    def said(self) -> str:
        """The state in words."""
        now = self._timers.now
        parts = [
            f"registered at {_at(self.target)} for {self.until - now:.0f} s"
            if self.until is not None
            else "not registered"
        ]
        if self.failure:
            ago = "" if self.failed_at is None else f" {now - self.failed_at:.0f} s ago"
            parts.append(f"last failure{ago}: {self.failure}")
        if self.next_try is not None:
            parts.append(f"next try in {max(self.next_try - now, 0):.0f} s")
        return "; ".join(parts)

    # What the transaction tells (`ClientUser`).

    def response(self, transaction: ClientTransaction, message: Message) -> None:
        """The answer of the registrar."""
        if message.code < 200:
            return
        self._transaction = None
        if self._authentication is not None and self._authentication.challenged(transaction.request, message):
            self._send()
        elif self._leaving:
            self._end()
        elif message.code < 300:
            self._granted(message)
        elif message.code == 423 and not self._raised:
            self._raised = True
            self._asked = max(self._asked, _seconds(message.get("Min-Expires")))
            self._send()
        else:
            self._refused(transaction.request, message)

    def timed_out(self, transaction: ClientTransaction) -> None:
        """No answer."""
        self._unanswered(f"no answer from {_at(self._trying)}")

    def failed(self, transaction: ClientTransaction) -> None:
        """The flow died."""
        self._unanswered(f"{_at(self._trying)} cannot be reached")

    # One round through the addresses of the trunk.

    def _begin(self) -> None:
        """The address that granted the last registration is tried first, then all in their order."""
        self.next_try = None
        self._retry_after = 0.0
        self._raised = False
        self._left = list(self._network.targets(self.peer.name))
        if self.target in self._left:
            self._left.remove(self.target)
            self._left.insert(0, self.target)
        self._try_next("none of its addresses is known")

    def _try_next(self, failure: str) -> None:
        while self._left:
            self._trying = self._left.pop(0)
            self._flow = self._network.flow(self._trying)
            if self._flow is not None:
                self._send()
                return
            failure = f"there is no way to {_at(self._trying)}"
        self._fail(failure)
        self._rest(*_PAUSES)

    def _send(self) -> None:
        """REGISTER on the current flow, with the same Call-ID and a higher CSeq each time (RFC 3261 10.2)."""
        flow = self._flow
        assert flow is not None
        self._cseq += 1
        uri = f"sip:{self._settings.domain}"
        headers: Headers = [("Max-Forwards", "70")]
        if self.peer.outbound_proxy:
            transport = "" if flow.transport == "udp" else f";transport={flow.transport}"
            headers.append(("Route", f"<sip:{self.peer.outbound_proxy}{transport};lr>"))
        headers += [
            ("From", with_parameter(f"<{self._address}>", "tag", self._tag)),
            ("To", f"<{self._address}>"),
            ("Call-ID", self._call_id),
            ("CSeq", f"{self._cseq} REGISTER"),
            ("Contact", f"<{self._contact(flow)}>"),
            ("Expires", "0" if self._leaving else f"{self._asked:.0f}"),
            ("Supported", "path"),  # proxies on the way may need to add theirs (RFC 3327 5.1)
        ]
        if self._authentication is not None:
            headers += self._authentication.authorization("REGISTER", uri, b"")
        self._transaction = self._transactions.send(Message("REGISTER", uri, headers=headers), flow, self)

    def _contact(self, flow: Flow) -> str:
        return f"sip:{self._settings.contact}@{self._network.contact(flow)}"

    # What came of it.

    def _granted(self, message: Message) -> None:
        seconds = self._time_granted(message)
        if seconds <= 0:
            self._fail(f"{_at(self._trying)} answers {message.code}, but grants no time")
            self._rest(*_PAUSES_REFUSED)
            return
        now = self._timers.now
        news = self.until is None or bool(self.failure)
        if self.until is None:
            self._since = now
        self.until = now + seconds
        self.target, self._bound = self._trying, self._flow
        self.service_route = tuple(message.values("Service-Route"))
        self.failure, self.failed_at, self._rounds = "", None, 0
        self._expiry.cancel()
        self._expiry = self._timers.after(seconds, self._expired)
        if self._stopping:
            self._leave()
            return
        self._try_after(max(seconds - _AHEAD, seconds / 2) * (1 - self._jitter() / 10))
        self._keep_alive.cancel()
        self._keep_alive = self._timers.after(KEEP_ALIVE, self._ping)
        if news:
            self._changed(self)

    def _time_granted(self, message: Message) -> float:
        """Seconds, never more than asked for: the `expires` of our Contact, which the registrar may have rewritten,
        else the header (RFC 3261 10.2.4)."""
        assert self._flow is not None
        contacts = message.values("Contact")
        ours = _user_and_host(self._contact(self._flow))
        mine = [each for each in contacts if _user_and_host(uri_of(each)) == ours]
        if not mine and len(contacts) == 1:
            mine = contacts
        times = [parameters(each).get("expires") for each in mine]
        written = next((each for each in times if each), message.get("Expires"))
        return self._asked if written is None else min(_seconds(written), self._asked)

    def _refused(self, request: Message, message: Message) -> None:
        said = f"{_at(self._trying)} answers {message.code} {message.reason}"
        if message.code in (401, 407):
            said += self._why_unauthorized(request)
        self._retry_after = max(self._retry_after, _seconds(message.get("Retry-After")))
        if message.code == 408 or 500 <= message.code < 600:
            self._unanswered(said)
            return
        self._end_or(said, *_PAUSES_REFUSED)

    def _why_unauthorized(self, request: Message) -> str:
        if self._authentication is None:
            return ": it wants user and password, and none are set"
        if request.get("Authorization") or request.get("Proxy-Authorization"):
            return ": user or password is wrong"
        return ": it asks for them in a way that is not known here"

    def _unanswered(self, said: str) -> None:
        """This address failed: the next one, unless it is to end."""
        self._transaction = None
        if self._left and not self._stopping:
            self._fail(said)
            self._try_next(said)
        else:
            self._end_or(said, *_PAUSES)

    def _end_or(self, said: str, first: float, longest: float) -> None:
        if self._leaving:
            self._end()
        elif self._stopping:
            self._leave()
        else:
            self._fail(said)
            self._rest(first, longest)

    def _fail(self, said: str) -> None:
        """Note it, and tell it once."""
        fresh = said != self.failure
        self.failure = said
        self.failed_at = self._timers.now
        if fresh:
            self._changed(self)

    def _rest(self, first: float, longest: float) -> None:
        """Until the next round: doubled each time, a little less by chance, no less than the registrar asks for."""
        pause = min(first * 2.0 ** min(self._rounds, 16), longest) * (1 - self._jitter() / 4)
        self._rounds += 1
        self._try_after(max(pause, self._retry_after))

    def _try_after(self, seconds: float) -> None:
        self._next.cancel()
        self._next = self._timers.after(seconds, self._begin)
        self.next_try = self._next.due

    def _jitter(self) -> float:
        """Between 0 and 1, another one for each REGISTER, so that many routers do not come at once."""
        return int(hashlib.sha256(f"{self._call_id} {self._cseq}".encode()).hexdigest()[:8], 16) / 2**32

    # The end of a registration.

    def _expired(self) -> None:
        self._end_registration()
        self._changed(self)

    def _end_registration(self) -> None:
        self.until = None
        self.service_route = ()
        self._expiry.cancel()
        self._keep_alive.cancel()

    def _leave(self) -> None:
        """Take back what is held."""
        flow = None if self.until is None or self.target is None else self._network.flow(self.target)
        if flow is None:
            self._end()
        else:
            self._leaving = True
            self._flow = flow
            self._send()

    def _end(self) -> None:
        was = self.until
        self._end_registration()
        if was is not None:
            self._changed(self)
        self._done()

    def _ping(self) -> None:
        """Keep the way open through which calls come to us."""
        if self._bound is not None:
            self._network.send(self._bound, _PING)
        self._keep_alive = self._timers.after(KEEP_ALIVE, self._ping)


def _nothing() -> None: ...


def _at(target: Target | None) -> str:
    """An address for people."""
    if target is None:
        return "the trunk"
    host = f"[{target.host}]" if ":" in target.host else target.host
    return f"{target.name} ({host}:{target.port})" if target.name else f"{host}:{target.port}"


def _seconds(written: str | None) -> float:
    """Delta-seconds, of which a comment or parameters may follow (Retry-After); 0 if there are none."""
    digits = (written or "").split(";")[0].split("(")[0].strip()
    return float(min(int(digits), _LONGEST_WISH)) if digits.isascii() and digits.isdigit() and len(digits) < 12 else 0.0


def _user_and_host(uri: str) -> str:
    """What of a Contact registrars leave as it is."""
    return uri.partition(":")[2].partition(";")[0].partition("?")[0].lower()
