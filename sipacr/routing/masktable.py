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

    __slots__ = ("others", "tables")

    def __init__(self) -> None:
        # Which part of a number is looked up, and where; the whole of it is for exact numbers.
        self.tables: list[tuple[slice, dict[str, list[T]]]] = []
        # (literal start, literal end, both of them -> masks that still have to be asked)
        self.others: list[tuple[slice, slice, dict[tuple[str, str], list[tuple[Mask, T]]]]] = []

    def add(self, part: slice, text: str, value: T) -> None:
        for known, table in self.tables:
            if known == part:
                table.setdefault(text, []).append(value)
                return
        self.tables.append((part, {text: [value]}))

    def add_mask(self, mask: Mask, value: T) -> None:
        if mask.is_exact:
            self.add(_WHOLE, mask.prefix, value)
        elif mask.is_prefix:
            self.add(slice(len(mask.prefix)), mask.prefix, value)
        elif mask.is_suffix:
            self.add(slice(-len(mask.suffix), None), mask.suffix, value)
        else:
            start, end = slice(len(mask.prefix)), slice(-len(mask.suffix), None) if mask.suffix else slice(0)
            tables = [table for *ends, table in self.others if ends == [start, end]]
            if not tables:
                tables.append({})
                self.others.append((start, end, tables[0]))
            tables[0].setdefault((mask.prefix, mask.suffix), []).append((mask, value))

    def find(self, text: str, number: Number, found: list[T]) -> None:
        for part, table in self.tables:
            values = table.get(text[part])
            if values is not None:
                found += values
        for start, end, pairs in self.others:
            candidates = pairs.get((text[start], text[end]))
            if candidates is not None:
                found += [value for mask, value in candidates if mask.matches(number)]


_WHOLE = slice(None)


class MaskTable(Generic[T]):
    """Masks and exact numbers, each with a value; filled first, then only read."""

    __slots__ = ("_e164", "_raw")

    def __init__(self, entries: Iterable[tuple[Mask, T]] = ()) -> None:
        self._e164: _Texts[T] = _Texts()
        self._raw: _Texts[T] = _Texts()
        for mask, value in entries:
            self.add(mask, value)

    def add(self, mask: Mask, value: T) -> None:
        (self._e164 if mask.sees_e164 else self._raw).add_mask(mask, value)

    def add_e164(self, e164: str, value: T) -> None:
        self._e164.add(_WHOLE, e164, value)

    def add_raw(self, text: str, value: T) -> None:
        self._raw.add(_WHOLE, text, value)

    def find(self, number: Number) -> list[T]:
        """The values of all that match, in no order, one for each match."""
        found: list[T] = []
        _, raw, e164 = number
        if e164 is not None:
            self._e164.find(e164, number, found)
        if self._raw.tables or self._raw.others:
            self._raw.find(raw, number, found)
        return found
