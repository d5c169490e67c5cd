"""Opens the store for writing: makes the file at the first start, refuses a foreign one, updates its tables."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

APPLICATION_ID = 0x53495041  # "SIPA" in the header of the file: it is ours
SCHEMA = 1  # number of migration steps; kept in `user_version`, so that an up-to-date file costs one read at the start
BUSY_TIMEOUT = (
    5.0  # seconds that a command waits for another writer; an import of 100,000 lines holds the lock for less
)


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
        return (
            f"{path} cannot be opened by user {os.geteuid()}: give it read and write access to the file and to {folder}"
        )
    if name.startswith("SQLITE_IOERR"):
        return f"{path} cannot be read or written ({error}): check the disk of {folder} (full? failing? unmounted?)"
    return f"{path}: {error}"


class Database:
    """A connection that writes. Not for the routing thread: it waits for locks and for the disk."""

    def __init__(self, path: Path | str, *, busy_timeout: float = BUSY_TIMEOUT) -> None:
        """Open the store at `path`, making it if it does not exist. Raises `StoreError`."""
        self.path = Path(path)
        try:
            # FULL: what a person was told is saved must survive a power cut. The router's own writer relaxes it.
            self.connection = sqlite3.connect(self.path, timeout=busy_timeout, isolation_level=None)
        except (sqlite3.Error, OSError) as error:
            raise StoreError(advice(error, self.path)) from error
        try:
            self._prepare()
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

        with self.transaction():
            if self._version() != SCHEMA:  # another process may have been faster
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

        Raises `StoreError` if the lock or the disk is not to be had; any exception rolls back.
        """
        try:
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield self.connection
                self.connection.execute("COMMIT")
            finally:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise StoreError(advice(error, self.path)) from error

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
