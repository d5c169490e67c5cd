"""Transactions under any order of messages, answers, cancels, failures and time."""

from hypothesis import given, settings
from hypothesis import strategies as st

from calls.network import CALLER, CALLER_TCP, request
from calls.world import User, World
from sipacr.calls.repeating import PATIENCE
from sipacr.calls.timers import T1, T4
from sipacr.calls.transactions import ClientTransaction, ServerTransaction, response_to

FLOWS = [CALLER, CALLER_TCP, CALLER._replace(host="198.51.100.9")]
CODES = [100, 180, 183, 200, 202, 302, 404, 486, 487]
METHODS = ["INVITE", "BYE", "OPTIONS", "CANCEL"]
EVENT = st.tuples(
    st.sampled_from(
        ["in", "in", "ack", "respond", "respond", "repeat", "send", "hear", "hear", "cancel", "fail", "time"]
    ),
    st.integers(0, 7),
    st.integers(0, 8),
)
PAUSES = [0.0, 0.1, 0.5, 0.6, 2.0, 4.9, 20.0, 32.0, 60.0]


class Anything(World):
    """Does whatever it is told and checks what must always hold."""

    def __init__(self) -> None:
        super().__init__()
        self.servers: list[ServerTransaction] = []
        self.clients: list[tuple[ClientTransaction, User]] = []
        self.finals: dict[ServerTransaction, list[int]] = {}  # what was sent by `respond`

    def do(self, what: str, first: int, second: int) -> None:
        getattr(self, f"do_{what}")(first, second)

    def do_in(self, first: int, second: int) -> None:
        method = METHODS[first % 4]
        message, flow = request(method, branch=f"z9hG4bK{second % 2}"), FLOWS[second % 3]
        server = self.transactions.request(message, flow)
        if server is not None:
            server.user = User()
            self.servers.append(server)
            self.finals[server] = []
        if method == "CANCEL":
            self.transactions.invite_of(message, flow)

    def do_ack(self, first: int, second: int) -> None:
        self.transactions.ack(request("ACK", branch=f"z9hG4bK{second % 2}"), FLOWS[second % 3])

    def do_respond(self, first: int, second: int) -> None:
        if self.servers:
            server = self.servers[-1 - first % len(self.servers)]
            self.network.take()
            self.says(server, CODES[second])
            self.finals[server] += [sent.code for sent in self.network.messages() if sent.code >= 200]

    def do_repeat(self, first: int, second: int) -> None:
        if self.servers:
            self.servers[-1 - first % len(self.servers)].repeat()

    def do_send(self, first: int, second: int) -> None:
        self.clients.append(self.client(["INVITE", "BYE"][first % 2], FLOWS[second % 3]))

    def do_hear(self, first: int, second: int) -> None:
        if self.clients:
            client, _ = self.clients[-1 - first % len(self.clients)]
            self.hear(client, CODES[second], to_tag=f"tag{first % 2}")

    def do_cancel(self, first: int, second: int) -> None:
        if self.clients:
            self.clients[-1 - first % len(self.clients)][0].cancel("reason")

    def do_fail(self, first: int, second: int) -> None:
        self.transactions.failed(FLOWS[second % 3])

    def do_time(self, first: int, second: int) -> None:
        self.timers.run(self.timers.now + PAUSES[second])

    def check(self) -> None:
        """At most one end for each; only the 2xx of an INVITE may come and go again."""
        for client, user in self.clients:
            ends = [told for told in user.told if not told.startswith("1")]
            assert user.told[len(user.told) - len(ends) :] == ends
            if client.request.method == "INVITE" and user.told and ends[:1] in (["200"], ["202"]):
                assert set(ends) <= {"200", "202"}
            else:
                assert len(ends) <= 1
        for server, finals in self.finals.items():
            assert isinstance(server.user, User)
            assert len(server.user.told) <= 1
            assert not (server.user.told and finals)
            assert finals[:1] == ([server.final] if server.final else [])
            if server.request.method == "INVITE" and 200 <= server.final < 300:
                assert set(finals) <= {200, 202}
            else:
                assert len(finals) <= 1

    def check_end(self) -> None:
        """When all is answered and time has passed everybody has had his end and nothing is left."""
        for server in self.servers:
            server.respond(response_to(server.request, 500, "Reason"))
        for client, _ in self.clients:
            client.cancel()
        self.timers.run(self.timers.now + 2 * PATIENCE + T4 + T1)
        assert [user.told for _, user in self.clients if not user.told or user.told[-1].startswith("1")] == []
        self.nothing_is_left()


@settings(max_examples=300, deadline=None)
@given(st.lists(EVENT, max_size=60))
def test_any_order_of_events(events: list[tuple[str, int, int]]) -> None:
    world = Anything()
    for event in events:
        world.do(*event)
        world.check()
    world.check_end()
