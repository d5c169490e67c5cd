"""The control socket: a line there, lines back; rows come one by one; who asks for nonsense is told so."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from sipacr.control import Answer, NotRunning, ask, serve, socket_path


async def _say(rest: str) -> Answer:
    return {"ok": True, "said": rest}


async def _many(count: str) -> Answer:
    return {"ok": True, "rows": [lambda number=number: {"number": number} for number in range(int(count))]}


COMMANDS = {"say": _say, "many": _many}


def serving(path: Path, story: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        server = await serve(path, COMMANDS)
        await story()
        server.close()

    asyncio.run(asyncio.wait_for(run(), 20))


def asked(path: Path, *lines: str) -> list[Answer]:
    answers: list[Answer] = []

    async def story() -> None:
        for line in lines:
            answers.append(await asyncio.to_thread(ask, path, line, 5))

    serving(path, story)
    return answers


def test_the_rest_of_the_line_goes_to_the_command(tmp_path: Path) -> None:
    said = asked(tmp_path / "s", "say a b", "say", "shout", "say é")
    assert [each.get("said") for each in said] == ["a b", "", None, "é"]
    assert said[2] == {"ok": False, "error": "no command; say, many"}


@pytest.mark.parametrize("count", [1, 99, 100, 101, 5000])
def test_rows_come_whole_and_in_order(tmp_path: Path, count: int) -> None:
    (answer,) = asked(tmp_path / "s", f"many {count}")
    assert answer == {"ok": True, "rows": [{"number": number} for number in range(count)]}


def test_no_rows_are_no_key(tmp_path: Path) -> None:
    assert asked(tmp_path / "s", "many 0") == [{"ok": True}]


def test_the_loop_turns_while_rows_are_written(tmp_path: Path) -> None:
    async def story() -> None:
        turns = 0
        task = asyncio.create_task(asyncio.to_thread(ask, tmp_path / "s", "many 5000", 5))
        while not task.done():
            turns += 1
            await asyncio.sleep(0)
        assert len((await task)["rows"]) == 5000
        assert turns > 40

    serving(tmp_path / "s", story)


def test_who_goes_away_in_the_middle_harms_nobody(tmp_path: Path) -> None:
    async def story() -> None:
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))
        writer.write(b"many 100000\n")
        await reader.readline()
        writer.transport.abort()
        assert (await asyncio.to_thread(ask, tmp_path / "s", "say on", 5))["said"] == "on"

    serving(tmp_path / "s", story)


def test_a_router_that_dies_in_the_middle_is_no_answer(tmp_path: Path) -> None:
    async def die(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b'{"ok": true, "rows": 2}\n{"number": 0}\n')
        writer.close()

    async def story() -> None:
        server = await asyncio.start_unix_server(die, path=str(tmp_path / "d"))
        with pytest.raises(NotRunning, match="in the middle"):
            await asyncio.to_thread(ask, tmp_path / "d", "many", 5)
        server.close()

    asyncio.run(asyncio.wait_for(story(), 20))


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(NotRunning, match="sipacr run"):
        ask(tmp_path / "none", "say")
    with pytest.raises(ValueError, match="too long"):
        socket_path(tmp_path / ("x" * 120))
