"""One way in for every write of people's data: what was counted, kept, recorded, and what is on two tables at once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sipacr.routing.facts import Number
from sipacr.store import Database
from sipacr.store.tables import (
    BINDINGS,
    LISTS,
    SHARED,
    VIPS,
    Counts,
    Recorded,
    get,
    history,
    lists_with,
    on_both,
    rows,
    write,
)

ONE, TWO = "+48601000111", "+48601000222"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Database]:
    with Database(tmp_path / "sipacr.db") as database:
        yield database


def test_counts_and_values(store: Database) -> None:
    with store.transaction() as connection:
        first = [((ONE,), {"agent": "anna", "note": "ACME"}), ((TWO,), {"agent": "anna"})]
        assert write(connection, VIPS, first, by="olga", at=1.0) == Counts(added=2)
        second = [((ONE,), {"agent": "ivan"}), ((TWO,), {"agent": "anna"}), (("+483",), None), ((TWO,), None)]
        assert write(connection, VIPS, second, by="olga", at=2.0) == Counts(changed=1, unchanged=2, removed=1)
    assert get(store.connection, VIPS, (ONE,)) == {"agent": "ivan", "note": "ACME", "changed": 2.0, "by": "olga"}
    assert get(store.connection, VIPS, (TWO,)) is None
    assert list(rows(store.connection, VIPS)) == [
        {"customer": ONE, "agent": "ivan", "note": "ACME", "changed": 2.0, "by": "olga"}
    ]


def test_each_change_is_recorded_and_no_other(store: Database) -> None:
    with store.transaction() as connection:
        write(connection, VIPS, [((ONE,), {"agent": "anna"})], by="olga", at=1.0)
        write(connection, VIPS, [((ONE,), {"agent": "anna"})], by="ivan", at=2.0)
        write(connection, VIPS, [((ONE,), {"note": "Łódź"})], by="ivan", at=3.0)
        write(connection, VIPS, [((ONE,), None)], by="anna", at=4.0)
        write(connection, SHARED, [((ONE,), {})], by="anna", at=5.0)
    assert history(store.connection, ONE, "vip") == [
        Recorded(4.0, "anna", "vip", ONE, {"agent": "anna", "note": "Łódź"}, None),
        Recorded(3.0, "ivan", "vip", ONE, {"agent": "anna"}, {"agent": "anna", "note": "Łódź"}),
        Recorded(1.0, "olga", "vip", ONE, None, {"agent": "anna"}),
    ]
    assert [change.at for change in history(store.connection, ONE, "shared")] == [5.0]


def test_the_record_names_list_profile_scope_and_agent(store: Database) -> None:
    with store.transaction() as connection:
        write(connection, LISTS, [(("+48700", 1, "black"), {"note": "spam"})], by="x", at=1.0)
        write(connection, BINDINGS, [((ONE, "returning", "", "anna"), {"made": 5.0})], by="x", at=1.0)
        write(connection, BINDINGS, [((ONE, "campaign", "+48221112233", "ivan"), {"made": 6.0})], by="x", at=1.0)
    assert history(store.connection, "+48700*", "list black")[0].new == {"note": "spam"}
    assert history(store.connection, ONE, "sticky returning")[0].new == {"agent": "anna", "made": 5.0}
    assert [change.new for change in history(store.connection, ONE, "sticky")] == [
        {"agent": "ivan", "scope": "+48221112233", "made": 6.0},
        {"agent": "anna", "made": 5.0},
    ]


def test_a_write_that_fails_leaves_nothing(store: Database) -> None:
    def changes() -> Iterator[tuple[tuple[str], dict[str, str]]]:
        yield (ONE,), {"agent": "anna"}
        raise InterruptedError

    with pytest.raises(InterruptedError), store.transaction() as connection:
        write(connection, VIPS, changes(), by="olga", at=1.0)
    assert get(store.connection, VIPS, (ONE,)) is None
    assert history(store.connection, ONE, "vip") == []


def test_rows_of_one_list_or_customer(store: Database) -> None:
    with store.transaction() as connection:
        entries = [((ONE, 0, "black"), {}), ((TWO, 0, "black"), {}), ((ONE, 0, "white"), {})]
        write(connection, LISTS, entries, by="x", at=1.0)
    assert [row["number"] for row in rows(store.connection, LISTS, list="black")] == [ONE, TWO]
    assert [row["list"] for row in rows(store.connection, LISTS, number=ONE)] == ["black", "white"]


def test_vips_that_are_on_lists(store: Database) -> None:
    with store.transaction() as connection:
        for customer in (ONE, TWO, "+48700100200", "0700100", "+4870"):
            write(connection, VIPS, [((customer,), {"agent": "anna"})], by="x", at=1.0)
        entries = [
            ((ONE, 0, "black"), {}),
            ((ONE, 0, "white"), {"expires": 100.0}),
            ((TWO, 0, "old"), {"expires": 50.0}),
            (("+48700", 1, "black"), {}),
            (("0700", 1, "black"), {}),
            (("+49", 1, "black"), {}),
        ]
        write(connection, LISTS, entries, by="x", at=1.0)
    expected = [
        (ONE, "black", ONE),
        (ONE, "white", ONE),
        ("+48700100200", "black", "+48700*"),
        ("0700100", "black", "0700*"),
    ]
    assert on_both(store.connection, 60.0) == expected
    assert on_both(store.connection, 60.0, "+48700100200") == [expected[2]]
    assert on_both(store.connection, 60.0, TWO) == []


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (Number(ONE, ONE, ONE), [("black", "+4860*"), ("white", ONE)]),
        (Number("0601000111", "0601000111", ONE), [("black", "+4860*"), ("raw", "0601*"), ("white", ONE)]),
        (Number("112", "112", None), [("white", "112")]),
        (Number("+49", "+49", None), []),
    ],
)
def test_lists_that_hold_a_number(store: Database, number: Number, expected: list[tuple[str, str]]) -> None:
    with store.transaction() as connection:
        entries = [
            ((ONE, 0, "white"), {}),
            (("112", 0, "white"), {}),
            ((ONE, 0, "old"), {"expires": 50.0}),
            (("+4860", 1, "black"), {}),
            (("0601", 1, "raw"), {}),
        ]
        write(connection, LISTS, entries, by="x", at=1.0)
    assert lists_with(store.connection, number, 60.0) == expected
