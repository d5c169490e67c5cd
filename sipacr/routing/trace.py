"""Says in words a telephony admin understands how the facts of a call stand to a condition, by the tests of `truth`."""

from datetime import datetime
from zoneinfo import ZoneInfo

from sipacr.routing import lookups
from sipacr.routing.conditions import (
    All,
    AnyOf,
    Condition,
    Contains,
    During,
    HeaderIs,
    IsAnonymous,
    IsKnown,
    IsShared,
    IsVip,
    MaskIs,
    Not,
    NumberIs,
    OnList,
    PeerIs,
    Regex,
    RegionIs,
    Share,
    Side,
)
from sipacr.routing.facts import Facts, Number, Unavailable
from sipacr.routing.ruleset import Ruleset
from sipacr.routing.truth import SHARES, Truth, Truths, caller_of, share_of

_NAMED = 4  # numbers, masks or codes that are written out; of more only how many there are


def words_of_number(number: Number) -> str:
    """The number as the trace shows it: E.164, or the raw text in quotes where there is none."""
    return number.e164 or f'"{number.text}"'


def words_of_time(now: float, timezone: str) -> str:
    """`now` (unix seconds) to the minute in an IANA time zone."""
    return datetime.fromtimestamp(now, ZoneInfo(timezone)).strftime("%Y-%m-%d %H:%M")


class Words:
    """Speaks of the conditions of one call."""

    def __init__(self, truths: Truths, ruleset: Ruleset, facts: Facts, now: float) -> None:
        self._truths = truths
        self._ruleset = ruleset
        self._facts = facts
        self._request = facts.request
        self._now = now

    def why(self, condition: Condition) -> str:
        """Why the condition does not hold: the facts as they are, not as the rule wants them."""
        truth = self._truths.value(condition, self._facts, self._now)
        match condition:
            case All(parts):
                return self._join(parts, truth, "; ")
            case AnyOf(parts):
                return self._join(parts, truth, "; ")
            case Not(parts):
                return self._join(parts, None if truth is None else not truth, "; ")
        said = self._of_store(condition, truth) or self._of_number(condition, bool(truth))
        return said or self._of_moment(condition, bool(truth))

    def _join(self, parts: tuple[Condition, ...], truth: Truth, separator: str) -> str:
        """The parts that made the whole what it is."""
        return separator.join(
            self.why(part) for part in parts if self._truths.value(part, self._facts, self._now) is truth
        )

    def _side(self, side: Side) -> str:
        if side == "dialled":
            return f"dialled {words_of_number(self._request.dialled)}"
        return (
            "an anonymous caller" if self._request.anonymous else f"caller {words_of_number(caller_of(self._request))}"
        )

    def _of_store(self, condition: Condition, truth: Truth) -> str | None:
        caller = self._side("caller")
        match condition:
            case IsVip(value):
                what, yes, no = "is a VIP", self._vip(), f"{caller} is not in the VIP table"
            case IsKnown(value):
                what, yes, no = "is known", f"{caller} is known", f"{caller} is not known"
            case IsShared(value):
                what, yes, no = "has a shared number", f"{caller} has a shared number", f"{caller} has no shared number"
            case OnList(names):
                value = True
                lists = _one_of("list", names)
                what, yes, no = f"is on {lists}", self._listed(names), f"{caller} is not on {lists}"
            case _:
                return None
        if truth is None:
            causes = dict.fromkeys(str(seen) for seen in self._facts.seen.values() if isinstance(seen, Unavailable))
            return f"unknown whether {caller} {what}: {'; '.join(causes)}"
        return yes if truth is value else no

    def _vip(self) -> str:
        agent = None if self._request.anonymous else lookups.vip(self._facts)
        return f"{self._side('caller')} is a VIP of {agent}" if isinstance(agent, str) else "no VIP"

    def _listed(self, names: tuple[str, ...]) -> str:
        for name in names:
            entry = None if self._request.anonymous else lookups.list_entry(self._facts, name, self._now)
            if entry is not None and not isinstance(entry, Unavailable):
                return f"{self._side('caller')} is on list {name} ({entry.number})"
        return f"{self._side('caller')} is on no list"

    def _of_number(self, condition: Condition, truth: bool) -> str | None:
        verb = "" if truth else "not "
        match condition:
            case NumberIs(side, e164, raw):
                return f"{self._side(side)} is {verb}{_some(sorted(e164) + sorted(raw), 'numbers')}"
            case MaskIs(side, masks):
                matches = "matches" if truth else "does not match"
                return f"{self._side(side)} {matches} {_some([mask.pattern for mask in masks], 'masks')}"
            case Contains(side, texts):
                contains = "contains" if truth else "does not contain"
                return f"{self._side(side)} {contains} {_some(list(texts), 'texts')}"
            case Regex(side, patterns):
                matches = "matches" if truth else "does not match"
                return f"{self._side(side)} {matches} regex {_some(list(patterns), 'expressions')}"
            case RegionIs(side, codes):
                return self._of_region(side, codes, truth)
        return None

    def _of_region(self, side: Side, codes: tuple[str, ...], truth: bool) -> str:
        number = caller_of(self._request) if side == "caller" else self._request.dialled
        region = self._truths.region(number)
        who = self._side(side)
        if region is None:
            return f"{who} has no region"
        guess = ", the numbering plan's guess" if region.guess else ""
        where = f"{who} is in {', '.join(region.codes)}{guess}"
        if truth:
            return where
        coarse = all("-" not in code for code in region.codes) and any(
            code.partition("-")[0] in region.codes for code in codes
        )
        why = " (only the country is known, as with most mobile numbers)" if coarse else ""
        return f"{where}{why}, not in {_some(list(codes), 'regions')}"

    def _of_moment(self, condition: Condition, truth: bool) -> str:
        request = self._request
        match condition:
            case During(names):
                states = [self._schedule(name) for name in names if not truth or self._is_open(name)]
                return "; ".join(states)
            case PeerIs(names):
                verb = "" if truth else ", not from " + " or ".join(names)
                return f"the call came from {request.peer}{verb}"
            case HeaderIs(name, masks):
                values = ", ".join(request.headers.get(name, ()))
                if not request.headers.get(name):
                    return f"there is no header {name}"
                matches = "matches" if truth else "does not match"
                return f'header {name} "{values}" {matches} {_some([mask.pattern for mask in masks], "masks")}'
            case Share(threshold, rule):
                verb = "" if truth else "not "
                place = share_of(rule, request)
                return (
                    f"the caller is {verb}in the share of {_percent(threshold)} "
                    f"(his place is {_percent(place)} of 100 %)"
                )
            case IsAnonymous():
                return "the caller is anonymous" if request.anonymous else f"{self._side('caller')} is not anonymous"
        raise TypeError(f"no such condition: {condition!r}")

    def _is_open(self, name: str) -> bool:
        return self._ruleset.schedules[name].is_open(self._now)

    def _schedule(self, name: str) -> str:
        schedule = self._ruleset.schedules[name]
        state = "open" if self._is_open(name) else "closed"
        return f"schedule {name} is {state} at {words_of_time(self._now, schedule.tz)}"


def _one_of(word: str, names: tuple[str, ...]) -> str:
    return f"{word} {names[0]}" if len(names) == 1 else f"{word}s {' or '.join(names)}"


def _some(texts: list[str], plural: str) -> str:
    return " or ".join(texts) if len(texts) <= _NAMED else f"any of {len(texts)} {plural}"


def _percent(share: int) -> str:
    return f"{share * 100 / SHARES:g} %"
