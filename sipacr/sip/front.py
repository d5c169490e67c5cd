"""The way of one request: is it whole, parse, gate, decide, answer. Bytes in, at most one reply out, nothing raised.

Answers are stateless (RFC 3261 8.2.7): To tags and choices come from hashes, so a retransmission is answered alike,
also by a router that was restarted in between.
"""

import logging
from binascii import hexlify
from collections import deque
from collections.abc import Callable, Hashable, Iterable
from struct import Struct

from sipacr.routing.directory import Peer
from sipacr.routing.facts import Request
from sipacr.sip import gate
from sipacr.sip.answer import Reply, Verdict, answer, compose, header, sent_by, stamp_via, status
from sipacr.sip.caller import IDENTITY, facts, plain_facts, shaped_facts
from sipacr.sip.inlet import Inlet, Relayed
from sipacr.sip.message import Message, Parser, entities
from sipacr.sip.plain import Plain
from sipacr.sip.plain import read as read_plain
from sipacr.sip.recent import LIFETIME, Recent, Same
from sipacr.sip.scan import CALL_ID, TO, VIA, Head, Scanner, datagram
from sipacr.sip.shape import Shape, Shapes, Values
from sipacr.sip.stun import binding_response

log = logging.getLogger("sipacr.sip")

Route = Callable[[Request, Peer], Verdict | Relayed]

_packed = Struct("q").pack
_KEPT = 65_536  # verdicts that changed state; beyond it the oldest is forgotten before its 32 s
_OPTIONS = Verdict(
    status(200),
    gate.ALLOW_LINE + b"Accept: application/sdp\r\n" + header("Supported", ", ".join(gate.SUPPORTED)),
)


_OPTIONS_RELAYED = Verdict(
    status(200),
    b"Allow: " + gate.RELAYED_METHODS + b"\r\nAccept: application/sdp\r\n"
    + header("Supported", ", ".join(gate.RELAYED_TAGS)),
)  # fmt: skip
_TAKEN = Reply(b"", 0)  # nothing is to be said: the relay answers by itself
_AGAIN = Relayed(None)


