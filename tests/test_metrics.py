"""What Prometheus is told: buckets, counters by labels, and the page itself."""

import asyncio
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from sipacr.metrics import Histogram, Metrics
from sipacr.sip.answer import Verdict, status
from sipacr.sip.inlet import Relayed


class Parts:
    def metrics(self) -> Iterator[tuple[str, str, str, dict[tuple[str, ...], float]]]:
        yield "sipacr_live_calls", "gauge", "calls", {(): 3}
        yield "sipacr_refused", "counter why peer", "refused", {("overload", 'a "b"'): 7}


async def get(metrics: Metrics, request: bytes) -> bytes:
    server = await metrics.serve("127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    server.close()
    return answer


def samples(metrics: Metrics) -> dict[tuple[str, tuple[str, ...]], float]:
    answer = asyncio.run(get(metrics, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"))
    head, _, page = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert f"Content-Length: {len(page)}".encode() in head
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
    }


def test_each_bucket_holds_the_lower_ones() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 9.0):
        histogram.observe(value)
    family = histogram.family("x", "y")
    assert [(sample.labels.get("le"), sample.value) for sample in family.samples] == [
        ("1.0", 2.0), ("2.0", 3.0), ("+Inf", 4.0), (None, 4.0), (None, 12.0),
    ]  # fmt: skip


def test_the_page() -> None:
    metrics = Metrics(Parts())
    verdicts: list[Any] = [Verdict(status(302)), Verdict(status(302)), Verdict(status(486)), Relayed(None)]
    route = metrics.timed(lambda request, peer: verdicts.pop(0))
    kept = list(verdicts)
    assert [route(None, None) for _ in range(4)] == kept  # type: ignore[arg-type]
    found = samples(metrics)
    assert found["sipacr_answers_total", ("302",)] == 2
    assert found["sipacr_answers_total", ("486",)] == 1
    assert found["sipacr_answers_total", ("relayed",)] == 1
    assert found["sipacr_decide_seconds_count", ()] == 4
    assert found["sipacr_live_calls", ()] == 3
    assert found["sipacr_refused_total", ('a "b"', "overload")] == 7  # labels come by name


def test_calls_that_are_over() -> None:
    metrics = Metrics(Parts())
    told: list[object] = []
    calls: Any = SimpleNamespace(on_end=told.append)
    metrics.watch(calls)
    for outcome, rang_at, answered_at in (
        ("answered", 100.3, 105.0),
        ("rejected", None, None),
        ("answered", None, 103.0),
    ):
        calls.on_end(SimpleNamespace(outcome=outcome, started=100.0, rang_at=rang_at, answered_at=answered_at))
    assert len(told) == 3
    found = samples(metrics)
    assert found["sipacr_relayed_calls_total", ("answered",)] == 2
    assert found["sipacr_relayed_calls_total", ("rejected",)] == 1
    assert found["sipacr_post_dial_delay_seconds_count", ()] == 2
    assert found["sipacr_post_dial_delay_seconds_sum", ()] == pytest.approx(3.3)


@pytest.mark.parametrize("request_", [b"GET /x HTTP/1.1\r\n\r\n", b"POST /metrics HTTP/1.1\r\n\r\n", b"\r\n\r\n"])
def test_other_pages_are_not_there(request_: bytes) -> None:
    assert asyncio.run(get(Metrics(Parts()), request_)).startswith(b"HTTP/1.1 404 ")


def test_who_asks_for_too_much_is_left() -> None:
    assert asyncio.run(get(Metrics(Parts()), b"x" * 10_000)) == b""
