"""From the report of a call to the events of the memory, in order of time (product.md, "The memory").

An event happens at a moment, `at`: at the INVITE, at the answer, when talk reaches `min_talk`, at the end. From that
moment it makes, refreshes or ends rows; its clock runs from the end of the call.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from sipacr.memory.report import CallOutcome, Report, Talk

# "talked" and "used" end rows; `conversation` is the refreshing side of "talked".
EventName = Literal[
    "out_attempt", "out_failed", "out_answered", "in_answered", "in_call", "conversation", "talked", "used"
]

# What the customer did to a call of ours. Not here: a trunk's failure, an unknown number, a 3xx that nobody followed.
_FAILED = frozenset({"busy", "no_answer", "declined", "unavailable", "refused", "abandoned"})
NO_ATTEMPT: frozenset[CallOutcome] = frozenset({"rejected", "redirected"})


class Event(NamedTuple):
    """Something that happened between an agent and the customer."""

    at: float  # unix seconds: from when it counts
    name: EventName
    agent: str  # "" for `in_call`, which concerns all
    clock: float  # from when its clock runs: the end of the call, or while it goes on the latest that is known
    goes_on: bool


def events(report: Report, min_talk: float) -> list[Event]:
    """What this call is to a profile with this `min_talk` (seconds), in the order in which it counts.

    Of events at one moment those that end rows come first: a call never ends the row that it makes.
    """
    if not report.customer or report.nobody:
        return []
    talkers = _talkers(report, min_talk)
    clocks = _clocks(report, talkers)
    incoming = report.direction == "in"
    found: list[Event] = []

    def add(at: float, name: EventName, agent: str, clock: float) -> None:
        found.append(Event(at, name, agent, clock, report.goes_on))

    if incoming and report.outcome != "redirected":
        add(report.started, "in_call", "", _end(report, report.started))
    if not incoming and report.agent and report.outcome not in NO_ATTEMPT:
        add(report.started, "out_attempt", report.agent, clocks.get(report.agent, _end(report, report.started)))
    for agent, talker in talkers.items():
        add(talker.known, "talked", agent, clocks[agent])
        if incoming:
            add(talker.known, "used", agent, clocks[agent])
        add(talker.known, "in_answered" if incoming else "out_answered", agent, clocks[agent])
        add(talker.known, "conversation", agent, clocks[agent])
    if not incoming and report.agent:
        failed = _failed_at(report, min_talk)
        if failed is not None:
            add(failed, "out_failed", report.agent, max(failed, _end(report, failed)))
    found.sort(key=_moment)  # stable: at one moment the order above
    return found


def next_moment(report: Report, least_talks: Iterable[float]) -> float | None:
    """When this call, should it just go on, is to be reported again because talk reaches one of the `min_talk`s."""
    moments = []
    for least in least_talks:
        for spans in _spans(report, math.inf).values():
            known = _known(spans, least)
            if known is not None and known > report.last:
                moments.append(known)
    return min(moments, default=None) if report.goes_on else None


class _Talker(NamedTuple):
    """An agent of ours who talked long enough."""

    known: float  # when that was known
    last: float  # when he last began to talk


def _moment(event: Event) -> float:
    return event.at


def _end(report: Report, at: float) -> float:
    """From when the clock of something that happened at `at` runs: while the call goes on, from then."""
    return at if report.goes_on else report.last


def _spans(report: Report, until: float) -> dict[str, list[tuple[float, float]]]:
    """From when to when each agent of ours talked; who talks still, until `until`."""
    spans: dict[str, list[tuple[float, float]]] = {}
    if report.outcome == "voicemail":
        return spans
    for talk in report.talks:
        if talk.agent:
            spans.setdefault(talk.agent, []).append(_span(talk, until))
    return spans


def _span(talk: Talk, until: float) -> tuple[float, float]:
    return talk.since, max(talk.since, until if talk.until is None else talk.until)


def _known(spans: Sequence[tuple[float, float]], least: float) -> float | None:
    """When talk in these spans has reached `least` seconds together; None: it has not."""
    talked = 0.0
    for since, until in spans:
        if talked + (until - since) >= least:
            return since + least - talked
        talked += until - since
    return None


def _talkers(report: Report, least: float) -> dict[str, _Talker]:
    """Those who talked long enough, the one who began to talk last at the end."""
    found = {}
    for agent, spans in _spans(report, report.last).items():
        known = _known(spans, least)
        if known is not None:
            found[agent] = _Talker(known, spans[-1][0])
    return dict(sorted(found.items(), key=lambda item: item[1].last)) if len(found) > 1 else found


def _clocks(report: Report, talkers: dict[str, _Talker]) -> dict[str, float]:
    """From when the clocks of the agents run.

    All from the end of the call; but the one who talked last is the latest, and a caller for whom another talked comes
    before him: each runs from the least moment before the next.
    """
    if report.goes_on:
        return {agent: max(talker.known, talker.last) for agent, talker in talkers.items()}
    order = [*talkers]
    if report.agent and report.agent not in talkers:
        order.insert(0, report.agent)
    clocks, clock = {}, report.last
    for agent in reversed(order):
        clocks[agent] = clock
        clock = math.nextafter(clock, -math.inf)
    return clocks


def _failed_at(report: Report, least: float) -> float | None:
    """When an outgoing call had surely failed; None: it did not, or nothing is known of it.

    Whoever it was that talked with the customer for long enough, the call has not failed.
    """
    if report.outcome == "voicemail":
        return report.last if report.answered is None else report.answered
    if report.goes_on:
        return None
    outcome = report.legs[-1].outcome if report.outcome == "forwarded" and report.legs else report.outcome
    if outcome in _FAILED:
        return report.last
    if outcome != "answered":
        return None
    spoken: dict[str, float] = {}
    for talk in report.talks:
        since, until = _span(talk, report.last)
        who = talk.agent or talk.who
        spoken[who] = spoken.get(who, 0.0) + until - since
    answered = report.last if report.answered is None else report.answered
    longest = max(spoken.values(), default=report.last - answered)
    return report.last if longest < least else None
