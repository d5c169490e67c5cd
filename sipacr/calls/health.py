"""Which peers are there: each address is asked by OPTIONS now and then, and at once when a call did not reach it."""

from collections.abc import Callable, Iterable, Sequence

from sipacr.calls.message import Message, with_parameter
from sipacr.calls.network import Flow, Network, Target
from sipacr.calls.timers import Timer, Timers
from sipacr.calls.transactions import ClientTransaction, Transactions
from sipacr.routing.directory import Health, Peer

# Final responses that do not come from somebody who takes calls. All others do, a refusal of OPTIONS too.
_NOBODY_THERE = frozenset({502, 503, 504})
_QUICK = 1.0  # seconds to the next question while it is in doubt whether an address is up
_NAMELESS = "none of its addresses is known"

Changed = Callable[[str, Target | None, bool, str], None]


class Watch:
    """The health of all peers that have `health`. An address is up until it is found to be down."""

    def __init__(
        self,
        network: Network,
        timers: Timers,
        transactions: Transactions,
        token: Callable[[], str],
        changed: Changed,
    ) -> None:
        """`changed(peer, target, down, why)` is called once for each change.

        It has a target for one of several addresses, None for the peer as a whole.
        """
        self.network = network
        self.timers = timers
        self.transactions = transactions
        self.token = token
        self.down: frozenset[str] = frozenset()  # peers of which all addresses are down
        self._changed = changed
        self._peers: dict[str, _Watched] = {}

    def follow(self, peers: Iterable[Peer]) -> None:
        """Watch these from now on and no others; what is known of an address stays."""
        asked = {peer.name: (peer, peer.health) for peer in peers if peer.health is not None}
        for name in self._peers.keys() - asked.keys():
            self._peers.pop(name).forget()
        self.down &= asked.keys()
        for name, (peer, health) in asked.items():
            watched = self._peers.get(name)
            if watched is None:
                watched = self._peers[name] = _Watched(name, self)
            watched.take(peer.connect, health)

    def unreachable(self, peer: str, target: Target | None = None) -> None:
        """A call could not reach this address, or any of the peer: it is asked at once, up to `down_after` times."""
        if peer in self._peers:
            self._peers[peer].suspect(target)

    def is_down(self, peer: str) -> bool:
        """Whether no address of it is up; False for one that is not watched."""
        return peer in self.down

    def order(self, peer: str, targets: Sequence[Target]) -> list[Target]:
        """The same addresses, those that are down after all others."""
        watched = self._peers.get(peer)
        return sorted(targets, key=watched.is_down) if watched is not None else list(targets)

    def settled(self, peer: "_Watched", target: Target | None, down: bool, why: str) -> None:
        """An address of the peer turned, came or went: tell what that changes."""
        if target is not None and peer.several:
            self._changed(peer.name, target, down, why)
        if peer.down != (peer.name in self.down):
            self.down = self.down | {peer.name} if peer.down else self.down - {peer.name}
            self._changed(peer.name, None, peer.down, why)


class _Watched:
    """One peer: its addresses, looked up again in each interval."""

    def __init__(self, name: str, watch: Watch) -> None:
        self.name = name
        self.patience = 0.0  # seconds for an answer
        self.health = Health()
        self._watch = watch
        self._addresses: dict[Target | None, _Address] = {}  # None: its name has no address
        self._next = Timer(0.0, self._look)

    def take(self, patience: float, health: Health) -> None:
        """The settings; look at the addresses at once."""
        self.patience = patience
        self.health = health
        self._next.cancel()
        self._next = self._watch.timers.after(0.0, self._look)

    def _look(self) -> None:
        targets = self._watch.network.targets(self.name)
        wanted: dict[Target | None, None] = dict.fromkeys(targets or (None,))
        for target in self._addresses.keys() - wanted.keys():
            self._addresses.pop(target).forget()
        for target in wanted.keys() - self._addresses.keys():
            self._addresses[target] = _Address(self, target, self._watch)
        self._watch.settled(self, None, self.down, "its addresses are others now")
        self._next = self._watch.timers.after(self.health.every if targets else _QUICK, self._look)

    @property
    def down(self) -> bool:
        return all(address.down for address in self._addresses.values())

    @property
    def several(self) -> bool:
        return len(self._addresses) > 1

    def is_down(self, target: Target) -> bool:
        """False for an address that is not known."""
        address = self._addresses.get(target)
        return address is not None and address.down

    def suspect(self, target: Target | None) -> None:
        for address in self._addresses.values():
            if target is None or address.target == target:
                address.suspect()

    def forget(self) -> None:
        self._next.cancel()
        for address in self._addresses.values():
            address.forget()


