"""Opening times: spans, exceptions, calendars, and the days on which the clock is changed."""

from bisect import bisect_right
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sipacr.routing import schedules
from sipacr.routing.schedules import Calendar, Schedule, Span

WARSAW = "Europe/Warsaw"
NEVER: tuple[tuple[Span, ...], ...] = ((),) * 7


def daily(*spans: Span) -> tuple[tuple[Span, ...], ...]:
    return (spans,) * 7


def minutes(text: str) -> int:
    hours, rest = text.split(":")
    return int(hours) * 60 + int(rest)


def span(text: str) -> Span:
    start, end = text.split("-")
    return minutes(start), minutes(end)


def at(text: str, tz: str = WARSAW, fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(tz), fold=fold).timestamp()


def local(moment: float, tz: str = WARSAW) -> str:
    return datetime.fromtimestamp(moment, ZoneInfo(tz)).isoformat()


def events(*bodies: str, zones: str = "") -> Calendar:
    """A calendar of events, each given as its lines with "; " between."""
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//test//EN", *zones.split()]
    for number, body in enumerate(bodies):
        own = body.split("; ")
        uid = [] if any(line.startswith("UID") for line in own) else [f"UID:{number}"]
        lines += ["BEGIN:VEVENT", *uid, *own, "END:VEVENT"]
    return Calendar.parse("\r\n".join([*lines, "END:VCALENDAR", ""]), "days.ics")


OFFICE = Schedule("office", WARSAW, (*((span("08:00-12:00"), span("12:30-20:00")),) * 5, (), ()))
NIGHT = Schedule("night", WARSAW, daily(span("22:00-06:00")))


@pytest.mark.parametrize(
    ("schedule", "when", "is_open"),
    [
        (OFFICE, "2026-11-23T07:59:59.999", False),
        (OFFICE, "2026-11-23T08:00", True),
        (OFFICE, "2026-11-23T11:59:59.999", True),
        (OFFICE, "2026-11-23T12:00", False),
        (OFFICE, "2026-11-23T12:30", True),
        (OFFICE, "2026-11-23T20:00", False),
        (OFFICE, "2026-11-21T10:00", False),  # Saturday
        (NIGHT, "2026-11-23T21:59:59", False),
        (NIGHT, "2026-11-23T22:00", True),
        (NIGHT, "2026-11-24T00:00", True),
        (NIGHT, "2026-11-24T05:59:59", True),
        (NIGHT, "2026-11-24T06:00", False),
        (Schedule("late", WARSAW, daily(span("20:00-24:00"))), "2026-11-23T23:59:59.999", True),
        (Schedule("late", WARSAW, daily(span("20:00-24:00"))), "2026-11-24T00:00", False),
        (Schedule("late", WARSAW, daily(span("20:00-00:00"))), "2026-11-23T23:59:59.999", True),
        (Schedule("late", WARSAW, daily(span("20:00-00:00"))), "2026-11-24T00:00", False),
        (Schedule("always", WARSAW, daily(span("00:00-24:00"))), "2026-11-24T00:00", True),
        (Schedule("never", WARSAW, NEVER), "2026-11-24T00:00", False),
    ],
)
def test_week(schedule: Schedule, when: str, is_open: bool) -> None:
    assert schedule.is_open(at(when)) is is_open


CLOSED = frozenset({date(2026, 12, 24), date(2026, 12, 27)})
SUNDAY = {date(2026, 12, 27): (span("10:00-14:00"),)}
HOLIDAY = events("SUMMARY:holiday; DTSTART;VALUE=DATE:20261223")


@pytest.mark.parametrize(
    ("when", "is_open"),
    [
        ("2026-12-24T10:00", False),  # closed before the week
        ("2026-12-27T10:00", True),  # open before closed
        ("2026-12-27T14:00", False),  # and instead of the week
        ("2026-12-23T10:00", False),  # calendar before the week
        ("2026-12-22T10:00", True),
    ],
)
def test_order_of_exceptions(when: str, is_open: bool) -> None:
    schedule = Schedule("it", WARSAW, daily(span("08:00-20:00")), SUNDAY, CLOSED, (HOLIDAY,))
    assert schedule.is_open(at(when)) is is_open


def test_open_comes_before_a_calendar() -> None:
    opened = {date(2026, 12, 23): (span("10:00-12:00"),)}
    timed = events("DTSTART:20261223T100000; DTEND:20261223T113000")
    for calendar in (HOLIDAY, timed):
        schedule = Schedule("it", WARSAW, daily(span("08:00-20:00")), opened, calendars=(calendar,))
        assert schedule.is_open(at("2026-12-23T10:30"))
        assert not schedule.is_open(at("2026-12-23T09:30"))


