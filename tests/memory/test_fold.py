"""What a late report may change, what was set by hand, calls that turn out to be another's, and what was known when."""

import math
from typing import Any

import pytest

from sipacr.memory.fold import Changes, as_of, fold, forget, learn, needs_others, newest
from sipacr.memory.learner import Learner
from sipacr.memory.report import Leg, Report, Talk
from sipacr.routing.facts import Binding
from sipacr.routing.ruleset import Group, LearnFrom
from sipacr.routing.sticky import clock, is_live
from tests import company
from tests.company import CUSTOMER, HOUR, SHOP

ACR = company.profile(
    "acr",
    create=frozenset({"in_answered", "out_attempt"}),
    refresh=frozenset({"in_answered", "out_attempt", "conversation"}),
    ttl=None,
)
VIPEX_1 = company.profile(
    "v1", create=frozenset({"out_failed"}), refresh=frozenset(), end=frozenset({"conversation"}), min_talk=10.0
)


def failed(uid: str, at: float, agent: str = "anna", **more: Any) -> Report:
    values: dict[str, Any] = {"number": SHOP, "outcome": "busy", "ended": at, "customer": CUSTOMER}
    return Report(uid=uid, source="relay", direction="out", agent=agent, started=at, **(values | more))


def talked(uid: str, at: float, agent: str | None = "anna", length: float = 60.0, **more: Any) -> Report:
    values: dict[str, Any] = {"number": SHOP, "outcome": "answered", "answered": at, "ended": at + length}
    values["talks"] = (Talk(agent, agent or "outside", at, at + length),)
    values["source"] = "relay"
    return Report(uid=uid, direction="in", customer=CUSTOMER, started=at, **(values | more))


def row(agent: str, made: float, profile: str = "acr", **more: Any) -> Binding:
    return Binding(profile, "", CUSTOMER, agent, made, **more)


def test_the_same_report_twice_changes_nothing() -> None:
    learner = Learner(ACR, {})
    call = talked("1", 100.0)
    rows = list(fold(learner, [call]).values())
    assert learn(learner, rows, call, call, []) == Changes()
    assert not learn(learner, rows, call, call, [])


def test_a_corrected_report_takes_back_what_the_first_taught() -> None:
    learner = Learner(ACR, {})
    wrong, right = talked("1", 100.0, "anna"), talked("1", 100.0, "ivan")
    assert needs_others(right, wrong, -math.inf)
    (anna,) = fold(learner, [wrong]).values()
    changes = learn(learner, [anna], right, wrong, [])
    assert changes.drop == (anna,)
    assert [put.agent for put in changes.put] == ["ivan"]


def test_of_two_reports_the_fuller_counts_and_of_equals_the_later() -> None:
    whole = talked("1", 100.0)
    part = as_of(whole, 130.0)
    assert part is not None
    assert whole.replaces(part)
    assert not part.replaces(whole)
    assert whole.replaces(part.lost())
    assert part.lost().replaces(part)
    other = talked("1", 100.0, "ivan")
    assert newest([whole, part, other, part]) == [other]
    assert newest([whole, talked("1", 100.0, "ivan", source="webhook")])[0] is whole  # another source: another call


def test_a_row_set_by_hand_stands_whatever_comes_late() -> None:
    learner = Learner(VIPEX_1, {})
    by_hand = row("ivan", 5 * HOUR, "v1")
    known = failed("1", 3 * HOUR)
    rows = [by_hand, *fold(learner, [known]).values()]
    late = talked("2", HOUR, "ivan")  # before it was set
    assert not learn(learner, rows, late, None, [known])
    assert learn(learner, rows, talked("3", 6 * HOUR, "ivan"), None, [known]).drop == (by_hand,)


def test_a_row_forgotten_by_hand_is_not_brought_back_by_what_comes_late() -> None:
    learner = Learner(VIPEX_1, {})
    known = failed("1", 3 * HOUR)
    assert not learn(learner, [], failed("2", HOUR), None, [known])
    assert [put.made for put in learn(learner, [], failed("3", 4 * HOUR), None, [known]).put] == [4 * HOUR]


def test_rows_whose_calls_are_purged_stay_and_are_refreshed() -> None:
    learner = Learner(ACR, {})
    old = row("anna", HOUR, since=HOUR, in_answered=HOUR)
    recent = talked("1", 100 * HOUR, "ivan")
    rows = [old, *fold(learner, [recent]).values()]
    (put,) = learn(learner, rows, talked("2", 50 * HOUR, "anna"), None, [recent]).put
    assert (put.agent, put.made, put.in_answered) == ("anna", HOUR, 50 * HOUR + 60)


def test_a_new_profile_learns_nothing_of_old_calls_by_the_way() -> None:
    learner = Learner(ACR, {})
    before_it_was = talked("1", HOUR, "anna")
    changes = learn(learner, [], talked("2", HOUR + 30, "ivan"), None, [before_it_was])
    assert [put.agent for put in changes.put] == ["ivan"]


def test_a_call_that_was_another_customers() -> None:
    learner = Learner(ACR, {})
    mine, not_mine = talked("1", 100.0, "ivan"), talked("2", 500.0, "anna")
    rows = list(fold(learner, [mine, not_mine]).values())
    assert [gone.agent for gone in forget(learner, rows, not_mine, [mine]).drop] == ["anna"]


