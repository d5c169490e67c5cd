"""The door for a PBX that tells of its calls by HTTP: POST /calls with a token. On a thread and a loop of its own: it
reads, checks and hands over; no call waits for it.
"""

import asyncio
import hmac
import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from aiohttp import web

from sipacr.memory.customers import Customers
from sipacr.memory.learner import Learner
from sipacr.outside import FIELDS, REQUIRED, Outside
from sipacr.routing.decide import Engine
from sipacr.store.learning import LearnElsewhere
from sipacr.store.spreadsheet import InputError
from sipacr.store.writer import Change

log = logging.getLogger("sipacr.webhook")

LONGEST = 64 * 1024  # bytes of a body
MOST = 200  # calls in one body
_PATIENCE = 10.0  # seconds for a body, and for the start and the end of the thread
_NAMES = {title: name for name, titles in FIELDS.items() for title in (name, *titles)}


class TokenError(Exception):
    """The file of the token cannot be used; the message says why."""


def read_token(path: Path) -> bytes:
    """The secret in this file, without the white space around it. Raises `TokenError`."""
    try:
        token = path.read_bytes().strip()
    except OSError as error:
        raise TokenError(f"{path} cannot be read: {error.strerror}") from error
    if len(token) < 16:
        raise TokenError(f"{path} has fewer than 16 characters: make a token such as openssl rand -hex 32 prints")
    return token


class Webhook:
    """A listening server. `take` gives it another configuration."""

    def __init__(self, host: str, port: int, token: bytes, engine: Engine, submit: Callable[[Change], bool]) -> None:
        """Start listening. Raises OSError if the address is taken. `submit` is called from this thread."""
        self.port = port
        self._where = host, port
        self._submit = submit
        self.take(engine, token)
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()
        self._ready = threading.Event()
        self._error: OSError | None = None
        self._thread = threading.Thread(target=self._run, name="sipacr-webhook", daemon=True)
        self._thread.start()
        self._ready.wait(_PATIENCE)
        if self._error is not None:
            raise self._error

    def take(self, engine: Engine, token: bytes) -> None:
        """Read calls by this configuration from now on, and want this token."""
        ruleset, directory = engine.ruleset, engine.directory
        learners = tuple(Learner(profile, ruleset.groups) for profile in ruleset.sticky.values())
        self._with = Outside(ruleset, directory), learners, Customers(directory, ruleset), b"Bearer " + token

    def close(self) -> None:
        """Stop listening."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._end.set)
            self._thread.join(_PATIENCE)

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._ready.set()
            self._loop.close()

    async def _serve(self) -> None:
        app = web.Application(client_max_size=LONGEST)
        app.router.add_post("/calls", self._calls)
        runner = web.AppRunner(app, access_log=None, keepalive_timeout=30)
        await runner.setup()
        site = web.TCPSite(runner, *self._where)
        try:
            await site.start()
        except OSError as error:
            self._error = error
            await runner.cleanup()
            return
        self.port = runner.addresses[0][1]
        self._ready.set()
        await self._end.wait()
        await runner.cleanup()

    async def _calls(self, request: web.Request) -> web.Response:
        """Take one call, or a list of them: all or none."""
        outside, learners, customers, wanted = self._with
        given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(given, wanted):
            return web.json_response({"error": "a valid token is wanted"}, status=401,
                                     headers={"WWW-Authenticate": "Bearer"})  # fmt: skip
        try:
            async with asyncio.timeout(_PATIENCE):
                found = await _read(request)
        except TimeoutError:
            return web.json_response({"error": "the body did not come"}, status=408)
        except InputError as error:
            return web.json_response({"error": str(error)}, status=400)
        changes, warnings, errors = [], [], []
        now = time.time()
        for number, values in enumerate(found, 1):
            try:
                report, warning = outside.told(values, "webhook", now)
            except InputError as error:
                errors.append(f"call {number}: {error}" if len(found) > 1 else f"the call {error}")
                continue
            warnings += [f"{report.uid}: {warning}"] if warning else []
            changes.append(LearnElsewhere(report, learners, customers))
        if errors:
            return web.json_response({"error": "; ".join(errors)}, status=400)
        for warning in warnings:
            log.warning("%s", warning)
        if not all(self._submit(change) for change in changes):
            return web.json_response({"error": "the store is too slow: try again"}, status=503,
                                     headers={"Retry-After": "30"})  # fmt: skip
        return web.json_response({"taken": len(changes), "warnings": warnings}, status=202)


async def _read(request: web.Request) -> list[dict[str, str]]:
    """The calls of a body, JSON or a form, their facts by our names. Raises `InputError`, and what aiohttp answers with
    413."""
    if request.content_type == "application/json":
        try:
            body = json.loads(await request.text())
        except (ValueError, RecursionError) as error:
            raise InputError(f"the body is no JSON: {error}") from error
        calls = body if isinstance(body, list) else [body]
    elif request.content_type == "application/x-www-form-urlencoded":
        calls = [dict(await request.post())]
    else:
        raise InputError("the body must be application/json or application/x-www-form-urlencoded")
    if not calls or len(calls) > MOST:
        raise InputError(f"there are {len(calls)} calls in the body: 1 to {MOST} are taken")
    return [_named(call) for call in calls]


def _named(call: object) -> dict[str, str]:
    if not isinstance(call, Mapping):
        raise InputError("a call must be an object with " + ", ".join(REQUIRED))
    values: dict[str, str] = {}
    for title, value in call.items():
        name = _NAMES.get(" ".join(str(title).lower().replace("_", " ").split()))
        if name is None:
            continue
        if value is not None and not isinstance(value, str | int | float):
            raise InputError(f"{title} must be a text, a number, true or false")
        values[name] = "" if value is None else str(value)
    missing = [name for name in REQUIRED if name not in values]
    if missing:
        raise InputError(f"lacks {', '.join(missing)}")
    return values
