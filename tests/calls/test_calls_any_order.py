"""All calls under any order of messages, failures, commands and time: what must hold whatever comes."""

import os
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from sipacr.calls.message import Headers, Message, parameters, tag
from sipacr.calls.network import Flow, Target
from sipacr.calls.repeating import PATIENCE
from sipacr.calls.timers import Timers
from sipacr.routing.directory import Credentials
from tests.calls.network import CALLER, CALLER_TCP, FakeNetwork, Sent, request
from tests.calls.scene import ANSWER, SDP, WITH_SDP, Scene
from tests.company import route, step, to

CALLERS = [CALLER, CALLER_TCP, CALLER._replace(host="198.51.100.9")]
CODES = [100, 100, *[180, 183] * 12, 181, 199, 199, 200, 200, 200, 200, 202, 200, 200, 202, 302, 401, 407, 404, 408, 422, 481, 486, 487, 491, 500, 503, 600, 603]  # fmt: skip
FINALS = [*[200] * 10, 202, 302, 401, 404, 408, 422, 481, 486, 491, 500, 503]
IN_DIALOG = ["BYE", "BYE", "ACK", "PRACK", "INVITE", "INVITE", "UPDATE", "REFER", "NOTIFY", "INFO", "MESSAGE", "OPTIONS", "SUBSCRIBE"]  # fmt: skip
PAUSES = [0.0, 0.0, 0.1, 0.1, 0.5, 0.5, 1.0, 1.0, 1.0, 2.0, 4.0, 9.0, 20.0, 33.0, 61.0, 200.0, 1000.0]
CHALLENGE = 'Digest realm="a", nonce="{}", algorithm=MD5, qop="auth"'
EVENTS = ["call", "call", "hear", "hear", "hear", "hear", "hear", "hear", "caller", "caller", "caller", "caller", "callee", "callee", "cancel", "fail", "time", "time", "command", "again"]  # fmt: skip
EVENT = st.tuples(st.sampled_from(EVENTS), st.integers(0, 2**30))
RULES = [
    route("one after the other", step("agent", "anna", ring=10.0), step("agent", "ivan", ring=15.0), to("queue-main")),
    route("all at once", step("group", "sales", order="all", ring=12.0, total=20.0), to("queue-main")),
    route("out", step("mobile", "ivan", ring=20.0), step("agent", "anna"), to("queue-sales")),
    route("only one", to("queue-main"), else_="end"),
]


class Entry(NamedTuple):
    """One message of the log."""

    ours: bool
    time: float
    message: Message
    flow: Flow
    taken: bool = True  # it was somebody's


class Logging(FakeNetwork):
    """Keeps the order of what is sent and heard."""

    log: list[Entry]
    timers: Timers

    def send(self, flow: Flow, data: bytes) -> None:
        super().send(flow, data)
        self.log.append(Entry(True, self.timers.now, self.sent[-1].message, flow))


