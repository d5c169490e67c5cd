"""What the store knows of one number, for a data-protection request: all of it given out, or all of it deleted."""

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sipacr.memory.report import Report
from sipacr.memory.told import as_data
from sipacr.routing.facts import Number
from sipacr.store.records import of_identity
from sipacr.store.retention import delete
from sipacr.store.tables import BINDINGS, LISTS, SHARED, VIPS, rows

_RECORDS = """
    SELECT id FROM records WHERE customer IN ({texts}) OR caller_e164 IN ({texts}) OR caller_text IN ({texts})
        OR dialled_e164 IN ({texts}) OR dialled_text IN ({texts}) ORDER BY started
"""


@dataclass(frozen=True, slots=True)
class Known:
    """Everything that is kept of one number."""

    records: list[Report]
    bindings: list[dict[str, Any]]
    lists: list[dict[str, Any]]
    vips: list[dict[str, Any]]
    shared: list[dict[str, Any]]
    changes: list[dict[str, Any]]
    identities: list[tuple[int]]  # of the records

    def counts(self) -> dict[str, int]:
        """How much of what, without what there is nothing of."""
        found = {
            "call records": len(self.records),
            "bindings": len(self.bindings),
            "list entries": len(self.lists),
            "VIP rows": len(self.vips),
            "marks as shared": len(self.shared),
            "changes by hand": len(self.changes),
        }
        return {what: number for what, number in found.items() if number}

    def as_data(self) -> dict[str, object]:
        """For a file that the customer is given."""
        return {
            "records": [as_data(report) for report in self.records],
            "bindings": self.bindings,
            "lists": self.lists,
            "vip": self.vips,
            "shared": self.shared,
            "changes": self.changes,
        }


def known(connection: sqlite3.Connection, number: Number) -> Known:
    """All that is kept of this number, as E.164 and as it was written. It reads all records: nobody waits, but it takes
    a second for a million. Entries of lists that are prefixes are of no one number."""
    texts = _texts(number)
    identities = _identities(connection, texts)
    return Known(
        [of_identity(connection, identity) for (identity,) in identities],
        [dict(row) for text in texts for row in rows(connection, BINDINGS, customer=text)],
        [dict(row) for text in texts for row in rows(connection, LISTS, number=text, prefix=0)],
        [dict(row) for text in texts for row in rows(connection, VIPS, customer=text)],
        [dict(row) for text in texts for row in rows(connection, SHARED, number=text)],
        _changes(connection, texts),
        identities,
    )


def forget(connection: sqlite3.Connection, number: Number, found: Known, *, by: str, at: float) -> None:
    """Delete what was found of this number, and what has come since, in the caller's transaction; and record that,
    without the number. `at` is unix seconds. The bytes are overwritten (set `secure_delete` before the transaction).
    """
    texts = _texts(number)
    new = connection.execute(f"SELECT id FROM records WHERE customer IN ({_marks(texts)})", texts).fetchall()
    delete(connection, [*found.identities, *new])
    for table, column in (
        ("bindings", "customer"), ("vips", "customer"), ("shared_numbers", "number"),
        ("answered_customers", "customer"), ("changes", "key"),
    ):  # fmt: skip
        connection.execute(f"DELETE FROM {table} WHERE {column} IN ({_marks(texts)})", texts)
    connection.execute(f"DELETE FROM list_entries WHERE prefix = 0 AND number IN ({_marks(texts)})", texts)
    connection.execute(
        "INSERT INTO changes (at, by, what, key, old, new) VALUES (?, ?, 'forget', '', ?, NULL)",
        (at, by, json.dumps(found.counts())),
    )


def _texts(number: Number) -> list[str]:
    return list(dict.fromkeys(text for text in (number.e164, number.text) if text))


def _marks(texts: Iterable[str]) -> str:
    return ", ".join("?" for _ in texts)


def _identities(connection: sqlite3.Connection, texts: list[str]) -> list[tuple[int]]:
    return connection.execute(_RECORDS.format(texts=_marks(texts)), texts * 5).fetchall()


def _changes(connection: sqlite3.Connection, texts: list[str]) -> list[dict[str, Any]]:
    found = connection.execute(
        f"SELECT at, by, what, key, old, new FROM changes WHERE key IN ({_marks(texts)}) ORDER BY id", texts
    )
    return [
        {"at": at, "by": by, "what": what, "key": key, "old": old and json.loads(old), "new": new and json.loads(new)}
        for at, by, what, key, old, new in found
    ]
