"""A store in memory that holds what it is given and nothing else: for golden calls and for tests of the core."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from sipacr.routing.facts import Binding, ListEntry, Number, Unavailable


@dataclass(slots=True)
class GivenStore:
    """`facts.Store` from plain data; customers are E.164, or raw where there is none."""

    vips: Mapping[str, str] = field(default_factory=dict)  # customer -> agent
    lists: Mapping[str, Sequence[ListEntry]] = field(default_factory=dict)
    rows: Sequence[Binding] = ()
    shared: Collection[str] = ()
    answered: Collection[str] = ()
    unavailable: str | None = None  # why nothing can be read

    def vip(self, customer: str) -> str | None:
        self._check()
        return self.vips.get(customer)

    def list_entry(self, name: str, number: Number, now: float) -> ListEntry | None:
        """Exact before the longest prefix, E.164 before raw."""
        self._check()
        texts = [text for text in (number.e164, number.text) if text]
        entries = self.lists.get(name, ())
        for text in texts:
            for entry in entries:
                if entry.number == text:
                    return entry
        prefixes = [
            entry
            for entry in entries
            if entry.number.endswith("*") and any(text.startswith(entry.number[:-1]) for text in texts)
        ]
        return max(prefixes, key=lambda entry: len(entry.number), default=None)

    def bound(self, profile: str, scope: str, customer: str) -> Sequence[tuple[str, float]]:
        return [(row.agent, row.made) for row in self.bindings(profile, scope, customer)]

    def bindings(self, profile: str, scope: str, customer: str) -> Sequence[Binding]:
        self._check()
        return [row for row in self.rows if (row.profile, row.scope, row.customer) == (profile, scope, customer)]

    def is_shared(self, customer: str) -> bool:
        self._check()
        return customer in self.shared

    def has_answered_call(self, customer: str) -> bool:
        self._check()
        return customer in self.answered

    def _check(self) -> None:
        if self.unavailable is not None:
            raise Unavailable(self.unavailable)
