"""Call records: `Report`s written into the store and read from it; a later and fuller report takes the earlier's place.

A record is found by its customer, its time, its Call-ID, or the uid within its source. Reading is lazy and in order of
time, so that a million records need no memory.
"""

import json
import math
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple

from sipacr.memory.report import Leg, NotTried, Report, Talk
from sipacr.routing.facts import Number

_CACHE = 200_000  # KiB
_MAPPED = 4_000_000_000  # bytes
_CHUNK = 1000  # records that are read at once, with their legs and talks

_PLAIN = (
    "uid", "source", "direction", "customer", "nobody", "number", "shown", "peer", "agent", "started", "ringing",
    "answered", "ended", "alive", "outcome", "code", "reason", "ended_by", "learn", "position", "version", "tag",
    "name", "call_id",
)  # fmt: skip
_JSON = ("rules", "headers", "not_tried")
_NUMBERS = ("caller", "caller_text", "caller_e164", "dialled", "dialled_text", "dialled_e164")
_COLUMNS = (*_PLAIN, *_JSON, *_NUMBERS)
_SELECT = f"SELECT id, {', '.join(_COLUMNS)} FROM records"
_INSERT = f"INSERT INTO records ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"
_INSERT_LEG = f"INSERT INTO legs VALUES (?, ?, {', '.join('?' * len(Leg._fields))})"
_INSERT_TALK = f"INSERT INTO talks VALUES (?, ?, {', '.join('?' * len(Talk._fields))})"
_ANSWERED = """
    INSERT INTO answered_customers (customer, last) VALUES (?1, ?2)
    ON CONFLICT (customer) DO UPDATE SET last = ?2 WHERE last < ?2
"""
_ENCODE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Asked(NamedTuple):
    """What was known of a relayed call when it was decided."""

    uid: str
    call_id: str
    started: float  # unix seconds
    peer: str
    headers: Mapping[str, Sequence[str]]
    caller: Number
    dialled: Number


_NO_HEADERS: Mapping[str, Sequence[str]] = {}


@dataclass(frozen=True, slots=True)
class StillAlive:
    """Relayed calls that go on, for the writer's thread: the last moment they are known to have lived."""

    uids: tuple[str, ...]
    at: float  # unix seconds

    def write(self, connection: sqlite3.Connection) -> None:
        connection.executemany(
            "UPDATE records SET alive = ? WHERE uid = ? AND source = 'relay' AND ended IS NULL",
            [(self.at, uid) for uid in self.uids],
        )


def write(connection: sqlite3.Connection, report: Report) -> bool:
    """Keep this report in the caller's transaction; False: what is kept of this call already says more.

    Whose call was answered is known from then on (`answered_customers`).
    """
    return exchange(connection, report).taken


class Exchanged(NamedTuple):
    """What became of a report that was to be kept."""

    taken: bool  # False: what is kept of this call says more
    earlier: Report | None  # what was known of the call before


def exchange(connection: sqlite3.Connection, report: Report) -> Exchanged:
    """`write`, which tells what was known of the call before."""
    found = connection.execute("SELECT id FROM records WHERE uid = ? AND source = ?", (report.uid, report.source))
    known = found.fetchone()
    earlier = None
    if known is None:
        identity = connection.execute(_INSERT, _row(report)).lastrowid
        assert identity is not None
        _add(connection, identity, report.legs, report.talks)
    else:
        (identity,) = known
        earlier = of_identity(connection, identity)
        if not report.replaces(earlier):
            return Exchanged(False, earlier)
        _change(connection, identity, earlier, report)
        if earlier.customer != report.customer or report.outcome == "voicemail":
            _count_again(connection, earlier.customer)
    if report.answered is not None and report.customer and report.outcome != "voicemail":
        connection.execute(_ANSWERED, (report.customer, report.started))
    return Exchanged(True, earlier)


_ENDS = """
    SELECT max(CASE WHEN ended IS NULL AND outcome <> 'lost' THEN 9e999
        ELSE max(started, ifnull(answered, 0), ifnull(ended, alive)) END)
    FROM (SELECT * FROM records WHERE customer = ? AND customer <> '' ORDER BY started DESC LIMIT ?)
    WHERE NOT (uid = ? AND source = ?)
"""


