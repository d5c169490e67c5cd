"""SIP addresses taken apart, and written anew with our host and in the number format of the side they go to."""

import re
from collections.abc import Collection
from urllib.parse import quote, unquote

from sipacr.calls.message import parameters
from sipacr.calls.passage import Passage
from sipacr.routing.facts import Number
from sipacr.routing.targets import as_sent

ANONYMOUS = "sip:anonymous@anonymous.invalid"  # RFC 3323 4.1.1.3

_UNRESERVED = "-_.!~*'()&=+$,;?/"  # what may stand in a user part beside letters and digits (RFC 3261 25.1)
_PLAIN = re.compile(r"[A-Za-z0-9+*._-]+").fullmatch
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_VERSTAT = re.compile(r";verstat=[A-Za-z0-9-]+", re.IGNORECASE)


def user_and_host(uri: str) -> tuple[str, str] | None:
    """The user part, unescaped and without password, and all behind the "@". Of a tel URI the number with its
    parameters, and no host. None for any other scheme."""
    scheme, _, rest = uri.partition(":")
    scheme = scheme.strip().lower()
    if scheme in ("sip", "sips"):
        user, at, host = rest.partition("@")
        if not at:
            return "", rest
        user = user.partition(":")[0]
    elif scheme == "tel":
        user, host = rest.partition("?")[0], ""
    else:
        return None
    return (unquote(user, errors="surrogateescape") if "%" in user else user), host


def escaped(user: str) -> str:
    """A user part as it may stand in a URI (RFC 3261 25.1)."""
    return user if _PLAIN(user) else quote(user, safe=_UNRESERVED, errors="surrogateescape")


def sip_uri(user: str, host: str) -> str:
    """The URI of a user part, not escaped yet, at `host[:port]`; without a user the host alone."""
    return f"sip:{escaped(user)}@{host}" if user else f"sip:{host}"


def number_uri(number: Number, passage: Passage, *, phone: bool = False) -> str:
    """The URI of a number in the target's format at our host. `phone`: the other side said `user=phone`."""
    uri = sip_uri(as_sent(number, passage.target), passage.local_host)
    if number.e164 is None:
        return uri
    if passage.source.trusted and ";" in number.raw and (found := _VERSTAT.search(number.raw)):
        uri = uri.replace("@", found[0] + "@", 1)  # whether the caller's number was verified (TS 24.229 7.2A.20)
    return f"{uri};user=phone" if phone else uri


def readdressed(uri: str, passage: Passage) -> str:
    """The URI for the target's side: its user in the target's format at our host. No parameter, no header and no
    password passes. "" if it is neither sip, sips nor tel."""
    parts = user_and_host(uri)
    if parts is None:
        return ""
    user, host = parts
    if host[:17].lower() == "anonymous.invalid":
        return ANONYMOUS
    if not user:
        return sip_uri("", passage.local_host)
    return number_uri(passage.source.plan.read(user), passage, phone=is_phone(uri))


def is_phone(uri: str) -> bool:
    """Whether the URI says that its user part is a telephone number (RFC 3261 19.1.1)."""
    return ";user=phone" in uri or uri[:4].lower() == "tel:"


def kept_parameters(value: str, names: Collection[str]) -> str:
    """Of the header parameters behind an address those with these names, as they can be written behind another."""
    kept = [(name, text) for name, text in parameters(value).items() if name in names]
    return "".join(f";{name}={text}" if text else f";{name}" for name, text in kept)


def address(display: str, uri: str) -> str:
    """An address in angle brackets. `display` as it stands in a message, quotes included; "" for none."""
    return f"{display} <{uri}>" if display else f"<{uri}>"


def quoted(text: str) -> str:
    """Any text as a display name (quoted-string, RFC 3261 25.1)."""
    return '"' + one_line(text).replace("\\", "\\\\").replace('"', '\\"') + '"'


def one_line(text: str) -> str:
    """The text with spaces for control characters: nobody who names a thing can write a header of his own."""
    return text if text.isprintable() else _CONTROL.sub(" ", text)


def has_control(text: str) -> bool:
    """Whether a control character other than the tabulator stands in it: no value with such a one is passed on."""
    return not text.isprintable() and _CONTROL.search(text) is not None
