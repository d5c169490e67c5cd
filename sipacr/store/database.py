"""Opens the store for writing: makes the file at the first start, refuses a foreign one, updates its tables."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

APPLICATION_ID = 0x53495041  # "SIPA" in the header of the file: it is ours
SCHEMA = 4  # number of migration steps; kept in `user_version`, so that an up-to-date file costs one read at the start
BUSY_TIMEOUT = 5.0  # seconds that a command waits for another writer; an import of 100,000 lines takes less
LONG_LOG = 4_000_000  # bytes of the write-ahead log from which its content is copied into the database


class StoreError(Exception):
    """The store cannot be reached or written; the message says why and what to do."""


def advice(error: sqlite3.Error | OSError, path: Path) -> str:
    """What went wrong with the file at `path`, and what to do about it, in one sentence."""
    name = getattr(error, "sqlite_errorname", "") or ""
    folder = path.parent
    if name == "SQLITE_NOTADB":
        return f"{path} is not a database: move it away, or give another `store: path:` in sipacr.yaml"
    if name.startswith("SQLITE_CORRUPT"):
        return f"{path} is damaged ({error}): stop sipacr, keep a copy, and restore the last backup"
    if name == "SQLITE_FULL":
        return f"{path} cannot grow: the disk of {folder} is full; free some space and try again"
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return f"{path} is locked by another program ({error}): wait for it to finish, or end it, and try again"
    if name.startswith(("SQLITE_READONLY", "SQLITE_PERM")):
        return f"{path} cannot be written by user {os.geteuid()}: give it write access to the file and to {folder}"
    if name.startswith("SQLITE_CANTOPEN") or isinstance(error, PermissionError):
        if not folder.is_dir():
            return f"the folder {folder} does not exist: make it, or give another `store: path:` in sipacr.yaml"
        if path.is_dir():
            return f"{path} is a folder: give a file's name as `store: path:` in sipacr.yaml"
        if not path.exists() and os.access(folder, os.W_OK, effective_ids=True):
            return f"{path} does not exist: restore it from a backup; to start anew, sipacr vip show makes an empty one"
        return (
            f"{path} cannot be opened by user {os.geteuid()}: give it read and write access to the file and to {folder}"
        )
    if name.startswith("SQLITE_IOERR"):
        return f"{path} cannot be read or written ({error}): check the disk of {folder} (full? failing? unmounted?)"
    return f"{path}: {error}"


class Marks(NamedTuple):
    """Which files a path leads to: device and inode, None where there is none."""

    database: tuple[int, int] | None
    shared: tuple[int, int] | None  # the index of the log, in shared memory
    log: tuple[int, int] | None  # the write-ahead log


def file_marks(path: Path) -> Marks:
    """The files of a store as they are now. Raises `OSError` only where a folder cannot be searched."""
    return Marks(_mark(path), _mark(Path(f"{path}-shm")), _mark(Path(f"{path}-wal")))


def check_log_belongs(path: Path, before: Marks) -> None:
    """Raise `StoreError` if the database was replaced but the log of the old one lies beside it: SQLite would write the
    old pages into the new file."""
    now = file_marks(path)
    log = Path(f"{path}-wal")
    if None not in (now.database, now.log) and now.database != before.database and now.log == before.log:
        if log.stat().st_size == 0:
            return
        raise StoreError(
            f"{path} was replaced while sipacr ran, and {log.name} beside it still belongs to the old file: "
            f"stop sipacr, delete {log.name} and {path.name}-shm, put the file there again, and start sipacr"
        )


def _mark(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


class Database:
    """A connection that writes. Not for the routing thread: it waits for locks and for the disk."""

    def __init__(self, path: Path | str, *, busy_timeout: float = BUSY_TIMEOUT) -> None:
        """Open the store at `path`, making it if it does not exist. Raises `StoreError`.

        `busy_timeout`: seconds to wait for another writer.
        """
        self.path = Path(path)
        self._busy_timeout = busy_timeout
        try:
            # FULL: what a person was told is saved must survive a power cut. The router's own writer relaxes it.
            self.connection = sqlite3.connect(self.path, timeout=busy_timeout, isolation_level=None)
        except (sqlite3.Error, OSError) as error:
            raise StoreError(advice(error, self.path)) from error
        try:
            self._prepare()
            self.marks = file_marks(self.path)
        except sqlite3.Error as error:
            self.connection.close()
            raise StoreError(advice(error, self.path)) from error
        except StoreError:
            self.connection.close()
            raise

    def _prepare(self) -> None:
        version = self._version()
        if version == SCHEMA:
            return
        if version == 0:
            self._use_wal()
            _give_to_owner_of_folder(self.path)
        from sipacr.store.migrations import migrate  # takes 0.1 s to import, needed once in the life of a file

        with self.transaction():  # another process may have been faster; then nothing is left to do
            migrate(self.connection)

    def _version(self) -> int:
        """Number of migration steps that the file has, 0 if it is new. Raises `StoreError` if it is not ours."""
        execute = self.connection.execute
        application = int(execute("PRAGMA application_id").fetchone()[0])
        version = int(execute("PRAGMA user_version").fetchone()[0])
        if application != APPLICATION_ID:
            if application or version or execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                raise StoreError(
                    f"{self.path} is the database of another program: give another `store: path:` in sipacr.yaml"
                )
            return 0
        if version > SCHEMA:
            raise StoreError(
                f"{self.path} was made by a newer sipacr (its tables are version {version}, this one knows {SCHEMA}): "
                "install that version again, or restore a backup from before the upgrade"
            )
        return version

    def _use_wal(self) -> None:
        """Readers never wait for the writer nor the writer for readers. SQLite answers "busy" here without waiting."""
        deadline = time.monotonic() + BUSY_TIMEOUT
        while True:
            try:
                mode = self.connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            except sqlite3.OperationalError as error:
                if error.sqlite_errorname != "SQLITE_BUSY" or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
                continue
            if mode != "wal":
                raise StoreError(
                    f"{self.path}: the file system has no shared memory (a network drive?): use a local disk"
                )
            return

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing. The write lock is taken at the start, so that what is read inside cannot change under us.

        Any exception rolls back. Raises `StoreError` if the lock or the disk is not to be had; what SQLite says of a
        statement or a value that is wrong comes through as it is.
        """
        try:
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield self.connection
                self.connection.execute("COMMIT")
            finally:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
        except (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.DataError):
            raise
        except sqlite3.Error as error:
            raise StoreError(advice(error, self.path)) from error

    def is_moved(self) -> bool:
        """Whether the path leads to another file by now, so that what is written here would be lost."""
        return file_marks(self.path)[:2] != self.marks[:2]

    def copy_log(self) -> None:
        """Copy into the database what is in the log, if that is long, without waiting for anybody.

        SQLite does so after a commit too, but by then those who read are one commit behind, which spares the newest
        part; a log of which a part is left is never begun anew. Raises `StoreError`.
        """
        try:
            if os.stat(f"{self.path}-wal").st_size > LONG_LOG:
                self.connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except (sqlite3.Error, OSError) as error:
            raise StoreError(advice(error, self.path)) from error

    def empty_log(self) -> bool:
        """Move the log into the database and cut it to nothing. False: somebody reads from it still, try again later.

        Does not wait, because it would keep other writers waiting too. Raises `StoreError`.
        """
        execute = self.connection.execute
        try:
            execute("PRAGMA busy_timeout = 0")
            busy = execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            execute(f"PRAGMA busy_timeout = {round(1000 * self._busy_timeout)}")
        except sqlite3.Error as error:
            raise StoreError(advice(error, self.path)) from error
        return not busy

    def close(self) -> None:
        self.connection.close()

    def __enter__(self) -> "Database":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _give_to_owner_of_folder(path: Path) -> None:
    """A store that root makes by a command must still be writable for the user that runs the router."""
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.chown(path, owner.st_uid, owner.st_gid)
