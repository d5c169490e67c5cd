"""Who calls, as each peer is told: From, P-Asserted-Identity or Remote-Party-ID, Privacy, and by whom it was forwarded.

From is the number that the caller wishes to show. What a trusted side asserts (RFC 3325) reaches trusted sides only.
"""

import re
from typing import NamedTuple

from sipacr.calls.addresses import (
    ANONYMOUS,
    address,
    is_phone,
    kept_parameters,
    number_uri,
    quoted,
    readdressed,
    sip_uri,
    user_and_host,
)
from sipacr.calls.message import Headers, Message, display_of, parameters, split, uri_of
from sipacr.calls.passage import Invitation, Passage
from sipacr.routing.facts import Number
from sipacr.routing.identity import is_anonymous
from sipacr.routing.ruleset import Outcome

_NOBODY = '"Anonymous"'
_ASSERTIONS = ("P-Asserted-Identity", "Remote-Party-ID", "P-Preferred-Identity")  # the first one found counts
_HIDING = frozenset({"id", "user"})
_SERVED = frozenset({"user", "header"})  # what we have done for an untrusted target, so it need not (RFC 3323 5)
_DIVERTED: dict[Outcome, str] = {  # RFC 5806 4.1
    "busy": "user-busy",
    "no_answer": "no-answer",
    "unavailable": "unavailable",
    "unreachable": "unavailable",
    "declined": "deflection",
}
_CAUSES: dict[Outcome, int] = {"busy": 486, "no_answer": 408, "unavailable": 503, "unreachable": 503, "declined": 480}
_UNCONDITIONAL = 302  # RFC 4458
# What tells of the caller or of who forwarded him, and which wish takes it from an untrusted target (RFC 3323 5.3,
# RFC 7044 10.1). The signature of Identity covers the very number that is hidden.
_TELLING = {
    "id": ("Identity", "Identity-Info"),
    "user": ("Identity", "Identity-Info", "Subject", "Organization", "Reply-To", "Call-Info"),
    "history": ("History-Info", "Diversion"),
    "header": ("History-Info", "Diversion"),
}


class Caller(NamedTuple):
    """One identity: the display name as it was written, the number, and whether its URI said `user=phone`."""

    display: str
    number: Number
    phone: bool = False


def from_value(message: Message, invitation: Invitation) -> str:
    """From of the new leg's INVITE, without tag."""
    passage = invitation.passage
    caller = _shown(message, invitation)
    whispered = _whispered(invitation)
    if caller is None:
        return address(whispered or _NOBODY, ANONYMOUS)
    return address(whispered or caller.display, number_uri(caller.number, passage, phone=caller.phone))


def to_value(invitation: Invitation) -> str:
    """To of the new leg's INVITE: the address that its Request-URI names (RFC 3261 8.1.1.2)."""
    return f"<{sip_uri(invitation.user, invitation.target_host)}>"


def assertion(message: Message, passage: Passage, invitation: Invitation | None = None) -> Headers:
    """P-Asserted-Identity or Remote-Party-ID for a trusted target that reads it: of the caller with an `invitation`,
    else of whoever is at the source's end now (RFC 3325, RFC 5876).

    A trusted source that asserts nothing is believed its From; P-Preferred-Identity becomes an assertion here.
    """
    target = passage.target
    if not target.trusted or target.identity == "from":
        return []
    caller = _of_rule(invitation)
    hidden = False
    if caller is None and passage.source.trusted:
        hidden = not _HIDING.isdisjoint(wishes(message, passage))
        caller = _asserted(message, passage)
        if caller is None and invitation is not None:
            caller = _read(message.get("From") or "", passage)
    if caller is None:
        return []
    whispered = _whispered(invitation) if invitation is not None else ""
    value = address(whispered or caller.display, number_uri(caller.number, passage, phone=caller.phone))
    if target.identity == "pai":
        return [("P-Asserted-Identity", value)]
    party = "calling" if message.method == "INVITE" and invitation is not None else "called"
    return [("Remote-Party-ID", f"{value};party={party};screen=yes;privacy={'full' if hidden else 'off'}")]


def privacy(wished: list[str], passage: Passage, invitation: Invitation | None = None) -> Headers:
    """Privacy of a caller with these wishes, as it goes on: without what we have done already for an untrusted target
    (RFC 3323 5), and without the wish to be hidden where a rule shows another number."""
    left = wished
    if _of_rule(invitation) is not None:
        left = [wish for wish in left if wish not in _HIDING]
    if not passage.target.trusted and not (invitation is not None and invitation.emergency):
        left = [wish for wish in left if wish not in _SERVED]
    return [("Privacy", ";".join(left))] if left and left != ["critical"] else []


def hidden_names(wished: list[str], passage: Passage, invitation: Invitation | None = None) -> frozenset[str]:
    """Names of the headers that the caller's wishes keep from this target."""
    if passage.target.trusted or (invitation is not None and invitation.emergency):
        return frozenset()
    return frozenset(name for wish in wished for name in _TELLING.get(wish, ()))


def wishes(message: Message, passage: Passage) -> list[str]:
    """The values of Privacy in lower case, whoever sent them; "id" too where a trusted Remote-Party-ID hides."""
    found: list[str] = []
    for name, value in message.headers:
        if name == "Privacy":
            found += [wish for part in value.lower().replace(",", ";").split(";") if (wish := part.strip())]
        elif name == "Remote-Party-ID" and passage.source.trusted and parameters(value).get("privacy") in _RPID_HIDES:
            found.append("id")
    return list(dict.fromkeys(found)) if len(found) > 1 else found


