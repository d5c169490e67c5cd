"""What a sticky profile learns of calls: which of them teach it, in which scope, and what an event does to the rows."""

from collections.abc import Iterable, Mapping
from typing import Any

from sipacr.memory.events import Event, events
from sipacr.memory.report import Report
from sipacr.routing.facts import Binding
from sipacr.routing.masks import Mask
from sipacr.routing.ruleset import Group, StickyProfile
from sipacr.routing.sticky import is_live

Key = tuple[str, str]  # scope and agent
Rows = dict[Key, Binding]  # the rows of one customer in one profile


class Learner:
    """One profile, ready to learn."""

    __slots__ = ("_agents", "_headers", "_numbers", "_peers", "profile")

    def __init__(self, profile: StickyProfile, groups: Mapping[str, Group]) -> None:
        """`groups`: those of the rules, for `learn_from`."""
        self.profile = profile
        limits = profile.learn_from
        self._agents: frozenset[str] | None = frozenset(limits.agents) if limits.agents else None
        if limits.groups:
            named = (groups[name].lines for name in limits.groups if name in groups)
            members = frozenset(agent for lines in named for line in lines for agent in line)
            self._agents = members if self._agents is None else self._agents & members
        self._peers = frozenset(limits.peers)
        self._numbers = frozenset(limits.numbers)
        self._headers = tuple((name.lower(), Mask(pattern)) for name, pattern in limits.header.items())

    def scope(self, report: Report) -> str | None:
        """The scope of the rows that this call concerns; None: the customer was shown no number of ours."""
        return report.number if self.profile.scope == "number" else ""

    def is_taught_by(self, report: Report) -> bool:
        """Whether the call may make and refresh rows, as far as that does not depend on the agent."""
        if not report.learn or (self._peers and report.peer not in self._peers):
            return False
        if self._numbers and (report.number if report.direction == "in" else report.shown) not in self._numbers:
            return False
        return all(
            any(mask.matches_text(value) for value in report.headers.get(name, ())) for name, mask in self._headers
        )

    def lacks_scope(self, report: Report) -> bool:
        """Whether rows would come of this call if it had shown a number of ours to the customer."""
        if self.scope(report) is not None or not self.is_taught_by(report):
            return False
        concerned = self.profile.create | self.profile.refresh
        return any(
            event.name in concerned and self._may_teach(event.agent) for event in events(report, self.profile.min_talk)
        )

    def apply(self, rows: Rows, report: Report, happened: Iterable[Event] | None = None) -> None:
        """Change the rows of the report's customer by what happened in this call (None: all of it), in order."""
        scope, taught = self.scope(report), self.is_taught_by(report)
        for event in events(report, self.profile.min_talk) if happened is None else happened:
            self.apply_event(rows, event, report.customer, scope, taught)

    def apply_event(self, rows: Rows, event: Event, customer: str, scope: str | None, taught: bool) -> None:
        """Change the rows by one event of a call of that customer in that scope; `taught`: see `is_taught_by`."""
        profile, name = self.profile, event.name
        if name == "talked":
            # A conversation ends a row whoever called and over whichever number.
            if "conversation" in profile.end:
                for key in [key for key in rows if key[1] == event.agent]:
                    del rows[key]
        elif name == "used":
            if "used" in profile.end and scope is not None:
                rows.pop((scope, event.agent), None)
        elif name == "in_call":
            if "in_call" in profile.refresh:
                for key, row in rows.items():
                    if key[0] == scope and is_live(row, profile, event.at):
                        rows[key] = row._replace(
                            in_call=max(event.clock, row.in_call or 0.0), calling=row.calling or event.goes_on
                        )
        elif scope is not None and taught and self._may_teach(event.agent):
            self._learn(rows, event, customer, scope)

    def _may_teach(self, agent: str) -> bool:
        return self._agents is None or agent in self._agents

    def _learn(self, rows: Rows, event: Event, customer: str, scope: str) -> None:
        """An event that may make a row, or refresh it."""
        profile, name, key = self.profile, event.name, (scope, event.agent)
        creates = name in profile.create
        refreshes = name in profile.refresh
        if not creates and not refreshes:
            return
        row = rows.get(key)
        if row is None or not is_live(row, profile, event.at):
            if creates:
                times: dict[str, Any] = {name: event.clock, "in_progress": event.goes_on}
                rows[key] = Binding(profile.name, scope, customer, event.agent, event.at, since=event.clock, **times)
            return
        if refreshes:
            clock = max(event.clock, getattr(row, name) or 0.0)
            changed: dict[str, Any] = {name: clock, "in_progress": row.in_progress or event.goes_on}
            rows[key] = row._replace(**changed)
