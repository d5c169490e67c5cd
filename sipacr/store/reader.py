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

from sipacr.routing.facts import Absence, Binding, ListEntry, Number, Unavailable
from sipacr.store.database import Marks, StoreError, advice, check_log_belongs
from sipacr.store.snapshot import CHANGES, Entries, Snapshot

log = logging.getLogger("sipacr.store")

# Two statements for all that is known of one customer: to execute one costs as much as to search in a table, and so do
# two columns of what was found. The first says of whom the second need not be asked.
_KNOWN = """
    SELECT agent FROM vips WHERE customer = ?1
    UNION ALL SELECT 0 FROM bindings WHERE customer = ?1
    LIMIT 1
"""
_KNOWN_AND_LISTS = """
    SELECT agent, '', '', NULL FROM vips WHERE customer = ?1
    UNION ALL SELECT 0, '', '', NULL FROM bindings WHERE customer = ?1
    UNION ALL SELECT target, list, note, expires FROM list_entries WHERE number = ?1 AND prefix = 0
"""
_SHARED_AND_BOUND = """
    SELECT '', '', '', 0 FROM shared_numbers WHERE number = ?1
    UNION ALL SELECT profile, scope, agent, made FROM bindings WHERE customer = ?1
"""
_BINDINGS = """
    SELECT agent, made, out_attempt, out_failed, out_answered, in_answered, in_call, conversation, in_progress, since,
        calling
    FROM bindings WHERE customer = ? AND profile = ? AND scope = ?
"""
_ANSWERED = "SELECT 1 FROM answered_customers WHERE customer = ?"
_EXACT = "SELECT target, note, expires FROM list_entries WHERE number = ? AND prefix = 0 AND list = ?"
# Are there entries of numbers, and such as are no E.164? "+" is followed by "," in the order of texts.
_ENTRIES = """
    SELECT EXISTS (SELECT 1 FROM list_entries),
        EXISTS (SELECT 1 FROM list_entries WHERE number < '+')
        OR EXISTS (SELECT 1 FROM list_entries WHERE number >= ',')
"""
_PREFIX = """
    SELECT number, target, note, expires FROM list_entries
    WHERE list = ? AND prefix = 1 AND number <= ? ORDER BY number DESC LIMIT 1
"""

_ABSENCES = "SELECT agent, since, until, successor FROM absences"

_PREPARED = (  # and their parameters
    (_KNOWN, 1), (_KNOWN_AND_LISTS, 1), (_SHARED_AND_BOUND, 1), (_BINDINGS, 3), (_ANSWERED, 1),
    (_EXACT, 2), (_ENTRIES, 0), (_PREFIX, 2), (_ABSENCES, 0),
)  # fmt: skip
_FEW = 200  # prefixes of one list; more are not read at once, because each commit of anybody makes them read anew
_PREFIXES = f"SELECT number, target, note, expires FROM list_entries WHERE list = ? AND prefix = 1 LIMIT {_FEW + 1}"