def others_last(connection: sqlite3.Connection, report: Report, most: int = -1) -> float:
    """When the last of the customer's other calls ended, of the newest `most` (`Report.last`, unix seconds); inf if one
    goes on, -inf if there is none."""
    found = connection.execute(_ENDS, (report.customer, most, report.uid, report.source)).fetchone()[0]
    return -math.inf if found is None else float(found)


def customers_after(connection: sqlite3.Connection, customer: str, most: int) -> list[str]:
    """The next customers who have records, in the order of their numbers. "" begins."""
    sql = "SELECT DISTINCT customer FROM records WHERE customer > ? AND customer <> '' ORDER BY customer LIMIT ?"
    return [str(found) for (found,) in connection.execute(sql, (customer, most))]


def count_customers(connection: sqlite3.Connection) -> int:
    """How many customers have records."""
    sql = "SELECT count(DISTINCT customer) FROM records WHERE customer <> ''"
    return int(connection.execute(sql).fetchone()[0])


def going_on(connection: sqlite3.Connection) -> list[Report]:
    """Relayed calls that go on by their records."""
    return list(_read(connection, "WHERE ended IS NULL AND outcome <> 'lost' AND source = 'relay' ORDER BY id", ()))


def _count_again(connection: sqlite3.Connection, customer: str) -> None:
    """A call that was thought to be answered by this customer was not: is there another one?"""
    connection.execute("DELETE FROM answered_customers WHERE customer = ?", (customer,))
    connection.execute(
        "INSERT INTO answered_customers SELECT customer, max(started) FROM records WHERE customer = ? "
        "AND customer <> '' AND answered IS NOT NULL AND outcome <> 'voicemail' GROUP BY customer",
        (customer,),
    )


def _change(connection: sqlite3.Connection, identity: int, earlier: Report, report: Report) -> None:
    """Write only what is new: SQLite renews each index of which a column is named, though its value be the same."""
    pairs = zip(_COLUMNS, _row(earlier), _row(report), strict=True)
    changed = {column: new for column, old, new in pairs if new != old}
    if changed:
        columns = ", ".join(f"{column} = ?" for column in changed)
        connection.execute(f"UPDATE records SET {columns} WHERE id = ?", (*changed.values(), identity))
    legs = () if report.legs == earlier.legs else report.legs
    talks = () if report.talks == earlier.talks else report.talks
    if report.legs != earlier.legs:
        connection.execute("DELETE FROM legs WHERE record = ?", (identity,))
    if report.talks != earlier.talks:
        connection.execute("DELETE FROM talks WHERE record = ?", (identity,))
    _add(connection, identity, legs, talks)


def _add(connection: sqlite3.Connection, identity: int, legs: Iterable[Leg], talks: Iterable[Talk]) -> None:
    for position, leg in enumerate(legs):
        connection.execute(_INSERT_LEG, (identity, position, *leg))
    for position, talk in enumerate(talks):
        connection.execute(_INSERT_TALK, (identity, position, *talk))


def of_customer(connection: sqlite3.Connection, customer: str) -> Iterator[Report]:
    """All records of one customer (E.164, raw where there is none), the earliest first."""
    if not customer:
        return iter(())
    return _read(connection, "WHERE customer = ? AND customer <> '' ORDER BY started, id", (customer,))


def newest_of_customer(connection: sqlite3.Connection, customer: str, most: int = -1) -> Iterator[Report]:
    """All records of one customer, or the newest `most` of them; the newest first."""
    where = "WHERE customer = ? AND customer <> '' ORDER BY started DESC, id DESC LIMIT ?"
    return _read(connection, where, (customer, most))


def between(
    connection: sqlite3.Connection, since: float, until: float, *, direction: str | None = None
) -> Iterator[Report]:
    """Records of calls that began in `since <= started < until` (unix seconds), the earliest first.

    Read within one transaction of the caller's if others write meanwhile: else a record may come in both its states.
    """
    only = "" if direction is None else " AND direction = ?"
    parameters = (since, until) if direction is None else (since, until, direction)
    return _read(connection, f"WHERE started >= ? AND started < ?{only} ORDER BY started, id", parameters)


def read_many(connection: sqlite3.Connection) -> None:
    """Begin a transaction that reads one state of very many records, for who has time and memory: not the router."""
    connection.execute(f"PRAGMA cache_size = -{_CACHE}")
    connection.execute(f"PRAGMA mmap_size = {_MAPPED}")
    connection.execute("BEGIN")


