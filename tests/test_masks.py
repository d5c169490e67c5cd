"""Masks: what they match, what is wrong with a bad one, and which one takes all that another takes."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipacr.routing.facts import Number
from sipacr.routing.masks import Mask, e164_suggestion
from sipacr.routing.numbers import NumberPlan

PLAN = NumberPlan.of("PL")


@pytest.mark.parametrize(
    ("pattern", "raw", "matches"),
    [
        ("+4822*", "+48221112233", True),
        ("+4822*", "0048 22 111-22-33", True),
        ("+4822*", "22 111 22 33", True),
        ("+4822*", "+48612345678", False),
        ("+4822*", "101", False),  # has no E.164
        ("+4861???1212", "+48617771212", True),
        ("+4861???1212", "+486177712123", False),
        ("+4861???1212", "+4861777121", False),
        ("+48 22 111*", "+48221112233", True),
        ("+*", "+48221112233", True),
        ("+*", "anna", False),
        ("+48221112233", "221112233", True),
        ("22*", "221112233", True),  # raw text
        ("22*", "+48221112233", False),
        ("22-111*", "22 111 22 33", True),
        ("48*", "+48221112233", False),
        ("1??", "123", True),
        ("1??", "1234", False),
        ("1??", "1a3", False),
        ("1??", "1٣3", False),  # a digit, but none of ours
        ("*33", "+48221112233", True),
        ("*?3", "+48221112233", True),
        ("*?3", "3", False),
        ("*", "anna", True),
        ("*", "", True),
        (r"\*97", "*97", True),
        (r"\*97", "97", False),
        ("*97", "0097", True),
        ("*97", "*97", True),
        (r"\*9?", "*97", True),
        (r"1\*", "1*", True),
        (r"1\*", "12", False),
        (r"1\?", "1?", True),
        (r"1\?", "12", False),
        ("#31#*", "#31#221112233", True),
        ("anna*", "anna.nowak", True),
        ("a.b", "a.b", True),
        ("a.b", "axb", False),
        ("*22*", "+48221112233", True),
        ("*2?2*", "+48221212233", True),
        ("*99*", "+48221112233", False),
    ],
)
def test_matches(pattern: str, raw: str, matches: bool) -> None:
    assert Mask(pattern).matches(PLAN.read(raw)) is matches


@pytest.mark.parametrize(
    ("pattern", "value", "matches"),
    [
        ("summer*", "summer 2026", True),
        ("summer*", "Summer", False),
        ("*", "", True),
        ("2026-11-*", "2026-11-23", True),  # a header's value keeps its dashes
        ("2026-11-*", "20261123", False),
        ("+48*", "+48 22", True),
    ],
)
def test_matches_text(pattern: str, value: str, matches: bool) -> None:
    assert Mask(pattern).matches_text(value) is matches


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("", "empty"),
        ("48*22", "neither first nor last"),
        ("+48**", "neither first nor last"),
        ("**", "two stars"),
        ("+48" + "2" * 14, "at most 15 digits"),
        ("+048*", "no country code begins with 0"),
        ("+48O22*", '"O" cannot be in it'),
        ("+48*22", "neither first nor last"),
        ("1\\", "backslash"),
        ("\\d+", "backslash"),
        ("x" * 65, "at most 64"),
    ],
)
def test_bad_patterns(pattern: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Mask(pattern)


@pytest.mark.parametrize(
    ("pattern", "exact", "prefix", "suffix"),
    [
        ("+4822*", None, "+4822", None),
        ("+48 22*", None, "+4822", None),
        ("*33", None, None, "33"),
        ("*", None, "", None),
        ("101", "101", None, None),
        ("+4861???1212", None, None, None),
        ("+48?*", None, None, None),
        ("*22*", None, None, None),
    ],
)
def test_kinds_that_an_index_can_use(pattern: str, exact: str | None, prefix: str | None, suffix: str | None) -> None:
    mask = Mask(pattern)
    assert (mask.prefix if mask.is_exact else None) == exact
    assert (mask.prefix if mask.is_prefix else None) == prefix
    assert (mask.suffix if mask.is_suffix else None) == suffix


def test_what_is_certain_of_every_match() -> None:
    assert (Mask("+4861???1212").prefix, Mask("+4861???1212").suffix) == ("+4861", "1212")
    assert (Mask("*?33").prefix, Mask("*?33").suffix) == ("", "33")
    assert (Mask("*22*").prefix, Mask("*22*").suffix) == ("", "")
    assert Mask("+4822*").sees_e164
    assert not Mask("22*").sees_e164


def test_equal_patterns_are_equal_masks() -> None:
    assert Mask("+4822*") == Mask("+4822*") != Mask("+4823*")
    assert len({Mask("1??"), Mask("1??")}) == 1
    assert str(Mask("+48 22*")) == "+48 22*"


# A small alphabet that stands for the whole: the digits and the sign of the patterns, one more digit, one more sign.
SIGNS = "123az"
TEXTS = ["".join(signs) for length in range(7) for signs in itertools.product(SIGNS, repeat=length)]
BODIES = st.text("12a?", max_size=4)
PATTERNS = st.builds(
    lambda left, body, right: left + body + right, st.sampled_from(["", "*"]), BODIES, st.sampled_from(["", "*"])
)
MASKS = PATTERNS.filter(lambda pattern: pattern not in ("", "**")).map(Mask)


def taken(mask: Mask) -> set[str]:
    return {text for text in TEXTS if mask.matches(Number(text, text, None))}


@given(MASKS, MASKS)
def test_subsumes_against_brute_force(mine: Mask, other: Mask) -> None:
    """Texts of six signs are enough to tell: a body has four at most, and one sign on either side leaves its match."""
    assert mine.subsumes(other) == (taken(other) <= taken(mine)), (mine, other)


@given(MASKS, MASKS)
def test_overlaps_against_brute_force(mine: Mask, other: Mask) -> None:
    if len(mine.pattern) + len(other.pattern) <= 6:  # else a common text may be longer than those that are tried
        assert mine.overlaps(other) == bool(taken(mine) & taken(other)), (mine, other)


@given(MASKS)
def test_prefix_and_suffix_are_certain(mask: Mask) -> None:
    for text in taken(mask):
        assert text.startswith(mask.prefix)
        assert text.endswith(mask.suffix)
    if mask.is_prefix:
        assert taken(mask) == {text for text in TEXTS if text.startswith(mask.prefix)}
    if mask.is_suffix:
        assert taken(mask) == {text for text in TEXTS if text.endswith(mask.suffix)}
    if mask.is_exact:
        assert taken(mask) == {mask.prefix}


@pytest.mark.parametrize(
    ("mine", "other", "expected"),
    [
        ("+48*", "+4822*", True),
        ("+48*", "+4861???1212", True),
        ("+4861???*", "+4861???1212", True),
        ("+4861???1212", "+48611111212", True),
        ("+4822*", "+48*", False),
        ("48*", "+48*", False),  # raw text and E.164 are two things
        ("+48*", "48*", False),
        ("*22*", "+4822*", False),
        ("*", "+48*", True),
        ("*", "*", True),
        ("*12*", "?12?", True),
        ("*?*", "1", True),
        ("*1?3*", "11?3", True),
        ("*1?3*", "1??3", False),
        ("*1?*", "1??", True),
        ("*0123456789*", "??????????", False),
    ],
)
def test_subsumes(mine: str, other: str, expected: bool) -> None:
    assert Mask(mine).subsumes(Mask(other)) is expected


def test_subsumes_gives_up_rather_than_hang() -> None:
    assert not Mask("*1" + "?" * 40 + "*").subsumes(Mask("?" * 60))


@pytest.mark.parametrize(
    ("country", "pattern", "suggestion"),
    [
        ("PL", "22*", "+4822*"),
        ("PL", "022*", "+4822*"),
        ("PL", "0022*", "+22*"),
        ("PL", "0049*", "+49*"),
        ("PL", "4822*", "+4822*"),
        ("PL", "48*", "+48*"),
        ("PL", "22???????", "+4822???????"),
        ("PL", "601 00*", "+4860100*"),
        ("DE", "030*", "+4930*"),
        ("DE", "0171???????", "+49171???????"),
        ("RU", "8495*", "+7495*"),
        ("RU", "81048*", "+48*"),
        ("HU", "061*", "+361*"),
        ("PL", "1??", None),
        ("PL", "112", None),
        ("PL", "*33", None),
        ("PL", "*", None),
        ("PL", r"\*97", None),
        ("PL", "anna*", None),
        ("PL", "+4822*", None),
    ],
)
def test_suggestion_for_a_national_mask(country: str, pattern: str, suggestion: str | None) -> None:
    assert e164_suggestion(Mask(pattern), NumberPlan.of(country)) == suggestion


@given(st.text("0123456789?", min_size=2, max_size=9), st.sampled_from(["PL", "DE", "RU", "US"]))
def test_suggestions_are_masks(body: str, country: str) -> None:
    suggestion = e164_suggestion(Mask(body + "*"), NumberPlan.of(country))
    if suggestion is not None:
        assert Mask(suggestion).sees_e164
