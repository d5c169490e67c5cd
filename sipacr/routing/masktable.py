"""Finds what masks and exact numbers say of a number, at a cost that does not grow with how many there are.

Masks are grouped by the lengths of the literal text at their ends, so a number is looked up once for each combination
of lengths that is in use: some three dictionary look-ups, whether for ten masks or for ten thousand.
"""

from collections.abc import Iterable
from typing import Generic, TypeVar

from sipacr.routing.facts import Number
from sipacr.routing.masks import Mask

T = TypeVar("T")


class _Texts(Generic[T]):
    """The masks that are compared with one form of a number, E.164 or raw."""

    __slots__ = ("empty", "exact", "others", "prefixes", "suffixes")

    def __init__(self) -> None:
        self.empty = True
        self.exact: dict[str, list[T]] = {}
        self.prefixes: list[tuple[int, dict[str, list[T]]]] = []
        self.suffixes: list[tuple[int, dict[str, list[T]]]] = []
        # (length of literal start, of literal end, (start, end) -> masks that still have to be asked)
        self.others: list[tuple[int, int, dict[tuple[str, str], list[tuple[Mask, T]]]]] = []

    def add_exact(self, text: str, value: T) -> None:
        self.empty = False
        self.exact.setdefault(text, []).append(value)

    def add(self, mask: Mask, value: T) -> None:
        self.empty = False
        if mask.is_exact:
            self.exact.setdefault(mask.prefix, []).append(value)
        elif mask.is_prefix:
            _of_length(self.prefixes, len(mask.prefix)).setdefault(mask.prefix, []).append(value)
        elif mask.is_suffix:
            _of_length(self.suffixes, len(mask.suffix)).setdefault(mask.suffix, []).append(value)
        else:
            start, end = len(mask.prefix), len(mask.suffix)
            tables = [table for *lengths, table in self.others if lengths == [start, end]]
            if not tables:
                tables.append({})
                self.others.append((start, end, tables[0]))
            tables[0].setdefault((mask.prefix, mask.suffix), []).append((mask, value))

    def find(self, text: str, number: Number, found: list[T]) -> None:
        values = self.exact.get(text)
        if values is not None:
            found += values
        for length, table in self.prefixes:
            values = table.get(text[:length])
            if values is not None:
                found += values
        for length, table in self.suffixes:
            values = table.get(text[-length:])
            if values is not None:
                found += values
        for start, end, pairs in self.others:
            candidates = pairs.get((text[:start], text[-end:] if end else ""))
            if candidates is not None:
                found += [value for mask, value in candidates if mask.matches(number)]


def _of_length(tables: list[tuple[int, dict[str, list[T]]]], length: int) -> dict[str, list[T]]:
    for known, table in tables:
        if known == length:
            return table
    tables.append((length, {}))
    return tables[-1][1]


class MaskTable(Generic[T]):
    """Masks and exact numbers, each with a value; filled first, then only read."""

    __slots__ = ("_e164", "_raw")

    def __init__(self, entries: Iterable[tuple[Mask, T]] = ()) -> None:
        self._e164: _Texts[T] = _Texts()
        self._raw: _Texts[T] = _Texts()
        for mask, value in entries:
            self.add(mask, value)

    def add(self, mask: Mask, value: T) -> None:
        (self._e164 if mask.sees_e164 else self._raw).add(mask, value)

    def add_e164(self, e164: str, value: T) -> None:
        self._e164.add_exact(e164, value)

    def add_raw(self, text: str, value: T) -> None:
        self._raw.add_exact(text, value)

    def find(self, number: Number) -> list[T]:
        """The values of all that match, in no order, one for each match."""
        found: list[T] = []
        if not self._e164.empty and number[2] is not None:
            self._e164.find(number[2], number, found)
        if not self._raw.empty:
            self._raw.find(number[1], number, found)
        return found
