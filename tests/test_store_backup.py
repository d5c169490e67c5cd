"""A copy of the store in use: one state of it, whole or not at all, and nobody waits for it."""

import sqlite3
from pathlib import Path

import pytest

from sipacr.store import Database, StoreError
from sipacr.store import backup as module
from sipacr.store.backup import BackupRefused, backup


@pytest.fixture
def store(tmp_path: Path) -> Database:
    database = Database(tmp_path / "sipacr.db")
    with database.transaction() as connection:
        connection.executemany(
            "INSERT INTO vips VALUES (?, 'anna', ?, 0, 'test')",
            ((f"+4860{index:07}", "x" * 200) for index in range(2000)),
        )
    return database


def count(path: Path) -> int:
    with Database(path) as copy:
        assert copy.connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert copy.connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        return int(copy.connection.execute("SELECT count(*) FROM vips").fetchone()[0])


def quiet(done: int, total: int) -> None:
    """Nobody looks."""


def test_all_of_it_is_copied(store: Database, tmp_path: Path) -> None:
    said: list[tuple[int, int]] = []
    size = backup(store, tmp_path / "copy.db", lambda done, total: said.append((done, total)))
    assert size == (tmp_path / "copy.db").stat().st_size > 400_000
    assert said[-1][0] == said[-1][1] > 0
    assert count(tmp_path / "copy.db") == 2000
    assert (tmp_path / "copy.db").stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir() if "copy" in path.name) == ["copy.db"]


def test_what_is_written_meanwhile_waits_for_nobody_and_is_not_in_it(
    store: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PAGES", 1)
    steps = 0
    with Database(store.path, busy_timeout=0.0) as router:

        def write(done: int, total: int) -> None:
            nonlocal steps
            steps += 1
            with router.transaction() as connection:
                connection.execute("INSERT INTO vips VALUES (?, 'olga', '', 0, 'router')", (f"+49{steps}",))

        backup(store, tmp_path / "copy.db", write)
        assert 100 < steps < 1000  # each step once: no commit made it begin anew
        assert router.connection.execute("SELECT count(*) FROM vips").fetchone() == (2000 + steps,)
    assert count(tmp_path / "copy.db") == 2000


def test_an_older_copy_is_replaced(store: Database, tmp_path: Path) -> None:
    backup(store, tmp_path / "copy.db", quiet)
    with store.transaction() as connection:
        connection.execute("DELETE FROM vips WHERE customer LIKE '%5'")
    backup(store, tmp_path / "copy.db", quiet)
    assert count(tmp_path / "copy.db") == 1800


def test_nothing_else_is_overwritten(store: Database, tmp_path: Path) -> None:
    letter, foreign = tmp_path / "letter.txt", tmp_path / "contacts.db"
    letter.write_text("Dear Anna")
    with sqlite3.connect(foreign) as other:
        other.execute("CREATE TABLE contacts (name TEXT)")
    for target in (letter, foreign):
        with pytest.raises(BackupRefused, match="is no copy of a store and is not overwritten"):
            backup(store, target, quiet)
    with pytest.raises(BackupRefused, match="the store itself"):
        backup(store, store.path, quiet)
    assert letter.read_text() == "Dear Anna"


def test_a_copy_that_fails_leaves_the_older_one(store: Database, tmp_path: Path) -> None:
    backup(store, tmp_path / "copy.db", quiet)

    def fail(done: int, total: int) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(StoreError, match="the backup has failed"):
        backup(store, tmp_path / "copy.db", fail)
    assert count(tmp_path / "copy.db") == 2000
    assert not (tmp_path / "copy.db.new").exists()
    assert not store.connection.in_transaction


def test_no_folder(store: Database, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"nowhere/copy\.db\.new: No such file or directory"):
        backup(store, tmp_path / "nowhere" / "copy.db", quiet)
