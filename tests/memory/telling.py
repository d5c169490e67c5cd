"""Stories of calls, written for people, and played: who called whom when, and where the customer's call goes then.

    S4.1 a failed call binds the caller
        {preset: vipex-1, ttl: 3d}
        mon 09:00 anna calls: busy
        mon 10:00 -> anna
        thu 09:01 -> queue

The second line is the sticky profile, or several as {p: {...}, q: {...}}. `anna calls` is a call to the customer: busy, no answer, declined, unavailable,
refused, unknown number, trunk fails, hangs up (before the answer), rejected (by us), voicemail 20s, talks 5m, `ivan
talks 5m` (the PBX named him), `talks 5m, ivan 2m` (a transfer), forwarded busy. `customer calls` is one of his: anna
talks 5m, nobody, hangs up, rejected, redirected, voicemail 20s, `outside` is no agent of ours. In brackets: (rings 20s)
before whatever happens, (line) our other number, dialled or shown, (withheld) or (foreign) shown, (crash 2m) after the
INVITE, (from trunk-b), (no learn) as the rule says, (X-Campaign: summer), (nobody: shared).
After the arrow, whom the step offers; in brackets what holds then: (line), (leave anna), (left anna), (busy anna),
(down pbx), (shared), (anonymous).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sipacr.memory.events import events
from sipacr.memory.fold import as_of, fold, learn, needs_others
from sipacr.memory.learner import Learner
from sipacr.memory.report import Leg, Report, Talk
from sipacr.routing.decide import Engine
from sipacr.routing.facts import Binding, Facts, Request, State
from sipacr.routing.given import GivenStore
from sipacr.routing.identity import NOBODY
from sipacr.routing.numbers import NumberPlan
from sipacr.routing.resolve import line_up
from tests.company import SomeRegions
from tests.rulefiles import load

PL = NumberPlan.of("PL")
MONDAY = 1_795_388_400.0  # 2026-11-23 00:00 in Warsaw
CUSTOMER = "+48601000111"
SHOP, LINE = "+48221112233", "+48221119900"
AGENTS = ("anna", "ivan", "olga", "zoe", "ghost")
SETTINGS = """\
listen: {udp: "127.0.0.1:5060"}
numbers: {country: PL, timezone: Europe/Warsaw, own: {"+48221112233": Shop, "+48221119900": Line}, extensions: ["1??"]}
peers:
  pbx: {role: pbx, address: "10.0.0.5:5060", mode: relay, contact: "pbx.example.pl:5060"}
  trunk-a: {role: trunk, address: "198.51.100.1", mode: relay}
  trunk-b: {role: trunk, address: "198.51.100.2", mode: relay}
destinations: {queue: "600@pbx"}
outgoing_via: trunk-a
"""
BASE = """\
agents:
  anna: {extension: 101}
  ivan: {extension: 102, mobile: "+48601222333"}
  olga: {extension: 103}
  zoe: {extension: 104, sticky: false}
groups: {sales: [[anna, ivan]]}
lists: {black: {}}
schedules: {office: {mon-fri: "08:00-18:00"}}
fallback: queue
"""
RULES = "rules:\n  - {name: all, route: [{sticky: p}]}\n"
WORDS = {
    "busy": ("busy", 486),
    "no answer": ("no_answer", 408),
    "declined": ("declined", 603),
    "unavailable": ("unavailable", 480),
    "refused": ("refused", 488),
    "unknown number": ("unknown_number", 404),
    "trunk fails": ("unreachable", 503),
    "hangs up": ("abandoned", 487),
    "nobody": ("no_answer", 480),
    "rejected": ("rejected", 403),
    "redirected": ("redirected", 302),
    "forwarded": ("forwarded", 302),
}
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_WHEN = re.compile(r"(?P<day>[a-z]{3})(?:\+(?P<weeks>\d+))? (?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d))? +")
_CALL = re.compile(r"(?P<who>\w+) calls(?P<how>(?: \([^)]*\))*): (?P<what>.+)")
_TALK = re.compile(r"(?:(?P<who>(?!talks)\w+) )?(?:talks )?(?P<length>\d+[smhd])")


@dataclass(frozen=True)
class Question:
    """Where the customer's call goes at `now`."""

    now: float
    expected: tuple[str, ...]
    how: dict[str, str]
    line: str