_HEADER = slice(CHANGES)
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
        self._watching = threading.Thread(target=self._watch, name="sipacr-store-reader", daemon=True)
        if watch:
            self._watching.start()

    @property
    def problem(self) -> str | None:
        """Why nothing can be looked up just now."""
        return None if self._snapshot else self._why

    def vip(self, customer: str) -> str | None:
        """Name of the agent who is responsible for this VIP, or None if he is none."""
        snapshot = self._snapshot
        if snapshot is None or snapshot.index[_HEADER] != snapshot.seen:
            snapshot = self._newest()
        if snapshot.caller != customer:
            self._read_caller(snapshot, customer)
        return snapshot.known or None

    def is_shared(self, customer: str) -> bool:
        """Whether the number is marked as shared by many customers."""
        snapshot = self._snapshot
        if snapshot is None or snapshot.index[_HEADER] != snapshot.seen:
            snapshot = self._newest()
        rows = snapshot.of_customer if snapshot.customer == customer else self._read_customer(snapshot, customer)
        return bool(rows) and not rows[0][0]

    def has_answered_call(self, customer: str) -> bool:
        """Whether an answered call with this customer is known."""
        return bool(self._rows(self._newest(), _ANSWERED, (customer,)))

    def bound(self, profile: str, scope: str, customer: str) -> Sequence[tuple[str, float]]:
        """Of each row of `bindings` the agent and when it was made."""
        snapshot = self._snapshot
        if snapshot is None or snapshot.index[_HEADER] != snapshot.seen:
            snapshot = self._newest()
        if snapshot.caller == customer and snapshot.known is None:
            return ()
        rows = snapshot.of_customer if snapshot.customer == customer else self._read_customer(snapshot, customer)
        return [row[2:] for row in rows if row[0] == profile and row[1] == scope]

    def bindings(self, profile: str, scope: str, customer: str) -> Sequence[Binding]:
        """All rows of this customer in one profile and scope, live or not."""
        rows = self._rows(self._newest(), _BINDINGS, (customer, profile, scope))
        return [Binding._make((profile, scope, customer, *row[:8], row[8] == 1, row[9], row[10] == 1)) for row in rows]

    def list_entry(self, name: str, number: Number, now: float) -> ListEntry | None:
        """The live entry of list `name` that holds this number: exact before longest prefix, E.164 before raw."""
        snapshot = self._snapshot
        if snapshot is None or snapshot.index[_HEADER] != snapshot.seen:
            snapshot = self._newest()
        entries = snapshot.entries or self._read_entries(snapshot)
        if not entries.any:
            return None
        _, raw, e164 = number
        text = e164 or raw
        if snapshot.caller != text:
            self._read_caller(snapshot, text)
        for target, named, note, expires in snapshot.on_lists:
            if named == name and (expires is None or expires > now):
                return ListEntry(text, target, note)
        if raw == text:
            return self._longest_prefix(snapshot, name, text, now)
        if entries.raw or raw.startswith("+"):
            for target, note, expires in self._rows(snapshot, _EXACT, (raw, name)):
                if expires is None or expires > now:
                    return ListEntry(raw, target, note)
        found = [entry for text in (text, raw) if (entry := self._longest_prefix(snapshot, name, text, now))]
        return max(found, key=lambda entry: len(entry.number)) if found else None

    def absences(self) -> Sequence[Absence]:
        """All absences of agents, past ones too."""
        return [Absence._make(row) for row in self._rows(self._newest(), _ABSENCES, ())]

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
        if self._watching.is_alive():
            self._watching.join(2 * _INTERVAL)
        self._why = f"{self.path} is closed"
        self._snapshot = None

    def _newest(self) -> Snapshot:
        """The snapshot for one look-up, which sees all that was committed before. Raises `Unavailable`."""
        snapshot = self._snapshot
        if snapshot is None:
            raise Unavailable(self._why)
        if snapshot.index[_HEADER] != snapshot.seen:
            try:
                snapshot.begin()
            except sqlite3.Error as error:
                raise self._lose(snapshot, error) from error
        return snapshot

    def _rows(self, snapshot: Snapshot, sql: str, parameters: tuple[str, ...]) -> list[Any]:
        try:
            return snapshot.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise self._lose(snapshot, error) from error

    def _read_caller(self, snapshot: Snapshot, customer: str) -> None:
        """What the customer is, and the entries of his exact number."""
        entries = snapshot.entries or self._read_entries(snapshot)
        if entries.any:
            rows = self._rows(snapshot, _KNOWN_AND_LISTS, (customer,))
            snapshot.known = rows[0][0] if rows and not rows[0][1] else None
            snapshot.on_lists = [row for row in rows if row[1]]
        else:
            try:
                row = snapshot.execute(_KNOWN, (customer,)).fetchone()
            except sqlite3.Error as error:
                raise self._lose(snapshot, error) from error
            snapshot.known = row and row[0]
        snapshot.caller = customer if snapshot.seen else None

    def _read_customer(self, snapshot: Snapshot, customer: str) -> list[Any]:
        """All that the customer is bound to, after a row without a profile if the number is shared."""
        rows = self._rows(snapshot, _SHARED_AND_BOUND, (customer,))
        if snapshot.seen:
            snapshot.customer, snapshot.of_customer = customer, rows
        return rows

    def _read_entries(self, snapshot: Snapshot) -> Entries:
        """Which entries the lists have at all."""
        if not snapshot.seen:  # each statement is a transaction of its own: what one says, the next must not trust
            return Entries(True, True)
        snapshot.entries = Entries(*map(bool, self._rows(snapshot, _ENTRIES, ())[0]))
        return snapshot.entries

    def _longest_prefix(self, snapshot: Snapshot, name: str, text: str, now: float) -> ListEntry | None:
        if not snapshot.seen:
            return self._search_prefix(snapshot, name, text, now)
        if name not in snapshot.prefixes:
            rows = self._rows(snapshot, _PREFIXES, (name,))
            snapshot.prefixes[name] = None if len(rows) > _FEW else {row[0]: row for row in rows}
        prefixes = snapshot.prefixes[name]
        if prefixes is None:
            return self._search_prefix(snapshot, name, text, now)
        if prefixes:
            for length in range(len(text), 0, -1):
                row = prefixes.get(text[:length])
                if row is not None and (row[3] is None or row[3] > now):
                    return ListEntry(row[0] + "*", row[1], row[2])
        return None

    def _search_prefix(self, snapshot: Snapshot, name: str, text: str, now: float) -> ListEntry | None:
        """Go down from `text`: the greatest prefix not above it is one of its own, or shows how far both agree."""
        bound = text
        while bound:
            rows = self._rows(snapshot, _PREFIX, (name, bound))
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
