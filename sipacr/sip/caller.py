"""From a parsed INVITE to the facts that rules ask for: who calls, what was dialled, is the caller anonymous."""

from collections.abc import Mapping, Sequence

from sipacr.routing.directory import Peer
from sipacr.routing.facts import Request
from sipacr.routing.identity import ANONYMOUS_USERS, NOBODY, is_anonymous, wants_privacy
from sipacr.sip.message import Message, Parser
from sipacr.sip.plain import Plain
from sipacr.sip.scan import ASSERTED, CALL_ID, Head
from sipacr.sip.shape import Shape, Values

# Headers that are read whatever the rules name.
IDENTITY = ("p-asserted-identity", "remote-party-id", "privacy")

Kept = Mapping[str, Sequence[str]]  # lower-case header name -> values

_NOTHING: Kept = {}
_TARGETS = 256  # remembered numbers of ours


def identity(kept: Kept, message: Message, peer: Peer, parser: Parser) -> tuple[str, str]:
    """User and host of the caller: of a trusted peer P-Asserted-Identity (RFC 3325) or Remote-Party-ID, else From."""
    if peer.trusted and kept:
        for name in IDENTITY[:2]:
            for value in kept.get(name, ()):
                found = parser.address(value)
                if found is not None:
                    return found
    return message.from_user, message.from_host


def dialled(kept: Kept, message: Message, peer: Peer, parser: Parser) -> str:
    """The user part that was dialled: of the Request-URI, unless the peer says that it stands elsewhere."""
    where = peer.dialled_from
    if where == "request-uri":
        return message.user
    if where == "to":
        return parser.to_user()
    for value in kept.get(where.lower(), ()):
        found = parser.address(value)
        if found is not None:
            return found[0]
        if value.strip():
            return value.strip()
    return message.user


def facts(head: Head, message: Message, peer: Peer, parser: Parser) -> Request:
    """The facts of one INVITE. Reads the parser's buffer, so it must come before the next message is parsed."""
    kept = head.kept if any(head.values[ASSERTED:]) else _NOTHING
    target = message.user if peer.dialled_from == "request-uri" else dialled(kept, message, peer, parser)
    user, host = identity(kept, message, peer, parser) if kept else (message.from_user, message.from_host)
    anonymous = is_anonymous(user, host) or ("privacy" in kept and wants_privacy(kept))
    plan = peer.plan
    return Request(
        NOBODY if anonymous else plan.read(user),
        plan.read(target),
        peer.name,
        anonymous,
        kept,
        head.one(CALL_ID).strip().decode("utf-8", "replace"),
        message.from_tag,
        message.cseq,
    )


def plain_facts(plain: Plain, peer: Peer, call_id: str) -> Request:
    """The facts of an INVITE that the short cut has read: the same as `facts` says of it."""
    if plain.asserted is not None and peer.trusted:
        user, host = plain.asserted
    else:
        user, host = plain.from_user, plain.from_host
    anonymous = is_anonymous(user, host)
    read = peer.plan.read
    caller = NOBODY if anonymous else read(user)
    return Request(caller, read(plain.user), peer.name, anonymous, _NOTHING, call_id, plain.from_tag, plain.cseq)


def shaped_facts(shape: Shape, values: Values, peer: Peer) -> Request:
    """The facts of an INVITE of this shape: the same again."""
    target, user, _, from_tag, call_id, cseq, _, _, _, _ = values
    dialled = shape.dialled.get(target)
    if dialled is None:
        dialled = peer.plan.read(target.decode())
        if len(shape.dialled) < _TARGETS:
            shape.dialled[target] = dialled
    caller = user.decode()
    anonymous = shape.hidden or caller.lower() in ANONYMOUS_USERS
    return Request(
        NOBODY if anonymous else peer.plan.read(caller), dialled, peer.name, anonymous, _NOTHING,
        call_id.decode(), from_tag.decode(), int(cseq),
    )  # fmt: skip
