"""The writer's thread: batches, failures that are loud and tried again, a close that flushes; `submit` never waits."""

import json
import logging
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sipacr.store import AddToList, Database, Writer, writer

NUMBER = "+48601000111"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "RETRY", 0.05)
    monkeypatch.setattr(writer, "PATIENCE", 0.0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Database]:
    with Database(tmp_path / "sipacr.db", busy_timeout=0.1) as database:
        yield database


@pytest.fixture
def router(store: Database) -> Iterator[Writer]:
    started = Writer(store.path)
    yield started
    started.close()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def entries(store: Database) -> dict[str, tuple[object, ...]]:
    rows = store.connection.execute("SELECT number, note, expires, target, changed, by FROM list_entries")
    return {row[0]: row[1:] for row in rows}


def test_callers_are_remembered(store: Database, router: Writer) -> None:
    assert router.submit(AddToList("white", NUMBER, 5.0, "rule shop A"))
    until(lambda: router.written == 1)
    assert entries(store) == {NUMBER: ("rule shop A", None, None, 5.0, "sipacr")}
    recorded = store.connection.execute("SELECT at, by, what, key, old, new FROM changes").fetchall()
    assert [row[:-1] for row in recorded] == [(5.0, "sipacr", "list white", NUMBER, None)]
    assert json.loads(recorded[0][-1]) == {"note": "rule shop A"}


def test_a_live_entry_stays_and_an_expired_one_begins_anew(store: Database, router: Writer) -> None:
    with store.transaction() as connection:
        connection.executemany(
            "INSERT INTO list_entries (list, prefix, number, note, expires, target, changed, by) "
            "VALUES ('white', 0, ?, 'by hand', ?, 'anna', 1, 'olga')",
            [("+481", None), ("+482", 100.0), ("+483", 50.0)],
        )
    for number in ("+481", "+482", "+483"):
        router.submit(AddToList("white", number, 60.0))
    router.close()
    found = entries(store)
    assert found["+481"] == ("by hand", None, "anna", 1.0, "olga")
    assert found["+482"] == ("by hand", 100.0, "anna", 1.0, "olga")
    assert found["+483"] == ("", None, None, 60.0, "sipacr")


def test_changes_are_batched(store: Database, router: Writer) -> None:
    for index in range(1200):
        router.submit(AddToList("white", f"+48{index:09}", 1.0))
    router.close()
    assert router.written == 1200
    assert len(entries(store)) == 1200
    # Each commit adds a frame with the commit mark; far fewer than one a change.
    frames = Path(f"{store.path}-wal").stat().st_size // 4120
    assert frames < 1200


def test_a_locked_store_is_tried_again_and_submit_does_not_wait(
    store: Database, router: Writer, caplog: pytest.LogCaptureFixture
) -> None:
    with store.transaction():
        start = time.monotonic()
        for index in range(1000):
            assert router.submit(AddToList("white", f"+48{index:09}", 1.0))
        assert time.monotonic() - start < 1
        until(lambda: router.failures >= 2)
        assert router.written == 0
    until(lambda: router.written == 1000)
    assert router.lost == 0
    assert len(entries(store)) == 1000
    told = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(told) == 1  # once a minute, not once a retry
    assert "cannot be written" in told[0].message
    assert "locked by another program" in told[0].message


