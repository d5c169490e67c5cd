"""Counters and histograms for Prometheus, served on a loopback port by the routing loop itself: no thread, no locks.

What the parts count anyway is read when it is asked for; only the histograms cost something at each call, and only
where metrics are wanted.
"""

import asyncio
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from sipacr.calls.call import Call
from sipacr.calls.calls import Calls
from sipacr.routing.directory import Peer
from sipacr.routing.facts import Request
from sipacr.sip.answer import Verdict
from sipacr.sip.inlet import Relayed

DECIDE = (0.00001, 0.00002, 0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.005, 0.02, 0.1)  # seconds
POST_DIAL = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0)  # seconds
_LONGEST = 8192  # bytes of a request for the page
_PATIENCE = 5.0  # seconds
_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Route = Callable[[Request, Peer], Verdict | Relayed]


class Histogram:
    """How often a value was within which bound."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def family(self, name: str, text: str) -> HistogramMetricFamily:
        """As Prometheus wants it: each bucket holds those of all lower bounds too."""
        buckets, total = [], 0
        for bound, count in zip((*map(str, self._bounds), "+Inf"), self._counts, strict=True):
            total += count
            buckets.append((bound, float(total)))
        return HistogramMetricFamily(name, text, buckets=buckets, sum_value=self._sum)


class Parts(Protocol):
    """What is asked of the router; numbers as of this moment."""

    def metrics(self) -> Iterator[tuple[str, str, str, dict[tuple[str, ...], float]]]:
        """Name, "counter" or "gauge" with the labels' names after it, what it is, and the values by labels."""


class Metrics:
    """All that is told to Prometheus."""

    def __init__(self, parts: Parts | None = None) -> None:
        self.parts = parts
        self._decide = Histogram(DECIDE)
        self._post_dial = Histogram(POST_DIAL)
        self._answers: Counter[str] = Counter()
        self._outcomes: Counter[str] = Counter()
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def timed(self, route: Route) -> Route:
        """The same routing, timed, and its answers counted."""
        clock, observe, answers = time.perf_counter, self._decide.observe, self._answers

        def timed(request: Request, peer: Peer) -> Verdict | Relayed:
            start = clock()
            verdict = route(request, peer)
            observe(clock() - start)
            answers["relayed" if isinstance(verdict, Relayed) else verdict.status[:3].decode()] += 1
            return verdict

        return timed

    def watch(self, calls: Calls) -> None:
        """Hear of the ends of relayed calls, after whoever else hears of them."""
        before = calls.on_end

        def ended(call: Call) -> None:
            before(call)
            self.ended(call)

        calls.on_end = ended

    def ended(self, call: Call) -> None:
        """A relayed call is over."""
        self._outcomes[call.outcome] += 1
        heard = call.rang_at if call.rang_at is not None else call.answered_at
        if heard is not None:
            self._post_dial.observe(max(0.0, heard - call.started))

    def collect(self) -> Iterator[Metric]:
        """What `prometheus_client` asks for."""
        answers = CounterMetricFamily(
            "sipacr_answers", "INVITEs by what was decided: a code or relayed", labels=["answer"]
        )
        for answer, count in self._answers.items():
            answers.add_metric([answer], count)
        yield answers
        outcomes = CounterMetricFamily("sipacr_relayed_calls", "Relayed calls that are over", labels=["outcome"])
        for outcome, count in self._outcomes.items():
            outcomes.add_metric([outcome], count)
        yield outcomes
        yield self._decide.family("sipacr_decide_seconds", "Time to decide about an INVITE")
        yield self._post_dial.family(
            "sipacr_post_dial_delay_seconds", "From a relayed INVITE to the first ringing or answer"
        )
        for name, kind, text, values in self.parts.metrics() if self.parts is not None else ():
            what, *labels = kind.split()
            family = (CounterMetricFamily if what == "counter" else GaugeMetricFamily)(name, text, labels=labels)
            for key, value in values.items():
                family.add_metric(key, value)
            yield family

    async def serve(self, host: str, port: int) -> asyncio.AbstractServer:
        """Answer GETs. Raises OSError if the address is taken."""
        return await asyncio.start_server(self._answer, host, port, limit=_LONGEST)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _PATIENCE)
            found = head.split(b" ", 2)[:2] in ([b"GET", b"/metrics"], [b"GET", b"/"])
            page = generate_latest(self._registry) if found else b""
            status = b"200 OK" if found else b"404 Not Found"
            writer.write(
                b"HTTP/1.1 %b\r\nContent-Type: %b\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b"
                % (status, _TYPE.encode(), len(page), page)
            )
            await asyncio.wait_for(writer.drain(), _PATIENCE)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return  # whoever asked has gone, or asks for nothing
        finally:
            writer.close()
