"""Evidence for commission: contacts, until when they bind, return calls, who got them, and why not the bound agent.

The table tells stories; then any history is recomputed another way, look-up by look-up from the fold.
"""

import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from records import DAY, HOUR, NOON, SHOP, call_in, call_out, leg, talked

from sipacr.memory.evidence import Contact, contacts, totals, why_not
from sipacr.memory.fold import as_of, fold
from sipacr.memory.learner import Learner
from sipacr.memory.report import NotTried, Report
from sipacr.routing.ruleset import StickyProfile
from sipacr.routing.sticky import chosen


def learner(create: str = "out_attempt", refresh: str = "out_attempt", end: str = "", **more: Any) -> Learner:
    fields: dict[str, Any] = {"ttl": DAY, **more}
    words = [frozenset(text.split()) for text in (create, refresh, end)]
    return Learner(StickyProfile("campaign", None, *words, **fields), {})  # type: ignore[arg-type]


ACR_OUT = learner(refresh="out_attempt conversation")
VIPEX_1 = learner("out_failed", "", "conversation", min_talk=10.0)


def told(found: Sequence[Contact]) -> list[tuple[object, ...]]:
    """Agent, until when in hours from noon, why it ended, and of each return call: hour, who got it, why not."""
    return [
        (
            contact.agent,
            contact.bound,
            None if contact.until is None else round((contact.until - NOON) / HOUR, 2),
            contact.ended,
            [(round((each.report.started - NOON) / HOUR, 2), each.got_by, each.why_not) for each in contact.returns],
        )
        for contact in found
    ]


def test_a_call_back_that_the_bound_agent_gets() -> None:
    back = call_in(at=NOON + HOUR, **talked("anna", NOON + HOUR))
    assert told(contacts(VIPEX_1, [call_out(), back])) == [
        ("anna", True, 1.0, "they talked", [(1.0, ("anna",), "")])
    ]  # fmt: skip


def test_a_call_back_that_another_gets_leaves_the_binding() -> None:
    legs = (leg("sticky campaign", "anna", NOON + HOUR), leg("to queue-main", None, NOON + HOUR + 20))
    back = call_in(at=NOON + HOUR, **talked("ivan", NOON + HOUR), legs=legs)
    assert told(contacts(VIPEX_1, [call_out(), back])) == [
        ("anna", True, 24.01, "", [(1.0, ("ivan",), "did not answer for 20 s")])
    ]  # fmt: skip


def test_an_expired_contact_has_no_return_calls() -> None:
    late = call_in(at=NOON + 25 * HOUR)
    assert told(contacts(VIPEX_1, [call_out(), late])) == [("anna", True, 24.01, "", [])]


def test_the_newest_contact_takes_the_customer_over() -> None:
    reports = [
        call_out("1"),
        call_out("2", at=NOON + HOUR, agent="ivan"),
        call_in(at=NOON + 2 * HOUR, **talked("ivan", NOON + 2 * HOUR)),
    ]
    first, second = told(contacts(ACR_OUT, reports))
    assert first == ("anna", True, 1.0, "ivan called him", [])
    assert second[1:2] + second[3:] == (True, "", [(2.0, ("ivan",), "")])


def test_the_same_agent_calls_again() -> None:
    reports = [
        call_out("1"),
        call_in(at=NOON + HOUR),
        call_out("2", at=NOON + 2 * HOUR),
        call_in("b", at=NOON + 3 * HOUR),
    ]
    first, second = contacts(ACR_OUT, reports)
    assert (first.until, first.ended) == (NOON + 2 * HOUR, "called again")
    assert [each.report.uid for each in first.returns] == ["c1"]
    assert [each.report.uid for each in second.returns] == ["b"]


def test_when_the_other_has_talked_the_earlier_contact_counts_again() -> None:
    reports = [
        call_out("1", at=NOON),
        call_out("2", at=NOON + HOUR, agent="ivan"),
        call_in("3", at=NOON + 2 * HOUR, **talked("ivan", NOON + 2 * HOUR)),
        call_in("4", at=NOON + 3 * HOUR),
    ]
    first, second = contacts(VIPEX_1, reports)
    assert [each.report.uid for each in first.returns] == ["4"]
    assert (first.until, first.ended) == (NOON + 20 + DAY, "")
    assert [each.report.uid for each in second.returns] == ["3"]
    assert second.ended == "they talked"


def test_for_ever_and_going_on() -> None:
    for_ever = learner(ttl=None)
    assert [contact.until for contact in contacts(for_ever, [call_out()])] == [math.inf]
    assert [contact.until for contact in contacts(ACR_OUT, [call_out(ended=None, outcome="", alive=NOON + 5)])] == [
        None
    ]


