"""A caller, sipacr and the far ends it calls, in one place: stories of calls in tests, without a socket or a clock."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sipacr.calls.calls import Calls, Plan
from sipacr.calls.message import Headers, Message
from sipacr.calls.network import Flow, Target
from sipacr.calls.timers import Timers
from sipacr.routing.directory import Directory
from sipacr.routing.facts import State
from sipacr.routing.ruleset import Rule
from tests import company
from tests.calls.network import CALLER, FakeNetwork, Sent, request, start, tokens

SDP = b"v=0\r\no=- 1 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n"
ANSWER = SDP.replace(b"198.51.100.1", b"203.0.113.1")
WITH_SDP: Headers = [("Content-Type", "application/sdp")]
ADDRESSES = {"pbx": "10.0.0.5", "trunk-a": "198.51.100.1", "trunk-b": "192.0.2.7"}


def calling(*headers: tuple[str, str], body: bytes = SDP, **fields: Any) -> Message:
    """The INVITE of a caller; fields as of `request`."""
    described = WITH_SDP if body else []
    return request(headers=[("Contact", "<sip:jan@198.51.100.1>"), *headers, *described], body=body, **fields)


class Scene:
    """`hear` takes what far ends send, `said` shows what we sent."""

    def __init__(
        self,
        *rules: Rule,
        peers: dict[str, dict[str, Any]] | None = None,
        network: FakeNetwork | None = None,
        **more: Any,
    ) -> None:
        """`peers`: settings of peers that differ from `company.PEERS`."""
        changed = peers or {}
        found = {name: replace(peer, **changed.get(name, {})) for name, peer in company.PEERS.items()}
        directory: Directory = replace(company.DIRECTORY, peers=found)
        self.network: Any = network or FakeNetwork()
        for name, peer in found.items():
            self.network.peers[name] = (Target(peer.transport, ADDRESSES[name], 5060),)
        self.timers = Timers(1000.0)
        self.state = State()
        self.engine = company.engine(*rules, directory=directory, **more)
        make = tokens()
        self.calls = Calls(
            self.network, self.timers, make.__next__, directory, self.state, "zz", lambda: company.NOW + self.timers.now
        )
        self.directory = directory

    def invite(
        self, message: Message | None = None, *, peer: str = "trunk-a", flow: Flow = CALLER, **known: Any
    ) -> Message:
        """An INVITE of the caller, decided and handed in; returns it. `known`: of its facts, as in `company.facts`."""
        message = message or calling()
        facts = company.facts(peer=peer, **known)
        decision = self.engine.decide(facts, self.calls.wall())
        self.calls.invite(message, flow, self.directory.peers[peer], Plan(self.engine, decision, facts))
        self.run(0.0)
        return message

    def run(self, seconds: float) -> None:
        """Let time pass."""
        self.timers.run(self.timers.now + seconds)

    def ringing(self, *headers: tuple[str, str], body: bytes = SDP, **more: Any) -> tuple[Message, Sent]:
        """A call whose first leg has just been dialled: the caller's INVITE with these headers, and ours."""
        invite = self.invite(calling(*headers, body=body), **more)
        return invite, self.one("INVITE")

    def cancel(self, invite: Message, *headers: tuple[str, str], flow: Flow = CALLER) -> None:
        """The caller gives up."""
        copied = [each for each in invite.headers if each[0] in ("Via", "Max-Forwards", "From", "To", "Call-ID")]
        message = Message("CANCEL", invite.uri, headers=[*copied, ("CSeq", f"{invite.cseq[0]} CANCEL"), *headers])
        assert self.calls.request(message, flow, self.directory.peers["trunk-a"])
        self.run(0.0)

    def prack(self, invite: Message, response: Message, seq: int = 2, body: bytes = b"") -> None:
        """The caller acknowledges a reliable provisional response."""
        rack = f"{response.get('RSeq')} {invite.cseq[0]} INVITE"
        self.caller_sends("PRACK", invite, response, seq, headers=[("RAck", rack)], body=body)

    def legs(self) -> list[Sent]:
        """Our INVITEs since the last look."""
        return [each for each in self.said() if each.message.method == "INVITE"]

    def said(self) -> list[Sent]:
        """All that was sent since the last look."""
        return self.network.take()

    def starts(self) -> list[str]:
        """The same in short, with the host it went to: "100 INVITE > 198.51.100.1"."""
        return [f"{start(each.message)} > {each.flow.host}" for each in self.said()]

    def one(self, what: str) -> Sent:
        """The only message of that kind ("INVITE", "180 INVITE") that was sent since the last look."""
        found = [each for each in self.said() if start(each.message) == what]
        assert len(found) == 1, (what, found)
        return found[0]

    def answer(
        self, sent: Sent, code: int, *, tag: str = "b", headers: Sequence[tuple[str, str]] = (), body: bytes = b""
    ) -> None:
        """The far end answers a request of ours."""
        message = sent.message
        copied = [each for each in message.headers if each[0] in ("Via", "From", "Call-ID", "CSeq")]
        to = message.get("To") or ""
        if tag and code > 100 and ";tag=" not in to:
            to += f";tag={tag}"
        contact = [("Contact", f"<sip:far@{sent.flow.host}>")] if code < 300 and message.method != "BYE" else []
        answer = Message(code=code, reason="", headers=[*copied, ("To", to), *contact, *headers], body=body)
        self.calls.response(answer, sent.flow)
        self.run(0.0)

    def ack(self, invite: Message, ok: Message, body: bytes = b"") -> None:
        """The caller's ACK to a 2xx."""
        self.calls.ack(self._in_dialog("ACK", invite, ok, invite.cseq[0], body=body), CALLER)
        self.run(0.0)

    def caller_sends(
        self,
        method: str,
        invite: Message,
        ok: Message,
        seq: int = 2,
        *,
        headers: Headers | None = None,
        body: bytes = b"",
    ) -> None:
        """A request of the caller inside the dialog that `ok` made."""
        message = self._in_dialog(method, invite, ok, seq, headers=headers, body=body)
        assert self.calls.request(message, CALLER, self.directory.peers["trunk-a"])
        self.run(0.0)

    @staticmethod
    def _in_dialog(
        method: str, invite: Message, ok: Message, seq: int, *, headers: Headers | None = None, body: bytes = b""
    ) -> Message:
        to = (ok.get("To") or "").rpartition(";tag=")[2]
        message = request(method, branch=f"z9hG4bK{method}{seq}", to_tag=to, cseq=seq, headers=headers, body=body)
        return message

    def callee_sends(
        self,
        method: str,
        sent: Sent,
        tag: str = "b",
        seq: int = 1,
        *,
        headers: Headers | None = None,
        body: bytes = b"",
    ) -> None:
        """A request of the far end inside the dialog that our INVITE `sent` made."""
        ours = sent.message
        message = Message(
            method, f"sip:{self.network.contact(sent.flow)}",
            headers=[
                ("Via", f"SIP/2.0/UDP {sent.flow.host};branch=z9hG4bK{method}{seq}far"),
                ("From", f"{ours.get('To')};tag={tag}"), ("To", ours.get("From") or ""),
                ("Call-ID", ours.get("Call-ID") or ""), ("CSeq", f"{seq} {method}"), ("Max-Forwards", "70"),
                *(headers or []),
            ],
            body=body,
        )  # fmt: skip
        assert self.calls.request(message, sent.flow, self.directory.peers["pbx"])
        self.run(0.0)

    def is_over(self) -> bool:
        """Whether nothing is left, once all timers have passed."""
        self.run(400.0)
        left = self.state.busy or self.calls._load or self.timers.next_due() is not None
        return self.calls.idle and not left
