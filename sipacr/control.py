"""The control socket: how a command asks the running router. A line of words there, JSON lines back.

A Unix socket beside the store, readable by its owner only: whoever may write the store may steer the router.
"""

import asyncio
import json
import os
import socket
import stat
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

Rows = Sequence[Callable[[], Mapping[str, object]]]
Answer = dict[str, Any]  # `rows`, if there are any, are Rows here and a list there: they may be many
Commands = Mapping[str, Callable[[str], Awaitable[Answer]]]  # a word -> what is done with the rest of the line

_LONGEST_PATH = 107  # bytes: sun_path of Linux, less the NUL
_LONGEST_LINE = 4096
_AT_ONCE = 100  # rows that are written before the loop may do something else


class NotRunning(Exception):
    """No router answers at this control socket; the message says what to do."""


def socket_path(store: Path) -> Path:
    """Where the control socket of the router with this store is. Raises ValueError if Linux cannot have one there."""
    path = store.with_suffix(".sock").absolute()
    if len(os.fsencode(path)) > _LONGEST_PATH:
        raise ValueError(
            f"{path} is too long for a control socket ({_LONGEST_PATH} bytes): give the store a shorter path"
        )
    return path


async def serve(path: Path, commands: Commands) -> asyncio.AbstractServer:
    """Listen for commands. A socket that a crashed router left behind is replaced. Raises OSError."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = await asyncio.wait_for(reader.readline(), timeout=5)
            word, _, rest = line.decode("utf-8", "replace").strip().partition(" ")
            command = commands.get(word)
            result: Answer = (
                await command(rest) if command else {"ok": False, "error": f"no command; {', '.join(commands)}"}
            )
            rows: Rows = result.pop("rows", ())
            writer.write(json.dumps({**result, "rows": len(rows)} if rows else result).encode() + b"\n")
            for start in range(0, len(rows), _AT_ONCE):
                texts = [json.dumps(row()) for row in rows[start : start + _AT_ONCE]]
                writer.write("".join(f"{text}\n" for text in texts).encode())
                await writer.drain()
                await asyncio.sleep(0)  # calls come first
            await writer.drain()
        except (OSError, ValueError, TimeoutError):
            return  # the command has gone, or what it says is none
        finally:
            writer.close()

    if path.exists() and stat.S_ISSOCK(path.stat().st_mode):
        path.unlink()
    before = os.umask(0o177)
    try:
        return await asyncio.start_unix_server(answer, path=str(path), limit=_LONGEST_LINE)
    finally:
        os.umask(before)


def ask(path: Path, command: str, timeout: float = 60.0) -> Answer:
    """Send one command to the running router and return its answer, with a list of its `rows`. Raises NotRunning."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(timeout)
            sock.connect(str(path))
            sock.sendall(command.encode() + b"\n")
            with sock.makefile("rb") as answer:
                line = answer.readline()
                result: Answer = json.loads(line) if line else {}
                if "rows" in result:
                    result["rows"] = [json.loads(answer.readline()) for _ in range(result["rows"])]
    except PermissionError as error:
        raise NotRunning(f"{path}: not allowed: use the user who runs the router (sudo -u ...)") from error
    except TimeoutError as error:
        raise NotRunning(f"{path}: the router did not answer within {timeout:.0f} s") from error
    except json.JSONDecodeError as error:
        raise NotRunning(f"{path}: the router went away in the middle of its answer; its log says why") from error
    except OSError as error:
        raise NotRunning(f"no router answers at {path} ({error.strerror}): start it with `sipacr run`") from error
    if not line:
        raise NotRunning(f"{path}: the router went away before it answered; its log says why")
    return result
