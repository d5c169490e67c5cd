"""What a PBX says of a call that did not pass through us, in its words, and what it is to the memory."""

from typing import Any

import pytest
from company import CUSTOMER, DIRECTORY, EMPTY, SHOP

from sipacr.outside import Outside
from sipacr.store.spreadsheet import InputError

NOON = 1_795_431_600.0  # 2026-11-23 12:00 in Warsaw
CALL = {
    "time": "2026-11-23T12:00:00", "direction": "in", "customer": "601 000 111", "agent": "anna", "answered": "yes",
    "talk": "60", "uid": "a.1", "ours": SHOP,
}  # fmt: skip
OUTSIDE = Outside(EMPTY, DIRECTORY)


def told(**more: str) -> Any:
    return OUTSIDE.told({**CALL, **more}, "import", NOON + 3600)


def test_an_incoming_call() -> None:
    report, warning = told()
    assert warning == ""
    assert (report.uid, report.source, report.direction, report.customer, report.number) == (
        "a.1", "import", "in", CUSTOMER, SHOP,
    )  # fmt: skip
    assert (report.started, report.answered, report.ended, report.outcome) == (NOON, NOON, NOON + 60, "answered")
    assert report.talks == (("anna", "anna", NOON, NOON + 60),)
    assert report.agent is None


def test_an_outgoing_call_that_nobody_answered() -> None:
    report, _ = told(direction="outbound", answered="NO ANSWER", talk="0", agent="102", ended="2026-11-23 12:00:25")
    assert (report.direction, report.agent, report.customer, report.shown, report.number) == (
        "out", "ivan", CUSTOMER, SHOP, SHOP,
    )  # fmt: skip
    assert (report.outcome, report.answered, report.ended, report.talks) == ("no_answer", None, NOON + 25, ())


@pytest.mark.parametrize(
    "time", ["2026-11-23 12:00", "2026-11-23T11:00:00Z", "2026-11-23T12:00:00+01:00", "1795431600", "1795431600.0"]
)
def test_times(time: str) -> None:
    assert told(time=time).report.started == NOON


@pytest.mark.parametrize(("talk", "seconds"), [("60", 60), ("1:30", 90), ("00:02:05", 125), ("12.5", 12.5)])
def test_talk(talk: str, seconds: float) -> None:
    report = told(talk=talk).report
    assert report.ended - report.answered == seconds


@pytest.mark.parametrize("who", ["anonymous", ""])
def test_an_anonymous_caller_is_no_customer(who: str) -> None:
    assert told(customer=who).report.customer == ""


def test_an_agent_whom_nobody_knows_teaches_nothing() -> None:
    report, warning = told(agent="zofia")
    assert report.talks == ((None, "zofia", NOON, NOON + 60),)
    assert '"zofia"' in warning


def test_a_foreign_number_that_was_shown_is_none_of_ours() -> None:
    report = told(direction="out", ours="+48229998877").report
    assert (report.number, report.shown) == (None, "+48229998877")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"uid": " "}, "unique id"),
        ({"uid": "x" * 200}, "unique id"),
        ({"direction": "sideways"}, "direction 'sideways'"),
        ({"answered": "perhaps"}, "answered 'perhaps'"),
        ({"time": "yesterday"}, "time 'yesterday' is no time"),
        ({"time": "2026-11-24"}, "lies in the future"),
        ({"talk": "-1"}, "talk '-1'"),
        ({"talk": "nan"}, "talk 'nan'"),
        ({"talk": "inf"}, "talk 'inf'"),
        ({"answered": "no"}, "was not answered"),
        ({"ended": "2026-11-23 12:00:30"}, "has 60 s of talk"),
        ({"customer": "4,8601E+10"}, "shortened"),
    ],
)
def test_what_is_refused(more: dict[str, str], said: str) -> None:
    with pytest.raises(InputError) as error:
        told(**more)
    assert said in str(error.value)
