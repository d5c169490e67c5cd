"""Who calls, as far as it is a matter of words: which user parts and headers hide a caller, and what an address says.

For golden calls and the command line, where nothing was received; on the wire PJSIP's parser takes addresses apart.
"""

import re
from collections.abc import Mapping, Sequence
from urllib.parse import unquote

from sipacr.routing.directory import Directory
from sipacr.routing.facts import Number, Request

ANONYMOUS_USERS = frozenset({"", "anonymous", "unavailable", "restricted", "unknown"})
NOBODY = Number("", "", None)
_IDENTITY = ("p-asserted-identity", "remote-party-id")
_URI = re.compile(r"(?:sips?|tel):(?P<user>[^@>;\s]*)(?:@(?P<host>[^>;:\s]*))?", re.IGNORECASE)


def is_anonymous(user: str, host: str) -> bool:
    """RFC 3323 4.1.1.3 and the ways in which trunks spell it; the display name says nothing."""
    return user.lower() in ANONYMOUS_USERS or host.lower() == "anonymous.invalid"


def wants_privacy(headers: Mapping[str, Sequence[str]]) -> bool:
    """Whether Privacy asks to hide the caller (RFC 3323 4.2, RFC 3325 9.3): `id` or `user`, from anyone."""
    for value in headers.get("privacy", ()):
        if {part.strip().lower() for part in value.replace(",", ";").split(";")} & {"id", "user"}:
            return True
    return False


def address(text: str) -> tuple[str, str]:
    """User and host of `101`, `101@host`, or an address with a URI such as `"A" <sip:101@host>;party=calling`."""
    found = _URI.search(text)
    if found is not None:
        return unquote(found["user"]), found["host"] or ""
    user, _, host = text.partition("@")
    return user.strip(), host.strip()


def make_request(
    directory: Directory,
    caller: str,
    dialled: str,
    peer: str,
    headers: Mapping[str, Sequence[str]],
    call_id: str = "",
) -> Request:
    """The facts of a call that nobody sent, read as those of one that `peer` sent. `headers`: names in lower case."""
    asking = directory.peers.get(peer)
    user, host = address(caller)
    if asking is not None and asking.trusted:
        asserted = [value for name in _IDENTITY for value in headers.get(name, ())]
        if asserted:
            user, host = address(asserted[0])
    anonymous = is_anonymous(user, host) or wants_privacy(headers)
    plan = asking.plan if asking is not None else directory.plan
    return Request(
        caller=NOBODY if anonymous else plan.read(user),
        dialled=plan.read(address(dialled)[0]),
        peer=peer,
        anonymous=anonymous,
        headers=headers,
        call_id=call_id,
    )
