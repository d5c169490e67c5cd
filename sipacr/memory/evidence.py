"""Evidence for commission (S0.8): who called whom, until when that bound, and where the customer's return calls went.

The customer's calls are gone through in the order of time, and before each of his own it is asked who is bound then:
by the profile as it is now, by the very functions that learn and that choose.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from sipacr.memory.events import Event, events
from sipacr.memory.fold import newest
from sipacr.memory.learner import Learner, Rows
from sipacr.memory.report import Leg, Report
from sipacr.routing.ruleset import StickyProfile
from sipacr.routing.sticky import chosen, clock, is_live

_WHAT: dict[str, str] = {
    "busy": "was busy",
    "no_answer": "did not answer",
    "declined": "declined",
    "unavailable": "was unavailable",
    "voicemail": "had voicemail answer",
    "unknown_number": "has an unknown number",
    "unreachable": "could not be reached",
    "refused": "refused",
    "forwarded": "was forwarded",
    "elsewhere": "was rung, another answered first",
    "abandoned": "was rung until the customer gave up",
    "answered": "answered, but did not talk",
}
_NO_CONTACT = frozenset({"rejected", "redirected"})


class Return(NamedTuple):
    """A call of the customer while a contact bound him."""

    report: Report
    got_by: tuple[str, ...]  # agents of ours who talked with him, in order
    why_not: str  # why the bound agent did not talk with him; "": he did


@dataclass(slots=True)
class Contact:
    """One outgoing call, and what came of it in one profile."""

    report: Report
    agent: str
    scope: str
    bound: bool = False
    until: float | None = None  # when it ceased to bind; inf: never; None: it has not bound, or the call goes on
    ended: str = ""  # why it ceased, if not by the time that had passed
    returns: list[Return] = field(default_factory=list)


def contacts(learner: Learner, reports: Iterable[Report]) -> list[Contact]:
    """The outgoing contacts of one customer, in order, from all his reports up to some moment."""
    return _Walk(learner).through(newest(reports))


class _Walk:
    """The calls of one customer, event after event."""

    def __init__(self, learner: Learner) -> None:
        self._learner = learner
        self._profile: StickyProfile = learner.profile
        self._counting = learner.profile.create | learner.profile.refresh
        self._rows: Rows = {}
        self._holding: dict[str, Contact] = {}  # agent -> his last contact, while it binds
        self._contacts: list[Contact] = []

    def through(self, reports: list[Report]) -> list[Contact]:
        by_call: dict[int, Contact] = {}
        for at, _, report, event in self._moments(reports):
            self._expire(at)
            if event is None:
                self._began(report, by_call)
                continue
            self._learner.apply_event(
                self._rows, event, report.customer, self._learner.scope(report), self._learner.is_taught_by(report)
            )
            self._look(event, report, by_call.get(id(report)))
        self._expire(math.inf)
        for contact in [held for held in self._holding.values() if held.until is None]:
            row = self._rows[contact.scope, contact.agent]
            contact.until = None if row.in_progress or row.calling else math.inf
        return self._contacts

    def _moments(self, reports: list[Report]) -> list[tuple[float, tuple[float, str, str], Report, Event | None]]:
        """All events in order of time; before those of a call its beginning."""
        found: list[tuple[float, tuple[float, str, str], Report, Event | None]] = []
        for report in reports:
            order = (report.started, report.uid, report.source)
            found.append((report.started, order, report, None))
            found += [(event.at, order, report, event) for event in events(report, self._profile.min_talk)]
        found.sort(key=lambda each: each[:2])
        return found

    def _began(self, report: Report, by_call: dict[int, Contact]) -> None:
        if report.nobody:
            return
        scope = self._learner.scope(report)
        if report.direction == "in":
            if scope is not None:
                self._returned(report, scope)
        elif report.agent and report.outcome not in _NO_CONTACT:
            contact = by_call[id(report)] = Contact(report, report.agent, scope or "")
            self._contacts.append(contact)

    def _returned(self, report: Report, scope: str) -> None:
        """The customer calls: whose contacts bind him now?"""
        if not self._holding:
            return
        got_by = tuple(dict.fromkeys(talk.agent for talk in report.talks if talk.agent))
        for row in chosen([row for key, row in self._rows.items() if key[0] == scope], self._profile, report.started):
            contact = self._holding.get(row.agent)
            if contact is not None and contact.scope == scope:
                why = "" if row.agent in got_by else why_not(report, row.agent, self._profile.name)
                contact.returns.append(Return(report, got_by, why))

    def _look(self, event: Event, report: Report, contact: Contact | None) -> None:
        """Whom the rows still bind after an event."""
        if contact is not None and event.agent == contact.agent and event.name in self._counting:
            self._hold(contact, event.at)
        for agent, held in list(self._holding.items()):
            if (held.scope, agent) not in self._rows:
                self._cease(held, event.at, "they talked" if event.name == "talked" else "the call-back was answered")
            elif self._profile.keep != "all":
                self._compare(held, event, report)

    def _compare(self, held: Contact, event: Event, report: Report) -> None:
        """Whether this contact is still the one that counts: another agent's may take its place, and leave it again."""
        rows = [row for key, row in self._rows.items() if key[0] == held.scope]
        if len(rows) == 1 or any(row.agent == held.agent for row in chosen(rows, self._profile, event.at)):
            held.until, held.ended = None, ""
        elif held.until is None:
            held.until = event.at
            held.ended = f"{event.agent} {'called him' if report.direction == 'out' else 'talked with him'}"

    def _hold(self, contact: Contact, at: float) -> None:
        """From its event at that moment on the contact binds, if there is a live row."""
        row = self._rows.get((contact.scope, contact.agent))
        earlier = self._holding.get(contact.agent)
        if row is None or not is_live(row, self._profile, at):
            return
        if earlier is not None and earlier is not contact:
            if earlier.report.started > contact.report.started:
                return
            if earlier.until is None:
                earlier.until, earlier.ended = at, "called again"
        contact.bound, contact.until, contact.ended = True, None, ""
        self._holding[contact.agent] = contact

    def _expire(self, now: float) -> None:
        """What time alone has ended before `now`."""
        ttl = self._profile.ttl
        if ttl is None:
            return
        for agent, held in list(self._holding.items()):
            until = clock(self._rows[held.scope, agent], self._profile) + ttl
            if until < now:
                self._cease(held, until, "")

    def _cease(self, contact: Contact, at: float, why: str) -> None:
        if contact.until is None:
            contact.until, contact.ended = at, why
        del self._holding[contact.agent]


