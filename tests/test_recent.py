"""Retransmitted, merged, or new: by hashes in a table of fixed size."""

from sipacr.sip.recent import LIFETIME, Recent

ONE = (b"call-1", "tag", 1)


def test_the_same_branch_is_no_merge_and_another_is() -> None:
    recent = Recent(16)
    assert not recent.note(ONE, "a", 100)
    assert not recent.note(ONE, "a", 101)
    assert recent.note(ONE, "b", 102)
    assert recent.holds(ONE, "a", 103)
    assert not recent.holds(ONE, "b", 103)


def test_after_its_lifetime_it_is_a_new_request() -> None:
    recent = Recent(16)
    recent.note(ONE, "a", 100)
    assert not recent.holds(ONE, "a", 100 + LIFETIME)
    assert not recent.note(ONE, "b", 100 + LIFETIME)
    assert not recent.note(ONE, "c", 105 + LIFETIME)


def test_a_full_table_forgets_and_never_mistakes() -> None:
    recent = Recent(16)
    assert not any(recent.note((b"%d" % i, "", 1), "a", 100) for i in range(1000))
