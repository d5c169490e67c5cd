"""The rows of one customer from all that is known of his calls; and the same, call by call, for speed.

A call counts by its own time, whenever its report arrives, and once, however often it is reported.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from sipacr.memory.events import NO_ATTEMPT, Event, events
from sipacr.memory.learner import Learner, Rows
from sipacr.memory.report import CallOutcome, Leg, Report, Talk
from sipacr.routing.facts import Binding
from sipacr.routing.ruleset import StickyProfile
from sipacr.routing.sticky import clock


class Changes(NamedTuple):
    """What is to be written into the memory."""

    put: tuple[Binding, ...] = ()
    drop: tuple[Binding, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.put or self.drop)


def fold(learner: Learner, reports: Iterable[Report]) -> Rows:
    """The rows of one customer by all his reports, in the order in which they arrived."""
    least = learner.profile.min_talk
    found: list[tuple[Event, Report, str | None, bool]] = []
    for report in newest(reports):
        scope, taught = learner.scope(report), learner.is_taught_by(report)
        found += [(event, report, scope, taught) for event in events(report, least)]
    found.sort(key=_order)
    rows: Rows = {}
    for event, report, scope, taught in found:
        learner.apply_event(rows, event, report.customer, scope, taught)
    return rows


def newest(reports: Iterable[Report]) -> list[Report]:
    """Of each call the fullest report; of equally full ones the one that came last."""
    calls: dict[tuple[str, str], Report] = {}
    for report in reports:
        key = (report.source, report.uid)
        known = calls.get(key)
        if known is None or report.replaces(known):
            calls[key] = report
    return list(calls.values())


def as_of(report: Report, moment: float) -> Report | None:
    """What was known of a call at that moment (unix seconds); None: it had not begun."""
    if report.started > moment:
        return None
    if not report.goes_on and report.last <= moment:
        return report
    answered = report.answered if report.answered is not None and report.answered <= moment else None
    outcome: CallOutcome = "voicemail" if report.outcome == "voicemail" else "answered"
    return replace(
        report,
        ringing=report.ringing if report.ringing is not None and report.ringing <= moment else None,
        answered=answered,
        ended=None,
        alive=min(moment, report.last),
        outcome="" if answered is None else outcome,
        code=0 if answered is None else 200,
        reason="",
        ended_by="",
        talks=tuple(_talk_as_of(talk, moment) for talk in report.talks if talk.since <= moment),
        legs=tuple(_leg_as_of(leg, moment) for leg in report.legs if leg.started <= moment),
    )


def needs_others(new: Report, earlier: Report | None, others_last: float) -> bool:
    """Whether `learn` must know the customer's other calls, because the new report does not just come after them.

    `earlier`: what was known of the same call. `others_last`: the end of the other call that ended last (`Report.last`;
    unix seconds), `math.inf` if one goes on, `-math.inf` if there is none.
    """
    return others_last >= new.started or (earlier is not None and not _goes_on_as(earlier, new))


def learn(
    learner: Learner,
    rows: Sequence[Binding],
    new: Report,
    earlier: Report | None = None,
    others: Sequence[Report] | None = None,
) -> Changes:
    """What a report that has just come changes in the stored rows of its customer in this profile.

    `earlier`: what was known of the same call, if anything; it must be this customer's (see `forget`) and less full
    (`Report.replaces`). `others`: the reports of all his other calls, None only if `needs_others` says no.
    """
    before: Rows = {(row.scope, row.agent): row for row in rows}
    if others is None:
        after = dict(before) if earlier is None else _before(new, before)
        learner.apply(after, new)
        return _difference(before, after)
    told = fold(learner, others if earlier is None else (*others, earlier))
    return _difference(before, _redone(learner, before, told, [*others, new], new))


def forget(learner: Learner, rows: Sequence[Binding], gone: Report, others: Sequence[Report]) -> Changes:
    """What changes when a report turns out not to be one of this customer's: his rows without it."""
    before: Rows = {(row.scope, row.agent): row for row in rows}
    return _difference(before, _redone(learner, before, fold(learner, (*others, gone)), others, None))


def _order(found: tuple[Event, Report, str | None, bool]) -> tuple[float, float, str, str]:
    """Events in order of time; those at one moment in an order that never changes."""
    event, report, _, _ = found
    return event.at, report.started, report.uid, report.source


def _talk_as_of(talk: Talk, moment: float) -> Talk:
    return talk if talk.until is not None and talk.until <= moment else talk._replace(until=None)


def _leg_as_of(leg: Leg, moment: float) -> Leg:
    if leg.ended is not None and leg.ended <= moment:
        return leg
    return leg._replace(ended=None, outcome="", code=0, reason="")


def _goes_on_as(earlier: Report, new: Report) -> bool:
    """Whether the new report only adds to the earlier: what that taught need not be undone."""
    return (
        earlier.goes_on
        and new.outcome not in NO_ATTEMPT
        and all(
            (
                earlier.direction == new.direction,
                earlier.customer == new.customer,
                earlier.nobody == new.nobody,
                earlier.number == new.number,
                earlier.shown == new.shown,
                earlier.peer == new.peer,
                earlier.agent == new.agent,
                earlier.started == new.started,
                earlier.learn == new.learn,
                earlier.headers == new.headers,
                earlier.outcome in ("", new.outcome) or (earlier.outcome == "answered" and new.outcome == "lost"),
                len(earlier.talks) <= len(new.talks),
                all(
                    was.agent == now.agent and was.since == now.since and was.until in (None, now.until)
                    for was, now in zip(earlier.talks, new.talks, strict=False)
                ),
            )
        )
    )


def _before(new: Report, rows: Rows) -> Rows:
    """The rows as if the only call that goes on had not begun, as far as its newer report, `new`, sets them again.

    What it made goes, being younger than its INVITE; what it refreshed bears times that will only grow.
    """
    return {
        key: row._replace(in_progress=False, calling=False) if row.in_progress or row.calling else row
        for key, row in rows.items()
        if row.made < new.started or row.since is None  # without `since` it was set by hand
    }


def _redone(learner: Learner, stored: Rows, told: Rows, reports: Sequence[Report], new: Report | None) -> Rows:
    """The rows when all calls are gone through once more. `told`: what they said before.

    A row that they did not tell so (it was set or forgotten by hand, its calls are purged, the profile was another one)
    stands as it is; only what is new and later acts on it.
    """
    after = fold(learner, reports)
    for key in {*stored, *told}:
        row = stored.get(key)
        if row == told.get(key):
            continue
        after.pop(key, None)
        alone: Rows = {} if row is None else {key: row}
        if new is not None:
            horizon = _touched(row or told[key], learner.profile)
            later = [event for event in events(new, learner.profile.min_talk) if event.at > horizon]
            mine = [event for event in later if event.agent in ("", key[1])]
            learner.apply(alone, new, mine)
        if key in alone:
            after[key] = alone[key]
    return after


def _touched(row: Binding, profile: StickyProfile) -> float:
    """When the row changed last, as far as it tells."""
    return clock(row._replace(in_progress=False, calling=False), profile)


def _difference(before: Rows, after: Rows) -> Changes:
    put = tuple(row for key, row in after.items() if before.get(key) != row)
    drop = tuple(row for key, row in before.items() if key not in after)
    return Changes(put, drop)
