"""Whether it is opening time: a weekly pattern, exceptional dates and calendars, by the wall clock of one time zone.

Nothing here knows what time it is: `now` (unix seconds) is an argument. What was found out is kept, so that a question
about the same stretch of time costs next to nothing.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

Span = tuple[int, int]  # minutes after midnight: start (included), end (not); an end <= start is on the next day

_DAY = 86400  # seconds
_EPOCH = date(1970, 1, 1)
_KEPT_DAYS = 64  # days whose pieces a schedule keeps
_WINDOW = 32  # days of a calendar that are expanded at once
_KEPT_WINDOWS = 16
_MARGIN = timedelta(days=3)  # how far a window reaches over its days: a local date begins up to 14 hours before
_HORIZON = 1461  # days that `next_change` looks ahead: four years
_EVENT_TIMES = ("DTSTART", "DTEND", "DURATION", "RRULE", "RDATE", "EXDATE", "RECURRENCE-ID")


class _Closures(NamedTuple):
    """What a calendar closes within one window."""

    days: frozenset[date]
    hours: tuple[tuple[datetime, datetime], ...]  # floating times: by the wall clock of whoever asks
    moments: tuple[tuple[float, float], ...]  # unix seconds: events with a time zone


class _Pieces(NamedTuple):
    """One UTC day cut where the state changes: `states[i]` holds from `starts[i]` to `starts[i + 1]`."""

    starts: tuple[float, ...]
    states: tuple[bool, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Calendar:
    """The events of one iCal file, all of which close: all-day ones their days, the others their hours.

    Cancelled events do not count. RRULE, RDATE, EXDATE and RECURRENCE-ID do (RFC 5545).
    """

    name: str
    _query: Any = field(repr=False)
    _windows: dict[int, _Closures] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def parse(cls, text: str, name: str) -> "Calendar":
        """The calendar in `text`; `name` is the file's, for messages. Raises ValueError, naming the wrong event."""
        # Imported here: they take 0.1 s, and most schedules have no calendar.
        import icalendar
        import recurring_ical_events

        try:
            components = icalendar.Calendar.from_ical(text.lstrip("\ufeff"), multiple=True)
        except ValueError as error:
            raise ValueError(f"{name} is no iCal file (RFC 5545): {_first_line(error)}") from error
        calendars = [component for component in components if component.name == "VCALENDAR"]
        if not calendars:
            raise ValueError(f"{name} is no iCal file (RFC 5545): BEGIN:VCALENDAR and END:VCALENDAR are missing")
        whole = calendars[0]
        for calendar in calendars[1:]:
            whole.subcomponents.extend(calendar.subcomponents)
        starts = [_checked_start(event, name) for event in whole.walk("VEVENT")]
        found = cls(name, recurring_ical_events.of(whole, components=["VEVENT"]))
        try:
            for index in {_day_of(start) // _WINDOW for start in starts}:
                found._expand(index)
        except (ValueError, OverflowError) as error:
            raise ValueError(f"{name}: {_first_line(error)}") from error
        return found

    def closures(self, day: int) -> _Closures:
        """What is closed around a UTC day (counted from 1970-01-01): at least that day and two on either side."""
        index = day // _WINDOW
        window = self._windows.get(index)
        if window is None:
            if len(self._windows) >= _KEPT_WINDOWS:
                self._windows.clear()
            window = self._windows[index] = self._expand(index)
        return window

    def _expand(self, index: int) -> _Closures:
        first = datetime.combine(_EPOCH, datetime.min.time(), UTC) + timedelta(days=index * _WINDOW)
        days: set[date] = set()
        hours: list[tuple[datetime, datetime]] = []
        moments: list[tuple[float, float]] = []
        for event in self._query.between(first - _MARGIN, first + timedelta(days=_WINDOW) + _MARGIN):
            if str(event.get("STATUS", "")).upper() == "CANCELLED":
                continue
            start, end = event["DTSTART"].dt, event["DTEND"].dt
            if not isinstance(start, datetime):
                days.update(start + timedelta(days=offset) for offset in range(max((end - start).days, 1)))
            elif start.tzinfo is None:
                hours.append((start, end))
            else:
                moments.append((start.timestamp(), end.timestamp()))
        return _Closures(frozenset(days), tuple(hours), tuple(moments))


@dataclass(frozen=True, slots=True)
class Schedule:
    """Opening times under a name.

    Exceptions replace the spans that *start* on their day: `open` before `closed` before calendars before the week.
    The wall clock decides each moment: local times that are skipped count as passed, repeated ones happen twice.
    """

    name: str
    tz: str  # IANA name
    week: tuple[tuple[Span, ...], ...]  # seven days, Monday first
    open: Mapping[date, tuple[Span, ...]] = field(default_factory=dict)
    closed: frozenset[date] = frozenset()
    calendars: tuple[Calendar, ...] = ()
    _zone: ZoneInfo = field(init=False, repr=False, compare=False)
    _memo: tuple[float, float, bool] = field(default=(0.0, 0.0, False), init=False, repr=False, compare=False)
    _days: dict[int, _Pieces] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Raises ValueError if the time zone is unknown, the week has not seven days or a span is no span."""
        try:
            zone = ZoneInfo(self.tz)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f'"{self.tz}" is not an IANA time zone such as Europe/Warsaw') from error
        object.__setattr__(self, "_zone", zone)
        if len(self.week) != 7:
            raise ValueError(f"a week has seven days, not {len(self.week)}")
        for spans in (*self.week, *self.open.values()):
            for start, end in spans:
                if not (0 <= start < 1440 and 0 <= end <= 1440 and start != end):
                    raise ValueError(f"{start}-{end} is no span of minutes of a day")

    def is_open(self, now: float) -> bool:
        """Whether it is open at `now` (unix seconds)."""
        start, end, state = self._memo
        if start <= now < end:
            return state
        pieces = self._pieces(int(now // _DAY))
        at = bisect_right(pieces.starts, now) - 1
        end = pieces.starts[at + 1] if at + 1 < len(pieces.starts) else (now // _DAY + 1) * _DAY
        object.__setattr__(self, "_memo", (pieces.starts[at], end, pieces.states[at]))
        return pieces.states[at]

    def next_change(self, now: float) -> tuple[float, bool] | None:
        """When (unix seconds) the state changes after `now`, and to what; None if it does not within four years."""
        state = self.is_open(now)
        today = int(now // _DAY)
        for day in range(today, today + _HORIZON):
            pieces = self._pieces(day)
            for start, following in zip(pieces.starts, pieces.states, strict=True):
                if start > now and following != state:
                    return start, following
        return None

    def _pieces(self, day: int) -> _Pieces:
        pieces = self._days.get(day)
        if pieces is None:
            if len(self._days) >= _KEPT_DAYS:
                self._days.clear()
            pieces = self._days[day] = self._cut(day)
        return pieces

    def _cut(self, day: int) -> _Pieces:
        """Cuts a UTC day at every moment at which the state could change, and asks what it is from there on."""
        begin, end = float(day * _DAY), float((day + 1) * _DAY)
        closures = [calendar.closures(day) for calendar in self.calendars]
        starts: list[float] = []
        states: list[bool] = []
        for mark in sorted({begin, *(mark for mark in self._marks(begin, end, closures) if begin < mark < end)}):
            state = self._state(mark, closures)
            if not states or states[-1] != state:
                starts.append(mark)
                states.append(state)
        return _Pieces(tuple(starts), tuple(states))

    def _marks(self, begin: float, end: float, closures: list[_Closures]) -> Iterator[float]:
        """Moments at which the state may change; more than needed do no harm."""
        last = datetime.fromtimestamp(end, self._zone).date()
        current = datetime.fromtimestamp(begin, self._zone).date() - timedelta(days=1)
        while current <= last:
            for start, stop in self._spans(current, closures)[0]:
                yield from self._moments_of(_wall(current, start))
                yield from self._moments_of(_wall(current, stop if stop > start else stop + 1440))
            current += timedelta(days=1)
        for window in closures:
            for wall in (wall for pair in window.hours for wall in pair):
                yield from self._moments_of(wall)
            for pair in window.moments:
                yield from pair
        yield from self._clock_change(int(begin), int(end))

    def _moments_of(self, wall: datetime) -> tuple[float, float]:
        """When the wall clock shows `wall`: the first and the second time (the same but for a repeated hour)."""
        zoned = wall.replace(tzinfo=self._zone)
        return zoned.replace(fold=0).timestamp(), zoned.replace(fold=1).timestamp()

    def _clock_change(self, begin: int, end: int) -> Iterator[float]:
        """The moment at which the clock is put forward or back in this day, if there is one."""

        def offset(moment: int) -> timedelta | None:
            return datetime.fromtimestamp(moment, self._zone).utcoffset()

        before = offset(begin)
        if before == offset(end):
            return
        while end - begin > 1:
            middle = (begin + end) // 2
            if offset(middle) == before:
                begin = middle
            else:
                end = middle
        yield float(end)

    def _spans(self, day: date, closures: list[_Closures]) -> tuple[tuple[Span, ...], bool]:
        """The spans that start on a local day, and whether they are exceptional, so that no calendar cuts them."""
        exceptional = self.open.get(day)
        if exceptional is not None:
            return exceptional, True
        if day in self.closed or any(day in window.days for window in closures):
            return (), False
        return self.week[day.weekday()], False

    def _state(self, moment: float, closures: list[_Closures]) -> bool:
        """What holds at a moment, from the definition; everything else here is only there to ask this rarely."""
        wall = datetime.fromtimestamp(moment, self._zone).replace(tzinfo=None, fold=0)
        seconds = wall.hour * 3600 + wall.minute * 60 + wall.second
        today, exceptional_today = self._spans(wall.date(), closures)
        yesterday, exceptional_yesterday = self._spans(wall.date() - timedelta(days=1), closures)
        now_open = any(start * 60 <= seconds and (stop <= start or seconds < stop * 60) for start, stop in today)
        still_open = any(stop <= start and seconds < stop * 60 for start, stop in yesterday)
        if (now_open and exceptional_today) or (still_open and exceptional_yesterday):
            return True
        return (now_open or still_open) and not _is_cut(moment, wall, closures)


def _is_cut(moment: float, wall: datetime, closures: list[_Closures]) -> bool:
    """Whether an event that is not all-day closes this moment."""
    return any(
        any(start <= moment < end for start, end in window.moments)
        or any(start <= wall < end for start, end in window.hours)
        for window in closures
    )


def _wall(day: date, minutes: int) -> datetime:
    return datetime.combine(day, datetime.min.time()) + timedelta(minutes=minutes)


def _day_of(start: date) -> int:
    """The number of a date, counted from 1970-01-01."""
    return (date(start.year, start.month, start.day) - _EPOCH).days


def _checked_start(event: Any, name: str) -> date:
    """The start of an event. Raises ValueError if its times cannot be understood as a whole."""
    what = f'{name}: event "{event.get("SUMMARY") or event.get("UID") or "without a name"}"'
    for key, reason in event.errors:
        if key is None or key.upper() in _EVENT_TIMES:
            raise ValueError(f"{what}: {key or 'a line'}: {reason}")
    if "DTSTART" not in event:
        raise ValueError(f"{what} has no DTSTART")
    for key in ("DTSTART", "DTEND", "RECURRENCE-ID"):
        zone = event[key].params.get("TZID") if key in event else None
        if zone is not None and isinstance(event[key].dt, datetime) and event[key].dt.tzinfo is None:
            raise ValueError(
                f'{what}: {key} is in time zone "{zone}", which is neither IANA\'s nor defined in the file'
            )
    start: date = event["DTSTART"].dt
    if "DTEND" in event:
        end = event["DTEND"].dt
        if isinstance(start, datetime) != isinstance(end, datetime):
            raise ValueError(f"{what}: one of DTSTART and DTEND is a date, the other a time")
        if isinstance(start, datetime) and (start.tzinfo is None) != (end.tzinfo is None):
            raise ValueError(f"{what}: one of DTSTART and DTEND has a time zone, the other has none")
        if end < start:
            raise ValueError(f"{what} ends before it starts")
    rules = event.get("RRULE", [])
    for rule in rules if isinstance(rules, list) else [rules]:
        frequency = str(next(iter(rule.get("FREQ", [])), ""))
        if frequency.upper() in ("SECONDLY", "MINUTELY"):
            raise ValueError(f"{what} repeats {frequency}: opening times are not cut that finely")
    return start


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
