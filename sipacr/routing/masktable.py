"""Finds what masks and exact numbers say of a number, at a cost that does not grow with how many there are.

Masks are grouped by the lengths of the literal text at their ends, so a number is looked up once for each combination
of lengths that is in use: some three dictionary look-ups, whether for ten masks or for ten thousand.
"""

from collections.abc import Iterable
from typing import Generic, TypeVar

from sipacr.routing.facts import Number
from sipacr.routing.masks import Mask

T = TypeVar("T")


class MaskTable(Generic[T]):
    """Masks and exact numbers, each with a value; filled first, then only read."""

    __slots__ = ("_others", "_tables")

    def __init__(self, entries: Iterable[tuple[Mask, T]] = ()) -> None:
        # Of the E.164 form (True) or the raw text which part is looked up, and where. Exact numbers: all of it.
        self._tables: list[tuple[bool, slice, dict[str, list[T]]]] = []
        # The same with the literal text at both ends, and the masks that still have to be asked.
        self._others: list[tuple[bool, slice, slice, dict[tuple[str, str], list[tuple[Mask, T]]]]] = []
        for mask, value in entries:
            self.add(mask, value)

    def add(self, mask: Mask, value: T) -> None:
        if mask.is_exact:
            self._add(mask.sees_e164, slice(None), mask.prefix, value)
        elif mask.is_prefix:
            self._add(mask.sees_e164, slice(len(mask.prefix)), mask.prefix, value)
        elif mask.is_suffix:
            self._add(mask.sees_e164, _last(mask.suffix), mask.suffix, value)
        else:
            key = mask.sees_e164, slice(len(mask.prefix)), _last(mask.suffix)
            pairs = next((pairs for *known, pairs in self._others if known == [*key]), None)
            if pairs is None:
                pairs = {}
                self._others.append((*key, pairs))
            pairs.setdefault((mask.prefix, mask.suffix), []).append((mask, value))

    def add_e164(self, e164: str, value: T) -> None:
        self._add(True, slice(None), e164, value)

    def add_raw(self, text: str, value: T) -> None:
        self._add(False, slice(None), text, value)

    def _add(self, of_e164: bool, part: slice, text: str, value: T) -> None:
        table = next((table for *known, table in self._tables if known == [of_e164, part]), None)
        if table is None:
            table = {}
            self._tables.append((of_e164, part, table))
        table.setdefault(text, []).append(value)

    def find(self, number: Number) -> list[T]:
        """The values of all that match, in no order, one for each match."""
        found: list[T] = []
        _, raw, e164 = number
        if e164 is None:
            e164 = ""  # what sees E.164 begins with a plus
        for of_e164, part, table in self._tables:
            text = e164[part] if of_e164 else raw[part]
            if text in table:
                found += table[text]
        for of_e164, start, end, pairs in self._others:
            text = e164 if of_e164 else raw
            ends = text[start], text[end]
            if ends in pairs:
                found += [value for mask, value in pairs[ends] if mask.matches(number)]
        return found


def _last(suffix: str) -> slice:
    return slice(-len(suffix), None) if suffix else slice(0)
