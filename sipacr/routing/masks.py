"""Masks of numbers and texts: `*` first or last is any text, `?` is one digit, `\\*` is a star. Compiled once."""

import re
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from sipacr.routing.facts import Number
from sipacr.routing.numbers import SEPARATORS, NumberPlan

_LONGEST = 64  # signs; numbers have at most 16, names and header values hardly more
_MAX_STATES = 4096  # of `subsumes` between masks that are open at both ends; beyond it nothing is claimed
_NO_SEPARATORS = str.maketrans("", "", SEPARATORS)
_DIGITS = "0123456789"
_NUMERIC = re.compile(r"[0-9+*?#\\" + re.escape(SEPARATORS) + "]+")


class _Shape(NamedTuple):
    """What a pattern says: its body sign by sign (None is any digit), and at which ends it is open."""

    body: tuple[str | None, ...]
    open_left: bool
    open_right: bool


class Mask:
    """One pattern. Equal patterns are equal masks; immutable."""

    __slots__ = (
        "_matches",
        "_matches_text",
        "_shape",
        "is_exact",
        "is_prefix",
        "is_suffix",
        "pattern",
        "prefix",
        "sees_e164",
        "suffix",
    )

    pattern: str  # as written
    sees_e164: bool  # starts with +: compared with E.164, else with the raw text
    is_exact: bool  # matches exactly the text `prefix`
    is_prefix: bool  # matches exactly what starts with `prefix`
    is_suffix: bool  # matches exactly what ends with `suffix`
    prefix: str  # with this everything that matches begins, "" if nothing is certain; an index may use it
    suffix: str  # with this everything that matches ends

    def __init__(self, pattern: str) -> None:
        """Raises ValueError, saying what is wrong, if `pattern` is no mask."""
        self.pattern = pattern
        # As numbers are compared without their separators, "+48 22*" is meant as "+4822*". A header's value is not.
        numeric = pattern.translate(_NO_SEPARATORS) if _NUMERIC.fullmatch(pattern) else pattern
        shape = self._shape = _parse(numeric)
        self.sees_e164 = numeric.startswith("+")
        if self.sees_e164:
            _check_e164(pattern, shape)
        self.prefix = "" if shape.open_left else _literal(shape.body)
        self.suffix = "" if shape.open_right else _literal(shape.body[::-1])[::-1]
        literal = None not in shape.body
        self.is_exact = literal and not shape.open_left and not shape.open_right
        self.is_prefix = shape.open_right and len(self.prefix) == len(shape.body)
        self.is_suffix = shape.open_left and len(self.suffix) == len(shape.body)
        self._matches = _compile(shape)
        self._matches_text = self._matches if numeric == pattern else _compile(_parse(pattern))

    def matches(self, number: Number) -> bool:
        """Whether the number's E.164 form (patterns with a plus) or its raw text without separators matches."""
        subject = number.e164 if self.sees_e164 else number.text
        return subject is not None and self._matches(subject)

    def matches_text(self, text: str) -> bool:
        """Whether `text` matches as it stands, for example a header's value."""
        return self._matches_text(text)

    def subsumes(self, other: "Mask") -> bool:
        """Whether every number that matches `other` matches this mask too.

        Nothing is inferred between E.164 and raw text, except that the mask "*" takes everything.
        """
        mine, theirs = self._shape, other._shape
        if not mine.body and (mine.open_left or mine.open_right):
            return True
        return self.sees_e164 == other.sees_e164 and _subsumes(mine, theirs)

    def overlaps(self, other: "Mask") -> bool:
        """Whether some text matches both, E.164 being taken for the raw text that it mostly is."""
        return _overlap(self._shape, other._shape)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mask) and other.pattern == self.pattern

    def __hash__(self) -> int:
        return hash(self.pattern)

    def __repr__(self) -> str:
        return f"Mask({self.pattern!r})"

    def __str__(self) -> str:
        return self.pattern


def e164_suggestion(mask: Mask, plan: NumberPlan) -> str | None:
    """The E.164 mask that a national one probably means ("22*" -> "+4822*"), or None if it looks like no number."""
    shape = mask._shape
    if mask.sees_e164 or shape.open_left or not shape.body:
        return None
    signs = "".join("?" if sign is None else sign for sign in shape.body)
    if not all(sign in _DIGITS + "?" for sign in signs):
        return None
    for length in plan.lengths(signs) if shape.open_right else (len(signs),):
        for filler in _DIGITS[1:] + "0":
            # The wildcards and what the star stands for become digits; if that is a number, see where they have gone.
            sample = signs.replace("?", filler).ljust(length, filler)
            e164 = plan.read(sample).e164
            kept = len(signs) if e164 is None else _common_end(sample, e164) - (length - len(signs))
            if e164 is not None and kept > 0:
                head = e164[: len(e164) - (length - len(signs)) - kept]
                return head + signs[len(signs) - kept :] + ("*" if shape.open_right else "")
    return None


def _common_end(first: str, second: str) -> int:
    """How many signs both end with alike."""
    length = 0
    while length < min(len(first), len(second)) and first[-1 - length] == second[-1 - length]:
        length += 1
    return length