@pytest.mark.parametrize("how", ["closed", "calendar"])
def test_exceptions_replace_the_spans_that_start_on_their_day(how: str) -> None:
    """The night before the closed day runs into it; the night that would start on it does not take place."""
    closed = frozenset({date(2026, 12, 23)}) if how == "closed" else frozenset[date]()
    schedule = Schedule("it", WARSAW, NIGHT.week, {}, closed, (HOLIDAY,) if how == "calendar" else ())
    assert schedule.is_open(at("2026-12-23T05:59"))
    assert not schedule.is_open(at("2026-12-23T22:30"))
    assert not schedule.is_open(at("2026-12-24T05:59"))
    assert schedule.is_open(at("2026-12-24T22:30"))


def test_an_exceptional_night_runs_into_the_next_day() -> None:
    schedule = Schedule(
        "it", WARSAW, NEVER, {date(2026, 12, 31): (span("22:00-04:00"),)}, frozenset({date(2027, 1, 1)})
    )
    assert schedule.is_open(at("2027-01-01T03:59"))
    assert not schedule.is_open(at("2027-01-01T04:00"))


def changes(schedule: Schedule, start: str, count: int) -> list[tuple[str, bool]]:
    """The next changes after a local time."""
    found = []
    now = at(start, schedule.tz)
    for _ in range(count):
        change = schedule.next_change(now)
        assert change is not None
        now = change[0]
        found.append((local(now, schedule.tz), change[1]))
    return found


@pytest.mark.parametrize(
    ("tz", "hours", "start", "expected"),
    [
        # Skipped times count as passed: a span that would begin in the gap begins where the gap ends.
        (WARSAW, "02:30-04:00", "2026-03-29T00:00", [("03:00:00+02:00", True), ("04:00:00+02:00", False)]),
        (WARSAW, "01:00-02:30", "2026-03-29T00:00", [("01:00:00+01:00", True), ("03:00:00+02:00", False)]),
        # Repeated ones happen twice: a span that ends in the repeated hour opens and closes twice.
        (
            WARSAW, "01:00-02:30", "2026-10-25T00:00",
            [
                ("01:00:00+02:00", True), ("02:30:00+02:00", False),
                ("02:00:00+01:00", True), ("02:30:00+01:00", False),
            ],
        ),
        (
            WARSAW, "02:30-04:00", "2026-10-25T00:00",
            [
                ("02:30:00+02:00", True), ("02:00:00+01:00", False),
                ("02:30:00+01:00", True), ("04:00:00+01:00", False),
            ],
        ),
        (WARSAW, "01:00-04:00", "2026-10-25T00:00", [("01:00:00+02:00", True), ("04:00:00+01:00", False)]),
        ("America/New_York", "02:30-04:00", "2026-03-08T00:00", [("03:00:00-04:00", True), ("04:00:00-04:00", False)]),
        (
            "America/New_York", "00:00-01:30", "2026-11-01T00:00",
            [("01:30:00-04:00", False), ("01:00:00-05:00", True), ("01:30:00-05:00", False)],
        ),
        # Lord Howe's clock moves by half an hour.
        (
            "Australia/Lord_Howe", "02:15-03:00", "2026-10-04T00:00",
            [("02:30:00+11:00", True), ("03:00:00+11:00", False)],
        ),
        (
            "Australia/Lord_Howe", "01:00-01:45", "2026-04-05T00:00",
            [
                ("01:00:00+11:00", True), ("01:45:00+11:00", False),
                ("01:30:00+10:30", True), ("01:45:00+10:30", False),
            ],
        ),
        # A gap at midnight: the day begins at one o'clock.
        ("Africa/Cairo", "00:00-02:00", "2026-04-23T12:00", [("01:00:00+03:00", True), ("02:00:00+03:00", False)]),
    ],
)  # fmt: skip
def test_clock_changes(tz: str, hours: str, start: str, expected: list[tuple[str, bool]]) -> None:
    schedule = Schedule("it", tz, daily(span(hours)))
    assert [(when[11:], state) for when, state in changes(schedule, start, len(expected))] == expected


def test_night_over_a_clock_change() -> None:
    assert changes(NIGHT, "2026-10-24T12:00", 2) == [
        ("2026-10-24T22:00:00+02:00", True),
        ("2026-10-25T06:00:00+01:00", False),
    ]


