"""The table finds exactly the masks that match one by one."""

from hypothesis import example, given
from hypothesis import strategies as st

from sipacr.routing.facts import Number
from sipacr.routing.masks import Mask
from sipacr.routing.masktable import MaskTable

BODIES = st.text("+12?", min_size=1, max_size=5)
NUMBERS = st.builds(
    lambda text, e164: Number(text, text, e164),
    st.text("+12a", max_size=7),
    st.none() | st.text("12", min_size=1, max_size=6).map(lambda digits: "+" + digits),
)


def masks(bodies: list[tuple[str, str, str]]) -> list[Mask]:
    found = []
    for left, body, right in bodies:
        try:
            found.append(Mask(left + body + right))
        except ValueError:
            pass  # not every text is a mask
    return found


@given(
    st.lists(st.tuples(st.sampled_from(["", "*"]), BODIES, st.sampled_from(["", "*"])), max_size=8),
    st.lists(NUMBERS, min_size=1, max_size=8),
)
@example([("", "+1", "*"), ("", "+1?", "*"), ("*", "2", ""), ("*", "1?2", "*")], [Number("+112", "+112", "+112")])
def test_the_table_agrees_with_the_masks(bodies: list[tuple[str, str, str]], numbers: list[Number]) -> None:
    all_of_them = [*masks(bodies), Mask("*")]
    table = MaskTable((mask, mask.pattern) for mask in all_of_them)
    for number in numbers:
        assert sorted(table.find(number)) == sorted(mask.pattern for mask in all_of_them if mask.matches(number))


def test_exact_numbers() -> None:
    table: MaskTable[str] = MaskTable()
    table.add_e164("+48221112233", "DID")
    table.add_raw("101", "extension")
    assert table.find(Number("0048 22 111 22 33", "0048221112233", "+48221112233")) == ["DID"]
    assert table.find(Number("101", "101", None)) == ["extension"]
    assert table.find(Number("+48221112233", "+48221112233", None)) == []
