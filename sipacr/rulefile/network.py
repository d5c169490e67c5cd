"""Hosts, ports, sources and `user@peer`, as they are written in both kinds of file."""

import re
from dataclasses import replace
from ipaddress import IPv6Address, ip_network
from typing import Annotated

from pydantic import PlainValidator, ValidationInfo, WithJsonSchema

from sipacr.routing.directory import Destination, is_address
from sipacr.rulefile.problems import suggestion
from sipacr.rulefile.shape import Context, context_of, read_flag, read_line, read_name
from sipacr.rulefile.yamltree import Mapping, Node, Text

_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_NUMERIC = re.compile(r"[0-9.]+")
_TOKEN = re.compile(r"[A-Za-z0-9.!%*_+`'~-]+")  # RFC 3261, section 25.1
_NO_USER = re.compile(r"[\s@<>\"]")


def split_port(text: str) -> tuple[str, int | None]:
    """ "host", "host:port", "[v6]" or "[v6]:port" -> the host without brackets, checked, and the port if there is one.

    Raises ValueError, saying what is wrong.
    """
    if text.lower().startswith(("sip:", "sips:")):
        raise ValueError(f'"{text}" is a URI; write the host alone, with its port: 10.0.0.5:5060')
    if text.startswith("["):
        host, closed, rest = text[1:].partition("]")
        if not closed or not (rest == "" or rest.startswith(":")):
            raise ValueError(f'"{text}" is no address; an IPv6 address with a port is written "[2001:db8::1]:5060"')
        _check_ipv6(host)
        return host, _port(rest[1:], text) if rest else None
    if text.count(":") > 1:
        raise ValueError(f'"{text}" has too many colons; an IPv6 address stands in brackets: "[2001:db8::1]:5060"')
    host, colon, port = text.partition(":")
    _check_host(host, text)
    return host, _port(port, text) if colon else None


def _check_ipv6(host: str) -> None:
    try:
        IPv6Address(host)
    except ValueError:
        raise ValueError(f'"{host}" in brackets is no IPv6 address') from None


def _check_host(host: str, text: str) -> None:
    if _NUMERIC.fullmatch(host):
        if not is_address(host):
            raise ValueError(f'"{host}" is no IPv4 address: four numbers from 0 to 255')
        return
    name = host.removesuffix(".")
    if not name or len(name) > 253 or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise ValueError(f'"{text}" is neither an address nor a host name; write it like 10.0.0.5:5060')


def _port(text: str, whole: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= 65535):
        raise ValueError(f'"{whole}" has no valid port: a number from 1 to 65535')
    return int(text)


def read_endpoint(node: Node) -> str:
    """host or host:port, as it was written."""
    text = read_line(node)
    split_port(text)
    return str(text)


def read_host(node: Node) -> str:
    """A host alone, an IPv6 address without its brackets."""
    text = read_line(node)
    if IPv6_BARE.fullmatch(text) and is_address(text):
        return str(text)
    host, port = split_port(text)
    if port is not None:
        raise ValueError(f'"{text}" has a port; write the host alone: {host}')
    return host


IPv6_BARE = re.compile(r"[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")


def read_listen(node: Node) -> tuple[str, int | None]:
    """An address of this machine and the port, None if it was not written."""
    text = read_line(node)
    if text.isdigit():
        raise ValueError(f'"{text}" is a port without an address; did you mean "0.0.0.0:{text}"?')
    host, port = split_port(text)
    if not is_address(host):
        raise ValueError(f'"{text}" is no IP address of this machine; to listen on all of them write "0.0.0.0:5060"')
    return host, port


def read_source(node: Node) -> str:
    """An address, a network or a host name, with an optional port: who a packet comes from."""
    text = read_line(node)
    if "/" in text:
        network, _, length = text.partition("/")
        if ":" in length or network.startswith("["):
            raise ValueError(f'"{text}": a network has neither a port nor brackets; write it like 198.51.100.0/24')
        try:
            ip_network(text)
        except ValueError:
            raise ValueError(_network_hint(text)) from None
        return str(text)
    if IPv6_BARE.fullmatch(text) and is_address(text):
        return str(text)
    split_port(text)
    return str(text)