def test_other_calls_are_read_only_where_they_matter() -> None:
    call = talked("1", 100.0)
    part = as_of(call, 110.0)
    assert not needs_others(call, None, -math.inf)
    assert not needs_others(call, None, 99.0)
    assert needs_others(call, None, 100.0)
    assert needs_others(call, None, math.inf)
    assert not needs_others(call, part, 99.0)
    assert needs_others(call, call, 99.0)  # a correction
    attempt = as_of(failed("2", 100.0, ended=130.0), 110.0)
    assert attempt is not None
    assert not needs_others(failed("2", 100.0, ended=130.0), attempt, -math.inf)
    assert needs_others(failed("2", 100.0, ended=130.0, outcome="rejected"), attempt, -math.inf)  # it was no attempt
    voicemail = as_of(failed("2", 100.0, ended=130.0, answered=105.0, outcome="voicemail"), 110.0)
    assert needs_others(failed("2", 100.0, ended=130.0, answered=105.0, outcome="answered"), voicemail, -math.inf)
    assert needs_others(talked("1", 100.0, "ivan"), part, -math.inf)
    assert needs_others(talked("1", 101.0), part, -math.inf)


def test_a_call_that_goes_on_holds_its_row_and_lets_it_go_at_its_end() -> None:
    learner = Learner(company.profile("p", ttl=HOUR), {})
    call = talked("1", 100.0, length=10 * HOUR)
    part = as_of(call, 100.0)
    assert part is not None
    rows = list(learn(learner, [], part).put)
    assert rows[0].in_progress
    assert is_live(rows[0], learner.profile, 9 * HOUR)
    (ended,) = learn(learner, rows, call, part).put
    assert not ended.in_progress
    assert clock(ended, learner.profile) == 100.0 + 10 * HOUR
    (lost,) = learn(learner, rows, part.lost(), part).put
    assert clock(lost, learner.profile) == 100.0
    assert not lost.in_progress


def test_what_was_known_of_a_call() -> None:
    leg = Leg("sticky p", "anna", "anna", "101@pbx", "pbx", 100.0, 110.0, "answered", 200)
    call = talked("1", 100.0, answered=110.0, ringing=101.0, talks=(Talk("anna", "anna", 110.0, 150.0), Talk("ivan", "ivan", 150.0, 170.0)), ended=170.0, legs=(leg,), ended_by="caller")  # fmt: skip
    assert as_of(call, 99.0) is None
    assert as_of(call, 170.0) is call
    rings = as_of(call, 105.0)
    assert rings is not None
    assert (rings.ringing, rings.answered, rings.outcome, rings.talks, rings.ended_by) == (101.0, None, "", (), "")
    assert rings.legs == (leg._replace(ended=None, outcome="", code=0),)
    talks = as_of(call, 160.0)
    assert talks is not None
    assert talks.goes_on
    assert talks.legs == (leg,)
    assert talks.talks == (Talk("anna", "anna", 110.0, 150.0), Talk("ivan", "ivan", 150.0, None))
    assert (talks.outcome, talks.last) == ("answered", 160.0)


def test_a_clock_that_jumped_back_in_mid_call_leaves_no_end_before_the_beginning() -> None:
    learner = Learner(ACR, {})
    (made,) = fold(learner, [talked("1", 5000.0, length=-3600.0)]).values()
    assert made.made == 5000.0
    assert made.since == 5000.0
    assert is_live(made, company.profile("p"), 1400.0)  # made in the future: it lives


@pytest.mark.parametrize(
    ("call", "lacks"),
    [
        (failed("1", 0.0), False),
        (failed("1", 0.0, number=None), True),
        (failed("1", 0.0, number=None, agent=None), False),  # nobody to bind
        (failed("1", 0.0, number=None, agent="olga"), False),  # who does not teach
        (failed("1", 0.0, number=None, learn=False), False),
        (failed("1", 0.0, number=None, outcome="rejected"), False),
        (failed("1", 0.0, number=None, nobody="is marked as shared"), False),
    ],
)
def test_a_call_that_shows_no_number_of_ours_is_worth_a_warning(call: Report, lacks: bool) -> None:
    sales = Group("sales", (("anna", "ivan"), ("olga",)))
    limits = LearnFrom(agents=("anna", "zoe"), groups=("sales",))
    learner = Learner(company.profile("p", create=frozenset({"out_failed"}), scope="number", learn_from=limits), {"sales": sales})  # fmt: skip
    assert learner.lacks_scope(call) is lacks
    assert not Learner(company.profile("p", create=frozenset({"out_failed"})), {}).lacks_scope(call)


def test_a_lengthened_ttl_brings_rows_back_but_for_those_who_have_talked_since() -> None:
    short = Learner(
        company.profile("p", create=frozenset({"out_failed"}), end=frozenset({"conversation"}), ttl=HOUR), {}
    )
    calls = [failed("1", 0.0, "anna"), failed("2", 0.0, "ivan"), talked("3", 5 * HOUR, "ivan")]
    (anna,) = fold(short, calls).values()
    assert anna.agent == "anna"
    assert not is_live(anna, short.profile, 6 * HOUR)
    assert is_live(anna, company.profile("p", ttl=24 * HOUR), 6 * HOUR)