def test_what_does_not_bind() -> None:
    reached = call_out(**talked("anna", NOON))
    (contact,) = contacts(VIPEX_1, [reached])
    assert (contact.bound, contact.until, contact.returns) == (False, None, [])
    assert contacts(VIPEX_1, [call_out(nobody="is a number of our own"), call_out("2", outcome="rejected")]) == []


def test_over_another_number_it_is_no_return_call() -> None:
    scoped = learner(scope="number")
    reports = [call_out(), call_in("other", at=NOON + HOUR, number="+48221119900"), call_in("same", at=NOON + 2 * HOUR)]
    (contact,) = contacts(scoped, reports)
    assert [each.report.uid for each in contact.returns] == ["same"]
    assert contact.scope == SHOP


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"legs": (leg("sticky campaign", "anna", NOON, outcome="busy", code=486),)}, "was busy"),
        ({"legs": (leg("group sales", "anna", NOON, outcome="elsewhere"),)}, "was rung, another answered first"),
        ({"not_tried": (NotTried("sticky campaign", "anna", "is on leave"),)}, "is on leave"),
        ({"not_tried": (NotTried("sticky campaign", "campaign", "office closed, and it is used only then"),)}, "office closed, and it is used only then"),
        ({"outcome": "rejected", "code": 603}, "the call was rejected (603)"),
        ({"source": "import"}, "the call did not pass through sipacr"),
        ({"outcome": "abandoned"}, "the customer gave up before his turn"),
        ({"rules": ("VIP",)}, "no step of campaign had its turn (rules: VIP)"),
    ],
)  # fmt: skip
def test_why_not(more: dict[str, Any], said: str) -> None:
    assert why_not(call_in(**more), "anna", "campaign") == said


def test_totals() -> None:
    reports = [
        call_out("1"),
        call_in("a", at=NOON + HOUR),
        call_in("b", at=NOON + 2 * HOUR, **talked("ivan", NOON + 2 * HOUR)),
        call_in("c", at=NOON + 3 * HOUR, **talked("anna", NOON + 3 * HOUR)),
        call_out("2", at=NOON + 4 * HOUR, agent="olga", **talked("olga", NOON + 4 * HOUR)),
    ]
    assert list(totals(contacts(VIPEX_1, reports))) == [("anna", 1, 0, 1, 3, 1, 1, 1), ("olga", 1, 1, 0, 0, 0, 0, 0)]


CALLS = st.builds(
    lambda minutes, agent, out, talks: (minutes, agent, out, talks),
    st.integers(0, 3000), st.sampled_from(["anna", "ivan"]), st.booleans(), st.booleans(),
)  # fmt: skip
PROFILES = [
    ACR_OUT, VIPEX_1, learner("out_failed", "out_attempt", "conversation"), learner("out_failed", "", "used"),
    learner("out_failed out_answered", "out_attempt in_call"), learner(ttl=None), learner(keep="first"),
    learner(keep="all"), learner("out_attempt in_answered", "out_attempt in_answered conversation"),
]  # fmt: skip


def counts(report: Report, profile: Learner) -> bool:
    """Whether an outgoing call makes or refreshes rows."""
    counting = profile.profile.create | profile.profile.refresh
    return "out_attempt" in counting or ("out_answered" if report.answered else "out_failed") in counting


@settings(max_examples=300, deadline=None)
@given(calls=st.lists(CALLS, max_size=7, unique_by=lambda call: call[0]), profile=st.sampled_from(PROFILES))
def test_it_agrees_with_the_records(calls: list[tuple[int, str, bool, bool]], profile: Learner) -> None:
    """Who is bound at each call of the customer, by the rows that all earlier calls leave, as far as they were known."""
    reports: list[Report] = []
    for index, (minutes, agent, out, talks) in enumerate(sorted(calls)):
        at = NOON + 120.0 * minutes
        make = call_out if out else call_in
        reports.append(
            make(str(index), at=at, **({"agent": agent} if out else {}), **(talked(agent, at) if talks else {}))
        )
    expected: dict[str, list[str]] = {report.uid: [] for report in reports if report.direction == "out"}
    for report in reports:
        if report.direction == "out":
            continue
        before = [known for other in reports if other is not report and (known := as_of(other, report.started))]
        rows = fold(profile, before)
        for row in chosen(rows.values(), profile.profile, report.started):
            theirs = [each.uid for each in before if each.agent == row.agent and counts(each, profile)]
            if theirs:
                expected[theirs[-1]].append(report.uid)
    found = {
        contact.report.uid: [each.report.uid for each in contact.returns] for contact in contacts(profile, reports)
    }
    if "in_answered" in profile.profile.create:  # a row may be there without a contact, or outlive the one that made it
        assert all(set(found[uid]) <= set(expected[uid]) for uid in found)
    else:
        assert found == expected
