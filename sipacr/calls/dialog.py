"""A dialog (RFC 3261 12): who talks to whom under which tags, and how the next request inside it looks."""

import re

from sipacr.calls.message import Headers, Message, tag, uri_of, with_parameter
from sipacr.calls.network import Flow

_IPV4 = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}").fullmatch
# The host and port of a SIP URI; parameters and headers do not matter here.
_HOST = re.compile(r"sips?:(?:[^@]*@)?(\[[0-9A-Fa-f:.]+\]|[^;:?\s\[\]]+)(?::(\d{1,5}))?(?=[;?]|$)", re.IGNORECASE).match


class Dialog:
    """One dialog of ours with one far end."""

    __slots__ = (
        "_flow", "_next", "call_id", "contact", "local", "local_seq", "local_tag", "remote", "remote_seq", "remote_tag",
        "routes", "symmetric", "target",
    )  # fmt: skip

    def __init__(
        self, call_id: str, local: str, remote: str, flow: Flow, contact: str, *, target: str, routes: list[str]
    ) -> None:
        """`local` and `remote` are From and To as our own requests will carry them, tags included."""
        self.call_id = call_id
        self.local = local
        self.remote = remote
        self.local_tag = tag(local)
        self.remote_tag = tag(remote)
        self.local_seq = 0  # of our last request
        self.remote_seq = -1  # of the far end's last request; -1: there was none (0 is a number, 8.1.1.5)
        self.contact = contact  # the value of our Contact
        self.target = target  # the far end's URI
        self.routes = routes
        self.symmetric = False  # requests go where the far end's come from, whatever it says
        self._flow = flow
        self._next: Flow | None = None

    @classmethod
    def as_server(cls, invite: Message, local_tag: str, flow: Flow, contact: str) -> "Dialog":
        """The dialog that our response to `invite` makes (12.1.1)."""
        dialog = cls(
            invite.get("Call-ID") or "", with_parameter(invite.get("To") or "", "tag", local_tag),
            invite.get("From") or "", flow, contact,
            target=uri_of(invite.get("Contact") or invite.get("From") or ""), routes=invite.values("Record-Route"),
        )  # fmt: skip
        dialog.remote_seq = invite.cseq[0]
        return dialog

    @classmethod
    def as_client(cls, invite: Message, response: Message, flow: Flow, contact: str) -> "Dialog":
        """The dialog that a response to our `invite` makes (12.1.2)."""
        contacts = response.get("Contact")
        dialog = cls(
            invite.get("Call-ID") or "", invite.get("From") or "", response.get("To") or "", flow, contact,
            target=uri_of(contacts) if contacts else invite.uri, routes=response.values("Record-Route")[::-1],
        )  # fmt: skip
        dialog.local_seq = invite.cseq[0]
        return dialog

    @property
    def key(self) -> tuple[str, str, str]:
        """Call-ID, our tag, the far end's tag."""
        return self.call_id, self.local_tag, self.remote_tag

    def refresh(self, message: Message) -> None:
        """Take the far end's new address from a target refresh request or its 2xx (12.2)."""
        contact = message.get("Contact")
        if contact is not None:
            self.target = uri_of(contact)
            self._next = None

    def request(self, method: str, headers: Headers, body: bytes = b"") -> Message:
        """The next request of ours (12.2.1.1)."""
        self.local_seq += 1
        return self._message(method, self.local_seq, headers, body)

    def ack(self, seq: int, headers: Headers, body: bytes = b"") -> Message:
        """The ACK to a 2xx to our INVITE with this CSeq number (13.2.2.4)."""
        return self._message("ACK", seq, headers, body)

    def _message(self, method: str, seq: int, headers: Headers, body: bytes) -> Message:
        uri, routes = self.target, self.routes
        if routes and ";lr" not in routes[0].lower():  # a strict router (12.2.1.1)
            uri, routes = uri_of(routes[0]), [*routes[1:], f"<{self.target}>"]
        written: Headers = [("Route", route) for route in routes]
        written += (
            ("Max-Forwards", "70"),
            ("From", self.local),
            ("To", self.remote),
            ("Call-ID", self.call_id),
            ("CSeq", f"{seq} {method}"),
        )
        if method not in ("BYE", "PRACK", "ACK", "MESSAGE"):
            written.append(("Contact", self.contact))
        return Message(method, uri, headers=written + headers, body=body)

    @property
    def flow(self) -> Flow:
        """The way of the next request: the live connection; on UDP the address that its route or target names.

        A host name stays with the address that the dialog was made with: nothing here may wait for DNS.
        """
        if self._next is None:
            stays = self.symmetric or self._flow.reliable
            self._next = self._flow if stays else self._hop(self.routes[0] if self.routes else "")
        return self._next

    @flow.setter
    def flow(self, flow: Flow) -> None:
        self._flow = flow
        self._next = None

    def _hop(self, route: str) -> Flow:
        found = _HOST(uri_of(route) if route else self.target)
        flow = self._flow
        if found is None:
            return flow
        host = found[1].strip("[]")
        literal = ":" in host if ":" in flow.host else _IPV4(host) is not None
        port = int(found[2] or 5060)
        return flow._replace(host=host, port=port) if literal and 0 < port < 65536 else flow