class Anything(Scene):
    """Does whatever the numbers say and remembers what came of it."""

    def __init__(self, rule: int, early: str) -> None:
        login = Credentials("u", "p")
        settings = {"early": early, "session_expires": 600.0, "max_calls": 6}
        peers = {"trunk-a": {**settings, "auth": login}, "trunk-b": {**settings, "auth": login}, "pbx": settings}
        super().__init__(RULES[rule], peers=peers, network=Logging())
        pbx = [Target("udp", "10.0.0.5", 5060), Target("tcp", "10.0.0.6", 5060), Target("udp", "10.0.0.7", 5060)]
        self.network.peers["pbx"] = pbx
        self.invites: list[tuple[Message, Flow]] = []
        self.handed: list[Callable[[], object]] = []
        self.calls.on_end = self.ended
        self.over: Counter[object] = Counter()
        self.random = Random(0)
        self.dead: set[Flow] = set()
        self.log: list[Entry] = []
        self.network.log, self.network.timers = self.log, self.timers

    def ended(self, call: object) -> None:
        self.over[call] += 1

    def do(self, what: str, number: int) -> None:
        self.random = Random(number)
        getattr(self, f"do_{what}")()

    # What comes in

    def do_call(self) -> None:
        rnd = self.random
        number = len(self.invites)
        if number == 6:
            self.do_hear()
            return
        headers: Headers = [("Contact", "<sip:jan@198.51.100.1>")]
        if rnd.random() < 0.6:
            headers.append(("Supported", rnd.choice(["100rel", "timer", "100rel, timer, 199", "199, replaces"])))
        if rnd.random() < 0.2:
            headers.append(("Require", "100rel"))
        if rnd.random() < 0.3:
            headers.append(("Session-Expires", "300"))
        if rnd.random() < 0.03:
            headers.append(("Replaces", f"call{rnd.randrange(3)};to-tag=zzt3;from-tag=a"))
        body = SDP if rnd.random() < 0.7 else b""
        flow = rnd.choice(CALLERS)
        message = request(
            branch=f"z9hG4bKinvite{number}", call_id=f"call{number if rnd.random() < 0.9 else 0}",
            headers=[*headers, *WITH_SDP] if body else headers, body=body,
        )  # fmt: skip
        if rnd.random() < 0.05:
            message.headers[1] = ("Max-Forwards", "0")
        self.invites.append((message, flow))
        peer = rnd.choice(["trunk-a", "trunk-a", "pbx"])
        self.invite(message, peer=peer, flow=flow)

    def do_hear(self) -> None:
        """A far end answers one of our requests, most often one of the last."""
        rnd = self.random
        ours = [each for each in self.network.sent if each.message.method not in ("", "ACK")]
        if rnd.random() < 0.6:
            ours = [each for each in ours if each.message.method == "INVITE"]
        if ours:
            sent = ours[-1 - min(int(rnd.expovariate(0.35)), len(ours) - 1)]
            codes = CODES if sent.message.method == "INVITE" else FINALS
            self.reply(sent, rnd.choice(codes))

    def reply(self, sent: Sent, code: int) -> None:
        rnd = self.random
        headers: Headers = []
        if rnd.random() < 0.8:
            headers.append(("Contact", rnd.choice([f"<sip:far@{sent.flow.host}>", "<sip:101@10.0.0.5>"])))
        if code in (401, 407):
            name = "WWW-Authenticate" if code == 401 else "Proxy-Authenticate"
            headers.append((name, CHALLENGE.format(rnd.randrange(4))))
        if 100 < code < 200 and rnd.random() < 0.4:
            headers += [("Require", "100rel"), ("RSeq", str(rnd.randrange(1, 4)))]
        if code == 422:
            headers.append(("Min-SE", str(rnd.choice([90, 900, "x"]))))
        if code < 300 and rnd.random() < 0.2:
            headers.append(("Session-Expires", "400;refresher=uas"))
        body = ANSWER if code != 100 and rnd.random() < 0.5 else b""
        message = Message(
            code=code, reason="",
            headers=[
                *[each for each in sent.message.headers if each[0] in ("Via", "From", "Call-ID", "CSeq")],
                ("To", with_tag(sent.message.get("To") or "", rnd.choice(["b", "b", "b", "c", "" if code < 200 else "d"]))),
                *headers, *(WITH_SDP if body else []),
            ],
            body=body,
        )  # fmt: skip
        self.hand(lambda: self.heard(message, self.calls.response, sent.flow))

    def do_caller(self) -> None:
        """A request of a caller in a dialog that we told him of."""
        rnd = self.random
        told = [each for each in self.network.sent if each.message.cseq[1] == "INVITE" and each.message.code > 100]
        if not told:
            return
        sent = told[-1 - min(int(rnd.expovariate(0.3)), len(told) - 1)]
        answer = sent.message
        method = rnd.choice(["ACK"] * 8 + IN_DIALOG) if answer.code >= 200 else rnd.choice(["PRACK"] * 8 + IN_DIALOG)
        seq = answer.cseq[0] if method == "ACK" else rnd.choice([1, 2, 3, 4, 5, 6, 7, 8])
        theirs, ours = tag(answer.get("From") or ""), tag(answer.get("To") or "")
        headers: Headers = []
        if method == "PRACK":
            headers.append(("RAck", f"{answer.get('RSeq') or 7} {answer.cseq[0]} INVITE"))
        self.in_dialog(method, seq, sent.flow, "trunk-a", answer.get("Call-ID") or "", theirs, ours, headers)

    def do_callee(self) -> None:
        """A request of a callee in the dialog that one of our INVITEs made."""
        rnd = self.random
        ours = [each for each in self.network.sent if each.message.method == "INVITE"]
        if ours:
            sent = ours[-1 - min(int(rnd.expovariate(0.3)), len(ours) - 1)]
            ids = sent.message.get("Call-ID") or "", rnd.choice("bbbc"), tag(sent.message.get("From") or "")
            self.in_dialog(rnd.choice(IN_DIALOG), rnd.randrange(6), sent.flow, "pbx", *ids, [])

    def in_dialog(
        self, method: str, seq: int, flow: Flow, peer: str, call_id: str, theirs: str, ours: str, headers: Headers
    ) -> None:
        rnd = self.random
        ours = ours if rnd.random() < 0.95 else "wrong"
        body = SDP if method in ("INVITE", "UPDATE", "ACK", "PRACK") and rnd.random() < 0.5 else b""
        known: dict[str, Headers] = {
            "REFER": [("Refer-To", f"<sip:103@10.0.0.5?Replaces={call_id}%3Bto-tag%3D{ours}%3Bfrom-tag%3D{theirs}>")],
            "NOTIFY": [("Event", "refer"), ("Subscription-State", rnd.choice(["active", "terminated"]))],
            "SUBSCRIBE": [("Event", "refer")],
        }
        message = Message(
            method, "sip:192.0.2.1",
            headers=[
                ("Via", f"SIP/2.0/{flow.transport.upper()} {flow.host}:{flow.port};branch=z9hG4bK{method}{rnd.randrange(10**9)}"),
                ("Max-Forwards", "70"), ("From", f"<sip:x@y>;tag={theirs}"), ("To", f"<sip:z@y>;tag={ours}"),
                ("Call-ID", call_id), ("CSeq", f"{seq} {method}"), *headers, *known.get(method, []),
                *([("Contact", f"<sip:new@{flow.host}>")] if rnd.random() < 0.5 else []), *(WITH_SDP if body else []),
            ],
            body=body,
        )  # fmt: skip
        self.hand(lambda: self.heard(message, lambda *each: self.take(*each, peer), flow))

    def heard(self, message: Message, take: Callable[[Message, Flow], bool], flow: Flow) -> None:
        place, now = len(self.log), self.timers.now
        self.log.append(Entry(False, now, message, flow))
        self.log[place] = Entry(False, now, message, flow, take(message, flow))

    def take(self, message: Message, flow: Flow, peer: str) -> bool:
        if message.method == "ACK":
            return self.calls.ack(message, flow)
        return self.calls.knows(message, flow) or self.calls.request(message, flow, self.directory.peers[peer])

    def do_cancel(self) -> None:
        if self.invites:
            message, flow = self.random.choice(self.invites[-3:])
            headers = [each for each in message.headers if each[0] in ("Via", "From", "To", "Call-ID")]
            headers += [("CSeq", "1 CANCEL"), ("Reason", "Q.850;cause=16")]
            cancel = Message("CANCEL", message.uri, headers=headers)
            self.hand(lambda: self.heard(cancel, lambda *each: self.take(*each, "trunk-a"), flow))

    def do_fail(self) -> None:
        flows = sorted({each.flow for each in self.network.sent})
        if flows:
            flow = self.random.choice(flows)
            self.dead.add(flow)
            self.hand(lambda: self.calls.failed(flow))

    def do_time(self) -> None:
        self.run(self.random.choice(PAUSES))

    def do_command(self) -> None:
        rnd = self.random
        if self.calls.live and rnd.random() < 0.4:
            rnd.choice(list(self.calls.live)).hang_up('SIP;cause=480;text="By command"')
        elif rnd.random() < 0.5:
            peers = dict(self.directory.peers)
            if rnd.random() < 0.3:
                del peers["trunk-b"]
            peers["pbx"] = replace(peers["pbx"], connect=rnd.choice([1.0, 4.0]), early=rnd.choice(["one", "many"]))
            self.calls.take(replace(self.directory, peers=peers))
        else:
            self.network.unreachable = {target for target in self.network.peers["pbx"] if rnd.random() < 0.3}
        self.run(0.0)

    def do_again(self) -> None:
        """Something comes once more."""
        if self.handed:
            self.random.choice(self.handed[-6:])()
            self.run(0.0)

    def hand(self, what: Callable[[], object]) -> None:
        self.handed.append(what)
        what()
        self.run(0.0)


