"""The shapes of a rule file. What concerns several keys of one mapping is checked here; meaning is `build`'s."""

from collections.abc import Iterator
from collections.abc import Mapping as Names
from typing import Annotated, Any, ClassVar

from pydantic import (
    BeforeValidator,
    Field,
    GetJsonSchemaHandler,
    PlainValidator,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
)
from pydantic_core import CoreSchema

from sipacr.rulefile import readers, times
from sipacr.rulefile.network import HeaderName
from sipacr.rulefile.problems import nearest
from sipacr.rulefile.readers import RuleContext, rules_of, shorthand
from sipacr.rulefile.shape import (
    SURELY,
    Context,
    Duration,
    Flag,
    Line,
    Listed,
    Many,
    Named,
    OrSchema,
    PeerName,
    PositiveDuration,
    Shape,
    TimeZone,
    map_only,
    one_of,
    read_missing,
    whole,
)
from sipacr.rulefile.sticky import PRESETS, check_profile
from sipacr.rulefile.yamltree import Mapping, Node, Sequence, Text, describe

_TARGETS = ("agent", "mobile", "group", "vip", "sticky", "crm", "list", "to")
_ACTIONS = ("route", "redirect", "relay", "reject", "rules")
_ELSE = ("fallback", "next", "end")
# What a 302 leaves to the trunk.
_DROPPED = ("ring", "total", "stop_on", "from", "headers", "whisper")  # of a step
_LIMITS = ("max_ring", "connect")  # of a rule
_ORDERLESS = ("agent", "mobile", "list", "to")


_NUMBER: dict[str, Any] = {"type": ["string", "number"]}
_NUMBERS = OrSchema({"anyOf": [_NUMBER, {"type": "array", "items": _NUMBER}]})


class AgentShape(Shape):
    called: ClassVar[str] = "an agent"
    wanted: ClassVar[str] = "a mapping such as {extension: 101}"

    extension: readers.Extension
    mobile: readers.Mobile | None = None
    pbx: PeerName | None = Field(None, description="where the extension is; default: the only peer with role pbx")
    weight: Annotated[
        int, PlainValidator(whole(1, 1000, "a whole number")), WithJsonSchema({"type": "integer", "minimum": 1})
    ] = Field(1, description="for `order: random`")
    sticky: Flag = Field(True, description="false: his calls are learned, never offered")

    @classmethod
    def check(cls, node: Mapping, context: Context) -> None:
        if not isinstance(context, RuleContext) or context.directory is None:
            return
        pbxes = context.directory.pbxes
        pbx = node.get("pbx")
        if isinstance(pbx, Text) and not pbx.is_missing:
            if pbx not in pbxes and pbx in context.names.get("peer", ()):
                context.error(pbx, f'"{pbx}" is a trunk; an extension is at a peer with role pbx')
        elif pbx is None and not pbxes:
            context.lacks(node, "no peer has role pbx, so there is no place for an extension")
        elif pbx is None and len(pbxes) > 1:
            context.lacks(node, f'"pbx" is missing: several peers have role pbx ({", ".join(pbxes)})')


class ListShape(Shape):
    called: ClassVar[str] = "a list's declaration"
    wanted: ClassVar[str] = "{} or {known: true} (the numbers themselves are data: sipacr list add)"
    may_be_empty: ClassVar[bool] = True

    known: Flag = Field(False, description="its entries are known customers")


