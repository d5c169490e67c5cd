"""The INVITE as nearly every sender writes it, read by expressions on its raw values instead of from PJSIP's structs.

Only a short cut: what does not fit goes the long way (`message`, `gate`, `caller`), and a property test demands the same
answer of both. PJSIP judges the syntax on either way.
"""

import re
from typing import NamedTuple

from sipacr.sip.scan import (
    ASSERTED,
    CALL_ID,
    CONTENT_TYPE,
    CSEQ,
    FROM,
    MAX_FORWARDS,
    RECORD_ROUTE,
    REQUIRE,
    TO,
    VIA,
    Head,
)

_USER = rb"([A-Za-z0-9+*_.-]+)@"
_HOST = rb"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?"
_PARAMETERS = rb"(?:;[A-Za-z0-9=._+-]+)*"
_NAME = rb' (?:"[^"\\\r\n]*" ?|[A-Za-z0-9._-]+ )?<sip:'

_REQUEST = re.compile(rb"INVITE sip:" + _USER + _HOST + _PARAMETERS + rb" SIP/2\.0\r\n").match
_VIA = re.compile(
    rb" SIP/2\.0/[A-Z]+ ([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::([1-9]\d{0,4}))?(;rport)?;branch=([A-Za-z0-9._-]+)(;rport)?"
).fullmatch
_FROM = re.compile(_NAME + _USER + _HOST + _PARAMETERS + rb">;tag=([A-Za-z0-9._-]+)").fullmatch
_TO = re.compile(_NAME + rb"[A-Za-z0-9+*_.:\[\]@;=-]+>").fullmatch
_CALL_ID = re.compile(rb" [A-Za-z0-9._@+-]+").fullmatch
_CSEQ = re.compile(rb" (\d{1,9}) INVITE").fullmatch
_HOPS = re.compile(rb" \d{1,2}").fullmatch
_IDENTITY = re.compile(_NAME + _USER + _HOST + _PARAMETERS + rb">").fullmatch
_COOKIE = len("z9hG4bK")


class Plain(NamedTuple):
    """What the answer and the rules need."""

    user: str  # of the Request-URI
    via_host: bytes
    via_port: int  # to which an answer goes without rport
    rport: bool
    branch: str
    from_user: str
    from_host: str
    from_tag: str
    cseq: int
    asserted: tuple[str, str] | None  # user and host of P-Asserted-Identity


def read(head: Head) -> Plain | None:
    """Read an INVITE of the common form; None where the long way has to look at it."""
    request = _REQUEST(head.text)
    if request is None:
        return None
    values = head.values
    if values[RECORD_ROUTE] is not None or values[REQUIRE] is not None or any(values[ASSERTED + 1 :]):
        return None
    if head.body and values[CONTENT_TYPE] is None:
        return None
    try:  # a value that is None (no such header) or a list (several) is none of the common form
        via, from_, cseq = _VIA(values[VIA]), _FROM(values[FROM]), _CSEQ(values[CSEQ])  # type: ignore[arg-type]
        rest = _TO(values[TO]) and _CALL_ID(values[CALL_ID]) and _HOPS(values[MAX_FORWARDS])  # type: ignore[arg-type]
        identity = values[ASSERTED] and _IDENTITY(values[ASSERTED])  # type: ignore[arg-type]
    except TypeError:
        return None
    if not (via and from_ and cseq and rest) or (values[ASSERTED] and not identity):
        return None
    via_host, port, rport, branch, rport_last = via.groups()
    via_port = int(port or 5060)
    if len(branch) == _COOKIE or via_port > 65535:
        return None
    user, host, tag = from_.groups()
    return Plain(
        request[1].decode(), via_host, via_port, bool(rport or rport_last), branch.decode(), user.decode(),
        host.decode().strip("[]"), tag.decode(), int(cseq[1]),
        (identity[1].decode(), identity[2].decode().strip("[]")) if identity else None,
    )  # fmt: skip
