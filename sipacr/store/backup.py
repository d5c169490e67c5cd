"""Copies the store while it is in use: one state of it, whole, put in place only when all of it is there."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from sipacr.store.database import APPLICATION_ID, Database, StoreError, advice

_PAGES = 2560  # of 4 KiB in one step: some milliseconds between two words about how far it is


class BackupRefused(Exception):
    """The file that a backup would replace is none of ours; the message says so."""


def backup(database: Database, target: Path, progress: Callable[[int, int], None]) -> int:
    """Copy the store as it is now to the file `target`, which may be an older copy; its size in bytes.

    Nobody waits for it: the copy reads one snapshot, and those who write go on in the log. `progress` is told how many
    pages are done, and of how many. Raises `BackupRefused`, or `StoreError` if one of the two files fails.
    """
    _check_target(database.path, target)
    fresh = target.with_name(f"{target.name}.new")
    try:
        fresh.unlink(missing_ok=True)
        os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))  # it holds customers' numbers
        with closing(sqlite3.connect(fresh, isolation_level=None)) as copy:
            _copy(database, copy, progress)
        _to_disk(fresh)
        os.replace(fresh, target)
        return target.stat().st_size
    except sqlite3.Error as error:
        raise StoreError(f"the backup has failed: {advice(error, fresh)}") from error
    except OSError as error:
        raise StoreError(f"the backup has failed: {fresh}: {error.strerror}") from error
    finally:
        for leftover in (fresh, *(Path(f"{fresh}{end}") for end in ("-wal", "-shm", "-journal"))):
            leftover.unlink(missing_ok=True)


def _copy(database: Database, copy: sqlite3.Connection, progress: Callable[[int, int], None]) -> None:
    """Within one transaction that reads: SQLite would begin anew after each commit of somebody else."""
    source = database.connection
    source.execute("BEGIN")
    try:
        source.execute("SELECT count(*) FROM sqlite_master").fetchone()
        source.backup(copy, pages=_PAGES, progress=lambda _, left, total: progress(total - left, total), sleep=0)
    finally:
        source.execute("ROLLBACK")


def _check_target(store: Path, target: Path) -> None:
    if not target.exists():
        return
    if target.samefile(store):
        raise BackupRefused(f"{target} is the store itself: give the copy another name")
    with target.open("rb") as file:
        header = file.read(100)
    if not header.startswith(b"SQLite format 3\0") or int.from_bytes(header[68:72], "big") != APPLICATION_ID:
        raise BackupRefused(f"{target} is no copy of a store and is not overwritten: give another name, or remove it")


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
