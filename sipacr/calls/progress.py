"""A call in progress as people see it, and which calls somebody means."""

from collections.abc import Iterable

from sipacr.calls.call import Call
from sipacr.calls.callee import Callee

HUNG_UP = 'SIP;cause=480;text="Hung up by the administrator"'  # Reason, RFC 3326


def row(call: Call, now: float) -> dict[str, str | float | list[str]]:
    """What is shown of a call; `now` and `since` in unix seconds, `seconds` since it was answered or, before, came in.

    `call_id` is the caller's, `far_call_ids` are those of the legs that ring or talk, as their peers know them.
    """
    legs = legs_of(call)
    request = call.request
    return {
        "since": call.started,
        "state": call.state if call.answered_at is not None or any(leg.heard for leg in legs) else "trying",
        "caller": "anonymous" if request.anonymous else request.caller.key,
        "dialled": request.dialled.key,
        "from": call.peer.name,
        "to": ", ".join(dict.fromkeys(leg.peer.name for leg in legs)),
        "target": ", ".join(dict.fromkeys(leg.attempt.target.name for leg in legs)),
        "rule": ", ".join(call.hunt.decision.names),
        "seconds": max(0.0, now - (call.answered_at if call.answered_at is not None else call.started)),
        "call_id": call_id(call),
        "far_call_ids": [leg.call_id for leg in legs],
    }


def line(call: Call) -> str:
    """What the log says of a call that is over: Call-ID first, then name=value; text of far ends is made harmless."""
    callee = call.callee
    ended = call.ended_at if call.ended_at is not None else call.started
    answered = call.answered_at
    request = call.request
    values = {
        "caller": "anonymous" if request.anonymous else request.caller.key,
        "dialled": request.dialled.key,
        "from": call.peer.name,
        "rule": ", ".join(call.hunt.decision.names) or "none",
        "outcome": call.outcome,
        "target": callee.attempt.target.name if callee is not None else "",
        "to": callee.peer.name if callee is not None else "",
        "tried": str(len(call.hunt.tried)),
        "rang": f"{(answered if answered is not None else ended) - call.started:.1f}",
        "talked": f"{ended - answered:.1f}" if answered is not None else "0",
    }
    return f"{_harmless(call_id(call))}: " + " ".join(f"{name}={_quoted(value)}" for name, value in values.items())


def _quoted(value: str) -> str:
    harmless = _harmless(value)
    return '"' + harmless.replace('"', "'") + '"' if " " in value or not value or '"' in value else harmless


def _harmless(text: str) -> str:
    """Nobody out there writes lines of his own."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else "?" for character in text)


def legs_of(call: Call) -> list[Callee]:
    """Who talks, or who is being rung."""
    return [call.callee] if call.callee is not None else list(call.rung)


def call_id(call: Call) -> str:
    """The caller's Call-ID."""
    return call.caller.invite.get("Call-ID") or ""


def named(calls: Iterable[Call], text: str) -> list[Call]:
    """The calls with this Call-ID on either side."""
    return [call for call in calls if text == call_id(call) or any(text == leg.call_id for leg in legs_of(call))]
