"""Finds the rules that match a call, top to bottom, without looking at most of them.

Each rule is filed under one condition that must hold, if it has one on a number: exact, or a mask. The others are
residual, and a bit of an integer each: a condition that fails strikes out all residual rules that need it at once.
`match` is what calls use; `visit` evaluates every rule by the same functions, for traces and as the proof of `match`.
"""

from collections.abc import Iterator, Sequence

from sipacr.routing.conditions import (
    All,
    AnyOf,
    Condition,
    Contains,
    During,
    HeaderIs,
    IsAnonymous,
    IsKnown,
    IsShared,
    IsVip,
    MaskIs,
    Not,
    NumberIs,
    OnList,
    PeerIs,
    Regex,
    RegionIs,
    Share,
    Side,
)
from sipacr.routing.decision import Decision
from sipacr.routing.facts import Number
from sipacr.routing.masks import Mask
from sipacr.routing.masktable import MaskTable
from sipacr.routing.ruleset import Rule
from sipacr.routing.situation import Situation
from sipacr.routing.truth import NOT_YET, Call, Truths

# Which of a rule's conditions is asked first: what needs no look-up. The store is asked last, and least.
_COST: dict[type[Condition], int] = {
    NumberIs: 0, PeerIs: 0, IsAnonymous: 0, During: 1, HeaderIs: 1, MaskIs: 2, Contains: 2, RegionIs: 3, Regex: 4,
    Share: 4, IsVip: 5, OnList: 6, IsShared: 6, IsKnown: 8,
}  # fmt: skip

_GROUPS = 1024  # combinations of rules filed under dialled numbers that are kept,
_DIALLED = 4096  # dialled numbers whose group is known at once
_GROUPS_SIZE = 16_000_000  # and bytes that they may take, roughly

_Key = tuple[Side, Mask | str, bool]  # whose number, a mask or an exact text, whether that text is E.164


class _Group:
    """Rules that are walked together, a bit each."""

    __slots__ = ("bits", "positions", "survivors")

    def __init__(self, positions: tuple[int, ...], places: Sequence[tuple[int, ...]]) -> None:
        self.positions = positions  # bit -> position in the file
        self.bits = bits = (1 << len(positions)) - 1
        # A condition's place -> bits of the rules that can still match when it does not hold.
        self.survivors: dict[int, int] = {}
        for bit, position in enumerate(positions):
            for place in places[position]:
                self.survivors[place] = self.survivors.get(place, bits) & ~(1 << bit)

    def live_in(self, situation: Situation) -> int:
        """Bits of the rules that what is settled leaves."""
        live = self.bits
        for place, survivors in self.survivors.items():
            if not situation.memo[place]:
                live &= survivors
        situation.live[self] = live
        return live


