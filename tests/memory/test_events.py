"""The events of one call: which, whose, when they count, and from when their clocks run."""

import math
from typing import Any

import pytest

from sipacr.memory.events import Event, events, next_moment
from sipacr.memory.report import Leg, Report, Talk

CUSTOMER = "+48601000111"


def out(**more: Any) -> Report:
    values: dict[str, Any] = {"direction": "out", "agent": "anna", "started": 100.0, "customer": CUSTOMER}
    return Report(uid="1", source="relay", **(values | more))


def incoming(**more: Any) -> Report:
    values: dict[str, Any] = {"direction": "in", "started": 100.0, "customer": CUSTOMER}
    return Report(uid="1", source="relay", **(values | more))


def brief(found: list[Event]) -> list[tuple[float, str, str]]:
    return [(event.at, event.name, event.agent) for event in found]


def talks(*spans: tuple[str | None, float, float | None]) -> tuple[Talk, ...]:
    return tuple(Talk(agent, agent or "outside", since, until) for agent, since, until in spans)


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        (out(outcome="busy", ended=130.0), [(100, "out_attempt", "anna"), (130, "out_failed", "anna")]),
        (out(alive=110.0), [(100, "out_attempt", "anna")]),
        (out(outcome="unreachable", ended=130.0), [(100, "out_attempt", "anna")]),
        (out(outcome="rejected", ended=100.0), []),
        (out(outcome="busy", ended=130.0, agent=None), []),
        (out(outcome="busy", ended=130.0, customer=""), []),
        (out(outcome="busy", ended=130.0, nobody="is marked as shared"), []),
        (incoming(outcome="no_answer", ended=130.0), [(100, "in_call", "")]),
        (incoming(outcome="redirected", ended=100.0), []),
        (
            incoming(outcome="answered", answered=110.0, ended=130.0, talks=talks(("anna", 110.0, 130.0))),
            [(100, "in_call", ""), (115, "talked", "anna"), (115, "used", "anna"), (115, "in_answered", "anna"), (115, "conversation", "anna")],
        ),
        (
            out(outcome="answered", answered=110.0, ended=130.0, talks=talks(("anna", 110.0, 130.0))),
            [(100, "out_attempt", "anna"), (115, "talked", "anna"), (115, "out_answered", "anna"), (115, "conversation", "anna")],
        ),
        (
            out(outcome="answered", answered=110.0, ended=114.0, talks=talks(("anna", 110.0, 114.0))),
            [(100, "out_attempt", "anna"), (114, "out_failed", "anna")],
        ),
        # Two talks of one person count together, those of two do not.
        (
            out(outcome="answered", answered=110.0, ended=118.0, talks=talks(("anna", 110.0, 113.0), (None, 113.0, 114.0), ("anna", 114.0, 118.0))),
            [(100, "out_attempt", "anna"), (116, "talked", "anna"), (116, "out_answered", "anna"), (116, "conversation", "anna")],
        ),
        (
            out(outcome="answered", answered=110.0, ended=118.0, talks=talks(("anna", 110.0, 114.0), ("ivan", 114.0, 118.0))),
            [(100, "out_attempt", "anna"), (118, "out_failed", "anna")],
        ),
        (
            incoming(outcome="answered", answered=110.0, ended=120.0, talks=talks(("anna", 110.0, 112.0), ("ivan", 112.0, 114.0), ("anna", 114.0, 116.0), ("ivan", 116.0, 118.0), ("anna", 118.0, 120.0))),
            [(100, "in_call", ""), (119, "talked", "anna"), (119, "used", "anna"), (119, "in_answered", "anna"), (119, "conversation", "anna")],
        ),
        # Whatever he was called meanwhile: 101, then by his name.
        (
            out(outcome="answered", answered=110.0, ended=116.0, talks=(Talk("anna", "101", 110.0, 113.0), Talk("anna", "Anna", 113.0, 116.0))),
            [(100, "out_attempt", "anna"), (115, "talked", "anna"), (115, "out_answered", "anna"), (115, "conversation", "anna")],
        ),
        # Nobody says who talked: how long it was is known.
        (out(outcome="answered", answered=110.0, ended=118.0), [(100, "out_attempt", "anna")]),
        (out(outcome="answered", answered=110.0, ended=114.0), [(100, "out_attempt", "anna"), (114, "out_failed", "anna")]),
        # A voicemail that answered is known before the end, whoever of ours listens to it.
        (
            out(outcome="voicemail", answered=110.0, alive=111.0, talks=talks(("anna", 110.0, None))),
            [(100, "out_attempt", "anna"), (110, "out_failed", "anna")],
        ),
        (
            out(outcome="forwarded", ended=130.0, legs=(Leg("", None, "t", "", "t", 100.0, 110.0, "forwarded"), Leg("", None, "t", "", "t", 110.0, 130.0, "declined"))),
            [(100, "out_attempt", "anna"), (130, "out_failed", "anna")],
        ),
        # A talk that goes on counts from when it is long enough.
        (incoming(outcome="answered", answered=110.0, alive=114.9, talks=talks(("anna", 110.0, None))), [(100, "in_call", "")]),
        (
            incoming(outcome="answered", answered=110.0, alive=115.0, talks=talks(("anna", 110.0, None))),
            [(100, "in_call", ""), (115, "talked", "anna"), (115, "used", "anna"), (115, "in_answered", "anna"), (115, "conversation", "anna")],
        ),
    ],
)  # fmt: skip
def test_events(report: Report, expected: list[tuple[float, str, str]]) -> None:
    assert brief(events(report, 5.0)) == expected


def test_clocks_run_from_the_end_and_the_last_who_talked_is_the_latest() -> None:
    report = out(
        agent="zoe", outcome="answered", answered=110.0, ended=200.0,
        talks=talks(("anna", 110.0, 120.0), ("ivan", 120.0, 150.0), ("anna", 150.0, 160.0), (None, 160.0, 200.0)),
    )  # fmt: skip
    clocks = {event.agent: event.clock for event in events(report, 0.0)}
    assert clocks["anna"] == 200.0
    assert clocks["zoe"] < clocks["ivan"] < clocks["anna"]
    assert math.isclose(clocks["zoe"], 200.0, rel_tol=1e-12)
    assert not any(event.goes_on for event in events(report, 0.0))


def test_while_a_call_goes_on_clocks_stand_at_what_happened() -> None:
    report = out(
        outcome="answered", answered=110.0, alive=150.0, talks=talks(("anna", 110.0, 120.0), ("ivan", 120.0, None))
    )
    found = events(report, 5.0)
    assert all(event.goes_on for event in found)
    assert {(event.name, event.clock) for event in found if event.agent == "ivan"} == {
        ("talked", 125.0), ("out_answered", 125.0), ("conversation", 125.0),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        (out(alive=100.0), None),
        (out(outcome="answered", answered=110.0, alive=110.0, talks=talks(("anna", 110.0, None))), 115.0),
        (out(outcome="answered", answered=110.0, alive=115.0, talks=talks(("anna", 110.0, None))), 120.0),
        (out(outcome="answered", answered=110.0, alive=120.0, talks=talks(("anna", 110.0, None))), None),
        (out(outcome="answered", answered=110.0, ended=112.0, talks=talks(("anna", 110.0, 112.0))), None),
        (out(outcome="voicemail", answered=110.0, alive=112.0, talks=talks(("anna", 110.0, None))), None),
    ],
)
def test_when_a_call_that_goes_on_says_something_new(report: Report, expected: float | None) -> None:
    assert next_moment(report, (0.0, 5.0, 10.0)) == expected
