"""A peer as sipacr.yaml describes it: what may be written, and the Peer that comes of it."""

import re
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, PlainValidator, ValidationInfo, WithJsonSchema

from sipacr.routing.directory import CallerIn, Credentials, Early, Health, Mode, NumberFormat, Peer, Registration, Role
from sipacr.routing.numbers import NumberPlan
from sipacr.rulefile.network import Endpoint, HeaderName, Host, Source, UriUser, split_port
from sipacr.rulefile.shape import (
    DURATION_SCHEMA,
    Context,
    Flag,
    LackingError,
    Line,
    Many,
    OrSchema,
    PositiveDuration,
    Shape,
    context_of,
    none_if_off,
    one_of,
    read_duration,
    read_line,
    read_text,
    whole,
    words_schema,
)
from sipacr.rulefile.yamltree import Mapping, Node

_SHORTEST_SESSION = 90.0  # seconds: the least Session-Expires of RFC 4028 4.2
_SHORTEST_REGISTRATION = 60.0  # seconds: under that most registrars answer 423

_RATE = re.compile(r"^([1-9][0-9]{0,5})/(s|min|m|h)$")
_SECONDS = {"s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0}


def read_session(node: Node) -> float:
    """Seconds between refreshes, 0 for `off`."""
    if node == "off":
        return 0.0
    seconds = read_duration(node)
    if 0 < seconds < _SHORTEST_SESSION:
        raise ValueError(f'"{node}" is too short: RFC 4028 knows no session under 90s; off means none')
    return seconds


def read_registration(node: Node) -> float:
    """Seconds that are asked for."""
    seconds = read_duration(node)
    if not _SHORTEST_REGISTRATION <= seconds <= 86_400:
        raise ValueError(f'"{node}" is not from 60s to 24h')
    return seconds


def read_rate(node: Node) -> float:
    """Calls a second."""
    text = read_text(node, "a rate such as 50/s")
    found = _RATE.fullmatch(text)
    if found is None:
        raise ValueError(f'"{text}" is no rate; write it like 50/s or 600/min')
    rate = float(found[1]) / _SECONDS[found[2]]
    if not 0 < rate <= 100_000:
        raise ValueError(f'"{text}" is not from one call an hour to 100000/s')
    return rate


def read_password_file(node: Node, info: ValidationInfo) -> tuple[Path, str]:
    """A file, whose path begins at sipacr.yaml, and its first line."""
    path = context_of(info).folder / Path(read_line(node)).expanduser()
    try:
        lines = path.read_text("utf-8").splitlines()
    except FileNotFoundError:
        raise ValueError(f"there is no file {path} (paths begin at the folder of sipacr.yaml)") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if not lines or not lines[0].strip():
        raise ValueError(f"{path} has no password in its first line")
    return path, lines[0].strip()


def read_country(node: Node) -> NumberPlan:
    """The numbering plan of an ISO 3166-1 country."""
    return NumberPlan.of(read_text(node, "a country such as PL"))


Count = Annotated[
    int, PlainValidator(whole(1, 100, "a whole number")), WithJsonSchema({"type": "integer", "minimum": 1})
]
_CALLS = WithJsonSchema({"type": "integer", "minimum": 1})
Rate = Annotated[float, PlainValidator(read_rate), WithJsonSchema({"type": "string", "pattern": _RATE.pattern})]
Country = Annotated[
    NumberPlan, PlainValidator(read_country), WithJsonSchema({"type": "string", "pattern": "^[A-Za-z]{2}$"})
]


class AuthShape(Shape):
    called: ClassVar[str] = '"auth"'
    wanted: ClassVar[str] = "a mapping with user and password or password_file"

    user: Line
    password: Line | None = None
    password_file: (
        Annotated[tuple[Path, str], PlainValidator(read_password_file), WithJsonSchema({"type": "string"})] | None
    ) = Field(None, description="its first line is the password")

    @classmethod
    def check(cls, node: Mapping, context: Context) -> None:
        if len(node.keys() & {"password", "password_file"}) != 1:
            raise LackingError('"auth" needs either password or password_file')

    def credentials(self) -> Credentials:
        """User and password."""
        password = self.password_file[1] if self.password_file else self.password
        return Credentials(str(self.user), str(password))


class HealthShape(Shape):
    called: ClassVar[str] = '"health"'
    wanted: ClassVar[str] = "off, or a mapping with every, down_after and up_after"
    may_be_empty: ClassVar[bool] = True

    every: PositiveDuration = Field(30.0, description="between two OPTIONS")
    down_after: Count = Field(3, description="failures in a row")
    up_after: Count = Field(1, description="answers in a row")

    def asking(self) -> Health:
        """The same for the core."""
        return Health(self.every, self.down_after, self.up_after)


class RegisterShape(Shape):
    called: ClassVar[str] = '"register"'
    wanted: ClassVar[str] = "a mapping with user"

    user: UriUser = Field(description="of the address that is registered")
    domain: Host | None = Field(None, description="of that address; default: the host of `address`")
    contact: UriUser | None = Field(None, description="user part of our Contact; default: user")
    expires: Annotated[float, PlainValidator(read_registration), DURATION_SCHEMA] = 600.0


class PeerShape(Shape):
    called: ClassVar[str] = "a peer"
    wanted: ClassVar[str] = "a mapping with role, address and mode"

    role: Annotated[Role, PlainValidator(one_of("pbx", "trunk")), words_schema("pbx", "trunk")]
    address: Many[Endpoint] = Field(description="host[:port], or a list in order")
    mode: Annotated[Mode, PlainValidator(one_of("relay", "redirect")), words_schema("relay", "redirect")]
    sources: Many[Source] = Field(
        default_factory=list, description="addresses and networks; default: the hosts of `address`"
    )
    transport: (
        Annotated[
            Literal["udp", "tcp", "tls"], PlainValidator(one_of("udp", "tcp", "tls")), words_schema("udp", "tcp", "tls")
        ]
        | None
    ) = Field(None, description="udp, if DNS does not name another for it")
    contact: Endpoint | None = Field(None, description="as trunks see it; default: the first address")
    country: Country | None = Field(None, description="how its numbers are read; default: numbers.country")
    trusted: Flag = Field(False, description="its P-Asserted-Identity counts")
    rule_header: Flag | None = Field(None, description="X-Sipacr-Rule goes to it; default: to a pbx")
    send: Annotated[
        NumberFormat,
        PlainValidator(one_of("e164", "national", "international", "as-is")),
        words_schema("e164", "national", "international", "as-is"),
    ] = "e164"
    max_contacts: Annotated[
        int, PlainValidator(whole(1, 50, "a whole number")), WithJsonSchema({"type": "integer", "minimum": 1})
    ] = 5
    on_3xx: Annotated[
        Literal["follow", "pass"], PlainValidator(one_of("follow", "pass")), words_schema("follow", "pass")
    ] = "follow"
    dialled_from: HeaderName = Field("request-uri", description="request-uri, to, or a header's name")
    connect: PositiveDuration = Field(4.0, description="a call to it without any answer so long: it is unreachable")
    early: Annotated[Early, PlainValidator(one_of("many", "one")), words_schema("many", "one")] = Field(
        "many", description="early dialogs of one call towards it"
    )
    outbound_proxy: Endpoint | None = Field(None, description="requests to it go there first")
    max_calls: Annotated[int, PlainValidator(whole(1, 100_000, "a number of calls")), _CALLS] | None = Field(
        None, description="at once, in both directions; more are refused or go elsewhere"
    )
    max_rate: Rate | None = Field(None, description="calls that it may begin, such as 50/s; more are refused")
    max_rate_each: Rate | None = Field(None, description="the same for each of its addresses")
    session_expires: Annotated[float, PlainValidator(read_session), DURATION_SCHEMA, OrSchema({"enum": ["off"]})] = (
        Field(1800.0, description="session timer (RFC 4028), or off")
    )
    max_call: PositiveDuration = Field(14_400.0, description="longer calls are ended")
    health: Annotated[HealthShape | None, BeforeValidator(none_if_off), OrSchema({"enum": ["off"]})] = Field(
        None, description="ask it by OPTIONS whether it lives"
    )
    auth: AuthShape | None = Field(None, description="what its challenges are answered with")
    register_: RegisterShape | None = Field(None, alias="register", description="register there, and take its calls")
    identity: (
        Annotated[CallerIn, PlainValidator(one_of("pai", "rpid", "from")), words_schema("pai", "rpid", "from")] | None
    ) = Field(None, description="what tells it who calls; default: pai if it is trusted, else from")
    symmetric: Flag = Field(False, description="answers go to where its requests came from")

    def peer(self, name: str, plan: NumberPlan, extensions: tuple[str, ...]) -> Peer:
        """What is known of the peer; `plan` and `extensions` are those of the company."""
        return Peer(
            name=name,
            role=self.role,
            mode=self.mode,
            addresses=tuple(self.address),
            plan=NumberPlan.of(self.country.country, extensions) if self.country else plan,
            sources=tuple(self.sources),
            transport=self.transport or "udp",
            contact=self.contact,
            trusted=self.trusted,
            rule_header=self.role == "pbx" if self.rule_header is None else self.rule_header,
            send=self.send,
            max_contacts=self.max_contacts,
            on_3xx=self.on_3xx,
            dialled_from=self.dialled_from,
            connect=self.connect,
            early=self.early,
            outbound_proxy=self.outbound_proxy,
            max_calls=self.max_calls,
            max_rate=self.max_rate,
            max_rate_each=self.max_rate_each,
            session_expires=self.session_expires,
            max_call=self.max_call,
            health=None if self.health is None else self.health.asking(),
            auth=None if self.auth is None else self.auth.credentials(),
            register=None if self.register_ is None else self._registration(self.register_),
            identity=self.identity or ("pai" if self.trusted else "from"),
            any_transport=self.transport is None,
            symmetric=self.symmetric,
        )

    def _registration(self, shape: RegisterShape) -> Registration:
        domain = shape.domain or split_port(self.address[0])[0]
        return Registration(shape.user, domain, shape.contact or shape.user, shape.expires)