def test_next_change() -> None:
    assert changes(OFFICE, "2026-11-20T19:00", 2) == [
        ("2026-11-20T20:00:00+01:00", False),
        ("2026-11-23T08:00:00+01:00", True),
    ]
    assert OFFICE.next_change(at("2026-11-23T12:00")) == (at("2026-11-23T12:30"), True)
    far = Schedule("far", WARSAW, NEVER, {date(2028, 2, 29): (span("10:00-11:00"),)})
    assert far.next_change(at("2026-11-23T12:00")) == (at("2028-02-29T10:00"), True)
    for week in (NEVER, daily(span("00:00-24:00"))):
        assert Schedule("same", WARSAW, week).next_change(at("2026-11-23T12:00")) is None


def closed_at(calendar: Calendar, *whens: str, tz: str = WARSAW) -> list[bool]:
    schedule = Schedule("it", tz, daily(span("00:00-24:00")), calendars=(calendar,))
    return [not schedule.is_open(at(when, tz)) for when in whens]


def test_all_day_events_close_their_days() -> None:
    christmas = events("DTSTART;VALUE=DATE:20261225; DTEND;VALUE=DATE:20261227; TRANSP:TRANSPARENT")
    whens = ("2026-12-24T23:59", "2026-12-25T00:00", "2026-12-26T23:59", "2026-12-27T00:00")
    assert closed_at(christmas, *whens) == [False, True, True, False]
    assert closed_at(christmas, *whens, tz="Pacific/Auckland") == [False, True, True, False]


def test_timed_events_close_only_their_hours() -> None:
    meeting = events("DTSTART:20261123T100000; DURATION:PT90M")
    whens = ("2026-11-23T09:59", "2026-11-23T10:00", "2026-11-23T11:29", "2026-11-23T11:30")
    assert closed_at(meeting, *whens) == [False, True, True, False]
    assert closed_at(meeting, *whens, tz="America/New_York") == [False, True, True, False]  # floating: anybody's clock
    utc = events("DTSTART:20261123T090000Z; DTEND:20261123T103000Z")
    assert closed_at(utc, *whens) == [False, True, True, False]
    kyiv = events("DTSTART;TZID=Europe/Kyiv:20261123T110000; DTEND;TZID=Europe/Kyiv:20261123T123000")
    assert closed_at(kyiv, *whens) == [False, True, True, False]


def test_a_calendars_own_time_zone() -> None:
    zones = (
        "BEGIN:VTIMEZONE TZID:Ours BEGIN:STANDARD DTSTART:16010101T000000 "
        "TZOFFSETFROM:+0300 TZOFFSETTO:+0300 END:STANDARD END:VTIMEZONE"
    )
    event = events("DTSTART;TZID=Ours:20261123T120000; DTEND;TZID=Ours:20261123T130000", zones=zones)
    assert closed_at(event, "2026-11-23T09:59", "2026-11-23T10:00", "2026-11-23T11:00") == [False, True, False]


def test_repetitions() -> None:
    yearly = events("DTSTART;VALUE=DATE:20201111; RRULE:FREQ=YEARLY")
    assert closed_at(yearly, "2019-11-11T10:00", "2026-11-11T10:00", "2040-11-11T10:00", "2026-11-12T10:00") == [
        False, True, True, False,
    ]  # fmt: skip
    weekly = events(
        "UID:w; DTSTART;TZID=Europe/Warsaw:20261005T100000; DTEND;TZID=Europe/Warsaw:20261005T110000;"
        " RRULE:FREQ=WEEKLY;COUNT=8; EXDATE;TZID=Europe/Warsaw:20261012T100000",
        "UID:w; RECURRENCE-ID;TZID=Europe/Warsaw:20261019T100000; DTSTART;TZID=Europe/Warsaw:20261019T150000;"
        " DTEND;TZID=Europe/Warsaw:20261019T160000",
        "UID:w; RECURRENCE-ID;TZID=Europe/Warsaw:20261109T100000; DTSTART;TZID=Europe/Warsaw:20261109T100000;"
        " DTEND;TZID=Europe/Warsaw:20261109T110000; STATUS:CANCELLED",
    )
    assert closed_at(weekly, "2026-10-05T10:30", "2026-10-12T10:30") == [True, False]  # EXDATE
    assert closed_at(weekly, "2026-10-19T10:30", "2026-10-19T15:30") == [False, True]  # moved
    assert closed_at(weekly, "2026-10-26T10:30", "2026-11-02T10:30") == [True, True]  # the same hour in winter
    assert closed_at(weekly, "2026-11-09T10:30") == [False]  # this one cancelled
    assert closed_at(weekly, "2026-11-23T10:30", "2026-11-30T10:30") == [True, False]  # COUNT


