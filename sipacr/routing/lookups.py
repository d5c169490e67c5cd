"""What the store says of the caller, asked once a call; each answer, or why there is none, stays in `Facts.seen`.

Nothing here raises `Unavailable`; it is returned, because a broken look-up is a fact like others: unknown for a
condition, a skipped step for a route. Nobody may ask for an anonymous caller.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from sipacr.routing.facts import Binding, Facts, ListEntry, Unavailable

T = TypeVar("T")


def vip(facts: Facts) -> str | Unavailable | None:
    """The agent who is responsible for this VIP."""
    seen = facts.seen
    if "vip" in seen:
        return seen["vip"]  # type: ignore[return-value]
    return _ask(facts, "vip", "the VIP table", facts.store.vip, facts.request.caller.key)


def list_entry(facts: Facts, name: str, now: float) -> ListEntry | Unavailable | None:
    """The caller's entry on list `name`."""
    key = "list " + name
    if key in facts.seen:
        return facts.seen[key]  # type: ignore[return-value]
    return _ask(facts, key, f"list {name}", facts.store.list_entry, name, facts.request.caller, now)


def bindings(facts: Facts, profile: str, scope: str) -> Sequence[Binding] | Unavailable:
    """The caller's rows in one profile and scope, live or not."""
    key = f"sticky {profile} {scope}" if scope else "sticky " + profile
    if key in facts.seen:
        return facts.seen[key]  # type: ignore[return-value]
    return _ask(facts, key, f"bindings of {profile}", facts.store.bindings, profile, scope, facts.request.caller.key)


def is_shared(facts: Facts) -> bool | Unavailable:
    """Whether the caller's number is marked as shared."""
    if "shared" in facts.seen:
        return facts.seen["shared"]  # type: ignore[return-value]
    return _ask(facts, "shared", "shared numbers", facts.store.is_shared, facts.request.caller.key)


def has_answered_call(facts: Facts) -> bool | Unavailable:
    """Whether the records hold an answered call with the caller."""
    if "answered" in facts.seen:
        return facts.seen["answered"]  # type: ignore[return-value]
    return _ask(facts, "answered", "the call records", facts.store.has_answered_call, facts.request.caller.key)


def _ask(facts: Facts, key: str, what: str, ask: Callable[..., T], *arguments: Any) -> T | Unavailable:
    answer: T | Unavailable
    try:
        answer = ask(*arguments)
    except Unavailable as error:
        answer = error
        facts.broken += (f"{what}: {error}",)
    facts.seen[key] = answer
    return answer
