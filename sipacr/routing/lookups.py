"""What the store says of the caller, asked once a call; each answer, or why there is none, stays in `Facts.seen`.

Nothing here raises `Unavailable`; it is returned, because a broken look-up is a fact like others: unknown for a
condition, a skipped step for a route. Nobody may ask for an anonymous caller. The six are alike and written out: one
function for all of them costs 0.4 us more a look-up, and so is the caller's `Number.key`.
"""

from collections.abc import Sequence

from sipacr.routing.facts import Binding, Facts, ListEntry, Unavailable


def vip(facts: Facts) -> str | Unavailable | None:
    """The agent who is responsible for this VIP."""
    seen = facts.seen
    if "vip" in seen:
        return seen["vip"]  # type: ignore[return-value]
    answer: str | Unavailable | None
    caller = facts.request.caller
    try:
        answer = facts.store.vip(caller.e164 or caller.text)
    except Unavailable as error:
        answer = _broke(facts, "the VIP table", error)
    seen["vip"] = answer
    return answer


def list_entry(facts: Facts, name: str, now: float) -> ListEntry | Unavailable | None:
    """The caller's entry on list `name`."""
    seen = facts.seen
    key = "list " + name
    if key in seen:
        return seen[key]  # type: ignore[return-value]
    answer: ListEntry | Unavailable | None
    try:
        answer = facts.store.list_entry(name, facts.request.caller, now)
    except Unavailable as error:
        answer = _broke(facts, key, error)
    seen[key] = answer
    return answer


def bound(facts: Facts, profile: str, scope: str) -> Sequence[tuple[str, float]] | Unavailable:
    """Of each of the caller's bindings the agent and when it was made: often enough, and half as dear as all of it."""
    seen = facts.seen
    key = f"bound {profile} {scope}" if scope else "bound " + profile
    if key in seen:
        return seen[key]  # type: ignore[return-value]
    answer: Sequence[tuple[str, float]] | Unavailable
    caller = facts.request.caller
    try:
        answer = facts.store.bound(profile, scope, caller.e164 or caller.text)
    except Unavailable as error:
        answer = _broke(facts, f"bindings of {profile}", error)
    seen[key] = answer
    return answer


def bindings(facts: Facts, profile: str, scope: str) -> Sequence[Binding] | Unavailable:
    """The caller's rows in one profile and scope, live or not."""
    seen = facts.seen
    key = f"sticky {profile} {scope}" if scope else "sticky " + profile
    if key in seen:
        return seen[key]  # type: ignore[return-value]
    answer: Sequence[Binding] | Unavailable
    caller = facts.request.caller
    try:
        answer = facts.store.bindings(profile, scope, caller.e164 or caller.text)
    except Unavailable as error:
        answer = _broke(facts, f"bindings of {profile}", error)
    seen[key] = answer
    return answer


def is_shared(facts: Facts) -> bool | Unavailable:
    """Whether the caller's number is marked as shared."""
    seen = facts.seen
    if "shared" in seen:
        return seen["shared"]  # type: ignore[return-value]
    answer: bool | Unavailable
    caller = facts.request.caller
    try:
        answer = facts.store.is_shared(caller.e164 or caller.text)
    except Unavailable as error:
        answer = _broke(facts, "shared numbers", error)
    seen["shared"] = answer
    return answer


def has_answered_call(facts: Facts) -> bool | Unavailable:
    """Whether the records hold an answered call with the caller."""
    seen = facts.seen
    if "answered" in seen:
        return seen["answered"]  # type: ignore[return-value]
    answer: bool | Unavailable
    caller = facts.request.caller
    try:
        answer = facts.store.has_answered_call(caller.e164 or caller.text)
    except Unavailable as error:
        answer = _broke(facts, "the call records", error)
    seen["answered"] = answer
    return answer


def _broke(facts: Facts, what: str, error: Unavailable) -> Unavailable:
    facts.broken += (f"{what}: {error}",)
    return error
