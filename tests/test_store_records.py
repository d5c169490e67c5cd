"""Call records in the store: what is written is read again, a fuller report replaces, a poorer one does not."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from records import DAY, HOUR, NOON, ONE, SHOP, THREE, TWO, call_in, call_out, close_lost, leg, number, talked

from sipacr.memory.report import Leg, NotTried, Report, Talk
from sipacr.routing.facts import Number
from sipacr.store import Database, records
from sipacr.store.records import between, of_customer, one


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Database]:
    with Database(tmp_path / "sipacr.db") as database:
        database.connection.execute("PRAGMA synchronous = OFF")  # what is tried here is no power cut
        yield database


def keep(store: Database, *reports: Report) -> list[bool]:
    with store.transaction() as connection:
        return [records.write(connection, report) for report in reports]


def all_of(store: Database) -> list[Report]:
    return list(between(store.connection, 0, float("inf")))


def answered(store: Database) -> dict[str, float]:
    return dict(store.connection.execute("SELECT customer, last FROM answered_customers"))


FULL = call_in(
    **talked("ivan", NOON),
    nobody="",
    shown="",
    ringing=NOON + 1,
    alive=NOON + 65,
    reason="Q.850;cause=16",
    legs=(
        leg("sticky returning", "anna", NOON, outcome="busy", code=486, reason="SIP;cause=486"),
        leg("group sales", "ivan", NOON + 1, ended=None),
    ),
    not_tried=(NotTried("sticky campaign", "campaign", "no binding of this caller"),),
    learn=False,
    headers={"x-campaign": ("summer", "Übersee")},
    rules=("own person first", "shop A"),
    position="rules/30-incoming.yaml:12:5",
    version="abc123",
    tag="shop",
    caller=number(ONE)._replace(raw="0048 601 000 111"),
    name='"Jan Kowalski"',
)


def test_what_is_written_is_read(store: Database) -> None:
    assert keep(store, FULL) == [True]
    (found,) = all_of(store)
    assert found == replace(FULL, headers={"x-campaign": ["summer", "Übersee"]})


TIMES = st.sampled_from([0.0, NOON, NOON + 0.25])
MAYBE = st.none() | TIMES
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
REPORTS = st.builds(
    Report,
    uid=st.sampled_from("ab"),
    source=st.sampled_from(["relay", "import"]),
    direction=st.sampled_from(["in", "out"]),
    customer=TEXTS, nobody=TEXTS, number=st.none() | TEXTS, shown=TEXTS, peer=TEXTS, agent=st.none() | TEXTS,
    started=TIMES, ringing=MAYBE, answered=MAYBE, ended=MAYBE, alive=TIMES,
    outcome=st.sampled_from(["", "answered", "lost"]),
    code=st.integers(0, 699), reason=TEXTS, ended_by=st.sampled_from(["", "caller"]),
    talks=st.lists(st.builds(Talk, st.none() | TEXTS, TEXTS, TIMES, MAYBE), max_size=2).map(tuple),
    legs=st.lists(st.builds(Leg, TEXTS, st.none() | TEXTS, TEXTS, TEXTS, TEXTS, TIMES, MAYBE, TEXTS, st.just(1), TEXTS),
                  max_size=2).map(tuple),
    not_tried=st.lists(st.builds(NotTried, TEXTS, TEXTS, TEXTS), max_size=2).map(tuple),
    learn=st.booleans(), headers=st.dictionaries(TEXTS, st.lists(TEXTS, max_size=2), max_size=1),
    rules=st.lists(TEXTS, max_size=2).map(tuple), position=TEXTS, version=TEXTS, tag=TEXTS,
    caller=st.builds(Number, TEXTS, TEXTS, st.none() | TEXTS), dialled=st.builds(Number, TEXTS, TEXTS, st.none() | TEXTS),
    name=TEXTS, call_id=TEXTS,
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(given=st.lists(REPORTS, max_size=5))
def test_any_report_is_kept_as_it_is_and_the_fullest_wins(store: Database, given: list[Report]) -> None:
    with store.transaction() as connection:
        for table in ("records", "legs", "talks"):
            connection.execute(f"DELETE FROM {table}")
    keep(store, *given)
    expected: dict[tuple[str, str], Report] = {}
    for report in given:
        earlier = expected.get((report.uid, report.source))
        if earlier is None or report.replaces(earlier):
            expected[report.uid, report.source] = report
    assert sorted(all_of(store), key=repr) == sorted(expected.values(), key=repr)
    assert store.connection.execute("SELECT count(*) FROM legs").fetchone()[0] == sum(
        len(report.legs) for report in expected.values()
    )


def test_a_call_is_one_record_however_often_it_is_reported(store: Database) -> None:
    begun = call_in(ended=None, outcome="", code=0, alive=NOON)
    going_on = replace(begun, answered=NOON + 5, alive=NOON + 30, talks=(Talk("ivan", "ivan", NOON + 5),))
    over = replace(going_on, **talked("ivan", NOON))
    assert keep(store, begun, going_on, begun, over, going_on, over) == [True, True, False, True, False, True]
    assert all_of(store) == [over]


def test_the_same_uid_of_another_source_is_another_call(store: Database) -> None:
    keep(store, call_in("1"), call_in("1", source="import", at=NOON + 1))
    assert [report.source for report in all_of(store)] == ["relay", "import"]


def test_they_are_found_by_customer_time_and_name(store: Database) -> None:
    keep(
        store,
        call_in("c3", at=NOON + 2 * HOUR),
        call_in("c1"),
        call_in("c2", TWO, NOON + HOUR),
        call_out("o1", at=NOON + HOUR),
        call_in("c4", "", NOON, call_id=""),
    )
    connection = store.connection
    assert [report.uid for report in of_customer(connection, ONE)] == ["c1", "o1", "c3"]
    assert list(of_customer(connection, "")) == list(of_customer(connection, THREE)) == []
    assert [report.uid for report in between(connection, NOON, NOON + HOUR)] == ["c1", "c4"]
    assert [report.uid for report in between(connection, NOON, NOON + DAY, direction="out")] == ["o1"]
    assert records.count(connection, NOON, NOON + 2 * HOUR) == 4
    for name in ("c2", "c2@198.51.100.1"):
        found = one(connection, name)
        assert found is not None
        assert found.uid == "c2"
    assert one(connection, "") is one(connection, "nobody") is None


def test_of_several_calls_with_one_call_id_the_newest_is_found(store: Database) -> None:
    keep(store, call_in("a", call_id="x", at=NOON + 1), call_in("b", call_id="x"))
    found = one(store.connection, "x")
    assert found is not None
    assert found.uid == "a"


@pytest.mark.parametrize(
    "question",
    [
        "WHERE customer = '+48' AND customer <> '' ORDER BY started",
        "WHERE started >= 1 AND started < 2 ORDER BY started",
        "WHERE call_id = 'x' AND call_id <> ''",
        "WHERE uid = 'x' ORDER BY started DESC",
        "WHERE agent = 'anna' AND started > 5",
        "WHERE ended IS NULL AND outcome <> 'lost' AND source = 'relay'",
    ],
)
def test_no_question_reads_all_records(store: Database, question: str) -> None:
    plan = store.connection.execute(f"EXPLAIN QUERY PLAN SELECT uid FROM records {question}").fetchall()
    assert "USING INDEX" in plan[0][3]


def test_many_are_read_in_chunks(store: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "_CHUNK", 3)
    given = [call_in(str(index), at=NOON + index, **talked("ivan", NOON + index)) for index in range(10)]
    keep(store, *given)
    assert all_of(store) == given


def test_whose_call_was_answered_is_known(store: Database) -> None:
    keep(store, call_in(), call_in("v", TWO, **talked("ivan", NOON) | {"outcome": "voicemail"}))
    assert answered(store) == {}
    keep(store, call_out("a", at=NOON + 9, **talked("anna", NOON + 9)), call_in("b", **talked("ivan", NOON)))
    assert answered(store) == {ONE: NOON + 9}
    keep(store, call_in("c", "", **talked("ivan", NOON)))
    assert answered(store) == {ONE: NOON + 9}


def test_who_was_thought_to_have_talked_and_was_not_is_unknown_again(store: Database) -> None:
    first, second = call_in("a", **talked("ivan", NOON)), call_in("b", at=NOON + 9, **talked("ivan", NOON + 9))
    keep(store, first, second, replace(second, outcome="voicemail"))
    assert answered(store) == {ONE: NOON}
    keep(store, replace(first, customer=TWO))
    assert answered(store) == {TWO: NOON}


def test_after_a_crash_relayed_calls_that_went_on_are_lost(store: Database) -> None:
    open_call = call_in("open", ended=None, outcome="answered", answered=NOON + 5, alive=NOON + 65)
    keep(store, open_call, call_in("over"), call_in("pbx", source="webhook", ended=None, outcome="", at=NOON + 1))
    with store.transaction() as connection:
        assert close_lost(connection) == [replace(open_call, outcome="lost")]
        assert close_lost(connection) == []
    assert [(report.uid, report.outcome) for report in all_of(store)] == [
        ("open", "lost"), ("over", "no_answer"), ("pbx", ""),
    ]  # fmt: skip
    found = one(store.connection, "open")
    assert found is not None
    assert found.last == NOON + 65
    assert not found.goes_on


def test_the_dialled_number_may_be_anything(store: Database) -> None:
    keep(store, call_in(number=None, dialled=number("sip-name"), caller=number(SHOP)))
    (found,) = all_of(store)
    assert (found.number, found.dialled.e164, found.caller.e164) == (None, None, SHOP)