@dataclass(frozen=True)
class Story:
    title: str
    rules: str  # of the file: profile and rules
    reports: tuple[Report, ...]
    questions: tuple[Question, ...]

    def __str__(self) -> str:
        return self.title


def told(text: str, rules: str = RULES) -> list[Story]:
    """The stories in a text, which are parted by empty lines."""
    return [_story(part.strip("\n").splitlines(), rules) for part in re.split(r"\n\s*\n", text.strip("\n"))]


def _story(lines: Sequence[str], rules: str) -> Story:
    title, profile, *rest = (line.strip() for line in lines)
    reports: list[Report] = []
    questions: list[Question] = []
    for line in rest:
        if line.startswith("#"):
            continue
        when = _WHEN.match(line)
        assert when, line
        moment = MONDAY + 86400 * (_DAYS.index(when["day"]) + 7 * int(when["weeks"] or 0))
        moment += 3600 * int(when["hour"]) + 60 * int(when["minute"]) + int(when["second"] or 0)
        said = line[when.end() :]
        if said.startswith("->"):
            who, _, how = said[2:].partition("(")
            names = tuple(name.strip() for name in who.split(","))
            questions.append(Question(moment, names, _how(f"({how}"), line))
        else:
            call = _CALL.fullmatch(said)
            assert call, line
            reports.append(_report(f"call {len(reports)}", moment, call["who"], _how(call["how"]), call["what"]))
    assert questions, title
    sticky = f"sticky: {profile}\n" if profile.startswith("{p:") else f"sticky: {{p: {profile}}}\n"
    return Story(title, sticky + rules, tuple(reports), tuple(questions))


def _how(text: str) -> dict[str, str]:
    found = {}
    for part in re.findall(r"\(([^)]+)\)", text):
        key, _, value = part.partition(" ")
        found[key.rstrip(":")] = value
    return found


def seconds(text: str) -> float:
    return float(text[:-1]) * _UNITS[text[-1]]


def _report(uid: str, at: float, who: str, how: dict[str, str], what: str) -> Report:
    outgoing = who != "customer"
    number: str | None = LINE if "line" in how else SHOP
    if "withheld" in how or "foreign" in how:
        number = None
    values: dict[str, Any] = {
        "uid": uid,
        "source": "relay",
        "direction": "out" if outgoing else "in",
        "customer": CUSTOMER,
        "nobody": how.get("nobody", ""),
        "number": number,
        "shown": ("" if "withheld" in how else number or "+48229999999") if outgoing else "",
        "peer": how.get("from") or ("pbx" if outgoing else "trunk-a"),
        "agent": None if not outgoing or who == "outside" else who,
        "started": at,
        "learn": "no" not in how,
        "headers": {"x-campaign": (how["X-Campaign"],)} if "X-Campaign" in how else {},
    }
    ready = at + seconds(how.get("rings", "0s"))
    if what in WORDS or what.startswith("forwarded"):
        word, _, then = what.partition(" ") if what.startswith("forwarded") else (what, "", "")
        values["outcome"], values["code"] = WORDS[word]
        if then:
            first = Leg("", None, "trunk-a", "", "trunk-a", at, ready, "forwarded", 302)
            outcome, code = WORDS[then]
            values["legs"] = (first, Leg("", None, "trunk-a", "", "trunk-a", at, ready, outcome, code))
        values["ended"] = ready
    else:
        talks = []
        end = ready
        default = who if outgoing else None
        for part in what.removeprefix("voicemail ").split(", "):
            talk = _TALK.fullmatch(part)
            assert talk, what
            name = talk["who"] or default
            agent = name if name in AGENTS and not what.startswith("voicemail") else None
            talks.append(Talk(agent, name or "voicemail", end, end + seconds(talk["length"])))
            end += seconds(talk["length"])
        values["outcome"] = "voicemail" if what.startswith("voicemail") else "answered"
        values |= {"answered": ready, "ended": end, "talks": tuple(talks), "code": 200}
    report = Report(**values)
    if "crash" in how:
        cut = as_of(report, at + seconds(how["crash"]))
        assert cut is not None
        report = cut.lost()
    return report


