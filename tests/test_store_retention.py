"""What is older than sipacr.yaml says goes, in portions, and nothing else."""

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
from records import DAY, NOON, ONE, THREE, TWO, call_in, leg, talked

from sipacr.store import Database, records, retention
from sipacr.store.retention import Place, Purge, purge_bindings, purge_records


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Database]:
    with Database(tmp_path / "sipacr.db") as database:
        database.connection.execute("PRAGMA synchronous = OFF")
        yield database


def everything(store: Database, table: str, column: str) -> list[object]:
    return [row[0] for row in store.connection.execute(f"SELECT {column} FROM {table} ORDER BY 1")]


def test_old_records_go_with_all_that_belongs_to_them(store: Database) -> None:
    with store.transaction() as connection:
        for uid, customer, at in (("a", ONE, NOON - 2 * DAY), ("b", TWO, NOON - DAY), ("c", ONE, NOON)):
            more = talked("anna", at) | {"legs": (leg("agent anna", "anna", at),)}
            records.write(connection, call_in(uid, customer, at, **more))
        assert purge_records(connection, NOON - DAY) == 1
        assert purge_records(connection, NOON - DAY) == 0
        assert everything(store, "records", "uid") == ["b", "c"]
        assert everything(store, "answered_customers", "customer") == [ONE, TWO]
        assert purge_records(connection, NOON) == 1
    for table in ("legs", "talks"):
        assert everything(store, table, "record") == everything(store, "records", "id")
    assert everything(store, "answered_customers", "customer") == [ONE]  # TWO is known by no call any more


def bind(store: Database, customer: str, made: float, profile: str = "returning", **more: object) -> None:
    columns = {"customer": customer, "profile": profile, "agent": "anna", "made": made, **more}
    store.connection.execute(
        f"INSERT INTO bindings ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})", [*columns.values()]
    )


def test_a_binding_goes_when_its_last_event_is_old(store: Database) -> None:
    bind(store, "+481", NOON - 1)
    bind(store, "+482", NOON - 9, out_attempt=NOON)
    bind(store, "+483", NOON - 9, since=NOON)
    bind(store, "+484", NOON - 9, in_progress=1)
    bind(store, "+485", NOON - 9, calling=1)
    bind(store, "+486", NOON - 9, conversation=NOON - 1)
    bind(store, "+487", NOON)
    with store.transaction() as connection:
        assert purge_bindings(connection, NOON, Place()) == 2
    assert everything(store, "bindings", "customer") == ["+482", "+483", "+484", "+485", "+487"]


@pytest.mark.parametrize("at_once", [1, 2, 3, 4, 7])
def test_portions_come_to_all_bindings(store: Database, monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    """A customer with more rows than a portion has keeps those beyond it until the next pass."""
    monkeypatch.setattr(retention, "AT_ONCE", at_once)
    for index in range(20):
        bind(store, f"+48{index:02}", NOON - 9 if index % 3 else NOON)
    bind(store, "+4805", NOON - 9, profile="campaign")
    place, gone = Place(), 0
    for _ in range(80):
        with store.transaction() as connection:
            gone += purge_bindings(connection, NOON, place)
    assert gone == 14
    assert everything(store, "bindings", "customer") == [f"+48{index:02}" for index in range(0, 20, 3)]


def test_what_is_kept_for_ever_stays(store: Database) -> None:
    bind(store, ONE, 0.0)
    with store.transaction() as connection:
        records.write(connection, call_in("a", THREE, 0.0))
        Purge(-math.inf, -math.inf).write(connection)
    assert everything(store, "bindings", "customer") == [ONE]
    assert everything(store, "records", "customer") == [THREE]
    with store.transaction() as connection:
        Purge(NOON, NOON).write(connection)
    assert everything(store, "bindings", "customer") == everything(store, "records", "customer") == []
