"""Conditions as functions of one call: true, false, or unknown (None) when a fact is unavailable.

An absent fact (no region, an anonymous caller) makes its test false; an unavailable one (store locked) makes it
unknown, and unknown passes through not, any and all. Each distinct condition is compiled once; the indexed walk and the
traced walk of `decide` use the very same functions.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Final

import re2

from sipacr.routing import lookups, sticky
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
)
from sipacr.routing.directory import Directory
from sipacr.routing.facts import Facts, Number, Request, Unavailable
from sipacr.routing.masktable import MaskTable
from sipacr.routing.regions import Region, Regions
from sipacr.routing.ruleset import NamedList, StickyProfile
from sipacr.routing.schedules import Schedule

Truth = bool | None
ABSENT: Final = Number("", "", None)  # the number of a caller who hides it
SHARES: Final = 10_000


Test = Callable[[Facts, float], Truth]  # of a call's facts at a time (unix seconds)


class Truths:
    """All distinct conditions of one ruleset, each compiled to a test and known by its place."""

    def __init__(
        self,
        directory: Directory,
        regions: Regions,
        schedules: Mapping[str, Schedule],
        lists: Mapping[str, NamedList],
        profiles: Mapping[str, StickyProfile],
    ) -> None:
        self.regions = regions
        self.tests: list[Test] = []
        self._places: dict[Condition, int] = {}
        self._schedules = schedules
        self._known_lists = tuple(name for name, named in lists.items() if named.known)
        # A binding of any scope makes a customer known; the cheapest questions first.
        self._known_rows = tuple(
            (profile, scope)
            for profile in sorted(profiles.values(), key=lambda profile: profile.scope != "everywhere")
            for scope in (("",) if profile.scope == "everywhere" else tuple(directory.own))
        )

    def place(self, condition: Condition) -> int:
        """Where the condition stands in the memo; equal conditions share a place."""
        known = self._places.get(condition)
        if known is None:
            test = self._compile(condition)
            known = self._places[condition] = len(self.tests)
            self.tests.append(test)
        return known

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """All that are compiled, in the order of their places."""
        return tuple(self._places)

    @property
    def schedules(self) -> tuple[Schedule, ...]:
        """Those that a compiled condition names."""
        named = {name for condition in self._places if isinstance(condition, During) for name in condition.names}
        return tuple(schedule for name, schedule in self._schedules.items() if name in named)

    def value(self, condition: Condition, facts: Facts, now: float) -> Truth:
        """The condition's truth in this call at `now` (unix seconds), by the same test as in the walk."""
        return self.tests[self.place(condition)](facts, now)

    def region(self, number: Number) -> Region | None:
        """Where the number is from; None if it has no E.164 form or is in no known range."""
        if number.e164 is None:
            return None
        found = self.regions.lookup(number.e164)
        return found if found.codes else None

    def _compile(self, condition: Condition) -> Test:
        match condition:
            case All():
                return self._all(tuple(self.place(part) for part in condition.parts))
            case AnyOf():
                return self._any(tuple(self.place(part) for part in condition.parts), found=True)
            case Not():
                return self._any(tuple(self.place(part) for part in condition.parts), found=False)
            case NumberIs():
                return _number_is(condition)
            case MaskIs():
                return _mask_is(condition)
            case Contains():
                return _contains(condition)
            case Regex():
                return _regex(condition)
            case RegionIs():
                return self._region_is(condition)
            case OnList():
                return _on_list(condition.names)
            case IsVip():
                return _is_vip(condition.value)
            case IsKnown():
                return self._is_known(condition.value)
            case IsShared():
                return _is_shared(condition.value)
            case IsAnonymous(value):
                return lambda facts, now: facts.request.anonymous is value
            case During(names):
                return _during(tuple(self._schedules[name] for name in names))
            case PeerIs(names):
                peers = frozenset(names)
                return lambda facts, now: facts.request.peer in peers
            case HeaderIs():
                return _header_is(condition)
            case Share():
                return _share(condition)
        raise TypeError(f"no such condition: {condition!r}")

    def _all(self, places: tuple[int, ...]) -> Test:
        tests = self.tests

        def test(facts: Facts, now: float) -> Truth:
            truth: Truth = True
            for place in places:
                value = tests[place](facts, now)
                if value is None:
                    truth = None
                elif not value:
                    return False
            return truth

        return test

    def _any(self, places: tuple[int, ...], found: bool) -> Test:
        """`found` is the answer if a part holds: True for any, False for not."""
        tests = self.tests

        def test(facts: Facts, now: float) -> Truth:
            truth: Truth = not found
            for place in places:
                value = tests[place](facts, now)
                if value is None:
                    truth = None
                elif value:
                    return found
            return truth

        return test

    def _region_is(self, condition: RegionIs) -> Test:
        codes_of = self.regions.codes
        wanted = frozenset(condition.codes)
        inside: dict[tuple[str, ...], bool] = {}  # one entry for each set of codes that the data know
        of_caller = condition.side == "caller"

        def test(facts: Facts, now: float) -> Truth:
            request = facts.request
            e164 = caller_of(request).e164 if of_caller else request.dialled.e164
            if e164 is None:
                return False
            codes = codes_of(e164)
            answer = inside.get(codes)
            if answer is None:
                answer = inside[codes] = any(code in wanted or code.partition("-")[0] in wanted for code in codes)
            return answer

        return test

    def _is_known(self, value: bool) -> Test:
        def test(facts: Facts, now: float) -> Truth:
            if facts.request.anonymous:
                return not value
            known: Truth = self._known(facts, now)
            return known if known is None else known is value

        return test

    def _known(self, facts: Facts, now: float) -> Truth:
        """Any sure yes is a yes; without one, any question that could not be asked leaves it unknown."""
        unknown = False
        agent = lookups.vip(facts)
        if agent.__class__ is str:
            return True
        unknown |= isinstance(agent, Unavailable)
        for name in self._known_lists:
            entry = lookups.list_entry(facts, name, now)
            if entry is not None and not isinstance(entry, Unavailable):
                return True
            unknown |= entry is not None
        answered = lookups.has_answered_call(facts)
        if answered is True:
            return True
        unknown |= answered is not False
        for profile, scope in self._known_rows:
            live = _has_live_binding(facts, profile, scope, now)
            if live:
                return True
            unknown |= live is None
        return None if unknown else False


