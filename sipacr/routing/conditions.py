"""What a rule asks of a call: plain data, hashable, one class per word of the rule language.

Nothing is evaluated here; `truth` turns a condition into a function of one call. Alternatives within one condition are
tuples of which any may hold; `side` says whose number is meant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from sipacr.routing.masks import Mask

Side = Literal["caller", "dialled"]


@dataclass(frozen=True, slots=True)
class Condition:
    """Base of all conditions; each is true, false or unknown for a call."""


@dataclass(frozen=True, slots=True)
class All(Condition):
    """Every part holds."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AnyOf(Condition):
    """At least one part holds."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not(Condition):
    """None of the parts holds."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class NumberIs(Condition):
    """An exact number: compared as E.164, and what cannot be E.164 as raw text without separators."""

    side: Side
    e164: frozenset[str] = frozenset()
    raw: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class MaskIs(Condition):
    """A mask such as `+4822*`."""

    side: Side
    masks: tuple[Mask, ...]


@dataclass(frozen=True, slots=True)
class Contains(Condition):
    """A part of the number, in either its E.164 or its raw text."""

    side: Side
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Regex(Condition):
    """A regular expression that matches the whole; one that begins with `\\+` sees E.164, any other the raw text."""

    side: Side
    patterns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OnList(Condition):
    """The caller is on one of the named lists."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RegionIs(Condition):
    """ISO 3166 codes; a country includes its subdivisions."""

    side: Side
    codes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class IsVip(Condition):
    """Whether the caller is in the VIP table."""

    value: bool = True


@dataclass(frozen=True, slots=True)
class IsKnown(Condition):
    """Whether the caller is a customer: VIP, on a list declared `known`, bound, or in the records of answered calls."""

    value: bool = True


@dataclass(frozen=True, slots=True)
class IsAnonymous(Condition):
    """Whether the caller hides his number."""

    value: bool = True


@dataclass(frozen=True, slots=True)
class IsShared(Condition):
    """Whether the caller's number is marked as shared by many customers."""

    value: bool = True


@dataclass(frozen=True, slots=True)
class During(Condition):
    """One of the schedules is open."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PeerIs(Condition):
    """The call came from one of these peers."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HeaderIs(Condition):
    """One value of the header matches one of the masks; `*` means that the header is present."""

    name: str  # lower case
    masks: tuple[Mask, ...]


@dataclass(frozen=True, slots=True)
class Share(Condition):
    """A fixed part of the callers: hash of rule name and caller, modulo 10,000, below the threshold."""

    threshold: int
    rule: str