def _parse(pattern: str) -> _Shape:
    if not pattern:
        raise ValueError('a mask is empty; for anything write "*"')
    if len(pattern) > _LONGEST:
        raise ValueError(f"a mask has at most {_LONGEST} signs")
    body: list[str | None] = []
    stars: list[int] = []
    position = 0
    while position < len(pattern):
        sign = pattern[position]
        if sign == "\\":
            position += 1
            if pattern[position : position + 1] not in ("*", "?", "\\"):
                raise ValueError(f'in mask "{pattern}" a backslash stands before *, ? or \\ only')
            body.append(pattern[position])
        elif sign == "*":
            if 0 < position < len(pattern) - 1:
                raise ValueError(
                    f'in mask "{pattern}" the * is neither first nor last; '
                    "write ? for one digit, \\* for the star key, or use contains or regex"
                )
            stars.append(position)
        else:
            body.append(None if sign == "?" else sign)
        position += 1
    if len(stars) == 2 and not body:
        raise ValueError(f'mask "{pattern}" has two stars; for anything write "*"')
    alone = pattern == "*"
    return _Shape(tuple(body), 0 in stars and not alone, (len(pattern) - 1) in stars)


def _check_e164(pattern: str, shape: _Shape) -> None:
    digits = shape.body[1:]
    wrong = next((sign for sign in digits if sign is not None and sign not in _DIGITS), None)
    if wrong is not None:
        raise ValueError(f'mask "{pattern}" starts with + and is compared with E.164: "{wrong}" cannot be in it')
    if len(digits) > 15:
        raise ValueError(f'mask "{pattern}" can never match: E.164 has at most 15 digits')
    if digits and digits[0] == "0":
        raise ValueError(f'mask "{pattern}" can never match: no country code begins with 0; leave out the + or the 0')


def _literal(body: tuple[str | None, ...]) -> str:
    """The body up to its first wildcard."""
    end = body.index(None) if None in body else len(body)
    return "".join(sign for sign in body[:end] if sign is not None)


def _compile(shape: _Shape) -> Callable[[str], bool]:
    """The cheapest test that is the pattern. Bodies have a fixed length, so no regex here can backtrack."""
    if None not in shape.body:
        text = _literal(shape.body)
        if shape.open_left and shape.open_right:
            return lambda subject: text in subject
        if shape.open_right:
            return lambda subject: subject.startswith(text)
        if shape.open_left:
            return lambda subject: subject.endswith(text)
        return lambda subject: subject == text
    pattern = "".join("[0-9]" if sign is None else re.escape(sign) for sign in shape.body)
    regex = cache(lambda: re.compile(pattern))  # when it is first asked: 0.1 ms, and most of thousands never are
    length = len(shape.body)
    if shape.open_left and shape.open_right:
        return lambda subject: regex().search(subject) is not None
    if shape.open_right:
        return lambda subject: regex().match(subject) is not None
    if shape.open_left:
        return lambda subject: len(subject) >= length and regex().fullmatch(subject, len(subject) - length) is not None
    return lambda subject: regex().fullmatch(subject) is not None


def _covers(mine: str | None, theirs: str | None) -> bool:
    """Whether one sign of mine takes every character that one sign of theirs takes."""
    if mine is None:
        return theirs is None or theirs in _DIGITS
    return mine == theirs


def _meet(mine: str | None, theirs: str | None) -> bool:
    """Whether one character can be both signs."""
    return _covers(mine, theirs) or _covers(theirs, mine)


def _overlap(mine: _Shape, theirs: _Shape) -> bool:
    """Whether the languages have a text in common."""
    if (mine.open_left and theirs.open_right) or (mine.open_right and theirs.open_left):
        return True  # one text after the other
    short, long = sorted((mine, theirs), key=lambda shape: len(shape.body))
    length, more = len(short.body), len(long.body) - len(short.body)
    if more and not short.open_left and not short.open_right:
        return False
    if short.open_left and short.open_right:
        starts = range(more + 1)
    elif short.open_left or (not short.open_right and long.open_left):
        starts = range(more, more + 1)
    else:
        starts = range(1)
    return any(all(map(_meet, short.body, long.body[start : start + length])) for start in starts)


def _subsumes(mine: _Shape, theirs: _Shape) -> bool:
    """Language inclusion. What stands for an open end can be a sign that is in neither body, so it never helps."""
    length = len(mine.body)
    if mine.open_left and mine.open_right:
        return _always_contains(mine.body, theirs.body)
    if (
        length > len(theirs.body)
        or (theirs.open_left and not mine.open_left)
        or (theirs.open_right and not mine.open_right)
    ):
        return False
    if not mine.open_left and not mine.open_right:
        return length == len(theirs.body) and all(map(_covers, mine.body, theirs.body))
    if mine.open_right:
        return all(map(_covers, mine.body, theirs.body[:length]))
    return all(map(_covers, mine.body, theirs.body[len(theirs.body) - length :]))


def _always_contains(mine: tuple[str | None, ...], theirs: tuple[str | None, ...]) -> bool:
    """Whether every text of the form `theirs` contains a text of the form `mine`, by walking all sets of partial
    matches; texts in which a whole match was found drop out, and if none is left the answer is yes."""
    states: set[frozenset[int]] = {frozenset({0})}
    for sign in theirs:
        following: set[frozenset[int]] = set()
        for state in states:
            for character in _DIGITS if sign is None else sign:
                reached = {0} | {at + 1 for at in state if _covers(mine[at], character)}
                if len(mine) not in reached:
                    following.add(frozenset(reached))
        if len(following) > _MAX_STATES:
            return False
        states = following
    return not states