def _has_live_binding(facts: Facts, profile: StickyProfile, scope: str, now: float) -> Truth:
    bound = lookups.bound(facts, profile.name, scope)
    if isinstance(bound, Unavailable):
        return None
    if not bound or any(sticky.is_fresh(made, profile, now) for _, made in bound):
        return bool(bound)
    rows = lookups.bindings(facts, profile.name, scope)
    return None if isinstance(rows, Unavailable) else any(sticky.is_live(row, profile, now) for row in rows)


def _number_is(condition: NumberIs) -> Test:
    e164, raw = condition.e164, condition.raw
    if condition.side == "caller":
        return lambda facts, now: (caller := caller_of(facts.request)).e164 in e164 or caller.text in raw
    return lambda facts, now: facts.request.dialled.e164 in e164 or facts.request.dialled.text in raw


def _mask_is(condition: MaskIs) -> Test:
    table = MaskTable((mask, True) for mask in condition.masks)
    if condition.side == "caller":
        return lambda facts, now: not facts.request.anonymous and bool(table.find(facts.request.caller))
    return lambda facts, now: bool(table.find(facts.request.dialled))


def _contains(condition: Contains) -> Test:
    texts = condition.texts
    of_caller = condition.side == "caller"

    def test(facts: Facts, now: float) -> Truth:
        _, raw, e164 = caller_of(facts.request) if of_caller else facts.request.dialled
        for text in texts:  # noqa: SIM110 (a generator costs twice as much)
            if text in raw or (e164 is not None and text in e164):
                return True
        return False

    return test


def _regex(condition: Regex) -> Test:
    of_e164 = _full_match([pattern for pattern in condition.patterns if pattern.startswith(r"\+")])
    of_raw = _full_match([pattern for pattern in condition.patterns if not pattern.startswith(r"\+")])
    of_caller = condition.side == "caller"

    def test(facts: Facts, now: float) -> Truth:
        request = facts.request
        if of_caller and request.anonymous:
            return False
        _, text, e164 = request.caller if of_caller else request.dialled
        return (of_e164 is not None and e164 is not None and of_e164(e164)) or (of_raw is not None and of_raw(text))

    return test


def _full_match(patterns: list[str]) -> Callable[[str], bool] | None:
    """One expression for all patterns: nobody asks for groups, and bytes save re2's wrapper a third of its time."""
    if not patterns:
        return None
    options = re2.Options()
    options.never_capture = True
    options.log_errors = False
    expression = re2.compile("|".join(f"(?:{pattern})" for pattern in patterns), options)
    return lambda text: expression.fullmatch(text.encode(errors="replace")) is not None


def check_regex(pattern: str) -> None:
    """Raises ValueError with the engine's words if google-re2 does not take this pattern."""
    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(pattern, options)
    except (re2.error, UnicodeError) as error:
        said = error.args[0]
        raise ValueError(said.decode(errors="replace") if isinstance(said, bytes) else str(said)) from None


def _on_list(names: tuple[str, ...]) -> Test:
    def test(facts: Facts, now: float) -> Truth:
        if facts.request.anonymous:
            return False
        truth: Truth = False
        for name in names:
            entry = lookups.list_entry(facts, name, now)
            if entry is None:
                continue
            if not isinstance(entry, Unavailable):
                return True
            truth = None
        return truth

    return test


def _is_vip(value: bool) -> Test:
    def test(facts: Facts, now: float) -> Truth:
        if facts.request.anonymous:
            return not value
        agent = lookups.vip(facts)
        if agent is None:
            return not value
        return None if isinstance(agent, Unavailable) else value

    return test


def _is_shared(value: bool) -> Test:
    def test(facts: Facts, now: float) -> Truth:
        if facts.request.anonymous:
            return not value
        shared = lookups.is_shared(facts)
        return None if isinstance(shared, Unavailable) else shared is value

    return test


def _during(schedules: tuple[Schedule, ...]) -> Test:
    if len(schedules) == 1:
        is_open = schedules[0].is_open
        return lambda facts, now: is_open(now)
    return lambda facts, now: any(schedule.is_open(now) for schedule in schedules)


def _header_is(condition: HeaderIs) -> Test:
    name, masks = condition.name, condition.masks

    def test(facts: Facts, now: float) -> Truth:
        values = facts.request.headers.get(name)
        return values is not None and any(mask.matches_text(value) for value in values for mask in masks)

    return test


def _share(condition: Share) -> Test:
    return lambda facts, now: share_of(condition.rule, facts.request) < condition.threshold


def caller_of(request: Request) -> Number:
    """The caller's number as conditions see it."""
    return ABSENT if request.anonymous else request.caller


def share_of(rule: str, request: Request) -> int:
    """The caller's fixed place in 0-9,999 for this rule; an anonymous caller has one for each call."""
    who = request.call_id if request.anonymous else request.caller.key
    digest = hashlib.sha256(f"{rule}\0{who}".encode(errors="replace")).digest()
    return int.from_bytes(digest[:8], "big") % SHARES
