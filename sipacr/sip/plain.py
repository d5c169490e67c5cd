"""The INVITE as nearly every sender writes it, read by expressions on its raw values instead of from PJSIP's structs.

Only a short cut: what does not fit goes the long way (`message`, `gate`, `caller`), and a property test demands the
same answer of both. PJSIP judges the syntax on either way.
"""

import re
from typing import NamedTuple

from sipacr.sip.scan import Head

_USER = rb"([A-Za-z0-9+*_.-]+)@"
_HOST = rb"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?"
_PARAMETERS = rb"(?:;[A-Za-z0-9=._+-]+)*"
_NAME = rb' (?:"[^"\\\r\n]*" ?|[A-Za-z0-9._-]+ )?<sip:'

_REQUEST = re.compile(rb"INVITE sip:" + _USER + _HOST + _PARAMETERS + rb" SIP/2\.0\r").fullmatch
_SENT_BY = re.compile(rb" SIP/2\.0/[A-Z]+ ([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::([1-9]\d{0,4}))?(;rport)?").fullmatch
_BRANCH = re.compile(rb"([A-Za-z0-9._-]+)(;rport)?").fullmatch
_FROM = re.compile(_NAME + _USER + _HOST + _PARAMETERS + rb">;tag=([A-Za-z0-9._-]+)").fullmatch
_IDENTITY = re.compile(_NAME + _USER + _HOST + _PARAMETERS + rb">").fullmatch
_HOPS = frozenset(b" %d" % hops for hops in range(256))
_COOKIE = len("z9hG4bK")
_REMEMBERED = 4096  # start lines and sent-bys: few numbers of ours, few neighbours


class SentBy(NamedTuple):
    """The part of a Via that is the same for every call of a neighbour."""

    host: bytes  # without brackets
    port: int  # to which an answer goes without rport
    rport: bool


class Plain(NamedTuple):
    """What the answer and the rules need."""

    user: str  # of the Request-URI
    sent_by: SentBy
    rport: bool
    branch: str
    from_user: str
    from_host: str
    from_tag: str
    cseq: int
    asserted: tuple[str, str] | None  # user and host of P-Asserted-Identity


_users: dict[bytes, str | None] = {}
_sent_bys: dict[bytes, SentBy | None] = {}


def read(head: Head) -> Plain | None:
    """Read an INVITE of the common form; None where the long way has to look at it."""
    line = head.text[: head.text.find(b"\n")]
    user = _users.get(line) or _user(line)
    values = head.values
    (_, via, from_, to, call_id, cseq, record_route, _, content_type, hops, require, asserted, *kept) = values
    if user is None or record_route is not None or require is not None or (head.body and content_type is None):
        return None
    if type(via) is not bytes or hops not in _HOPS or kept.count(None) < len(kept):
        return None
    if not (type(from_) is type(to) is type(cseq) is type(call_id) is bytes):
        return None
    identity = None
    if asserted is not None:
        identity = _IDENTITY(asserted) if type(asserted) is bytes else None
        if identity is None:
            return None
    before, _, after = via.partition(b";branch=")
    sent_by = _sent_bys.get(before) or _sent_by(before)
    caller, branch, number = _FROM(from_), _BRANCH(after), cseq[1:-7]
    if sent_by is None or caller is None or branch is None or len(branch[1]) == _COOKIE:
        return None
    if not (to.endswith(b">") and cseq[:1] == b" " and cseq.endswith(b" INVITE") and number.isdigit()):
        return None
    if len(number) > 9:
        return None
    who, host, tag = caller.groups()
    return Plain(
        user, sent_by, sent_by.rport or branch[2] is not None, branch[1].decode(), who.decode(),
        host.decode().strip("[]"), tag.decode(), int(number),
        (identity[1].decode(), identity[2].decode().strip("[]")) if identity else None,
    )  # fmt: skip


def _user(line: bytes) -> str | None:
    found = _REQUEST(line)
    user = found and found[1].decode()
    if len(_users) < _REMEMBERED:
        _users[line] = user
    return user


def _sent_by(before: bytes) -> SentBy | None:
    found = _SENT_BY(before)
    sent_by = None
    if found and int(found[2] or 5060) < 65536:
        sent_by = SentBy(found[1].strip(b"[]"), int(found[2] or 5060), found[3] is not None)
    if len(_sent_bys) < _REMEMBERED:
        _sent_bys[before] = sent_by
    return sent_by
