"""How often: token buckets for peers and for single addresses. Pure; `now` is an argument."""

_REMEMBERED = 16_384  # addresses; beyond it those that were heard of first are forgotten


class Bucket:
    """Tokens for one second of calls, filled again at `rate` a second."""

    __slots__ = ("_at", "_rate", "_tokens")

    def __init__(self, rate: float, now: float) -> None:
        """`rate` in calls a second."""
        self._rate = rate
        self._tokens = max(rate, 1.0)
        self._at = now

    def take(self, now: float) -> bool:
        """Whether another call is within the rate; then it counts."""
        tokens = min(max(self._rate, 1.0), self._tokens + (now - self._at) * self._rate)
        self._at = now
        if tokens < 1.0:
            self._tokens = tokens
            return False
        self._tokens = tokens - 1.0
        return True


class Buckets:
    """One bucket for each name or address."""

    def __init__(self) -> None:
        self._buckets: dict[object, tuple[float, Bucket]] = {}

    def take(self, key: object, rate: float, now: float) -> bool:
        """Whether another call of `key` is within its rate. A rate that has changed begins anew."""
        known = self._buckets.get(key)
        if known is None or known[0] != rate:
            if known is None and len(self._buckets) >= _REMEMBERED:
                del self._buckets[next(iter(self._buckets))]
            known = self._buckets[key] = rate, Bucket(rate, now)
        return known[1].take(now)

    def __len__(self) -> int:
        return len(self._buckets)
