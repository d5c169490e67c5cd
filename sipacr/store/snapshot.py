"""A connection that stays inside one read transaction until the store changes, which it sees in shared memory.

SQLite keeps the index of its write-ahead log (WAL) in a file that all its processes map: "WAL-Index header" in
https://sqlite.org/walformat.html. Every commit and checkpoint changes the first bytes, so comparing them tells whether
the snapshot still is the newest. Saved with each look-up: two system calls for locks, and reading the header.
"""

import fcntl
import mmap
import os
import sqlite3
import struct
from pathlib import Path
from typing import Any, Literal, NamedTuple

from sipacr.routing.facts import Unavailable
from sipacr.store.database import file_marks

_CACHE = 4096  # KiB of pages: the upper levels of all trees; more makes RSS grow for longer and gains little
# Both copies of the WAL index header (48 bytes each), and how many frames were copied into the database: after a
# checkpoint the reader must move on too, or the log could never begin anew.
CHANGES = 100
_INDEX = 136  # bytes of the header with the checkpoint's state, locks included
_FLOCK = struct.Struct("hh4xqqi4x")  # struct flock of Linux on x86_64: type, whence, start, length, process
_MARKS = (124, 4)  # the bytes of the WAL index that SQLite locks for readers: first, and how many
_ATTEMPTS = 50  # a log that begins anew holds them for microseconds; an attempt takes two

# Closing any descriptor of a file takes away all locks that the process has on it (POSIX), SQLite's too: what is opened
# here stays open, one file for each store that this process has ever read.
_mapped: dict[tuple[int, int], tuple[int, mmap.mmap]] = {}


class Entries(NamedTuple):
    """What the lists hold, all of them together."""

    any: bool
    raw: bool  # numbers and prefixes that do not start with "+"


class Snapshot:
    """An open connection with its view of the WAL index."""

    __slots__ = (
        "_checkpointed",
        "_connection",
        "_descriptor",
        "_file",
        "_path",
        "caller",
        "customer",
        "entries",
        "execute",
        "index",
        "known",
        "marks",
        "of_customer",
        "on_lists",
        "prefixes",
        "seen",
    )

    def __init__(self, path: Path, statements: tuple[tuple[str, int], ...]) -> None:
        """Open the store at `path`, and run each of the statements once with so many empty texts.

        Raises `sqlite3.Error`, `OSError`.
        """
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
        for sql, count in statements:
            self.execute(sql, ("",) * count).fetchall()
        self._descriptor, self.index = _wal_index(path)
        self.seen = b""  # nothing: the first look-up begins a transaction
        # What was read stays true as long as it lasts. Without shared memory `seen` stays empty, nothing is kept.
        self.forget()
        self.marks = file_marks(path)
        self._file = _touched(path)
        self._checkpointed = self.index[:_INDEX]

    def begin(self) -> None:
        """Start a new snapshot, or keep the old one while another process shuts readers out.

        SQLite itself would try again for ten seconds, whatever its timeout. Raises `Unavailable` if there is none.
        """
        seen = self.index[:CHANGES]  # read first, so that the next look-up notices a change that came in between
        if self._connection.in_transaction:
            if self._shut_out_by():
                return
            self.execute("COMMIT")
        else:
            for _ in range(_ATTEMPTS):
                holder = self._shut_out_by()
                if not holder:
                    break
            else:
                raise Unavailable(f"{self._path} is locked by process {holder}: end it if it hangs")
        self.execute("BEGIN")
        self.forget()
        self.seen = seen

    def forget(self) -> None:
        """Drop what was read from the snapshot."""
        self.caller: str | None = None  # who was asked about last
        self.known: str | Literal[0] | None = None  # a VIP's agent; 0: he is no VIP but has bindings
        self.on_lists: list[Any] = []  # the entries of his exact number
        self.customer: str | None = None  # whose bindings were asked for last
        self.of_customer: list[Any] = []
        self.entries: Entries | None = None
        self.prefixes: dict[str, dict[str, Any] | None] = {}  # of lists with few of them

    def _shut_out_by(self) -> int:
        """The process that holds marks of readers for itself, or 0."""
        if self._descriptor is None:
            return 0
        asked = _FLOCK.pack(fcntl.F_RDLCK, os.SEEK_SET, *_MARKS, 0)
        kind, _, _, _, holder = _FLOCK.unpack(fcntl.fcntl(self._descriptor, fcntl.F_GETLK, asked))
        return 0 if kind == fcntl.F_UNLCK else int(holder)

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
    return index[:CHANGES] + index[128:]


def _touched(path: Path) -> tuple[int, int]:
    """When the file was written last, and its size."""
    status = path.stat()
    return status.st_mtime_ns, status.st_size


def _wal_index(path: Path) -> "tuple[int | None, mmap.mmap | bytes]":
    """The WAL index in shared memory: its descriptor, for asking who locks it, and its header.

    None and nothing if there is none: then nothing ever differs, no transaction begins, each look-up is one of its own.
    """
    name = f"{path}-shm"
    try:
        status = os.stat(name)
        key = (status.st_dev, status.st_ino)
        if key not in _mapped:
            descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
            _mapped[key] = (descriptor, mmap.mmap(descriptor, _INDEX, prot=mmap.PROT_READ))
    except (OSError, ValueError):  # ValueError: shorter than the header
        return None, b""
    return _mapped[key]
