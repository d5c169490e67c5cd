"""Peers, messages and legs for the tests of what passes between the sides of a call."""

from dataclasses import replace
from typing import Any

from sipacr.calls.message import Headers, Message
from sipacr.calls.passage import Invitation, Passage
from sipacr.routing.directory import Peer
from sipacr.routing.numbers import NumberPlan
from sipacr.routing.ruleset import Position, Step

PL = NumberPlan.of("PL", ("1??",))
OURS = "router.example:5060"
TRUNK = Peer("trunk", "trunk", "relay", ("a.example",), PL, trusted=True, identity="pai")
PBX = Peer("pbx", "pbx", "relay", ("b.example",), PL, trusted=True, identity="pai", rule_header=True)
STRANGER = replace(TRUNK, name="stranger", trusted=False, identity="from")  # a trunk that is not trusted
PLAIN_PBX = replace(PBX, name="plain", trusted=False, identity="from")

FROM = '"Jan" <sip:+48601000111@a.example>;tag=1'


def passage(source: Peer = TRUNK, target: Peer = PBX, **rest: Any) -> Passage:
    return Passage(source, target, OURS, **rest)


def invitation(source: Peer = TRUNK, target: Peer = PBX, **rest: Any) -> Invitation:
    return Invitation(
        passage(source, target),
        **{"user": "101", "target_host": "b.example", "dialled": PL.read("+48221112233"), **rest},
    )


def step(**manner: Any) -> Step:
    return Step("agent", "anna", Position("rules.yaml", 1, 1), **manner)


def invite(*headers: tuple[str, str], from_: str = FROM) -> Message:
    return Message("INVITE", "sip:x@y", headers=[("From", from_), *headers])


def values(headers: Headers, name: str) -> list[str]:
    return [value for each, value in headers if each == name]
