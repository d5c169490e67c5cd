"""Deletes what is older than sipacr.yaml says: some rows at a time, so that no other write waits for it."""

import math
import sqlite3
from dataclasses import dataclass, field

from sipacr.store.tables import EVENTS

AT_ONCE = 2000  # rows that are looked at in one portion: some ten milliseconds
_LAST = f"max(made, ifnull(since, made), {', '.join(f'ifnull({event}, made)' for event in EVENTS)})"
_KEY = "customer, profile, scope, agent"


@dataclass(slots=True)
class Place:
    """How far the search among the bindings has come: it begins anew at the end."""

    customer: str = ""


@dataclass(frozen=True, slots=True)
class Purge:
    """For the writer's thread: one portion. What is from before these moments (unix seconds) may go; -inf: nothing."""

    records: float
    bindings: float
    place: Place = field(default_factory=Place)

    def write(self, connection: sqlite3.Connection) -> None:
        if self.records > -math.inf:
            purge_records(connection, self.records)
        if self.bindings > -math.inf:
            purge_bindings(connection, self.bindings, self.place)


def purge_records(connection: sqlite3.Connection, before: float) -> int:
    """Delete records of calls that began before that moment (unix seconds), one portion in the caller's transaction;
    how many. Who is known only by a call whose record has gone is not known any more."""
    found = connection.execute("SELECT id FROM records WHERE started < ? ORDER BY started LIMIT ?", (before, AT_ONCE))
    identities = found.fetchall()
    delete(connection, identities)
    if 0 < len(identities) < AT_ONCE:
        connection.execute("DELETE FROM answered_customers WHERE last < ?", (before,))
    return len(identities)


def purge_bindings(connection: sqlite3.Connection, before: float, place: Place) -> int:
    """Delete bindings whose last event was before that moment (unix seconds), live or not, but not while a call of
    theirs goes on: among the rows of one portion from `place` on, in the caller's transaction; how many."""
    found = connection.execute(
        f"SELECT {_KEY}, {_LAST} < ? AND NOT in_progress AND NOT calling FROM bindings WHERE customer > ? "
        "ORDER BY customer LIMIT ?",
        (before, place.customer, AT_ONCE),
    ).fetchall()
    if len(found) < AT_ONCE:
        place.customer = ""
    else:  # the last customer may have more rows: he comes again, unless all are his
        last = found[-1][0]
        found = [row for row in found if row[0] != last] or found
        place.customer = found[-1][0]
    old = [row[:4] for row in found if row[4]]
    connection.executemany(f"DELETE FROM bindings WHERE ({_KEY}) = (?, ?, ?, ?)", old)
    return len(old)


def old(connection: sqlite3.Connection, records: float, bindings: float) -> tuple[int, int]:
    """How many records and bindings may go that are from before these moments (unix seconds)."""
    of_records = connection.execute("SELECT count(*) FROM records WHERE started < ?", (records,)).fetchone()[0]
    where = f"{_LAST} < ? AND NOT in_progress AND NOT calling"
    of_bindings = connection.execute(f"SELECT count(*) FROM bindings WHERE {where}", (bindings,)).fetchone()[0]
    return int(of_records), int(of_bindings)


def delete(connection: sqlite3.Connection, identities: list[tuple[int]]) -> None:
    """Delete these records with all that belongs to them."""
    for table, column in (("records", "id"), ("legs", "record"), ("talks", "record")):
        connection.executemany(f"DELETE FROM {table} WHERE {column} = ?", identities)
