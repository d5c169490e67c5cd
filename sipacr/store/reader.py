"""What the routing thread asks of the store. Never waits: what cannot be told at once raises `facts.Unavailable`.

A look-up costs a few microseconds because the connection stays inside one read transaction, so that no lock is taken
(two system calls) and no header read for each. That the store has changed shows in the WAL index, which SQLite keeps in
shared memory: its first bytes are compared before each look-up, and a difference ends the transaction. So what a
command has written is seen by the next look-up. See "WAL-Index header" in https://sqlite.org/walformat.html.

Everything slow (opening, a file that was replaced) happens on a thread of its own.
"""

import logging
import mmap
import os
import sqlite3
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sipacr.routing.facts import Binding, ListEntry, Number, Unavailable
from sipacr.store.database import StoreError, advice, check_log_belongs, file_marks

log = logging.getLogger("sipacr.store")

_VIP = "SELECT agent FROM vips WHERE customer = ?"
_SHARED = "SELECT 1 FROM shared_numbers WHERE number = ?"
_ANSWERED = "SELECT 1 FROM answered_customers WHERE customer = ?"
_BINDINGS = """
    SELECT agent, made, out_attempt, out_failed, out_answered, in_answered, in_call, conversation, in_progress
    FROM bindings WHERE customer = ? AND profile = ? AND scope = ?
"""
_EXACT = "SELECT target, note, expires FROM list_entries WHERE number = ? AND prefix = 0 AND list = ?"
_PREFIX = """
    SELECT number, target, note, expires FROM list_entries
    WHERE list = ? AND prefix = 1 AND number <= ? ORDER BY number DESC LIMIT 1
"""

_FEW = 200  # prefixes of one list; more are not read at once, because each commit of anybody makes them read anew
_PREFIXES = f"SELECT number, target, note, expires FROM list_entries WHERE list = ? AND prefix = 1 LIMIT {_FEW + 1}"

_CACHE = 4096  # KiB of pages: the upper levels of all trees; more makes RSS grow for longer and gains little
_INTERVAL = 1.0  # seconds between looks at the file, and between attempts to open it
# Both copies of the WAL index header (48 bytes each), and how many frames were copied into the database: after a
# checkpoint the reader must move on too, or the log could never begin anew.
_CHANGES = 100
_INDEX = 136  # bytes of the header with the checkpoint's state, locks included

# Closing any descriptor of a file takes away all locks that the process has on it (POSIX), SQLite's too: what is opened
# here stays open, one file for each store that this process has ever read.
_mapped: dict[tuple[int, int], tuple[int, mmap.mmap]] = {}