def with_tag(to: str, far: str) -> str:
    return to if ";tag=" in to or not far else f"{to};tag={far}"


Ids = tuple[str, str, str]  # Call-ID, our tag, the far end's


def seen_from_us(entry: Entry) -> Ids:
    """The dialog of a message: From is its sender in a request, and the sender of the request in a response."""
    message = entry.message
    sides = tag(message.get("From") or ""), tag(message.get("To") or "")
    if entry.ours != bool(message.method):
        sides = sides[::-1]
    return message.get("Call-ID") or "", *sides


def branch(message: Message) -> str:
    return parameters(message.get("Via") or "").get("branch", "")


class Judge:
    """Reads in the end all that was sent and heard for what no order of events may bring about."""

    def __init__(self, scene: Anything) -> None:
        self.scene = scene
        self.log = scene.log

    def check(self) -> None:
        self.one_final_each()
        self.cancels_only_after_provisionals()
        self.answers_are_acknowledged_and_hung_up()
        self.no_bye_before_the_ack()
        self.nothing_is_left()

    def one_final_each(self) -> None:
        """The same final again and again, but no other; to each INVITE one, if it could be sent at all."""
        finals: dict[tuple[str, str, str], tuple[float, Message]] = {}
        for each in self.log:
            if each.ours and each.message.code >= 200:
                message = each.message
                via = message.get("Via") or ""
                began, first = finals.setdefault((branch(message), message.cseq[1], via), (each.time, message))
                lasts = message.cseq[1] == "INVITE" or not each.flow.reliable  # else a repeat is a new transaction
                assert message.render() == first.render() or each.time - began > PATIENCE or not lasts, message
        for message, flow in self.scene.invites:
            assert (branch(message), "INVITE", message.get("Via") or "") in finals or flow in self.scene.dead, message

    def cancels_only_after_provisionals(self) -> None:
        open_: set[str] = set()
        cancelled: set[str] = set()
        for each in self.log:
            if each.ours and each.message.method == "CANCEL":
                assert branch(each.message) in open_ | cancelled
                cancelled.add(branch(each.message))  # it may be repeated when the final is here
            elif not each.ours and each.taken and each.message.cseq[1] == "INVITE" and each.message.code:
                (set.add if each.message.code < 200 else set.discard)(open_, branch(each.message))

    def answers_are_acknowledged_and_hung_up(self) -> None:
        acked, hung_up, refused = set(), set(), set()
        for each in self.log:
            if not each.ours and each.message.code >= 300:
                refused.add(branch(each.message))
            if each.ours and each.message.method == "ACK":
                acked.add((seen_from_us(each), each.message.cseq[0]))
            elif each.message.method == "BYE" and each.taken:
                hung_up.add(seen_from_us(each))
        for each in self.log:
            code, (seq, method) = each.message.code, each.message.cseq
            if (
                not each.ours
                and each.taken
                and 200 <= code < 300
                and method == "INVITE"
                and branch(each.message) not in refused
            ):
                assert (seen_from_us(each), seq) in acked, each
                assert seen_from_us(each) in hung_up, each

    def no_bye_before_the_ack(self) -> None:
        """Nor to anybody who had no 2xx at all (RFC 3261 15)."""
        answered: dict[Ids, dict[int, float]] = defaultdict(dict)  # when our 2xx was sent first, 0: it has its ACK
        dialogs: set[Ids] = set()
        for each in self.log:
            ids, message = seen_from_us(each), each.message
            seq, method = message.cseq
            if 200 <= message.code < 300 and method == "INVITE":
                dialogs.add(ids)
                if each.ours:
                    answered[ids].setdefault(seq, each.time)
            elif each.ours and message.method == "BYE":
                assert ids in dialogs, each
                waits = [each.time - since for since in answered[ids].values() if since]
                assert not waits or max(waits) >= PATIENCE - 0.01, each
            elif message.method == "BYE":
                answered[ids] = dict.fromkeys(answered[ids], 0.0)  # they are past minding
            elif not each.ours and message.method == "ACK" and seq in answered[ids]:
                answered[ids][seq] = 0.0

    def nothing_is_left(self) -> None:
        calls = self.scene.calls
        assert not calls.live
        assert not calls.halves
        assert len(calls.transactions) == 0
        assert calls.idle
        assert not calls.state.busy
        assert not calls._load
        assert not calls._requests
        assert self.scene.timers.next_due() is None
        assert set(self.scene.over.values()) <= {1}
        assert len(self.scene.over) == calls.counts["calls"]


@settings(max_examples=int(os.environ.get("EXAMPLES", "100")), deadline=None)
@given(st.integers(0, len(RULES) - 1), st.sampled_from(["many", "one"]), st.lists(EVENT, min_size=20, max_size=70))
def test_any_order_of_events(rule: int, early: str, events: list[tuple[str, int]]) -> None:
    scene = Anything(rule, early)
    for what, number in [("call", 2), *events]:
        scene.do(what, number)
    scene.run(30_000.0)
    Judge(scene).check()
