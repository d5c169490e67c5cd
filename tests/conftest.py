"""Fixtures of all tests: PJSIP is loaded once a process, as it has to be."""

from collections.abc import Callable

import pytest

from sipacr.routing.directory import Peer
from sipacr.routing.facts import Request
from sipacr.routing.numbers import NumberPlan
from sipacr.sip.answer import Verdict, contact, status
from sipacr.sip.front import Front
from sipacr.sip.library import Library, Schemes, self_check
from sipacr.sip.message import Parser

REDIRECT = Verdict(status(302), contact("101", "pbx.example.pl", "1.0", None))
FALLBACK = Verdict(status(302), contact("600", "pbx.example.pl", "1.0", None))


@pytest.fixture(scope="session")
def library() -> tuple[Library, Schemes]:
    library = Library()
    return library, self_check(library)


@pytest.fixture(scope="session")
def parser(library: tuple[Library, Schemes]) -> Parser:
    return Parser(*library)


@pytest.fixture
def trunk() -> Peer:
    return Peer("trunk-a", "trunk", "redirect", ("127.0.0.1:5070",), NumberPlan.of("PL"), trusted=True)


class Routed:
    """A front whose routing is a list: what came, and what is answered next."""

    def __init__(self, parser: Parser) -> None:
        self.requests: list[Request] = []
        self.verdict: Callable[[Request], Verdict] = lambda request: REDIRECT
        self.now = 1000.0
        self.front = Front(parser, self._route, lambda peer: FALLBACK, b"secret", lambda: self.now)
        self.front.read_headers(["X-Campaign"])
        self.front.set_own_addresses([("192.0.2.5", 5060), ("127.0.0.1", 5060), ("2001:db8::5", 5060)])

    def _route(self, request: Request, peer: Peer) -> Verdict:
        self.requests.append(request)
        return self.verdict(request)

    def send(self, data: bytes, peer: Peer, host: str = "127.0.0.1", port: int = 5070) -> bytes | None:
        reply = self.front.datagram(data, peer, host.encode(), port)
        return reply.data if reply else None


@pytest.fixture
def routed(parser: Parser) -> Routed:
    return Routed(parser)
