"""What is known of one request and of the moment: the inputs of `decide` and `resolve`, and the port to the store."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol


class Unavailable(Exception):
    """A fact cannot be had just now (the store is locked or broken); the message says why, for log and trace."""


class Number(NamedTuple):
    """A number as it came and as it is compared."""

    raw: str  # as received, e.g. "0048 (22) 111-22-33"
    text: str  # raw without visual separators, e.g. "0048221112233"
    e164: str | None  # "+48221112233", or None where it cannot be one (extension, 112, a name)

    @property
    def key(self) -> str:
        """The customer's identity in the store: E.164, and only where there is none the raw text (product.md)."""
        return self.e164 or self.text


@dataclass(slots=True)
class Request:
    """The facts of one INVITE, read from the message once. Strings are decoded; nothing here refers to PJSIP.

    Nobody changes it; it is not frozen only because a frozen one costs a microsecond a call to make.
    """

    caller: Number
    dialled: Number
    peer: str  # name of the configured peer that sent it
    anonymous: bool = False
    headers: Mapping[str, Sequence[str]] = field(default_factory=dict)  # lower-case names; only those that rules name
    call_id: str = ""
    from_tag: str = ""
    cseq: int = 0


class ListEntry(NamedTuple):
    """One entry of a named list: the number or prefix that matched, and the entry's own target if it has one."""

    number: str  # E.164 or raw, or a prefix ending in "*"
    target: str | None  # agent, destination, or user@peer
    note: str


class Binding(NamedTuple):
    """One row of the memory: profile, scope, customer, agent, and the times of its events (unix seconds, None: never).

    `made` is when the row came to be: the INVITE, the answer, or when it was known. The other times are those from
    which clocks run: the end of the call, and while it goes on, when the event took place. `in_progress`: a call that
    made or refreshed the row goes on. `calling`: the customer's own call, which holds the row but is no later contact.
    """

    profile: str
    scope: str  # "" for everywhere, or the company number in E.164
    customer: str
    agent: str
    made: float
    out_attempt: float | None = None
    out_failed: float | None = None
    out_answered: float | None = None
    in_answered: float | None = None
    in_call: float | None = None
    conversation: float | None = None
    in_progress: bool = False
    since: float | None = None  # from which the clock runs since the row was made; None: from `made`
    calling: bool = False


class Absence(NamedTuple):
    """An agent is not there."""

    agent: str
    since: float  # unix seconds
    until: float | None  # None: he has left for good
    successor: str | None = None  # who is offered to those who are bound to him


class Store(Protocol):
    """What decisions read. Synchronous and indexed (microseconds). A method that cannot tell raises `Unavailable`."""

    def vip(self, customer: str) -> str | None:
        """Name of the agent who is responsible for this VIP, or None if he is none."""

    def list_entry(self, name: str, number: Number, now: float) -> ListEntry | None:
        """The entry of list `name` that holds this number: exact before longest prefix, expired ones do not count."""

    def bound(self, profile: str, scope: str, customer: str) -> Sequence[tuple[str, float]]:
        """Of each of the customer's `bindings` the agent and the time at which it was made."""

    def bindings(self, profile: str, scope: str, customer: str) -> Sequence[Binding]:
        """All rows of this customer in one profile and scope, live or not."""

    def is_shared(self, customer: str) -> bool:
        """Whether the number is marked as shared by many customers."""

    def has_answered_call(self, customer: str) -> bool:
        """Whether the records hold an answered call with this customer."""


@dataclass(slots=True)
class Facts:
    """One request together with the store it may ask; memoised look-ups live for one call."""

    request: Request
    store: Store
    seen: dict[str, object] = field(default_factory=dict)  # look-up -> its answer, or the `Unavailable` it raised
    broken: tuple[str, ...] = ()  # look-ups that could not be made, in words


@dataclass(slots=True)
class State:
    """What the router knows of this moment: which agents and peers can be offered, and the cursors of groups."""

    busy: Collection[str] = frozenset()  # agents with a call of ours
    leave: Collection[str] = frozenset()  # agents who are away; the step is skipped
    left: Collection[str] = frozenset()  # agents who have left or are switched off; they drop out before `keep`
    successors: Mapping[str, str] = field(default_factory=dict)  # of those who have left: who has their customers
    down: Collection[str] = frozenset()  # peers that do not answer
    idle_since: Mapping[str, float] = field(default_factory=dict)  # agent -> end of last call; absent = never seen
    cursor: dict[str, int] = field(default_factory=dict)  # group -> where round-robin stands

    def miss(self, absences: Iterable[Absence], now: float) -> None:
        """Who is away at `now` (unix seconds)."""
        present = [each for each in absences if each.since <= now and (each.until is None or now < each.until)]
        self.left = frozenset(each.agent for each in present if each.until is None)
        self.leave = frozenset(each.agent for each in present if each.until is not None)
        self.successors = {each.agent: each.successor for each in present if each.until is None and each.successor}

    def follow(self, agent: str) -> str:
        """Who has the customers of this agent now."""
        passed = {agent}
        while agent in self.successors and self.successors[agent] not in passed:
            agent = self.successors[agent]
            passed.add(agent)
        return agent
