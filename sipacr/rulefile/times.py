"""Readers of the words of schedules: days, spans of time, dates, calendars."""

import re
from datetime import date
from pathlib import Path
from typing import Annotated

from pydantic import PlainValidator, ValidationInfo, WithJsonSchema

from sipacr.routing.schedules import Calendar, Span
from sipacr.rulefile.problems import nearest, suggestion
from sipacr.rulefile.shape import context_of, read_line, read_text
from sipacr.rulefile.yamltree import Node, Text

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_SPAN = re.compile(r"(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def read_span(node: Node) -> Span:
    """Minutes after midnight: start and end; 24:00 is the end of the day."""
    text = read_text(node, 'a span such as "08:00-18:00"')
    match = _SPAN.fullmatch(text)
    if match is None:
        hint = "; several spans stand in a list" if "," in text else ""
        raise ValueError(f'"{text}" is no span of time; write it like "08:00-18:00"{hint}')
    start, end = int(match[1]) * 60 + int(match[2]), int(match[3]) * 60 + int(match[4])
    for hours, minutes, total in ((match[1], match[2], start), (match[3], match[4], end)):
        if int(minutes) > 59 or total > 1440:
            raise ValueError(f'"{hours}:{minutes}" does not exist; a day goes from 00:00 to 24:00')
    if start == 1440:
        raise ValueError(f'"{text}" begins at 24:00, which is the end of the day; write 00:00 and the day after')
    if start == end:
        raise ValueError(f'"{text}" is no time at all; a whole day is 00:00-24:00')
    return start, end


def read_days(node: Node) -> tuple[int, ...]:
    """The days of `mon`, `mon-fri`, `fri-mon` (around the weekend) or `daily`, Monday is 0."""
    text = read_text(node, "a day")
    if text == "daily":
        return tuple(range(7))
    first, dash, last = text.partition("-")
    last = last if dash else first
    if first in DAYS and last in DAYS:
        start, end = DAYS.index(first), DAYS.index(last)
        return tuple(day % 7 for day in range(start, end + 1 if end >= start else end + 8))
    words = (*DAYS, "daily", "closed", "open", "tz")
    near = "-".join(_near_day(part) for part in text.split("-")) if text.count("-") <= 1 else ""
    hint = f'; did you mean "{near}"?' if near and "?" not in near else suggestion(text, words)
    raise ValueError(f'"{text}" is no day; write mon, mon-fri or daily (or closed, open, tz){hint}')


def _near_day(word: str) -> str:
    folded = word.strip().lower()
    if folded[:3] in DAYS:
        return folded[:3]
    return nearest(folded, DAYS) or "?"


def read_date(node: Node) -> date:
    text = read_text(node, "a date such as 2026-12-24")
    if not _DATE.fullmatch(text):
        raise ValueError(f'"{text}" is no date; write it like 2026-12-24')
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f'the date "{text}" does not exist') from None


def read_closed(node: Node, info: ValidationInfo) -> date | Calendar:
    """A date, or an iCal file whose path begins at sipacr.yaml."""
    text = read_line(node) if isinstance(node, Text) else read_text(node, "a date or an iCal file")
    if not text.lower().endswith((".ics", ".ical", ".icalendar")) and "/" not in text:
        if _DATE.fullmatch(text):
            return read_date(node)
        raise ValueError(f'"{text}" is neither a date such as 2026-12-24 nor an iCal file such as holidays/pl.ics')
    path = context_of(info).folder / Path(text).expanduser()
    try:
        content = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise ValueError(f"there is no file {path} (paths begin at the folder of sipacr.yaml)") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8") from None
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    return Calendar.parse(content, str(text))


SpanText = Annotated[
    Span, PlainValidator(read_span), WithJsonSchema({"type": "string", "pattern": f"^{_SPAN.pattern}$"})
]
Days = Annotated[tuple[int, ...], PlainValidator(read_days), WithJsonSchema({"type": "string"})]
DateText = Annotated[date, PlainValidator(read_date), WithJsonSchema({"type": "string", "format": "date"})]
Closed = Annotated[date | Calendar, PlainValidator(read_closed), WithJsonSchema({"type": "string"})]
