"""What the routing thread asks of the store. Never waits: what cannot be told at once raises `facts.Unavailable`."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from sipacr.routing.facts import Binding, ListEntry, Number, Unavailable
from sipacr.store.database import advice

_VIP = "SELECT agent FROM vips WHERE customer = ?"
_SHARED = "SELECT 1 FROM shared_numbers WHERE number = ?"
_ANSWERED = "SELECT 1 FROM answered_customers WHERE customer = ?"
_BINDINGS = """
    SELECT profile, scope, customer, agent, made, out_attempt, out_failed, out_answered, in_answered, in_call,
           conversation, in_progress
    FROM bindings WHERE customer = ? AND profile = ? AND scope = ?
"""
_EXACT = "SELECT target, note, expires FROM list_entries WHERE list = ? AND prefix = 0 AND number = ?"
_PREFIX = """
    SELECT number, target, note, expires FROM list_entries
    WHERE list = ? AND prefix = 1 AND number <= ? ORDER BY number DESC LIMIT 1
"""


class Reader:
    """The store as decisions see it: `routing.facts.Store` over a read-only connection of its own."""

    def __init__(self, path: Path | str) -> None:
        """Open the store at `path`, which `Database` has made. Raises `Unavailable` if that fails."""
        self.path = Path(path)
        try:
            connection = sqlite3.connect(
                f"{self.path.absolute().as_uri()}?mode=ro",
                uri=True,
                timeout=0,  # never wait on the way of a call
                isolation_level=None,
                check_same_thread=False,
            )
        except sqlite3.Error as error:
            raise Unavailable(advice(error, self.path)) from error
        self._connection = connection

    def _rows(self, sql: str, parameters: tuple[object, ...]) -> list[tuple[object, ...]]:
        try:
            return self._connection.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise Unavailable(advice(error, self.path)) from error

    def vip(self, customer: str) -> str | None:
        """Name of the agent who is responsible for this VIP, or None if he is none."""
        rows = self._rows(_VIP, (customer,))
        return str(rows[0][0]) if rows else None

    def is_shared(self, customer: str) -> bool:
        """Whether the number is marked as shared by many customers."""
        return bool(self._rows(_SHARED, (customer,)))

    def has_answered_call(self, customer: str) -> bool:
        """Whether an answered call with this customer is known."""
        return bool(self._rows(_ANSWERED, (customer,)))

    def bindings(self, profile: str, scope: str, customer: str) -> Sequence[Binding]:
        """All rows of this customer in one profile and scope, live or not."""
        return [Binding._make(row) for row in self._rows(_BINDINGS, (customer, profile, scope))]

    def list_entry(self, name: str, number: Number, now: float) -> ListEntry | None:
        """The live entry of list `name` that holds this number: exact before longest prefix, E.164 before raw."""
        texts = (number.text,) if number.e164 in (None, number.text) else (number.e164, number.text)
        for text in texts:
            for target, note, expires in self._rows(_EXACT, (name, text)):
                if expires is None or expires > now:  # type: ignore[operator]
                    return ListEntry(text, target, note)  # type: ignore[arg-type]
        best: ListEntry | None = None
        for text in texts:
            found = self._longest_prefix(name, text, now)
            if found and (best is None or len(found.number) > len(best.number)):
                best = found
        return best

    def _longest_prefix(self, name: str, text: str, now: float) -> ListEntry | None:
        """Go down from `text`: the greatest entry not above it is either a prefix, or shows how far both agree."""
        bound = text
        while bound:
            rows = self._rows(_PREFIX, (name, bound))
            if not rows:
                return None
            prefix, target, note, expires = rows[0]
            assert isinstance(prefix, str)
            if text.startswith(prefix):
                if expires is None or expires > now:  # type: ignore[operator]
                    return ListEntry(prefix + "*", target, note)  # type: ignore[arg-type]
                bound = prefix[:-1]
            else:
                bound = _common(prefix, bound)
        return None

    def close(self) -> None:
        self._connection.close()


def _common(one: str, other: str) -> str:
    length = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        length += 1
    return one[:length]
