"""What the recorder says of relayed calls: at the answer, when somebody else takes over, while they go on, at the end."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sipacr.calls.calls import Plan
from sipacr.calls.message import Message
from sipacr.calls.network import Flow
from sipacr.memory.report import Report
from sipacr.recorder import ALIVE, Recorder
from sipacr.routing.facts import Facts, Unavailable
from sipacr.routing.ruleset import Remember, StickyProfile
from sipacr.settings import Keep
from sipacr.store import AddToList, Database
from sipacr.store.learning import Learn, bindings_of
from sipacr.store.records import StillAlive, of_customer
from sipacr.store.retention import Purge
from tests import company
from tests.calls.network import request
from tests.calls.scene import ANSWER, SDP, WITH_SDP, Scene
from tests.company import CUSTOMER, NOW, SHOP, reject, route, step, to

FIRST_ANNA = route("first anna", step("agent", "anna", ring=10.0), to("queue-main"))
START = NOW + 1000.0


class Recorded:
    """A scene whose calls are recorded."""

    def __init__(self, *rules: Any, shared: Any = False, keep: Keep | None = None, **more: Any) -> None:
        self.scene = Scene(*rules, **more)
        self.changes: list[Any] = []
        self.shared = shared
        calls = self.scene.calls
        self.recorder = Recorder(calls, self.changes.append, self._is_shared, self.scene.engine, keep or Keep())

    def _is_shared(self, number: str) -> bool:
        if isinstance(self.shared, Exception):
            raise self.shared
        return bool(self.shared)

    @property
    def call(self) -> Any:
        return next(iter(self.scene.calls.live))

    def reports(self) -> list[Report]:
        """All since the last look."""
        found = [change.report for change in self.changes if isinstance(change, Learn)]
        self.changes.clear()
        return found

    def one(self) -> Report:
        (found,) = self.reports()
        return found

    def talk(self) -> Any:
        """Anna is rung for 3 s and answers; her leg."""
        invite = self.scene.invite()
        leg = self.scene.one("INVITE")
        self.scene.run(3.0)
        self.scene.answer(leg, 200, headers=WITH_SDP, body=ANSWER)
        self.scene.ack(invite, self.scene.said()[-1].message)
        return leg


def test_an_answered_call() -> None:
    recorded = Recorded(FIRST_ANNA)
    leg = recorded.talk()
    report = recorded.one()
    assert (report.direction, report.customer, report.number, report.peer) == ("in", CUSTOMER, SHOP, "trunk-a")
    assert (report.started, report.answered, report.ended) == (START, START + 3, None)
    assert (report.outcome, report.code, report.goes_on) == ("answered", 200, True)
    assert report.talks == (("anna", "anna", START + 3, None),)
    assert [(each.step, each.agent, each.target, each.address, each.outcome, each.code) for each in report.legs] == [
        ("agent anna", "anna", "anna", "101@pbx", "answered", 200)
    ]
    assert (report.rules, report.position) == (("first anna",), "rules.yaml:1:1")
    recorded.scene.run(60.0)
    recorded.scene.callee_sends("BYE", leg)
    over = recorded.one()
    assert over.uid == report.uid
    assert (over.ended, over.talks[0].until, over.legs[0].ended) == (START + 63, START + 63, START + 63)
    assert over.replaces(report)


def test_a_call_that_nobody_answers() -> None:
    recorded = Recorded(FIRST_ANNA)
    recorded.scene.invite()
    recorded.scene.answer(recorded.scene.one("INVITE"), 486)
    recorded.scene.answer(recorded.scene.said()[-1], 480)
    report = recorded.one()
    assert [(each.step, each.target, each.outcome, each.code) for each in report.legs] == [
        ("agent anna", "anna", "busy", 486), ("to queue-main", "queue-main", "unavailable", 480),
    ]  # fmt: skip
    assert (report.outcome, report.code) == ("busy", 486)  # what the caller was told (RFC 3261 16.7)
    assert (report.answered, report.talks, report.goes_on) == (None, (), False)


def test_a_queue_is_no_agent() -> None:
    recorded = Recorded(route("queue", to("queue-main")))
    recorded.talk()
    assert recorded.one().talks == ((None, "queue-main", START + 3, None),)


def test_whom_the_pbx_names_has_talked() -> None:
    recorded = Recorded(route("queue", to("queue-main")))
    leg = recorded.talk()
    recorded.recorder.named(recorded.call, "ivan", "102")  # in the 200
    assert recorded.reports()[-1].talks == (("ivan", "102", START + 3, None),)
    recorded.recorder.named(recorded.call, "ivan", "102")
    assert recorded.reports() == []
    recorded.scene.run(30.0)
    recorded.recorder.named(recorded.call, None, "+48601999888")
    recorded.scene.run(5.0)
    recorded.scene.callee_sends("BYE", leg)
    assert recorded.reports()[-1].talks == (
        ("ivan", "102", START + 3, START + 33), (None, "+48601999888", START + 33, START + 38),
    )  # fmt: skip


def test_a_caller_who_gives_up() -> None:
    recorded = Recorded(FIRST_ANNA)
    invite = recorded.scene.invite()
    cancel = type(invite)("CANCEL", invite.uri, headers=[*invite.headers[:-3], ("CSeq", "1 CANCEL")])
    assert recorded.scene.calls.request(
        cancel, recorded.scene.network.sent[0].flow, recorded.scene.directory.peers["trunk-a"]
    )
    report = recorded.one()
    assert (report.outcome, report.code, report.legs[0].outcome) == ("abandoned", 487, "abandoned")


def test_our_own_refusal() -> None:
    recorded = Recorded(reject("never", 603))
    recorded.scene.invite()
    report = recorded.one()
    assert (report.outcome, report.code, report.legs, report.rules) == ("rejected", 603, (), ("never",))


def test_why_a_step_was_skipped() -> None:
    recorded = Recorded(route("own", step("sticky", "returning"), to("queue-main")))
    recorded.scene.invite()
    recorded.recorder.tick()
    (report,) = recorded.reports()
    assert report.not_tried == (("sticky returning", "returning", "there is no such sticky profile"),)


@pytest.mark.parametrize(
    ("shown", "number", "text"),
    [
        ("<sip:+48221112233@pbx>", SHOP, SHOP),
        ("<sip:101@pbx>", None, "101"),
        ("<sip:anonymous@anonymous.invalid>", None, ""),
        ('"Anna" <sip:221119900@pbx;user=phone>', "+48221119900", "221119900"),
    ],
)
def test_an_outgoing_call(shown: str, number: str | None, text: str) -> None:
    recorded = Recorded()
    scene = recorded.scene
    message = request(headers=[("Contact", "<sip:101@10.0.0.5>"), *WITH_SDP], body=SDP)
    message.headers = [(name, f"{shown};tag=a") if name == "From" else (name, value) for name, value in message.headers]
    _invite(scene, company.facts("101", CUSTOMER, "pbx"), message)
    begun = recorded.one()
    assert (begun.direction, begun.customer, begun.agent) == ("out", CUSTOMER, "anna")
    assert (begun.shown, begun.number) == (text, number)
    assert (begun.outcome, begun.goes_on) == ("", True)
    leg = scene.one("INVITE")
    scene.answer(leg, 200, headers=WITH_SDP, body=ANSWER)
    assert recorded.one().talks == (("anna", "anna", START, None),)


def _invite(scene: Scene, facts: Facts, message: Message) -> None:
    decision = scene.engine.decide(facts, scene.calls.wall())
    assert decision.outgoing
    flow = Flow("udp", "10.0.0.5", 5060, 1)
    scene.calls.invite(message, flow, scene.directory.peers["pbx"], Plan(scene.engine, decision, facts))
    scene.run(0.0)


@pytest.mark.parametrize(
    ("shared", "said"), [(False, ""), (True, "is marked as shared"), (Unavailable("the store is locked"), "")]
)
def test_who_is_nobody_is_told(shared: Any, said: str) -> None:
    recorded = Recorded(reject("never"), shared=shared)
    recorded.scene.invite()
    assert recorded.one().nobody == said


def test_each_second_new_calls_are_recorded_and_each_half_minute_all_are_said_to_live() -> None:
    recorded = Recorded(FIRST_ANNA)
    recorded.recorder.tick()
    assert [type(change) for change in recorded.changes] == [Purge]
    recorded.changes.clear()
    recorded.talk()
    recorded.changes.clear()
    _invite(
        recorded.scene,
        company.facts("199", CUSTOMER, "pbx", call_id="second"),
        request(branch="z9hG4bKx", call_id="second@a"),
    )
    recorded.scene.answer(recorded.scene.one("INVITE"), 180)
    recorded.recorder.tick()
    assert recorded.one().call_id == "second"
    recorded.recorder.tick()
    assert recorded.changes == []
    recorded.scene.run(ALIVE)
    recorded.recorder.tick()
    alive = [change for change in recorded.changes if isinstance(change, StillAlive)]
    assert alive == [StillAlive((";;0", "second;;0"), START + 3 + ALIVE)]


def test_a_call_that_rings_is_found_behind_a_newer_one_that_is_recorded() -> None:
    recorded = Recorded(FIRST_ANNA)
    recorded.scene.invite()
    _invite(
        recorded.scene, company.facts("102", CUSTOMER, "pbx", call_id="2"), request(branch="z9hG4bKx", call_id="2@a")
    )
    assert recorded.one().call_id == "2"
    recorded.recorder.tick()
    assert recorded.one().direction == "in"


def test_what_is_kept_for_ever_is_not_purged() -> None:
    recorded = Recorded(keep=Keep(records=100.0))
    recorded.recorder.tick()
    (purge,) = recorded.changes
    assert (purge.records, purge.bindings) == (START - 100.0, float("-inf"))


def test_a_record_that_fails_costs_no_call(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    recorded = Recorded(FIRST_ANNA)

    def fail(*_: object) -> None:
        raise TypeError("no number")

    monkeypatch.setattr("sipacr.recorder.report_of", fail)
    recorded.talk()
    assert len(recorded.scene.calls.live) == 1
    assert recorded.recorder.faults == 1
    assert "cannot be recorded" in caplog.text


# Learning

RETURNING = StickyProfile(
    "returning", "acr-in", frozenset({"in_answered"}), frozenset({"in_answered"}), frozenset(), None
)
QUEUE = route("queue", to("queue-main"))
TRUSTED = {"pbx": {"trusted": True, "identity": "pai"}}


def naming(name: str, where: str = "P-Asserted-Identity") -> tuple[str, str]:
    return where, f'"x" <sip:{name}@10.0.0.5>' if not name.startswith("<") else name


@pytest.mark.parametrize(
    ("header", "peer", "talk"),
    [
        (naming("102"), {"trusted": True}, ("ivan", "102")),
        (naming("102", "Remote-Party-ID"), {"trusted": True, "identity": "rpid"}, ("ivan", "102")),
        (naming("102", "Remote-Party-ID"), {"trusted": True}, ("ivan", "102")),
        (naming("+48601222333"), {"trusted": True}, ("ivan", "+48601222333")),
        (naming("+48601999888"), {"trusted": True}, (None, "+48601999888")),
        (naming("102"), {"trusted": False}, ("anna", "anna")),
        (naming(SHOP), {"trusted": True}, ("anna", "anna")),
        (naming("<sip:10.0.0.5>"), {"trusted": True}, ("anna", "anna")),
    ],
    ids=["pai", "rpid", "the other header", "mobile", "nobody of ours", "not trusted", "the company", "no user"],
)
def test_whom_the_2xx_names(header: tuple[str, str], peer: dict[str, Any], talk: tuple[Any, str]) -> None:
    recorded = Recorded(FIRST_ANNA, peers={"pbx": peer})
    recorded.scene.invite()
    recorded.scene.answer(recorded.scene.one("INVITE"), 200, headers=[*WITH_SDP, header], body=ANSWER)
    assert recorded.one().talks == ((*talk, START, None),)


def test_a_trunk_names_nobody_of_ours() -> None:
    recorded = Recorded(route("away", step("mobile", "ivan")), peers={"trunk-a": {"trusted": True}})
    recorded.scene.invite()
    leg = recorded.scene.one("INVITE")
    recorded.scene.answer(leg, 200, headers=[*WITH_SDP, naming("+48601999888")], body=ANSWER)
    assert recorded.one().talks == (("ivan", "ivan", START, None),)


@pytest.mark.parametrize("method", ["UPDATE", "INVITE"])
def test_whom_the_pbx_names_later(method: str) -> None:
    recorded = Recorded(QUEUE, peers=TRUSTED)
    leg = recorded.talk()
    recorded.changes.clear()
    recorded.scene.run(20.0)
    recorded.scene.callee_sends(method, leg, headers=[naming("103"), *WITH_SDP], body=SDP)
    assert recorded.one().talks == ((None, "queue-main", START + 3, START + 23), ("olga", "103", START + 23, None))


@pytest.mark.parametrize(
    ("rule", "named", "outcome"),
    [
        (route("box", to("voicemail")), None, "voicemail"),
        (route("box", to("*98@pbx")), None, "voicemail"),
        (FIRST_ANNA, naming("*98"), "voicemail"),
        (FIRST_ANNA, naming("voicemail"), "voicemail"),
        (QUEUE, naming("102"), "answered"),
    ],
)
def test_a_voicemail_is_nobody(rule: Any, named: tuple[str, str] | None, outcome: str) -> None:
    recorded = Recorded(rule, peers=TRUSTED)
    recorded.scene.invite()
    headers = [*WITH_SDP, *([named] if named else [])]
    recorded.scene.answer(recorded.scene.one("INVITE"), 200, headers=headers, body=ANSWER)
    report = recorded.one()
    assert (report.outcome, report.legs[-1].outcome) == (outcome, outcome)
    assert (report.talks[0].agent is None) == (outcome == "voicemail")


def test_a_long_enough_talk_is_reported_at_that_moment() -> None:
    recorded = Recorded(FIRST_ANNA, sticky={"long": replace(RETURNING, name="long", min_talk=10.0)})
    leg = recorded.talk()
    recorded.changes.clear()
    recorded.scene.run(9.9)
    assert recorded.reports() == []
    recorded.scene.run(0.2)
    assert recorded.one().alive >= START + 13
    recorded.scene.run(60.0)
    assert recorded.reports() == []
    recorded.scene.callee_sends("BYE", leg)
    assert recorded.one().ended is not None


def test_a_caller_who_hides_from_the_world_is_known_by_his_pbx() -> None:
    recorded = Recorded(peers=TRUSTED)
    message = request(headers=[("Contact", "<sip:1@10.0.0.5>"), naming("102"), ("Privacy", "id"), *WITH_SDP], body=SDP)
    _invite(recorded.scene, company.facts("anonymous", CUSTOMER, "pbx"), message)
    report = recorded.one()
    assert (report.agent, report.shown, report.customer, report.nobody) == ("ivan", "", CUSTOMER, "")


@pytest.mark.parametrize(("on", "rows"), [("answer", [CUSTOMER]), ("call", [])])
def test_who_is_remembered_when_somebody_answers(on: Any, rows: list[str]) -> None:
    """S2.3; the router itself writes what is remembered at the call."""
    recorded = Recorded(replace(FIRST_ANNA, remember=(Remember("white", on),)))
    recorded.scene.invite()
    assert [change for change in recorded.changes if isinstance(change, AddToList)] == []
    recorded.scene.answer(recorded.scene.one("INVITE"), 200, headers=WITH_SDP, body=ANSWER)
    added = [change for change in recorded.changes if isinstance(change, AddToList)]
    assert [(change.list, change.number) for change in added] == [("white", number) for number in rows]


def test_what_is_learned_is_in_the_store(tmp_path: Path) -> None:
    """A binding is there from the answer on, while the call lasts, and after a crash in its middle."""
    recorded = Recorded(FIRST_ANNA, sticky={"returning": RETURNING})
    recorded.talk()
    with Database(tmp_path / "sipacr.db") as database:
        said = [line for change in recorded.changes for line in change.write(database.connection) or ()]
        (row,) = bindings_of(database.connection, CUSTOMER)["returning"]
        assert (row.agent, row.made, row.in_progress) == ("anna", START + 3, True)
        assert said == [f";;0: binding made: returning: {CUSTOMER} to anna"]
        recorded.changes.clear()
        recorded.recorder.tick()
        recorded.scene.run(ALIVE + 5.0)
        recorded.recorder.tick()
        recorded.recorder.recover()
        for change in recorded.changes:
            change.write(database.connection)
        (row,) = bindings_of(database.connection, CUSTOMER)["returning"]
        assert (row.in_progress, row.in_answered) == (False, START + 3 + ALIVE + 5)
        assert [each.outcome for each in of_customer(database.connection, CUSTOMER)] == ["lost"]