class Walk:
    """The rules of one direction, filed. Positions are indexes into `rules`."""

    def __init__(self, rules: Sequence[Rule], truths: Truths) -> None:
        self.rules = tuple(rules)
        self.conditions: list[tuple[Condition, ...]] = []  # of each rule: all must hold
        self._tests = truths.tests
        self._places: list[tuple[int, ...]] = []  # of each rule: where its conditions are, the filed one left out
        self._all_places: list[tuple[int, ...]] = []  # of each rule: the filed one too
        self._goes_on = [rule.else_ == "next" for rule in rules]
        self._by_caller: MaskTable[int] = MaskTable()
        self._by_dialled: MaskTable[int] = MaskTable()
        residual: list[int] = []
        for position, rule in enumerate(rules):
            conditions = tuple(sorted(_conjuncts(rule.when), key=_cost))
            self.conditions.append(conditions)
            filed = min((c for c in conditions if _keys(c) is not None), key=_alternatives, default=None)
            if filed is None:
                residual.append(position)
            else:
                for key in _keys(filed) or ():
                    self._file(key, position)
            # A key says all that NumberIs and MaskIs say; an `any` of several sides' numbers is asked again.
            self._places.append(
                tuple(
                    truths.place(condition)
                    for condition in conditions
                    if condition is not filed or not isinstance(condition, NumberIs | MaskIs)
                )
            )
            self._all_places.append(tuple(map(truths.place, conditions)))
        self.residual = tuple(residual)
        self._none = len(self.rules)
        self.decisions: dict[tuple[int, ...], Decision] = {}  # what `decide` has made of those that matched
        self._groups: dict[tuple[int, ...], _Group] = {}
        self._groups_size = 0
        self._residual_group = self._groups[()] = self._group(())
        self._dialled: dict[Number, tuple[_Group, list[int]]] = {}

    def _file(self, key: _Key, position: int) -> None:
        side, what, is_e164 = key
        table = self._by_caller if side == "caller" else self._by_dialled
        if isinstance(what, Mask):
            table.add(what, position)
        elif is_e164:
            table.add_e164(what, position)
        else:
            table.add_raw(what, position)

    def _group(self, filed: tuple[int, ...]) -> _Group:
        """The residual rules together with these, in file order."""
        return _Group(tuple(sorted({*self.residual, *filed})), self._places)

    def _group_of(self, dialled: Number) -> tuple[_Group, list[int]]:
        """The group with the rules that are filed under the dialled number, and those that no group takes. As many
        groups as a company needs are made and kept; where rules name many thousands of numbers they are merged."""
        filed = tuple(sorted(set(self._by_dialled.find(dialled))))
        group = self._groups.get(filed)
        if group is None:
            if len(self._groups) >= _GROUPS or self._groups_size >= _GROUPS_SIZE:
                return self._residual_group, list(filed)
            group = self._groups[filed] = self._group(filed)
            self._groups_size += len(group.survivors) * (100 + len(group.positions) // 8)
        if len(self._dialled) < _DIALLED:
            self._dialled[dialled] = group, []
        return group, []

    def match(self, call: Call, situation: Situation) -> tuple[int, ...]:
        """Positions of the rules that surely match: the first, and after one with `else: next` the following."""
        known = self._dialled.get(call.dialled)
        group, filed = known if known is not None else self._group_of(call.dialled)
        if not call.anonymous:
            filed = filed + self._by_caller.find(call.caller)
        if len(filed) > 1:
            filed = sorted(set(filed), reverse=True)
        memo, tests, places = call.memo, self._tests, self._places
        positions, survivors = group.positions, group.survivors
        live = situation.live.get(group)
        if live is None:
            live = group.live_in(situation)
        none = self._none
        next_filed = filed.pop() if filed else none
        matched: tuple[int, ...] = ()
        while True:
            if live:
                bit = live & -live
                position = positions[bit.bit_length() - 1]
                if next_filed < position:
                    position = next_filed
                    next_filed = filed.pop() if filed else none
                else:
                    live ^= bit
            elif next_filed == none:
                return matched
            else:
                position = next_filed
                next_filed = filed.pop() if filed else none
            for place in places[position]:
                truth = memo[place]
                if truth is NOT_YET:
                    truth = memo[place] = tests[place](call)
                if not truth:
                    if live and place in survivors:
                        live &= survivors[place]
                    break
            else:
                matched += (position,)
                if not self._goes_on[position]:
                    return matched

    def visit(self, call: Call) -> Iterator[tuple[int, tuple[Condition, ...]]]:
        """Every rule that is tried, with its conditions that do not hold or are unknown: none of them, it matches."""
        memo, tests = call.memo, self._tests
        for position, conditions in enumerate(self.conditions):
            failed = []
            for condition, place in zip(conditions, self._all_places[position], strict=True):
                if memo[place] is NOT_YET:
                    memo[place] = tests[place](call)
                if not memo[place]:
                    failed.append(condition)
            yield position, tuple(failed)
            if not failed and not self._goes_on[position]:
                return


def _conjuncts(condition: Condition | None) -> Iterator[Condition]:
    """The conditions that must all hold, taken out of nested `all` and of `not` with several parts."""
    if isinstance(condition, All):
        for part in condition.parts:
            yield from _conjuncts(part)
    elif isinstance(condition, Not) and len(condition.parts) > 1:
        for part in condition.parts:
            yield Not((part,))
    elif condition is not None:
        yield condition


def _cost(condition: Condition) -> int:
    if isinstance(condition, All | AnyOf | Not):
        return max(map(_cost, condition.parts), default=0)
    return _COST[type(condition)]


def _keys(condition: Condition) -> list[_Key] | None:
    """Texts and masks of which one is sure to match when the condition holds; None if there are no such."""
    if isinstance(condition, NumberIs):
        exact: list[_Key] = [(condition.side, text, True) for text in condition.e164]
        return exact + [(condition.side, text, False) for text in condition.raw]
    if isinstance(condition, MaskIs):
        return [(condition.side, mask, mask.sees_e164) for mask in condition.masks]
    if isinstance(condition, AnyOf):
        parts = [_keys(part) for part in condition.parts]
        return None if None in parts else [key for keys in parts if keys for key in keys]
    if isinstance(condition, All):
        known = [keys for part in condition.parts if (keys := _keys(part)) is not None]
        return min(known, key=len, default=None)
    return None


def _alternatives(condition: Condition) -> tuple[bool, bool, int]:
    """Which condition to file under: callers differ more than what they dial; exact before masks, few before many."""
    keys = _keys(condition) or []
    of_dialled = any(side == "dialled" for side, _, _ in keys)
    return of_dialled, any(isinstance(what, Mask) for _, what, _ in keys), len(keys)
