"""What the router writes while calls go on: one thread, batched transactions; the routing thread only hands over."""

import json
import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Protocol

from sipacr.store.database import Database, StoreError

log = logging.getLogger("sipacr.store")

LONGEST_QUEUE = 20_000  # changes that wait for the disk; what comes on top is lost, loudly
LONGEST_BATCH = 500  # changes in one transaction
PAUSE = 0.05  # seconds that a batch collects before it is written
RETRY = 1.0  # seconds after a failure of the whole store


class Change(Protocol):
    """One thing to write. `write` runs on the writer's thread, inside a transaction."""

    def write(self, connection: sqlite3.Connection) -> None: ...


@dataclass(frozen=True, slots=True)
class AddToList:
    """The router adds a caller to a list (`remember`). A live entry stays as it is, an expired one begins anew."""

    list: str
    number: str  # E.164, or raw where there is none
    at: float  # unix seconds
    note: str = ""

    def write(self, connection: sqlite3.Connection) -> None:
        added = connection.execute(
            """
            INSERT INTO list_entries (list, prefix, number, note, changed, by) VALUES (?, 0, ?, ?, ?, 'sipacr')
            ON CONFLICT DO UPDATE SET note = excluded.note, expires = NULL, changed = excluded.changed, by = excluded.by
            WHERE expires <= excluded.changed
            """,
            (self.list, self.number, self.note, self.at),
        ).rowcount
        if added:
            connection.execute(
                "INSERT INTO changes (at, by, what, key, new) VALUES (?, 'sipacr', ?, ?, ?)",
                (self.at, f"list {self.list}", self.number, json.dumps({"note": self.note}, ensure_ascii=False)),
            )


class Writer:
    """The one thread of the router that writes. `submit` never waits; `close` flushes."""

    def __init__(self, path: Path | str, open_database: Callable[[Path], Database] = Database) -> None:
        """Start the thread. The store is opened by it, and again after each failure."""
        self.path = Path(path)
        self.written = 0  # changes in the store
        self.failures = 0  # transactions that failed and were tried again
        self.lost = 0  # changes that were never written: queue full, invalid, or still failing at `close`
        self._open = open_database
        self._queue: SimpleQueue[Change] = SimpleQueue()
        self._closing = threading.Event()
        self._deadline = float("inf")
        self._thread = threading.Thread(target=self._run, name="sipacr-writer", daemon=True)
        self._thread.start()

    def submit(self, change: Change) -> bool:
        """Hand over one change (any thread, never waits). False: it was not taken, and is counted as lost."""
        if self._closing.is_set() or self._queue.qsize() >= LONGEST_QUEUE:
            if self.lost % 1000 == 0:
                log.error("the store is too slow or stopped: %s is not kept (%d lost so far)", change, self.lost + 1)
            self.lost += 1
            return False
        self._queue.put(change)
        return True

    def close(self, timeout: float = 5.0) -> None:
        """Write what waits, then stop. What cannot be written within `timeout` seconds is lost, loudly."""
        self._deadline = time.monotonic() + timeout
        self._closing.set()
        self._thread.join(timeout + 2 * RETRY)

    def _run(self) -> None:
        database: Database | None = None
        while (batch := self._collect()) is not None:
            while batch:
                try:
                    if database is None:
                        database = self._open(self.path)
                        # NORMAL: a power cut may take the last moments that the router learned, never the file.
                        database.connection.execute("PRAGMA synchronous = NORMAL")
                    self._write(database, batch)
                    break
                except (StoreError, sqlite3.Error) as error:
                    self.failures += 1
                    log.error(
                        "the store cannot be written: %s; %d changes wait", error, len(batch) + self._queue.qsize()
                    )
                    if database is not None:
                        database.close()
                        database = None
                    if self._closing.is_set() and time.monotonic() + RETRY > self._deadline:
                        self.lost += len(batch)
                        log.error("%d changes are lost: sipacr stops and the store cannot be written", len(batch))
                        break
                    time.sleep(RETRY)
        if database is not None:
            database.close()

    def _collect(self) -> list[Change] | None:
        """The next batch; None when closing and nothing is left."""
        batch: list[Change] = []
        while not batch:
            try:
                batch.append(self._queue.get(timeout=0.2))
            except Empty:
                if self._closing.is_set():
                    return None
        self._closing.wait(PAUSE)
        while len(batch) < LONGEST_BATCH and not self._queue.empty():
            batch.append(self._queue.get())
        return batch

    def _write(self, database: Database, batch: list[Change]) -> None:
        with database.transaction() as connection:
            for change in batch:
                change.write(connection)
        self.written += len(batch)
