"""How many calls a bucket lets through in a time, and how many names it remembers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipacr.sip import limits
from sipacr.sip.limits import Bucket, Buckets


@pytest.mark.parametrize(
    ("rate", "every", "seconds", "taken"),
    [
        (50.0, 0.001, 10.0, 550),  # one second's worth at once, then the rate
        (50.0, 0.02, 10.0, 501),
        (50.0, 0.1, 10.0, 101),  # who stays below the rate has all
        (1.0, 0.1, 10.0, 11),
        (1 / 60, 1.0, 300.0, 6),
    ],
)
def test_rates(rate: float, every: float, seconds: float, taken: int) -> None:
    bucket = Bucket(rate, 0.0)
    count = sum(bucket.take(number * every) for number in range(int(seconds / every) + 1))
    assert abs(count - taken) <= 1


@given(st.floats(0.01, 1000.0), st.lists(st.floats(0.0, 10.0), min_size=1, max_size=200))
def test_never_more_than_the_rate_and_one_second(rate: float, times: list[float]) -> None:
    bucket = Bucket(rate, 0.0)
    taken = sum(bucket.take(now) for now in sorted(times))
    assert taken <= max(rate, 1.0) + max(times) * rate + 1e-6


def test_each_name_has_its_own_and_a_new_rate_begins_anew() -> None:
    buckets = Buckets()
    assert [buckets.take("a", 1.0, 0.0) for _ in range(2)] == [True, False]
    assert buckets.take("b", 1.0, 0.0)
    assert [buckets.take("a", 2.0, 0.0) for _ in range(3)] == [True, True, False]


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_REMEMBERED", 100)
    buckets = Buckets()
    for number in range(1000):
        assert buckets.take(number, 1.0, 0.0)
    assert len(buckets) == 100
    assert not buckets.take(999, 1.0, 0.0)
