"""Calls that did not pass through us, as a PBX tells of them by a file or a webhook: their words -> a report."""

import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple, TypeVar
from zoneinfo import ZoneInfo

from sipacr.memory.report import CallOutcome, Direction, Report, Source, Talk
from sipacr.routing.directory import Directory
from sipacr.routing.identity import NOBODY, is_anonymous
from sipacr.routing.ruleset import Ruleset
from sipacr.store.spreadsheet import InputError, read_number

Meaning = TypeVar("Meaning")

# Our name of each fact -> other titles that mean it, in lower case and without underscores.
FIELDS: dict[str, tuple[str, ...]] = {
    "time": ("event time", "started", "start", "start time", "call time", "calldate", "date", "timestamp"),
    "direction": ("call direction", "type"),
    "customer": ("number", "phone", "phone number", "customer number", "client", "telephone"),
    "agent": ("employee", "extension", "ext", "user", "operator", "person"),
    "answered": ("disposition", "status", "outcome", "result", "call status"),
    "talk": ("talk time", "billsec", "talk seconds", "talktime", "conversation"),
    "uid": ("uniqueid", "unique id", "id", "call id", "linkedid", "callid"),
    "ours": ("our number", "company number", "did", "dialled", "shown"),
    "ended": ("end", "end time", "hangup time"),
    "name": ("caller name", "customer name"),
}
REQUIRED = ("time", "direction", "customer", "agent", "answered", "talk", "uid")

_AHEAD = 300.0  # seconds that the clock of a PBX may be before ours
_LONGEST = 128  # characters of a unique id
_DAY = 86_400.0
_DIRECTIONS: dict[str, Direction] = {
    **dict.fromkeys(("in", "incoming", "inbound", "received"), "in"),
    **dict.fromkeys(("out", "outgoing", "outbound", "made"), "out"),
}
_OUTCOMES: dict[str, CallOutcome] = {
    **dict.fromkeys(("yes", "true", "1", "y", "answered", "answer", "completed", "ok"), "answered"),
    **dict.fromkeys(("no", "false", "0", "n", "no answer", "noanswer", "missed", "unanswered"), "no_answer"),
    "busy": "busy",
    **dict.fromkeys(("declined", "rejected"), "declined"),
    "unavailable": "unavailable",
    **dict.fromkeys(("cancel", "cancelled", "canceled", "abandoned"), "abandoned"),
    **dict.fromkeys(("failed", "congestion", "chanunavail", "unreachable"), "unreachable"),
    "voicemail": "voicemail",
}
_UNIX = re.compile(r"\d{9,10}(\.\d{1,9})?")
_CLOCK = re.compile(r"(?:(\d+):)?(\d{1,3}):(\d\d)")


class Told(NamedTuple):
    """A call as it is understood, and what is worth a word."""

    report: Report
    warning: str = ""


class Outside:
    """Reads calls by one configuration."""

    def __init__(self, ruleset: Ruleset, directory: Directory) -> None:
        self._agents = ruleset.agents
        self._directory = directory
        self._zone = ZoneInfo(directory.timezone)
        self._extensions: dict[str, list[str]] = {}
        for agent in ruleset.agents.values():
            self._extensions.setdefault(agent.extension, []).append(agent.name)

    def told(self, values: Mapping[str, str], source: Source, now: float) -> Told:
        """The report of one call that is over. `values`: facts by their names in `FIELDS`, those of `REQUIRED` among
        them; `now`: unix seconds. Raises `InputError`, saying what is wrong."""
        uid = values["uid"].strip()
        if not uid or len(uid) > _LONGEST or not uid.isprintable():
            raise InputError(f"has no unique id of the PBX: 1 to {_LONGEST} printable characters")
        direction = _word(_DIRECTIONS, values["direction"], "direction", "in or out")
        outcome = _word(_OUTCOMES, values["answered"], "answered", "yes, no, busy, declined, cancelled, failed")
        started = self._moment(values["time"], "time", now)
        talk = _seconds(values["talk"])
        ended = self._moment(values["ended"], "ended", now) if values.get("ended") else started + talk
        if ended < started + talk:
            raise InputError(f"ended {ended - started:.0f} s after its time, but has {talk:.0f} s of talk")
        if talk and outcome not in ("answered", "voicemail"):
            raise InputError(f"has {talk:.0f} s of talk, but was not answered ({values['answered']})")
        plan = self._directory.plan
        text = values["customer"].strip()
        number = NOBODY if is_anonymous(text, "") else read_number(text, plan)
        ours = plan.read(values.get("ours", "").strip())
        agent, warning = self._agent(values["agent"].strip())
        who = agent or values["agent"].strip()
        answered = ended - talk if outcome in ("answered", "voicemail") else None
        company = ours.key if direction == "in" or ours.key in self._directory.own else None
        return Told(
            Report(
                uid=uid, source=source, direction=direction, customer=number.key, number=company or None,
                shown=ours.key if direction == "out" else "", agent=agent if direction == "out" else None,
                started=started, answered=answered, ended=ended, alive=ended, outcome=outcome,
                talks=(Talk(agent, who, answered, ended),) if answered is not None and who else (),
                caller=number if direction == "in" else ours, dialled=ours if direction == "in" else number,
                name=values.get("name", "").strip(),
            ),
            warning,
        )  # fmt: skip

    def _agent(self, text: str) -> tuple[str | None, str]:
        """An agent by his name or extension, or a word about whom nobody knows."""
        if not text or text in self._agents:
            return text or None, ""
        found = self._extensions.get(text, ())
        if len(found) == 1:
            return found[0], ""
        if found:
            raise InputError(f"extension {text} is of {' and '.join(found)}: write the agent's name")
        return None, f'the rules name no agent and no extension "{text}": the call teaches nothing'

    def _moment(self, text: str, what: str, now: float) -> float:
        text = text.strip()
        if _UNIX.fullmatch(text):
            moment = float(text)
        else:
            try:
                read = datetime.fromisoformat(text)
            except ValueError:
                raise InputError(
                    f"{what} {text!r} is no time: write 2026-12-24T16:30:00, with an offset or of {self._zone}, "
                    "or unix seconds"
                ) from None
            moment = (read if read.tzinfo is not None else read.replace(tzinfo=self._zone)).timestamp()
        if moment > now + _AHEAD:
            raise InputError(f"{what} {text} lies in the future")
        return moment


def _word(known: Mapping[str, Meaning], text: str, what: str, hint: str) -> Meaning:
    found = known.get(" ".join(text.lower().replace("_", " ").split()))
    if found is None:
        raise InputError(f"{what} {text!r} is not understood: write {hint}")
    return found


def _seconds(text: str) -> float:
    """Seconds, as such or as minutes and seconds with colons; nothing is 0."""
    text = text.strip()
    if found := _CLOCK.fullmatch(text):
        hours, minutes, rest = (int(part or 0) for part in found.groups())
        return float(hours * 3600 + minutes * 60 + rest)
    try:
        seconds = float(text or 0)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= _DAY:
        raise InputError(f"talk {text!r} is no time: write seconds, or 1:30")
    return seconds
