"""Readers of the words of rules: numbers, masks, times of day, dates, events. Each says plainly what it wanted."""

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args
from urllib.parse import unquote

from pydantic import PlainValidator, ValidationInfo, ValidatorFunctionWrapHandler, WithJsonSchema

from sipacr.routing.directory import Directory, is_address
from sipacr.routing.masks import Mask, e164_suggestion
from sipacr.routing.numbers import NumberPlan, clean
from sipacr.routing.regions import normalise_code
from sipacr.routing.ruleset import Event, Order, Outcome
from sipacr.routing.truth import check_regex
from sipacr.rulefile.network import destination, read_header_name, split_port
from sipacr.rulefile.problems import nearest, suggestion, with_article
from sipacr.rulefile.shape import (
    Context,
    context_of,
    one_of,
    read_duration,
    read_line,
    read_name,
    read_text,
    refers,
    words_schema,
)
from sipacr.rulefile.yamltree import Mapping, Node, Text

_SHARE = re.compile(r"(\d{1,3})(?:\.(\d{1,2}))?\s?%")
_TYPO = 0.8  # likeness of two numbers of which one is probably a slip of the other: two digits of twelve
_URI = re.compile(r"(sips?|tel):", re.IGNORECASE)

# Headers that are SIP's own (RFC 3261 and extensions that change what a call does), or sipacr's: the caller's identity
# and what it tells of rules. The short forms too.
# fmt: off
_OWNED = frozenset({
    "accept", "accept-contact", "accept-encoding", "accept-language", "allow", "allow-events",
    "authentication-info", "authorization", "call-id", "contact", "content-disposition", "content-encoding",
    "content-language", "content-length", "content-type", "cseq", "date", "diversion", "event", "expires", "from",
    "history-info", "identity", "identity-info", "in-reply-to", "join", "max-forwards", "mime-version",
    "min-expires", "min-se", "p-asserted-identity", "p-preferred-identity", "path", "privacy",
    "proxy-authenticate", "proxy-authorization", "proxy-require", "rack", "record-route", "refer-sub", "refer-to",
    "referred-by", "reject-contact", "remote-party-id", "replaces", "request-disposition", "require",
    "retry-after", "route", "rseq", "security-client", "security-server", "security-verify", "server",
    "service-route", "session-expires", "sip-etag", "sip-if-match", "subscription-state", "supported",
    "target-dialog", "timestamp", "to", "unsupported", "user-agent", "via", "warning", "www-authenticate", "a",
    "b", "c", "d", "e", "f", "i", "j", "k", "l", "m", "n", "o", "r", "t", "u", "v", "x", "y",
})
# fmt: on

EVENTS: tuple[str, ...] = get_args(Event)
CREATING = ("out_attempt", "out_failed", "out_answered", "in_answered")
OUTCOMES: tuple[str, ...] = get_args(Outcome)
ORDERS: tuple[str, ...] = get_args(Order)
KEEPS = ("last", "first", "all")
SCOPES = ("everywhere", "number")
ENDS = ("conversation", "used")


@dataclass(slots=True)
class RuleContext(Context):
    """What readers of rules know beside names: our numbers and peers, and in which part of the file they are."""

    directory: Directory | None = None  # None: sipacr.yaml has errors, what depends on it is not checked
    extensions: tuple[Mask, ...] = ()  # masks of internal numbers
    without_mobile: frozenset[str] = frozenset()  # agents
    outgoing: bool = False  # within `outgoing`

    @property
    def plan(self) -> NumberPlan | None:
        return self.directory.plan if self.directory else None


def rules_of(info: ValidationInfo) -> RuleContext:
    context = context_of(info)
    assert isinstance(context, RuleContext)
    return context


def read_number(node: Node, info: ValidationInfo) -> Text:
    """An exact number; what looks like a mask is one that was put in the wrong place."""
    text = read_line(node, "a number")
    context = rules_of(info)
    looks_like_mask = "?" in text or ("*" in text and text[0] in "+0123456789")
    if looks_like_mask:
        raise ValueError(f'"{text}" is no exact number; did you mean {{mask: "{text}"}}?')
    if text.startswith("+") and context.plan and context.plan.read(text).e164 is None:
        context.warn(node, f'"{text}" is no number in E.164 (a plus and 7 to 15 digits), so it is compared as raw text')
    return text