def _lines(node: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> list[list[Text]]:
    """A list of names is one line, a list of lists are several."""
    if isinstance(node, Sequence):
        nested = [isinstance(entry, Sequence) for entry in node]
        if any(nested) and not all(nested):
            raise ValueError("either all entries are names (one line), or all are lists (a line each)")
    lines: list[list[Text]] = handler(node)
    seen: set[Text] = set()
    for name in (name for line in lines for name in line):
        if name in seen:
            rules_of(info).warn(name, f'"{name}" stands twice in this group; the first place counts')
        seen.add(name)
    if isinstance(node, Sequence) and not any(isinstance(entry, Sequence) for entry in node):
        return [[name for line in lines for name in line]]
    return lines


Lines = Annotated[Listed[Many[readers.AgentName]], WrapValidator(_lines)]
Spans = Many[times.SpanText]


_NO_DAYS = ("tz", "open", "closed")


class ScheduleShape(Shape):
    called: ClassVar[str] = "a schedule"
    wanted: ClassVar[str] = 'a mapping such as {mon-fri: "08:00-18:00"}'

    tz: TimeZone | None = Field(None, description="default: numbers.timezone")
    open: Annotated[dict[times.DateText, Spans], BeforeValidator(map_only)] = Field(
        default_factory=dict, description="dates with other hours"
    )
    closed: Many[times.Closed] = Field(default_factory=list, description="dates, or iCal files")
    days: dict[times.Days, Spans] = Field(default_factory=dict)

    @classmethod
    def check(cls, node: Mapping, context: Context) -> None:
        days = node.get("days")
        if not isinstance(days, Mapping):
            return
        taken: dict[int, Text] = {}
        for key in days.names():
            try:
                found = times.read_days(key)
            except ValueError:
                continue
            twice = next((day for day in found if day in taken), None)
            if twice is not None:
                context.error(key, f'{times.DAYS[twice]} is named twice: in "{taken[twice]}" and in "{key}"')
            taken.update((day, taken.get(day, key)) for day in found)


def _split_days(node: Any) -> Any:
    """The keys that name days apart from the others, and from what is only misspelt of those."""
    if not isinstance(node, Mapping) or not node:
        return node
    split, days = Mapping(), Mapping()
    for part in (split, days):
        part.line, part.column, part.under = node.line, node.column, node.under
    for key, value in node.items():
        (days if nearest(key, _NO_DAYS, SURELY) is None else split)[key] = value
    if days:
        split["days"] = days
    return split


class _ScheduleSchema:
    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        whole = dict(handler.resolve_ref_schema(handler(schema)))
        whole["properties"] = dict(whole["properties"])
        spans = whole["properties"].pop("days")["additionalProperties"]
        day = f"({'|'.join(times.DAYS)})"
        whole["patternProperties"] = {f"^(daily|{day}(-{day})?)$": spans}
        return whole


Schedule = Annotated[ScheduleShape, BeforeValidator(_split_days), _ScheduleSchema()]


class LearnFromShape(Shape):
    called: ClassVar[str] = '"learn_from"'

    agents: Many[readers.AgentName] = Field(default_factory=list)
    groups: Many[readers.GroupName] = Field(default_factory=list)
    peers: Many[PeerName] = Field(default_factory=list)
    numbers: Many[readers.NumberText] = Field(default_factory=list, description="the numbers that calls show")
    header: Annotated[dict[HeaderName, readers.ValueMask], BeforeValidator(map_only)] = Field(default_factory=dict)


class StickyShape(Shape):
    called: ClassVar[str] = "a sticky profile"
    wanted: ClassVar[str] = "a mapping such as {preset: acr-24h}"

    preset: Annotated[str, PlainValidator(one_of(*PRESETS)), WithJsonSchema({"enum": list(PRESETS)})] | None = None
    create: Many[readers.CreatingEvent] | None = None
    refresh: Many[readers.EventWord] | None = None
    end: Many[readers.EndWord] | None = None
    ttl: readers.Ttl | None = Field(None, description="how long a binding lives: 24h, 3d, forever")
    min_talk: Duration | None = None
    keep: readers.KeepWord = "last"
    scope: readers.ScopeWord = "everywhere"
    during: Many[readers.ScheduleName] = Field(default_factory=list, description="schedules in which it is used")
    ring: PositiveDuration | None = None
    learn_from: LearnFromShape | None = None

    @classmethod
    def check(cls, node: Mapping, context: Context) -> None:
        check_profile(node, context)


class CallerShape(Shape):
    called: ClassVar[str] = '"caller"'

    number: Many[readers.NumberText] | None = None
    mask: Many[readers.MaskText] | None = None
    contains: Many[readers.Part] | None = None
    regex: Many[readers.RegexText] | None = None
    list_: Many[readers.ListName] | None = Field(None, alias="list")
    region: Many[readers.RegionCode] | None = None
    vip: Flag | None = None
    known: Flag | None = None
    anonymous: Flag | None = None
    shared: Flag | None = None


class DialledShape(Shape):
    called: ClassVar[str] = '"dialled"'
    elsewhere: ClassVar[Names[str, str]] = {
        key: f'"{key}" is asked of the caller only' for key in ("list", "vip", "known", "anonymous", "shared")
    }

    number: Many[readers.OwnNumber] | None = None
    mask: Many[readers.MaskText] | None = None
    contains: Many[readers.Part] | None = None
    regex: Many[readers.RegexText] | None = None
    region: Many[readers.RegionCode] | None = Field(None, description="in `outgoing` only")

    @classmethod
    def check(cls, node: Mapping, context: Context) -> None:
        if "region" in node and isinstance(context, RuleContext) and not context.outgoing:
            said = 'an incoming call dials one of our own numbers: "region" of "dialled" is for outgoing rules'
            context.error(node.key("region"), f"{said}; did you mean caller: {{region: ...}}?")


class WhenShape(Shape):
    called: ClassVar[str] = "a condition"
    wanted: ClassVar[str] = "a condition such as {during: office}"
    elsewhere: ClassVar[Names[str, str]] = {
        **{key: f'"{key}" is reserved for a later version' for key in ("free", "card", "owner")},
        **{key: f"write {{caller: {{{key}: ...}}}}" for key in CallerShape.known_keys()},
        "schedule": "write {during: ...}",
        "callee": 'did you mean "dialled"?',
    }

    caller: Annotated[CallerShape, BeforeValidator(shorthand("number")), _NUMBERS] | None = None
    dialled: Annotated[DialledShape, BeforeValidator(shorthand("number")), _NUMBERS] | None = None
    during: Many[readers.ScheduleName] | None = None
    peer: Many[PeerName] | None = None
    header: Annotated[dict[HeaderName, Many[readers.ValueMask]], BeforeValidator(map_only)] | None = None
    share: readers.SharePart | None = None
    any: Listed["WhenShape"] | None = None
    all: Listed["WhenShape"] | None = None
    not_: Many["WhenShape"] | None = Field(None, alias="not")


class StepShape(Shape):
    called: ClassVar[str] = "a step"
    wanted: ClassVar[str] = "a step such as {agent: anna}"
    elsewhere: ClassVar[Names[str, str]] = {
        "destination": 'did you mean "to"?',
        **{key: f'"{key}" belongs to the rule, beside its route' for key in ("else", *_LIMITS)},
        "when": "a step has no condition; a rule has",
    }

    agent: readers.AgentName | None = None
    mobile: readers.AgentWithMobile | None = None
    group: readers.GroupName | None = None
    vip: readers.TrueOnly | None = None
    sticky: readers.StickyName | None = None
    crm: Line | None = None
    list_: readers.ListName | None = Field(None, alias="list")
    to: readers.Place | None = Field(None, description="a destination, user@peer, or a sip: URI of a peer")

    ring: PositiveDuration | None = Field(None, description="per leg")
    total: PositiveDuration | None = Field(None, description="for the whole step")
    order: readers.OrderWord | None = None
    skip_busy: Flag = False
    stop_on: Many[readers.OutcomeWord] = Field(
        default_factory=list, description="outcomes after which no further step is tried"
    )
    from_: Line | None = Field(None, alias="from")
    headers: Annotated[dict[readers.FreeHeaderName, Line], BeforeValidator(map_only)] = Field(default_factory=dict)
    whisper: Line | None = None

    @classmethod
    def check(cls, node: Mapping, context: Context) -> None:
        targets = [key for key in node.names() if key in _TARGETS]
        if not targets:
            context.lacks(node, f"this step has no target: one of {', '.join(_TARGETS)}")
        for target in targets[1:]:
            context.error(target, f'a step has one target: beside "{targets[0]}" there is no place for "{target}"')
        if "order" in node and targets and targets[0] in _ORDERLESS:
            context.warn(node.key("order"), f'"order" means nothing for a step with "{targets[0]}"')


class RejectShape(Shape):
    called: ClassVar[str] = '"reject"'

    code: readers.RejectCode
    reason: Line | None = None
    retry_after: readers.RetryAfter | None = None


Reject = Annotated[
    RejectShape,
    BeforeValidator(shorthand("code")),
    OrSchema({"type": "integer", "minimum": 400, "maximum": 699}),
]


class ElseShape(Shape):
    called: ClassVar[str] = '"else"'

    reject: Reject


def _read_else(node: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    """A word, or {reject: ...}."""
    if isinstance(node, Text):
        read_missing(node)
        if node not in _ELSE:
            one_of(*_ELSE, "{reject: 480}")(node)
        return str(node)
    if not isinstance(node, Mapping):
        raise ValueError(f"fallback, next, end or {{reject: 480}} is expected here, not {describe(node)}")
    return handler(node)


Else = Annotated[ElseShape, WrapValidator(_read_else), OrSchema({"enum": list(_ELSE)})]


class RememberShape(Shape):
    called: ClassVar[str] = '"remember"'
    wanted: ClassVar[str] = "a mapping such as {list: white, on: call}"

    list_: readers.ListName = Field(alias="list")
    on: Annotated[str, PlainValidator(one_of("call", "answer")), WithJsonSchema({"enum": ["call", "answer"]})] = "call"


class RuleShape(Shape):
    called: ClassVar[str] = "a rule"
    wanted: ClassVar[str] = "a rule (name:, when:, route: ...)"
    elsewhere: ClassVar[Names[str, str]] = {
        **{key: f'"{key}" belongs under "when"' for key in WhenShape.known_keys()},
        **{key: f'"{key}" belongs in a step: route: [{{{key}: ...}}]' for key in (*_TARGETS, *_DROPPED)},
        "children": 'did you mean "rules"?',
    }

    name: readers.RuleName
    when: WhenShape | None = Field(None, description="no condition: always")
    route: Listed[StepShape] | None = Field(None, description="relayed or redirected, as the asking peer's mode says")
    redirect: Listed[StepShape] | None = Field(None, description="302")
    relay: Listed[StepShape] | None = None
    reject: Reject | None = None
    rules: Listed["RuleShape"] | None = Field(None, description="children, tried under this rule's condition")
    else_: Else | None = Field(None, alias="else", description="after the last step")
    tag: Line | None = None
    learn: Flag | None = None
    remember: Many[RememberShape] | None = None
    max_ring: PositiveDuration | None = Field(None, description="for all steps together; default: 180s")
    connect: PositiveDuration | None = Field(
        None, description="a leg without any answer so long is unreachable; default: the peer's"
    )

    @classmethod
    def check(cls, node: Mapping, context: Context) -> None:
        actions = [key for key in node.names() if key in _ACTIONS]
        if not actions:
            context.lacks(node, f"this rule does nothing: it needs one of {', '.join(_ACTIONS)}")
            return
        for action in actions[1:]:
            context.error(action, f'a rule does one thing: beside "{actions[0]}" there is no place for "{action}"')
        if "else" in node and actions[0] in ("reject", "rules"):
            context.warn(node.key("else"), f'"else" means nothing beside "{actions[0]}": there is no last step')
        if actions[0] == "reject":
            for key, _ in _written(node, _LIMITS):
                context.warn(key, f'"{key}" means nothing beside "reject": nobody is called')
        if actions[0] == "redirect":
            _check_redirect(node, context)


def _check_redirect(node: Mapping, context: Context) -> None:
    """After a 302 the trunk does what comes next."""
    said = "is lost after a 302, and this rule demands one; write route, or leave it out"
    for lost, what in lost_after_302(node, "redirect"):
        context.error(lost, f'"{what}" {said}')


class RuleFileShape(Shape):
    """A file of the rules folder."""

    called: ClassVar[str] = "a rule file"
    elsewhere: ClassVar[Names[str, str]] = {
        key: f'"{key}" belongs in sipacr.yaml'
        for key in ("listen", "tls", "numbers", "peers", "destinations", "outgoing_via", "regions", "store")
    }

    agents: Named[AgentShape] = Field(default_factory=dict)
    groups: Named[Lines] = Field(default_factory=dict)
    lists: Named[ListShape] = Field(default_factory=dict)
    schedules: Named[Schedule] = Field(default_factory=dict)
    sticky: Named[StickyShape] = Field(default_factory=dict)
    rules: Listed[RuleShape] = Field(default_factory=list, description="incoming calls; the first match wins")
    outgoing: Annotated[Listed[RuleShape], WrapValidator(readers.as_outgoing)] = Field(
        [], description="calls from the PBX to the world"
    )
    fallback: Many[readers.Place] = Field(default_factory=list, description="destinations in order")


def lost_after_302(rule: Mapping, action: str) -> Iterator[tuple[Node, str]]:
    """What a rule and the steps under `action` say that a redirect leaves to the trunk: where it stands, and what."""
    steps = rule.get(action)
    for step in steps if isinstance(steps, Sequence) else ():
        yield from _written(step, _DROPPED)
    yield from _written(rule, _LIMITS)
    entries = rule.get("remember")
    for entry in entries if isinstance(entries, Sequence) else [entries]:
        if isinstance(entry, Mapping) and entry.get("on") == "answer":
            yield entry["on"], "on: answer"


def _written(node: Node, keys: tuple[str, ...]) -> list[tuple[Text, str]]:
    return [(key, str(key)) for key in node.names() if key in keys] if isinstance(node, Mapping) else []
