"""A call record as it is told: the story of the call for people, plain data for scripts and spreadsheets."""

from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from sipacr.memory.report import Leg, NotTried, Report
from sipacr.routing.facts import Number

_OUTCOMES: dict[str, str] = {
    "": "it goes on",
    "answered": "answered",
    "busy": "busy",
    "no_answer": "not answered",
    "declined": "declined",
    "unavailable": "unavailable",
    "voicemail": "answered by voicemail",
    "unknown_number": "the number is unknown",
    "unreachable": "unreachable",
    "refused": "refused by the far end",
    "forwarded": "redirected by the far end",
    "elsewhere": "another one answered first",
    "abandoned": "the caller gave up",
    "rejected": "rejected by sipacr",
    "redirected": "redirected; what came next is not known",
    "lost": "lost: sipacr crashed while it went on",
}
_ENDED_BY = {"caller": "the caller hung up", "callee": "the called side hung up", "us": "sipacr hung up"}


def story(report: Report, zone: ZoneInfo, names: dict[str, str]) -> Iterator[str]:
    """The call in sentences, times in `zone`. `names`: our own numbers and what they are called."""
    yield _headline(report, zone, names)
    rules = ", then ".join(report.rules) or "none matched"
    where = f"  [{report.position}]" if report.position else ""
    version = f", rule set {report.version}" if report.version else ""
    yield f"  rules: {rules}{where}{version}"
    if report.nobody:
        yield f"  nobody is bound by this call: the customer {report.nobody}"
    yield from (f"  {line}" for line in _bindings(report))
    for skip in report.not_tried:
        if not _is_sticky(skip.step) or report.direction == "out":
            yield f"  skipped: {_step(skip)}{skip.reason}"
    for leg in report.legs:
        yield f"  {_time(leg.started, zone)} {_attempt(leg)}"
    for talk in report.talks:
        until = report.last if talk.until is None else talk.until
        who = talk.agent or f"{talk.who} (none of the agents)"
        yield f"  {_time(talk.since, zone)} {who} talked with the customer for {until - talk.since:.0f} s"
    if not report.talks:
        yield "  nobody talked with the customer"
    yield f"  {_time(report.last, zone)} {_end(report)}"


def as_data(report: Report) -> dict[str, object]:
    """Everything that the record holds; times in UTC."""
    return {
        "uid": report.uid, "source": report.source, "call_id": report.call_id, "direction": report.direction,
        "caller": _number(report.caller), "dialled": _number(report.dialled), "name": report.name,
        "customer": report.customer, "nobody": report.nobody, "number": report.number, "shown": report.shown,
        "agent": report.agent, "peer": report.peer, "started": moment(report.started),
        "ringing": moment(report.ringing), "answered": moment(report.answered), "ended": moment(report.ended),
        "alive": moment(report.alive) if report.ended is None else None, "outcome": report.outcome,
        "code": report.code, "reason": report.reason, "ended_by": report.ended_by, "talk": talk_seconds(report),
        "rules": list(report.rules), "position": report.position, "version": report.version, "tag": report.tag,
        "learn": report.learn, "headers": {name: list(values) for name, values in report.headers.items()},
        "legs": [{**leg._asdict(), "started": moment(leg.started), "ended": moment(leg.ended)} for leg in report.legs],
        "talks": [
            {**talk._asdict(), "since": moment(talk.since), "until": moment(talk.until)} for talk in report.talks
        ],
        "not_tried": [skip._asdict() for skip in report.not_tried],
        "binding": _bindings(report),
    }  # fmt: skip


COLUMNS = (
    "started", "direction", "caller", "caller_raw", "dialled", "dialled_raw", "customer", "number", "agent", "peer",
    "answered", "ended", "outcome", "code", "reason", "ended_by", "talk", "talked", "rules", "position", "version",
    "tag", "tried", "skipped", "binding", "source", "uid", "call_id",
)  # fmt: skip


def as_row(report: Report) -> list[object]:
    """One line of a spreadsheet, in the order of `COLUMNS`; what is several stands in one cell."""
    return [
        moment(report.started), report.direction, report.caller.key, report.caller.raw, report.dialled.key,
        report.dialled.raw, report.customer, report.number, report.agent, report.peer, moment(report.answered),
        moment(report.ended), report.outcome, report.code, report.reason, report.ended_by, talk_seconds(report),
        ", ".join(talk.agent or talk.who for talk in report.talks), ", ".join(report.rules), report.position,
        report.version, report.tag, "; ".join(f"{leg.target}: {leg.outcome} {leg.code}" for leg in report.legs),
        "; ".join(_step(skip) + skip.reason for skip in report.not_tried), "; ".join(_bindings(report)), report.source,
        report.uid, report.call_id,
    ]  # fmt: skip