_RPID_HIDES = frozenset({"full", "uri", '"full"', '"uri"'})


def diversion(invitation: Invitation) -> Headers:
    """Diversion for a forward: the dialled number sent the call on (RFC 5806). It goes above older ones."""
    if not invitation.is_forward or invitation.forward_by == "history-info":
        return []
    reason = _DIVERTED.get(invitation.after, "unknown") if invitation.after else "unconditional"
    return [("Diversion", f"<{number_uri(invitation.dialled, invitation.passage)}>;reason={reason};counter=1")]


def history(message: Message, invitation: Invitation) -> Headers:
    """History-Info for a forward (RFC 7044), below what the caller's side tells."""
    if not invitation.is_forward or invitation.forward_by == "diversion":
        return []
    entries = message.values("History-Info")
    index = parameters(entries[-1]).get("index", "1") if entries else "1"
    cause = _CAUSES.get(invitation.after, _UNCONDITIONAL) if invitation.after else _UNCONDITIONAL
    first = [] if entries else [f"<{number_uri(invitation.dialled, invitation.passage)}>;index=1"]
    target = f"<{sip_uri(invitation.user, invitation.target_host)};cause={cause}>;index={index}.1;mp={index}"
    return [("History-Info", value) for value in (*first, target)]


def passed_diversion(value: str, passage: Passage) -> str:
    """Diversion from the source's side; whoever asked not to be named is not named to an untrusted target."""
    passed = []
    for entry in split(value):
        uri = readdressed(uri_of(entry), passage)
        private = parameters(entry).get("privacy", "off").strip('"').lower() != "off"
        if uri and not (private and not passage.target.trusted):
            passed.append(f"<{uri}>{kept_parameters(entry, _DIVERSION_PARAMETERS)}")
    return ", ".join(passed)


_DIVERSION_PARAMETERS = ("reason", "counter", "limit", "privacy", "screen")


def passed_history(value: str, passage: Passage) -> str:
    """History-Info from the source's side; a private entry is anonymised for an untrusted target (RFC 7044 10.1)."""
    passed = []
    for entry in split(value):
        uri, _, embedded = uri_of(entry).partition("?")
        kept = _EMBEDDED.findall(embedded)
        private = any(part[:8].lower() == "privacy=" and part[8:].lower() != "none" for part in kept)
        written = ANONYMOUS if private and not passage.target.trusted else readdressed(uri, passage)
        if written:
            embedding = "?" + "&".join(kept) if kept else ""
            passed.append(f"<{written}{embedding}>{kept_parameters(entry, _HISTORY_PARAMETERS)}")
    return ", ".join(passed)


_HISTORY_PARAMETERS = ("index", "rc", "mp", "np")
# What a URI of History-Info may carry: why it was left, without words, and whether it is to be hidden.
_EMBEDDED = re.compile(
    r"(?<![^&])(?:Reason=[A-Za-z0-9.]+(?:%3B|;)(?:%20)?cause(?:%3D|=)\d+|Privacy=[A-Za-z]+)", re.IGNORECASE
)


def _shown(message: Message, invitation: Invitation) -> Caller | None:
    """Whom From names; None: nobody."""
    passage = invitation.passage
    source, target = passage.source, passage.target
    caller = _read(message.get("From") or "", passage)
    hidden = not invitation.emergency and not _HIDING.isdisjoint(wishes(message, passage))
    of_rule = _of_rule(invitation)
    if of_rule is not None:
        return of_rule._replace(display="" if hidden or caller is None else caller.display)
    if hidden and (not target.trusted or target.identity == "from"):
        return None
    if target.identity == "from" and source.trusted and (caller is None or caller.number.e164 is None):
        # An extension, or nothing, where the target has to read the number: what is asserted says more.
        asserted = _asserted(message, passage)
        if asserted is not None and (asserted.number.e164 is not None or caller is None):
            return asserted if caller is not None or target.trusted or invitation.emergency else None
    return caller


def _of_rule(invitation: Invitation | None) -> Caller | None:
    """The number that the step says is to be shown."""
    if invitation is None or invitation.step is None or not invitation.step.from_:
        return None
    return Caller("", invitation.passage.target.plan.read(invitation.step.from_))


def _whispered(invitation: Invitation) -> str:
    """The dialled number's name as a display name, where the step whispers (S2.2)."""
    if invitation.dialled_name and invitation.step is not None and invitation.step.whisper:
        return quoted(invitation.dialled_name)
    return ""


def _asserted(message: Message, passage: Passage) -> Caller | None:
    """What the source asserts; to be asked only of a trusted one."""
    lines = [each for each in message.headers if each[0] in _ASSERTIONS]
    for wanted in _ASSERTIONS if lines else ():
        for value in [part for name, line in lines if name == wanted for part in split(line)]:
            caller = _read(value, passage)
            if caller is not None:
                return caller
    return None


def _read(value: str, passage: Passage) -> Caller | None:
    """The identity in an address; None if it names nobody."""
    uri = uri_of(value)
    parts = user_and_host(uri)
    if parts is None or is_anonymous(parts[0], parts[1].partition(";")[0].partition(":")[0]):
        return None
    return Caller(display_of(value), passage.source.plan.read(parts[0]), is_phone(uri))
