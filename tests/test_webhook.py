"""The door for a PBX's webhook, asked over HTTP: who may enter, what it takes, what it refuses, and what comes out."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from company import CUSTOMER, engine

from sipacr.store.learning import LearnElsewhere
from sipacr.webhook import LONGEST, TokenError, Webhook, read_token

TOKEN = "0123456789abcdef"
CALL = {
    "time": 1_780_000_000, "direction": "in", "customer": CUSTOMER, "agent": "anna", "answered": True, "talk": 60,
    "uniqueid": "a.1",
}  # fmt: skip


class Door:
    """A webhook and what it has handed over."""

    def __init__(self) -> None:
        self.changes: list[Any] = []
        self.room = True
        self.webhook = Webhook("127.0.0.1", 0, TOKEN.encode(), engine(), self._submit)

    def _submit(self, change: Any) -> bool:
        self.changes.append(change)
        return self.room

    def post(self, body: Any, kind: str = "application/json", token: str | None = TOKEN, path: str = "/calls") -> Any:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.webhook.port}{path}", data=data)
        request.add_header("Content-Type", kind)
        if token is not None:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()


@pytest.fixture
def door() -> Iterator[Door]:
    made = Door()
    yield made
    made.webhook.close()


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (CALL, "application/json"),
        ([CALL], "application/json; charset=utf-8"),
        (
            b"time=1780000000&direction=in&customer=%2B48601000111&agent=101&answered=1&talk=60&uniqueid=a.1&more=x",
            "application/x-www-form-urlencoded",
        ),
    ],
)
def test_a_call_is_taken(door: Door, body: Any, kind: str) -> None:
    status, said = door.post(body, kind)
    assert (status, json.loads(said)) == (202, {"taken": 1, "warnings": []})
    (change,) = door.changes
    assert isinstance(change, LearnElsewhere)
    report = change.report
    assert (report.uid, report.source, report.customer, report.talks[0].agent) == ("a.1", "webhook", CUSTOMER, "anna")


@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN + "x", TOKEN[:-1], "é"])
def test_nobody_enters_without_the_token(door: Door, token: str | None) -> None:
    status, said = door.post(CALL, token=token.encode().decode("latin-1") if token else token)
    assert (status, door.changes) == (401, [])
    assert TOKEN not in said


@pytest.mark.parametrize(
    ("body", "kind", "said"),
    [
        (b"{", "application/json", "no JSON"),
        (b"[" * 30_000, "application/json", "no JSON"),
        (b"\xff", "application/json", "no JSON"),
        ([], "application/json", "0 calls"),
        ([CALL] * 201, "application/json", "201 calls"),
        ("text", "application/json", "an object"),
        ({**CALL, "talk": [1]}, "application/json", "talk must be"),
        ({"time": 1}, "application/json", "lacks direction, customer"),
        ({**CALL, "direction": "x"}, "application/json", "the call direction 'x'"),
        ([CALL, {**CALL, "talk": "x"}], "application/json", "call 2: talk 'x'"),
        (CALL, "text/plain", "application/json or"),
    ],
)
def test_what_is_refused(door: Door, body: Any, kind: str, said: str) -> None:
    status, answer = door.post(body, kind)
    assert (status, door.changes) == (400, [])
    assert said in json.loads(answer)["error"]


def test_a_body_that_is_too_large(door: Door) -> None:
    assert door.post(b" " * (LONGEST + 1))[0] == 413


def test_other_places(door: Door) -> None:
    assert door.post(CALL, path="/")[0] == 404


def test_a_store_that_is_too_slow(door: Door) -> None:
    door.room = False
    assert door.post(CALL)[0] == 503


def test_another_token_after_a_reload(door: Door) -> None:
    door.webhook.take(engine(), b"another-token-of-ours")
    assert door.post(CALL)[0] == 401
    assert door.post(CALL, token="another-token-of-ours")[0] == 202


def test_an_address_that_is_taken(door: Door) -> None:
    with pytest.raises(OSError, match="in use"):
        Webhook("127.0.0.1", door.webhook.port, b"x" * 16, engine(), lambda change: True)


@pytest.mark.parametrize(("content", "said"), [(b"short\n", "fewer than 16"), (None, "cannot be read")])
def test_the_file_of_the_token(tmp_path: Path, content: bytes | None, said: str) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(TokenError, match=said):
        read_token(file)
    file.write_bytes(TOKEN.encode() + b"\r\n")
    assert read_token(file) == TOKEN.encode()