def read_own_number(node: Node, info: ValidationInfo) -> Text:
    """A dialled number. An incoming call can only have dialled one of ours."""
    text = read_number(node, info)
    context = rules_of(info)
    directory = context.directory
    if directory is None or context.outgoing:
        return text
    number = directory.plan.read(text)
    if number.key not in directory.own:
        read_as = f" (read as {number.key})" if number.key != text else ""
        near = nearest(number.key, directory.own, _TYPO)
        hint = f'did you mean "{near}"?' if near else f"ours are {_some(directory.own)}"
        raise ValueError(f'"{text}"{read_as} is not in numbers.own; {hint}')
    return text


def _some(words: Iterable[str]) -> str:
    listed = list(words)
    return ", ".join(listed[:5]) + (" ..." if len(listed) > 5 else "")


def read_mask(node: Node, info: ValidationInfo) -> Mask:
    """A mask of a number, with a warning if it looks national: numbers come in E.164 as a rule."""
    text = read_line(node, "a mask")
    mask = Mask(str(text))
    context = rules_of(info)
    if context.directory and not any(inner.subsumes(mask) for inner in context.extensions):
        meant = e164_suggestion(mask, context.directory.plan)
        if meant is not None:
            said = f'the mask "{text}" sees the raw number as it comes, not E.164'
            context.warn(node, f'{said}; did you mean "{meant}"?')
    return mask


def read_text_mask(node: Node) -> Mask:
    """A mask of a header's value."""
    return Mask(str(read_line(node)))


def read_part(node: Node) -> str:
    """A part of a number, without separators."""
    text = clean(read_line(node))
    if "*" in text or "?" in text:
        raise ValueError(f'"{node}": contains takes a part of a number as it stands; for * and ? write mask')
    return text


def read_regex(node: Node, info: ValidationInfo) -> str:
    """A regular expression of google-re2."""
    text = str(read_line(node))
    try:
        check_regex(text)
    except ValueError as error:
        hint = ""
        if text.startswith("+"):
            hint = f"; a plus is written \\+: '\\{text}'"
        elif "(?=" in text or "(?!" in text or "(?<" in text:
            hint = "; look-ahead and look-behind do not exist here, because the engine must never go back"
        raise ValueError(f'"{text}" is no regular expression: {error}{hint}') from None
    if re.match(r"[\^(\[?:]+\\?\+", text):
        said = f'"{text}" sees the raw number; only a regex whose first signs are \\+ sees E.164'
        rules_of(info).warn(node, f"{said} (it matches the whole anyway, so ^ and $ are not needed)")
    return text


def read_region(node: Node, info: ValidationInfo) -> str:
    """An ISO 3166 code in its present form."""
    text = read_text(node, "a region such as PL or PL-14")
    code = normalise_code(text)
    if code != text.upper():
        rules_of(info).warn(node, f'"{text}" is an old code; it is now called {code}')
    return code


def read_share(node: Node) -> int:
    """A part of 10,000."""
    text = read_text(node, 'a share such as "10%"')
    match = _SHARE.fullmatch(text)
    if match is None:
        hint = f'; did you mean "{text}%"?' if text.isdigit() else ""
        raise ValueError(f'"{text}" is no share; write it like 10% or 0.5%{hint}')
    parts = int(match[1]) * 100 + int((match[2] or "").ljust(2, "0"))
    if not 0 < parts <= 10_000:
        raise ValueError(f'"{text}" is no share: more than 0% and at most 100%')
    return parts


def read_reject_code(node: Node) -> int:
    text = read_text(node, "a SIP status from 400 to 699")
    if not (text.isascii() and text.isdigit() and len(text) == 3 and 400 <= int(text) <= 699):
        hint = "; to redirect write redirect: with steps" if text.startswith("3") else ""
        raise ValueError(f'"{text}" is no SIP status from 400 to 699{hint}')
    if text in ("401", "407"):
        raise ValueError(f"{text} asks the caller for a password, which sipacr never checks; write 403")
    return int(text)


