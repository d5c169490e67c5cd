"""Reports of calls for tests: a customer calls, or an agent calls a customer, with what matters written beside it."""

import sqlite3
from typing import Any

from sipacr.memory.report import Leg, Report, Talk
from sipacr.routing.facts import Number
from sipacr.store.learning import LearnLost
from sipacr.store.records import going_on, one

ONE, TWO, THREE = "+48601000111", "+48601000222", "+48601000333"
SHOP = "+48221112233"
NOON = 1_795_431_600.0  # 2026-11-23 12:00 in Warsaw, a Monday
HOUR, DAY = 3600.0, 86_400.0


def number(text: str) -> Number:
    return Number(text, text, text if text.startswith("+") else None)


def call_in(uid: str = "c1", customer: str = ONE, at: float = NOON, **more: Any) -> Report:
    """The customer calls; nobody answers, and after 20 s he is gone, unless `more` says else."""
    fields: dict[str, Any] = {
        "uid": uid, "source": "relay", "direction": "in", "customer": customer, "number": SHOP, "peer": "trunk-a",
        "started": at, "ended": at + 20, "outcome": "no_answer", "code": 480, "caller": number(customer),
        "dialled": number(SHOP), "call_id": f"{uid}@198.51.100.1",
    }  # fmt: skip
    return Report(**{**fields, **more})


def call_out(uid: str = "o1", customer: str = ONE, at: float = NOON, agent: str | None = "anna", **more: Any) -> Report:
    """An agent calls the customer, who does not answer, unless `more` says else."""
    fields: dict[str, Any] = {
        "uid": uid, "source": "relay", "direction": "out", "customer": customer, "number": SHOP, "shown": SHOP,
        "peer": "pbx", "agent": agent, "started": at, "ended": at + 20, "outcome": "no_answer", "code": 480,
        "caller": number("101"), "dialled": number(customer), "call_id": f"{uid}@10.0.0.5",
        "legs": (leg("outgoing_via", None, at, target="trunk-a", outcome="no_answer", code=480),),
    }  # fmt: skip
    return Report(**{**fields, **more})


def leg(step: str, agent: str | None, at: float, seconds: float = 20.0, **more: Any) -> Leg:
    """An attempt that ends after `seconds`."""
    target = more.pop("target", agent or "queue-main")
    fields: dict[str, Any] = {"address": f"{target}@pbx", "peer": "pbx", "outcome": "no_answer"}
    return Leg(step, agent, target, **{**fields, "started": at, "ended": at + seconds, **more})


def talked(agent: str, at: float, seconds: float = 60.0, ring: float = 5.0) -> dict[str, Any]:
    """Fields of a call that this agent answered after `ring` seconds, and which lasted `seconds` from then on."""
    since, until = at + ring, at + ring + seconds
    return {
        "answered": since, "ended": until, "outcome": "answered", "code": 200, "ended_by": "caller",
        "talks": (Talk(agent, agent, since, until),),
    }  # fmt: skip


def close_lost(connection: sqlite3.Connection) -> list[Report]:
    """What a start after a crash makes of the calls that went on, as they are kept then."""
    before = going_on(connection)
    LearnLost(()).write(connection)
    return [kept for report in before if (kept := one(connection, report.uid)) is not None]
