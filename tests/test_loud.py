"""Each cause once a minute, with the count of what was not said."""

import logging

import pytest

from sipacr.loud import Loud


def test_once_a_minute_and_cause(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    loud = Loud(logging.getLogger("test"), lambda: now[0])
    for _ in range(5):
        loud.say("disk", "the disk is full")
    loud.say("lock", "the store is locked")
    now[0] = 61
    loud.say("disk", "the disk is full")
    assert [record.message for record in caplog.records] == [
        "the disk is full",
        "the store is locked",
        "the disk is full (5 times since it was last said)",
    ]
    assert loud.counts == {"disk": 6, "lock": 1}
