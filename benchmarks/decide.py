"""What a decision costs, alone and up to the answer: 50 rules, growing numbers of masks and bindings.

    python benchmarks/decide.py [--calls 50000] [--rounds 3] [--profile]

Each figure is the time of one call in microseconds, measured call by call: `decide`, and `Router.route`, which is
facts, `decide` and the lines of the 302. Callers are a third VIPs, a third bound, a third strangers, each at random.
"core" has dictionaries for a store and is what the rules themselves cost; "store" reads SQLite on disk, as the router
does. Of several rounds the quietest is shown.
"""

import argparse
import cProfile
import gc
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import data

from sipacr.router import Router
from sipacr.routing import conditions as c
from sipacr.routing.decide import Engine
from sipacr.routing.directory import Destination, Directory, Peer
from sipacr.routing.facts import Binding, Facts, ListEntry, Number, Request, Store
from sipacr.routing.masks import Mask
from sipacr.routing.numbers import NumberPlan
from sipacr.routing.regions import Regions
from sipacr.routing.ruleset import Agent, NamedList, Position, RejectWith, Rule, Ruleset, Step, StickyProfile
from sipacr.routing.schedules import Schedule
from sipacr.sip.answer import Verdict
from sipacr.store.database import Database
from sipacr.store.reader import Reader

NOW = 1_795_447_800.0  # a Monday, 16:30 in Warsaw
HERE = Position("rules.yaml", 1, 1)
PLAN = NumberPlan.of("PL")
REGIONS = Regions.load()


def masks(count: int) -> list[Mask]:
    """Prefixes, suffixes and masks with wildcards; none takes one of the benchmark's callers."""
    forms = ("+49{:06}*", "*9{:06}#", "+44{:04}???1", "+4822{:05}")
    return [Mask(forms[index % 4].format(index)) for index in range(count)]


def rules(mask_count: int) -> tuple[Rule, ...]:
    """50 rules; 10 have the masks, the rest is mostly residual. The last two are those that calls reach."""
    office, evening = c.During(("office",)), c.During(("evening",))
    found: list[c.Condition] = [
        c.All((c.OnList(("black",)), c.Not((c.IsVip(),)))),
        c.All((c.NumberIs("dialled", frozenset({"+48221119900"})), c.IsKnown(False))),
        c.All((c.HeaderIs("x-campaign", (Mask("summer*"),)), office)),
        c.IsAnonymous(),
        c.All((c.Regex("caller", (r"\+4477\d+", r"\+4478\d+")), evening)),
        c.AnyOf((c.Contains("caller", ("999999",)), c.HeaderIs("x-vip", (Mask("*"),)))),
        c.All((c.Share(10, "pilot"), evening)),
    ]
    found += [c.All((c.RegionIs("caller", (code,)), office)) for code in ("DE", "UA", "RU-MOW", "HU", "PL-14", "PL-12")]
    found += [c.All((c.PeerIs((f"trunk-{n}",)), office)) for n in range(10)]
    shop = c.NumberIs("dialled", frozenset({data.DIALLED}))
    found += [c.All((shop, evening, c.PeerIs((f"x{n}",)))) for n in range(10)]
    found += [c.NumberIs("caller", frozenset({f"+4861234{n:04}"})) for n in range(5)]
    all_masks = masks(mask_count)
    found += [c.MaskIs("caller", tuple(all_masks[n::10])) for n in range(10)]
    compiled = [
        Rule(f"rule {n}", HERE, when, "reject", reject=RejectWith(403)) if n < 2 else route(f"rule {n}", when, n)
        for n, when in enumerate(found)
    ]
    queue = Step("to", "queue", HERE)
    compiled.append(Rule("VIP", HERE, c.IsVip(), "route", (Step("vip", "", HERE), queue)))
    compiled.append(Rule("own person", HERE, office, "route", (Step("sticky", "returning", HERE), queue)))
    assert len(compiled) == data.RULES, len(compiled)
    return tuple(compiled)


def route(name: str, when: c.Condition, index: int) -> Rule:
    return Rule(name, HERE, when, "route", (Step("agent", f"agent{100 + index % 100}", HERE),))


def engine(mask_count: int) -> Engine:
    peers = {
        "trunk": Peer("trunk", "trunk", "redirect", ("127.0.0.1:5060",), PLAN),
        "pbx": Peer("pbx", "pbx", "redirect", ("127.0.0.2:5060",), PLAN),
    }
    directory = Directory(
        peers, PLAN, "Europe/Warsaw", {data.DIALLED: "Shop", "+48221119900": "Line"},
        destinations={"queue": Destination("600", "pbx")}, outgoing_via=("trunk",),
    )  # fmt: skip
    returning = StickyProfile(
        "returning", "acr", frozenset({"in_answered", "out_attempt"}),
        frozenset({"in_answered", "out_attempt", "conversation"}), frozenset(), None,
    )  # fmt: skip
    ruleset = Ruleset(
        agents={f"agent{n}": Agent(f"agent{n}", str(n), "pbx") for n in range(100, 100 + data.AGENTS)},
        groups={},
        lists={"black": NamedList("black"), "white": NamedList("white", known=True)},
        schedules={"office": weekly("office", 8, 20), "evening": weekly("evening", 20, 23)},
        sticky={"returning": returning},
        rules=rules(mask_count),
        outgoing=(),
        fallback=("queue",),
    )
    return Engine(ruleset, directory, REGIONS)