class Reader:
    """The store as decisions see it: `routing.facts.Store`. Look-ups belong to one thread."""

    def __init__(self, path: Path | str, *, watch: bool = True) -> None:
        """Open the store at `path`, which `Database` has made; if that fails, every look-up raises `Unavailable`.

        With `watch`, a thread opens it again after a failure, at most once a second, and looks each second whether the
        file was replaced, deleted or overwritten.
        """
        self.path = Path(path)
        self.problem: str | None = None  # why nothing can be looked up just now
        self.lost = 0  # how often the store went out of reach
        self._open: _Open | None = None
        self._stop = threading.Event()
        self._wake = threading.Event()
        self.check()
        self._thread = threading.Thread(target=self._watch, name="sipacr-store-reader", daemon=True)
        if watch:
            self._thread.start()

    def vip(self, customer: str) -> str | None:
        """Name of the agent who is responsible for this VIP, or None if he is none."""
        rows = self._rows(_VIP, (customer,))
        return rows[0][0] if rows else None

    def is_shared(self, customer: str) -> bool:
        """Whether the number is marked as shared by many customers."""
        return bool(self._rows(_SHARED, (customer,)))

    def has_answered_call(self, customer: str) -> bool:
        """Whether an answered call with this customer is known."""
        return bool(self._rows(_ANSWERED, (customer,)))

    def bindings(self, profile: str, scope: str, customer: str) -> Sequence[Binding]:
        """All rows of this customer in one profile and scope, live or not."""
        return [
            Binding._make((profile, scope, customer, *row[:-1], bool(row[-1])))
            for row in self._rows(_BINDINGS, (customer, profile, scope))
        ]

    def list_entry(self, name: str, number: Number, now: float) -> ListEntry | None:
        """The live entry of list `name` that holds this number: exact before longest prefix, E.164 before raw."""
        texts = (number.text,) if number.e164 in (None, number.text) else (number.e164, number.text)
        for text in texts:
            for target, note, expires in self._rows(_EXACT, (text, name)):
                if expires is None or expires > now:
                    return ListEntry(text, target, note)
        found = [entry for text in texts if (entry := self._longest_prefix(name, text, now))]
        return max(found, key=lambda entry: len(entry.number)) if found else None

    def release(self) -> None:
        """Let go of the snapshot, so that the log can be emptied while no calls come.

        For a timer of the routing thread. Without it nothing breaks, but a quiet night of imports makes the log grow.
        """
        opened = self._open
        if opened is not None:
            try:
                opened.end()
            except sqlite3.Error as error:
                self._lose(opened, error)

    def check(self) -> None:
        """Open the store if it is not, and anew if its file is another one. Not for the routing thread: it may wait."""
        opened = self._open
        try:
            if opened is not None:
                if not opened.is_stale():
                    return
                log.warning("%s was replaced or overwritten while in use; it is opened anew", self.path)
                check_log_belongs(self.path, opened.marks)
            self._open = _Open(self.path)
        except (sqlite3.Error, OSError, StoreError) as error:
            self.problem = str(error) if isinstance(error, StoreError) else advice(error, self.path)
            self._open = None
            return
        if self.problem is not None:
            log.warning("%s can be read again", self.path)
            self.problem = None

    def close(self) -> None:
        """Look-ups raise `Unavailable` from now on."""
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(2 * _INTERVAL)
        self.problem = f"{self.path} is closed"
        self._open = None

    def _rows(self, sql: str, parameters: tuple[str, ...]) -> list[Any]:
        opened = self._open
        if opened is None:
            raise Unavailable(self.problem or f"{self.path} is closed")
        try:
            if opened.index[:_CHANGES] != opened.seen:
                opened.begin()
            return opened.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise self._lose(opened, error) from error

    def _longest_prefix(self, name: str, text: str, now: float) -> ListEntry | None:
        opened = self._open
        if opened is None or not opened.seen:  # each look-up is a transaction of its own: nothing can be kept
            return self._search_prefix(name, text, now)
        if name not in opened.prefixes:
            rows = self._rows(_PREFIXES, (name,))
            opened.prefixes[name] = None if len(rows) > _FEW else {row[0]: row for row in rows}
        prefixes = opened.prefixes[name]
        if prefixes is None:
            return self._search_prefix(name, text, now)
        if prefixes:
            for length in range(len(text), 0, -1):
                row = prefixes.get(text[:length])
                if row is not None and (row[3] is None or row[3] > now):
                    return ListEntry(row[0] + "*", row[1], row[2])
        return None

    def _search_prefix(self, name: str, text: str, now: float) -> ListEntry | None:
        """Go down from `text`: the greatest prefix not above it is one of its own, or shows how far both agree."""
        bound = text
        while bound:
            rows = self._rows(_PREFIX, (name, bound))
            if not rows:
                return None
            prefix, target, note, expires = rows[0]
            if not text.startswith(prefix):
                bound = _common_start(prefix, bound)
            elif expires is None or expires > now:
                return ListEntry(prefix + "*", target, note)
            else:
                bound = prefix[:-1]
        return None

    def _lose(self, opened: "_Open", error: sqlite3.Error) -> Unavailable:
        """The connection failed: until it is open again, look-ups cost nothing."""
        self.problem = advice(error, self.path)
        self.lost += 1
        if self._open is opened:
            self._open = None
        self._wake.set()
        return Unavailable(self.problem)

    def _watch(self) -> None:
        tried = time.monotonic()
        while not self._stop.is_set():
            self._wake.wait(_INTERVAL)
            self._wake.clear()
            if self._open is None:
                self._stop.wait(tried + _INTERVAL - time.monotonic())
                tried = time.monotonic()
            self.check()


