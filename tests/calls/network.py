"""A network for tests of the calls: keeps what was sent, per flow, and reads it back into messages."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from sipacr.calls.message import Headers, Message, parse
from sipacr.calls.network import Flow, Target

OURS = "192.0.2.1:5060"
CALLER = Flow("udp", "198.51.100.1", 5060, 1)
CALLEE = Flow("udp", "203.0.113.1", 5060, 1)
CALLER_TCP = Flow("tcp", "198.51.100.1", 40001, 11)
CALLEE_TCP = Flow("tcp", "203.0.113.1", 5060, 12)


class Sent(NamedTuple):
    """One message that was sent."""

    flow: Flow
    message: Message
    data: bytes


class FakeNetwork:
    """Never fails by itself: a test reports failures as the driver does."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []  # everything, in order
        self.peers: dict[str, Sequence[Target]] = {}
        self.unreachable: set[Target] = set()
        self._flows: dict[Target, Flow] = {}
        self._taken = 0

    def send(self, flow: Flow, data: bytes) -> None:
        self.sent.append(Sent(flow, read(data), data))

    def targets(self, peer: str) -> Sequence[Target]:
        return self.peers.get(peer, ())

    def flow(self, target: Target) -> Flow | None:
        if target in self.unreachable:
            return None
        number = 1 if target.transport == "udp" else 100 + len(self._flows)
        return self._flows.setdefault(target, Flow(target.transport, target.host, target.port, number))

    def same_peer(self, one: Flow, other: Flow) -> bool:
        return any({one.host, other.host} <= {target.host for target in targets} for targets in self.peers.values())

    def sent_by(self, flow: Flow) -> str:
        return OURS

    def contact(self, flow: Flow) -> str:
        return OURS if flow.transport == "udp" else f"{OURS};transport={flow.transport}"

    def take(self) -> list[Sent]:
        """What was sent since the last `take`."""
        fresh = self.sent[self._taken :]
        self._taken = len(self.sent)
        return fresh

    def messages(self, flow: Flow | None = None) -> list[Message]:
        """The messages sent since the last look, on this flow or on any; those of other flows are skipped too."""
        return [each.message for each in self.take() if flow is None or each.flow == flow]

    def starts(self, flow: Flow | None = None) -> list[str]:
        """As `messages`, in short: "INVITE" or "180 INVITE"."""
        return [start(message) for message in self.messages(flow)]


def read(data: bytes) -> Message:
    """Bytes of the wire as a message; its Content-Length must be right and the only one."""
    head, empty, body = data.partition(b"\r\n\r\n")
    assert empty, data
    assert head.count(b"\r\nContent-Length:") == 1, data
    assert head.rpartition(b"\r\nContent-Length: ")[2] == str(len(body)).encode(), data
    return parse(head + empty, body)


def start(message: Message) -> str:
    """A message in short: "INVITE" or "180 INVITE"."""
    return message.method or f"{message.code} {message.cseq[1]}"


def tokens(prefix: str = "t") -> Iterator[str]:
    """Tokens for `Transactions` and dialogs: `tokens().__next__` is the callable."""
    number = 0
    while True:
        number += 1
        yield f"{prefix}{number}"


def request(
    method: str = "INVITE",
    *,
    branch: str = "z9hG4bKa",
    sent_by: str = "198.51.100.1:5060",
    call_id: str = "call@a",
    from_tag: str = "a",
    to_tag: str = "",
    cseq: int = 1,
    cseq_method: str = "",
    headers: Headers | None = None,
    body: bytes = b"",
    via: bool = True,
) -> Message:
    """A request as a far end sends it; `via=False`: as it is before our own Via is put on it."""
    top: Headers = [("Via", f"SIP/2.0/UDP {sent_by};branch={branch};rport")] if via else []
    return Message(
        method,
        "sip:+48221112233@192.0.2.1",
        headers=[
            *top,
            ("Max-Forwards", "70"),
            ("From", f'"Jan" <sip:+48601000111@198.51.100.1>;tag={from_tag}'),
            ("To", "<sip:+48221112233@192.0.2.1>" + (f";tag={to_tag}" if to_tag else "")),
            ("Call-ID", call_id),
            ("CSeq", f"{cseq} {cseq_method or method}"),
            *(headers or []),
        ],
        body=body,
    )


def answer(to: Message, code: int, *, to_tag: str = "b", headers: Headers | None = None, body: bytes = b"") -> Message:
    """The response of a far end to a request of ours, as the request went out."""
    copied = [each for each in to.headers if each[0] in {"Via", "From", "Call-ID", "CSeq"}]
    tag = f";tag={to_tag}" if to_tag and code != 100 and ";tag=" not in (to.get("To") or "") else ""
    return Message(
        code=code, reason="Some reason", headers=[*copied, ("To", f"{to.get('To')}{tag}"), *(headers or [])], body=body
    )
