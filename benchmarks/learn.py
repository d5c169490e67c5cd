"""What learning costs: 2,000 events a second beside a thread that routes, and the CPU of one event.

    python benchmarks/learn.py [--rate 2000] [--seconds 20] [--known 0] [--customers 250000] [--cpu 1]

Each event is a report of a call at its beginning, its answer or its end, in this order, as the recorder hands them to
the writer's thread, which writes the record and the rows of four profiles. The thread that hands over works in short
steps of Python, as routing does, and notes how long each took from the moment when it should have begun: the histogram
is of those times, beside one without learning. `--cpu` is the number of cores that both may use together, `--known` how
many bindings are there before. On a machine that does other work begin with `chrt -f 1`: else a thread that was put
aside for another program counts as one that waits for ours.
"""

import argparse
import gc
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import data
from records import report, show

from sipacr.memory.learner import Learner
from sipacr.memory.report import Report
from sipacr.routing.ruleset import StickyProfile
from sipacr.rulefile.sticky import PRESETS
from sipacr.store import Database, Writer
from sipacr.store.learning import Learn, learn_report
from sipacr.store.writer import SWITCH

NAP = 0.0002  # seconds
PRESET_NAMES = ("acr-24h", "acr-out", "vipex-2", "vipex-4")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rate", type=int, default=2000)
    arguments.add_argument("--seconds", type=int, default=20)
    arguments.add_argument("--known", type=int, default=0, help="bindings that are there already")
    arguments.add_argument("--customers", type=int, default=250_000)
    arguments.add_argument("--cpu", type=int, default=1)
    given = arguments.parse_args()
    os.sched_setaffinity(0, list(os.sched_getaffinity(0))[: given.cpu])
    sys.setswitchinterval(SWITCH)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sipacr.db"
        if given.known:
            fill(path, given.known)
        live(path, given.rate, given.seconds, given.customers)
        cost(path, given.customers)


def learners() -> tuple[Learner, ...]:
    return tuple(Learner(profile(name), {}) for name in PRESET_NAMES)


def profile(name: str) -> StickyProfile:
    preset = PRESETS[name]
    return StickyProfile(
        name, name, frozenset(preset.create), frozenset(preset.refresh), frozenset(preset.end), preset.ttl or 86_400.0,
        preset.min_talk,
    )  # fmt: skip


def fill(path: Path, bindings: int) -> None:
    start = time.monotonic()
    sql = (
        "INSERT OR IGNORE INTO bindings (customer, profile, agent, made, in_answered, since) VALUES (?, ?, ?, ?, ?, ?)"
    )
    with Database(path) as database:
        database.connection.execute("PRAGMA synchronous = OFF")
        database.connection.execute("PRAGMA cache_size = -500000")
        with database.transaction() as connection:
            rows = ((data.customer(i), "acr-24h", data.agent(i % data.AGENTS), 1e9, 1e9, 1e9) for i in range(bindings))
            connection.executemany(sql, rows)
    print(f"{bindings:,} bindings in {time.monotonic() - start:.0f} s; {path.stat().st_size / 1e6:.0f} MB", flush=True)


def events(count: int, customers: int, seed: int) -> Iterator[Report]:
    """Reports of calls in order of time: each at its beginning, at its answer and at its end."""
    chance = random.Random(seed)
    now, made = time.time(), 0
    while made < count:
        whole = report(seed * 100_000_000 + made, chance)
        customer = data.customer(chance.randrange(customers))
        move = now + made / 1000 - whole.started
        whole = replace(
            whole, customer=customer, started=whole.started + move, answered=whole.answered and whole.answered + move,
            ended=(whole.ended or 0) + move, alive=whole.alive + move,
            talks=tuple(t._replace(since=t.since + move, until=(t.until or 0) + move) for t in whole.talks),
        )  # fmt: skip
        open_ = replace(whole, ended=None, outcome="", code=0, answered=None, talks=(), legs=(), alive=whole.started)
        parts = [open_]
        if whole.answered is not None:
            talking = tuple(talk._replace(until=None) for talk in whole.talks)
            parts.append(replace(whole, ended=None, talks=talking, alive=whole.answered))
        parts.append(whole)
        made += len(parts)
        yield from parts


def live(path: Path, rate: int, seconds: int, customers: int) -> None:
    teach = learners()
    found = [Learn(each, teach) for each in events(rate * seconds, customers, 1)][: rate * seconds]
    Database(path).close()
    gc.collect()
    gc.freeze()  # as the router does
    show("nothing learned", steps(rate, seconds, lambda index: None))
    writer = Writer(path)
    cpu = time.process_time()
    show(f"{rate} events a second", steps(rate, seconds, lambda index: writer.submit(found[index])))
    waiting = rate * seconds - writer.written
    cpu = time.process_time() - cpu
    writer.close(timeout=60)
    print(f"written {writer.written:,}, of these {waiting:,} after the last was handed over; lost {writer.lost}")
    print(f"CPU of both threads: {cpu / seconds:.2f} of a core")


def steps(rate: int, seconds: int, hand_over: Callable[[int], object]) -> list[float]:
    """How long each step took, in milliseconds: to wake up, some 20 us of Python, and the handing over of an event."""
    clock, taken, done = time.perf_counter, [], 0
    begun = clock()
    while (now := clock()) - begun < seconds:
        time.sleep(NAP)  # the loop waits for packets
        sum(range(500))
        while done < min(rate * (now - begun), rate * seconds):
            hand_over(done)
            done += 1
        taken.append(1000 * (clock() - now - NAP))
    return taken


def cost(path: Path, customers: int) -> None:
    """CPU of one event alone, in batches as large as the writer's at this rate."""
    teach = learners()
    found = list(events(10_000, customers, 2))
    with Database(path) as database:
        database.connection.execute("PRAGMA synchronous = NORMAL")
        start = time.process_time()
        for begin in range(0, len(found), 100):
            with database.transaction() as connection:
                for each in found[begin : begin + 100]:
                    learn_report(connection, each, teach)
        print(f"one event: {(time.process_time() - start) / len(found) * 1e6:.0f} us of CPU")


if __name__ == "__main__":
    main()
