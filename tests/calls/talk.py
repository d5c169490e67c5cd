"""A call that is answered, and its two ends as people who talk: what happens inside a call, told in tests."""

import re
from collections import defaultdict
from collections.abc import Sequence
from itertools import count
from typing import Any

from sipacr.calls.message import Headers, Message, tag, uri_of
from sipacr.calls.network import Flow
from sipacr.calls.via import COOKIE
from tests.calls.network import CALLER, Sent, request, start
from tests.calls.scene import ANSWER, SDP, WITH_SDP, Scene
from tests.company import route, step

ANNA = route("anna", step("agent", "anna", ring=60.0))
HOLD = SDP + b"a=sendonly\r\n"
HELD = ANSWER + b"a=recvonly\r\n"
PBX = Flow("udp", "10.0.0.5", 5060, 1)


class End:
    """One far end and its dialog with us; it says and hears only what passes on its own side."""

    def __init__(self, talk: "Talk", name: str, peer: str, flow: Flow) -> None:
        self.talk = talk
        self.peer = peer
        self.flow = flow
        self.contact = f"<sip:{name}@{flow.host}:{flow.port}>"
        self.local = self.remote = self.call_id = self.uri = ""
        self.seq = 0
        self.branches = count(1)
        self.known = True  # whether its last request was one of ours to answer
        self._heard = 0

    def send(self, method: str, *headers: tuple[str, str], body: bytes = b"", **more: Any) -> Message:
        """A request inside the dialog; returns it. `seq`, `to` and `flow` differ from the usual only where given."""
        seq = more.get("seq") or self.seq + 1
        self.seq = max(self.seq, seq)
        branch = f"{COOKIE}{self.peer}{self.call_id}{next(self.branches)}"
        message = self.message(method, seq, branch, *headers, body=body)
        self.hand_in(message, more.get("flow") or self.flow)
        return message

    def message(self, method: str, seq: int, branch: str, *headers: tuple[str, str], body: bytes = b"") -> Message:
        described: Headers = [("Content-Type", "application/sdp")] if body.startswith(b"v=0") else []
        return Message(
            method, self.uri,
            headers=[
                ("Via", f"SIP/2.0/{self.flow.transport.upper()} {self.flow.host}:{self.flow.port};branch={branch}"),
                ("Max-Forwards", "70"), ("From", self.local), ("To", self.remote), ("Call-ID", self.call_id),
                ("CSeq", f"{seq} {method}"), ("Contact", self.contact), ("User-Agent", f"{self.peer}-secret"),
                *headers, *described,
            ],
            body=body,
        )  # fmt: skip

    def hand_in(self, message: Message, flow: Flow | None = None) -> bool:
        """As the driver does with a request inside a dialog, a repeat included."""
        calls, flow = self.talk.calls, flow or self.flow
        if message.method == "ACK":
            known = calls.ack(message, flow)
        else:
            self.talk.asked.append(message)
            known = calls.knows(message, flow) or calls.request(message, flow, self.talk.directory.peers[self.peer])
        self.talk.run(0.0)
        self.known = known
        return known

    def ack(self, invite: Message, *headers: tuple[str, str], body: bytes = b"") -> None:
        """Acknowledge the 2xx to this INVITE."""
        branch = f"{COOKIE}{self.peer}ack{next(self.branches)}"
        assert self.hand_in(self.message("ACK", invite.cseq[0], branch, *headers, body=body))

    def ack_refusal(self, invite: Message) -> None:
        """Acknowledge the final response to this INVITE that is no 2xx: it has the same branch (17.1.1.3)."""
        branch = (invite.get("Via") or "").rpartition("branch=")[2]
        assert self.hand_in(self.message("ACK", invite.cseq[0], branch))

    def cancel(self, invite: Message, *headers: tuple[str, str]) -> None:
        """Give up this INVITE."""
        branch = (invite.get("Via") or "").rpartition("branch=")[2]
        assert self.hand_in(self.message("CANCEL", invite.cseq[0], branch, *headers))

    def answer(self, sent: Sent, code: int, *headers: tuple[str, str], body: bytes = b"", **more: Any) -> Message:
        """Answer a request of ours; returns the answer, which can be handed in again with `repeat`."""
        described: Headers = [("Content-Type", "application/sdp")] if body.startswith(b"v=0") else []
        to = more.get("to") or sent.message.get("To") or ""
        message = Message(
            code=code, reason="As it is said here",
            headers=[
                *[each for each in sent.message.headers if each[0] in ("Via", "From", "Call-ID", "CSeq", "Record-Route")],
                ("To", to), ("Contact", self.contact), ("Server", f"{self.peer}-secret"), *headers, *described,
            ],
            body=body,
        )  # fmt: skip
        if self.repeat(message) and sent.message.method == "INVITE" and 200 <= code < 300:
            self.talk.accepted.append(sent.message)
        return message

    def repeat(self, answer: Message) -> bool:
        """Send an answer (again); whether somebody waits for it."""
        known = self.talk.calls.response(answer, self.flow)
        self.talk.run(0.0)
        return known

    def sent(self) -> list[Sent]:
        """What we sent to this end since it last listened."""
        fresh = [each for each in self.talk.network.sent[self._heard :] if each.flow.host == self.flow.host]
        self._heard = len(self.talk.network.sent)
        return fresh

    def hears(self) -> list[str]:
        """The same in short: "200 INVITE", "BYE"."""
        return [start(each.message) for each in self.sent()]

    def one(self, what: str) -> Sent:
        """The only message of that kind that it hears; anything but a 100 beside it is wrong."""
        found = [each for each in self.sent() if each.message.code != 100]
        starts = [start(each.message) for each in found]
        assert starts == [what], starts
        return found[0]


