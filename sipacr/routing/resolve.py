"""Turns steps into targets: one step at its turn (relay), or all at once into the contacts of one 302 (redirect).

Pure: what is busy, away or down is an argument, and the cursor of a round-robin comes back as a wish (`advance`) that
the caller carries out when the call has really been offered.
"""

from collections.abc import Collection
from functools import cache
from typing import NamedTuple

from sipacr.routing.decide import Engine
from sipacr.routing.decision import Decision
from sipacr.routing.facts import Facts, State, Unavailable
from sipacr.routing.offers import Answer, Offers, Rank, Skipped, bound_agents, vip_agent
from sipacr.routing.ruleset import RejectWith, Step

_MAX_CONTACTS = 5  # where the asking peer is not in the directory
_NOBODY = RejectWith(480)  # `end`, and no leg was tried
_NO_TRUNK = RejectWith(503, "No outgoing route")


class Resolution(NamedTuple):
    """What one step offers now."""

    ranks: tuple[Rank, ...]
    skipped: tuple[Skipped, ...] = ()
    pending: bool = False  # a slow look-up (CRM) has not answered yet
    broken: str | None = None  # the look-up that could not be made
    advance: tuple[tuple[str, int], ...] = ()  # `State.cursor` after this offer


class Contact(NamedTuple):
    """One contact of a 302. The user is not escaped yet."""

    user: str
    host: str  # host[:port]
    q: str
    transport: str | None  # None: UDP


class LineUp(NamedTuple):
    """All that would be offered to one call, rank after rank, and what is answered if there is nobody."""

    ranks: tuple[Rank, ...]
    reject: RejectWith | None  # only if there are no ranks
    skipped: tuple[Skipped, ...]
    broken: tuple[str, ...]
    advance: tuple[tuple[str, int], ...]


class Redirection(NamedTuple):
    """The answer to a call that is redirected: a 302 with these contacts, or a rejection."""

    contacts: tuple[Contact, ...]
    reject: RejectWith | None
    skipped: tuple[Skipped, ...]
    broken: tuple[str, ...]
    advance: tuple[tuple[str, int], ...]


def resolve(
    engine: Engine, step: Step, facts: Facts, state: State, now: float, offered: Collection[str] = ()
) -> Resolution:
    """What `step` offers at `now` (unix seconds); `offered` has the addresses this call was offered to already."""
    offers = Offers(engine, facts, state, now, offered)
    ranks = tuple(offers.resolve(step))
    broken = offers.broken[0] if offers.broken else None
    return Resolution(ranks, tuple(offers.skipped), broken=broken, advance=tuple(offers.advance))


def line_up(engine: Engine, decision: Decision, facts: Facts, state: State, now: float) -> LineUp:
    """Resolves all steps of the decision at `now` (unix seconds), and what follows the last one, as in a relay."""
    offers = Offers(engine, facts, state, now)
    ranks, _, reject = _line_up(offers, decision)
    return LineUp(tuple(ranks), reject, tuple(offers.skipped), tuple(offers.broken), tuple(offers.advance))


def contacts(engine: Engine, decision: Decision, facts: Facts, state: State, now: float) -> Redirection:
    """The whole ordered list for a 302 to the peer that asks, at most its `max_contacts`."""
    offers = Offers(engine, facts, state, now, redirect=True)
    ranks, last, reject = _line_up(offers, decision)
    found = _written(engine, tuple(ranks), last, facts.request.peer)
    return Redirection(found, reject, tuple(offers.skipped), tuple(offers.broken), tuple(offers.advance))


def alike(engine: Engine, decision: Decision, facts: Facts, state: State, now: float) -> tuple[Answer, ...] | None:
    """What the store answers to the steps of a decision, if nothing else tells this call from others: then `contacts`
    gives the same to all calls with these answers, this decision and this peer. None: it may not."""
    if decision.asking is None or facts.broken or state.busy or state.left or state.leave or state.down:
        return None
    caller = facts.request.caller
    if caller.text in engine.places.ours or caller.e164 in engine.places.ours:
        return None
    answers: tuple[Answer, ...] = ()
    for step in decision.asking:
        answer = vip_agent(facts) if step.kind == "vip" else bound_agents(engine, step.name, facts, state, now)
        if isinstance(answer, Unavailable):
            return None
        answers += (answer,)
    return answers


def _line_up(offers: Offers, decision: Decision) -> tuple[list[Rank], int, RejectWith | None]:
    """All ranks, how many of them at the end must not be cut off, and what is answered if there are none."""
    if decision.reject is not None:
        return [], 0, decision.reject
    ranks: list[Rank] = []
    resolved: list[Rank] = []
    steps = decision.steps
    for step in steps:
        resolved = offers.resolve(step)
        ranks += resolved
    last = len(resolved) if steps and steps[-1].kind == "to" else 0
    end = decision.end
    if end == "fallback" or offers.broken or (end == "answer" and not resolved):
        tail = offers.trunks(decision.emergency) if decision.outgoing else offers.fallback()
        ranks += tail
        last += len(tail)
    if ranks:
        return ranks, last, None
    return ranks, last, end if isinstance(end, RejectWith) else _NO_TRUNK if decision.outgoing else _NOBODY


def _written(engine: Engine, ranks: tuple[Rank, ...], last: int, peer: str) -> tuple[Contact, ...]:
    asking = engine.directory.peers.get(peer)
    ranks = _cut(ranks, last, asking.max_contacts if asking is not None else _MAX_CONTACTS)
    found: list[Contact] = []
    for rank, q in zip(ranks, q_values(len(ranks)), strict=True):
        for target in rank:
            host = engine.hosts.get(target.peer or peer)
            if host is not None:
                found.append(Contact(target.user, host[0], q, host[1]))
    return tuple(found)


def fallback_contacts(engine: Engine, facts: Facts) -> Redirection:
    """The 302 when something raised: the fallback, or `outgoing_via`, of facts however odd."""
    return contacts(engine, engine.fallback_decision(facts), facts, State(), 0.0)


@cache
def q_values(ranks: int) -> tuple[str, ...]:
    """1.0, 0.9, ...; with more than ten ranks 1.0, 0.99, ..., and never below 0."""
    if ranks <= 10:
        return tuple(f"{(10 - rank) / 10:.1f}" for rank in range(ranks))
    return ("1.0", *(f"{max(100 - rank, 0) / 100:.2f}" for rank in range(1, ranks)))


def _cut(ranks: tuple[Rank, ...], last: int, room: int) -> tuple[Rank, ...]:
    """At most `room` targets; what is last stays last."""
    if sum(map(len, ranks)) <= room:
        return ranks
    head, end = ranks[: len(ranks) - last], ranks[len(ranks) - last :]
    end = end[: max(room - 1, 1) if head else room]
    kept: list[Rank] = []
    left = room - sum(map(len, end))
    for rank in head:
        if left > 0:
            kept.append(rank[:left])
            left -= len(kept[-1])
    return (*kept, *end)
