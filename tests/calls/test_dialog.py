"""Dialogs: targets, route sets, the way of the next request (RFC 3261 12)."""

import pytest

from sipacr.calls.dialog import Dialog
from sipacr.calls.network import Flow
from tests.calls.network import CALLER, CALLER_TCP, answer, request
from tests.calls.talk import HELD, HOLD, Talk

BOTH = pytest.mark.parametrize("who", ["a", "b"])
V6 = Flow("udp", "2001:db8::1", 5060, 1)


def dialog(target: str = "sip:jan@198.51.100.1", routes: tuple[str, ...] = (), flow: Flow = CALLER) -> Dialog:
    return Dialog(
        "c", "<sip:us@x>;tag=1", "<sip:jan@y>;tag=2", flow, "<sip:192.0.2.1>", target=target, routes=[*routes]
    )


def test_as_the_one_who_was_called() -> None:
    invite = request(
        headers=[
            ("Record-Route", "<sip:p1.example;lr>, <sip:p2.example;lr>"),
            ("Record-Route", "<sip:p3.example;lr>"),
            ("Contact", '"Jan" <sip:jan@198.51.100.7:5070;ob>;expires=60'),
        ]
    )
    made = Dialog.as_server(invite, "us", CALLER, "<sip:192.0.2.1>")
    assert made.key == ("call@a", "us", "a")
    assert made.routes == ["<sip:p1.example;lr>", "<sip:p2.example;lr>", "<sip:p3.example;lr>"]
    assert made.target == "sip:jan@198.51.100.7:5070;ob"
    assert (made.local_seq, made.remote_seq) == (0, 1)
    bye = made.request("BYE", [])
    assert (bye.get("CSeq"), bye.uri, bye.lines("Route")) == ("1 BYE", made.target, made.routes)
    assert (bye.get("From"), bye.get("To")) == (f"{invite.get('To')};tag=us", invite.get("From"))


def test_as_the_one_who_called() -> None:
    invite = request(cseq=7)
    ok = answer(
        invite,
        200,
        headers=[("Record-Route", "<sip:p1.example;lr>, <sip:p2.example;lr>"), ("Contact", "<sip:far@203.0.113.1>")],
    )
    made = Dialog.as_client(invite, ok, CALLER, "<sip:192.0.2.1>")
    assert made.key == ("call@a", "a", "b")
    assert made.routes == ["<sip:p2.example;lr>", "<sip:p1.example;lr>"]
    assert (made.local_seq, made.remote_seq) == (7, -1)
    assert made.request("INFO", []).get("CSeq") == "8 INFO"


def test_a_strict_router_first() -> None:
    made = dialog(routes=("<sip:strict@203.0.113.9:5080;x=1>", "<sip:p2.example;lr>"))
    asked = made.request("INFO", [])
    assert asked.uri == "sip:strict@203.0.113.9:5080;x=1"
    assert asked.lines("Route") == ["<sip:p2.example;lr>", "<sip:jan@198.51.100.1>"]
    assert (made.flow.host, made.flow.port) == ("203.0.113.9", 5080)


@pytest.mark.parametrize(
    ("target", "routes", "flow", "way"),
    [
        ("sip:jan@203.0.113.5:5070", (), CALLER, ("203.0.113.5", 5070)),
        ("sip:jan@203.0.113.5", (), CALLER, ("203.0.113.5", 5060)),
        ("sip:203.0.113.5;transport=udp", (), CALLER, ("203.0.113.5", 5060)),
        ("sip:jan@pbx.example:5070", (), CALLER, ("198.51.100.1", 5060)),
        ("sip:jan@203.0.113.5", ("<sip:203.0.113.9:5080;lr>",), CALLER, ("203.0.113.9", 5080)),
        ("sip:jan@203.0.113.5", ("<sip:proxy.example;lr>",), CALLER, ("198.51.100.1", 5060)),
        ("sip:jan@[2001:db8::5]:5070", (), V6, ("2001:db8::5", 5070)),
        ("sip:jan@[2001:db8::5]", (), CALLER, ("198.51.100.1", 5060)),  # our socket speaks the other IP
        ("sip:jan@203.0.113.5", (), V6, ("2001:db8::1", 5060)),
        ("sip:jan@203.0.113.5:99999", (), CALLER, ("198.51.100.1", 5060)),
        ("sip:jan@203.0.113.5:0", (), CALLER, ("198.51.100.1", 5060)),
        ("tel:+48601000111", (), CALLER, ("198.51.100.1", 5060)),
        ("sip:jan@203.0.113.5:5070", (), CALLER_TCP, (CALLER_TCP.host, CALLER_TCP.port)),
    ],
)
def test_the_way_of_the_next_request(target: str, routes: tuple[str, ...], flow: Flow, way: tuple[str, int]) -> None:
    found = dialog(target, routes, flow).flow
    assert (found.host, found.port) == way
    assert (found.transport, found.number) == (flow.transport, flow.number)