def by_customer(connection: sqlite3.Connection, since: float, until: float) -> Iterator[list[Report]]:
    """Customer by customer, all their records from before `until` (unix seconds), of those customers whom somebody
    called between `since` and `until`. To be read within one transaction of the caller's."""
    where = """
        WHERE customer IN (
            SELECT customer FROM records WHERE started >= ? AND started < ? AND direction = 'out' AND customer <> ''
        ) AND customer <> '' AND started < ? ORDER BY customer, started
    """
    for _, reports in groupby(_read(connection, where, (since, until, until)), key=lambda report: report.customer):
        yield list(reports)


def one(connection: sqlite3.Connection, name: str) -> Report | None:
    """The record with this uid or, the newest of them, this Call-ID."""
    for where in ("uid = ?", "call_id = ? AND call_id <> ''"):
        found = next(_read(connection, f"WHERE {where} ORDER BY started DESC, id DESC LIMIT 1", (name,)), None)
        if found is not None:
            return found
    return None


def of_identity(connection: sqlite3.Connection, identity: int) -> Report:
    """The record in this row, which must be there."""
    return next(_read(connection, "WHERE id = ?", (identity,)))


def asked(connection: sqlite3.Connection, since: float, until: float) -> Iterator[Asked]:
    """The relayed calls that began in `since <= started < until` (unix seconds), the earliest first."""
    sql = f"""
        SELECT uid, call_id, started, peer, headers, {", ".join(_NUMBERS)} FROM records
        WHERE started >= ? AND started < ? AND source = 'relay' ORDER BY started
    """
    for uid, call_id, started, peer, headers, *numbers in connection.execute(sql, (since, until)):
        found = json.loads(headers) if headers else _NO_HEADERS
        yield Asked(uid, call_id, started, peer, found, Number._make(numbers[:3]), Number._make(numbers[3:]))


def count(connection: sqlite3.Connection, since: float, until: float) -> int:
    """How many records `between` would read."""
    found = connection.execute("SELECT count(*) FROM records WHERE started >= ? AND started < ?", (since, until))
    return int(found.fetchone()[0])


def _row(report: Report) -> list[object]:
    row: list[object] = [getattr(report, name) for name in _PLAIN]
    row += (
        _ENCODE(report.rules) if report.rules else None,
        _ENCODE({name: list(values) for name, values in report.headers.items()}) if report.headers else None,
        _ENCODE(report.not_tried) if report.not_tried else None,
    )
    return [*row, *report.caller, *report.dialled]


def _read(connection: sqlite3.Connection, where: str, parameters: Sequence[object]) -> Iterator[Report]:
    rows = connection.execute(f"{_SELECT} {where}", parameters)
    while chunk := rows.fetchmany(_CHUNK):
        identities = [row[0] for row in chunk]
        legs = _of(connection, "legs", Leg._fields, identities)
        talks = _of(connection, "talks", Talk._fields, identities)
        for identity, *row in chunk:
            yield _report(row, legs.get(identity, ()), talks.get(identity, ()))


def _of(
    connection: sqlite3.Connection, table: str, columns: Iterable[str], identities: list[int]
) -> Mapping[int, Sequence[Any]]:
    """The rows of a table that belong to these records."""
    which = "= ?"
    parameter: int | str = identities[0]
    if len(identities) > 1:
        which, parameter = "IN (SELECT value FROM json_each(?))", json.dumps(identities)
    sql = f"SELECT record, {', '.join(columns)} FROM {table} WHERE record {which} ORDER BY record, position"
    found = connection.execute(sql, (parameter,))
    return {identity: list(rows) for identity, rows in groupby(found, key=lambda row: row[0])}


def _report(row: Sequence[Any], legs: Sequence[Any], talks: Sequence[Any]) -> Report:
    plain = dict(zip(_PLAIN, row, strict=False))
    rules, headers, not_tried, *numbers = row[len(_PLAIN) :]
    plain["learn"] = bool(plain["learn"])
    return Report(
        **plain,
        rules=tuple(json.loads(rules)) if rules else (),
        headers=json.loads(headers) if headers else {},
        not_tried=tuple(NotTried(*each) for each in json.loads(not_tried)) if not_tried else (),
        caller=Number(*numbers[:3]),
        dialled=Number(*numbers[3:]),
        legs=tuple([Leg(*leg[1:]) for leg in legs]),
        talks=tuple([Talk(*talk[1:]) for talk in talks]),
    )
