"""Where a number is from: the longest known prefix gives countries (ISO 3166-1) or subdivisions (ISO 3166-2).

The data are files in `data/` beside this module, and packs of the admin's. A number says where it was issued, not where
the caller is: what the plan can only guess (mobiles, shared ranges) is marked so.
"""

import csv
import difflib
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from phonenumbers import PhoneMetadata

Codes = tuple[str, ...]

_MEMO_SIZE = 4096  # numbers
_FIRST = 4  # digits of which it is kept what they say by themselves, and whether more digits may say more
_CODE = re.compile(r"([A-Z]{2})(-[A-Z0-9]{1,3})?")
_OLD_COUNTRIES = {"UK": "GB", "EL": "GR", "BU": "MM", "DD": "DE", "TP": "TL", "ZR": "CD"}
_WITHOUT_A_CODE = frozenset(
    {"AQ", "BV", "EH", "GS", "HM", "PN", "TF", "UM"}
)  # countries without a calling code of theirs
_YAML_LINE = re.compile(r"""\s*(["']?)(?P<prefix>[^"':#]+)\1\s*:\s+(?P<codes>[^#]*?)\s*(?:\#.*)?""")


class Region(NamedTuple):
    """The most exact codes known, several if the range belongs to several; none if nothing is known."""

    codes: Codes
    guess: bool  # it is only the numbering plan's guess: a mobile, or a range that is not of one place


class PackProblem(NamedTuple):
    """What is wrong in a pack of prefixes; lines count from 1."""

    path: Path
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:1: error: {self.message}"


