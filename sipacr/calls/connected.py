"""Whom a PBX names at its end of a call: the connected identity (RFC 3325, RFC 5876)."""

from typing import NamedTuple

from sipacr.calls.addresses import user_and_host
from sipacr.calls.message import Message, display_of, uri_of
from sipacr.routing.directory import Peer
from sipacr.routing.facts import Number

_ASSERTED, _PARTY = "P-Asserted-Identity", "Remote-Party-ID"


class Named(NamedTuple):
    """Who is said to be there."""

    number: Number
    name: str  # the display name without its quotes


def named(message: Message, peer: Peer) -> Named | None:
    """Who is at the peer's end by this message of its; None: it does not say, or is not to be believed.

    The header that the peer's `identity` names counts before the other one.
    """
    if not peer.trusted:
        return None
    for header in (_PARTY, _ASSERTED) if peer.identity == "rpid" else (_ASSERTED, _PARTY):
        for value in message.values(header):
            parts = user_and_host(uri_of(value))
            if parts is not None and parts[0]:
                return Named(peer.plan.read(parts[0].partition(";")[0]), display_of(value).strip().strip('"'))
    return None
