"""What is shown and logged of calls: in progress, over; and which one a Call-ID means."""

import re

from sipacr.calls import progress
from tests.calls.scene import Scene
from tests.calls.test_callee import QUEUE


def test_a_call_from_its_first_moment_to_its_end() -> None:
    scene = Scene(QUEUE)
    lines: list[str] = []
    scene.calls.on_end = lambda call: lines.append(progress.line(call))
    invite = scene.invite()
    (call,) = scene.calls.live
    row = progress.row(call, call.started + 2.0)
    assert (row["state"], row["from"], row["to"], row["seconds"]) == ("trying", "trunk-a", "pbx", 2.0)
    leg = scene.legs()[0].message
    assert row["far_call_ids"] == [leg.get("Call-ID")]
    for text in (invite.get("Call-ID"), leg.get("Call-ID")):
        assert progress.named(scene.calls.live, text or "") == [call]
    assert progress.named(scene.calls.live, "other") == []
    call.hang_up(progress.HUNG_UP)
    assert lines
    assert re.match(r"\S+: caller=\S+ dialled=\S+ from=trunk-a rule=.* outcome=stopped target=\"\" to=\"\" ", lines[0])


def test_no_far_end_writes_lines_of_its_own() -> None:
    assert progress._quoted('a "b"\r\nc') == "\"a 'b'??c\""
    assert progress._quoted("") == '""'
    assert progress._quoted("plain") == "plain"