def read_retry_after(node: Node) -> int:
    """Whole seconds, as in the header; a unit may be written."""
    text = read_text(node, 'a time such as "60s"')
    seconds = float(text) if text.isascii() and text.isdigit() and len(text) < 10 else read_duration(node)
    if seconds < 1 or seconds != int(seconds):
        raise ValueError(f'"{text}" is not a whole number of seconds, at least one')
    return int(seconds)


def read_ttl(node: Node) -> float:
    """Seconds, or infinity for `forever`."""
    if node == "forever":
        return math.inf
    try:
        seconds = read_duration(node)
    except ValueError as error:
        hint = suggestion(node, ["forever"]) if isinstance(node, Text) else ""
        raise type(error)(f"{error}{hint}") from None
    if seconds == 0:
        raise ValueError("a ttl of nothing remembers nothing")
    return seconds


def read_true(node: Node) -> bool:
    if read_text(node, "true") != "true":
        raise ValueError(f'"vip: {node}" says nothing: write vip: true, or leave the step out')
    return True


def read_mobile(node: Node, info: ValidationInfo) -> str:
    """A mobile in E.164."""
    text = read_line(node)
    plan = rules_of(info).plan
    if plan is None:
        return str(text)
    number = plan.read(text)
    if number.e164 is None:
        raise ValueError(f'"{text}" is no telephone number; write it like +48601222333')
    return number.e164


def read_extension(node: Node) -> str:
    text = read_line(node)
    if re.search(r"[\s@<>\"]", text):
        raise ValueError(f'"{text}" is no extension: neither spaces nor @ may stand in it')
    return str(text)


def read_agent_with_mobile(node: Node, info: ValidationInfo) -> Text:
    text = refers("agent")(node, info)
    if text in rules_of(info).without_mobile:
        raise ValueError(f'"{text}" has no mobile; give the agent one, or write {{agent: {text}}}')
    return text


def read_place(node: Node, info: ValidationInfo) -> str:
    """What `to` and `fallback` take: a destination, `user@peer`, or a `sip:` URI of a peer; the first two as they are,
    the last as `user@peer`."""
    text = read_line(node)
    context = rules_of(info)
    if _URI.match(text):
        return _of_uri(text, context)
    known = context.names.get("destination")
    if known is not None and text in known:
        return str(text)
    if "@" in text:
        return str(destination(text, context))
    if known is None:
        return str(text)
    hint = suggestion(text, known)
    for kind in ("agent", "group"):
        if not hint and text in context.names.get(kind, ()):
            hint = f'; "{text}" is {with_article(kind)}'
    raise ValueError(f'unknown destination "{text}"{hint or "; name one of sipacr.yaml, or write user@peer"}')


def _of_uri(text: str, context: RuleContext) -> str:
    scheme, _, rest = text.partition(":")
    if scheme.lower() == "tel":
        raise ValueError(f'"{text}": to takes a destination, user@peer, or a sip: URI')
    if ";" in rest or "?" in rest:
        raise ValueError(f'"{text}" has parameters, which would not be sent; write user@peer')
    user, at, host = rest.rpartition("@")
    user = unquote(user)
    if not at or not user or re.search(r"[\s@<>\":]", user):
        raise ValueError(f'"{text}" has no valid user part; write it like sip:600@10.0.0.5')
    host, port = split_port(host)
    if context.directory is None:
        return f"{user}@{host}"
    fitting: list[str] = []
    for name, peer in context.directory.peers.items():
        for address in (*peer.addresses, *((peer.contact,) if peer.contact else ())):
            peer_host, peer_port = split_port(address)
            if _same_host(host, peer_host):
                fitting.insert(0 if (peer_port or 5060) == (port or 5060) else len(fitting), name)
    if not fitting and host in context.directory.peers:
        fitting.append(host)
    if not fitting:
        peers = ", ".join(context.directory.peers)
        raise ValueError(f'"{host}" is no host of a declared peer ({peers}); calls go nowhere else (toll fraud)')
    return f"{user}@{fitting[0]}"


def _same_host(first: str, second: str) -> bool:
    if is_address(first) and is_address(second):
        return first.lower() == second.lower()
    return first.rstrip(".").lower() == second.rstrip(".").lower()


