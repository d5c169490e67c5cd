"""The clock of the pure core: `now` is what the driver last said, and what is due is called in order."""

import heapq
from collections.abc import Callable

T1 = 0.5  # seconds: an estimate of the round trip (RFC 3261 17.1.1.1)
T2 = 4.0  # seconds: the longest pause between retransmissions of a non-INVITE request and of an INVITE's 2xx
T4 = 5.0  # seconds: how long a message may stay in the network

_SWEEP_AT = 1000  # timers; later at twice those that were live the last time


class Timer:
    """One thing to do later."""

    __slots__ = ("_what", "due")

    def __init__(self, due: float, what: Callable[[], None]) -> None:
        self.due = due
        self._what: Callable[[], None] | None = what

    def cancel(self) -> None:
        """Never do it. Harmless after it was done."""
        self._what = None

    def run(self) -> None:
        """Do it, unless it was cancelled; once."""
        what, self._what = self._what, None
        if what is not None:
            what()

    @property
    def cancelled(self) -> bool:
        return self._what is None


class Timers:
    """All timers of all calls."""

    def __init__(self, now: float = 0.0) -> None:
        """`now` in monotonic seconds."""
        self.now = now
        self._heap: list[tuple[float, int, Timer]] = []
        self._made = 0
        self._sweep_at = _SWEEP_AT

    def after(self, seconds: float, what: Callable[[], None]) -> Timer:
        """Do `what` that many seconds from now."""
        timer = Timer(self.now + seconds, what)
        self._made += 1
        heapq.heappush(self._heap, (timer.due, self._made, timer))
        if len(self._heap) > self._sweep_at:
            self._sweep()
        return timer

    def _sweep(self) -> None:
        """Drop the cancelled ones: a timer of half an hour must not outlive its call by half an hour."""
        heap = self._heap
        heap[:] = [each for each in heap if not each[2].cancelled]
        heapq.heapify(heap)
        self._sweep_at = max(_SWEEP_AT, 2 * len(heap))

    def next_due(self) -> float | None:
        """When `run` should be called next (monotonic seconds), or None if there is nothing to do."""
        heap = self._heap
        while heap and heap[0][2].cancelled:
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def run(self, now: float) -> None:
        """Set the clock and do what is due by now, in the order of its time."""
        heap = self._heap
        while heap and heap[0][0] <= now:
            due, _, timer = heapq.heappop(heap)
            self.now = max(self.now, due)
            timer.run()
        self.now = max(self.now, now)

    def __len__(self) -> int:
        """How many timers wait, cancelled ones that were not reached yet included."""
        return len(self._heap)