def test_cancelled_events_are_ignored() -> None:
    assert closed_at(events("DTSTART;VALUE=DATE:20261123; STATUS:CANCELLED"), "2026-11-23T10:00") == [False]


def test_an_event_cuts_a_night_and_an_all_day_event_only_its_own() -> None:
    cut = Schedule("it", WARSAW, NIGHT.week, calendars=(events("DTSTART:20261124T010000; DTEND:20261124T020000"),))
    assert changes(cut, "2026-11-23T12:00", 4) == [
        ("2026-11-23T22:00:00+01:00", True), ("2026-11-24T01:00:00+01:00", False),
        ("2026-11-24T02:00:00+01:00", True), ("2026-11-24T06:00:00+01:00", False),
    ]  # fmt: skip


def test_several_calendars_and_a_file_of_several() -> None:
    one, other = events("DTSTART;VALUE=DATE:20261123"), events("DTSTART;VALUE=DATE:20261124")
    schedule = Schedule("it", WARSAW, daily(span("00:00-24:00")), calendars=(one, other))
    assert not schedule.is_open(at("2026-11-23T10:00"))
    assert not schedule.is_open(at("2026-11-24T10:00"))
    text = "".join(
        f"BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:{day}\nDTSTART;VALUE=DATE:{day}\nEND:VEVENT\nEND:VCALENDAR\n"
        for day in (20261123, 20261124)
    )
    both = Calendar.parse("\ufeff" + text, "both.ics")
    assert closed_at(both, "2026-11-23T10:00", "2026-11-24T10:00", "2026-11-25T10:00") == [True, True, False]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["DTSTART;VALUE=DATE:20261332"], 'event "x": DTSTART'),
        (["DTSTART;VALUE=DATE:20261123", "RRULE:FREQ=SOMETIMES"], 'event "x": RRULE'),
        (["DTSTART:20261123T100000", "RRULE:FREQ=SECONDLY"], "repeats SECONDLY"),
        (["DTSTART;TZID=Nowhere/At_All:20261123T100000"], 'time zone "Nowhere/At_All"'),
        (["DTEND;VALUE=DATE:20261123"], "has no DTSTART"),
        (["DTSTART:20261123T100000", "DTEND:20261123T090000"], "ends before it starts"),
        (["DTSTART;VALUE=DATE:20261123", "DTEND:20261123T090000"], "one of DTSTART and DTEND is a date"),
        (["DTSTART:20261123T100000Z", "DTEND:20261123T110000"], "has a time zone, the other"),
        (["DTSTART 20261123"], 'event "x"'),
    ],
)
def test_bad_events(lines: list[str], message: str) -> None:
    text = "\n".join(
        ["BEGIN:VCALENDAR", "BEGIN:VEVENT", "SUMMARY:x", "UID:1", *lines, "END:VEVENT", "END:VCALENDAR", ""]
    )
    with pytest.raises(ValueError, match=f"days.ics.*{message}"):
        Calendar.parse(text, "days.ics")


@pytest.mark.parametrize("text", ["", "hello", "BEGIN:VCALENDAR\n", "BEGIN:VEVENT\nUID:1\nEND:VEVENT\n", "a,b\n1,2\n"])
def test_no_calendar(text: str) -> None:
    with pytest.raises(ValueError, match=r"days\.ics is no iCal file"):
        Calendar.parse(text, "days.ics")


