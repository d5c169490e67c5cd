"""In which order the agents of one line of a group are offered. Ties in any order stay as written."""

import hashlib
import math
from collections.abc import Mapping

from sipacr.routing.facts import Request, State
from sipacr.routing.ruleset import Agent, Order


def in_order(
    line: tuple[str, ...], order: Order, cursor: str, agents: Mapping[str, Agent], request: Request, state: State
) -> tuple[str, ...]:
    """The line's agents in the order of offering; `cursor`: the name under which `State.cursor` keeps a round-robin."""
    if order in ("in-order", "all") or len(line) < 2:
        return line
    if order == "round-robin":
        start = state.cursor.get(cursor, 0) % len(line)
        return line[start:] + line[:start]
    if order == "longest-idle":
        return tuple(sorted(line, key=lambda name: state.idle_since.get(name, -math.inf)))
    return tuple(sorted(line, key=lambda name: _lot(name, agents, request)))


def _lot(name: str, agents: Mapping[str, Agent], request: Request) -> float:
    """Lower is earlier: an exponential lot, so that an agent is first with a chance in proportion to his weight.

    It is drawn from the INVITE's identity: a retransmission must be answered alike.
    """
    agent = agents.get(name)
    weight = agent.weight if agent else 0
    if weight <= 0:
        return math.inf
    identity = f"{request.call_id}\0{request.from_tag}\0{request.cseq}\0{name}"
    digest = hashlib.sha256(identity.encode(errors="replace")).digest()
    return -math.log((int.from_bytes(digest[:7], "big") + 1) / 2**56) / weight
