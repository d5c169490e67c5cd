"""What passes from one side of a call to the other, what is rewritten, and what never passes.

Each table is read once a header: a small function by the header's name. What no table names is unknown to us and passes
as it is (RFC 3261 16.6 asks no less), but for the private headers of networks and our own.
"""

import re
from collections.abc import Callable

from sipacr.calls import identity_headers
from sipacr.calls.addresses import address, has_control, one_line, readdressed
from sipacr.calls.message import Headers, Message, display_of, parameters, split, uri_of, without
from sipacr.calls.passage import Invitation, Passage

RULE = "X-Sipacr-Rule"
STAMP = "X-Sipacr-Seen"
METHODS = frozenset(
    {"INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "PRACK", "UPDATE", "INFO", "MESSAGE", "REFER", "NOTIFY"}
)

Rewrite = Callable[[str, Passage], str]  # the value for the other side; "" if the header is not to pass

_EVENTS = ("refer",)  # event packages whose NOTIFY is relayed
_PRIVATE = ("x-sipacr", "p-")  # our own; and those of a network for itself (RFC 3427)
_TOKEN = re.compile(r"[A-Za-z0-9.!%*_+`'~-]+").fullmatch
_WARNING = re.compile(r'(\d{3})\s+\S+\s+"((?:[^"\\]|\\.)*)"')
# A text that names hosts, addresses or processes.
_TELLTALE = re.compile(r"[\w-]\.[\w-]|[0-9A-Fa-f]*:[0-9A-Fa-f]*:|=|@|localhost", re.IGNORECASE)


def never(value: str, passage: Passage) -> str:
    """It belongs to one side, or to one hop."""
    return ""


def untouched(value: str, passage: Passage) -> str:
    """It means the same on both sides."""
    return value


def named_options(value: str, passage: Passage) -> str:
    """Option tags that mean the same on both sides."""
    return ", ".join([tag for part in value.split(",") if (tag := part.strip()).lower() in passage.options])


def required_by_answer(value: str, passage: Passage) -> str:
    """The same of a response, where 100rel is a matter of one leg: its RSeq is not the other's (RFC 3262); and so is
    timer, which depends on what the asking side knows (RFC 4028)."""
    passed = passage.options - {"100rel", "timer"}
    return ", ".join([tag for part in value.split(",") if (tag := part.strip()).lower() in passed])


def relayed_methods(value: str, passage: Passage) -> str:
    """Methods that we relay (RFC 3261 20.5)."""
    return ", ".join([method for part in value.split(",") if (method := part.strip()) in METHODS])


def relayed_events(value: str, passage: Passage) -> str:
    """Event packages whose notifications we relay (RFC 6665 8.2.2)."""
    return ", ".join([part for part in split(value) if part.lower() in _EVENTS])


def without_place(value: str, passage: Passage) -> str:
    """References to sounds, pictures and pages: names pass, addresses do not (`urn:alert:...` does)."""
    return ", ".join([part for part in split(value) if uri_of(part)[:4].lower() == "urn:"])


def at_our_host(value: str, passage: Passage) -> str:
    """The address of somebody on the source's side, who is reached through us. What its URI carries (the Replaces of a
    Refer-To) names calls of that side: who passes a REFER on writes it anew."""
    uri = readdressed(uri_of(value), passage)
    return address(display_of(value), uri) if uri else ""


def without_agent(value: str, passage: Passage) -> str:
    """Warning (RFC 3261 20.43) in our name; a text that tells of machines is left out."""
    warnings = []
    for part in split(value):
        found = _WARNING.fullmatch(part)
        if found is not None:
            text = "Warning" if _TELLTALE.search(found[2]) else found[2]
            warnings.append(f'{found[1]} {passage.local_host} "{text}"')
    return ", ".join(warnings)


def without_telltale(value: str, passage: Passage) -> str:
    """Reason (RFC 3326): the cause, and its text unless that tells of machines."""
    if "text" not in value.lower():
        return value
    kept = []
    for part in split(value):
        told = parameters(part)
        if _TELLTALE.search(told.get("text", "")):
            del told["text"]
        kept.append(";".join([part.partition(";")[0], *(f"{name}={text}" for name, text in told.items())]))
    return ", ".join(kept)


def among_trusted(value: str, passage: Passage) -> str:
    """What only sides that trust each other tell each other (RFC 5009)."""
    return value if passage.source.trusted and passage.target.trusted else ""


# fmt: off
_BOTH: tuple[tuple[Rewrite, str], ...] = (
    # The leg writes its own.
    (never, "Via From To Call-ID CSeq Contact Max-Forwards Route Record-Route Content-Length"),
    (never, "RSeq RAck Timestamp Max-Breadth Session-Expires Min-SE"),
    # Dialogs have other names on the other side.
    (never, "Replaces Join Target-Dialog In-Reply-To"),
    # One hop's, or one account's.
    (never, "Path Service-Route Proxy-Require Authorization Authentication-Info Proxy-Authorization"),
    (never, "Proxy-Authenticate Proxy-Authentication-Info WWW-Authenticate Security-Client Security-Server"),
    (never, "Security-Verify Flow-Timer SIP-ETag SIP-If-Match Answer-Mode Priv-Answer-Mode"),
    # Who made the software, and what a network tells itself of a call.
    (never, "User-Agent Server Additional-Identity Cellular-Network-Info Response-Source CC-Diversion CC-Redirect"),
    # `identity_headers` writes these.
    (never, "P-Asserted-Identity P-Preferred-Identity Remote-Party-ID RPID-Privacy Privacy"),
    (identity_headers.passed_diversion, "Diversion"),
    (identity_headers.passed_history, "History-Info"),
    (at_our_host, "Referred-By Refer-To Reply-To"),
    (without_place, "Alert-Info Call-Info Error-Info"),
    (without_agent, "Warning"),
    (without_telltale, "Reason"),
    (named_options, "Supported Require"),
    (relayed_methods, "Allow"),
    (relayed_events, "Allow-Events"),
    (among_trusted, "P-Early-Media"),
    (untouched, "Identity Identity-Info Geolocation Geolocation-Routing Geolocation-Error Date"),
    (untouched, "Content-Type Content-Disposition Content-Encoding Content-Language MIME-Version"),
    (untouched, "Accept Accept-Encoding Accept-Language Event Subscription-State Expires Min-Expires Refer-Sub"),
    (untouched, "Subject Organization Priority Unsupported Info-Package Recv-Info Session-ID User-to-User"),
    (untouched, "Accept-Contact Reject-Contact Request-Disposition Resource-Priority Accept-Resource-Priority"),
    (untouched, "Retry-After"),
)
# fmt: on


def _table(*rows: tuple[Rewrite, str]) -> dict[str, Rewrite]:
    return {name: rewrite for rewrite, names in rows for name in names.split()}


_REQUEST = _table(*_BOTH)
_RESPONSE = _table(*_BOTH, (required_by_answer, "Require"))
_LOWER = {name.lower(): rewrite for name, rewrite in _REQUEST.items()}


def initial_request(message: Message, invitation: Invitation) -> Headers:
    """The headers of a new leg's INVITE, body headers included, but for those that the leg writes itself."""
    passage = invitation.passage
    headers = _passed(message, _REQUEST, passage)
    wished = identity_headers.wishes(message, passage)
    if wished:
        headers = without(headers, identity_headers.hidden_names(wished, passage, invitation))
        headers += identity_headers.privacy(wished, passage, invitation)
    return _with_step_headers(
        [
            *identity_headers.diversion(invitation),  # the newest first
            *headers,
            *identity_headers.history(message, invitation),  # the newest last
            *identity_headers.assertion(message, passage, invitation),
            *_rule_name(invitation),
            *_stamp(invitation),
        ],
        invitation,
    )


def in_dialog(message: Message, passage: Passage) -> Headers:
    """The headers of a request inside a call: re-INVITE, ACK, UPDATE, INFO, MESSAGE, REFER, NOTIFY, OPTIONS, BYE."""
    return _with_identity(message, _REQUEST, passage)


def response(message: Message, passage: Passage) -> Headers:
    """The headers of a provisional or final response that is passed on. The Retry-After of a 503 says when the server
    of *that* side is back, so it stays there (RFC 3261 16.7)."""
    headers = _with_identity(message, _RESPONSE, passage)
    return without(headers, ("Retry-After",)) if message.code == 503 else headers


def body(message: Message) -> bytes:
    """The body for the other side. Of a sipfrag (RFC 3420) the start line alone: its headers are of one side."""
    if message.body and "sipfrag" in (message.get("Content-Type") or "").lower():
        return message.body.splitlines()[0] + b"\r\n"
    return message.body


def _passed(message: Message, table: dict[str, Rewrite], passage: Passage) -> Headers:
    passed: Headers = []
    for name, value in message.headers:
        rewrite = table.get(name) or _unknown(name)
        if rewrite is never:
            continue
        written = rewrite(value, passage)
        if written and (written.isprintable() or not has_control(written)):
            passed.append((name, written))
    return passed


def _unknown(name: str) -> Rewrite:
    """What becomes of a header that is spelled in another way, or that we know nothing of."""
    lower = name.lower()
    known = _LOWER.get(lower)
    if known is not None:
        return known
    return never if lower.startswith(_PRIVATE) or not _TOKEN(name) else untouched


def _with_identity(message: Message, table: dict[str, Rewrite], passage: Passage) -> Headers:
    headers = _passed(message, table, passage)
    wished = identity_headers.wishes(message, passage)
    if wished:
        headers = without(headers, identity_headers.hidden_names(wished, passage))
        headers += identity_headers.privacy(wished, passage)
    return headers + identity_headers.assertion(message, passage)


def _rule_name(invitation: Invitation) -> Headers:
    """The names of the rules, for peers that may know them."""
    return [(RULE, one_line(invitation.rule))] if invitation.rule and invitation.passage.target.rule_header else []


def _stamp(invitation: Invitation) -> Headers:
    """By which we know a call again that a PBX sends back."""
    return [(STAMP, one_line(invitation.stamp))] if invitation.stamp and invitation.passage.target.role == "pbx" else []


def _with_step_headers(headers: Headers, invitation: Invitation) -> Headers:
    """What the step sets takes the place of what the caller's side sent."""
    if invitation.step is None or not invitation.step.headers:
        return headers
    names = {name.lower() for name, _ in invitation.step.headers}
    kept = [each for each in headers if each[0].lower() not in names]
    return kept + [(name, one_line(value)) for name, value in invitation.step.headers]
