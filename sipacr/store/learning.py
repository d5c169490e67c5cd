"""What the router learns of a call: its record and the rows of every profile, written together or not at all."""

import math
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal, NamedTuple

from sipacr.memory.customers import Customers
from sipacr.memory.fold import Changes, fold, forget, learn, needs_others
from sipacr.memory.learner import Learner
from sipacr.memory.report import Report
from sipacr.routing.facts import Binding
from sipacr.store.records import (
    exchange,
    going_on,
    newest_of_customer,
    of_customer,
    of_identity,
    others_last,
)

_COLUMNS = ", ".join(Binding._fields)
_ROWS = f"SELECT {_COLUMNS} FROM bindings WHERE customer = ? ORDER BY profile"
_PUT = f"INSERT OR REPLACE INTO bindings ({_COLUMNS}) VALUES ({', '.join('?' * len(Binding._fields))})"
_DROP = "DELETE FROM bindings WHERE customer = ? AND profile = ? AND scope = ? AND agent = ?"
_ELSEWHERE = "SELECT source FROM records WHERE uid = ? AND source <> 'relay'"
_MANY = 500  # calls of one customer that are gone through when he has several at once, or one is told late
_KNOWN = "SELECT id FROM records WHERE uid = ? AND source = ?"
_SHARED = "SELECT 1 FROM shared_numbers WHERE number = ?"


class Rebuilt(NamedTuple):
    """What became of a customer's rows."""

    written: int
    dropped: int
    by_hand: int  # left as they are


@dataclass(frozen=True, slots=True)
class Learn:
    """One report for the writer's thread, to be kept and learned from."""

    report: Report
    learners: Sequence[Learner]

    def write(self, connection: sqlite3.Connection) -> Sequence[str]:
        """In the caller's transaction; returns what is to be logged when that is committed."""
        return learn_report(connection, self.report, self.learners)


@dataclass(frozen=True, slots=True)
class LearnElsewhere:
    """A report of a call that did not pass through us: here it is asked who its customer is."""

    report: Report
    learners: Sequence[Learner]
    customers: Customers

    def write(self, connection: sqlite3.Connection) -> Sequence[str]:
        """As `Learn`."""
        return learn_report(connection, known_customer(connection, self.report, self.customers), self.learners)


@dataclass(frozen=True, slots=True)
class LearnLost:
    """For a start: relayed calls that go on by their records were lost in a crash."""

    learners: Sequence[Learner]

    def write(self, connection: sqlite3.Connection) -> Sequence[str]:
        """As `Learn`. Before the first new call."""
        lines: list[str] = []
        for report in going_on(connection):
            lines.append(
                f"{report.call_id or report.uid}: lost in a crash, known to have lived until {report.last:.0f}"
            )
            lines += learn_report(connection, report.lost(), self.learners)
        return lines


def known_customer(connection: sqlite3.Connection, report: Report, customers: Customers) -> Report:
    """The report with the reason why its customer is never bound, if there is one. What both a file and a webhook tell
    of is one call."""
    number = report.dialled if report.direction == "out" else report.caller
    shared = connection.execute(_SHARED, (report.customer,)).fetchone() is not None
    known = connection.execute(_ELSEWHERE, (report.uid,)).fetchone()
    source = known[0] if known is not None else report.source
    return replace(report, nobody=customers.why_nobody(number, not report.customer, shared), source=source)


def learn_report(connection: sqlite3.Connection, report: Report, learners: Sequence[Learner]) -> list[str]:
    """Keep a report and learn from it in the caller's transaction; what came of that, in lines for the log."""
    taken, earlier = exchange(connection, report)
    if not taken:
        return []
    lines: list[str] = []
    if earlier is None:
        lines += _warnings(report, learners)
    elif earlier.customer != report.customer:
        lines += _forget(connection, earlier, learners)
        earlier = None
    learners = _concerned(learners, report, earlier)
    if not report.customer or not learners:
        return lines
    others: list[Report] | None = None
    if needs_others(report, earlier, others_last(connection, report, _MANY)):
        others = _others(connection, report)
    stored = bindings_of(connection, report.customer)
    for learner in learners:
        changes = learn(learner, stored.get(learner.profile.name, ()), report, earlier, others)
        lines += write_changes(connection, changes, stored.get(learner.profile.name, ()), report)
    return lines


