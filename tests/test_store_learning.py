"""What reports leave in the store, in whatever order they come: the same as all of them folded at once."""

import random
import time
from pathlib import Path

import pytest
from records import HOUR, NOON, ONE, TWO, call_in, call_out, talked

from sipacr.memory.fold import as_of, fold
from sipacr.memory.learner import Learner
from sipacr.memory.report import Report
from sipacr.routing.ruleset import StickyProfile
from sipacr.rulefile.sticky import PRESETS
from sipacr.store import Database
from sipacr.store.learning import Learn, LearnLost, bindings_of, learn_report
from sipacr.store.records import of_customer


def learner(name: str, **more: object) -> Learner:
    preset = PRESETS[name]
    fields = {
        "create": frozenset(preset.create), "refresh": frozenset(preset.refresh), "end": frozenset(preset.end),
        "ttl": 24 * HOUR, "min_talk": preset.min_talk,
    }  # fmt: skip
    return Learner(StickyProfile(name=name, preset=name, **{**fields, **more}), {})  # type: ignore[arg-type]


ALL = tuple(learner(name) for name in ("acr", "acr-in", "acr-out", "vipex-1", "vipex-2", "vipex-4", "missed-once"))


def some_call(chance: random.Random, number: int) -> list[Report]:
    """The reports of a call, some of them while it goes on."""
    at = NOON + 600.0 * chance.randrange(12)
    agent = chance.choice(["anna", "ivan"])
    more = talked(agent, at, chance.choice([5.0, 60.0, 1500.0])) if chance.random() < 0.6 else {}
    make = chance.choice([call_in, call_out])
    whole = make(f"c{number}", ONE, at, **more) if make is call_in else call_out(f"c{number}", ONE, at, agent, **more)
    moments = sorted(chance.sample([0.0, 5.0, 15.0, 40.0], chance.randrange(4)))
    return [*(part for moment in moments if (part := as_of(whole, at + moment)) is not None), whole]


@pytest.mark.parametrize("seed", range(150))
def test_any_order(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    reports = [report for number in range(5) for report in some_call(chance, number)]
    chance.shuffle(reports)
    with Database(tmp_path / "sipacr.db") as database:
        for report in reports:
            learn_report(database.connection, report, ALL)
            if chance.random() < 0.2:
                learn_report(database.connection, report, ALL)
        stored = bindings_of(database.connection, ONE)
    for each in ALL:
        rows = {(row.scope, row.agent): row for row in stored.get(each.profile.name, ())}
        assert rows == fold(each, reports), each.profile.name


def test_the_lines_tell_of_what_was_made_and_ended(tmp_path: Path) -> None:
    with Database(tmp_path / "sipacr.db") as database:
        made = Learn(call_out(), ALL).write(database.connection)
        assert f"o1@10.0.0.5: binding made: vipex-1: {ONE} to anna" in made
        ended = Learn(call_in(at=NOON + HOUR, **talked("anna", NOON + HOUR)), ALL).write(database.connection)
        assert f"c1@198.51.100.1: binding ended: vipex-1: {ONE} to anna" in ended


def test_a_withheld_number_is_one_warning(tmp_path: Path) -> None:
    scoped = learner("acr-out", scope="number")
    begun = as_of(call_out(number=None, shown=""), NOON)
    assert begun is not None
    with Database(tmp_path / "sipacr.db") as database:
        said = learn_report(database.connection, begun, [scoped])
        assert said == ["o1@10.0.0.5: teaches acr-out nothing: it shows the customer no number, which is none of ours"]
        assert learn_report(database.connection, call_out(number=None, shown=""), [scoped]) == []
        assert bindings_of(database.connection, ONE) == {}


def test_a_start_after_a_crash(tmp_path: Path) -> None:
    whole = call_in(**talked("anna", NOON, 600.0))
    with Database(tmp_path / "sipacr.db") as database:
        connection = database.connection
        for report in (whole, call_out("o2", TWO)):
            going_on = as_of(report, NOON + 10.0)
            assert going_on is not None
            learn_report(connection, going_on, ALL)
        assert "lost in a crash" in LearnLost(ALL).write(connection)[0]
        assert LearnLost(ALL).write(connection) == []
        (row,) = bindings_of(connection, ONE)["acr-in"]
        assert (row.in_progress, row.in_answered) == (False, NOON + 10.0)
        assert "vipex-1" not in bindings_of(connection, TWO)  # no failure is inferred
        assert [report.outcome for report in of_customer(connection, TWO)] == ["lost"]


def test_a_number_that_calls_all_day_is_no_days_work(tmp_path: Path) -> None:
    """Several calls at once, over and over: only the newest are gone through, and what they do not tell stands."""
    with Database(tmp_path / "sipacr.db") as database, database.transaction() as connection:
        for number in range(3000):
            at = NOON + number
            learn_report(connection, call_in(f"c{number}", at=at, **talked("anna", at)), ())
        learn_report(connection, call_in("olga", at=NOON - HOUR, **talked("olga", NOON - HOUR)), ALL[:1])
        started = time.process_time()
        at = NOON + 3000
        learn_report(connection, call_in("last", at=at, **talked("ivan", at)), ALL[:1])
        assert time.process_time() - started < 0.5
        assert [row.agent for row in bindings_of(connection, ONE)["acr"]] == ["ivan", "olga"]
