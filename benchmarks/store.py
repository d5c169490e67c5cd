"""What a look-up in the store costs, and what it does to RSS: 100,000 VIPs, 1,000,000 bindings, two lists.

    python benchmarks/store.py [--rounds 9] [--calls 400000]

Each figure is CPU time of one look-up in microseconds, the quietest of several rounds of 20,000 callers at random;
"same" asks for one caller again and again, so that no page is missing in the cache. Then calls of three look-ups each,
while the writer's thread adds to a list, and RSS before and after.
"""

import argparse
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import data

from sipacr.routing.facts import Number
from sipacr.store import AddToList, Database, Reader, Writer

Asked = TypeVar("Asked", str, Number)
CALLERS = 20_000  # in one round


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=9)
    arguments.add_argument("--calls", type=int, default=400_000)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sipacr.db"
        data.write_store(path)
        add_lists(path)
        reader = Reader(path)
        look_ups(reader, given.rounds)
        long_run(reader, Writer(path), given.calls)
        reader.close()


def add_lists(path: Path) -> None:
    """A black list of 10,000 numbers and 100 prefixes; another is empty."""
    with Database(path) as database, database.transaction() as connection:
        connection.executemany(
            "INSERT INTO list_entries (list, prefix, number, changed, by) VALUES ('black', ?, ?, 0, 'benchmark')",
            [(0, f"+48555{index:06}") for index in range(10_000)] + [(1, f"+48{index}") for index in range(7000, 7100)],
        )


def look_ups(reader: Reader, rounds: int) -> None:
    chance = random.Random(1)
    vips = [data.vip(chance.randrange(data.VIPS)) for _ in range(CALLERS)]
    bound = [data.customer(chance.randrange(data.BINDINGS)) for _ in range(CALLERS)]
    strangers = [f"+3369{chance.randrange(10**7):07}" for _ in range(CALLERS)]
    black = [number(f"+48555{chance.randrange(10_000):06}") for _ in range(CALLERS)]
    prefixed = [number(f"+4870{chance.randrange(10**7):07}") for _ in range(CALLERS)]
    unlisted = [number(stranger) for stranger in strangers]

    def bound_to(customer: str) -> object:
        return reader.bound("returning", "", customer)

    def on_black(caller: Number) -> object:
        return reader.list_entry("black", caller, 0.0)

    def on_empty(caller: Number) -> object:
        return reader.list_entry("white", caller, 0.0)

    cost("VIP", reader.vip, vips, rounds)
    cost("VIP, same", reader.vip, vips[:1] * CALLERS, rounds)
    cost("no VIP", reader.vip, strangers, rounds)
    cost("binding", bound_to, bound, rounds)
    cost("binding, same", bound_to, bound[:1] * CALLERS, rounds)
    cost("no binding", bound_to, strangers, rounds)
    cost("list, by number", on_black, black, rounds)
    cost("list, by prefix", on_black, prefixed, rounds)
    cost("not on the list", on_black, unlisted, rounds)
    cost("not on an empty list", on_empty, unlisted, rounds)


def number(e164: str) -> Number:
    return Number(e164, e164, e164)


def cost(what: str, ask: Callable[[Asked], object], keys: Sequence[Asked], rounds: int) -> None:
    best = float("inf")
    for _ in range(rounds):
        start = time.thread_time()
        for key in keys:
            ask(key)
        best = min(best, time.thread_time() - start)
    print(f"{what:24}{best / len(keys) * 1e6:8.2f} us")


def long_run(reader: Reader, writer: Writer, calls: int) -> None:
    chance = random.Random(2)
    early = 0
    for call in range(calls):
        customer = data.customer(chance.randrange(data.BINDINGS))
        reader.vip(customer)
        reader.bound("returning", "", customer)
        reader.list_entry("black", number(customer), 0.0)
        if call % 20 == 0:
            writer.submit(AddToList("white", customer, 0.0))
        if call == 10_000:
            early = rss()
    late = rss()
    writer.close(timeout=60)
    print(f"RSS after 10,000 calls {early} kB, after {calls:,} {late} kB: {late - early:+} kB")
    print(f"written meanwhile: {writer.written}, lost: {writer.lost}")


def rss() -> int:
    """Kilobytes."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1])


if __name__ == "__main__":
    main()