class PackError(ValueError):
    """Packs that cannot be used; `problems` has everything that is wrong with them."""

    def __init__(self, problems: Sequence[PackProblem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


_NOWHERE = Region((), False)


class Regions:
    """Prefixes and what they say. One object serves until the next reload."""

    __slots__ = ("_by_first", "_inner", "_lengths", "_memo", "_table")

    def __init__(self, packs: Sequence[Mapping[str, Codes]] = ()) -> None:
        """`packs`: prefixes (digits, without the plus) -> codes; a later pack replaces what an earlier one says of the
        same prefix, and any pack what the built-in data say."""
        self._table: dict[str, Region | Codes] = {}
        self._table.update(_built_in("countries.csv"))
        for prefix, codes in _built_in("areas.csv").items():
            # An area code is of fixed lines: nothing remains to be found out about the number itself. A row that names
            # only the country says that this is no area code.
            self._table[prefix] = Region(codes, len(codes) > 1) if "-" in codes[-1] else codes
        for pack in packs:
            self._table.update(pack)
        self._lengths = tuple(sorted({len(prefix) for prefix in self._table}, reverse=True))
        self._memo: dict[str, Region] = {}
        self._by_first: dict[str, tuple[Codes, bool]] = {}  # at most 11,110 entries
        self._inner = frozenset(prefix[:end] for prefix in self._table for end in range(len(prefix)))

    @classmethod
    def load(cls, packs: Sequence[Path] = ()) -> "Regions":
        """The built-in data and the packs in these files, the last one winning. Raises PackError."""
        read = [read_pack(path) for path in packs]
        problems = [problem for _, found in read for problem in found]
        if problems:
            raise PackError(problems)
        return cls([pack for pack, _ in read])

    def lookup(self, e164: str) -> Region:
        """The region of a number in E.164."""
        region = self._memo.get(e164)
        if region is None:
            if len(self._memo) >= _MEMO_SIZE:
                self._memo.clear()
            region = self._memo[e164] = self._find(e164[1:])
        return region

    def codes(self, e164: str) -> Codes:
        """Only the codes of `lookup`: decisions need no more, and a caller who was never seen costs a third."""
        first = e164[1 : 1 + _FIRST]
        known = self._by_first.get(first)
        if known is None:
            known = self._by_first[first] = self._down("", first, ())
        codes, goes_on = known
        return self._down(first, e164[1:], codes)[0] if goes_on else codes

    def _down(self, start: str, digits: str, codes: Codes) -> tuple[Codes, bool]:
        """The codes of the longest known prefix of `digits` that is longer than `start`, else `codes`; and whether
        there are prefixes longer than all of `digits`."""
        for end in range(len(start) + 1, len(digits) + 1):
            prefix = digits[:end]
            found = self._table.get(prefix)
            if found is not None:
                codes = found.codes if isinstance(found, Region) else found
            if prefix not in self._inner:
                return codes, False
        return codes, True

    def _find(self, digits: str) -> Region:
        for length in self._lengths:
            found = self._table.get(digits[:length])
            if found is not None:
                if isinstance(found, Region):
                    return found
                return Region(found, len(found) > 1 or not _is_fixed_line(found[0][:2], digits))
        return _NOWHERE


def normalise_code(text: str) -> str:
    """The current ISO 3166-1 or 3166-2 code that `text` means.

    It differs from `text` in upper case where that is an older code, which deserves a warning. Raises ValueError, with
    the likeliest code, if there is no such code. Subdivisions of countries for which there are no built-in data are
    accepted by their form: a pack may bring them.
    """
    code = text.strip().upper()
    form = _CODE.fullmatch(code)
    if form is None:
        raise ValueError(f'"{text}" is no region: write ISO 3166 codes such as PL or PL-14{_of_name(code)}')
    country, subdivision = form[1], form[2]
    current, old = _subdivisions()
    if subdivision is None:
        country = _OLD_COUNTRIES.get(country, country)
        if country not in _countries():
            raise ValueError(f'"{text}" is no country of ISO 3166-1')
        return country
    if code in current:
        return code
    if code in old:
        return old[code]
    if country not in _countries() or any(known.startswith(country) for known in current):
        raise ValueError(f'"{text}" is no subdivision of ISO 3166-2{_of_country(code, country)}')
    return code


def region_name(code: str) -> str | None:
    """What a subdivision is called, for messages; None if there are no built-in data on it."""
    return _subdivisions()[0].get(code)


def read_pack(path: Path) -> tuple[dict[str, Codes], list[PackProblem]]:
    """A file of prefixes and codes: CSV (header `prefix,code`; comma or semicolon) or, by its ending, YAML
    (`"+4822": PL-14`, one prefix a line). A prefix that stands in several rows has all their codes."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        return {}, [PackProblem(path, 1, f"cannot be read: {error.strerror}")]
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        return {}, [PackProblem(path, line, "is not UTF-8; save it again with that encoding")]
    rows = _yaml_rows(text) if path.suffix.lower() in (".yaml", ".yml") else _csv_rows(text)
    pack: dict[str, Codes] = {}
    problems: list[PackProblem] = []
    for line, row in rows:
        try:
            if isinstance(row, ValueError):
                raise row
            prefix, codes = _prefix(row[0]), _codes(row[1])
        except ValueError as error:
            problems.append(PackProblem(path, line, str(error)))
        else:
            before = pack.get(prefix, ())
            pack[prefix] = (*before, *(code for code in codes if code not in before))
    if not pack and not problems:
        problems.append(PackProblem(path, 1, "has no prefixes; a row is a prefix and a code, +4822,PL-14"))
    return pack, problems


_Row = tuple[int, tuple[str, str] | ValueError]


def _csv_rows(text: str) -> Iterator[_Row]:
    lines = [line if not line.lstrip().startswith("#") else "" for line in text.splitlines()]
    first = next((number for number, line in enumerate(lines) if line.strip()), 0)
    header = lines[first] if lines else ""
    reader = csv.reader(lines, delimiter=";" if ";" in header else ",", strict=True)
    columns: tuple[int, int] | None = None
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            if columns is None:
                names = [cell.lower() for cell in cells]
                if "prefix" not in names or "code" not in names:
                    yield reader.line_num, ValueError("the first row must name the columns prefix and code")
                    return
                columns = names.index("prefix"), names.index("code")
            elif len(cells) <= max(columns):
                yield reader.line_num, ValueError("a row needs a prefix and a code")
            else:
                yield reader.line_num, (cells[columns[0]], cells[columns[1]])
    except csv.Error as error:
        yield reader.line_num, ValueError(f"is no CSV: {error}")


def _yaml_rows(text: str) -> Iterator[_Row]:
    """The flat mapping that a pack is, line by line; numbers are kept as they are written."""
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#") or line.strip() == "---":
            continue
        found = _YAML_LINE.fullmatch(line)
        if found is None:
            yield number, ValueError('write one prefix a line: "+4822": PL-14')
        else:
            yield number, (found["prefix"], re.sub(r"[\[\]\"',]", " ", found["codes"]))


def _prefix(text: str) -> str:
    digits = re.sub(r"[ ().-]", "", text).removeprefix("+").removesuffix("*")
    if not (digits.isascii() and digits.isdigit()):
        raise ValueError(f'"{text}" is no prefix: write digits with the country code, such as +4822')
    if digits.startswith("0"):
        raise ValueError(f'"{text}" begins with 0, no country code does: write it as +4822')
    if len(digits) > 15:
        raise ValueError(f'"{text}" is longer than any number: E.164 has at most 15 digits')
    return digits


def _codes(text: str) -> Codes:
    if not text.strip():
        raise ValueError("the code is missing")
    return tuple(dict.fromkeys(map(_normalised, text.split())))


_normalised = cache(normalise_code)  # a pack of 100,000 rows names some eighty codes


def _of_name(text: str) -> str:
    """The code whose name was written instead of it, for a message."""
    named = {_without_accents(name): code for code, name in _subdivisions()[0].items()}
    close = difflib.get_close_matches(_without_accents(text), named, n=1, cutoff=0.7)
    return f"; did you mean {named[close[0]]}?" if close else ""


def _without_accents(text: str) -> str:
    """Capitals as a keyboard without the country's letters writes them: Śląskie is SLASKIE, Łódzkie LODZKIE."""
    plain = unicodedata.normalize("NFKD", text.upper().replace("Ł", "L"))
    return "".join(letter for letter in plain if not unicodedata.combining(letter))


def _of_country(wrong: str, country: str) -> str:
    """The likeliest code of a country, or all of them if they are few, for a message."""
    codes = [code for code in _subdivisions()[0] if code.startswith(country)]
    close = difflib.get_close_matches(wrong, codes, n=1, cutoff=0.7)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; those of {country} are {', '.join(codes)}" if 0 < len(codes) < 30 else ""


@cache
def _rows(name: str) -> tuple[tuple[str, ...], ...]:
    """The rows of one of our data files, without comments and header."""
    text = files("sipacr.routing").joinpath("data", name).read_text(encoding="utf-8")
    return tuple(tuple(row) for row in csv.reader(line for line in text.splitlines() if not line.startswith("#")))[1:]


@cache
def _built_in(name: str) -> Mapping[str, Codes]:
    found: dict[str, Codes] = {}
    for prefix, code in _rows(name):
        found[prefix] = (*found.get(prefix, ()), code)
    return found


@cache
def _countries() -> frozenset[str]:
    return frozenset(code for _, code in _rows("countries.csv")) | _WITHOUT_A_CODE


@cache
def _subdivisions() -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Names by current code, and current codes by old one."""
    rows = _rows("subdivisions.csv")
    return {code: name for code, name, _ in rows}, {old: code for code, _, olds in rows for old in olds.split()}


def _is_fixed_line(country: str, digits: str) -> bool:
    """Whether a number belongs to a fixed line for sure, which has a place: in America it never is."""
    patterns = _line_patterns(country)
    if patterns is None:
        return False
    length, fixed, mobile = patterns
    return fixed.fullmatch(digits, length) is not None and mobile.fullmatch(digits, length) is None


@cache
def _line_patterns(country: str) -> tuple[int, re.Pattern[str], re.Pattern[str]] | None:
    """Length of the calling code, patterns of fixed and of mobile numbers; compiled when a country first calls."""
    metadata = PhoneMetadata.metadata_for_region(country)
    if metadata is None:
        return None
    fixed, mobile = (
        re.compile(kind.national_number_pattern if kind and kind.national_number_pattern else "(?!)")
        for kind in (metadata.fixed_line, metadata.mobile)
    )
    return len(str(metadata.country_code)), fixed, mobile
