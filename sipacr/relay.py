"""What joins the parts of the relay: network, clock, calls, registrations, health; and how calls end when it stops.

The calls themselves are `calls`, the network is `sip.exchange`.
"""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from sipacr.calls import progress
from sipacr.calls.call import Call
from sipacr.calls.calls import Calls
from sipacr.calls.health import Watch
from sipacr.calls.network import Flow, Target
from sipacr.calls.registration import Registrant
from sipacr.calls.timers import Timers
from sipacr.loud import Loud
from sipacr.routing.directory import Directory, Peer
from sipacr.routing.facts import State
from sipacr.sip.dns import Names
from sipacr.sip.door import Door
from sipacr.sip.exchange import Exchange
from sipacr.sip.front import Front
from sipacr.sip.inlet import Inlet
from sipacr.sip.limits import Bucket
from sipacr.sip.message import Parser

log = logging.getLogger("sipacr")

_GOODBYE = 3.0  # seconds for the answers to our last BYEs and to giving registrations back
_STOPPED = 'SIP;cause=503;text="Router stopped"'  # Reason, RFC 3326
_LINES = 100.0  # of the log a second, for calls that are over
_RANDOM = 4000  # bytes of the system's randomness that are fetched at once
_TOKEN = 10  # bytes


class Relay:
    """Everything that relayed calls need. `door` is where all messages come in, `inlet` where those of calls do."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        front: Front,
        parser: Parser,
        directory: Directory,
        state: State,
        find: Callable[[str, int], Peer | None],
        names: Names,
    ) -> None:
        """`state` is what decisions see of this moment, `find` tells the peer of an address."""
        self._loop = loop
        self._state = state
        self._names = names
        self._token = token = _tokens().__next__
        self._timers = timers = Timers(loop.time())
        self.door = Door(front, Loud(log).say, loop.time)
        self.exchange = Exchange(loop, self.door, find, self._targets, self._failed)
        self.calls = Calls(self.exchange, timers, token, directory, state, f"r{token()[:10]}-", time.time)
        self.inlet = Inlet(self.calls, timers, parser, self.exchange, loop.time, self._done)
        self.door.core = self.inlet
        self.watch = Watch(self.exchange, timers, self.calls.transactions, token, self._turned)
        self.calls.on_suspicion = self.watch.unreachable
        self.registrants: dict[str, Registrant] = {}
        self.calls.service_route = self._service_route
        self._due = 0.0
        self._alarm: asyncio.TimerHandle | None = None
        self._ended: asyncio.Event | None = None

    def take(self, directory: Directory) -> None:
        """Peers as they are from now on. Calls in progress keep those that they began with."""
        self.calls.take(directory)
        self.door.take(directory)
        self.exchange.forget_peers()
        self.watch.follow(directory.peers.values())
        for name, registrant in list(self.registrants.items()):
            if directory.peers.get(name) != registrant.peer:
                del self.registrants[name]
                registrant.stop(lambda name=name: self._register(name))  # type: ignore[misc]
        for name in directory.peers.keys() - self.registrants.keys():
            self._register(name)
        self.inlet.tick()

    def _register(self, name: str) -> None:
        """Register at a peer that wants it, unless that is done."""
        peer = self.calls.peer(name)
        if peer is None or peer.register is None or name in self.registrants or self.calls.draining:
            return
        self.registrants[name] = registrant = Registrant(
            peer, peer.register, self.exchange, self._timers, self.calls.transactions, self._token, self._registered
        )
        registrant.start()

    def _service_route(self, peer: str) -> Sequence[str]:
        registrant = self.registrants.get(peer)
        return registrant.service_route if registrant is not None else ()

    def _registered(self, registrant: Registrant) -> None:
        say = log.info if registrant.until is not None else log.warning
        say("peer %s: %s", registrant.peer.name, registrant.said())

    def _turned(self, peer: str, target: Target | None, down: bool, why: str) -> None:
        """A peer, or one of its addresses, does not answer any more, or does again."""
        self._state.down = self.watch.down
        which = f"peer {peer}" if target is None else f"peer {peer}: {target.host} port {target.port}"
        (log.error if down else log.info)("%s %s", which, f"is down: {why}" if down else "is up again")

    def _targets(self, peer: str) -> Sequence[Target]:
        return self.watch.order(peer, self._names.targets(peer))

    def _failed(self, flow: Flow) -> None:
        self.inlet.failed(flow)
        for registrant in list(self.registrants.values()):
            registrant.lost(flow)

    # The clock

    def _done(self) -> None:
        """After each event: ring when the next timer is due, and tell who waits for the end."""
        due = self._timers.next_due()
        if due is not None and (self._alarm is None or due < self._due):
            if self._alarm is not None:
                self._alarm.cancel()
            self._due = due
            self._alarm = self._loop.call_at(due, self._ring)
        if self._ended is not None and not self.calls.live:
            self._ended.set()

    def _ring(self) -> None:
        self._alarm = None
        self.inlet.tick()

    # What people ask for

    def rows(self) -> list[Callable[[], Mapping[str, object]]]:
        """What is shown of each call in progress, the oldest first."""
        now = time.time()
        return [partial(progress.row, call, now) for call in self.calls.live]

    def log_ends(self) -> None:
        """One line for each call that is over, after whoever else hears of its end; no more than so many a second."""
        before, bucket = self.calls.on_end, Bucket(_LINES, self._loop.time())
        left_out = 0

        def ended(call: Call) -> None:
            nonlocal left_out
            before(call)
            if bucket.take(self._loop.time()):
                log.info("%s%s", progress.line(call), f" ({left_out} calls before it not told)" if left_out else "")
                left_out = 0
            else:
                left_out += 1

        self.calls.on_end = ended

    def hang_up(self, call_id: str | None) -> int:
        """Hang up the calls with this Call-ID on either side, or all; how many there were."""
        self.inlet.tick()  # what follows begins now, not at the last event
        calls = list(self.calls.live) if call_id is None else progress.named(self.calls.live, call_id)
        for call in calls:
            call.hang_up(progress.HUNG_UP)
        self.inlet.tick()
        return len(calls)

    # The end

    async def drain(self, seconds: float) -> None:
        """Take no new calls, and return when the last one is over; after `seconds` all are hung up."""
        self.calls.draining = True
        self._ended = asyncio.Event()
        self._done()
        if self.calls.live:
            log.info("stopping: %d calls have %.0f s to end", len(self.calls.live), seconds)
        try:
            await asyncio.wait_for(self._ended.wait(), seconds)
        except TimeoutError:
            log.warning("%d calls are hung up: the router stops", len(self.calls.live))
            for call in list(self.calls.live):
                call.hang_up(_STOPPED)
        await self._say_goodbye()

    async def _say_goodbye(self) -> None:
        """Give the far ends a moment to answer what we sent last."""
        left = set(self.registrants)
        for name, registrant in self.registrants.items():
            registrant.stop(lambda name=name: left.discard(name))  # type: ignore[misc]
        self.inlet.tick()
        until = self._loop.time() + _GOODBYE
        while (left or self.calls.halves) and self._loop.time() < until:
            await asyncio.sleep(0.05)

    def close(self) -> None:
        """Close what we opened."""
        if self._alarm is not None:
            self._alarm.cancel()
        self.exchange.close()

    def status(self) -> Mapping[str, object]:
        """What `sipacr status` tells of it."""
        return {
            "relayed": self.calls.counts["calls"],
            "live": len(self.calls.live),
            "down": sorted(self.watch.down),
            "registrations": {name: registrant.said() for name, registrant in self.registrants.items()},
            "refused": {" ".join(key): count for key, count in self.door.counts.items()},
            "delay": round(self.door.delay, 3),
            "our_faults": self.inlet.counts["errors"],
        }


def _tokens() -> Iterator[str]:
    """What nobody can guess and never comes twice."""
    while True:
        fresh = os.urandom(_RANDOM).hex()
        for start in range(0, len(fresh), 2 * _TOKEN):
            yield fresh[start : start + 2 * _TOKEN]
