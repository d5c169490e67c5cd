"""The memory at look-up: which rows of a customer are live now, and whom the profile's `keep` chooses among them.

Rows store the times of events and no verdict, so a changed ttl acts on what exists (product.md, "The memory").
"""

import math
from collections.abc import Callable, Sequence

from sipacr.routing.facts import Binding
from sipacr.routing.ruleset import StickyProfile


def clock(row: Binding, profile: StickyProfile) -> float:
    """Unix seconds from which the ttl runs: when the row was made, or the latest event that restarts the clock."""
    if row.in_progress:
        return math.inf
    started = row.made
    for event in profile.refresh:
        at = getattr(row, event)
        if at is not None and at > started:
            started = at
    return started


def is_live(row: Binding, profile: StickyProfile, now: float) -> bool:
    """Live iff now - clock <= ttl; a row whose call is still going on is live."""
    return profile.ttl is None or row.in_progress or now - clock(row, profile) <= profile.ttl


def chosen(
    rows: Sequence[Binding], profile: StickyProfile, now: float, offered: Callable[[str], bool]
) -> list[Binding]:
    """The live rows to offer, in order: one for `keep: last` and `first`, all of them newest first for `all`.

    Rows whose agent is not `offered` at all (left, switched off) drop out before `keep`.
    """
    if profile.ttl is None:
        live = [row for row in rows if offered(row.agent)]
    else:
        live = [row for row in rows if is_live(row, profile, now) and offered(row.agent)]
    if len(live) < 2:
        return live
    if profile.keep == "first":
        return [min(live, key=lambda row: row.made)]
    live.sort(key=lambda row: _latest(row, profile), reverse=True)
    return live if profile.keep == "all" else live[:1]


def _latest(row: Binding, profile: StickyProfile) -> float:
    """The time by which `keep: last` orders: as the clock, but the customer's mere calls do not count."""
    if row.in_progress:
        return math.inf
    times = (getattr(row, event) for event in profile.refresh if event != "in_call")
    return max((at for at in times if at is not None and at > row.made), default=row.made)
