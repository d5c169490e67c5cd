"""Operating a running router: calls in progress, hanging up by command, a stop while people talk and call."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families
from test_relay import SDP, World, _none_is_left, talk, until  # noqa: F401  # the fixture ends the routers

from sipacr.calls.message import Message

pytestmark = pytest.mark.loopback


def command(world: World, *words: str, status: int = 0) -> str:
    line = [sys.executable, "-m", "sipacr", "-c", str(world.folder / "sipacr.yaml"), *words]
    done = subprocess.run(line, capture_output=True, text=True, timeout=30)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def calls(world: World, *words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(command(world, "calls", "--json", *words))
    return found


def from_pbx(world: World, dialled: str, call: str) -> Message:
    """An INVITE of the PBX, whose calls are redirected."""
    invite = world.request("INVITE", call=call, uri=f"sip:{dialled}@127.0.0.1", to=f"<sip:{dialled}@127.0.0.1>")
    via = f"SIP/2.0/UDP 127.0.0.2:{world.ports['pbx']};branch=z9hG4bK{call};rport"
    invite.headers = [("Via", via) if name == "Via" else (name, value) for name, value in invite.headers]
    return invite


def test_calls_in_progress_and_their_end_by_command(tmp_path: Path) -> None:
    world = World(tmp_path)
    assert calls(world) == []
    trunk, pbx, _, invite = talk(world)
    (row,) = calls(world)
    assert {key: row[key] for key in ("state", "caller", "dialled", "from", "to", "target", "rule", "call_id")} == {
        "state": "talking",
        "caller": "+48601000111",
        "dialled": "+48221112233",
        "from": "trunk",
        "to": "pbx",
        "target": "anna",
        "rule": "shop",
        "call_id": "call-a",
    }
    assert row["far_call_ids"] == [invite.get("Call-ID")]
    assert 0 <= row["seconds"] < 30
    shown = command(world, "calls", "ANNA")
    assert "1 call in progress" in shown
    assert "call-a" in shown
    assert calls(world, "ivan") == []
    assert "Call-ID" in command(world, "hangup", "other", status=1)
    command(world, "hangup", status=2)
    command(world, "hangup", "call-a", "--all", status=2)
    assert command(world, "hangup", "call-a") == "1 call hung up\n"
    for line in (trunk, pbx):
        bye = line.expect("BYE")
        assert "administrator" in (bye.get("Reason") or "")
        line.answer(bye, 200, "")
    assert calls(world) == []


def test_a_ringing_call_is_hung_up_by_the_call_id_of_the_far_side(tmp_path: Path) -> None:
    world = World(tmp_path)
    trunk, pbx = world.trunk(), world.pbx()
    trunk.send(world.request("INVITE", body=SDP))
    invite = pbx.expect("INVITE")
    pbx.answer(invite, 180, "p1", contact="anna@127.0.0.2")
    trunk.expect(180)
    assert [row["state"] for row in calls(world)] == ["ringing"]
    command(world, "hangup", invite.get("Call-ID") or "")
    while (request := pbx.receive()).method == "INVITE":
        pass  # repeated before the 180 came
    assert request.method == "CANCEL"
    trunk.expect(480)


def test_all_are_hung_up(tmp_path: Path) -> None:
    world = World(tmp_path)
    trunk, pbx, *_ = talk(world)
    assert command(world, "hangup", "--all") == "1 call hung up\n"
    trunk.expect("BYE")
    pbx.expect("BYE")


def test_a_stop_sends_redirected_calls_elsewhere_too_but_not_emergencies(tmp_path: Path) -> None:
    world = World(tmp_path)
    settings = tmp_path / "sipacr.yaml"
    settings.write_text(settings.read_text().replace("own: {", "emergency: [112], own: {"))
    command(world, "reload")
    trunk, pbx, answered, _ = talk(world)
    pbx.send(from_pbx(world, "+48221112233", "before"))
    assert pbx.expect(302)
    world.process.terminate()
    until(lambda: "1 calls have 20 s to end" in world.log.read_text(), world.log)
    pbx.send(from_pbx(world, "+48221112233", "after"))
    assert pbx.expect(503).get("Retry-After")
    pbx.send(from_pbx(world, "112", "help"))
    assert "112@" in (pbx.expect(302).get("Contact") or "")
    assert len(calls(world)) == 1
    trunk.send(world.request("BYE", to=answered.get("To") or "", seq=2))
    trunk.expect(200)
    pbx.answer(pbx.expect("BYE"), 200, "")
    assert world.process.wait(10) == 0


def test_metrics_and_a_line_of_the_log_for_each_call(tmp_path: Path) -> None:
    world = World(tmp_path, more="metrics: 127.0.0.1:{metrics}\n")
    trunk, pbx, answered, _ = talk(world)
    assert figures(world)["sipacr_live_calls", ()] == 1
    trunk.send(world.request("BYE", to=answered.get("To") or "", seq=2))
    trunk.expect(200)
    pbx.answer(pbx.expect("BYE"), 200, "")
    pbx.send(from_pbx(world, "+48221112233", "other"))
    pbx.expect(302)
    found = figures(world)
    assert found["sipacr_live_calls", ()] == 0
    assert found["sipacr_answers_total", ("relayed",)] == 1
    assert found["sipacr_answers_total", ("302",)] == 1
    assert found["sipacr_relayed_calls_total", ("answered",)] == 1
    assert found["sipacr_rule_hits_total", ("shop",)] == 2
    assert found["sipacr_post_dial_delay_seconds_count", ()] == 1
    assert found["sipacr_peer_up", ("pbx",)] == 1
    (line,) = [line for line in world.log.read_text().splitlines() if "outcome=" in line]
    assert "call-a: caller=+48601000111 dialled=+48221112233 from=trunk rule=shop outcome=answered target=anna" in line


def figures(world: World) -> dict[tuple[str, tuple[str, ...]], float]:
    with urlopen(f"http://127.0.0.1:{world.ports['metrics']}/metrics", timeout=10) as page:
        text = page.read().decode()
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
