"""Transactions with a network, a clock and users that note what they are told."""

from typing import Any

from calls.network import CALLEE, CALLER, FakeNetwork, answer, request, tokens
from sipacr.calls.message import Message
from sipacr.calls.network import Flow
from sipacr.calls.timers import Timers
from sipacr.calls.transactions import ClientTransaction, ServerTransaction, Transactions, response_to

START = 1000.1  # not a round number: the sums of floats must not matter


class User:
    """Notes what a transaction tells."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def response(self, transaction: ClientTransaction, message: Message) -> None:
        self.told.append(str(message.code))

    def timed_out(self, transaction: ClientTransaction) -> None:
        self.told.append("timed out")

    def failed(self, transaction: ClientTransaction) -> None:
        self.told.append("failed")

    def abandoned(self, transaction: ServerTransaction) -> None:
        self.told.append("abandoned")


class World:
    """Transactions with a network and a clock."""

    def __init__(self) -> None:
        self.network = FakeNetwork()
        self.timers = Timers(START)
        self.transactions = Transactions(self.network, self.timers, tokens().__next__)

    @property
    def time(self) -> float:
        return self.timers.now - START

    def at(self, seconds: float) -> None:
        """Let time pass until this many seconds after the start."""
        self.timers.run(START + seconds)

    def times_of(self, what: str, until: float = 100.0) -> list[float]:
        """When from now on this is sent, seconds after the start."""
        self.network.take()
        found: list[float] = []
        while (due := self.timers.next_due()) is not None and due <= START + until:
            self.timers.run(due)
            found += [round(self.time, 3) for sent in self.network.starts() if sent == what]
        self.at(until)
        return found

    def client(self, method: str = "INVITE", flow: Flow = CALLEE, **fields: Any) -> tuple[ClientTransaction, User]:
        user = User()
        return self.transactions.send(request(method, via=False, **fields), flow, user), user

    def hear(self, transaction: ClientTransaction, code: int, **fields: Any) -> bool:
        """The far end answers a request of ours."""
        return self.transactions.response(answer(transaction.request, code, **fields), transaction.flow)

    def server(self, method: str = "INVITE", flow: Flow = CALLER, **fields: Any) -> ServerTransaction:
        transaction = self.transactions.request(request(method, **fields), flow)
        assert transaction is not None
        transaction.user = User()
        return transaction

    def says(self, transaction: ServerTransaction, code: int) -> None:
        transaction.respond(response_to(transaction.request, code, "Reason", "us"))

    def nothing_is_left(self) -> None:
        assert len(self.transactions) == 0
        assert len(self.timers) == 0