def test_an_empty_calendar_closes_nothing() -> None:
    assert closed_at(events(), "2026-11-23T10:00") == [False]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tz": "Europe/Varsaw"}, "not an IANA time zone"),
        ({"tz": ""}, "not an IANA time zone"),
        ({"tz": "../../etc/passwd"}, "not an IANA time zone"),
        ({"week": ((),) * 6}, "seven days, not 6"),
        ({"week": daily((480, 480))}, "no span"),
        ({"week": daily((-1, 480))}, "no span"),
        ({"week": daily((480, 1441))}, "no span"),
        ({"open": {date(2026, 1, 1): ((1440, 60),)}}, "no span"),
    ],
)
def test_what_is_no_schedule(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Schedule(**({"name": "it", "tz": WARSAW, "week": NEVER} | arguments))


# The reference: asks the definition minute by minute, knows no memo and no day cut in pieces.

TIMED = events(
    "DTSTART:20261024T233000; DTEND:20261025T023000",
    "DTSTART;TZID=America/New_York:20261024T200000; DURATION:PT25M",
    "DTSTART;VALUE=DATE:20261026",
)


def slow_is_open(schedule: Schedule, moment: float, with_calendar: bool) -> bool:
    wall = datetime.fromtimestamp(moment, ZoneInfo(schedule.tz)).replace(tzinfo=None, fold=0)
    cut = with_calendar and (
        datetime(2026, 10, 24, 23, 30) <= wall < datetime(2026, 10, 25, 2, 30)
        or at("2026-10-25T02:00") <= moment < at("2026-10-25T02:25")
    )
    for day, shift in ((wall.date(), 0), (wall.date() - timedelta(days=1), 1440)):
        minute = wall.hour * 60 + wall.minute + shift
        exceptional = day in schedule.open
        spans = schedule.open.get(day, schedule.week[day.weekday()])
        if not exceptional and (day in schedule.closed or (with_calendar and day == date(2026, 10, 26))):
            spans = ()
        for start, end in spans:
            if start <= minute < (end if end > start else end + 1440) and (exceptional or not cut):
                return True
    return False


SPANS = st.lists(
    st.tuples(st.integers(0, 1439), st.integers(0, 1440)).filter(lambda pair: pair[0] != pair[1]), max_size=3
).map(tuple)
DAYS = [date(2026, 10, 24) + timedelta(days=offset) for offset in range(4)]
SCHEDULES = st.builds(
    Schedule,
    st.just("any"),
    st.sampled_from([WARSAW, "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia"]),
    st.tuples(*[SPANS] * 7),
    st.dictionaries(st.sampled_from(DAYS), SPANS, max_size=2),
    st.frozensets(st.sampled_from(DAYS), max_size=2),
    st.sampled_from([(), (TIMED,)]),
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(SCHEDULES)
def test_against_a_minute_by_minute_reference(schedule: Schedule) -> None:
    begin = at("2026-10-24T12:00")
    moments = [begin + 60 * minute for minute in range(3 * 1440)]
    slow = [slow_is_open(schedule, moment, bool(schedule.calendars)) for moment in moments]
    assert [schedule.is_open(moment) for moment in moments] == slow
    shuffled = [(number * 1021) % len(moments) for number in range(len(moments))]  # forwards, backwards, across days
    assert [schedule.is_open(moments[number]) for number in shuffled] == [slow[number] for number in shuffled]
    turns = [moments[number] for number in range(1, len(moments)) if slow[number] != slow[number - 1]]
    for moment in moments[::97]:
        after = bisect_right(turns, moment)
        if after < len(turns):
            assert schedule.next_change(moment) == (turns[after], slow[moments.index(turns[after])])


@pytest.mark.parametrize(
    ("tz", "around"),
    [
        (WARSAW, "2026-03-29"),
        ("America/New_York", "2026-11-01"),
        ("Australia/Lord_Howe", "2026-04-05"),
        ("Pacific/Apia", "2011-12-30"),
    ],
)
@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(week=st.tuples(*[SPANS] * 7))
def test_reference_around_clock_changes(tz: str, around: str, week: tuple[tuple[Span, ...], ...]) -> None:
    """In Samoa the whole 30th of December 2011 was skipped."""
    schedule = Schedule("any", tz, week)
    begin = datetime.fromisoformat(around + "T00:00+00:00").timestamp() - 86400
    for minute in range(3 * 1440):
        assert schedule.is_open(begin + 60 * minute) == slow_is_open(schedule, begin + 60 * minute, False)


def test_memo_is_kept_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    schedule = Schedule(
        "it", WARSAW, OFFICE.week, calendars=(events("DTSTART;VALUE=DATE:20261224; RRULE:FREQ=YEARLY"),)
    )
    assert schedule.is_open(at("2026-11-23T16:15"))
    with monkeypatch.context() as patch:
        patch.setattr(Schedule, "_pieces", None)  # neither asked again within the same stretch of time
        assert schedule.is_open(at("2026-11-23T19:59:59"))
        assert schedule.is_open(at("2026-11-23T12:30"))
    assert schedule.next_change(at("2027-11-23T16:15")) is not None
    for day in range(0, 4000, 7):
        schedule.is_open(at("2026-11-23T16:15") + day * 86400)
    assert len(schedule._days) <= schedules._KEPT_DAYS
    assert len(schedule.calendars[0]._windows) <= schedules._KEPT_WINDOWS
