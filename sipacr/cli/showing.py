"""How data is shown: aligned columns for people, JSON for scripts, CSV for spreadsheets."""

import csv
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TextIO

import click

from sipacr.cli.context import NO, Context, Failure
from sipacr.routing.numbers import clean
from sipacr.store.tables import EVENTS, Recorded, Value

_TIMES = frozenset({"changed", "expires", "made", "at", "live_until", "since", "until", *EVENTS})


def wanted(context: Context, text: str) -> Callable[[Mapping[str, Value], str], bool]:
    """Whether a row holds `text` in any of its texts, upper or lower case, or as (a part of) its number."""
    folded = text.casefold()
    number = context.plan.read(text).e164 or clean(text)

    def holds(row: Mapping[str, Value], column: str) -> bool:
        if number in str(row[column]):
            return True
        return any(isinstance(value, str) and folded in value.casefold() for value in row.values())

    return holds


def table(context: Context, found: Sequence[Mapping[str, Value]], as_json: bool, none: str) -> None:
    """Print rows one a line; if there are none, end the command with status 1, saying `none`."""
    if as_json:
        click.echo(json.dumps([_for_scripts(row) for row in found], ensure_ascii=False, indent=2))
        if not found:
            raise click.exceptions.Exit(NO)
        return
    if not found:
        raise Failure(none)
    columns = [name for name in found[0] if any(row[name] not in (None, "") for row in found)]
    texts = [columns] + [[_text(context, name, row[name]) for name in columns] for row in found]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    for line in texts:
        click.echo("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def one(context: Context, row: Mapping[str, object], changes: list[Recorded] | None, as_json: bool) -> None:
    """Print one row, and the record of its changes if it was asked for."""
    if as_json:
        told = dict(_for_scripts(row))
        if changes is not None:
            told["history"] = [_for_scripts(recorded._asdict()) for recorded in changes]
        click.echo(json.dumps(told, ensure_ascii=False, indent=2))
        return
    for name, value in row.items():
        text = ", ".join(map(str, value)) if isinstance(value, list) else _text(context, name, value)
        if text:
            click.echo(f"{name + ':':<14}{text}")
    for recorded in changes or ():
        click.echo(change(context, recorded))


def change(context: Context, recorded: Recorded) -> str:
    """One change as a person reads it."""
    old, new = _words(context, recorded.old), _words(context, recorded.new)
    return f"{context.show_moment(recorded.at)}  {recorded.what}, by {recorded.by}: {old} -> {new}"


def write_csv(target: TextIO, columns: Sequence[str], lines: Iterable[Sequence[object]]) -> None:
    """CSV with a header; absent values are empty."""
    writer = csv.writer(target, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(lines)


def moment_text(value: Value) -> str:
    """Unix seconds as ISO 8601 in UTC, or nothing."""
    return "" if value is None else datetime.fromtimestamp(float(value), UTC).isoformat(timespec="seconds")


def _for_scripts(row: Mapping[str, object]) -> dict[str, object]:
    return {
        name: moment_text(value) if name in _TIMES and isinstance(value, int | float) else value
        for name, value in row.items()
    }


def _text(context: Context, name: str, value: object) -> str:
    if value is None:
        return ""
    if name in _TIMES and isinstance(value, int | float):
        return context.show_moment(value)
    return str(value)


def _words(context: Context, values: Mapping[str, Value] | None) -> str:
    if values is None:
        return "nothing"
    return ", ".join(f"{name} {_text(context, name, value)}" for name, value in values.items()) or "no details"
