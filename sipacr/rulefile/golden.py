"""Reads golden calls: rules/tests/*.yaml -> GoldenCall, or all problems with file:line:column."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, PlainValidator, TypeAdapter, ValidationInfo

from sipacr.routing.directory import Directory
from sipacr.routing.facts import Binding, ListEntry, State, Unavailable
from sipacr.routing.given import GivenStore
from sipacr.routing.golden import Expected, GoldenCall
from sipacr.routing.identity import make_request
from sipacr.routing.ruleset import Position, Ruleset
from sipacr.rulefile.folder import rule_files
from sipacr.rulefile.problems import Problem, in_file_order
from sipacr.rulefile.readers import EVENTS
from sipacr.rulefile.shape import (
    AnyText,
    Context,
    Duration,
    Flag,
    Line,
    Many,
    PeerName,
    Shape,
    context_of,
    map_only,
    one_of,
    read_line,
    read_missing,
    refers,
    validate,
    whole,
)
from sipacr.rulefile.yamltree import Mapping, Node, Sequence, Text, describe, read_file

_NOON = datetime(2026, 1, 5, 12, 0)  # a Monday: when a call happens that says nothing of the time


@dataclass(slots=True)
class GoldenContext(Context):
    """What the readers of golden calls know beside names."""

    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))


def read_moment(node: Node, info: ValidationInfo) -> float:
    """Unix seconds of `2026-11-23T16:15`, with an offset or in numbers.timezone."""
    text = read_line(node)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f'"{text}" is no time; write it like 2026-11-23T16:15') from None
    context = context_of(info)
    assert isinstance(context, GoldenContext)
    if moment.tzinfo is not None:
        return moment.timestamp()
    local = moment.replace(tzinfo=context.zone)
    if local.astimezone(UTC).astimezone(context.zone).replace(tzinfo=None) != moment:
        raise ValueError(f'"{text}" does not exist in {context.zone.key}: the clocks skip it; write it with an offset')
    return local.timestamp()


def _maybe_empty(node: Any) -> Any:
    """A list, which may be empty; one value stands for a list of one."""
    if isinstance(node, Sequence):
        return node
    read_missing(node)
    return [node]


def _read_caller(node: Node) -> Text:
    """A number, `anonymous`, or a user part, which may be empty in quotes."""
    if not isinstance(node, Text):
        raise ValueError(f"a number or anonymous is expected here, not {describe(node)}")
    read_missing(node)
    return node


def _read_step(node: Node, info: ValidationInfo) -> str:
    """A step as `golden.step_name` names it; {agent: anna} is the same as anna."""
    if not isinstance(node, Mapping):
        return str(read_line(node))
    kinds = ("agent", "mobile", "to")
    if len(node) != 1 or next(iter(node)) not in kinds:
        raise ValueError("a step is expected here: anna, {mobile: anna}, a destination or user@peer")
    kind, value = next(iter(node.items()))
    name = read_line(value)
    return f"{{mobile: {name}}}" if kind == "mobile" else str(name)


K = TypeVar("K")
T = TypeVar("T")
Some = Annotated[list[T], BeforeValidator(_maybe_empty)]
Keyed = Annotated[dict[K, T], BeforeValidator(map_only)]
Moment = Annotated[float, PlainValidator(read_moment)]
_Agent = Annotated[Text, PlainValidator(refers("agent"))]
_List = Annotated[Text, PlainValidator(refers("list"))]
_Profile = Annotated[Text, PlainValidator(refers("sticky profile"))]
_Group = Annotated[Text, PlainValidator(refers("group"))]
_Rule = Annotated[Text, PlainValidator(refers("rule"))]
_Whole = Annotated[int, PlainValidator(whole(0, 1_000_000, "a whole number"))]
_Raw = Annotated[Any, PlainValidator(lambda node: node)]


class CallShape(Shape):
    called: ClassVar[str] = '"call"'

    caller: Annotated[Text, PlainValidator(_read_caller)]
    dialled: AnyText
    peer: PeerName | None = None
    at: Moment | None = None
    headers: Keyed[Line, Many[Line]] = Field(default_factory=dict)


class BindingShape(Shape):
    called: ClassVar[str] = "a binding"

    agent: Line
    at: Moment  # when the row was made
    number: AnyText | None = None  # of a profile with `scope: number`; else the number that is dialled
    in_progress: Flag = False
    out_attempt: Moment | None = None
    out_failed: Moment | None = None
    out_answered: Moment | None = None
    in_answered: Moment | None = None
    in_call: Moment | None = None
    conversation: Moment | None = None


class GivenShape(Shape):
    called: ClassVar[str] = '"given"'

    bindings: Keyed[_Profile, Keyed[AnyText, Many[BindingShape]]] = Field(default_factory=dict)
    vip: Keyed[AnyText, Line] = Field(default_factory=dict)
    lists: Keyed[_List, Some[AnyText]] = Field(default_factory=dict)
    targets: Keyed[AnyText, _Raw] = Field(default_factory=dict)
    shared: Some[AnyText] = Field(default_factory=list)
    answered: Some[AnyText] = Field(default_factory=list)
    crm: Keyed[AnyText, _Raw] = Field(default_factory=dict)
    busy: Some[_Agent] = Field(default_factory=list)
    leave: Some[_Agent] = Field(default_factory=list)
    left: Some[_Agent] = Field(default_factory=list)
    down: Some[PeerName] = Field(default_factory=list)
    idle: Keyed[_Agent, Duration] = Field(default_factory=dict)
    cursor: Keyed[_Group, _Whole] = Field(default_factory=dict)
    unavailable: Some[Annotated[str, PlainValidator(one_of("store", "crm"))]] = Field(default_factory=list)


class ExpectShape(Shape):
    called: ClassVar[str] = '"expect"'

    rule: _Rule | None = None
    rules: Some[_Rule] | None = None
    steps: Some[Annotated[str, PlainValidator(_read_step)]] | None = None
    reject: Annotated[int, PlainValidator(whole(400, 699, "a code"))] | None = None
    contacts: Some[Line] | None = None
    via: Some[PeerName] | None = None
    emergency: Flag | None = None

    @classmethod
    def check(cls, node: Mapping, context: Context) -> None:
        if "rule" in node and "rules" in node:
            context.error(node.key("rules"), 'beside "rule" there is no place for "rules"')


class GoldenShape(Shape):
    called: ClassVar[str] = "a golden call"

    call: CallShape
    given: GivenShape | None = None
    expect: ExpectShape


_ADAPTER = TypeAdapter(list[GoldenShape])


def load_golden(folder: Path, ruleset: Ruleset, directory: Directory) -> tuple[list[GoldenCall], list[Problem]]:
    """All golden calls of `folder` (rules/tests), in file order, and all problems. Never raises."""
    if not folder.exists():
        return [], []
    files, problems = rule_files(folder)
    names: dict[str, Iterable[str]] = {
        "agent": ruleset.agents,
        "group": ruleset.groups,
        "list": ruleset.lists,
        "sticky profile": ruleset.sticky,
        "peer": directory.peers,
        "destination": directory.destinations,
        "rule": _rule_names(ruleset),
    }
    calls: list[GoldenCall] = []
    for path in files:
        tree = read_file(path)
        problems += tree.problems
        context = GoldenContext(tree, names=names, problems=problems, zone=ZoneInfo(directory.timezone))
        if tree.root is None or not isinstance(tree.root, Sequence) or not tree.root:
            if tree.whole and not tree.problems:
                context.error_at_top("a list of golden calls is expected here: - call: ..., expect: ...")
            continue
        shapes = validate(_ADAPTER, tree.root, context)
        for shape in shapes or ():
            calls.append(_Reader(directory, ruleset, context, shape).golden(tree.position(shape.node)))
    return calls, in_file_order(problems)


def _rule_names(ruleset: Ruleset) -> dict[str, None]:
    return {rule.name: None for rule in (*ruleset.rules, *ruleset.outgoing)}


@dataclass(slots=True)
class _Reader:
    """One golden call."""

    directory: Directory
    ruleset: Ruleset
    context: GoldenContext
    shape: GoldenShape

    def golden(self, position: Position) -> GoldenCall:
        call = self.shape.call
        now = call.at if call.at is not None else _NOON.replace(tzinfo=self.context.zone).timestamp()
        peer = str(call.peer) if call.peer is not None else first_trunk(self.directory)
        headers = {str(name).lower(): tuple(map(str, values)) for name, values in call.headers.items()}
        request = make_request(self.directory, str(call.caller), str(call.dialled), peer, headers, str(position))
        given = self.shape.given or GivenShape.model_construct()
        scope = request.dialled.key
        when = datetime.fromtimestamp(now, self.context.zone).strftime("%Y-%m-%d %H:%M")
        return GoldenCall(
            position=position,
            title=f"{call.caller or '(nobody)'} -> {call.dialled} from {peer} at {when}",
            request=request,
            now=now,
            store=self._store(given, scope),
            state=State(
                busy=frozenset(map(str, given.busy)),
                leave=frozenset(map(str, given.leave)),
                left=frozenset(map(str, given.left)),
                down=frozenset(map(str, given.down)),
                idle_since={str(name): now - seconds for name, seconds in given.idle.items()},
                cursor={str(name): place for name, place in given.cursor.items()},
            ),
            expected=_expected(self.shape.expect),
            seen=self._crm(given, request.caller.key),
        )

    def _key(self, number: str) -> str:
        return self.directory.plan.read(number).key

    def _entry(self, text: str) -> str:
        """An entry of a list: a prefix keeps its star."""
        return text if text.endswith("*") else self._key(text)

    def _store(self, given: GivenShape, scope: str) -> GivenStore:
        rows = []
        for profile, customers in given.bindings.items():
            for customer, bindings in customers.items():
                rows += [self._row(str(profile), str(customer), binding, scope) for binding in bindings]
        return GivenStore(
            vips={self._key(number): str(agent) for number, agent in given.vip.items()},
            lists=self._lists(given),
            rows=rows,
            shared=frozenset(map(self._key, given.shared)),
            answered=frozenset(map(self._key, given.answered)),
            unavailable="given as unavailable" if "store" in given.unavailable else None,
        )

    def _row(self, profile: str, customer: str, shape: BindingShape, dialled: str) -> Binding:
        per_number = self.ruleset.sticky[profile].scope == "number"
        scope = (self._key(shape.number) if shape.number else dialled) if per_number else ""
        events = {event: getattr(shape, event) for event in EVENTS}
        return Binding(
            profile, scope, self._key(customer), str(shape.agent), shape.at, **events, in_progress=shape.in_progress
        )

    def _lists(self, given: GivenShape) -> dict[str, list[ListEntry]]:
        """`targets` names the targets of entries: by number, or by list and number, or one for all of a list."""
        entries = {str(name): {self._entry(text): "" for text in texts} for name, texts in given.lists.items()}
        for key, value in given.targets.items():
            if isinstance(value, Mapping) and key in self.ruleset.lists:
                entries.setdefault(str(key), {}).update(
                    {self._entry(text): self._name(target) for text, target in value.items()}
                )
            elif key in self.ruleset.lists:
                entries[str(key)] = dict.fromkeys(entries.get(str(key), {}), self._name(value))
            else:
                self._target(entries, key, value)
        return {
            name: [ListEntry(number, target or None, "") for number, target in found.items()]
            for name, found in entries.items()
        }

    def _target(self, entries: dict[str, dict[str, str]], key: Text, value: Node) -> None:
        holding = [found for found in entries.values() if self._entry(key) in found]
        if not holding:
            self.context.error(key, f'"{key}" is neither a list nor an entry of a list given here')
        for found in holding:
            found[self._entry(key)] = self._name(value)

    def _name(self, node: Node) -> str:
        if isinstance(node, Text) and not node.is_missing:
            return str(node)
        self.context.error(node, f"a name is expected here, not {describe(node)}")
        return ""

    def _crm(self, given: GivenShape, customer: str) -> dict[str, object]:
        """Owners by CRM and number, by CRM alone, or by number alone: then of every CRM that the rules name."""
        steps = (step for rule in (*self.ruleset.rules, *self.ruleset.outgoing) for step in rule.steps)
        named = dict.fromkeys(step.name for step in steps if step.kind == "crm")
        if "crm" in given.unavailable:
            return {f"crm {name}": Unavailable("given as unavailable") for name in named}
        seen: dict[str, object] = {f"crm {name}": None for name in named} if given.crm else {}
        for key, value in given.crm.items():
            if isinstance(value, Mapping):
                owners = {self._key(number): self._name(owner) for number, owner in value.items()}
                seen[f"crm {key}"] = owners.get(customer)
            elif key in named:
                seen[f"crm {key}"] = self._name(value)
            elif self._key(key) == customer:
                seen |= {f"crm {name}": self._name(value) for name in named}
        return seen


def first_trunk(directory: Directory) -> str:
    """The peer that a call is supposed to come from when nobody says: the first trunk, else the first peer."""
    trunks = [name for name, peer in directory.peers.items() if peer.role == "trunk"]
    return (trunks or list(directory.peers))[0]


def _expected(shape: ExpectShape) -> Expected:
    def texts(found: Iterable[str] | None) -> tuple[str, ...] | None:
        return None if found is None else tuple(map(str, found))

    return Expected(
        rules=texts([shape.rule] if shape.rule is not None else shape.rules),
        steps=texts(shape.steps),
        reject=shape.reject,
        contacts=texts([_contact(text) for text in shape.contacts] if shape.contacts is not None else None),
        via=texts(shape.via),
        emergency=shape.emergency,
    )


def _contact(text: str) -> str:
    """A contact as `golden.contact_text` writes it: without `sip:` and brackets."""
    return str(text).strip().replace("<", "").replace(">", "").removeprefix("sip:").replace(" ", "")
