"""What every command needs: which sipacr.yaml, what it says, its store; and how a failure looks at the shell."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

if TYPE_CHECKING:
    from sipacr.routing.numbers import NumberPlan
    from sipacr.routing.ruleset import Ruleset
    from sipacr.settings import Settings
    from sipacr.store import Database

_PLACES = ("sipacr.yaml", "sipacr/sipacr.yaml", "/etc/sipacr/sipacr.yaml")
_DURATION = re.compile(r"(\d+)(s|m|h|d|w)")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}  # seconds


YES, NO, MISCONFIGURED, STORE = 0, 1, 2, 3  # exit statuses


class Failure(click.ClickException):
    """Ends a command with one sentence on stderr, which says what to do, and an exit status."""

    def __init__(self, message: str, status: int = NO) -> None:
        super().__init__(message)
        self.exit_code = status  # type: ignore[misc]  # click reads it from the instance

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(f"sipacr: {self.message}", err=True, file=file)


class Misconfigured(Failure):
    """Usage, settings or input are wrong."""

    def __init__(self, message: str) -> None:
        super().__init__(message, MISCONFIGURED)


def warn(message: str) -> None:
    """One line on stderr; the command goes on."""
    click.echo(f"warning: {message}", err=True)


class Context:
    """The click object of all commands. Everything is read when it is first asked for."""

    def __init__(self, config: str | None) -> None:
        """`config`: the file that -c or SIPACR_CONFIG names, if any."""
        self.config = config

    @property
    def found(self) -> bool:
        """Whether there are settings at all."""
        return self.config is not None or any(Path(place).exists() for place in _PLACES)

    @cached_property
    def path(self) -> Path:
        """sipacr.yaml. Ends the command with status 2 if there is none."""
        if self.config is None:
            found = next((Path(place) for place in _PLACES if Path(place).exists()), None)
            if found is None:
                places = ", ".join(_PLACES)
                raise Misconfigured(f"no settings found ({places}): name them with -c, or run: sipacr init")
            return found
        path = Path(self.config)
        if not path.exists():
            raise Misconfigured(f"{path} does not exist: correct -c or SIPACR_CONFIG, or run: sipacr init")
        return path / "sipacr.yaml" if path.is_dir() else path

    @cached_property
    def settings(self) -> "Settings":
        """What sipacr.yaml says. Ends the command with status 2 and all problems if it has errors."""
        from sipacr.settings import load_settings

        settings, problems = load_settings(self.path)
        if settings is None:
            for problem in problems:
                click.echo(str(problem), err=True)
            raise click.exceptions.Exit(MISCONFIGURED)
        return settings

    @property
    def plan(self) -> "NumberPlan":
        """How numbers are read: numbers.country."""
        return self.settings.directory.plan

    @cached_property
    def rules(self) -> "Ruleset | None":
        """The rule set, or None if it has errors (`sipacr check` shows them)."""
        from sipacr.rulefile import load_rules

        return load_rules(self.settings.rules, self.settings)[0]

    @contextmanager
    def database(self) -> "Iterator[Database]":
        """The store, open for writing. Ends the command with status 3 if it is out of reach."""
        from sipacr.store import Database, StoreError

        try:
            with Database(self.settings.store) as database:
                yield database
        except StoreError as error:
            raise Failure(str(error), STORE) from error

    def ask(self, command: str) -> dict[str, Any]:
        """What the running router answers. Ends the command with status 1 if none runs."""
        from sipacr.control import NotRunning, ask, socket_path

        try:
            return ask(socket_path(self.settings.store), command)
        except (NotRunning, ValueError) as error:
            raise Failure(str(error), NO) from error

    @property
    def zone(self) -> ZoneInfo:
        """numbers.timezone."""
        return ZoneInfo(self.settings.directory.timezone)

    def moment(self, text: str, *, end_of_day: bool = False) -> float:
        """`read_moment` in numbers.timezone, at this moment."""
        return read_moment(text, ZoneInfo(self.settings.directory.timezone), time.time(), end_of_day=end_of_day)

    def show_moment(self, moment: float) -> str:
        """Unix seconds as a person reads them, in numbers.timezone."""
        return datetime.fromtimestamp(moment, ZoneInfo(self.settings.directory.timezone)).isoformat(" ", "minutes")


def read_moment(text: str, zone: ZoneInfo, now: float, *, end_of_day: bool = False) -> float:
    """Unix seconds of what a person wrote: `now`, `30d` (from now), `2026-12-24`, `2026-12-24T16:30`, with an offset
    or in `zone`. A date alone is its first moment, or with `end_of_day` the moment it is over.

    Raises `click.BadParameter`, saying why.
    """
    text = text.strip()
    if text == "now":
        return now
    try:
        if duration := _DURATION.fullmatch(text):
            return (
                datetime.fromtimestamp(now, UTC) + timedelta(seconds=int(duration[1]) * _UNITS[duration[2]])
            ).timestamp()
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
            day = date.fromisoformat(text) + timedelta(days=1 if end_of_day else 0)
            return datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()
        read = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise click.BadParameter(
            f"{text!r} is no time: write 2026-12-24, 2026-12-24T16:30, 2026-12-24T16:30+01:00, now, or 30d from now"
        ) from None
    if read.tzinfo is not None:
        return read.timestamp()
    local = read.replace(tzinfo=zone)
    if local.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != read:
        raise click.BadParameter(f"{text} does not exist in {zone}: the clocks skip that hour; write it with an offset")
    return local.timestamp()