class Front:
    """All that happens to a request of a known peer. `route` decides about INVITEs and never raises."""

    def __init__(
        self,
        parser: Parser,
        route: Route,
        fallback: Callable[[Peer], Verdict | Relayed],
        secret: bytes,
        clock: Callable[[], float],
    ) -> None:
        """`secret` makes To tags unguessable and stable over restarts; `clock` gives monotonic seconds; `fallback`
        is where a call goes whose facts cannot be read."""
        self._parser = parser
        self._route = route
        self._fallback = fallback
        self._secret = secret
        self._clock = clock
        self._recent = Recent()
        self._shapes = Shapes(parser.accepts)
        self.relay: Inlet | None = None  # where calls go that are relayed; without it there are none
        self._kept: dict[tuple[Same, str], Verdict | Relayed] = {}
        self._kept_until: deque[tuple[float, tuple[Same, str]]] = deque()
        self.read_headers(())
        self._own: frozenset[tuple[bytes, int]] = frozenset()
        self._own_texts: tuple[bytes, ...] = ()
        self.counts = {"invites": 0, "errors": 0}

    def read_headers(self, names: Iterable[str]) -> None:
        """Hand these headers (any case) to the rules, besides those that say who calls."""
        named = [name.lower() for name in names]
        self._scanner = Scanner((*IDENTITY, *named))
        self._identity_named = IDENTITY[0] in named
        self._shapes.forget()

    def set_own_addresses(self, addresses: Iterable[tuple[str, int]]) -> None:
        """Where we listen: a request whose Via names one of these has been here before."""
        self._own = frozenset((host.encode(), port) for host, port in addresses)
        bracketed = [(b"[%b]" % host if b":" in host else host, port) for host, port in self._own]
        texts = [b"%b:%d" % (host, port) for host, port in bracketed]
        texts += [host + b";" for host, port in bracketed if port == 5060]
        self._own_texts = tuple(texts)
        self._shapes.forget()

    def datagram(self, data: bytes, peer: Peer, host: bytes, port: int, number: int = 0) -> Reply | None:
        """Answer one datagram of a known peer, or None where nothing is to be said. `number` is that of the socket."""
        start = data[:4]
        if start == b"INVI":
            reply = self._alike(data, peer, host, port, number) or self._invited(data, peer, host, port, number)
            return reply if reply is not _TAKEN else None
        if start == b"ACK " or start == b"SIP/":  # nothing answers them
            relay = self.relay
            if (
                relay is not None
                and not relay.idle
                and (start == b"SIP/" or relay.marker in data)
                and not relay.usual(data, peer, host, port, number)
            ):
                relay.unanswered(datagram(self._scanner, data), peer, host, port, number)
            return None
        if start[:1] == b"\0":
            response = binding_response(data, host.decode(), port)
            return Reply(response, port) if response else None
        relay = self.relay
        if (
            relay is not None
            and not relay.idle
            and relay.marker in data
            and relay.usual(data, peer, host, port, number)
        ):
            return None
        return self.request(datagram(self._scanner, data), peer, host, port, number)

    def _alike(self, data: bytes, peer: Peer, host: bytes, port: int, number: int) -> Reply | None:
        """The shortest cut: an INVITE like those before it. None where the other ways have to look."""
        try:
            for shape in self._shapes.of(peer, host, port):
                values = shape.read(data)
                if values is not None:
                    request = shaped_facts(shape, values, peer)
                    same, branch = (values[4], request.from_tag, request.cseq), values[2].decode()
                    verdict = self._invite(same, branch, request, peer)
                    if isinstance(verdict, Relayed):
                        return self._relayed_alike(verdict, shape, values, data, peer, host, port, number)
                    text = shape.compose(verdict, values, self._tag((same, branch)))
                    return tuple.__new__(Reply, (text, shape.port))  # half the cost of Reply(...)
        except Exception:  # noqa: BLE001  # told by _loud; the other ways may still answer
            self._loud(datagram(self._scanner, data))
        return None

    def _relayed_alike(
        self,
        relayed: Relayed,
        shape: Shape,
        values: Values,
        data: bytes,
        peer: Peer,
        host: bytes,
        port: int,
        number: int,
    ) -> Reply:
        """The same for one that has a shape: it is whole, and PJSIP would find no fault in it."""
        text, body = shape.cut(data, values)
        if self.relay is not None and self.relay.invite(relayed, text, body, peer, host, port, number):
            return _TAKEN
        return self._our_fault(datagram(self._scanner, data), host, port)

    def _invited(self, data: bytes, peer: Peer, host: bytes, port: int, number: int) -> Reply | None:
        """Answer an INVITE whose shape is not known, and now and then learn it."""
        head = datagram(self._scanner, data)
        reply = self.request(head, peer, host, port, number)
        if self._shapes.wants(peer, host, port, self._clock()):
            try:
                plain = self._plain(head, peer)
                if plain is not None:
                    self._shapes.learn(head, plain, peer, host, port)
            except Exception:  # noqa: BLE001  # told by _loud; the answer stands
                self._loud(head)
        return reply

    def request(self, head: Head, peer: Peer, host: bytes, port: int, number: int = 0) -> Reply | None:
        """Answer one request that is cut from a datagram or a stream. Never raises: what fails is a 500, loudly.

        Responses and ACKs are looked at too; `number` is that of the socket or connection.
        """
        try:
            plain = self._plain(head, peer)
            if plain is not None:
                return self._answer_plain(head, plain, peer, host, port, number)
        except Exception:  # noqa: BLE001  # told by _loud; the long way may still answer
            self._loud(head)
        if not _expects_answer(head):
            if self.relay is not None and not self.relay.idle and head.answerable:
                self.relay.unanswered(head, peer, host, port, number)
            return None
        try:
            verdict, to_tag = self._verdict(head, gate.method_of(head), peer, host, port, number)
            if isinstance(verdict, Relayed):
                return self._relayed(verdict, head, peer, host, port, number)
            return answer(head, verdict, to_tag, host, port) if verdict is not None else None
        except Exception:  # noqa: BLE001  # told by _loud; nothing may end the loop
            self._loud(head)
            return self._our_fault(head, host, port)

    def _plain(self, head: Head, peer: Peer) -> Plain | None:
        """An INVITE of the common form in which PJSIP finds no fault; None for all else."""
        if head.fault is not None or peer.dialled_from != "request-uri":
            return None
        plain = read_plain(head)
        if plain is None or plain.sent_by[:2] in self._own or (self._identity_named and plain.asserted):
            return None  # a loop, or a header that rules name: the short cut tells them of none
        return plain if self._parser.accepts(head.text) else None

    def _relayed(self, relayed: Relayed, head: Head, peer: Peer, host: bytes, port: int, number: int) -> Reply | None:
        """Hand an INVITE to the relay, which answers it."""
        if self.relay is not None and self.relay.invite(relayed, head.text, head.body, peer, host, port, number):
            return None
        return self._our_fault(head, host, port)

    def _our_fault(self, head: Head, host: bytes, port: int) -> Reply:
        return answer(head, Verdict(status(500)), self._tag_of_text(head), host, port)

    def _answer_plain(self, head: Head, plain: Plain, peer: Peer, host: bytes, port: int, number: int) -> Reply | None:
        """The short cut for an INVITE of the common form; the long way has to say the same."""
        _, via, from_, to, call_id, cseq, *_ = head.values
        assert type(via) is type(from_) is type(to) is type(call_id) is type(cseq) is bytes
        same = (call_id.strip(), plain.from_tag, plain.cseq)
        request = plain_facts(plain, peer, same[0].decode("utf-8", "replace"))
        verdict = self._invite(same, plain.branch, request, peer)
        if isinstance(verdict, Relayed):
            return self._relayed(verdict, head, peer, host, port, number)
        sent_by_host, answer_port, _ = plain.sent_by
        if plain.rport or sent_by_host != host:
            via, answer_port = stamp_via(via, host, port)
        tag = self._tag((same, plain.branch))
        return Reply(compose(verdict, via, from_, to, tag, call_id, cseq), answer_port)

    def scan(self, text: bytes) -> Head:
        """Read a head that came on a stream."""
        return self._scanner.scan(text)

    def refuse(self, head: Head, verdict: Verdict, host: bytes, port: int) -> Reply | None:
        """Refuse a message whose head alone is known: it is too long, or where it ends cannot be told."""
        return answer(head, verdict, self._tag_of_text(head), host, port) if _expects_answer(head) else None

    def _loud(self, head: Head) -> None:
        self.counts["errors"] += 1
        call_id = head.one(CALL_ID).strip().decode("utf-8", "replace")
        log.exception("%r: our fault, the request was not understood", call_id)

    def _verdict(
        self, head: Head, method: bytes, peer: Peer, host: bytes, port: int, number: int
    ) -> tuple[Verdict | Relayed | None, bytes]:
        """What to answer, if it is not the relay who answers, and the To tag to add (empty if the request has one)."""
        refused = Verdict(status(400, head.fault)) if head.fault else gate.start_line(head)
        if refused:
            return refused, self._tag_of_text(head)
        message = self._parser.parse(head)
        refused = gate.syntax(head, method, message)
        if refused or message is None:
            return refused or Verdict(status(400)), self._tag_of_text(head)
        relay = self.relay
        if relay is not None and not relay.idle and relay.request(head, peer, host, port, number):
            return None, b""
        same: Same = (head.one(CALL_ID).strip(), message.from_tag, message.cseq)
        # The same tag for the same request, another for every other (8.2.7, 19.3); its CANCEL shares it.
        to_tag = b"" if message.to_tag else self._tag((same, message.branch))
        supported = gate.RELAYED_TAGS if relay is not None and peer.mode == "relay" else gate.SUPPORTED
        refused = gate.semantics(method, message, supported) or self._loop(head)
        if refused:
            return refused, to_tag
        return self._answer(head, method, same, message, peer), to_tag

    def _answer(self, head: Head, method: bytes, same: Same, message: Message, peer: Peer) -> Verdict | Relayed:
        if method == b"CANCEL":
            found = self._recent.holds(same, message.branch, int(self._clock()))
            return Verdict(status(200 if found else 481))
        if method == b"OPTIONS":
            return _OPTIONS_RELAYED if self.relay is not None and peer.mode == "relay" else _OPTIONS
        try:
            request = facts(head, message, peer, self._parser)
        except Exception:  # noqa: BLE001  # told by _loud; nothing may end the loop
            self._loud(head)
            return self._fallback(peer)
        return self._invite(same, message.branch, request, peer)

    def _invite(self, same: Same, branch: str, request: Request, peer: Peer) -> Verdict | Relayed:
        """Merged, seen before, or to be decided now."""
        now = self._clock()
        if self._recent.note(same, branch, int(now)):
            return Verdict(status(482, b"Merged Request"))
        self.counts["invites"] += 1
        if self._kept:
            self._forget(now)
            kept = self._kept.get((same, branch))
            if kept is not None:
                return kept
        verdict = self._route(request, peer)
        if verdict.keep:
            self._kept[same, branch] = verdict if isinstance(verdict, Verdict) else _AGAIN
            self._kept_until.append((now + LIFETIME, (same, branch)))
        return verdict

    def _forget(self, now: float) -> None:
        until = self._kept_until
        while until and (until[0][0] < now or len(until) > _KEPT):
            self._kept.pop(until.popleft()[1], None)

    def _loop(self, head: Head) -> Verdict | None:
        """A Via of our own: the request has been here (RFC 3261 16.3). No request that we answer carries one."""
        via = head.values[VIA]
        for value in via if isinstance(via, list) else (via or b"",):
            for own in self._own_texts:
                if value.find(own) > 0 and self._is_own(value):  # `in` first raises and swallows a TypeError
                    return Verdict(status(482))
        return None

    def _is_own(self, value: bytes) -> bool:
        return not self._own.isdisjoint(sent_by(each) for each in entities(value.decode("latin-1")))

    def _tag_of_text(self, head: Head) -> bytes:
        """The To tag for a request that could not be read; none where its To seems to have one."""
        return b"" if head.one(TO).lower().find(b"tag") > 0 else self._tag(head.text)

    def _tag(self, of: Hashable) -> bytes:
        """A To tag. Python's hash of bytes is keyed with a secret of the process, which a fork inherits: the router
        that takes over after a crash makes the same tags."""
        return hexlify(_packed(hash((self._secret, of))))


def _expects_answer(head: Head) -> bool:
    """Not a response, not an ACK, and with a way back."""
    return head.answerable and head.text[:4].upper() != b"SIP/" and gate.method_of(head) != b"ACK"