def why_not(report: Report, agent: str, profile: str) -> str:
    """Why a bound agent did not talk in a call of his customer, by what its record says."""
    rung = [leg for leg in report.legs if leg.agent == agent]
    if rung:
        return _what(rung[-1])
    skipped = [entry for entry in report.not_tried if entry.who == agent]
    if skipped:
        return skipped[-1].reason
    step = f"sticky {profile}"
    whole = [entry for entry in report.not_tried if entry.step == step]
    if whole:
        return whole[-1].reason
    if report.outcome == "rejected":
        return f"the call was rejected ({report.code})"
    if report.source != "relay":
        return "the call did not pass through sipacr"
    if report.outcome == "abandoned":
        return "the customer gave up before his turn"
    rules = ", ".join(report.rules) or "no rule"
    return f"no step of {profile} had its turn (rules: {rules})"


def _what(leg: Leg) -> str:
    seconds = "" if leg.ended is None or leg.outcome != "no_answer" else f" for {leg.ended - leg.started:.0f} s"
    return f"{_WHAT.get(leg.outcome, leg.outcome or 'was rung')}{seconds}"


class Totals(NamedTuple):
    """What came of one agent's contacts."""

    agent: str
    contacts: int
    talked: int  # contacts in which he reached the customer
    bound: int
    returns: int  # the customers' calls while bound
    got: int  # of these, those in which he talked
    others: int  # those in which only others talked
    nobody: int  # those in which nobody did


def totals(found: Iterable[Contact]) -> Iterator[Totals]:
    """By agent, in the order of names."""
    of_agent: dict[str, list[Contact]] = {}
    for contact in found:
        of_agent.setdefault(contact.agent, []).append(contact)
    for agent in sorted(of_agent):
        theirs = of_agent[agent]
        returns = [each for contact in theirs for each in contact.returns]
        got = sum(not each.why_not for each in returns)
        nobody = sum(not each.got_by for each in returns)
        yield Totals(
            agent,
            len(theirs),
            sum(contact.report.outcome == "answered" for contact in theirs),
            sum(contact.bound for contact in theirs),
            len(returns),
            got,
            len(returns) - got - nobody,
            nobody,
        )