def read_free_header_name(node: Node) -> str:
    """The name of a header that rules may set."""
    name = read_header_name(node)
    if name.lower() in _OWNED:
        raise ValueError(f"the header \"{name}\" is SIP's or sipacr's own and cannot be set")
    if name.lower().startswith("x-sipacr"):
        raise ValueError(f'the header "{name}" is sipacr\'s own and cannot be set')
    return name


def as_outgoing(node: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
    """Reads what is written for calls from the PBX to the world."""
    context = rules_of(info)
    context.outgoing = True
    try:
        return handler(node)
    finally:
        context.outgoing = False


def shorthand(key: str) -> Callable[[Any], Any]:
    """A value that is no mapping stands for a mapping with this key."""

    def read(node: Any) -> Any:
        if isinstance(node, Mapping) or (isinstance(node, Text) and node.is_missing):
            return node
        whole = Mapping({key: node})
        whole.line, whole.column, whole.under = node.line, node.column, None
        return whole

    return read


_SCALAR = WithJsonSchema({"type": ["string", "number"]})
_STRING = WithJsonSchema({"type": "string"})


def _words(*words: str) -> Any:
    return PlainValidator(one_of(*words))


NumberText = Annotated[Text, PlainValidator(read_number), _SCALAR]
OwnNumber = Annotated[Text, PlainValidator(read_own_number), _SCALAR]
MaskText = Annotated[Mask, PlainValidator(read_mask), _SCALAR]
ValueMask = Annotated[Mask, PlainValidator(read_text_mask), _SCALAR]
Part = Annotated[str, PlainValidator(read_part), _SCALAR]
RegexText = Annotated[str, PlainValidator(read_regex), _STRING]
RegionCode = Annotated[str, PlainValidator(read_region), _STRING]
SharePart = Annotated[
    int, PlainValidator(read_share), WithJsonSchema({"type": "string", "pattern": f"^{_SHARE.pattern}$"})
]
RejectCode = Annotated[
    int, PlainValidator(read_reject_code), WithJsonSchema({"type": "integer", "minimum": 400, "maximum": 699})
]
RetryAfter = Annotated[int, PlainValidator(read_retry_after), _SCALAR]
Ttl = Annotated[float, PlainValidator(read_ttl), _STRING]
TrueOnly = Annotated[bool, PlainValidator(read_true), WithJsonSchema({"const": True})]
Mobile = Annotated[str, PlainValidator(read_mobile), _SCALAR]
Extension = Annotated[str, PlainValidator(read_extension), _SCALAR]
Place = Annotated[str, PlainValidator(read_place), _STRING]
FreeHeaderName = Annotated[str, PlainValidator(read_free_header_name), _STRING]
OutcomeWord = Annotated[Outcome, _words(*OUTCOMES), words_schema(*OUTCOMES)]
OrderWord = Annotated[Order, _words(*ORDERS), words_schema(*ORDERS)]
CreatingEvent = Annotated[Event, _words(*CREATING), words_schema(*CREATING)]
EventWord = Annotated[Event, _words(*EVENTS), words_schema(*EVENTS)]
KeepWord = Annotated[Literal["last", "first", "all"], _words(*KEEPS), words_schema(*KEEPS)]
ScopeWord = Annotated[Literal["everywhere", "number"], _words(*SCOPES), words_schema(*SCOPES)]
EndWord = Annotated[Literal["conversation", "used"], _words(*ENDS), words_schema(*ENDS)]
AgentName = Annotated[Text, PlainValidator(refers("agent")), _SCALAR]
AgentWithMobile = Annotated[Text, PlainValidator(read_agent_with_mobile), _SCALAR]
GroupName = Annotated[Text, PlainValidator(refers("group")), _SCALAR]
ListName = Annotated[Text, PlainValidator(refers("list")), _SCALAR]
ScheduleName = Annotated[Text, PlainValidator(refers("schedule")), _SCALAR]
StickyName = Annotated[Text, PlainValidator(refers("sticky profile")), _SCALAR]
RuleName = Annotated[Text, PlainValidator(read_name), _SCALAR]
