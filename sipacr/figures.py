"""What the parts of the router count, named for Prometheus. Read when it asks; nothing is counted twice."""

from collections.abc import Callable, Iterable, Iterator

from sipacr.relay import Relay
from sipacr.router import Router
from sipacr.sip.front import Front
from sipacr.sip.strangers import Strangers


class Figures:
    """What the parts of the router count, for Prometheus."""

    def __init__(
        self, router: Router, strangers: Strangers, relay: Relay, front: Front, peers: Callable[[], Iterable[str]]
    ) -> None:
        """`peers` names those that there are now."""
        self._router = router
        self._strangers = strangers
        self._relay = relay
        self._front = front
        self._peers = peers

    def metrics(self) -> Iterator[tuple[str, str, str, dict[tuple[str, ...], float]]]:
        """Name, kind and labels, what it is, values."""
        relay, peers = self._relay, self._peers()
        registered: dict[tuple[str, ...], float] = {
            (name,): float(each.until is not None) for name, each in relay.registrants.items()
        }
        yield (
            "sipacr_rule_hits",
            "counter rule",
            "Calls by the rules that decided",
            {(", ".join(names) or "none",): count for names, count in self._router.hits.items()},
        )
        yield "sipacr_live_calls", "gauge", "Relayed calls in progress", {(): len(relay.calls.live)}
        yield (
            "sipacr_peer_up",
            "gauge peer",
            "Whether a peer answers, as far as it is asked",
            {(name,): float(name not in relay.watch.down) for name in peers},
        )
        yield "sipacr_registered", "gauge peer", "Whether we are registered there", registered
        yield (
            "sipacr_refused",
            "counter why peer",
            "Calls that were refused unread",
            dict(relay.door.counts.items()),
        )
        yield "sipacr_delay_seconds", "gauge", "How long messages wait for the router", {(): relay.door.delay}
        yield "sipacr_strangers", "counter", "Requests of no peer", {(): self._strangers.requests}
        yield "sipacr_bans", "gauge", "Addresses that are banned", {(): len(self._strangers.bans())}
        faults = self._front.counts["errors"] + relay.inlet.counts["errors"]
        yield "sipacr_faults", "counter", "Faults of our own", {(): faults}
        yield (
            "sipacr_store_trouble",
            "counter",
            "Changes that never reached the store, and tries that failed",
            {(): self._router.not_written},
        )
        yield (
            "sipacr_trouble",
            "counter",
            "Look-ups and decisions that failed",
            {(): sum(self._router.loud.counts.values())},
        )
