"""The door of the relay: a message's bytes, once they are found to be whole and right, become the core's events.

Nothing is raised: what fails here or in the core is logged with its Call-ID, and the next message is taken.
"""

import logging
import re
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple, Protocol

from sipacr.calls.calls import Calls, Plan
from sipacr.calls.message import Message, parse, tag, whole
from sipacr.calls.network import Flow, Transport
from sipacr.calls.timers import Timers
from sipacr.routing.directory import Peer
from sipacr.sip import gate
from sipacr.sip.answer import sent_by, stamp_via
from sipacr.sip.message import Parser
from sipacr.sip.scan import CALL_ID, CSEQ, FROM, TO, VIA, Head

log = logging.getLogger("sipacr.sip")

_STATUS = re.compile(rb"SIP/2\.0 [1-6]\d\d [^\r\n]*\r\n", re.IGNORECASE).match
_USUAL = {  # CSeq behind its number; ten digits are too large for one of them
    f" {method}": method
    for method in ("INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "PRACK", "UPDATE", "INFO", "MESSAGE", "REFER", "NOTIFY")
}
_USUAL_REQUEST = re.compile(r"sip:[^ ?]*", re.IGNORECASE).fullmatch
_CSEQ = re.compile(rb"[ \t]*\d{1,10}[ \t]+([A-Za-z0-9.!%*_+`'~-]+)[ \t]*").fullmatch


class Relayed(NamedTuple):
    """What the router says of a call that is relayed."""

    plan: Plan | None  # None: it was said before, this is a repeat
    keep: bool = True  # as in a Verdict


class Ways(Protocol):
    """What is asked of the sockets and connections, by their numbers."""

    def transport_of(self, number: int) -> Transport:
        """The transport of one."""

    def heard(self, number: int) -> None:
        """A request has just come on this UDP socket."""

    def called_from(self, number: int, port: int) -> None:
        """A request has just come on this connection, whose sender says that it listens at this port."""


class Inlet:
    """Hands messages and the time to the core."""

    def __init__(
        self,
        calls: Calls,
        timers: Timers,
        parser: Parser,
        ways: Ways,
        clock: Callable[[], float],
        done: Callable[[], None],
    ) -> None:
        """`clock` gives monotonic seconds; `done` is called after each event: another timer may be the next now."""
        self._calls = calls
        self._timers = timers
        self._parser = parser
        self._ways = ways
        self._clock = clock
        self._done = done
        self.marker = calls.marker.encode()  # stands in each To tag of a relayed call
        self.idle = True  # no message can belong to a relayed call
        self.counts: Counter[str] = Counter()

    def is_full(self, peer: Peer) -> bool:
        """Whether this peer has as many calls at once as it may."""
        return self._calls.is_full(peer)

    def knows_invite(self, via: str, host: str) -> bool:
        """Whether an INVITE with this Via from this address was taken before."""
        return self._calls.transactions.knows_invite(via, host)

    def request(self, head: Head, peer: Peer, host: bytes, port: int, number: int) -> bool:
        """Any request but ACK that passed the gate's `syntax`. True: it is the core's, who answers by itself."""
        try:
            message, flow = self._read(head, peer, host, port, number)
            self._timers.run(self._clock())
            calls = self._calls
            taken = calls.knows(message, flow)
            if not taken and (message.method != "INVITE" or tag(message.get("To") or "")):
                taken = calls.request(message, flow, peer)
        except Exception:  # noqa: BLE001  # told by _loud; nothing may end the loop
            self._loud(head)
            return False
        self._end()
        return taken

    def invite(
        self, relayed: Relayed, text: bytes, body: bytes, peer: Peer, host: bytes, port: int, number: int
    ) -> bool:
        """An INVITE that is to be relayed, its head as `scan` or a shape has found it to be. False: our fault, it has
        no answer yet."""
        self.idle = False
        try:
            message = parse(text, body)
            flow = self._stamped(message, peer, host, port, number)
            self._timers.run(self._clock())
            if relayed.plan is None:
                self._calls.knows(message, flow)
            else:
                self._calls.invite(message, flow, peer, relayed.plan)
        except Exception:  # noqa: BLE001  # told by _told; nothing may end the loop
            found = re.search(rb"(?i)\r\n(?:call-id|i)[ \t]*:([^\r]*)", text)
            self._told(found[1].strip().decode("utf-8", "replace") if found else "")
            return False
        self._end()
        return True

    def usual(self, data: bytes, peer: Peer, host: bytes, port: int, number: int) -> bool:
        """A response, an ACK or a request within a dialog, in the form that nearly all have, from UDP.

        False: not taken, all other ways have to look. The short cut takes nothing that they would not.
        """
        found = whole(data)
        if found is None:
            return False
        message, values, end = found
        number_of, method = _cseq(values.get("CSeq", ""))
        if (
            not method
            or not (_is_usual_request(message, values, number_of, method) if message.method else _STATUS(data))
            or (message.code and method == "ACK")
            or ";tag=" not in values.get("From", "")
            or not values.get("Via")
            or not values.get("To")
            or not values.get("Call-ID")
            or not self._parser.accepts(data[:end])
        ):
            return False
        calls = self._calls
        try:
            self._timers.run(self._clock())
            if message.code:
                flow = Flow(self._ways.transport_of(number), host.decode(), port, number)
                self.counts["strays"] += not calls.response(message, flow)
            else:
                flow = self._stamped(message, peer, host, port, number)
                if method == "ACK":
                    self.counts["strays"] += not calls.ack(message, flow)
                elif not (calls.knows(message, flow) or calls.request(message, flow, peer)):
                    return False
        except Exception:  # noqa: BLE001  # told by _told; nothing may end the loop
            self._told(values["Call-ID"])
            if message.method and method != "ACK":
                return False
        self._end()
        return True

    def unanswered(self, head: Head, peer: Peer, host: bytes, port: int, number: int) -> None:
        """An ACK or a response: nobody answers them, so those that are wrong are dropped."""
        try:
            acknowledges = head.text[:4] == b"ACK "
            if head.fault or not (self._is_ack(head) if acknowledges else self._is_response(head)):
                self.counts["dropped"] += 1
                return
            self._timers.run(self._clock())
            if acknowledges:
                message, flow = self._read(head, peer, host, port, number)
                taken = self._calls.ack(message, flow)
            else:
                flow = Flow(self._ways.transport_of(number), host.decode(), port, number)
                taken = self._calls.response(parse(head.text, head.body), flow)
            self.counts["strays"] += not taken
        except Exception:  # noqa: BLE001  # told by _loud; nothing may end the loop
            self._loud(head)
        self._end()

    def failed(self, flow: Flow) -> None:
        """A connection is gone, or could not be opened."""
        try:
            self._timers.run(self._clock())
            self._calls.failed(flow)
        except Exception:  # the others go on
            self.counts["errors"] += 1
            log.exception("our fault, a lost connection was not noticed")
        self._end()

    def tick(self) -> None:
        """Do what is due. What fails is done with; the rest goes on."""
        while True:
            try:
                self._timers.run(self._clock())
                break
            except Exception:  # a timer that failed is not run again
                self.counts["errors"] += 1
                log.exception("our fault, a timer of a relayed call failed")
        self._end()

    def _end(self) -> None:
        """After each event."""
        self.idle = self._calls.idle
        self._done()

    def _is_ack(self, head: Head) -> bool:
        if gate.start_line(head) is not None:
            return False
        message = self._parser.parse(head)
        return gate.syntax(head, b"ACK", message) is None and message is not None and message.to_tag

    def _is_response(self, head: Head) -> bool:
        """One Via line, a status, a method that has responses, a From tag (RFC 3261 8.1.3.3, 18.1.2)."""
        cseq = _CSEQ(head.one(CSEQ))
        return (
            _STATUS(head.text) is not None
            and type(head.values[VIA]) is bytes
            and cseq is not None
            and cseq[1] != b"ACK"
            and b"tag=" in head.one(FROM).lower()
            and bool(head.one(TO).strip())
            and bool(head.one(CALL_ID).strip())
            and self._parser.usable(head)
        )

    def _read(self, head: Head, peer: Peer, host: bytes, port: int, number: int) -> tuple[Message, Flow]:
        """The message with its Via stamped (RFC 3261 18.2.1, RFC 3581), and the way that its responses go."""
        message = parse(head.text, head.body)
        return message, self._stamped(message, peer, host, port, number)

    def _stamped(self, message: Message, peer: Peer, host: bytes, port: int, number: int) -> Flow:
        """Stamp the Via; the way that the responses go."""
        headers = message.headers
        transport = self._ways.transport_of(number)
        if transport == "udp":
            self._ways.heard(number)
        for place, (name, value) in enumerate(headers):
            if name == "Via":
                raw = value.encode("utf-8", "surrogateescape")
                stamped, answer_port = stamp_via(b" " + raw, host, port)
                headers[place] = (name, stamped[1:].decode("utf-8", "surrogateescape"))
                if transport != "udp":
                    self._ways.called_from(number, sent_by(value)[1])
                elif not peer.symmetric:
                    port = answer_port
                break
        return Flow(transport, host.decode(), port, number)

    def _loud(self, head: Head) -> None:
        self._told(head.one(CALL_ID).strip().decode("utf-8", "replace"))

    def _told(self, call_id: str) -> None:
        self.counts["errors"] += 1
        log.exception("%r: our fault, a relayed call was hurt", call_id)


def _cseq(value: str) -> tuple[int, str]:
    """Number and method in their usual form, else (0, "")."""
    number, _, _ = value.partition(" ")
    method = _USUAL.get(value[len(number) :], "")
    return (int(number), method) if method and number.isascii() and number.isdecimal() and len(number) < 10 else (0, "")


def _is_usual_request(message: Message, values: dict[str, str], number: int, method: str) -> bool:
    """What `gate.start_line` and `gate.syntax` want, and a To tag."""
    hops = values.get("Max-Forwards", "70")
    return (
        method == message.method
        and _USUAL_REQUEST(message.uri) is not None
        and hops.isascii()
        and hops.isdecimal()
        and len(hops) <= 3
        and int(hops) <= 255
        and _has_usual_branch(values.get("Via", ""))
        and bool(tag(values.get("To", "")))
    )


def _has_usual_branch(via: str) -> bool:
    """One value with one branch, of which the cookie is not all (RFC 3261 8.1.1.7)."""
    before, _, after = via.partition(";branch=z9hG4bK")
    more = after[:1].isascii() and (after[:1].isalnum() or after.startswith(("-", ".", "_")))
    return more and "," not in via and "ranch" not in before.lower() and "ranch" not in after.lower()
