"""What call records cost: writing 2,000 a second beside a thread that routes, and reading a million.

    python benchmarks/records.py write [--rate 2000] [--seconds 20] [--known 0]
    python benchmarks/records.py read [--calls 1000000] [--store FILE]

`write` hands reports to the writer's thread at that rate; the thread that does so works in short steps of Python, as
routing does, and notes how long each took: the histogram is of those times, beside one without a writer. `read` makes a
store of that many calls of 250,000 customers in 90 days, or takes FILE if it is there, and times what reads them. A
tenth of the calls are outgoing.
"""

import argparse
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import data
from click.testing import CliRunner

from sipacr.cli import main as sipacr
from sipacr.memory.report import Leg, Report, Talk
from sipacr.routing.facts import Number
from sipacr.store import Database, Writer, records
from sipacr.store.learning import Learn

START = 1_780_000_000.0  # unix seconds
PERIOD = 90 * 86_400.0
BOUNDS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)  # milliseconds


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("what", choices=["write", "read"])
    arguments.add_argument("--rate", type=int, default=2000)
    arguments.add_argument("--seconds", type=int, default=20)
    arguments.add_argument("--known", type=int, default=0, help="records that are there already")
    arguments.add_argument("--calls", type=int, default=1_000_000)
    arguments.add_argument("--store", type=Path)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if given.what == "write":
            write(Path(folder) / "sipacr.db", given.rate, given.seconds, given.known)
        else:
            read(Path(folder), given.calls, given.store)


def report(index: int, chance: random.Random) -> Report:
    """One call of a campaign or of a customer, at any time of the period."""
    at = START + PERIOD * chance.random()
    customer = data.customer(chance.randrange(250_000))
    agent = data.agent(chance.randrange(data.AGENTS))
    outgoing, answered = chance.random() < 0.1, chance.random() < 0.6
    e164, own = Number(customer, customer, customer), Number(data.DIALLED, data.DIALLED, data.DIALLED)
    end = at + (15 + 200 * chance.random() if answered else 20)
    step = "outgoing_via" if outgoing else "sticky returning"
    legs = (
        Leg(step, None if outgoing else agent, "trunk" if outgoing else agent, f"{agent}@pbx", "pbx", at, end,
            "answered" if answered else "no_answer", 200 if answered else 480),
    )  # fmt: skip
    return Report(
        uid=f"{index:x}@198.51.100.1;{index % 9973};1", source="relay", direction="out" if outgoing else "in",
        customer=customer, number=data.DIALLED, shown=data.DIALLED if outgoing else "",
        peer="pbx" if outgoing else "trunk", agent=agent if outgoing else None, started=at,
        answered=at + 15 if answered else None, ended=end, alive=end, outcome="answered" if answered else "no_answer",
        code=200 if answered else 480, talks=(Talk(agent, agent, at + 15, end),) if answered else (), legs=legs,
        rules=("own person",), position="rules.yaml:60:5", version="0123456789", caller=own if outgoing else e164,
        dialled=e164 if outgoing else own, call_id=f"{index:x}@198.51.100.1",
    )  # fmt: skip


def fill(path: Path, calls: int) -> None:
    chance = random.Random(1)
    start = time.monotonic()
    with Database(path) as database:
        database.connection.execute("PRAGMA synchronous = OFF")
        database.connection.execute("PRAGMA cache_size = -500000")
        for first in range(0, calls, 50_000):
            with database.transaction() as connection:
                for index in range(first, min(calls, first + 50_000)):
                    records.write(connection, report(index, chance))
        database.connection.execute("ANALYZE")
    print(
        f"{calls:,} calls written in {time.monotonic() - start:.0f} s; {path.stat().st_size / 1e6:.0f} MB", flush=True
    )