class _Address:
    """One address: asked, answered or not, up or down. It is the user of its OPTIONS (`ClientUser`)."""

    def __init__(self, peer: _Watched, target: Target | None, watch: Watch) -> None:
        self.target = target
        self.down = False
        self._peer = peer
        self._watch = watch
        self._failures = 0  # in a row
        self._answers = 0  # in a row
        self._asked = 0.0  # when
        self._open = False  # it is asked, and there is no answer yet
        self._transaction: ClientTransaction | None = None
        self._timer = watch.timers.after(0.0, self._ask)

    def suspect(self) -> None:
        """Ask soon, unless the answer is known or awaited."""
        now = self._watch.timers.now
        due = max(now, self._asked + _QUICK)
        if not (self.down or self._open) and self._timer.due > due:
            self._ask_after(due - now)

    def forget(self) -> None:
        """Ask no more, and hear no answer."""
        self._timer.cancel()
        self._open = False
        self._transaction = None

    def _ask_after(self, seconds: float) -> None:
        self._timer.cancel()
        self._timer = self._watch.timers.after(seconds, self._ask)

    def _ask(self) -> None:
        """What cannot be sent counts as not answered, and no earlier: a name may be just being looked up."""
        watch, target = self._watch, self.target
        self._open = True
        self._asked = watch.timers.now
        flow = None if target is None else watch.network.flow(target)
        why = _NAMELESS if target is None else "no answer to OPTIONS" if flow else "there is no way to it"
        self._timer = watch.timers.after(self._peer.patience, lambda: self._judge(why))
        if target is not None and flow is not None:
            options = _options(target, flow, watch.network, watch.token)
            self._transaction = watch.transactions.send(options, flow, self)

    def response(self, transaction: ClientTransaction, message: Message) -> None:
        """Somebody is there, or says that nobody is."""
        if transaction is self._transaction and message.code >= 200:
            nobody = message.code in _NOBODY_THERE
            self._judge(f"it answers {message.code} {message.reason}" if nobody else "")

    def timed_out(self, transaction: ClientTransaction) -> None:
        """Mostly long after our own patience ended."""
        if transaction is self._transaction:
            self._judge("no answer to OPTIONS")

    def failed(self, transaction: ClientTransaction) -> None:
        """Refused, or the connection died."""
        if transaction is self._transaction:
            self._judge("it cannot be reached")

    def _judge(self, failure: str) -> None:
        """Count an answer (no `failure`) or a failure, and turn at the threshold."""
        health = self._peer.health
        self._open = False
        self._transaction = None
        self._failures = self._failures + 1 if failure else 0
        self._answers = 0 if failure else self._answers + 1
        turned = self._answers >= health.up_after if self.down else self._failures >= health.down_after
        self.down ^= turned
        in_doubt = self._answers if self.down else self._failures
        self._ask_after(_QUICK if in_doubt else health.every)
        if turned:
            self._watch.settled(self._peer, self.target, self.down, failure or "it answers again")


def _options(target: Target, flow: Flow, network: Network, token: Callable[[], str]) -> Message:
    """RFC 3261 11.1."""
    host = f"[{target.host}]" if ":" in target.host else target.host
    transport = "" if flow.transport == "udp" else f";transport={flow.transport}"
    uri = f"sip:{target.name or host}:{target.port}{transport}"
    contact = network.contact(flow)
    address = contact.partition(";")[0]
    ours = address[: address.find("]") + 1] or address.partition(":")[0]
    return Message(
        "OPTIONS",
        uri,
        headers=[
            ("Max-Forwards", "70"),
            ("From", with_parameter(f"<sip:sipacr@{ours}>", "tag", token())),
            ("To", f"<{uri.partition(';')[0]}>"),
            ("Call-ID", token()),
            ("CSeq", "1 OPTIONS"),
            ("Contact", f"<sip:sipacr@{contact}>"),
            ("Accept", "application/sdp"),
        ],
    )
