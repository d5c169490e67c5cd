"""The store's file: made, migrated, refused, locked, full, replaced; nothing half-written stays."""

import os
import sqlite3
import threading
from pathlib import Path

import pytest
import sqlite_utils

from sipacr.store import Database, StoreError, database, migrations
from sipacr.store.database import APPLICATION_ID, SCHEMA, check_log_belongs, file_marks


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sipacr.db"


def add_vip(store: Database, customer: str, agent: str = "anna") -> None:
    with store.transaction() as connection:
        connection.execute("INSERT INTO vips VALUES (?, ?, '', 0, 'test')", (customer, agent))


def vips(store: Database) -> list[str]:
    return [row[0] for row in store.connection.execute("SELECT customer FROM vips")]


def test_is_made_at_the_first_start(path: Path) -> None:
    with Database(path) as store:
        execute = store.connection.execute
        assert execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert execute("PRAGMA synchronous").fetchone() == (2,)
        assert execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        assert execute("PRAGMA user_version").fetchone() == (SCHEMA,)
        applied = migrations.steps.applied(sqlite_utils.Database(store.connection))
    assert [step.name for step in applied] == ["first", "records", "clocks", "absences"]


def test_steps_and_version_agree() -> None:
    assert len(migrations.steps._migrations) == SCHEMA


def test_keeps_what_was_written(path: Path) -> None:
    with Database(path) as store:
        add_vip(store, "+48601000111")
    with Database(path) as store:
        assert vips(store) == ["+48601000111"]


