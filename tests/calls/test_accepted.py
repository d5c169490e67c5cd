"""A 2xx that waits for its ACK (RFC 3261 13.3.1.4)."""

import pytest

from sipacr.calls.accepted import Accepted
from sipacr.calls.message import Message
from sipacr.calls.network import Flow
from tests.calls.network import CALLER, CALLER_TCP, request
from tests.calls.world import World


class Waiting(World):
    """One 2xx that was just sent."""

    def __init__(self, flow: Flow = CALLER) -> None:
        super().__init__()
        self.told: list[str] = []
        server = self.server(flow=flow)
        self.says(server, 200)
        self.accepted = Accepted(server, self.timers, self.acknowledged, lambda: self.told.append("lost"))

    def acknowledged(self, ack: Message) -> None:
        self.told.append(ack.method)


@pytest.mark.parametrize("flow", [CALLER, CALLER_TCP])
def test_it_is_repeated_for_32_seconds_whatever_the_transport(flow: Flow) -> None:
    waiting = Waiting(flow)
    assert waiting.times_of("200 INVITE") == [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert waiting.told == ["lost"]
    waiting.nothing_is_left()


def test_an_ack_ends_it() -> None:
    waiting = Waiting()
    waiting.at(1.0)
    waiting.accepted.ack(request("ACK"))
    assert waiting.times_of("200 INVITE") == []
    assert waiting.told == ["ACK"]
    waiting.nothing_is_left()


def test_nobody_waits_any_more() -> None:
    waiting = Waiting()
    waiting.accepted.stop()
    assert waiting.times_of("200 INVITE") == []
    assert waiting.told == []
    waiting.nothing_is_left()
