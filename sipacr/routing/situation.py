"""What many calls have in common: peer, anonymity, regions, no header that rules name, which schedules are open now.

Conditions made of nothing else are settled once for each such situation, not once for each call: most rules of most
companies are struck out before a call is looked at.
"""

from collections.abc import Callable

from sipacr.routing.conditions import (
    All,
    AnyOf,
    Condition,
    During,
    HeaderIs,
    IsAnonymous,
    Not,
    PeerIs,
    RegionIs,
)
from sipacr.routing.facts import Facts
from sipacr.routing.truth import Call, Memo, Truths

_KEPT = 4096  # situations, of one state of the schedules
_STATES = 256  # states of the schedules

_Key = tuple[str, bool, bool, tuple[str, ...], tuple[str, ...]]


class Situation:
    """The conditions that are settled (all others NOT_YET), and per group of rules the bits of those left."""

    __slots__ = ("live", "memo")

    def __init__(self, memo: Memo) -> None:
        self.memo = memo
        self.live: dict[object, int] = {}


class Situations:
    """All situations that were met."""

    def __init__(self, truths: Truths) -> None:
        """`truths`: with all conditions compiled."""
        self._truths = truths
        conditions = truths.conditions
        self._settled = [place for place, condition in enumerate(conditions) if _is_settled(condition, True)]
        self._with_headers = [place for place, condition in enumerate(conditions) if _is_settled(condition, False)]
        self._headers = frozenset(condition.name for condition in conditions if isinstance(condition, HeaderIs))
        sides = {condition.side for condition in conditions if isinstance(condition, RegionIs)}
        self._of_caller = "caller" in sides
        self._of_dialled = "dialled" in sides
        self._is_open: list[Callable[[float], bool]] = [schedule.is_open for schedule in truths.schedules]
        self._second: int | None = None
        self._by_state: dict[tuple[bool, ...], dict[_Key, Situation]] = {}
        self._current: dict[_Key, Situation] = {}

    def of(self, facts: Facts, now: float) -> Situation:
        """The situation of this call at `now` (unix seconds). Schedules change at whole seconds only."""
        if int(now) != self._second:
            self._look_at_schedules(now)
        request = facts.request
        codes_of = self._truths.regions.codes
        caller: tuple[str, ...] = ()
        dialled: tuple[str, ...] = ()
        if self._of_caller and not request.anonymous and request.caller.e164 is not None:
            caller = codes_of(request.caller.e164)
        if self._of_dialled and request.dialled.e164 is not None:
            dialled = codes_of(request.dialled.e164)
        without_headers = not request.headers or self._headers.isdisjoint(request.headers)
        key = (request.peer, request.anonymous, without_headers, caller, dialled)
        known = self._current.get(key)
        return known if known is not None else self._new(key, facts, now)

    def _look_at_schedules(self, now: float) -> None:
        states = tuple([is_open(now) for is_open in self._is_open])
        known = self._by_state.get(states)
        if known is None:
            if len(self._by_state) >= _STATES:
                self._by_state.clear()
            known = self._by_state[states] = {}
        self._current = known
        self._second = int(now)

    def _new(self, key: _Key, facts: Facts, now: float) -> Situation:
        situation = Situation(self._truths.blank())
        call = Call(facts, now, situation.memo)
        without_headers = key[2]
        for place in self._settled if without_headers else self._with_headers:
            situation.memo[place] = self._truths.tests[place](call)
        if len(self._current) >= _KEPT:
            self._current.clear()
        self._current[key] = situation
        return situation


def _is_settled(condition: Condition, without_headers: bool) -> bool:
    """Whether only the situation matters to the condition."""
    if isinstance(condition, All | AnyOf | Not):
        return all(_is_settled(part, without_headers) for part in condition.parts)
    if isinstance(condition, HeaderIs):
        return without_headers
    return isinstance(condition, PeerIs | IsAnonymous | During | RegionIs)
