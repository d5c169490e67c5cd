"""What was decided for one request: an action, the rules behind it, the steps to try, and what follows the last one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from sipacr.routing.ruleset import MAX_RING, RejectWith, Remember, Rule, Step

Action = Literal["route", "redirect", "relay", "reject"]
# After the last step. "answer": what the last `to` answered, unless it was unreachable: then the fallback.
# "end": the best failure, 480 if no leg was tried. The fallback of an outgoing call is `outgoing_via`.
End = Literal["fallback", "answer", "end"]

_ASKING = ("vip", "sticky")  # kinds of steps that the store answers with agents


class Tried(NamedTuple):
    """One rule in a trace: whether it matched, and if not, what failed in it, in words."""

    rule: Rule
    matched: bool
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Trace:
    """Every rule that was tried, in order, and what else has to be told."""

    tried: tuple[Tried, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Decision:
    """Immutable and shared: the same rules give the same object, so it can be a key of what is made from it."""

    action: Action
    rules: tuple[Rule, ...]  # that matched and gave the steps or the action; none: no rule matched
    steps: tuple[Step, ...] = ()  # unresolved
    end: End | RejectWith = "fallback"
    reject: RejectWith | None = None  # with the action "reject"
    outgoing: bool = False
    emergency: bool = False
    left_out: tuple[Step, ...] = ()  # sticky steps for which a later rule has its own (S1.8)
    learn: bool = True
    tag: str | None = None
    remember: tuple[Remember, ...] = ()
    max_ring: float = MAX_RING  # seconds for all steps together
    connect: float | None = None  # seconds that a leg may be silent before it is unreachable; None = its peer's
    broken: tuple[str, ...] = ()  # look-ups that could not be made while deciding
    trace: Trace | None = None
    # The steps whose answers from the store, while nobody is busy, away or down, make the contacts of a redirect what
    # they are for everybody who is none of us; None: other things matter too.
    asking: tuple[Step, ...] | None = None

    @property
    def rule(self) -> Rule | None:
        """The rule that had the last word, or None."""
        return self.rules[-1] if self.rules else None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the rules that matched, in file order."""
        return tuple(rule.name for rule in self.rules)


def compose(rules: Sequence[Rule], outgoing: bool) -> Decision:
    """The decision of these rules, which matched in this order; all but the last go on with `next`."""
    sticky = [position for position, rule in enumerate(rules) if any(step.kind == "sticky" for step in rule.steps)]
    keeps = sticky[-1] if sticky else 0
    steps: list[Step] = []
    left_out: list[Step] = []
    for position, rule in enumerate(rules):
        for step in rule.steps:
            (left_out if step.kind == "sticky" and position < keeps else steps).append(step)
    last = rules[-1]
    trying = next((rule for rule in reversed(rules) if rule.steps), last)
    actions = {rule.action for rule in rules}
    action: Action = "relay" if "relay" in actions else "redirect" if "redirect" in actions else "route"
    if last.action == "reject" and not steps:
        action = "reject"
    return Decision(
        action=action,
        rules=tuple(rules),
        steps=tuple(steps),
        end=_end(last, steps),
        reject=last.reject if action == "reject" else None,
        outgoing=outgoing,
        left_out=tuple(left_out),
        learn=all(rule.learn for rule in rules),
        tag=next((rule.tag for rule in reversed(rules) if rule.tag is not None), None),
        remember=tuple(dict.fromkeys(entry for rule in rules for entry in rule.remember)),
        max_ring=trying.max_ring,
        connect=trying.connect,
        asking=None if outgoing or any(map(_moves, steps)) else tuple(step for step in steps if step.kind in _ASKING),
    )


def _moves(step: Step) -> bool:
    """Whether it can offer different people to two callers of whom the store says the same."""
    return step.kind in ("crm", "list") or (step.kind == "group" and step.order not in ("in-order", "all"))


def _end(last: Rule, steps: Sequence[Step]) -> End | RejectWith:
    if last.action == "reject" and last.reject is not None:
        return last.reject
    if last.else_ is None:
        return "answer" if steps and steps[-1].kind == "to" else "fallback"
    return "fallback" if last.else_ == "next" else last.else_
