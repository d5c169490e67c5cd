"""Shapes -> Ruleset: conditions, steps, nested rules dissolved into leaves. Called only for files without errors."""

from dataclasses import dataclass, field
from typing import Literal, cast

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
from sipacr.routing.directory import Directory
from sipacr.routing.numbers import NumberPlan
from sipacr.routing.ruleset import (
    MAX_RING,
    Agent,
    Group,
    LearnFrom,
    NamedList,
    RejectWith,
    Remember,
    Rule,
    Ruleset,
    Step,
    StickyProfile,
    TargetKind,
)
from sipacr.routing.schedules import Calendar, Schedule, Span
from sipacr.rulefile.models import (
    AgentShape,
    CallerShape,
    DialledShape,
    ElseShape,
    LearnFromShape,
    RejectShape,
    RuleFileShape,
    RuleShape,
    ScheduleShape,
    StepShape,
    WhenShape,
)
from sipacr.rulefile.shape import Context
from sipacr.rulefile.sticky import build_profile
from sipacr.rulefile.yamltree import Mapping, Node, Text


@dataclass(frozen=True, slots=True)
class Leaf:
    """A rule with an action, and what `lint` needs to point at it."""

    rule: Rule
    shape: RuleShape
    condition: Node  # where its condition is written; the rule itself if it has none
    context: Context  # of its file


@dataclass(frozen=True, slots=True)
class _Parent:
    """What a rule has from the rules around it."""

    names: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] = ()
    tag: str | None = None
    learn: bool = True
    remember: tuple[Remember, ...] = ()
    max_ring: float = MAX_RING
    connect: float | None = None


@dataclass(slots=True)
class Builder:
    """Takes one file after the other."""

    directory: Directory
    agents: dict[str, Agent] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    lists: dict[str, NamedList] = field(default_factory=dict)
    schedules: dict[str, Schedule] = field(default_factory=dict)
    sticky: dict[str, StickyProfile] = field(default_factory=dict)
    rules: list[Leaf] = field(default_factory=list)
    outgoing: list[Leaf] = field(default_factory=list)
    fallback: tuple[str, ...] = ()
    headers: set[str] = field(default_factory=set)

    def take(self, file: RuleFileShape, context: Context) -> None:
        """Adds what one file declares; warns of what can be said only now."""
        for name, agent in file.agents.items():
            self._agent(name, agent, context)
        for name, lines in file.groups.items():
            self.groups[str(name)] = Group(str(name), tuple(tuple(map(str, line)) for line in lines))
        for name, declared in file.lists.items():
            self.lists[str(name)] = NamedList(str(name), declared.known)
        for name, schedule in file.schedules.items():
            self.schedules[str(name)] = self._schedule(str(name), schedule, context)
        for name, profile in file.sticky.items():
            self.sticky[str(name)] = build_profile(str(name), profile, self._learn_from(profile.learn_from))
        for rule in file.rules:
            self._rule(rule, context, self.rules, _Parent())
        for rule in file.outgoing:
            self._rule(rule, context, self.outgoing, _Parent())
        self.fallback = tuple(file.fallback) or self.fallback

    def ruleset(self, version: str) -> Ruleset:
        return Ruleset(
            agents=self.agents,
            groups=self.groups,
            lists=self.lists,
            schedules=self.schedules,
            sticky=self.sticky,
            rules=tuple(leaf.rule for leaf in self.rules),
            outgoing=tuple(leaf.rule for leaf in self.outgoing),
            fallback=self.fallback,
            headers=frozenset(self.headers),
            version=version,
        )

    def _agent(self, name: Text, shape: AgentShape, context: Context) -> None:
        pbx = str(shape.pbx or self.directory.pbxes[0])
        for other in self.agents.values():
            if (other.extension, other.pbx) == (shape.extension, pbx):
                context.warn(
                    shape.node["extension"], f'"{other.name}" has the extension {shape.extension} at {pbx} too'
                )
        self.agents[str(name)] = Agent(str(name), shape.extension, pbx, shape.mobile, shape.weight, shape.sticky)

    def _schedule(self, name: str, shape: ScheduleShape, context: Context) -> Schedule:
        week: list[tuple[Span, ...]] = [()] * 7
        for days, spans in shape.days.items():
            for day in days:
                week[day] = tuple(spans)
        if not any(week) and not shape.open:
            context.warn(shape.node.under or shape.node, f'the schedule "{name}" names no day, so it is never open')
        closed = frozenset(day for day in shape.closed if not isinstance(day, Calendar))
        for date in shape.open.keys() & closed:
            key = cast(Mapping, shape.node["open"]).key(date.isoformat())
            context.warn(key, f"{date} is in closed too; open counts")
        return Schedule(
            name=name,
            tz=shape.tz or self.directory.timezone,
            week=tuple(week),
            open={day: tuple(spans) for day, spans in shape.open.items()},
            closed=closed,
            calendars=tuple(day for day in shape.closed if isinstance(day, Calendar)),
        )

    def _learn_from(self, shape: LearnFromShape | None) -> LearnFrom:
        if shape is None:
            return LearnFrom()
        self.headers |= {name.lower() for name in shape.header}
        plan = self.directory.plan
        return LearnFrom(
            agents=tuple(map(str, shape.agents)),
            groups=tuple(map(str, shape.groups)),
            peers=tuple(map(str, shape.peers)),
            numbers=tuple(plan.read(number).key for number in shape.numbers),
            header={name.lower(): mask.pattern for name, mask in shape.header.items()},
        )

    def _rule(self, shape: RuleShape, context: Context, leaves: list[Leaf], parent: _Parent) -> None:
        name = str(shape.name)
        conditions = parent.conditions
        if shape.when is not None:
            conditions += self._parts(shape.when, name)
        remember = parent.remember
        if shape.remember is not None:
            remember = tuple(Remember(str(entry.list_), _on(entry.on)) for entry in shape.remember)
        this = _Parent(
            names=(*parent.names, name),
            conditions=conditions,
            tag=parent.tag if shape.tag is None else str(shape.tag),
            learn=parent.learn if shape.learn is None else shape.learn,
            remember=remember,
            max_ring=parent.max_ring if shape.max_ring is None else shape.max_ring,
            connect=parent.connect if shape.connect is None else shape.connect,
        )
        if shape.rules is not None:
            for child in shape.rules:
                self._rule(child, context, leaves, this)
            return
        steps = shape.route or shape.redirect or shape.relay or []
        action: Literal["route", "redirect", "relay", "reject"] = (
            "route" if shape.route else "redirect" if shape.redirect else "relay" if shape.relay else "reject"
        )
        rule = Rule(
            name=name,
            position=context.tree.position(shape.node),
            when=_all(conditions),
            action=action,
            steps=tuple(_step(step, context) for step in steps),
            reject=_reject(shape.reject),
            else_=_else(shape.else_),
            tag=this.tag,
            learn=this.learn,
            remember=this.remember,
            max_ring=this.max_ring,
            connect=this.connect,
            parents=parent.names,
        )
        leaves.append(Leaf(rule, shape, shape.node.get("when", shape.node), context))

    def _parts(self, when: WhenShape, rule: str) -> tuple[Condition, ...]:
        """What must hold for this mapping, all of it."""
        parts: list[Condition] = []
        plan = self.directory.plan
        if when.caller is not None:
            parts += _of_number("caller", when.caller, plan)
            parts += _of_caller(when.caller)
        if when.dialled is not None:
            parts += _of_number("dialled", when.dialled, plan)
        if when.during:
            parts.append(During(tuple(map(str, when.during))))
        if when.peer:
            parts.append(PeerIs(tuple(map(str, when.peer))))
        for name, masks in (when.header or {}).items():
            self.headers.add(name.lower())
            parts.append(HeaderIs(name.lower(), tuple(masks)))
        if when.share is not None:
            parts.append(Share(when.share, rule))
        for inner in when.all or ():
            parts += self._parts(inner, rule)
        if when.any:
            branches = tuple(_all(self._parts(inner, rule)) for inner in when.any)
            found = tuple(branch for branch in branches if branch is not None)
            parts.append(found[0] if len(found) == 1 else AnyOf(found))
        if when.not_:
            refused = (_all(self._parts(inner, rule)) for inner in when.not_)
            parts.append(Not(tuple(part for part in refused if part is not None)))
        return tuple(parts)


