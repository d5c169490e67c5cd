"""What the routing thread asks of the store. Never waits: what cannot be told at once raises `facts.Unavailable`.

A look-up costs a few microseconds (see `snapshot`), and what a command has written is seen by the next one. Everything
slow, opening and looking after the file, happens on a thread of its own.
"""

import logging
import sqlite3
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sipacr.routing.facts import Binding, ListEntry, Number, Unavailable
from sipacr.store.database import Marks, StoreError, advice, check_log_belongs
from sipacr.store.snapshot import CHANGES, Snapshot

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

_PREPARED = ((_VIP, 1), (_SHARED, 1), (_ANSWERED, 1), (_BINDINGS, 3), (_EXACT, 2), (_PREFIX, 2))  # and their parameters
_FEW = 200  # prefixes of one list; more are not read at once, because each commit of anybody makes them read anew
_PREFIXES = f"SELECT number, target, note, expires FROM list_entries WHERE list = ? AND prefix = 1 LIMIT {_FEW + 1}"

_INTERVAL = 1.0  # seconds between looks at the file, and between attempts to open it


class Reader:
    """The store as decisions see it: `routing.facts.Store`. Look-ups belong to one thread."""

    def __init__(self, path: Path | str, *, watch: bool = True) -> None:
        """Open the store at `path`, which `Database` has made; if that fails, every look-up raises `Unavailable`.

        With `watch`, a thread opens it again after a failure, at most once a second, and looks each second whether the
        file was replaced, deleted or overwritten.
        """
        self.path = Path(path)
        self._why = ""  # nothing can be looked up, or could not before
        self.lost = 0  # how often the store went out of reach
        self._snapshot: Snapshot | None = None
        self._marks: Marks | None = None  # of the files that were read last
        self._stop = threading.Event()
        self._wake = threading.Event()
        self.check()
        self._thread = threading.Thread(target=self._watch, name="sipacr-store-reader", daemon=True)
        if watch:
            self._thread.start()

    @property
    def problem(self) -> str | None:
        """Why nothing can be looked up just now."""
        return None if self._snapshot else self._why

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
        snapshot = self._snapshot
        if snapshot is not None:
            try:
                snapshot.end()
            except sqlite3.Error as error:
                self._lose(snapshot, error)

    def check(self) -> None:
        """Open the store if it is not, and anew if its file is another one. Not for the routing thread: it may wait."""
        snapshot = self._snapshot
        try:
            if snapshot is not None:
                if not snapshot.is_stale():
                    return
                log.warning("%s was replaced or overwritten while in use; it is opened anew", self.path)
            if self._marks is not None:
                check_log_belongs(self.path, self._marks)
            opened = Snapshot(self.path, _PREPARED)
        except (sqlite3.Error, OSError, StoreError) as error:
            self._why = str(error) if isinstance(error, StoreError) else advice(error, self.path)
            self._snapshot = None
            return
        self._marks = opened.marks
        self._snapshot = opened
        if snapshot is None and self._why:
            log.warning("%s can be read again", self.path)

    def close(self) -> None:
        """Look-ups raise `Unavailable` from now on."""
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(2 * _INTERVAL)
        self._why = f"{self.path} is closed"
        self._snapshot = None

    def _rows(self, sql: str, parameters: tuple[str, ...]) -> list[Any]:
        snapshot = self._snapshot
        if snapshot is None:
            raise Unavailable(self._why)
        try:
            if snapshot.index[:CHANGES] != snapshot.seen:
                snapshot.begin()
            return snapshot.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise self._lose(snapshot, error) from error

    def _longest_prefix(self, name: str, text: str, now: float) -> ListEntry | None:
        snapshot = self._snapshot
        if snapshot is None or not snapshot.seen:  # each look-up is a transaction of its own: nothing can be kept
            return self._search_prefix(name, text, now)
        if name not in snapshot.prefixes:
            rows = self._rows(_PREFIXES, (name,))
            snapshot.prefixes[name] = None if len(rows) > _FEW else {row[0]: row for row in rows}
        prefixes = snapshot.prefixes[name]
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

    def _lose(self, snapshot: Snapshot, error: sqlite3.Error) -> Unavailable:
        """The connection failed: until it is open again, look-ups cost nothing."""
        self._why = advice(error, self.path)
        self.lost += 1
        if self._snapshot is snapshot:
            self._snapshot = None
        self._wake.set()
        return Unavailable(self._why)

    def _watch(self) -> None:
        tried = time.monotonic()
        while not self._stop.is_set():
            self._wake.wait(_INTERVAL)
            self._wake.clear()
            if self._snapshot is None:
                self._stop.wait(tried + _INTERVAL - time.monotonic())
                tried = time.monotonic()
            self.check()


def _common_start(one: str, other: str) -> str:
    length = 0
    while length < min(len(one), len(other)) and one[length] == other[length]:
        length += 1
    return one[:length]
