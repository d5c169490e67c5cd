"""The compiled rules: plain immutable data that `rulefile` builds and `decide` and `resolve` read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from sipacr.routing.conditions import Condition
from sipacr.routing.schedules import Schedule

Outcome = Literal[
    "busy", "no_answer", "unavailable", "voicemail", "declined", "unknown_number", "forwarded", "unreachable", "refused"
]
Order = Literal["in-order", "round-robin", "longest-idle", "random", "all"]
Event = Literal["out_attempt", "out_failed", "out_answered", "in_answered", "in_call", "conversation"]
TargetKind = Literal["agent", "mobile", "group", "vip", "sticky", "crm", "list", "to"]

MAX_RING = 180.0  # seconds for all steps of a route, where no rule says else


@dataclass(frozen=True, slots=True)
class Position:
    """Where something stands in the admin's files; lines and columns count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Agent:
    name: str
    extension: str
    pbx: str  # the peer at which the extension is
    mobile: str | None = None  # E.164; reached by `outgoing_via`
    weight: int = 1
    sticky: bool = True  # False: his calls are learned, never offered


@dataclass(frozen=True, slots=True)
class Group:
    name: str
    lines: tuple[tuple[str, ...], ...]  # agents of the first line, second line ... (S3.4)


@dataclass(frozen=True, slots=True)
class NamedList:
    name: str
    known: bool = False


@dataclass(frozen=True, slots=True)
class LearnFrom:
    """What teaches a sticky profile; an empty key limits nothing; all keys must hold."""

    agents: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    peers: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()  # shown numbers, E.164
    header: Mapping[str, str] = field(default_factory=dict)  # name -> mask


@dataclass(frozen=True, slots=True)
class StickyProfile:
    """What makes, refreshes and ends the rows of one memory (product.md, "The memory")."""

    name: str
    preset: str | None
    create: frozenset[Event]
    refresh: frozenset[Event]
    end: frozenset[Literal["conversation", "used"]]
    ttl: float | None  # seconds; None = forever
    min_talk: float = 0.0  # seconds
    keep: Literal["last", "first", "all"] = "last"
    scope: Literal["everywhere", "number"] = "everywhere"
    during: tuple[str, ...] = ()  # schedules that limit use (any)
    ring: float | None = None  # seconds; a step's own `ring` wins
    learn_from: LearnFrom = LearnFrom()


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to try: a target and a manner."""

    kind: TargetKind
    name: str  # agent, group, profile, CRM, list, destination or user@peer; "" for vip
    position: Position
    ring: float | None = None  # seconds; None = the default of the kind
    total: float | None = None  # seconds
    order: Order = "in-order"
    skip_busy: bool = False
    stop_on: frozenset[Outcome] = frozenset()
    from_: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    whisper: str | None = None


@dataclass(frozen=True, slots=True)
class RejectWith:
    """A final answer of ours: 400-699 without 401 and 407."""

    code: int
    reason: str | None = None
    retry_after: int | None = None  # seconds


@dataclass(frozen=True, slots=True)
class Remember:
    """Adds the caller to a list (S2.3)."""

    list: str
    on: Literal["call", "answer"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One leaf: a rule with an action. Parents are dissolved: `when` includes their conditions, tag, learn, remember,
    max_ring and connect are inherited, and the order is the pre-order of the file, which is also how `next` goes on."""

    name: str
    position: Position
    when: Condition | None  # None: always
    action: Literal["route", "redirect", "relay", "reject"]
    steps: tuple[Step, ...] = ()
    reject: RejectWith | None = None
    # None: not written, the default applies (rules.md, "After the last step")
    else_: Literal["fallback", "next", "end"] | RejectWith | None = None
    tag: str | None = None
    learn: bool = True
    remember: tuple[Remember, ...] = ()
    max_ring: float = MAX_RING  # seconds for all steps together
    connect: float | None = None  # seconds that a leg may be silent; None = its peer's
    parents: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ruleset:
    """All rule files of one configuration, compiled. `version` is a short hash of their texts."""

    agents: Mapping[str, Agent]
    groups: Mapping[str, Group]
    lists: Mapping[str, NamedList]
    schedules: Mapping[str, Schedule]
    sticky: Mapping[str, StickyProfile]
    rules: tuple[Rule, ...]
    outgoing: tuple[Rule, ...]
    fallback: tuple[str, ...]  # destinations, in order
    headers: frozenset[str] = frozenset()  # lower-case names of the headers that rules read
    version: str = ""
