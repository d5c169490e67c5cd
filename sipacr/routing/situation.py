"""What many calls have in common: peer, anonymity, regions, no header that rules name, which schedules are open now.

What such a situation settles is not asked of each call: most rules of most companies are struck out before a call is
looked at.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

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
from sipacr.routing.facts import Request
from sipacr.routing.truth import Truths

if TYPE_CHECKING:
    from sipacr.routing.walk import Fork

_KEPT = 4096  # situations, of one state of the schedules
_STATES = 256  # states of the schedules

_NOWHERE: tuple[str, ...] = ()
_Key = tuple[str, bool, bool, tuple[str, ...], tuple[str, ...]]


class Situation:
    """The places of the conditions that it settles, and the trees of questions that have grown in it."""

    __slots__ = ("settled", "trees")

    def __init__(self, settled: frozenset[int]) -> None:
        self.settled = settled
        self.trees: dict[tuple[int, ...], Fork] = {}  # by the positions of the rules filed under the call's numbers


class Situations:
    """All situations that were met."""

    def __init__(self, truths: Truths) -> None:
        """`truths`: with all conditions compiled."""
        conditions = truths.conditions
        self._settled = _places(conditions, without_headers=True)
        self._with_headers = _places(conditions, without_headers=False)
        self._headers = frozenset(condition.name for condition in conditions if isinstance(condition, HeaderIs))
        sides = {condition.side for condition in conditions if isinstance(condition, RegionIs)}
        self._of_caller = "caller" in sides
        self._of_dialled = "dialled" in sides
        self._codes_of = truths.regions.codes
        self._is_open: list[Callable[[float], bool]] = [schedule.is_open for schedule in truths.schedules]
        self._since = self._until = 0.0  # how long the schedules are as they were seen
        self._by_state: dict[tuple[bool, ...], dict[_Key, Situation]] = {}
        self._current: dict[_Key, Situation] = {}

    def of(self, request: Request, now: float) -> Situation:
        """The situation of this call at `now` (unix seconds). Schedules change at whole seconds only."""
        if not self._since <= now < self._until:
            self._look_at_schedules(now)
        caller = dialled = _NOWHERE
        if self._of_caller and not request.anonymous and request.caller.e164 is not None:
            caller = self._codes_of(request.caller.e164)
        if self._of_dialled and request.dialled.e164 is not None:
            dialled = self._codes_of(request.dialled.e164)
        without_headers = not request.headers or self._headers.isdisjoint(request.headers)
        key = (request.peer, request.anonymous, without_headers, caller, dialled)
        known = self._current.get(key)
        if known is None:
            if len(self._current) >= _KEPT:
                self._current.clear()
            known = self._current[key] = Situation(self._settled if without_headers else self._with_headers)
        return known

    def forget(self) -> None:
        """Drop all situations with their trees."""
        self._by_state.clear()
        self._current.clear()
        self._until = 0.0

    def _look_at_schedules(self, now: float) -> None:
        states = tuple([is_open(now) for is_open in self._is_open])
        known = self._by_state.get(states)
        if known is None:
            if len(self._by_state) >= _STATES:
                self._by_state.clear()
            known = self._by_state[states] = {}
        self._current = known
        self._since = float(math.floor(now))
        self._until = self._since + 1.0


def _places(conditions: tuple[Condition, ...], without_headers: bool) -> frozenset[int]:
    return frozenset(place for place, condition in enumerate(conditions) if _is_settled(condition, without_headers))


def _is_settled(condition: Condition, without_headers: bool) -> bool:
    """Whether only the situation matters to the condition."""
    if isinstance(condition, All | AnyOf | Not):
        return all(_is_settled(part, without_headers) for part in condition.parts)
    if isinstance(condition, HeaderIs):
        return without_headers
    return isinstance(condition, PeerIs | IsAnonymous | During | RegionIs)
