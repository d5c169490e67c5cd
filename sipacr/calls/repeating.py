"""The clockwork of transactions: messages repeated until they are answered, and answers remembered for late repeats.

Nearly everything is answered in milliseconds, so a first look after T1 stands in one queue for all, and only what is
still unanswered then gets a timer of its own.
"""

from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

from sipacr.calls.network import Flow, Network
from sipacr.calls.timers import T1, Timer, Timers

PATIENCE = 64 * T1  # seconds: timers B, D, F, H, J, L and M

_EARLY = 0.001  # seconds: what adding up floats may lose
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Repeating:
    """A message that is sent again on UDP after T1, 2*T1, 4*T1 … and given up after 64*T1 on any transport."""

    __slots__ = ("_clock", "_data", "_deadline", "_interval", "_longest", "_timer", "flow", "waiting")

    def __init__(self, flow: Flow, clock: "Clock") -> None:
        self.flow = flow
        self.waiting = False  # whether it is still to be repeated and given up
        self._clock = clock
        self._data = b""
        self._timer: Timer | None = None
        self._interval = self._longest = self._deadline = 0.0

    def give_up(self) -> None:
        """64*T1 have passed without an answer."""
        raise NotImplementedError

    def _repeat_until_answered(self, longest: float) -> None:
        """Begin; `longest` is the longest pause in seconds. The first sending is the caller's."""
        self.waiting = True
        self._interval = T1
        self._longest = longest
        self._clock.look_later(self)

    def _answered(self) -> None:
        """Neither repeat it nor give it up."""
        self.waiting = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def tick(self) -> None:
        """A pause is over."""
        clock = self._clock
        left = self._deadline - clock.timers.now
        if left < _EARLY:
            self._answered()
            self.give_up()
            return
        pause = left
        if not self.flow.reliable:
            clock.network.send(self.flow, self._data)
            self._interval = min(2 * self._interval, self._longest)
            pause = min(left, self._interval)
        self._timer = clock.timers.after(pause, self.tick)

    def begun(self, now: float) -> None:
        """Note when it was sent first."""
        self._deadline = now + PATIENCE


class Clock:
    """The first look at all that was sent less than T1 ago."""

    def __init__(self, network: Network, timers: Timers) -> None:
        self.network = network
        self.timers = timers
        self._looks: deque[tuple[float, Repeating]] = deque()
        self._set = False

    def look_later(self, what: Repeating) -> None:
        """After T1, unless it was answered."""
        now = self.timers.now
        what.begun(now)
        self._looks.append((now + T1, what))
        if not self._set:
            self._set = True
            self.timers.after(T1, self._look)

    def _look(self) -> None:
        looks, now = self._looks, self.timers.now
        try:
            while looks and (looks[0][0] <= now or not looks[0][1].waiting):
                what = looks.popleft()[1]
                if what.waiting:
                    what.tick()
        finally:  # without this timer nothing would ever be repeated again
            self._set = bool(looks)
            if looks:
                self.timers.after(looks[0][0] - now, self._look)


class Fading(Generic[K, V]):
    """What is over but must be remembered for 64*T1; it is forgotten up to T1 later, many at a time."""

    __slots__ = ("_known", "_queue", "_timers")

    def __init__(self, timers: Timers) -> None:
        self._timers = timers
        self._known: dict[K, V] = {}
        self._queue: deque[tuple[float, K]] = deque()

    def __len__(self) -> int:
        return len(self._known)

    def get(self, key: K) -> V | None:
        """What is remembered of it."""
        return self._known.get(key)

    def add(self, key: K, value: V) -> None:
        """Remember it. A key that is known must not be added."""
        self._known[key] = value
        if not self._queue:
            self._timers.after(PATIENCE + T1, self._forget)
        self._queue.append((self._timers.now + PATIENCE, key))

    def _forget(self) -> None:
        queue, now = self._queue, self._timers.now
        while queue and queue[0][0] <= now:
            del self._known[queue.popleft()[1]]
        if queue:
            self._timers.after(queue[0][0] + T1 - now, self._forget)