def talk_seconds(report: Report) -> float | None:
    """How long somebody talked with the customer; None: the call was not answered."""
    if report.answered is None:
        return None
    return round(max(0.0, report.last - report.answered), 3)


def moment(at: float | None) -> str | None:
    """Unix seconds as ISO 8601 in UTC."""
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")


def _headline(report: Report, zone: ZoneInfo, names: dict[str, str]) -> str:
    when = datetime.fromtimestamp(report.started, zone).strftime("%a %Y-%m-%d %H:%M:%S %Z")
    caller = _words(report.caller, names) if report.caller.raw or report.caller.text else "an anonymous caller"
    if report.direction == "out" and report.agent:
        caller = f"{report.agent} ({caller})"
    over = f" over {report.peer}" if report.peer else f", told by {report.source}"
    return f"{when}: {caller} called {_words(report.dialled, names)}{over}"


def _words(number: Number, names: dict[str, str]) -> str:
    name = f" ({names[number.key]})" if number.key in names else ""
    written = f' (written "{number.raw}")' if number.raw not in ("", number.key) else ""
    return f"{number.key}{name}{written}"


def _bindings(report: Report) -> list[str]:
    """Which binding was used, or why not."""
    if report.direction == "out":
        return []
    lines = []
    used = [leg for leg in report.legs if _is_sticky(leg.step)]
    lines += [f"{leg.step} named {leg.agent or leg.target}: {_outcome(leg)}" for leg in used]
    for skip in report.not_tried:
        if _is_sticky(skip.step):
            lines.append(f"{skip.step} was not used: {_who(skip)}{skip.reason}")
    return lines or ["no sticky step had its turn"]


def _is_sticky(step: str) -> bool:
    return step.startswith("sticky ")


def _who(skip: NotTried) -> str:
    return "" if skip.step.endswith(f" {skip.who}") else f"{skip.who} "


def _step(skip: NotTried) -> str:
    return f"{skip.step}: {_who(skip)}"


def _attempt(leg: Leg) -> str:
    whom = f"{leg.target} ({leg.step}, {leg.address})" if leg.step != leg.target else f"{leg.target} ({leg.address})"
    return f"{whom} was called: {_outcome(leg)}"


def _outcome(leg: Leg) -> str:
    if not leg.outcome:
        return "it rings"
    said = _OUTCOMES.get(leg.outcome, leg.outcome)
    code = f" ({leg.code}{f', {leg.reason}' if leg.reason else ''})" if leg.code else ""
    if leg.outcome in ("no_answer", "abandoned") and leg.ended is not None:
        said += f", after {leg.ended - leg.started:.0f} s"
    return said + code


def _end(report: Report) -> str:
    if report.goes_on:
        return "the call goes on"
    said = _OUTCOMES[report.outcome]
    how = ", ".join(part for part in (_ENDED_BY.get(report.ended_by, ""), report.reason) if part)
    code = f" ({report.code})" if report.code else ""
    return f"the end: {said}{code}{f'; {how}' if how else ''}"


def _time(at: float, zone: ZoneInfo) -> str:
    return datetime.fromtimestamp(at, zone).strftime("%H:%M:%S")


def _number(number: Number) -> dict[str, str | None]:
    return {"raw": number.raw, "e164": number.e164}


ATTEMPT_COLUMNS = (
    "uid", "source", "attempt", "step", "agent", "target", "address", "peer", "started", "ended", "outcome", "code",
    "reason",
)  # fmt: skip


def attempts(report: Report) -> Iterator[list[object]]:
    """A line for each attempt on a leg, in the order of `ATTEMPT_COLUMNS`."""
    for position, leg in enumerate(report.legs, 1):
        yield [
            report.uid, report.source, position, leg.step, leg.agent, leg.target, leg.address, leg.peer,
            moment(leg.started), moment(leg.ended), leg.outcome, leg.code, leg.reason,
        ]  # fmt: skip
