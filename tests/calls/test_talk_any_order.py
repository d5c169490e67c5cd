"""An answered call under any order of requests, answers, ACKs, repeats, losses and time."""

from hypothesis import given, settings
from hypothesis import strategies as st

from sipacr.calls.message import Message
from sipacr.calls.network import Flow
from sipacr.calls.repeating import PATIENCE
from tests.calls.network import CALLER, CALLER_TCP, Sent
from tests.calls.scene import ANSWER, SDP
from tests.calls.talk import HOLD, End, Talk

METHODS = ["INVITE", "INVITE", "UPDATE", "INFO", "REFER", "NOTIFY", "OPTIONS", "BYE"]
CODES = [100, 180, 183, 200, 200, 200, 302, 422, 481, 488, 491, 503]
PAUSES = [0.0, 0.1, 0.6, 2.0, 9.0, 11.0, 33.0, 181.0]
EVENT = st.tuples(
    st.sampled_from(
        ["ask", "ask", "answer", "answer", "answer", "ack", "ack", "cancel", "repeat", "say_again", "time", "fail"]
    ),
    st.booleans(),
    st.integers(0, 11),
    st.integers(0, 3),
)
_EVENT_TYPES = [
    ("NOTIFY", [("Event", "refer"), ("Subscription-State", "active;expires=60")]),
    ("NOTIFY", [("Event", "refer"), ("Subscription-State", "terminated;reason=noresource")]),
]


class Anything(Talk):
    """Does whatever it is told; the ends keep to the protocol but for what they lose, repeat or never say."""

    def __init__(self, flow: Flow) -> None:
        super().__init__(flow=flow)
        self.open: dict[End, list[Sent]] = {self.a: [], self.b: []}  # requests of ours without a final answer
        self.mine: dict[End, list[Message]] = {self.a: [], self.b: []}  # INVITEs of the end
        self.asked_at: dict[Message, float] = {}
        self.answers: dict[End, list[Message]] = {self.a: [], self.b: []}
        self.requests: dict[End, list[Message]] = {self.a: [], self.b: []}

    def do(self, what: str, is_a: bool, which: int, place: int) -> None:
        end = self.a if is_a else self.b
        getattr(self, f"do_{what}")(end, which, place)
        for each in (self.a, self.b):
            for sent in each.sent():
                if sent.message.method not in ("", "ACK") and sent.message.get("Via") not in self.vias(each):
                    self.open[each].append(sent)

    def vias(self, end: End) -> set[str | None]:
        """Of the requests that this end knows; a CANCEL has that of its INVITE and needs no answer here."""
        return {sent.message.get("Via") for sent in self.open[end]} | {each.get("Via") for each in self.answers[end]}

    def do_ask(self, end: End, which: int, place: int) -> None:
        method = METHODS[which % len(METHODS)]
        headers = _EVENT_TYPES[place % 2][1] if method == "NOTIFY" else []
        if method == "REFER":
            headers = [("Refer-To", "<sip:103@192.0.2.1>")]
        body = HOLD if method in ("INVITE", "UPDATE") and place < 2 else b""
        message = end.send(method, *headers, body=body)
        if not end.known:
            self.asked.remove(message)  # the driver says 481
            return
        self.requests[end].append(message)
        self.asked_at[message] = self.timers.now
        if method == "INVITE":
            self.mine[end].append(message)

    def do_answer(self, end: End, which: int, place: int) -> None:
        if not self.open[end]:
            return
        sent = self.open[end][place % len(self.open[end])]
        code = CODES[which]
        if code >= 200:
            self.open[end].remove(sent)
        headers = [("Min-SE", "3600")] if code == 422 else []
        answer = end.answer(sent, code, *headers, body=SDP if code == 200 and sent.message.method == "INVITE" else b"")
        if code >= 200:
            self.answers[end].append(answer)

    def do_ack(self, end: End, which: int, place: int) -> None:
        if not self.mine[end]:
            return
        invite = self.mine[end].pop(0)
        finals = [m.code for _, m, _ in self.network.sent if m.get("Via") == invite.get("Via") and m.code >= 200]
        if not finals:
            self.mine[end].insert(0, invite)
        elif finals[0] < 300:
            branch = f"z9hG4bK{end.peer}ack{next(end.branches)}"
            end.hand_in(end.message("ACK", invite.cseq[0], branch, body=b"" if invite.body else ANSWER))
        else:
            end.hand_in(end.message("ACK", invite.cseq[0], (invite.get("Via") or "").rpartition("branch=")[2]))

    def do_cancel(self, end: End, which: int, place: int) -> None:
        if self.mine[end]:
            invite = self.mine[end][-1]
            cancel = end.message("CANCEL", invite.cseq[0], (invite.get("Via") or "").rpartition("branch=")[2])
            if cancel.get("Via") not in [
                each.get("Via") for each in self.asked if each.method == "CANCEL"
            ] and not end.hand_in(cancel):
                self.asked.remove(cancel)

    def do_repeat(self, end: End, which: int, place: int) -> None:
        recent = [each for each in self.requests[end] if self.timers.now - self.asked_at[each] < PATIENCE]
        if recent and not end.flow.reliable:  # else no client repeats it
            message = recent[place % len(recent)]
            end.hand_in(message)
            self.asked.pop()

    def do_say_again(self, end: End, which: int, place: int) -> None:
        if self.answers[end]:
            end.repeat(self.answers[end][place % len(self.answers[end])])

    def do_fail(self, end: End, which: int, place: int) -> None:
        """The connection breaks, and what it asked by INVITE cannot be answered any more."""
        if end.flow.reliable and which < 4:
            finals = {sent.message.get("Via") for sent in self.network.sent if sent.message.code >= 200}
            for invite in [each for each in self.asked if each.method == "INVITE" and each.get("Via") not in finals]:
                if invite in self.requests[end]:
                    self.asked.remove(invite)
                    self.requests[end].remove(invite)
                    self.mine[end].remove(invite)
            self.calls.failed(end.flow)
            end.flow = end.flow._replace(port=end.flow.port + 1, number=end.flow.number + 1)
            self.run(0.0)

    def do_time(self, end: End, which: int, place: int) -> None:
        self.run(PAUSES[which % len(PAUSES)])


@given(st.lists(EVENT, max_size=25), st.sampled_from([CALLER, CALLER_TCP]))
@settings(max_examples=200, deadline=None)
def test_all_ends_well(events: list[tuple[str, bool, int, int]], flow: Flow) -> None:
    talk = Anything(flow)
    for event in events:
        talk.do(*event)
        for end in (talk.a, talk.b):
            assert sum(sent.message.method == "INVITE" for sent in talk.open[end]) <= 1  # 14.1
    talk.run(2000.0)  # nobody answers any more: our OPTIONS find it out
    assert talk.is_over()
