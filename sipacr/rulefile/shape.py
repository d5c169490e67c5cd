"""What the models of both kinds of file are made of: scalars read from the text that was typed, lists, named maps.

Every reader says in plain words what it wanted; `validate` joins pydantic's location to the position in the file.
"""

import re
from collections.abc import Callable, Iterable
from collections.abc import Mapping as Names
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar
from zoneinfo import ZoneInfo, available_timezones

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetJsonSchemaHandler,
    ModelWrapValidatorHandler,
    PlainValidator,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import CoreSchema

from sipacr.routing.ruleset import Position
from sipacr.rulefile.problems import Problem, Severity, nearest, suggestion, with_article
from sipacr.rulefile.yamltree import Mapping, Node, Sequence, Text, Tree, describe

T = TypeVar("T")

_SCALAR: dict[str, Any] = {"type": ["string", "number", "boolean"]}
_LONGEST_NAME = 100
SURELY = 0.65  # likeness from which a misspelt key is taken for the one that was meant
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DURATION = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:ms|s|min|m|h|d|w))+")
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|min|m|h|d|w)")
_LONGEST_DURATION = 100 * 366 * 86400.0


class ReportedError(ValueError):
    """What is wrong here stands among the problems already."""


class LackingError(ValueError):
    """Something is missing in this mapping or list; said at its key."""


class EmptyError(LackingError):
    """There is nothing where something must be."""


