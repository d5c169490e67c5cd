"""Reads the tables that people make in spreadsheets: CSV with any delimiter, order of columns, encoding and accident.

Pure: bytes in; lines and refusals out, each with its line in the file.
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from sipacr.routing.facts import Number
from sipacr.routing.numbers import NumberPlan

_SCIENTIFIC = re.compile(r"[+-]?\d+([.,]\d+)?[eE][+-]?\d+")
_DECIMALS = re.compile(r"\+?\d{5,}[.,]\d{1,2}")
_FORMULA = re.compile(r'="(.*)"')  # how spreadsheets keep a text of digits
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?', re.IGNORECASE)  # a first line that names the delimiter


class InputError(ValueError):
    """Why a file or a line cannot be taken; the text says what to do."""


class Refusal(NamedTuple):
    """A line that was not taken."""

    line: int  # of the file, from 1
    reason: str


class Line(NamedTuple):
    """One line of data: the text of each known column, trimmed."""

    line: int
    values: dict[str, str]


@dataclass(slots=True)
class Sheet:
    """A file whose header was understood."""

    columns: tuple[str, ...]  # those that are known, as we call them
    ignored: tuple[str, ...]  # titles of columns that are not
    size: int  # lines of the file; for a progress bar
    _records: Iterator[tuple[int, list[str]]]
    _places: tuple[str | None, ...]  # column by position
    refusals: list[Refusal]

    def lines(self) -> Iterator[Line]:
        """The lines of data, once. Those that are no table lines go to `refusals`."""
        width = len(self._places)
        try:
            for number, fields in self._records:
                if not any(field.strip() for field in fields):
                    continue
                if any(field.strip() for field in fields[width:]):
                    self.refusals.append(
                        Refusal(
                            number,
                            f"has {len(fields)} fields, the header {width}: put texts with a delimiter in quotes",
                        )
                    )
                    continue
                fields += [""] * (width - len(fields))
                values = {name: _cell(field) for name, field in zip(self._places, fields, strict=False) if name}
                yield Line(number, values)
        except _DamageError as error:
            self.refusals.append(Refusal(error.line, f"{error}: close the quotes, or export the file again as CSV"))


def read(data: bytes, columns: Mapping[str, tuple[str, ...]], required: tuple[str, ...], encoding: str | None) -> Sheet:
    """Understand a file by its header. `columns`: our name -> titles that mean it, in lower case.

    Raises `InputError` if the header or the encoding cannot be understood.
    """
    text = decode(data, encoding)
    if not text.strip():
        raise InputError("is empty: the first line must be a header such as " + ",".join(columns))
    first = text.split("\n", 1)[0].rstrip("\r")
    skipped = 0
    if named := _SEPARATOR_LINE.fullmatch(first):
        delimiter, skipped = named[1], 1
    else:
        delimiter = max(",;\t", key=_without_quotes(first).count)
    records = _records(text, delimiter)
    try:
        for _ in range(skipped):
            next(records)
        titles = next(records)[1]
    except (StopIteration, _DamageError):
        raise InputError("has no header: the first line must be such as " + ",".join(columns)) from None
    meanings = {title: name for name, titles in columns.items() for title in (name, *titles)}
    places = tuple(meanings.get(" ".join(title.lower().replace("_", " ").split())) for title in titles)
    known = tuple(name for name in places if name)
    if twice := next((name for name in known if known.count(name) > 1), None):
        both = " and ".join(repr(title.strip()) for title, name in zip(titles, places, strict=True) if name == twice)
        raise InputError(f"has two columns for {twice} ({both}): remove or rename one")
    missing = [name for name in required if name not in known]
    if missing:
        raise InputError(
            f"has no column {' and no column '.join(missing)}: the first line must name the columns "
            f"({','.join(columns)}; any order), and is {first[:80]!r}"
        )
    ignored = tuple(title.strip() for title, name in zip(titles, places, strict=True) if name is None and title.strip())
    return Sheet(known, ignored, text.count("\n") + 1, records, places, [])


def decode(data: bytes, encoding: str | None) -> str:
    """The text, by its byte order mark or as UTF-8, unless `encoding` is given. Raises `InputError`."""
    if data.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise InputError("is a spreadsheet's own format (xlsx, ods or xls): export it as CSV UTF-8")
    if encoding is None:
        encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = data.decode(encoding).removeprefix("\ufeff")
    except LookupError:
        raise InputError(f"cannot be read as {encoding}: there is no such encoding") from None
    except UnicodeError as error:
        at = error.start if isinstance(error, UnicodeDecodeError) else 0
        line = data.count(b"\n", 0, at) + 1
        raise InputError(
            f"is not {encoding.removesuffix('-sig')} (line {line}): "
            "export it as CSV UTF-8, or name its encoding, for example --encoding cp1250"
        ) from None
    if "\0" in text:
        raise InputError("is no text: export it as CSV UTF-8, or name its encoding, for example --encoding utf-16-le")
    return text


def read_number(text: str, plan: NumberPlan) -> Number:
    """A customer's number as a person has written it. Raises `InputError` for what is none, or spoilt on the way."""
    if not text:
        raise InputError("has no number")
    if "e" in text.lower() and _SCIENTIFIC.fullmatch(text):
        raise InputError(
            f"{text} is a number that the spreadsheet has shortened, its last digits are lost: "
            "format the column as text, enter the number again, and export again"
        )
    if ("." in text or "," in text) and _DECIMALS.fullmatch(text):
        raise InputError(f"{text} has decimals: format the column as text and export again")
    number = plan.read(text)
    if number.e164 is None and number.text.startswith("+"):
        raise InputError(f"{text} is no telephone number, although it begins with +: correct it")
    return number


class _DamageError(Exception):
    """The CSV itself is damaged from this line on."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line


def _records(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Line and fields of each record; a record in quotes may span lines and is named by its first."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise _DamageError(line, str(error)) from None
        yield line, fields


def _without_quotes(line: str) -> str:
    return re.sub(r'"[^"]*"', "", line)


def _cell(field: str) -> str:
    text = field.strip()
    if text.startswith("=") and (formula := _FORMULA.fullmatch(text)):
        text = formula[1].strip()
    return text