def weekly(name: str, start: int, end: int) -> Schedule:
    """Open every day between two hours."""
    return Schedule(name, "Europe/Warsaw", (((start * 60, end * 60),),) * 7, {}, frozenset(), ())


def requests(count: int, bindings: int) -> list[Request]:
    pick = random.Random(1)
    kinds: list[Callable[[], str]] = [
        lambda: data.vip(pick.randrange(data.VIPS)),
        lambda: data.customer(pick.randrange(max(bindings, 1))),
        lambda: f"+4878{pick.randrange(1_000_000, 10_000_000)}",
    ]
    dialled = PLAN.read(data.DIALLED)
    return [
        Request(PLAN.read(pick.choice(kinds)()), dialled, "trunk", call_id=f"{n}@x", from_tag=str(n), cseq=1)
        for n in range(count)
    ]


def store(folder: Path, bindings: int) -> Reader:
    """100,000 VIPs and so many bindings, on disk."""
    path = folder / f"{bindings}.db"
    if not path.exists():
        with Database(path) as database, database.transaction() as connection:
            connection.executemany(
                "INSERT INTO vips (customer, agent, changed, by) VALUES (?, ?, ?, 'benchmark')",
                ((data.vip(index), data.agent(index), NOW) for index in range(data.VIPS)),
            )
            connection.executemany(
                "INSERT INTO bindings (customer, profile, agent, made, in_answered) VALUES (?, 'returning', ?, ?, ?)",
                ((data.customer(index), data.agent(index), NOW - 60, NOW - 60) for index in range(bindings)),
            )
    return Reader(path)


class InMemory:
    """The same data in dictionaries."""

    def __init__(self, bindings: int) -> None:
        self._vips = {data.vip(index): data.agent(index) for index in range(data.VIPS)}
        self._bound = {data.customer(index): data.agent(index) for index in range(bindings)}

    def vip(self, customer: str) -> str | None:
        return self._vips.get(customer)

    def list_entry(self, name: str, number: Number, now: float) -> ListEntry | None:
        return None

    def bound(self, profile: str, scope: str, customer: str) -> list[tuple[str, float]]:
        agent = self._bound.get(customer)
        return [] if agent is None else [(agent, NOW - 60)]

    def bindings(self, profile: str, scope: str, customer: str) -> list[Binding]:
        agent = self._bound.get(customer)
        if agent is None:
            return []
        return [Binding(profile, scope, customer, agent, NOW - 60, in_answered=NOW - 60)]

    def is_shared(self, customer: str) -> bool:
        return False

    def has_answered_call(self, customer: str) -> bool:
        return False


def measure(which: Engine, reader: Store, calls: list[Request]) -> list[float]:
    """Microseconds of `decide`, sorted, one for each call."""
    clock = time.perf_counter_ns
    alone = []
    reached: set[str] = set()
    gc.collect()
    gc.freeze()
    for request in calls:
        facts = Facts(request, reader)
        begin = clock()
        decision = which.decide(facts, NOW)
        end = clock()
        alone.append((end - begin) / 1000)
        reached.update(decision.names)
    gc.unfreeze()
    assert reached == {"VIP", "own person"}, reached
    return sorted(alone)


def measure_answers(which: Engine, path: Path, calls: list[Request]) -> list[float]:
    """Microseconds of a request's whole way through the router, sorted, one for each call."""
    all_that_it_reads = SimpleNamespace(settings=SimpleNamespace(store=path), engine=which)
    router = Router(all_that_it_reads, lambda: NOW, verbose=False)  # type: ignore[arg-type]
    clock = time.perf_counter_ns
    together = []
    gc.collect()
    gc.freeze()
    for request in calls:
        begin = clock()
        verdict = router.route(request, which.directory.peers[request.peer])
        end = clock()
        together.append((end - begin) / 1000)
        assert isinstance(verdict, Verdict)
        assert b"Contact" in verdict.headers
    gc.unfreeze()
    router.close()
    return sorted(together)


def line(name: str, figures: list[float]) -> str:
    p50, p99 = figures[len(figures) // 2], figures[len(figures) * 99 // 100]
    return f"{name:>14} p50 {p50:6.1f}  p99 {p99:6.1f}  mean {statistics.fmean(figures):6.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=3, help="the one with the lowest p50 is shown")
    parser.add_argument("--profile", action="store_true", help="show where the time of the largest case goes")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        cases = [(count, data.BINDINGS) for count in (10, 100, 1_000, 10_000)]
        cases += [(10_000, count) for count in (100_000, 10_000, 1_000, 0)]
        for mask_count, bindings in cases:
            which, calls = engine(mask_count), requests(arguments.calls, bindings)
            sizes = f"{mask_count:>7,} masks {bindings:>9,} bindings"
            reader = store(folder, bindings)
            ways: list[tuple[str, Callable[[list[Request]], list[float]]]] = [
                ("decide, core", partial(measure, which, InMemory(bindings))),
                ("decide, store", partial(measure, which, reader)),
                ("answer, store", partial(measure_answers, which, reader.path)),
            ]
            for name, way in ways:
                way(calls[: len(calls) // 10])
                rounds = [way(calls) for _ in range(arguments.rounds)]
                print(sizes, line(name, min(rounds, key=lambda figures: figures[len(calls) // 2])), flush=True)
        if arguments.profile:
            which, reader = engine(10_000), store(folder, data.BINDINGS)
            calls = requests(arguments.calls, data.BINDINGS)
            with cProfile.Profile() as profile:
                measure(which, reader, calls)
            profile.create_stats()
            profile.print_stats("tottime")


if __name__ == "__main__":
    main()
