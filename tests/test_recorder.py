"""What the recorder says of relayed calls: at the answer, when somebody else takes over, while they go on, at the end."""

from typing import Any

import pytest

from sipacr.calls.calls import Plan
from sipacr.calls.message import Message
from sipacr.calls.network import Flow
from sipacr.memory.customers import Customers
from sipacr.memory.report import Report
from sipacr.recorder import ALIVE, Recorder
from sipacr.routing.facts import Facts, Unavailable
from sipacr.settings import Keep
from sipacr.store.records import StillAlive, WriteReport
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
        self.learned: list[Report] = []
        self.shared = shared
        calls, engine = self.scene.calls, self.scene.engine
        customers = Customers(self.scene.directory, engine.ruleset)
        self.recorder = Recorder(calls, self.changes.append, self._is_shared, customers, keep or Keep())
        self.recorder.on_report = self.learned.append
        calls.on_answer, calls.on_end = self.recorder.answered, self.recorder.ended

    def _is_shared(self, number: str) -> bool:
        if isinstance(self.shared, Exception):
            raise self.shared
        return bool(self.shared)

    @property
    def call(self) -> Any:
        return next(iter(self.scene.calls.live))

    def reports(self) -> list[Report]:
        """All since the last look."""
        found = [change.report for change in self.changes if isinstance(change, WriteReport)]
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
    assert recorded.learned == [report, over]


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
    recorded.recorder.began(recorded.call)
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
        company.facts("102", CUSTOMER, "pbx", call_id="second"),
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
    recorded.recorder.began(list(recorded.scene.calls.live)[1])
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
