"""Says each cause of trouble once a minute, and how often it happened in between: loud, but never a flood."""

import logging
import time
from collections import Counter
from collections.abc import Callable

INTERVAL = 60.0  # seconds


class Loud:
    """Rate-limited errors by cause; `counts` has them all."""

    def __init__(self, log: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self.counts: Counter[str] = Counter()
        self._log = log
        self._clock = clock
        self._said: dict[str, tuple[float, int]] = {}  # cause -> when, and the count then

    def say(self, cause: str, message: str, *, trace: bool = False) -> None:
        """Log `message` unless its `cause` was logged within the last minute; with `trace` the exception too."""
        self.counts[cause] += 1
        count, now = self.counts[cause], self._clock()
        when, before = self._said.get(cause, (float("-inf"), 0))
        if now - when < INTERVAL:
            return
        self._said[cause] = (now, count)
        again = f" ({count - before} times since it was last said)" if count - before > 1 else ""
        self._log.error("%s%s", message, again, exc_info=trace)