def learn_elsewhere(
    connection: sqlite3.Connection, report: Report, learners: Sequence[Learner], customers: Customers
) -> Literal["new", "changed", "unchanged"]:
    """As `LearnElsewhere`, and what the report was to us."""
    report = known_customer(connection, report, customers)
    before = connection.execute(_KNOWN, (report.uid, report.source)).fetchone()
    if before is not None and of_identity(connection, before[0]) == report:
        return "unchanged"
    learn_report(connection, report, learners)
    return "new" if before is None else "changed"


def rebuild(connection: sqlite3.Connection, learner: Learner, customer: str) -> Rebuilt:
    """The rows of one customer in one profile from his records, in the caller's transaction. Rows that were set by hand
    stay, and those that are older than his first record: their calls are purged."""
    reports = list(of_customer(connection, customer))
    told = fold(learner, reports)
    first = min((report.started for report in reports), default=math.inf)
    stored = bindings_of(connection, customer).get(learner.profile.name, [])
    kept = {(row.scope, row.agent) for row in stored if row.since is None}
    before = {(row.scope, row.agent): row for row in stored}
    put = [row for key, row in told.items() if key not in kept and before.get(key) != row]
    drop = [row for key, row in before.items() if key not in told and key not in kept and row.made >= first]
    write_changes(connection, Changes(tuple(put), tuple(drop)), stored, None)
    return Rebuilt(len(put), len(drop), len(kept))


def bindings_of(connection: sqlite3.Connection, customer: str) -> dict[str, list[Binding]]:
    """All rows of one customer, by profile."""
    rows = [binding_of(row) for row in connection.execute(_ROWS, (customer,))]
    return {profile: list(found) for profile, found in groupby(rows, key=lambda row: row.profile)}


def binding_of(row: Sequence[object]) -> Binding:
    """A row of the table, its columns in the order of `Binding`."""
    found = Binding._make(row)
    return found._replace(in_progress=bool(found.in_progress), calling=bool(found.calling))


def _concerned(learners: Sequence[Learner], report: Report, earlier: Report | None) -> Sequence[Learner]:
    """The profiles to which a report may be something: a call of the customer that nobody has answered moves clocks at
    most."""
    for each in (report, earlier):
        if each is not None and (each.direction == "out" or each.talks):
            return learners
    return [learner for learner in learners if "in_call" in learner.profile.refresh]


def write_changes(
    connection: sqlite3.Connection, changes: Changes, before: Iterable[Binding], report: Report | None
) -> list[str]:
    """Write what a profile has learned; lines for the log of bindings that are made or ended."""
    if not changes:
        return []
    drop_bindings(connection, changes.drop)
    connection.executemany(_PUT, changes.put)
    if report is None:
        return []
    known = {(row.scope, row.agent): row.made for row in before}
    where = report.call_id or report.uid
    lines = [_line(where, row, "made") for row in changes.put if known.get((row.scope, row.agent)) != row.made]
    return lines + [_line(where, row, "ended") for row in changes.drop]


def drop_bindings(connection: sqlite3.Connection, rows: Iterable[Binding]) -> None:
    """Delete these rows."""
    connection.executemany(_DROP, [(row.customer, row.profile, row.scope, row.agent) for row in rows])


def _line(where: str, row: Binding, what: str) -> str:
    on = f" on {row.scope}" if row.scope else ""
    return f"{where}: binding {what}: {row.profile}: {row.customer}{on} to {row.agent}"


def _warnings(report: Report, learners: Iterable[Learner]) -> list[str]:
    lacking = [learner.profile.name for learner in learners if learner.lacks_scope(report)]
    if not lacking:
        return []
    said = f"shows the customer {report.shown or 'no number'}, which is none of ours"
    return [f"{report.call_id or report.uid}: teaches {', '.join(lacking)} nothing: it {said}"]


def _forget(connection: sqlite3.Connection, gone: Report, learners: Iterable[Learner]) -> list[str]:
    """A call turns out to be another customer's: this one's rows without it."""
    if not gone.customer:
        return []
    others = _others(connection, gone)
    stored = bindings_of(connection, gone.customer)
    lines: list[str] = []
    for learner in learners:
        rows = stored.get(learner.profile.name, ())
        lines += write_changes(connection, forget(learner, rows, gone, others), rows, gone)
    return lines


def _others(connection: sqlite3.Connection, report: Report) -> list[Report]:
    """The customer's other calls, in order: the newest of them, what is older stands as it was learned. Else a number
    that calls all day and several times at once would be a day's work at each of its calls."""
    mine = (report.uid, report.source)
    newest = newest_of_customer(connection, report.customer, _MANY)
    return [each for each in newest if (each.uid, each.source) != mine][::-1]