@BOTH
@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_targets_are_refreshed_by_a_request_and_its_answer(who: str, method: str) -> None:
    talk = Talk()
    near, far = talk.sides(who)
    near.contact = f"<sip:new@{near.flow.host}:5081>"
    sent = near.send(method, body=HOLD)
    asked = far.one(method)
    far.contact = f"<sip:newer@{far.flow.host}:5082>"
    far.answer(asked, 200, body=HELD)
    if method == "INVITE":
        assert far.one("ACK").message.uri == f"sip:newer@{far.flow.host}:5082"
        near.hears()
        near.ack(sent)
    near.hears()
    for each, other, port in ((near, far, 5082), (far, near, 5081)):
        each.send("OPTIONS")
        heard = other.one("OPTIONS")
        assert heard.message.uri == other.contact.strip("<>")
        assert heard.flow.port == port
        other.answer(heard, 200)
        each.one("200 OPTIONS")
    assert talk.hang_up(who)


@BOTH
def test_a_refused_refresh_changes_no_target(who: str) -> None:
    talk = Talk()
    near, far = talk.sides(who)
    before = near.contact
    near.contact = f"<sip:new@{near.flow.host}:5081>"
    sent = near.send("INVITE", body=HOLD)
    far.answer(far.one("INVITE"), 488)
    near.hears()
    near.ack_refusal(sent)
    far.hears()
    far.send("OPTIONS")
    heard = near.one("OPTIONS")
    assert heard.message.uri == before.strip("<>")
    near.answer(heard, 200)
    far.one("200 OPTIONS")
    assert talk.hang_up(who)


def test_the_callers_route_set_is_used_for_requests_to_him_and_told_to_nobody_else() -> None:
    routes = "<sip:198.51.100.1:5062;lr>, <sip:edge@198.51.100.1:5063;lr>"
    talk = Talk(invite=[("Record-Route", routes)])
    assert talk.leg.message.get("Record-Route") is None
    talk.b.send("OPTIONS")
    heard = talk.a.one("OPTIONS")
    assert heard.message.lines("Route") == ["<sip:198.51.100.1:5062;lr>", "<sip:edge@198.51.100.1:5063;lr>"]
    assert heard.message.uri == "sip:jan@198.51.100.1:5060"
    assert heard.flow.port == 5062
    talk.a.answer(heard, 200)
    talk.b.one("200 OPTIONS")
    invite = talk.a.send("INVITE", ("Record-Route", "<sip:elsewhere.example;lr>"), body=HOLD)
    talk.b.answer(talk.b.one("INVITE"), 200, body=HELD)
    talk.b.hears()
    ok = talk.a.one("200 INVITE").message
    assert ok.get("Record-Route") == "<sip:elsewhere.example;lr>"  # copied (12.1.1), but it changes no route set (12.2)
    talk.a.ack(invite)
    talk.b.send("OPTIONS")
    heard = talk.a.one("OPTIONS")
    assert len(heard.message.lines("Route")) == 2
    talk.a.answer(heard, 200)
    talk.b.one("200 OPTIONS")
    assert talk.hang_up()


def test_a_strict_router_on_the_callees_side() -> None:
    talk = Talk(ok=[("Record-Route", "<sip:10.0.0.5:5071>, <sip:10.0.0.5:5072>")])
    invite = talk.a.send("INVITE", body=HOLD)
    asked = talk.b.one("INVITE")
    assert asked.message.uri == "sip:10.0.0.5:5072"
    assert asked.message.lines("Route") == ["<sip:10.0.0.5:5071>", "<sip:far@10.0.0.5:5060>"]
    assert asked.flow.port == 5072
    talk.b.answer(asked, 200, body=HELD)
    ack = talk.b.one("ACK")
    assert (ack.message.uri, ack.message.lines("Route")) == (asked.message.uri, asked.message.lines("Route"))
    talk.a.hears()
    talk.a.ack(invite)
    assert talk.hang_up()


def test_a_peer_behind_nat_is_reached_where_its_requests_come_from() -> None:
    talk = Talk(peers={"trunk-a": {"symmetric": True}})
    talk.a.contact = "<sip:jan@192.168.1.5:5060>"
    rebound = talk.a.flow._replace(port=61234)
    talk.a.send("UPDATE", flow=rebound)
    talk.b.answer(talk.b.one("UPDATE"), 200)
    talk.a.one("200 UPDATE")
    talk.b.send("OPTIONS")
    heard = talk.a.one("OPTIONS")
    assert (heard.flow, heard.message.uri) == (rebound, "sip:jan@192.168.1.5:5060")
    talk.a.answer(heard, 200)
    talk.b.one("200 OPTIONS")
    assert talk.hang_up()
