"""Transfers: REFER passed from one side to the other, its NOTIFYs, and Replaces mapped to the leg that is meant.

A far end knows its own dialog with us, never the one behind us: what it names in Replaces (RFC 3891) is looked up here
and written as the other end knows it. A subscription outlives the BYE of its dialog (RFC 5057).
"""

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, unquote

from sipacr.calls.half import Half
from sipacr.calls.message import Headers, Message, parameters, uri_of

if TYPE_CHECKING:
    from sipacr.calls.calls import Calls

_UNRESERVED = "-_.!~*'()[]/:&+$?"  # what may stand unescaped in a header of a URI, "?" and "&" excepted


class Named(NamedTuple):
    """The dialog that a Replaces names, as its writer knows it."""

    call_id: str
    to_tag: str
    from_tag: str
    early_only: bool

    def __str__(self) -> str:
        early = ";early-only" if self.early_only else ""
        return f"{self.call_id};to-tag={self.to_tag};from-tag={self.from_tag}{early}"


def read_replaces(value: str) -> Named | None:
    """Read a Replaces value; None if it names no dialog."""
    call_id = value.partition(";")[0].strip()
    found = parameters(value)
    if not call_id or "to-tag" not in found or "from-tag" not in found:
        return None
    return Named(call_id, found["to-tag"], found["from-tag"], "early-only" in found)


class Refers:
    """What REFER means to all calls."""

    def __init__(self, calls: "Calls") -> None:
        self._calls = calls

    def outward(self, request: Message, headers: Headers, source: Half, target: Half) -> Headers:
        """The headers of an in-dialog request for the other side; those of a REFER name what that side can reach."""
        if request.method != "REFER":
            return headers
        refer_to = request.get("Refer-To")
        if refer_to is None:
            return headers
        rest = [each for each in headers if each[0] not in ("Refer-To", "Target-Dialog")]
        return [*rest, ("Refer-To", self._refer_to(refer_to, target))]

    def _refer_to(self, value: str, target: Half) -> str:
        """The same person, called through us; with Replaces the far end of the named dialog."""
        uri, _, query = uri_of(value).partition("?")
        user = uri.partition(":")[2].rpartition("@")[0].partition(";")[0]
        ours = target.calls.network.contact(target.dialog.flow)
        parts = []
        for part in query.split("&") if query else []:
            name, _, text = part.partition("=")
            if name.lower() == "replaces":
                named = read_replaces(unquote(text))
                half = self.meant(named) if named is not None else None
                if half is None or half.other is None:
                    continue
                far = half.other
                dialog = far.dialog
                mapped = Named(
                    dialog.call_id, dialog.remote_tag, dialog.local_tag, named is not None and named.early_only
                )
                user = uri_of(dialog.target).partition(":")[2].rpartition("@")[0].partition(";")[0] or user
                parts.append(f"Replaces={quote(str(mapped), safe=_UNRESERVED.replace('?', '').replace('&', ''))}")
            elif name.lower() in ("require",):
                parts.append(part)
        at = f"{user}@" if user else ""
        return f"<sip:{at}{ours}{'?' + '&'.join(parts) if parts else ''}>"

    def meant(self, named: Named) -> Half | None:
        """Our side of the dialog that a far end names: its to-tag is ours."""
        return self._calls.halves.get((named.call_id, named.to_tag, named.from_tag))

    def replaced(self, invite: Message) -> Half | None:
        """The half towards whom an INVITE with Replaces is meant to be put through: we gave these ids to its sender as
        the far end knows them, so the from-tag is ours."""
        named = read_replaces(invite.get("Replaces") or "")
        if named is None:
            return None
        return self._calls.halves.get((named.call_id, named.from_tag, named.to_tag))

    def answered(self, request: Message, response: Message, source: Half, target: Half) -> None:
        """A REFER was accepted: NOTIFYs of the other side will follow."""
        if request.method == "REFER" and (response.get("Refer-Sub") or "").lower() != "false":
            target.subscribed.add("refer")
        elif request.method == "NOTIFY" and (request.get("Subscription-State") or "").lower().startswith("terminated"):
            source.subscribed.discard("refer")
            if source.ended:
                source.forget()
                target.forget()

    def alive(self, half: Half) -> bool:
        """Whether something is still to be reported in this dialog or the other side's."""
        return bool(half.subscribed or (half.other is not None and half.other.subscribed))