def test_a_short_lock_is_not_worth_a_line(
    store: Database, router: Writer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(writer, "PATIENCE", 60.0)
    with store.transaction():
        router.submit(AddToList("white", NUMBER, 1.0))
        until(lambda: router.failures >= 2)
    until(lambda: router.written == 1)
    assert caplog.text == ""


def test_what_does_not_fit_is_lost_loudly(
    store: Database, router: Writer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(writer, "LONGEST_QUEUE", 3)
    with store.transaction():
        router.submit(AddToList("white", "+480", 1.0))
        until(lambda: router.failures > 0)
        taken = [router.submit(AddToList("white", f"+48{index}", 1.0)) for index in range(1, 6)]
        assert taken == [True, True, True, False, False]
        assert router.lost == 2
    until(lambda: router.written == 4)
    assert set(entries(store)) == {"+480", "+481", "+482", "+483"}


@dataclass(frozen=True)
class Wrong:
    """A change that SQLite or Python refuses."""

    error: Exception

    def write(self, connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO shared_numbers VALUES ('half', '', 0, '')")
        raise self.error


@pytest.mark.parametrize("error", [sqlite3.IntegrityError("NOT NULL"), TypeError("no number")])
def test_a_wrong_change_takes_no_other_with_it(
    store: Database, router: Writer, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    router.submit(AddToList("white", "+481", 1.0))
    router.submit(Wrong(error))
    router.submit(AddToList("white", "+482", 1.0))
    router.close()
    assert set(entries(store)) == {"+481", "+482"}
    assert store.connection.execute("SELECT count(*) FROM shared_numbers").fetchone() == (0,)
    assert (router.written, router.lost) == (2, 1)
    assert "Wrong" in caplog.text
    assert "is lost" in caplog.text


def test_close_writes_what_waits(store: Database) -> None:
    router = Writer(store.path)
    for index in range(50):
        router.submit(AddToList("white", f"+48{index}", 1.0))
    router.close()
    assert len(entries(store)) == 50
    assert not router.submit(AddToList("white", NUMBER, 1.0))
    assert router.lost == 1


def test_close_gives_up_loudly(store: Database, caplog: pytest.LogCaptureFixture) -> None:
    router = Writer(store.path)
    with store.transaction():
        for index in range(writer.LONGEST_BATCH + 10):
            router.submit(AddToList("white", f"+48{index}", 1.0))
        start = time.monotonic()
        router.close(timeout=0.2)
        assert time.monotonic() - start < 2
    assert (router.written, router.lost) == (0, writer.LONGEST_BATCH + 10)
    assert "sipacr stops" in caplog.text


def test_a_store_that_cannot_be_made_yet_is_written_later(tmp_path: Path) -> None:
    path = tmp_path / "later" / "sipacr.db"
    router = Writer(path)
    router.submit(AddToList("white", NUMBER, 1.0))
    until(lambda: router.failures > 0)
    path.parent.mkdir()
    until(lambda: router.written == 1)
    router.close()
    with Database(path) as store:
        assert set(entries(store)) == {NUMBER}


@pytest.mark.parametrize("deleted", [True, False])
def test_what_is_learned_goes_to_the_file_that_is_there_now(
    store: Database, router: Writer, deleted: bool, caplog: pytest.LogCaptureFixture
) -> None:
    router.submit(AddToList("white", "+481", 1.0))
    until(lambda: router.written == 1)
    if deleted:
        store.path.unlink()
    else:
        with Database(store.path.with_name("backup.db")) as backup:
            assert backup.empty_log()
        assert store.empty_log()
        store.path.with_name("backup.db").rename(store.path)
    router.submit(AddToList("white", "+482", 1.0))
    until(lambda: router.written == 2)
    with Database(store.path) as anew:
        assert set(entries(anew)) == {"+482"}
    assert "replaced or deleted" in caplog.text


def test_nothing_is_written_beside_the_log_of_a_replaced_file(store: Database, router: Writer) -> None:
    router.submit(AddToList("white", "+481", 1.0))
    until(lambda: router.written == 1)
    with Database(store.path.with_name("backup.db")) as backup:
        assert backup.empty_log()
    store.path.with_name("backup.db").rename(store.path)
    before = store.path.read_bytes()
    router.submit(AddToList("white", "+482", 1.0))
    until(lambda: router.failures >= 3)
    assert router.written == 1
    assert store.path.read_bytes() == before
    Path(f"{store.path}-wal").unlink()
    Path(f"{store.path}-shm").unlink()
    until(lambda: router.written == 2)


def test_the_log_is_emptied_when_there_is_nothing_to_do(store: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "IDLE", 0.05)
    log = Path(f"{store.path}-wal")
    router = Writer(store.path)
    router.submit(AddToList("white", NUMBER, 1.0))
    until(lambda: router.written == 1)
    until(lambda: log.stat().st_size == 0)
    router.close()
    assert set(entries(store)) == {NUMBER}
