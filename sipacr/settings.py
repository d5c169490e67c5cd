"""sipacr.yaml: YAML -> Settings, or all problems with file:line:column. No socket is opened and no name resolved."""

import math
from collections.abc import Iterable
from collections.abc import Mapping as Names
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, PlainValidator, TypeAdapter, ValidationInfo, WithJsonSchema

from sipacr.routing.directory import Directory, Peer, Treatment, is_address
from sipacr.routing.masks import Mask
from sipacr.routing.numbers import NumberPlan, clean
from sipacr.rulefile.network import (
    DestinationKey,
    DestinationText,
    Host,
    ListenAddress,
    PeerKey,
    read_listen,
    split_port,
)
from sipacr.rulefile.peers import Country, PeerShape
from sipacr.rulefile.problems import Problem, has_errors, in_file_order, without_echoes
from sipacr.rulefile.shape import (
    Context,
    Duration,
    LackingError,
    Line,
    Many,
    Named,
    OrSchema,
    PeerName,
    PositiveDuration,
    Shape,
    TimeZone,
    context_of,
    map_only,
    none_if_off,
    one_of,
    read_line,
    read_positive_duration,
    read_text,
    validate,
    whole,
    words_schema,
)
from sipacr.rulefile.yamltree import Mapping, Node, Text, Tree, read_file

Address = tuple[str, int]  # host without brackets, port
_KEPT_RECORDS = 400 * 86_400.0  # seconds


@dataclass(frozen=True, slots=True)
class Listen:
    udp: tuple[Address, ...] = ()
    tcp: tuple[Address, ...] = ()
    tls: tuple[Address, ...] = ()
    public: str | None = None  # host for Via and Contact behind NAT, without brackets


@dataclass(frozen=True, slots=True)
class TlsFiles:
    certificate: Path
    key: Path
    clients: Path | None = None  # if given, clients' certificates are demanded and checked against it
    ca: Path | None = None  # who signs the peers' certificates; None: those whom this machine trusts


