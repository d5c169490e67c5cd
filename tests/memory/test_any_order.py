"""However reports arrive, the rows are the same: in any order, twice, in parts, one by one or all at once."""

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sipacr.memory.fold import as_of, fold
from sipacr.memory.learner import Learner
from sipacr.memory.report import Report, Talk
from sipacr.routing.facts import Binding
from sipacr.routing.ruleset import LearnFrom, StickyProfile
from tests.memory.telling import CUSTOMER, LINE, SHOP, Memory, as_they_come

EVENTS = ("out_attempt", "out_failed", "out_answered", "in_answered", "in_call", "conversation")
FAILURES = ("busy", "no_answer", "abandoned", "unreachable", "refused", "rejected", "voicemail", "redirected")
AGENTS = ("anna", "ivan")


@st.composite
def profiles(draw: st.DrawFn) -> StickyProfile:
    return StickyProfile(
        "p",
        None,
        create=frozenset(draw(st.sets(st.sampled_from(EVENTS[:4]), min_size=1))),  # type: ignore[arg-type]
        refresh=frozenset(draw(st.sets(st.sampled_from(EVENTS)))),  # type: ignore[arg-type]
        end=frozenset(draw(st.sets(st.sampled_from(["conversation", "used"])))),  # type: ignore[arg-type]
        ttl=draw(st.sampled_from([None, 5.0, 20.0, 60.0])),
        min_talk=draw(st.sampled_from([0.0, 3.0])),
        scope=draw(st.sampled_from(["everywhere", "number"])),  # type: ignore[arg-type]
        learn_from=draw(st.sampled_from([LearnFrom(), LearnFrom(), LearnFrom(agents=("anna",))])),
    )


@st.composite
def calls(draw: st.DrawFn, uid: str) -> Report:
    moment = st.integers(0, 100)
    started = float(draw(moment))
    outgoing = draw(st.booleans())
    values: dict[str, Any] = {
        "uid": uid,
        "source": "relay",
        "direction": "out" if outgoing else "in",
        "customer": CUSTOMER,
        "number": draw(st.sampled_from([SHOP, SHOP, LINE, None] if outgoing else [SHOP, SHOP, LINE])),
        "agent": draw(st.sampled_from(AGENTS)) if outgoing else None,
        "learn": draw(st.sampled_from([True, True, True, False])),
        "started": started,
    }
    now = started + draw(st.integers(0, 5))
    outcome = draw(st.sampled_from(["answered", "answered", *FAILURES]))
    if outcome in ("answered", "voicemail"):
        values["answered"] = now
    talks = []
    if outcome == "answered":
        for who in draw(st.lists(st.sampled_from([*AGENTS, None]), min_size=1, max_size=3)):
            until = now + draw(st.integers(0, 12))
            talks.append(Talk(who, who or "outside", now, until))
            now = until
    elif outcome == "voicemail":
        now += draw(st.integers(0, 12))
    report = Report(**values, outcome=outcome, ended=now, talks=tuple(talks))
    if draw(st.integers(0, 5)) == 0:
        cut = as_of(report, started + draw(st.integers(0, 12)))
        assert cut is not None
        report = cut.lost() if cut.goes_on else cut
    return report


@st.composite
def histories(draw: st.DrawFn) -> list[Report]:
    return [draw(calls(f"call {number}")) for number in range(draw(st.integers(1, 5)))]


class OneProfile(Memory):
    """A memory of one profile, without rules around it."""

    def __init__(self, learner: Learner) -> None:
        self.rows = {}
        self.reports = {}
        self._learners = [learner]


def by_key(rows: dict[Any, Binding]) -> dict[tuple[str, str], Binding]:
    return {(row.scope, row.agent): row for row in rows.values()}


@settings(max_examples=200, deadline=None)
@given(profiles(), histories(), st.randoms(use_true_random=False))
def test_the_order_of_arrival_and_repetitions_do_not_matter(
    profile: StickyProfile, reports: list[Report], chance: random.Random
) -> None:
    learner = Learner(profile, {})
    expected = fold(learner, reports)
    parts = [part for moment in range(0, 120, 7) for report in reports if (part := as_of(report, moment))]
    arriving = [*reports, *reports, *parts]
    chance.shuffle(arriving)
    assert fold(learner, arriving) == expected


@settings(max_examples=200, deadline=None)
@given(profiles(), histories(), st.randoms(use_true_random=False), st.booleans())
def test_rows_that_are_kept_are_those_of_all_reports(
    profile: StickyProfile, reports: list[Report], chance: random.Random, always_all: bool
) -> None:
    learner = Learner(profile, {})
    memory = OneProfile(learner)
    arriving = [*as_they_come(reports, 200.0)]
    for position in range(len(arriving)):  # mostly in order, some late
        if chance.random() < 0.2:
            arriving.insert(chance.randrange(len(arriving)), arriving.pop(position))
    for report in arriving:
        memory.take(report, always_all)
        assert by_key(memory.rows) == fold(learner, list(memory.reports.values()))
    assert by_key(memory.rows) == fold(learner, reports)


@settings(max_examples=150, deadline=None)
@given(profiles(), histories(), st.integers(0, 120))
def test_what_is_known_at_a_moment_is_what_was_reported_until_then(
    profile: StickyProfile, reports: list[Report], now: int
) -> None:
    learner = Learner(profile, {})
    memory = OneProfile(learner)
    for report in as_they_come(reports, float(now)):
        memory.take(report)
    known = [part for report in reports if (part := as_of(report, float(now)))]
    assert by_key(memory.rows) == fold(learner, known)
