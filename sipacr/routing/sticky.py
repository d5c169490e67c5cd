"""The memory at look-up: which rows of a customer are live now, and whom the profile's `keep` chooses among them.

Rows store the times of events and no verdict, so a changed ttl acts on what exists (product.md, "The memory").
"""

import math
from collections.abc import Collection, Iterable

from sipacr.routing.facts import Binding
from sipacr.routing.ruleset import Event, StickyProfile

# Seconds: times of day are told by doubles to a quarter of a microsecond, and who talked one after the other in a call
# that ended for all at once is told by the last bits (`memory.events`).
_NOISE = 5e-6


def clock(row: Binding, profile: StickyProfile) -> float:
    """Unix seconds from which the ttl runs: when the row was made, or the latest event that restarts the clock."""
    if row.in_progress or row.calling:
        return math.inf
    return _latest(row, profile.refresh)


def is_fresh(made: float, profile: StickyProfile, now: float) -> bool:
    """Whether a row that was made then is live whatever happened since: that only restarts the clock."""
    return profile.ttl is None or now - made <= profile.ttl


def is_live(row: Binding, profile: StickyProfile, now: float) -> bool:
    """Live iff now - clock <= ttl; a row whose call is still going on is live."""
    return profile.ttl is None or now - clock(row, profile) <= profile.ttl + _NOISE


def chosen(rows: Iterable[Binding], profile: StickyProfile, now: float) -> list[Binding]:
    """The live rows to offer, in order: one for `keep: last` and `first`, all of them newest first for `all`."""
    live = list(rows) if profile.ttl is None else [row for row in rows if is_live(row, profile, now)]
    if len(live) < 2:
        return live
    if profile.keep == "first":
        return [min(live, key=lambda row: row.made)]
    # A call in progress is the latest; that the customer calls moves clocks, not the order.
    counting = profile.refresh - {"in_call"}
    live.sort(key=lambda row: (row.in_progress, _latest(row, counting)), reverse=True)
    return live if profile.keep == "all" else live[:1]


def _latest(row: Binding, events: Collection[Event]) -> float:
    """When the clock of the row began, or the latest of these events, whichever is later."""
    latest = row.made if row.since is None else row.since
    for event in events:
        at = getattr(row, event)
        if at is not None and at > latest:
            latest = at
    return latest
