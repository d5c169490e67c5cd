"""From which side to which a message of a call goes, and what a new leg is told: all that tailoring may look at."""

from dataclasses import dataclass
from typing import Literal

from sipacr.routing.directory import Peer
from sipacr.routing.facts import Number
from sipacr.routing.ruleset import Outcome, Step

# The option tags that mean the same on both sides of us (RFC 3261 20.32, 20.37); no other one is passed.
OPTIONS = frozenset({"100rel", "timer", "replaces", "norefersub", "199", "histinfo"})

ForwardBy = Literal["diversion", "history-info", "both"]


@dataclass(slots=True)
class Passage:
    """One direction of a call."""

    source: Peer
    target: Peer
    local_host: str  # host[:port] of ours as the target sees us; it stands in for every host of the source's side
    options: frozenset[str] = OPTIONS  # without "100rel" or "timer" where a leg may not use it


@dataclass(slots=True)
class Invitation:
    """What one new leg is offered with."""

    passage: Passage
    user: str  # of the Request-URI, not escaped
    target_host: str  # host[:port] of the Request-URI
    dialled: Number  # what the caller dialled
    step: Step | None = None  # None: the fallback, or the way of an outgoing call
    rule: str = ""  # for X-Sipacr-Rule: names of the rules that matched
    dialled_name: str = ""  # of the dialled number, if it is one of ours: shown where the step whispers (S2.2)
    is_forward: bool = False  # the call leaves for a telephone outside (RFC 5806, RFC 7044)
    after: Outcome | None = None  # what the leg before this one did; None: it is the first
    forward_by: ForwardBy = "diversion"  # how the target is told of a forward
    stamp: str = ""  # the value of X-Sipacr-Seen; it goes to PBXs only
    emergency: bool = False  # no wish for privacy hides the number of From