@cache
def engine_of(rules: str) -> Engine:
    with TemporaryDirectory() as folder:
        settings, ruleset, problems = load(Path(folder), rules, BASE, SETTINGS)
    assert settings is not None, problems
    assert ruleset is not None, problems
    return Engine(ruleset, settings.directory, SomeRegions({}))


def offered(engine: Engine, question: Question, rows: Sequence[Binding]) -> tuple[str, ...]:
    """The names of all who would be offered the customer's call."""
    how = question.how
    caller = PL.read("48" + CUSTOMER[3:])._replace(e164=CUSTOMER)
    anonymous = "anonymous" in how
    request = Request(NOBODY if anonymous else caller, PL.read(LINE if "line" in how else SHOP), "trunk-a", anonymous)
    store = GivenStore(rows=rows, shared={CUSTOMER} if "shared" in how else ())
    state = State(
        busy=set(how.get("busy", "").split()),
        leave=set(how.get("leave", "").split()),
        left=set(how.get("left", "").split()),
        down=set(how.get("down", "").split()),
    )
    facts = Facts(request, store)
    decision = engine.decide(facts, question.now)
    ranks = line_up(engine, decision, facts, state, question.now).ranks
    names = tuple(target.name for rank in ranks for target in rank)
    return names[:-1] if len(names) > 1 and names[-1] == "queue" else names


def learners(engine: Engine) -> list[Learner]:
    return [Learner(profile, engine.ruleset.groups) for profile in engine.ruleset.sticky.values()]


def known_at(reports: Sequence[Report], now: float) -> list[Report]:
    return [known for report in reports if (known := as_of(report, now)) is not None]


def folded(engine: Engine, reports: Sequence[Report]) -> list[Binding]:
    return [row for learner in learners(engine) for row in fold(learner, reports).values()]


class Memory:
    """The stored rows of the customer, as the writer keeps them: each report that comes changes them."""

    def __init__(self, engine: Engine) -> None:
        self.rows: dict[tuple[str, str, str], Binding] = {}
        self.reports: dict[str, Report] = {}
        self._learners = learners(engine)

    def take(self, new: Report, always_all: bool = False) -> None:
        earlier = self.reports.get(new.uid)
        if earlier is not None and not new.replaces(earlier):
            return
        others = [report for report in self.reports.values() if report.uid != new.uid]
        last = max((float("inf") if other.goes_on else other.last for other in others), default=float("-inf"))
        told = others if always_all or needs_others(new, earlier, last) else None
        for learner in self._learners:
            mine = [row for row in self.rows.values() if row.profile == learner.profile.name]
            changes = learn(learner, mine, new, earlier, told)
            for row in changes.drop:
                del self.rows[row.profile, row.scope, row.agent]
            for row in changes.put:
                self.rows[row.profile, row.scope, row.agent] = row
        self.reports[new.uid] = new


def as_they_come(reports: Sequence[Report], now: float) -> Iterator[Report]:
    """Reports as a relay makes them: whenever something happens, up to `now`."""
    moments = {now}
    for report in reports:
        moments |= {report.started, report.last}
        moments |= {event.at for least in (0.0, 5.0, 10.0) for event in events(report, least)}
        moments |= {talk.since for talk in report.talks}
    was: dict[str, Report] = {}
    for moment in sorted(moment for moment in moments if moment <= now):
        for report in known_at(reports, moment):
            if was.get(report.uid) != report:
                was[report.uid] = report
                yield report
