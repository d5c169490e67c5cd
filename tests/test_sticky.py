"""Which rows are live, by which clock, and whom `keep` takes (product.md, "The memory")."""

import math

import pytest
from company import HOUR, NOW, bound, profile

from sipacr.routing.ruleset import StickyProfile
from sipacr.routing.sticky import chosen, clock, is_live

DAY = 24 * HOUR
VIPEX_1 = profile("v1", create=frozenset({"out_failed"}), refresh=frozenset())
VIPEX_2 = profile("v2", create=frozenset({"out_failed"}), refresh=frozenset({"out_attempt"}))
VIPEX_4 = profile("v4", create=frozenset({"out_failed", "out_answered"}), refresh=frozenset({"out_attempt", "in_call"}))


@pytest.mark.parametrize(
    ("which", "events", "started"),
    [
        (VIPEX_1, {}, 30 * HOUR),
        (VIPEX_1, {"out_failed": 5 * HOUR}, 30 * HOUR),  # a second failed attempt leaves the clock alone
        (VIPEX_1, {"out_attempt": 5 * HOUR}, 30 * HOUR),
        (VIPEX_2, {"out_attempt": 5 * HOUR}, 5 * HOUR),
        (VIPEX_2, {"out_attempt": 40 * HOUR}, 30 * HOUR),  # before the row was made again
        (VIPEX_2, {"in_call": 5 * HOUR}, 30 * HOUR),
        (VIPEX_4, {"out_attempt": 5 * HOUR, "in_call": 2 * HOUR}, 2 * HOUR),
    ],
)
def test_clock(which: StickyProfile, events: dict[str, float], started: float) -> None:
    row = bound("anna", 30 * HOUR, **{event: NOW - ago for event, ago in events.items()})
    assert clock(row, which) == NOW - started
    assert is_live(row, which, NOW) is (started <= DAY)


def test_the_last_moment_counts_and_a_changed_ttl_acts_on_what_exists() -> None:
    row = bound("anna", DAY)
    assert is_live(row, VIPEX_1, NOW)
    assert not is_live(row, VIPEX_1, NOW + 0.001)
    assert is_live(row, profile("longer", ttl=DAY + 1), NOW + 1)
    assert is_live(row, profile("for ever", ttl=None), NOW + 1e9)


def test_a_call_in_progress_is_live() -> None:
    row = bound("anna", 30 * DAY, in_progress=True)
    assert clock(row, VIPEX_1) == math.inf
    assert is_live(row, VIPEX_1, NOW)


def test_ties_stay_as_they_came() -> None:
    rows = [bound("anna", HOUR), bound("ivan", HOUR)]
    for keep in ("last", "first", "all"):
        assert chosen(rows, profile("p", keep=keep), NOW)[0].agent == "anna"
