"""The clock of the core: order, cancelling, what is due when."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipacr.calls.timers import Timers


def test_what_is_due_is_done_in_the_order_of_its_time_then_of_its_making() -> None:
    timers, done = Timers(100.0), []
    for name, seconds in [("d", 3.0), ("a", 1.0), ("b", 1.0), ("c", 2.0), ("never", 9.0)]:
        timers.after(seconds, lambda name=name: done.append((name, timers.now)))  # type: ignore[misc]
    assert timers.next_due() == 101.0
    timers.run(100.9)
    assert done == []
    timers.run(103.0)
    assert done == [("a", 101.0), ("b", 101.0), ("c", 102.0), ("d", 103.0)]
    assert (timers.next_due(), len(timers)) == (109.0, 1)


def test_now_is_what_was_said_and_never_goes_back() -> None:
    timers = Timers(5.0)
    timers.run(7.5)
    assert timers.now == 7.5
    timers.run(6.0)
    assert timers.now == 7.5


def test_a_cancelled_timer_is_not_done() -> None:
    timers, done = Timers(), []
    first, second = timers.after(1, lambda: done.append(1)), timers.after(2, lambda: done.append(2))
    assert not first.cancelled
    first.cancel()
    first.cancel()
    assert first.cancelled
    assert timers.next_due() == 2
    timers.run(5)
    assert done == [2]
    assert second.cancelled
    second.cancel()
    second.run()
    assert done == [2]
    assert timers.next_due() is None


def test_one_may_cancel_another_that_is_due_too() -> None:
    timers, done = Timers(), []
    timers.after(1, lambda: second.cancel())
    second = timers.after(1, lambda: done.append(2))
    timers.run(5)
    assert done == []


def test_what_is_made_while_running_counts_from_the_time_it_was_due() -> None:
    timers, done = Timers(), []

    def again() -> None:
        done.append(timers.now)
        if len(done) < 4:
            timers.after(1.0, again)

    timers.after(1.0, again)
    timers.run(3.5)
    assert done == [1.0, 2.0, 3.0]
    timers.run(3.9)
    timers.run(4.0)
    assert done == [1.0, 2.0, 3.0, 4.0]


def test_at_once_means_in_this_run() -> None:
    timers, done = Timers(), []
    timers.after(1.0, lambda: timers.after(0.0, lambda: done.append(timers.now)))
    timers.run(1.0)
    assert done == [1.0]


def test_one_that_raises_does_not_take_the_others_with_it() -> None:
    timers, done = Timers(), []
    timers.after(1, lambda: 1 // 0)
    timers.after(1, lambda: done.append(2))
    with pytest.raises(ZeroDivisionError):
        timers.run(1)
    timers.run(1)
    assert done == [2]


def test_cancelled_timers_do_not_pile_up() -> None:
    timers, done, live = Timers(), [], []
    for number in range(50_000):
        seconds = 1000 + number * 7919 % 1009
        timer = timers.after(seconds, lambda: done.append(timers.now))
        if number % 100:
            timer.cancel()
        else:
            live.append(seconds)
    assert len(timers) < 2000
    timers.run(3000)
    assert done == sorted(live)
    assert len(timers) == 0


def test_sweeping_while_running_loses_nothing() -> None:
    timers, done = Timers(), []

    def many() -> None:
        for number in range(5000):
            timer = timers.after(1, lambda number=number: done.append(number))  # type: ignore[misc]
            if number % 2:
                timer.cancel()

    timers.after(1, many)
    timers.after(1.5, lambda: done.append(-1))
    timers.run(5)
    assert done == [-1, *range(0, 5000, 2)]


@given(st.lists(st.tuples(st.sampled_from(["after", "cancel", "run"]), st.integers(0, 20))))
def test_as_a_sorted_list_would(steps: list[tuple[str, int]]) -> None:
    timers, done, expected = Timers(), [], []
    made: list[tuple[int, int]] = []  # due, number
    handles, waiting, now = [], set(), 0
    for what, number in steps:
        if what == "after":
            place = len(made)
            handles.append(timers.after(number, lambda place=place: done.append(place)))  # type: ignore[misc]
            made.append((now + number, place))
            waiting.add(place)
        elif what == "cancel" and handles:
            handles[number % len(handles)].cancel()
            waiting.discard(number % len(handles))
        elif what == "run":
            now += number
            timers.run(now)
            due = sorted(each for each in made if each[1] in waiting and each[0] <= now)
            expected += [place for _, place in due]
            waiting -= {place for _, place in due}
            assert done == expected
            assert timers.next_due() == min((made[place][0] for place in waiting), default=None)
