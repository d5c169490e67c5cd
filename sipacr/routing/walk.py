"""Finds the rules that match a call, top to bottom, without looking at most of them.

Each rule is filed under one condition that must hold, if it has one on a number: exact, or a mask; the others are
residual. Which condition has to be asked next depends on the situation, on the rules filed under the two numbers, and
on the answers so far. So the questions are a tree, which grows as calls come: a call that goes where another went
before looks at no rule, only at the answers that tell calls apart.
`decide` is what calls use; `visit` evaluates every rule by the same functions, for traces and as the proof of `decide`.
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
from sipacr.routing.decision import Decision, compose
from sipacr.routing.facts import Facts, Number
from sipacr.routing.masks import Mask
from sipacr.routing.masktable import MaskTable
from sipacr.routing.ruleset import Rule
from sipacr.routing.situation import Situation, Situations
from sipacr.routing.truth import Test, Truths

# Which of a rule's conditions is asked first: what needs no look-up. The store is asked last, and least.
_COST: dict[type[Condition], int] = {
    NumberIs: 0, PeerIs: 0, IsAnonymous: 0, During: 1, HeaderIs: 1, MaskIs: 2, Contains: 2, RegionIs: 3, Regex: 4,
    Share: 4, IsVip: 5, OnList: 6, IsShared: 6, IsKnown: 8,
}  # fmt: skip

_DIALLED = 4096  # dialled numbers of which it is kept what is filed under them
_FORKS = 50_000  # in all trees; some 6 MB
_CHAINS = 4096  # decisions made of several rules that are kept

_Key = tuple[Side, Mask | str, bool]  # whose number, a mask or an exact text, whether that text is E.164


class Fork:
    """A point of a tree: a question and where its answers lead, or at the end the decision."""

    __slots__ = ("decision", "no", "test", "yes")

    def __init__(self, ungrown: "Fork | None") -> None:
        """`ungrown` is where both answers lead at first; None: nowhere but here."""
        self.test: Test | None = None
        self.yes: Fork = ungrown or self
        self.no: Fork = ungrown or self
        self.decision: Decision | None = None


_UNGROWN = Fork(None)  # where nobody has been yet


class Walk:
    """The rules of one direction, filed. Positions are indexes into `rules`."""

    def __init__(self, rules: Sequence[Rule], truths: Truths, *, unmatched: Decision) -> None:
        """`unmatched`: the decision when no rule matches."""
        self.rules = tuple(rules)
        self._outgoing = unmatched.outgoing
        self.conditions: list[tuple[Condition, ...]] = []  # of each rule: all must hold
        self._truths = truths
        self._tests = truths.tests
        self._places: list[tuple[int, ...]] = []  # of each rule: where its conditions are, the filed one left out
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
        self.residual = tuple(residual)
        self._dialled: dict[Number, tuple[int, ...]] = {}
        self._decisions: dict[tuple[int, ...], Decision] = {(): unmatched}
        self._situations = Situations(truths)
        self._forks = 0

    def _file(self, key: _Key, position: int) -> None:
        side, what, is_e164 = key
        table = self._by_caller if side == "caller" else self._by_dialled
        if isinstance(what, Mask):
            table.add(what, position)
        elif is_e164:
            table.add_e164(what, position)
        else:
            table.add_raw(what, position)

    def decide(self, facts: Facts, now: float) -> Decision:
        """What the rules say that surely match: the first, and after one with `else: next` the following."""
        request = facts.request
        filed = self._dialled.get(request.dialled)
        if filed is None:
            filed = self._filed_under(request.dialled)
        if not request.anonymous:
            found = self._by_caller.find(request.caller)
            if found:
                filed = tuple(sorted({*filed, *found}))
        situation = self._situations.of(request, now)
        fork = situation.trees.get(filed, _UNGROWN)
        while (test := fork.test) is not None:
            fork = fork.yes if test(facts, now) else fork.no
        return fork.decision or self._grow(facts, now, situation, filed)

    def _filed_under(self, dialled: Number) -> tuple[int, ...]:
        filed = tuple(sorted(set(self._by_dialled.find(dialled))))
        if len(self._dialled) < _DIALLED:
            self._dialled[dialled] = filed
        return filed

    def _grow(self, facts: Facts, now: float, situation: Situation, filed: tuple[int, ...]) -> Decision:
        """Walk the rules, and let the tree grow by the questions and the decision of this call."""
        if self._forks >= _FORKS:
            self._situations.forget()
            self._forks = 0
        fork = situation.trees.get(filed)
        if fork is None:
            fork = situation.trees[filed] = self._fork()
        answers: dict[int, bool] = {}
        matched: tuple[int, ...] = ()
        for position in sorted(self.residual + filed):
            for place in self._places[position]:
                answer = answers.get(place)
                if answer is None:
                    answer = answers[place] = bool(self._tests[place](facts, now))
                    if place not in situation.settled:
                        fork = self._branch(fork, self._tests[place], answer)
                if not answer:
                    break
            else:
                matched += (position,)
                if not self._goes_on[position]:
                    break
        fork.decision = decision = self.decision(matched)
        return decision

    def _branch(self, fork: Fork, test: Test, answer: bool) -> Fork:
        """Where the answer to this question leads, a new fork where nobody has been."""
        fork.test = test
        after = fork.yes if answer else fork.no
        if after is _UNGROWN:
            after = self._fork()
            if answer:
                fork.yes = after
            else:
                fork.no = after
        return after

    def _fork(self) -> Fork:
        self._forks += 1
        return Fork(_UNGROWN)

    def decision(self, matched: tuple[int, ...]) -> Decision:
        """What the rules at these positions say together."""
        known = self._decisions.get(matched)
        if known is None:
            known = compose([self.rules[position] for position in matched], self._outgoing)
            if len(matched) == 1 or len(self._decisions) < _CHAINS:
                self._decisions[matched] = known
        return known

    def visit(self, facts: Facts, now: float) -> Iterator[tuple[int, tuple[Condition, ...]]]:
        """Every rule that is tried, with its conditions that do not hold or are unknown: none of them, it matches."""
        for position, conditions in enumerate(self.conditions):
            failed = [condition for condition in conditions if not self._truths.value(condition, facts, now)]
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