@dataclass(frozen=True, slots=True)
class Keep:
    """How long what calls leave behind is kept, in seconds."""

    records: float = _KEPT_RECORDS
    bindings: float = math.inf  # from their last event, live or not


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where a PBX tells of calls that do not pass through us."""

    http: Address
    token_file: Path


@dataclass(frozen=True, slots=True)
class Settings:
    """What sipacr.yaml says. Paths are joined to its folder already."""

    path: Path
    listen: Listen
    tls: TlsFiles | None
    directory: Directory
    regions: tuple[Path, ...]  # further packs of prefixes
    store: Path
    rules: Path  # a folder
    passwords: tuple[Path, ...] = ()  # the files that hold some
    drain: float = 60.0  # seconds that relayed calls get to end when the router stops
    keep: Keep = Keep()
    metrics: Address | None = None  # where Prometheus asks
    webhook: Webhook | None = None
    strangers: Treatment = field(default_factory=Treatment)


def load_settings(path: Path, folder: Path | None = None) -> tuple[Settings | None, list[Problem]]:
    """All problems of sipacr.yaml, and what it says if none of them is an error. Never raises.

    Relative paths begin at `folder`, which is that of the file unless a copy of it is read.
    """
    tree = read_file(path)
    context = Context(tree, folder=folder or path.parent)
    settings = _read(tree, context, path)
    problems = in_file_order(without_echoes(tree.problems, context.problems))
    return (None if has_errors(problems) else settings), problems


def peer_names(root: Node | None) -> list[str]:
    """The peers that stand in a file, whether or not they are right."""
    peers = root.get("peers") if isinstance(root, Mapping) else None
    return [str(name) for name in peers] if isinstance(peers, Mapping) else []


def _read(tree: Tree, context: Context, path: Path) -> Settings | None:
    if tree.root is None:
        if not tree.problems:
            context.error_at_top("this file is empty; it needs listen, numbers, peers and destinations")
        return None
    if not tree.whole:
        return None
    context.names = {"peer": peer_names(tree.root)}
    shape = validate(_ADAPTER, tree.root, context)
    return None if shape is None or has_errors(context.problems) else _build(shape, context, path)


def read_extensions(node: Node) -> str:
    """A mask of internal numbers, which are compared as they are dialled."""
    text = read_line(node)
    if Mask(text).sees_e164:
        raise ValueError(f'"{text}": internal numbers are compared as they are dialled, without a plus')
    return str(text)


def read_emergency(node: Node) -> str:
    text = clean(read_text(node, "a number such as 112"))
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise ValueError(f'"{node}" is no emergency number: digits only, as they are dialled')
    return text


def read_path(node: Node, info: ValidationInfo) -> Path:
    """A path, joined to the folder of sipacr.yaml if it is relative."""
    return context_of(info).folder / Path(read_line(node)).expanduser()


def read_existing_file(node: Node, info: ValidationInfo) -> Path:
    path = read_path(node, info)
    if not path.is_file():
        raise ValueError(f"{path} is a directory, not a file" if path.is_dir() else f"there is no file {path}")
    return path


def read_kept(node: Node) -> float:
    """Seconds, or infinity for `forever`."""
    return math.inf if node == "forever" else read_positive_duration(node)


_COUNT = WithJsonSchema({"type": "integer", "minimum": 1})
_TEXT = WithJsonSchema({"type": "string"})
_NUMBER = WithJsonSchema({"type": ["string", "integer"]})
FilePath = Annotated[Path, PlainValidator(read_path), _TEXT]
Kept = Annotated[float, PlainValidator(read_kept), _TEXT]
ExistingFile = Annotated[Path, PlainValidator(read_existing_file), _TEXT]


class ListenShape(Shape):
    called: ClassVar[str] = '"listen"'
    wanted: ClassVar[str] = 'a mapping such as {udp: "0.0.0.0:5060"}'

    udp: Many[ListenAddress] = Field(default_factory=list, description="addresses with port, 5060 by default")
    tcp: Many[ListenAddress] = Field(default_factory=list, description="addresses with port, 5060 by default")
    tls: Many[ListenAddress] = Field(default_factory=list, description="addresses with port, 5061 by default")
    public: Host | None = Field(None, description="host for Via and Contact behind NAT")

    @classmethod
    def check(cls, node: Mapping, context: Context) -> None:
        if not node.keys() & {"udp", "tcp", "tls"}:
            raise LackingError('"listen" needs at least one address under udp, tcp or tls')


class TlsShape(Shape):
    called: ClassVar[str] = '"tls"'
    wanted: ClassVar[str] = "a mapping with certificate and key"

    certificate: FilePath
    key: FilePath
    clients: FilePath | None = Field(None, description="if given, clients' certificates are demanded and checked")
    ca: FilePath | None = Field(
        None, description="who signs the certificates of peers that we call; default: those whom this machine trusts"
    )


class NumbersShape(Shape):
    called: ClassVar[str] = '"numbers"'
    wanted: ClassVar[str] = "a mapping with country, timezone and own"

    country: Country
    timezone: TimeZone
    own: Named[Line] = Field(description="our numbers and their names")
    extensions: Many[Annotated[str, PlainValidator(read_extensions), _NUMBER]] = Field(
        [], description="masks of internal numbers"
    )
    emergency: Many[Annotated[str, PlainValidator(read_emergency), _NUMBER]] = Field(
        default_factory=list, description="as dialled"
    )


class StoreShape(Shape):
    called: ClassVar[str] = '"store"'
    wanted: ClassVar[str] = "a mapping such as {path: sipacr.db}"

    path: FilePath


class KeepShape(Shape):
    called: ClassVar[str] = '"keep"'
    wanted: ClassVar[str] = "a mapping such as {records: 400d}"

    records: Kept = Field(_KEPT_RECORDS, description="call records are deleted when they are older; forever")
    bindings: Kept = Field(math.inf, description="bindings are deleted when their last event is older; forever")


class BansShape(Shape):
    called: ClassVar[str] = '"bans"'
    wanted: ClassVar[str] = "off, or a mapping with after, within and for"
    may_be_empty: ClassVar[bool] = True

    after: Annotated[int, PlainValidator(whole(1, 100_000, "a number of requests")), _COUNT] = Field(
        10, description="requests of one address that is no peer's"
    )
    within: PositiveDuration = 600.0
    for_: PositiveDuration = Field(3600.0, alias="for", description="so long it is banned")


def read_loopback(node: Node) -> Address:
    """An address with a port that nobody elsewhere can reach."""
    host, port = read_listen(node)
    if port is None:
        raise ValueError(f'"{node}" has no port; write it like 127.0.0.1:9160')
    if not ip_address(host).is_loopback:
        raise ValueError(
            f'"{node}" can be reached from elsewhere, and the figures are for nobody else: 127.0.0.1:{port}'
        )
    return host, port


def read_with_port(node: Node) -> Address:
    """An address of this machine with a port."""
    host, port = read_listen(node)
    if port is None:
        raise ValueError(f'"{node}" has no port; write it like 127.0.0.1:8080')
    return host, port


class LearnShape(Shape):
    called: ClassVar[str] = '"learn"'
    wanted: ClassVar[str] = 'a mapping such as {http: "127.0.0.1:8080", token_file: token}'

    http: Annotated[Address, PlainValidator(read_with_port), _TEXT] = Field(
        description="where a PBX tells of calls that do not pass through sipacr (POST /calls)"
    )
    token_file: FilePath = Field(description="the file of the secret that it must know")


class SettingsShape(Shape):
    """sipacr.yaml."""

    called: ClassVar[str] = "sipacr.yaml"
    elsewhere: ClassVar[Names[str, str]] = {
        key: f'"{key}" belongs in a file of the rules folder'
        for key in ("agents", "groups", "lists", "schedules", "sticky", "outgoing", "fallback")
    }

    listen: ListenShape
    tls: TlsShape | None = None
    numbers: NumbersShape
    peers: Annotated[dict[PeerKey, PeerShape], BeforeValidator(map_only)]
    destinations: Annotated[dict[DestinationKey, DestinationText], BeforeValidator(map_only)]
    outgoing_via: Many[PeerName] = Field(default_factory=list, description="trunks for calls to the world, in order")
    regions: Many[ExistingFile] = Field(default_factory=list, description="further packs of prefixes")
    store: StoreShape | None = None
    rules: FilePath | None = Field(None, description="the folder of the rule files; default: rules")
    drain: Duration = Field(60.0, description="relayed calls get so long to end when the router is stopped")
    keep: KeepShape | None = None
    learn: LearnShape | None = None
    metrics: Annotated[Address, PlainValidator(read_loopback), _TEXT] | None = Field(
        None, description="where Prometheus asks, such as 127.0.0.1:9160"
    )
    strangers: Annotated[
        Literal["silent", "refuse"], PlainValidator(one_of("silent", "refuse")), words_schema("silent", "refuse")
    ] = Field("silent", description="whoever is no peer gets no answer, or all get 403")
    bans: Annotated[BansShape | None, BeforeValidator(none_if_off), OrSchema({"enum": ["off"]})] = Field(
        BansShape.model_construct(), description="of addresses that are no peer's"
    )

    @classmethod
    def check(cls, node: Mapping, context: Context) -> None:
        """What one section says of another, as far as it can be read."""
        listen = node.get("listen")
        if isinstance(listen, Mapping) and "tls" in listen and "tls" not in node:
            context.error_at_top('"tls" is missing: "listen" has tls addresses, which need a certificate and a key')


_ADAPTER = TypeAdapter(SettingsShape)


def _build(shape: SettingsShape, context: Context, path: Path) -> Settings:
    """The settings; reports what is wrong between the parts."""
    extensions = tuple(shape.numbers.extensions)
    plan = NumberPlan.of(shape.numbers.country.country, extensions)
    peers = {str(name): peer.peer(str(name), plan, extensions) for name, peer in shape.peers.items()}
    directory = Directory(
        peers=peers,
        plan=plan,
        timezone=shape.numbers.timezone,
        own=_own(shape.numbers.own, plan, context),
        extensions=extensions,
        emergency=frozenset(shape.numbers.emergency),
        destinations={str(name): destination for name, destination in shape.destinations.items()},
        outgoing_via=tuple(str(name) for name in shape.outgoing_via),
    )
    _check_peers(shape, directory, context)
    tls = shape.tls
    return Settings(
        path=path,
        listen=_listen(shape.listen, context),
        tls=None if tls is None else TlsFiles(tls.certificate, tls.key, tls.clients, tls.ca),
        directory=directory,
        regions=tuple(shape.regions),
        store=shape.store.path if shape.store else context.folder / "sipacr.db",
        rules=shape.rules or context.folder / "rules",
        passwords=tuple(
            peer.auth.password_file[0] for peer in shape.peers.values() if peer.auth and peer.auth.password_file
        )
        + ((shape.learn.token_file,) if shape.learn else ()),
        drain=shape.drain,
        metrics=shape.metrics,
        webhook=Webhook(shape.learn.http, shape.learn.token_file) if shape.learn else None,
        strangers=_treatment(shape),
        keep=Keep(shape.keep.records, shape.keep.bindings) if shape.keep else Keep(),
    )


def _treatment(shape: SettingsShape) -> Treatment:
    refuse, bans = shape.strangers == "refuse", shape.bans
    return Treatment(refuse, 0) if bans is None else Treatment(refuse, bans.after, bans.within, bans.for_)


def _own(written: Names[Text, Text], plan: NumberPlan, context: Context) -> dict[str, str]:
    own: dict[str, str] = {}
    first: dict[str, Text] = {}
    for number, name in written.items():
        read = plan.read(number)
        if number.startswith("+") and read.e164 is None:
            context.error(number, f'"{number}" is no number in E.164: a plus and 7 to 15 digits')
        elif read.key in first:
            context.error(number, f'"{number}" is the same number as "{first[read.key]}" above')
        first.setdefault(read.key, number)
        own[read.key] = str(name)
    return own


def _listen(shape: ListenShape, context: Context) -> Listen:
    def addresses(transport: str, entries: list[tuple[str, int | None]], default: int) -> tuple[Address, ...]:
        found: list[Address] = []
        for index, (host, port) in enumerate(entries):
            address = (host, port or default)
            if address in found:
                context.error(_item(shape, transport, index), f"{host} port {address[1]} is listed twice")
            found.append(address)
        return tuple(found)

    listen = Listen(
        addresses("udp", shape.udp, 5060),
        addresses("tcp", shape.tcp, 5060),
        addresses("tls", shape.tls, 5061),
        shape.public,
    )
    for index, address in enumerate(listen.tls):
        if address in listen.tcp:
            context.error(_item(shape, "tls", index), f"{address[0]} port {address[1]} is taken by tcp already")
    return listen


def _item(shape: Shape, key: str, index: int) -> Node:
    """An entry of a list, or the one that stands alone."""
    value = shape.node[key]
    return value[index] if isinstance(value, list) else value


def _check_peers(shape: SettingsShape, directory: Directory, context: Context) -> None:
    for index, via in enumerate(directory.outgoing_via):
        if directory.peers[via].role != "trunk":
            said = f'"{via}" is a pbx; calls to the world go out by a peer with role trunk'
            context.warn(_item(shape, "outgoing_via", index), said)
    _check_ways({str(name): peer for name, peer in shape.peers.items()}, shape.listen, context)
    _check_sources({str(name): peer for name, peer in shape.peers.items()}, directory.peers.values(), context)


def _check_ways(shapes: Names[str, PeerShape], listen: ListenShape, context: Context) -> None:
    """Peers that would be called over UDP from an address that we do not have. TCP and TLS need none."""
    relays = any(peer.mode == "relay" for peer in shapes.values())
    ours = {":" in host for host, _ in listen.udp}
    for name, peer in shapes.items():
        if not (relays or peer.health or peer.register_) or peer.transport in ("tcp", "tls"):
            continue
        for index, address in enumerate([peer.outbound_proxy] if peer.outbound_proxy else peer.address):
            host, port = (address, None) if is_address(address) else split_port(address)
            if is_address(host):
                missing = "" if (":" in host) in ours else "IPv6 " if ":" in host else "IPv4 "
            else:  # DNS tells the family, and without a port perhaps another transport
                missing = "" if ours or (port is None and peer.transport is None) else " "
            if missing:
                kind = f"{missing}address".lstrip()
                said = f'"{name}" cannot be called over udp: "listen" has no {kind} under udp'
                context.warn(_of_peer(peer, index), f"{said}; add one, or give the peer another transport")


def _of_peer(peer: PeerShape, index: int) -> Node:
    """Where its outbound proxy or its address stands."""
    return peer.node["outbound_proxy"] if peer.outbound_proxy else _item(peer, "address", index)


def _check_sources(shapes: Names[str, PeerShape], peers: Iterable[Peer], context: Context) -> None:
    """Two peers behind one source: a packet can be only one's."""
    taken: dict[tuple[str, int | None], list[tuple[str, frozenset[int]]]] = {}
    for peer in peers:
        ports = frozenset(split_port(address)[1] or 5060 for address in peer.addresses)
        for index, source in enumerate(peer.sources or peer.addresses):
            key = _source_key(source, bool(peer.sources))
            if key is None:
                continue
            claims = taken.setdefault(key, [])
            other = next((name for name, theirs in claims if name != peer.name and theirs & ports), None)
            if other is not None:
                said = (
                    f'"{other}" claims the source {source} too; as it comes first, its packets are taken for "{other}"'
                )
                hint = "; to tell them apart give both a source with a port"
                node = _item(shapes[peer.name], "sources" if peer.sources else "address", index)
                context.warn(node, said + hint)
            claims.append((peer.name, ports))


def _source_key(source: str, with_port: bool) -> tuple[str, int | None] | None:
    """Network and port of a source; None for a name, which only the resolver knows."""
    if "/" in source:
        return str(ip_network(source)), None
    host, port = (source, None) if is_address(source) else split_port(source)
    if not is_address(host):
        return None
    return str(ip_network(ip_address(host))), port if with_port else None
