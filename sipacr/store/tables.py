"""What people keep: VIPs, list entries, shared numbers, bindings. One way in for every write, and each is recorded."""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from sipacr.routing.facts import Number

_JSON = json.JSONEncoder(ensure_ascii=False)

Value = str | float | int | None
Key = tuple[str | float, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table with a key and values that people set."""

    name: str
    key: tuple[str, ...]
    values: tuple[str, ...]
    stamped: bool = True  # has `changed` and `by`; a binding has the times of its events instead

    def what(self, key: Key) -> tuple[str, str]:
        """How the record of changes names this row: which data, and whose number."""
        row = dict(zip(self.key, key, strict=True))
        if self.name == "list_entries":
            return f"list {row['list']}", f"{row['number']}{'*' if row['prefix'] else ''}"
        if self.name == "bindings":
            return f"sticky {row['profile']}", str(row["customer"])
        if self.name == "absences":
            return "agent", str(row["agent"])
        return ("vip", str(row["customer"])) if self.name == "vips" else ("shared", str(row["number"]))


VIPS = Table("vips", ("customer",), ("agent", "note"))
LISTS = Table("list_entries", ("number", "prefix", "list"), ("note", "expires", "target"))
ABSENCES = Table("absences", ("agent", "since"), ("until", "successor"))
SHARED = Table("shared_numbers", ("number",), ("note",))
EVENTS = ("out_attempt", "out_failed", "out_answered", "in_answered", "in_call", "conversation")
BINDINGS = Table(
    "bindings",
    ("customer", "profile", "scope", "agent"),
    ("made", *EVENTS, "in_progress", "since", "calling"),
    stamped=False,
)


class Counts(NamedTuple):
    """What a write did."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0


class Recorded(NamedTuple):
    """One change as it was recorded; `old` and `new` are None where the row did not exist."""

    at: float  # unix seconds
    by: str
    what: str
    key: str
    old: dict[str, Value] | None
    new: dict[str, Value] | None


def get(connection: sqlite3.Connection, table: Table, key: Key) -> dict[str, Value] | None:
    """The values of one row, `changed` and `by` included."""
    columns = (*table.values, "changed", "by") if table.stamped else table.values
    where = " AND ".join(f"{column} = ?" for column in table.key)
    row = connection.execute(f"SELECT {', '.join(columns)} FROM {table.name} WHERE {where}", key).fetchone()
    return None if row is None else dict(zip(columns, row, strict=True))


def rows(connection: sqlite3.Connection, table: Table, **only: Value) -> Iterator[dict[str, Value]]:
    """All rows in the order of their keys, or those in which the named columns have these values."""
    columns = (*table.key, *table.values, "changed", "by") if table.stamped else (*table.key, *table.values)
    where = f" WHERE {' AND '.join(f'{column} = ?' for column in only)}" if only else ""
    sql = f"SELECT {', '.join(columns)} FROM {table.name}{where} ORDER BY {', '.join(table.key)}"
    for row in connection.execute(sql, tuple(only.values())):
        yield dict(zip(columns, row, strict=True))


def write(
    connection: sqlite3.Connection,
    table: Table,
    changes: Iterable[tuple[Key, Mapping[str, Value] | None]],
    *,
    by: str,
    at: float,
) -> Counts:
    """Set or (None) remove rows inside the caller's transaction, and record who did it, when, from what and to what.

    A row keeps the values that are not given. `at` is unix seconds. Where nothing changes, nothing is recorded.
    """
    added = changed = unchanged = removed = 0
    where = " AND ".join(f"{column} = ?" for column in table.key)
    find = f"SELECT {', '.join(table.values)} FROM {table.name} WHERE {where}"
    delete = f"DELETE FROM {table.name} WHERE {where}"
    execute = connection.execute
    for key, values in changes:
        row = execute(find, key).fetchone()
        old = None if row is None else dict(zip(table.values, row, strict=True))
        if values is None:
            if old is None:
                unchanged += 1
                continue
            execute(delete, key)
            removed += 1
            new = None
        else:
            new = {**old, **values} if old is not None else dict(values)
            if old == new:
                unchanged += 1
                continue
            _put(connection, table, key, new, by, at)
            added += old is None
            changed += old is not None
        what, name = table.what(key)
        execute(
            "INSERT INTO changes (at, by, what, key, old, new) VALUES (?, ?, ?, ?, ?, ?)",
            (at, by, what, name, _told(table, key, old), _told(table, key, new)),
        )
    return Counts(added, changed, unchanged, removed)


def history(connection: sqlite3.Connection, key: str, what: str) -> list[Recorded]:
    """The changes of one number in one kind of data (what `Table.what` calls it; "sticky" is all profiles), newest
    first."""
    found = connection.execute("SELECT at, by, what, key, old, new FROM changes WHERE key = ? ORDER BY id DESC", (key,))
    return [
        Recorded(at, by, kind, name, old and json.loads(old), new and json.loads(new))
        for at, by, kind, name, old, new in found
        if kind == what or (what == "sticky" and kind.startswith("sticky "))
    ]


def on_both(connection: sqlite3.Connection, now: float, customer: str | None = None) -> list[tuple[str, str, str]]:
    """VIPs (or this one) that a list holds too, by number or prefix: (customer, list, entry), in their order."""
    only = "" if customer is None else "AND v.customer = :customer"
    found = connection.execute(
        f"""
        SELECT v.customer, l.list, l.number FROM vips v JOIN list_entries l ON l.number = v.customer AND l.prefix = 0
        WHERE (l.expires IS NULL OR l.expires > :now) {only}
        UNION ALL
        SELECT v.customer, l.list, l.number || '*' FROM list_entries l
        JOIN vips v ON v.customer >= l.number AND v.customer < l.number || char(127)
        WHERE l.prefix = 1 AND (l.expires IS NULL OR l.expires > :now) {only}
        ORDER BY 1, 2, 3
        """,
        {"now": now, "customer": customer},
    )
    return [(str(number), str(name), str(entry)) for number, name, entry in found]


def lists_with(connection: sqlite3.Connection, number: Number, now: float) -> list[tuple[str, str]]:
    """The lists that hold this number now, each with the entry that does it: (list, number or prefix with its star)."""
    texts = {"e164": number.e164 or number.text, "text": number.text, "now": now}
    found = connection.execute(
        """
        SELECT list, number FROM list_entries
        WHERE number IN (:e164, :text) AND prefix = 0 AND (expires IS NULL OR expires > :now)
        UNION ALL
        SELECT list, number || '*' FROM list_entries
        WHERE prefix = 1 AND (expires IS NULL OR expires > :now)
            AND number IN (substr(:e164, 1, length(number)), substr(:text, 1, length(number)))
        ORDER BY 1, 2
        """,
        texts,
    )
    return [(str(name), str(entry)) for name, entry in found]


def _put(
    connection: sqlite3.Connection, table: Table, key: Key, values: Mapping[str, Value], by: str, at: float
) -> None:
    if table.stamped:
        values = {**values, "changed": at, "by": by}
    connection.execute(_insert(table, tuple(values)), (*key, *values.values()))


@cache
def _insert(table: Table, values: tuple[str, ...]) -> str:
    columns = (*table.key, *values)
    return f"INSERT OR REPLACE INTO {table.name} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"


def _told(table: Table, key: Key, values: Mapping[str, Value] | None) -> str | None:
    """The values for the record, without those that say nothing."""
    if values is None:
        return None
    told: dict[str, Value] = {name: value for name, value in values.items() if value not in (None, "", 0)}
    if table is BINDINGS:
        told = {"agent": key[3], "scope": key[2], **told} if key[2] else {"agent": key[3], **told}
    return _JSON.encode(told)