def _common_start(one: str, other: str) -> str:
    length = 0
    while length < min(len(one), len(other)) and one[length] == other[length]:
        length += 1
    return one[:length]


class _Open:
    """An open connection with its view of the WAL index."""

    __slots__ = ("_checkpointed", "_connection", "_file", "_path", "execute", "index", "marks", "prefixes", "seen")

    def __init__(self, path: Path) -> None:
        """Raises `sqlite3.Error`, `OSError`."""
        self._path = path
        self._connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro",
            uri=True,
            timeout=0,  # "busy" is an answer too; nothing may wait on the way of a call
            isolation_level=None,
            check_same_thread=False,  # opened by the watching thread, used by the routing thread
        )
        # One cursor for all: making one costs as much as a quarter of a look-up.
        self.execute = self._connection.cursor().execute
        self.execute(f"PRAGMA cache_size = -{_CACHE}")
        # No mmap: what it touches counts as RSS, and a truncated file or a failing disk would end the process (SIGBUS).
        self.execute("PRAGMA mmap_size = 0").fetchall()
        for sql, count in ((_VIP, 1), (_SHARED, 1), (_ANSWERED, 1), (_BINDINGS, 3), (_EXACT, 2), (_PREFIX, 2)):
            self.execute(sql, ("",) * count).fetchall()  # the tables are there, and the statements are prepared
        self.index = _wal_index(path)
        self.seen = b""  # nothing: the first look-up begins a transaction
        self.prefixes: dict[str, dict[str, Any] | None] = {}  # of lists with few of them, as long as the snapshot
        self.marks = file_marks(path)
        self._file = _touched(path)
        self._checkpointed = self.index[:_INDEX]

    def begin(self) -> None:
        """Start a new snapshot."""
        seen = self.index[:_CHANGES]  # read first, so that the next look-up notices a change that came in between
        if self._connection.in_transaction:
            self.execute("COMMIT")
        self.execute("BEGIN")
        self.prefixes = {}
        self.seen = seen

    def end(self) -> None:
        """Give the snapshot up."""
        if self._connection.in_transaction:
            self.execute("COMMIT")
            self.seen = b""

    def is_stale(self) -> bool:
        """Whether the path leads to another file by now, or somebody else than SQLite wrote into this one.

        Only a checkpoint writes into the database, and it shows in the index.
        """
        if file_marks(self._path)[:2] != self.marks[:2]:
            return True
        before, file, after = self.index[:_INDEX], _touched(self._path), self.index[:_INDEX]
        settled = before == after and _frames(before, 96) == _frames(before, 128)
        same = _without_locks(before) == _without_locks(self._checkpointed)
        overwritten = settled and same and file != self._file
        self._file, self._checkpointed = file, before
        return overwritten


def _frames(index: bytes, offset: int) -> bytes:
    return index[offset : offset + 4]


def _without_locks(index: bytes) -> bytes:
    """The index header without the marks of readers, which come and go."""
    return index[:_CHANGES] + index[128:]


def _touched(path: Path) -> tuple[int, int]:
    """When the file was written last, and its size."""
    status = path.stat()
    return status.st_mtime_ns, status.st_size


def _wal_index(path: Path) -> "mmap.mmap | bytes":
    """The WAL index in shared memory. Empty if there is none: then nothing ever differs, no transaction begins, and
    each look-up is one of its own."""
    name = f"{path}-shm"
    try:
        status = os.stat(name)
        key = (status.st_dev, status.st_ino)
        if key not in _mapped:
            descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
            _mapped[key] = (descriptor, mmap.mmap(descriptor, _INDEX, prot=mmap.PROT_READ))
    except (OSError, ValueError):  # ValueError: shorter than the header
        return b""
    return _mapped[key][1]
