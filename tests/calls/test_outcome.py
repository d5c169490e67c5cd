"""The reachability table, and which failure the caller is told of."""

import pytest

from sipacr.calls.outcome import UNREACHABLE_CODE, answer_of, best, is_trunks_own, outcome_of, passed_on

TABLE = {
    "answered": [200, 202],
    "busy": [486, 600],
    "no_answer": [408, 487],
    "unavailable": [480],
    "declined": [603, 403],
    "unknown_number": [404, 410, 484, 604],
    "forwarded": [300, 301, 302, 305, 380],
    "unreachable": [500, 501, 502, 503, 504, 505, 513, 580, 599],
    "refused": [400, 401, 402, 405, 407, 415, 420, 422, 482, 483, 488, 491, 499, 601, 606, 607, 608],
}


@pytest.mark.parametrize(("outcome", "code"), [(outcome, code) for outcome, codes in TABLE.items() for code in codes])
def test_every_code_has_its_outcome(outcome: str, code: int) -> None:
    assert outcome_of(code) == outcome


def test_no_final_code_is_without_an_outcome() -> None:
    assert all(outcome_of(code) for code in range(200, 700))


def test_what_ends_without_an_answer() -> None:
    assert outcome_of(408, rung=True) == "no_answer"
    assert outcome_of(UNREACHABLE_CODE) == "unreachable"


def test_whose_fault_it_is() -> None:
    assert [code for code in range(300, 700) if is_trunks_own(outcome_of(code), code)] == [401, 407, *range(500, 600)]


@pytest.mark.parametrize(
    ("code", "told"),
    [(486, 486), (603, 603), (404, 404), (408, 408), (488, 488), (500, 500), (504, 504), (503, 500), (401, 500),
     (407, 500), (487, 480), (302, 480), (0, 480)],
)  # fmt: skip
def test_what_the_caller_is_told_of_a_leg(code: int, told: int) -> None:
    assert answer_of(code) == told


def test_what_never_passes() -> None:
    assert [code for code in range(200, 700) if passed_on(code) != code] == [401, 407, 503]
    assert all(400 <= answer_of(code) < 700 and answer_of(code) not in (401, 407, 503) for code in range(300, 700))


@pytest.mark.parametrize(
    ("answers", "chosen"),
    [
        ([480], 480),
        ([486, 603, 404], 603),  # any 6xx
        ([500, 404], 404),  # else the lowest class
        ([404, 486, 480], 486),  # what is true of a person, before what is wrong in the directory
        ([408, 480], 480),
        ([408, 403], 403),
        ([486, 484], 484),  # what tells the caller how to try again
        ([480, 488, 486], 488),
        ([500, 504], 504),
        ([500, 500], 500),
    ],
)
def test_the_best_failure(answers: list[int], chosen: int) -> None:
    assert answers[best(answers)] == chosen
    assert answers[::-1][best(answers[::-1])] == chosen


def test_of_equals_the_first() -> None:
    assert best([480, 480]) == 0
    assert best([404, 410]) == 0