def _all(parts: tuple[Condition, ...]) -> Condition | None:
    """One condition for several; None if there is none."""
    distinct = tuple(dict.fromkeys(parts))
    return None if not distinct else distinct[0] if len(distinct) == 1 else All(distinct)


def _of_number(side: Side, shape: CallerShape | DialledShape, plan: NumberPlan) -> list[Condition]:
    parts: list[Condition] = []
    if shape.number:
        read = [plan.read(number) for number in shape.number]
        e164 = frozenset(number.e164 for number in read if number.e164)
        parts.append(NumberIs(side, e164, frozenset(number.text for number in read if not number.e164)))
    if shape.mask:
        parts.append(MaskIs(side, tuple(shape.mask)))
    if shape.contains:
        parts.append(Contains(side, tuple(shape.contains)))
    if shape.regex:
        parts.append(Regex(side, tuple(shape.regex)))
    if shape.region:
        parts.append(RegionIs(side, tuple(dict.fromkeys(shape.region))))
    return parts


def _of_caller(shape: CallerShape) -> list[Condition]:
    parts: list[Condition] = []
    if shape.list_:
        parts.append(OnList(tuple(map(str, shape.list_))))
    for kind, value in (
        (IsVip, shape.vip),
        (IsKnown, shape.known),
        (IsAnonymous, shape.anonymous),
        (IsShared, shape.shared),
    ):
        if value is not None:
            parts.append(kind(value))
    return parts


def _step(shape: StepShape, context: Context) -> Step:
    kind, name = _target(shape)
    return Step(
        kind=kind,
        name=name,
        position=context.tree.position(shape.node),
        ring=shape.ring,
        total=shape.total,
        order=shape.order or "in-order",
        skip_busy=shape.skip_busy,
        stop_on=frozenset(shape.stop_on),
        from_=None if shape.from_ is None else str(shape.from_),
        headers=tuple((name, str(value)) for name, value in shape.headers.items()),
        whisper=None if shape.whisper is None else str(shape.whisper),
    )


def _target(shape: StepShape) -> tuple[TargetKind, str]:
    targets: dict[TargetKind, str | None] = {
        "agent": shape.agent,
        "mobile": shape.mobile,
        "group": shape.group,
        "vip": "" if shape.vip else None,
        "sticky": shape.sticky,
        "crm": shape.crm,
        "list": shape.list_,
        "to": shape.to,
    }
    return next((kind, str(name)) for kind, name in targets.items() if name is not None)


def _reject(shape: RejectShape | None) -> RejectWith | None:
    if shape is None:
        return None
    return RejectWith(shape.code, None if shape.reason is None else str(shape.reason), shape.retry_after)


def _else(written: ElseShape | str | None) -> Literal["fallback", "next", "end"] | RejectWith | None:
    if isinstance(written, ElseShape):
        return _reject(written.reject)
    return cast(Literal["fallback", "next", "end"] | None, written)


def _on(word: str) -> Literal["call", "answer"]:
    return "answer" if word == "answer" else "call"