class Talk(Scene):
    """An answered call between `a`, who called, and `b`; `is_over` checks what holds of every story."""

    def __init__(
        self,
        *,
        flow: Flow = CALLER,
        invite: Sequence[tuple[str, str]] = (),
        ok: Sequence[tuple[str, str]] = (),
        late_offer: bool = False,
        peers: dict[str, dict[str, Any]] | None = None,
        answered: bool = True,
    ) -> None:
        """`invite` and `ok`: further headers of the INVITE and of its 2xx."""
        Scene.__init__(self, ANNA, peers=peers)
        self.asked: list[Message] = []  # every request of the far ends
        self.accepted: list[Message] = []  # INVITEs of ours that had a 2xx
        self.a = End(self, "jan", "trunk-a", flow)
        self.b = End(self, "far", "pbx", PBX)
        body = b"" if late_offer else SDP
        message = request(
            headers=[
                ("Contact", self.a.contact),
                ("User-Agent", "trunk-a-secret"),
                *invite,
                *(WITH_SDP if body else []),
            ],
            body=body,
        )
        self.invite_of_a = self.invite(message, flow=flow)
        self.a.local, self.a.call_id = message.get("From") or "", message.get("Call-ID") or ""
        self.a.seq = message.cseq[0]
        self.leg = self.b.one("INVITE")
        ours = self.leg.message
        self.b.local, self.b.remote = f"{ours.get('To')};tag=b", ours.get("From") or ""
        self.b.call_id, self.b.uri = ours.get("Call-ID") or "", uri_of(ours.get("Contact") or "")
        self.ok = list(ok)
        if answered:
            self.pick_up()
            self.a.ack(self.invite_of_a, body=ANSWER if late_offer else b"")
            if late_offer:
                assert self.b.hears() == ["ACK"]

    def pick_up(self) -> Message:
        """B answers, and A hears it; returns the 2xx."""
        self.b.answer(self.leg, 200, *self.ok, to=self.b.local, body=ANSWER)
        if self.leg.message.body:
            assert self.b.hears() == ["ACK"]
        ok = self.a.one("200 INVITE").message
        self.meets(ok)
        return ok

    def meets(self, response: Message) -> None:
        """A learns his dialog from a response to his INVITE."""
        self.a.remote = response.get("To") or ""
        self.a.uri = uri_of(response.get("Contact") or "")

    def sides(self, who: str) -> tuple[End, End]:
        """Who begins, and the other."""
        return (self.a, self.b) if who == "a" else (self.b, self.a)

    def hang_up(self, by: str = "a") -> bool:
        """The usual end; whether all is over then."""
        near, far = self.sides(by)
        assert {*near.hears(), *far.hears()} <= {"ACK", "100 INVITE"}
        near.send("BYE")
        assert near.hears() == ["200 BYE"]
        far.answer(far.one("BYE"), 200)
        return self.is_over()

    def is_over(self) -> bool:
        """Whether nothing is left, once all timers have passed. And: each request had exactly one final answer, each
        2xx its ACK, and nobody heard of the other side."""
        over = Scene.is_over(self)
        assert not over or self.timers.next_due() is None
        self._each_is_answered_once()
        self._each_answer_is_acknowledged()
        self._nobody_sees_the_other_side()
        return over

    def _each_is_answered_once(self) -> None:
        finals: dict[tuple[str | None, str], set[bytes]] = defaultdict(set)
        for _, message, data in self.network.sent:
            if message.code >= 200:
                finals[message.get("Via"), message.cseq[1]].add(data)
        for message in [self.invite_of_a, *self.asked]:
            found = finals[message.get("Via"), message.method]
            assert len(found) == 1, (message, found)

    def _each_answer_is_acknowledged(self) -> None:
        acks = {(m.get("Call-ID"), m.cseq[0]) for _, m, _ in self.network.sent if m.method == "ACK"}
        for message in self.accepted:
            assert (message.get("Call-ID"), message.cseq[0]) in acks, message

    def _nobody_sees_the_other_side(self) -> None:
        for flow, message, _ in self.network.sent:
            foreign = self.b if flow.host == self.a.flow.host else self.a
            heads = "\n".join([message.uri, *[f"{name}: {value}" for name, value in message.headers]])
            for secret in (foreign.flow.host, foreign.call_id, "secret", tag(foreign.local), tag(foreign.remote)):
                word = rf"(?<!\w){re.escape(secret)}(?!\w)" if len(secret) > 1 else rf"tag={secret}$"
                assert secret == "" or not re.search(word, heads, re.MULTILINE), (secret, heads)