@dataclass(slots=True)
class Context:
    """What readers need beside the text: the names that exist, and where problems go.

    `names`: kind -> names of that kind; a kind that is not there cannot be checked, because its file could not be read.
    """

    tree: Tree
    folder: Path = Path()  # where relative paths begin: the folder of sipacr.yaml
    names: Names[str, Iterable[str]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def error(self, node: Node, message: str) -> None:
        self._say(node, message, "error")

    def warn(self, node: Node, message: str) -> None:
        self._say(node, message, "warning")

    def lacks(self, node: Mapping | Sequence, message: str) -> None:
        """Something is missing in this mapping or list: said at its key."""
        self.error(node.under or node, message)

    def error_at_top(self, message: str) -> None:
        """Of the file as a whole."""
        self.problems.append(Problem(Position(self.tree.file, 1, 1), message))

    def unknown(self, kind: str, name: str) -> str | None:
        """What to say of a name that does not exist, or None if it does."""
        known = self.names.get(kind)
        if known is None or name in known:
            return None
        others = (f'; "{name}" is {with_article(other)}' for other, names in self.names.items() if name in names)
        return f'unknown {kind} "{name}"' + (suggestion(name, known) or next(others, ""))

    def _say(self, node: Node, message: str, severity: Severity) -> None:
        self.problems.append(Problem(self.tree.position(node), message, severity))


def read_text(node: Node, wanted: str = "a text") -> Text:
    """The scalar itself. Raises ValueError for anything else and for an empty one."""
    if not isinstance(node, Text):
        raise ValueError(f"{wanted} is expected here, not {describe(node)}")
    if node.is_missing:
        raise ReportedError
    if not node.strip():
        raise EmptyError
    return node


def read_line(node: Node, wanted: str = "a text") -> Text:
    """A text without line breaks and other control characters: what goes into a SIP message."""
    text = read_text(node, wanted)
    if not text.isprintable() and any(ord(character) < 0x20 or ord(character) == 0x7F for character in text):
        raise ValueError("line breaks and control characters may not stand in it")
    return text


def read_name(node: Node) -> Text:
    text = read_line(node)
    if len(text) > _LONGEST_NAME:
        raise ValueError(f"a name has at most {_LONGEST_NAME} signs")
    if text != text.strip():
        raise ValueError("a name neither begins nor ends with a space")
    return text


def read_flag(node: Node) -> bool:
    text = read_text(node, "true or false")
    if text in ("true", "false"):
        return text == "true"
    meant = {
        "yes": "true",
        "on": "true",
        "y": "true",
        "1": "true",
        "no": "false",
        "off": "false",
        "n": "false",
        "0": "false",
    }
    word = text.lower() if text.lower() in ("true", "false") else meant.get(text.lower())
    raise ValueError(f'"{text}" is neither true nor false' + (f'; did you mean "{word}"?' if word else ""))


def read_duration(node: Node) -> float:
    """Seconds. The unit must be written."""
    text = read_text(node, 'a time such as "20s"')
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        raise ValueError(f'"{text}" has no unit; did you mean "{text}s"? (ms, s, m, h, d, w)')
    if not _DURATION.fullmatch(text):
        raise ValueError(f'"{text}" is no length of time; write it like 20s, 5m, 24h or 3d')
    seconds = sum(float(number) * _UNITS[unit] for number, unit in _DURATION_PART.findall(text))
    if seconds > _LONGEST_DURATION:
        raise ValueError(f'"{text}" is longer than a hundred years')
    return seconds


def read_positive_duration(node: Node) -> float:
    seconds = read_duration(node)
    if seconds == 0:
        raise ValueError(f'"{node}" is no time at all; leave the key out, or write a longer one')
    return seconds


def none_if_off(node: Node) -> Node | None:
    """`off` stands for nothing."""
    return None if isinstance(node, Text) and node == "off" else node


def read_timezone(node: Node) -> str:
    """An IANA name."""
    text = read_text(node, "a time zone such as Europe/Warsaw")
    try:
        ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        raise ValueError(
            f'"{text}" is not an IANA time zone such as Europe/Warsaw{suggestion(text, sorted(available_timezones()))}'
        ) from None
    return str(text)


def whole(lowest: int, highest: int, what: str) -> Callable[[Node], int]:
    """Reads a whole number within bounds."""

    def read(node: Node) -> int:
        text = read_text(node, what)
        if not (text.isascii() and text.isdigit() and len(text) < 12 and lowest <= int(text) <= highest):
            raise ValueError(f'"{text}" is not {what} from {lowest} to {highest}')
        return int(text)

    return read


def one_of(*words: str) -> Callable[[Node], str]:
    """Reads one of some words."""

    def read(node: Node) -> str:
        text = read_text(node, f"one of {', '.join(words)}")
        if text in words:
            return str(text)
        raise ValueError(f'"{text}" is not one of {", ".join(words)}{suggestion(text, words)}')

    return read


def words_schema(*words: str) -> WithJsonSchema:
    return WithJsonSchema({"enum": list(words)})


def refers(kind: str) -> Callable[[Node, ValidationInfo], Text]:
    """Reads a name of this kind that must exist."""

    def read(node: Node, info: ValidationInfo) -> Text:
        text = read_text(node, f"the name of {with_article(kind)}")
        wrong = context_of(info).unknown(kind, text)
        if wrong is not None:
            raise ValueError(wrong)
        return text

    return read


def context_of(info: ValidationInfo) -> Context:
    context = info.context
    assert isinstance(context, Context)
    return context


Line = Annotated[Text, PlainValidator(read_line), WithJsonSchema(dict(_SCALAR))]
Name = Annotated[Text, PlainValidator(read_name), WithJsonSchema(dict(_SCALAR))]
PeerName = Annotated[Text, PlainValidator(refers("peer")), WithJsonSchema(dict(_SCALAR))]
AnyText = Annotated[Text, PlainValidator(read_text), WithJsonSchema(dict(_SCALAR))]
Flag = Annotated[bool, PlainValidator(read_flag), WithJsonSchema({"type": "boolean"})]
TimeZone = Annotated[str, PlainValidator(read_timezone), WithJsonSchema({"type": "string"})]
DURATION_SCHEMA = WithJsonSchema({"type": "string", "pattern": f"^{_DURATION.pattern}$"})
Duration = Annotated[float, PlainValidator(read_duration), DURATION_SCHEMA]
PositiveDuration = Annotated[float, PlainValidator(read_positive_duration), DURATION_SCHEMA]


def _as_list(node: Any) -> Any:
    """One value stands for a list of one."""
    if isinstance(node, Sequence):
        return _not_empty(node)
    if isinstance(node, Text) and node.is_missing:
        raise ReportedError
    return [node]


def _list_only(node: Any) -> Any:
    if isinstance(node, Sequence):
        return _not_empty(node)
    read_missing(node)
    raise ValueError(f"a list is expected here, not {describe(node)}; write it with dashes or in [ ]")


def map_only(node: Any) -> Any:
    if isinstance(node, Mapping):
        return _not_empty(node)
    read_missing(node)
    raise ValueError(f"a mapping (key: value) is expected here, not {describe(node)}")


def read_missing(node: Node) -> None:
    """Raises ReportedError if there is no value."""
    if isinstance(node, Text) and node.is_missing:
        raise ReportedError


def _not_empty(node: Any) -> Any:
    if not node:
        raise EmptyError
    return node


class _OneOrMany:
    """JSON Schema of a value that may stand alone or in a list."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        listed = handler(schema)
        return {"anyOf": [listed["items"], {**listed, "minItems": 1}]}


class OrSchema:
    """JSON Schema of a value that may be written in a shorter way too."""

    def __init__(self, shorter: dict[str, Any]) -> None:
        self.shorter = shorter

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [self.shorter, handler(schema)]}


Many = Annotated[list[T], BeforeValidator(_as_list), _OneOrMany()]
Listed = Annotated[list[T], BeforeValidator(_list_only)]
Named = Annotated[dict[Name, T], BeforeValidator(map_only)]


class _Checked(dict[str, Node]):
    """A mapping that `Shape` has looked at."""


class Shape(BaseModel):
    """A mapping with known keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    called: ClassVar[str] = "a mapping"  # in messages: what this mapping is
    wanted: ClassVar[str] = ""  # in messages: what should stand here, if `called` does not say it
    may_be_empty: ClassVar[bool] = False
    elsewhere: ClassVar[Names[str, str]] = {}  # keys that do not belong here, and what to say of them

    if TYPE_CHECKING:  # no field: `_read` puts it there
        node: Mapping  # the mapping in the file, whose keys have positions

    @classmethod
    @cache
    def known_keys(cls) -> dict[str, None]:
        """The keys that may be written, in their order."""
        return {info.alias or name: None for name, info in cls.model_fields.items()}

    @classmethod
    def check(cls, node: Mapping, context: Context) -> None:
        """Reports what concerns several keys at once. May raise ValueError, if nothing else matters then."""

    @classmethod
    def _report_unknown(cls, node: Mapping, context: Context) -> None:
        """A key that is only misspelt is read as what was meant, so that one slip is one problem."""
        known = cls.known_keys()
        for key in node.names():
            if key in known:
                continue
            hint = cls.elsewhere.get(key)
            said = f"; {hint}" if hint else suggestion(key, known) or f"; {cls.called} has {', '.join(known)}"
            context.error(key, f'unknown key "{key}" in {cls.called}{said}')
            meant = None if hint else nearest(key, known, SURELY)
            if meant is not None and meant not in node:
                node.rename(key, meant)
            else:
                del node[key]

    @model_validator(mode="wrap")
    @classmethod
    def _read(cls, node: Any, handler: ModelWrapValidatorHandler["Shape"], info: ValidationInfo) -> "Shape":
        if isinstance(node, _Checked):  # pydantic runs the wrapper of a model that contains itself twice
            return handler(node)
        if not isinstance(node, Mapping):
            read_missing(node)
            raise ValueError(f"{cls.wanted or cls.called} is expected here, not {describe(node)}")
        if not node and not cls.may_be_empty:
            raise EmptyError
        context = context_of(info)
        known = cls.known_keys()
        if not node.keys() <= known.keys():
            cls._report_unknown(node, context)
        cls.check(node, context)
        shape = handler(_Checked(node))
        shape.__dict__["node"] = node
        return shape


def validate(adapter: TypeAdapter[T], node: Node, context: Context) -> T | None:
    """What `node` says, or None; problems go to the context."""
    try:
        return adapter.validate_python(node, context=context)
    except ValidationError as failure:
        for error in failure.errors(include_url=False, include_input=False):
            _report(node, error["loc"], error["type"], error.get("ctx", {}).get("error"), context)
        return None


def _report(root: Node, loc: tuple[int | str, ...], kind: str, cause: object, context: Context) -> None:
    """One error of pydantic at its place in the file."""
    if isinstance(cause, ReportedError):
        return
    missing = kind == "missing"
    node, key = _find(root, loc[:-1] if missing else loc)
    if missing:
        message = f'"{loc[-1]}" is missing' + (f' in "{key}"' if key is not None else " here")
        if node is root:
            context.error_at_top(f'"{loc[-1]}" is missing')
        else:
            context.error(key or node, message)
    elif isinstance(cause, EmptyError):
        context.error(key or node, f'"{key}" is empty' if key is not None else "this is empty")
    elif isinstance(cause, LackingError):
        context.error(key or node, str(cause))
    elif isinstance(cause, Exception):
        context.error(node, str(cause))
    else:
        context.error(node, f"{describe(node)} does not fit here")


def _find(root: Node, loc: tuple[int | str, ...]) -> tuple[Node, Text | None]:
    """The node at a location, and its key if it is a mapping's value. What readers have wrapped is not in the tree:
    the parts of the location that cannot be followed are passed over."""
    node: Node = root
    key: Text | None = None
    for index, part in enumerate(loc):
        if part == "[key]":
            return (key or node), None
        if isinstance(node, Mapping) and isinstance(part, str) and part in node:
            key, node = node.key(part), node[part]
        elif isinstance(node, Sequence) and isinstance(part, int) and part < len(node):
            key, node = None, node[part]
        elif index == len(loc) - 1:
            break
    return node, key