def write(path: Path, rate: int, seconds: int, known: int) -> None:
    if known:
        fill(path, known)
    chance = random.Random(2)
    reports = [report(known + index, chance) for index in range(rate * seconds)]
    show("no records", steps(rate, seconds, lambda index: None))
    writer = Writer(path)
    show(f"{rate} records a second", steps(rate, seconds, lambda index: writer.submit(Learn(reports[index], ()))))
    waiting = rate * seconds - writer.written
    writer.close(timeout=60)
    print(f"written {writer.written:,}, of these {waiting:,} after the last was handed over; lost {writer.lost}")
    cost(path, known + len(reports))


def cost(path: Path, first: int) -> None:
    """CPU of writing alone, in batches as large as the writer's at this rate."""
    chance = random.Random(3)
    reports = [report(first + index, chance) for index in range(10_000)]
    with Database(path) as database:
        database.connection.execute("PRAGMA synchronous = NORMAL")
        start = time.process_time()
        for begin in range(0, len(reports), 100):
            with database.transaction() as connection:
                for each in reports[begin : begin + 100]:
                    records.write(connection, each)
        print(f"CPU of one record: {(time.process_time() - start) / len(reports) * 1e6:.0f} us")


def steps(rate: int, seconds: int, hand_over: Callable[[int], object]) -> list[float]:
    """How long each step took, in milliseconds: some 20 us of Python, or the handing over of a report."""
    clock, taken, done = time.perf_counter, [], 0
    begun = clock()
    while (now := clock()) - begun < seconds:
        if done < min(rate * (now - begun), rate * seconds):
            hand_over(done)
            done += 1
        else:
            sum(range(500))
        taken.append(1000 * (clock() - now))
        if len(taken) % 20 == 0:
            time.sleep(0.0005)  # the loop waits for packets
    return taken


def show(what: str, taken: list[float]) -> None:
    taken.sort()
    at = [taken[int(len(taken) * share)] for share in (0.5, 0.99, 0.999)]
    print(
        f"{what}: {len(taken):,} steps; ms at p50 {at[0]:.3f}, p99 {at[1]:.3f}, p99.9 {at[2]:.3f}, most {taken[-1]:.2f}"
    )
    low = 0.0
    for high in (*BOUNDS, float("inf")):
        print(f"  {low:6.2f} - {high:6.2f} ms  {sum(low <= each < high for each in taken):>9,}")
        low = high


def read(folder: Path, calls: int, store: Path | None) -> None:
    path = store or folder / "calls.db"
    if not path.exists():
        fill(path, calls)
    settings = folder / "sipacr.yaml"
    text = data.SETTINGS.format(port=5060, dialled=data.DIALLED, mode="relay", pbx="127.0.0.1:5080", trunk=5070)
    settings.write_text(text.replace("path: sipacr.db", f"path: {path.resolve()}"))
    changed = data.rules_text().replace("[{sticky: returning}, {to: queue}]", "[{agent: agent100}, {to: queue}]")
    for name, rules in (("rules", data.rules_text()), ("other", changed)):
        (folder / name).mkdir()
        (folder / name / "rules.yaml").write_text(rules)
    since, until = "2026-01-01", "2026-12-31"
    ends = ("--since", since, "--until", until)
    timed(settings, "report", "callbacks", *ends)
    timed(settings, "report", "callbacks", *ends, "--csv")
    timed(settings, "replay", "--rules", str(folder / "other"), *ends)
    timed(settings, "why", data.customer(77))
    timed(settings, "records", "export", *ends, "--output", str(folder / "calls.csv"))
    timed(settings, "export", data.customer(77))


def timed(settings: Path, *words: str) -> None:
    start = time.monotonic()
    result = CliRunner().invoke(sipacr, ["-c", str(settings), *words])
    lines = result.output.splitlines()
    shown = " ".join(word for word in words[:2] if not word.startswith(("-", "+")))
    seconds = time.monotonic() - start
    print(f"{shown:18} {seconds:6.1f} s  status {result.exit_code}, {len(lines):,} lines: {lines[0][:80]}", flush=True)


if __name__ == "__main__":
    main()
