"""The probe: what it sends, and what it does with each kind of answer."""

import socket
import threading
from collections.abc import Callable

import pytest
from sip_messages import header

from sipacr.probe import NoSuchSource, Probe, Shown, run


class Answering:
    """A UDP socket that answers the first INVITE with what it is told, and notes all that comes."""

    def __init__(self, answers: Callable[[str], list[str]]) -> None:
        self.seen: list[str] = []
        self._socket = socket.socket(type=socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(5)
        self.port = int(self._socket.getsockname()[1])
        self._thread = threading.Thread(target=self._serve, args=(answers,))
        self._thread.start()

    def _serve(self, answers: Callable[[str], list[str]]) -> None:
        with self._socket:
            data, source = self._socket.recvfrom(65535)
            self.seen.append(data.decode())
            for answer in answers(data.decode()):
                self._socket.sendto(answer.encode(), source)
            self._socket.settimeout(0.3)
            try:
                while True:
                    self.seen.append(self._socket.recv(65535).decode())
            except TimeoutError:
                return

    def done(self) -> list[str]:
        self._thread.join(10)
        return [text.split(" ", 1)[0] for text in self.seen]


def response(invite: str, line: str) -> str:
    kept = [row for row in invite.split("\r\n") if row.split(":")[0] in ("Via", "From", "Call-ID", "CSeq")]
    return "\r\n".join([f"SIP/2.0 {line}", *kept, "To: <sip:x@y>;tag=t", "Content-Length: 0", "", ""])


def probe(port: int, **more: object) -> list[Shown]:
    return list(run(Probe("+48601000111", "#31#+4822", "127.0.0.1", port, timeout=2.0, **more)))  # type: ignore[arg-type]


def test_a_redirect_is_acknowledged_and_ends_the_probe() -> None:
    server = Answering(lambda invite: [response(invite, "302 Moved Temporarily")])
    shown = probe(server.port, headers=("X-Campaign: summer",))
    assert [each.code for each in shown] == [0, 302, 0]
    assert server.done() == ["INVITE", "ACK"]
    invite, ack = (text.encode() for text in server.seen)
    assert invite.startswith(b"INVITE sip:%2331%23+4822@127.0.0.1:")
    assert header(invite, "X-Campaign") == ["summer"]
    assert header(ack, "To") == ["<sip:x@y>;tag=t"]
    assert header(ack, "Via") == header(invite, "Via")  # of the same transaction (RFC 3261 17.1.1.3)


def test_a_call_that_is_answered_is_ended() -> None:
    server = Answering(lambda invite: [response(invite, "180 Ringing"), response(invite, "200 OK")])
    assert [each.code for each in probe(server.port)] == [0, 180, 200, 0, 0]
    assert server.done() == ["INVITE", "ACK", "BYE"]


def test_without_an_answer_the_invite_is_repeated() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        shown = probe(silent.getsockname()[1])
    assert [each.sent for each in shown] == [True, True, True]
    assert len({each.text for each in shown}) == 1


def test_an_address_that_is_not_ours_is_told() -> None:
    with pytest.raises(NoSuchSource, match=r"10\.9\.9\.9 cannot be our own address"):
        probe(9, source="10.9.9.9")
