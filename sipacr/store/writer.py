"""What the router writes while calls go on: one thread, batched transactions; the routing thread only hands over."""

import logging
import sqlite3
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Protocol

from sipacr.store.database import Database, Marks, StoreError, check_log_belongs
from sipacr.store.tables import LISTS, Value, get, write

log = logging.getLogger("sipacr.store")
learned = logging.getLogger("sipacr.memory")  # what is in the store now: a crash does not take it

SWITCH = 0.0002  # seconds after which our thread lets that of the calls go on (`sys.setswitchinterval`)
LONGEST_QUEUE = 20_000  # changes that wait for the disk; what comes on top is lost, loudly
LONGEST_BATCH = 500  # changes in one transaction: a few milliseconds of lock
PAUSE = 0.05  # seconds that a batch collects: at most twenty commits a second
RETRY = 1.0  # seconds after a failure
IDLE = 1.0  # seconds without work, after which the log is emptied
PATIENCE = 5.0  # seconds of failures before they are worth a line: an import of 100,000 lines locks the store for less
_SAY_AGAIN = 60.0  # seconds between two lines about the same trouble


class Change(Protocol):
    """One thing to write. `write` runs on the writer's thread inside a transaction, again if that fails; the lines that
    it may return are logged when it is committed."""

    def write(self, connection: sqlite3.Connection) -> Sequence[str] | None: ...


@dataclass(frozen=True, slots=True)
class AddToList:
    """The router adds a caller to a list (`remember`). A live entry stays as it is, an expired one begins anew."""

    list: str
    number: str  # E.164, or raw where there is none
    at: float  # unix seconds
    note: str = ""

    def write(self, connection: sqlite3.Connection) -> None:
        key = (self.number, 0, self.list)
        entry = get(connection, LISTS, key)
        expires = entry["expires"] if entry else 0.0
        if expires is None or float(expires) > self.at:
            return
        values: dict[str, Value] = {"note": self.note, "expires": None, "target": None}
        write(connection, LISTS, [(key, values)], by="sipacr", at=self.at)


class Writer:
    """The one thread of the router that writes. `submit` never waits; `close` flushes."""

    def __init__(self, path: Path | str) -> None:
        """Start the thread. It opens the store when there is something to write, and anew after each failure."""
        self.path = Path(path)
        self.written = 0  # changes that are in the store
        self.failures = 0  # transactions that failed and are tried again
        self._turned_away = 0  # counted by whoever submits
        self._given_up = 0  # counted by the thread
        self._queue: SimpleQueue[Change | None] = SimpleQueue()  # None wakes the thread to close
        self._database: Database | None = None
        self._marks: Marks | None = None  # of the files that were written last
        self._dirty = False  # the log holds something that could be moved into the database
        self._closing = threading.Event()
        self._deadline = 0.0  # monotonic; when closing, the end of all attempts
        self._said: dict[str, float] = {}  # kind of trouble -> when it was logged last
        self._thread = threading.Thread(target=self._run, name="sipacr-store-writer", daemon=True)
        self._thread.start()

    @property
    def lost(self) -> int:
        """Changes that will never be in the store: the queue was full, they were wrong, or `close` could not wait."""
        return self._turned_away + self._given_up

    def submit(self, change: Change) -> bool:
        """Hand over one change; never waits. False: it was not taken, is lost, and that is said and counted."""
        if self._queue.qsize() >= LONGEST_QUEUE or self._closing.is_set():
            self._turned_away += 1
            self._say("full", f"the store is too slow or stopped: {self._turned_away} changes are lost so far")
            return False
        self._queue.put(change)
        return True

    def close(self, timeout: float = 5.0) -> None:
        """Write what waits, then stop. What cannot be written within `timeout` seconds is lost, loudly."""
        self._deadline = time.monotonic() + timeout
        self._closing.set()
        self._queue.put(None)
        self._thread.join(timeout + RETRY)

    def _run(self) -> None:
        while True:
            batch = self._collect()
            if batch:
                self._write(batch)
            elif self._closing.is_set():
                break
            else:
                self._tidy()
        self._drop_database()

    def _collect(self) -> list[Change]:
        """The changes of the next transaction; none if nothing came for a while, or when closing and all is written."""
        batch: list[Change] = []
        try:
            first = self._queue.get(timeout=0 if self._closing.is_set() else IDLE)
            if first is not None:
                batch.append(first)
                self._copy_log()
                self._closing.wait(PAUSE)
            while len(batch) < LONGEST_BATCH:
                if (change := self._queue.get_nowait()) is not None:
                    batch.append(change)
        except Empty:
            pass
        return batch

    def _write(self, batch: list[Change]) -> None:
        """Write all changes of the batch, however long that takes; when closing, until the deadline."""
        start = time.monotonic()
        while True:
            try:
                lines: list[str] = []
                with self._open().transaction() as connection:
                    for change in batch:
                        lines += change.write(connection) or ()
                self.written += len(batch)
                self._dirty = True
                for line in lines:
                    learned.info("%s", line)
                return
            except StoreError as error:
                self.failures += 1
                self._drop_database()
                if time.monotonic() - start >= PATIENCE:
                    waiting = len(batch) + self._queue.qsize()
                    self._say("write", f"the store cannot be written: {error}; {waiting} changes wait for it")
                if self._closing.is_set() and time.monotonic() >= self._deadline:
                    while rest := self._collect():
                        batch += rest
                    self._given_up += len(batch)
                    self._say(
                        "end", f"sipacr stops, the store cannot be written: {error}; {len(batch)} changes are lost"
                    )
                    return
                time.sleep(RETRY if not self._closing.is_set() else RETRY / 10)
            except Exception:
                # A change of which SQLite says that it is wrong, or a mistake of ours: it must not take others with it.
                if len(batch) == 1:
                    log.exception("%s cannot be written and is lost", batch[0])
                    self._given_up += 1
                    return
                for change in batch:
                    self._write([change])
                return

    def _open(self) -> Database:
        """The database, anew if the path leads to another file by now. Raises `StoreError`."""
        if self._database is not None and self._database.is_moved():
            log.warning("%s was replaced or deleted while in use; what is learned goes to the new file", self.path)
            self._drop_database()
        if self._database is None:
            if self._marks is not None:
                check_log_belongs(self.path, self._marks)
            self._database = Database(self.path, busy_timeout=RETRY)
            self._marks = self._database.marks
            # NORMAL: a power cut may take the last moments that the router learned, never the file.
            self._database.connection.execute("PRAGMA synchronous = NORMAL")
        return self._database

    def _copy_log(self) -> None:
        """Between two commits, so that look-ups have moved on to the last one, and move on again before the next."""
        try:
            if self._database is not None:
                self._database.copy_log()
        except StoreError as error:
            self._say("log", f"the log of the store cannot be shortened: {error}")
            self._drop_database()

    def _tidy(self) -> None:
        """Empty the log while there is nothing to do: whoever replaces the file then has no old log beside it."""
        if self._dirty and self._database is not None:
            try:
                self._dirty = not self._database.empty_log()
            except StoreError as error:
                self._say("log", f"the log of the store cannot be emptied: {error}")
                self._drop_database()

    def _drop_database(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None

    def _say(self, kind: str, message: str) -> None:
        """Log, but not each retry and each lost change."""
        now = time.monotonic()
        if now - self._said.get(kind, float("-inf")) >= _SAY_AGAIN:
            self._said[kind] = now
            log.error("%s", message)