def _network_hint(text: str) -> str:
    try:
        return f'"{text}" is an address within a network; did you mean "{ip_network(text, strict=False)}"?'
    except ValueError:
        return f'"{text}" is no network; write it like 198.51.100.0/24 or 2001:db8:1::/64'


def read_uri_user(node: Node) -> str:
    """The user part of a SIP URI."""
    text = read_line(node)
    if _NO_USER.search(text):
        raise ValueError(f'"{text}" is no user part: it has neither a space nor one of @ < > "')
    return str(text)


def read_header_name(node: Node) -> str:
    """A SIP header's name as it was written."""
    text = read_line(node)
    if not _TOKEN.fullmatch(text):
        raise ValueError(f'"{text}" is no name of a SIP header')
    return str(text)


def destination(text: str, context: Context) -> Destination:
    """user@peer. Raises ValueError, saying what is wrong."""
    user, at, peer = text.rpartition("@")
    if not at:
        raise ValueError(f'"{text}" has no peer; write it like "600@pbx"')
    if not user or _NO_USER.search(user):
        raise ValueError(f'"{text}" has no valid user part before the @; write it like "600@{peer or "pbx"}"')
    known = context.names.get("peer")
    if known is not None and peer not in known:
        hint = suggestion(peer, known) or (f"; the peers are {', '.join(known)}" if known else "")
        raise ValueError(f'unknown peer "{peer}" in "{text}"{hint}')
    return Destination(user, peer)


def read_destination(node: Node, info: ValidationInfo) -> Destination:
    """user@peer, or with what is to be known of it: {to: user@peer, voicemail: true}."""
    context = context_of(info)
    if not isinstance(node, Mapping):
        return destination(read_line(node), context)
    for key in node.names():
        if key not in ("to", "voicemail"):
            context.error(key, f'"{key}" is no key of a destination; there are to and voicemail')
    if "to" not in node:
        raise ValueError('a destination needs "to", such as {to: "*98@pbx", voicemail: true}')
    is_box = "voicemail" in node and read_flag(node["voicemail"])
    return replace(destination(read_line(node["to"]), context), voicemail=is_box)


def read_peer_name(node: Node) -> Text:
    name = read_name(node)
    if "@" in name or " " in name:
        raise ValueError(f'the name of a peer stands in user@peer, so it has no space and no @: "{name}"')
    return name


def read_destination_name(node: Node) -> Text:
    name = read_name(node)
    if "@" in name or ":" in name:
        raise ValueError(f'the name of a destination has no @ and no colon, which mean an address: "{name}"')
    return name


_STRING = WithJsonSchema({"type": "string"})
Endpoint = Annotated[str, PlainValidator(read_endpoint), _STRING]
Host = Annotated[str, PlainValidator(read_host), _STRING]
ListenAddress = Annotated[tuple[str, int | None], PlainValidator(read_listen), _STRING]
Source = Annotated[str, PlainValidator(read_source), _STRING]
UriUser = Annotated[str, PlainValidator(read_uri_user), WithJsonSchema({"type": ["string", "integer"]})]
HeaderName = Annotated[str, PlainValidator(read_header_name), _STRING]
_ADDRESS = {"type": "string", "pattern": "^.+@.+$"}
_DESTINATION = {
    "type": "object",
    "properties": {"to": _ADDRESS, "voicemail": {"type": "boolean"}},
    "required": ["to"],
    "additionalProperties": False,
}
DestinationText = Annotated[
    Destination, PlainValidator(read_destination), WithJsonSchema({"anyOf": [_ADDRESS, _DESTINATION]})
]
PeerKey = Annotated[Text, PlainValidator(read_peer_name), _STRING]
DestinationKey = Annotated[Text, PlainValidator(read_destination_name), _STRING]