def test_many_may_make_it_at_once(path: Path) -> None:
    failures: list[BaseException] = []
    start = threading.Barrier(6)

    def make() -> None:
        start.wait()
        try:
            Database(path).close()
        except StoreError as error:
            failures.append(error)

    threads = [threading.Thread(target=make) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with Database(path) as store:
        assert vips(store) == []


def test_somebody_who_makes_it_just_now_is_waited_for(path: Path) -> None:
    """SQLite itself does not wait when the journal mode is to change."""
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    end = threading.Timer(0.2, other.rollback)
    end.start()
    with Database(path) as store:
        assert vips(store) == []
    end.join()
    other.close()


def test_an_older_file_is_brought_up_to_date(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Database(path) as store:
        add_vip(store, "+48601000111")
    _second_step(monkeypatch, "ALTER TABLE vips ADD COLUMN colour TEXT")
    with Database(path) as store:
        assert store.connection.execute("SELECT customer, colour FROM vips").fetchall() == [("+48601000111", None)]
        assert store.connection.execute("PRAGMA user_version").fetchone() == (SCHEMA + 1,)


def test_a_step_that_fails_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Database(path) as store:
        add_vip(store, "+48601000111")
    with monkeypatch.context() as patched:
        _second_step(patched, "ALTER TABLE vips ADD COLUMN colour TEXT", "ALTER TABLE no_such_table ADD COLUMN x TEXT")
        with pytest.raises(StoreError, match="no such table"):
            Database(path)
    with Database(path) as store:
        columns = [row[1] for row in store.connection.execute("PRAGMA table_info(vips)")]
        assert "colour" not in columns
        assert vips(store) == ["+48601000111"]


def _second_step(monkeypatch: pytest.MonkeyPatch, *statements: str) -> None:
    steps = migrations.Migrations("sipacr")
    steps()(migrations.first)
    steps()(migrations.records)
    steps()(migrations.clocks)

    @steps()
    def second(db: sqlite_utils.Database) -> None:
        for statement in statements:
            db.execute(statement)

    monkeypatch.setattr(migrations, "steps", steps)
    monkeypatch.setattr(migrations, "SCHEMA", SCHEMA + 1)
    monkeypatch.setattr(database, "SCHEMA", SCHEMA + 1)


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.write_text("listen: {udp: ['0.0.0.0:5060']}\n" * 100)
    with pytest.raises(StoreError, match=r"is not a database: move it away, or give another `store: path:`"):
        Database(path)
    assert path.read_text().startswith("listen")


def test_a_database_of_another_program_is_refused_untouched(path: Path) -> None:
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE contacts (name TEXT)")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="the database of another program: give another"):
        Database(path)
    assert path.read_bytes() == before


def test_a_newer_schema_is_refused(path: Path) -> None:
    with Database(path) as store:
        store.connection.execute(f"PRAGMA user_version = {SCHEMA + 7}")
    with pytest.raises(StoreError, match=rf"newer sipacr .*version {SCHEMA + 7}, this one knows {SCHEMA}.*install"):
        Database(path)


def test_a_damaged_file_is_refused(path: Path) -> None:
    with Database(path) as store:
        for number in range(500):
            add_vip(store, f"+4860100{number:04}")
    damaged = bytearray(path.read_bytes())
    damaged[100:4096] = b"\xa5" * 3996
    path.write_bytes(damaged)
    with pytest.raises(StoreError, match=r"damaged .*restore the last backup"), Database(path) as store:
        add_vip(store, "+48601999999")


@pytest.mark.parametrize(
    ("place", "message"),
    [("missing/sipacr.db", "folder .*missing does not exist: make it"), (".", "is a folder: give a file's name")],
)
def test_a_wrong_place_is_told(tmp_path: Path, place: str, message: str) -> None:
    with pytest.raises(StoreError, match=message):
        Database(tmp_path / place)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")
def test_a_folder_or_file_without_write_access_is_told(path: Path) -> None:
    other = path.parent / "other.db"
    Database(other).close()
    for folder in path.parents:
        if folder.stat().st_mode & 0o001 == 0:
            folder.chmod(folder.stat().st_mode | 0o555)
    os.seteuid(65534)
    try:
        with pytest.raises(StoreError, match=r"cannot be opened by user 65534: give it read and write access"):
            Database(path)
        with pytest.raises(StoreError, match=r"by user 65534: give it (read and )?write access"):
            add_vip(Database(other), "+48601000111")
    finally:
        os.seteuid(0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_makes_belongs_to_the_owner_of_the_folder(path: Path) -> None:
    os.chown(path.parent, 1234, 1234)
    with Database(path):
        files = list(path.parent.iterdir())
        assert len(files) == 3
        assert {(file.stat().st_uid, file.stat().st_gid) for file in files} == {(1234, 1234)}


def test_a_full_disk_is_told_and_nothing_stays(path: Path) -> None:
    with Database(path) as store:
        pages = store.connection.execute("PRAGMA page_count").fetchone()[0]
        store.connection.execute(f"PRAGMA max_page_count = {pages + 2}")
        with (
            pytest.raises(StoreError, match=r"the disk of .* is full; free some space and try again"),
            store.transaction() as connection,
        ):
            connection.executemany(
                "INSERT INTO vips VALUES (?, 'anna', '', 0, 'test')", ((f"+48{number}",) for number in range(10_000))
            )
        assert vips(store) == []


def test_a_lock_is_waited_for_and_then_told(path: Path) -> None:
    with Database(path) as one, Database(path, busy_timeout=0.05) as other:
        with one.transaction(), pytest.raises(StoreError, match=r"locked by another program .* try again"):
            add_vip(other, "+48601000111")
        add_vip(other, "+48601000111")
        assert vips(one) == ["+48601000111"]


def test_an_exception_rolls_back(path: Path) -> None:
    with Database(path) as store:
        with pytest.raises(InterruptedError), store.transaction() as connection:
            _add_and_raise(connection)
        assert vips(store) == []
        add_vip(store, "+48601000111")
        with pytest.raises(sqlite3.IntegrityError):
            add_vip(store, "+48601000111")
        assert vips(store) == ["+48601000111"]


def _add_and_raise(connection: sqlite3.Connection) -> None:
    connection.execute("INSERT INTO vips VALUES ('+48601000111', 'anna', '', 0, 'test')")
    raise InterruptedError


def test_the_log_is_emptied_unless_somebody_reads(path: Path) -> None:
    log = Path(f"{path}-wal")
    with Database(path) as store, Database(path) as reader:
        add_vip(store, "+48601000111")
        reader.connection.execute("BEGIN")
        assert vips(reader) == ["+48601000111"]
        assert not store.empty_log()
        assert log.stat().st_size > 0
        reader.connection.execute("COMMIT")
        assert store.empty_log()
        assert log.stat().st_size == 0


def test_a_replaced_file_is_noticed(path: Path) -> None:
    with Database(path.with_name("backup.db")) as backup:
        add_vip(backup, "+48601000222")
    with Database(path) as store:
        add_vip(store, "+48601000111")
        assert not store.is_moved()
        path.with_name("backup.db").rename(path)
        assert store.is_moved()
        with pytest.raises(StoreError, match=r"was replaced while sipacr ran.*stop sipacr, delete sipacr.db-wal"):
            check_log_belongs(path, store.marks)


def test_a_replaced_file_with_an_empty_log_is_taken(path: Path) -> None:
    with Database(path.with_name("backup.db")) as backup:
        add_vip(backup, "+48601000222")
    with Database(path) as store:
        add_vip(store, "+48601000111")
        assert store.empty_log()
        path.with_name("backup.db").rename(path)
        check_log_belongs(path, store.marks)
    with Database(path) as store:
        assert vips(store) == ["+48601000222"]


def test_a_deleted_file_is_noticed(path: Path) -> None:
    with Database(path) as store:
        path.unlink()
        assert store.is_moved()
        assert file_marks(path).database is None
