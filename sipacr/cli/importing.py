"""Imports of CSV files: every line is checked before anything is written, and all is written in one transaction."""

import json
import sqlite3
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO, TypeVar

import click

from sipacr.cli.checks import by_option, json_option
from sipacr.cli.context import Context, Misconfigured, warn
from sipacr.routing.facts import Number
from sipacr.store.database import Database
from sipacr.store.spreadsheet import InputError, Line, Refusal, read
from sipacr.store.tables import Counts, Key, Table, Value, rows, write

T = TypeVar("T")
Row = tuple[Key, Mapping[str, Value]]

_MOST = 200  # refused lines and warnings that are printed; --json has all
_LONG = 2_000  # lines from which a progress bar is worth its lines of terminal


@dataclass(frozen=True, slots=True)
class Options:
    """What the options of an import say."""

    source: BinaryIO
    dry_run: bool
    replace: bool
    skip_refused: bool
    encoding: str | None
    as_json: bool
    by: str

    @property
    def name(self) -> str:
        """The file as messages name it."""
        return name_of(self.source)


def name_of(source: BinaryIO) -> str:
    """A file as messages name it."""
    name = str(getattr(source, "name", "-"))
    return "standard input" if name in ("-", "<stdin>") else name


def import_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """FILE and the options of all imports."""
    for option in (
        by_option,
        json_option,
        click.option("--encoding", metavar="NAME", help="Of the file, for example cp1250; default: UTF-8 or UTF-16."),
        click.option("--skip-refused", is_flag=True, help="Import the other lines although some are refused."),
        click.option("--replace", is_flag=True, help="Remove what is not in the file."),
        click.option("--dry-run", is_flag=True, help="Check and report; write nothing."),
        click.argument("source", type=click.File("rb"), metavar="FILE"),
    ):
        command = option(command)
    return command


@dataclass(slots=True)
class Report:
    """What came of an import."""

    file: str
    lines: int = 0
    counts: Counts = field(default_factory=Counts)
    refused: list[Refusal] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    written: bool = False


@dataclass(frozen=True, slots=True)
class Format:
    """What a file must be like. `parse` makes a row of a line and may add warnings; it raises `InputError`."""

    columns: Mapping[str, tuple[str, ...]]  # our name -> other titles that mean it
    required: tuple[str, ...]
    parse: Callable[[Line, list[str]], Row]


def import_file(
    context: Context,
    options: Options,
    form: Format,
    table: Table,
    only: Mapping[str, Value],
    after: Callable[[sqlite3.Connection, Mapping[Key, Mapping[str, Value]]], list[str]],
) -> None:
    """Read, check, write, report. `only`: the part of the table that --replace replaces; `after` gives more warnings,
    of what was written, before it is committed."""
    report = Report(options.name)
    found = _read(options, form, report)
    refused = bool(report.refused)
    if not report.lines:
        raise Misconfigured(f"{report.file} has a header and no lines: nothing was changed")
    if not refused or (options.skip_refused and found):
        with context.database() as database:
            _write(database, table, found, only, after, options, report)
    _print(report, options)
    if refused:
        sys.exit(1 if report.written else 2)


def _read(options: Options, form: Format, report: Report) -> dict[Key, Mapping[str, Value]]:
    """The rows of the file; what cannot be taken goes to the report."""
    try:
        sheet = read(options.source.read(), form.columns, form.required, options.encoding)
    except InputError as error:
        raise Misconfigured(f"{report.file} {error}") from error
    if sheet.ignored:
        report.warnings.append(f"{report.file}: ignored columns: {', '.join(sheet.ignored)}")
    found: dict[Key, Mapping[str, Value]] = {}
    first: dict[Key, int] = {}
    with progress(sheet.lines(), sheet.size, "checking") as lines:
        for line in lines:
            report.lines += 1
            try:
                warnings: list[str] = []
                key, values = form.parse(line, warnings)
            except InputError as error:
                report.refused.append(Refusal(line.line, str(error)))
                continue
            report.warnings += [f"{report.file}:{line.line}: {message}" for message in warnings]
            if key not in found:
                found[key], first[key] = values, line.line
            elif found[key] != values:
                reason = f"{key[0]} is on line {first[key]} already, with other values: keep one of them"
                report.refused.append(Refusal(line.line, reason))
            else:
                report.warnings.append(f"{report.file}:{line.line}: the same as line {first[key]}")
    report.lines += len(sheet.refusals)
    report.refused = sorted(report.refused + sheet.refusals)
    return found


def _write(
    database: Database,
    table: Table,
    found: Mapping[Key, Mapping[str, Value]],
    only: Mapping[str, Value],
    after: Callable[[sqlite3.Connection, Mapping[Key, Mapping[str, Value]]], list[str]],
    options: Options,
    report: Report,
) -> None:
    """One transaction, which a dry run rolls back at its end."""
    at = time.time()
    with database.transaction() as connection:
        gone: list[Key] = []
        if options.replace:
            gone = [key for row in rows(connection, table, **only) if (key := key_of(table, row)) not in found]
        with progress(found.items(), len(found), "writing") as items:
            counts = write(connection, table, items, by=options.by, at=at)
        removed = write(connection, table, ((key, None) for key in gone), by=options.by, at=at).removed
        report.counts = counts._replace(removed=removed)
        report.warnings += after(connection, found)
        if options.dry_run:
            connection.execute("ROLLBACK")
            connection.execute("BEGIN")
        else:
            report.written = True


def key_of(table: Table, row: Mapping[str, Value]) -> Key:
    """The key of a row."""
    return tuple(row[column] for column in table.key)  # type: ignore[misc]


def _print(report: Report, options: Options) -> None:
    counts: dict[str, int] = report.counts._asdict()
    if options.as_json:
        refused = [refusal._asdict() for refusal in report.refused]
        told = {"file": report.file, "lines": report.lines, "written": report.written, **counts}
        click.echo(json.dumps({**told, "refused": refused, "warnings": report.warnings}, ensure_ascii=False, indent=2))
        return
    for message in report.warnings[:_MOST]:
        warn(message)
    if len(report.warnings) > _MOST:
        warn(f"... and {len(report.warnings) - _MOST} more warnings (--json has all)")
    for refusal in report.refused[:_MOST]:
        click.echo(f"{report.file}:{refusal.line}: refused: {refusal.reason}", err=True)
    if len(report.refused) > _MOST:
        click.echo(f"... and {len(report.refused) - _MOST} more lines are refused (--json has all)", err=True)
    done = ", ".join(f"{number} {name}" for name, number in counts.items() if number) or "nothing to change"
    if report.written:
        skipped = f", {len(report.refused)} refused" if report.refused else ""
        click.echo(f"{report.file}: {report.lines} lines: {done}{skipped}")
    elif report.refused and not (options.dry_run and options.skip_refused):
        click.echo(
            f"{report.file}: nothing was written: {len(report.refused)} of {report.lines} lines are refused; "
            "correct them, or import the others with --skip-refused",
            err=True,
        )
    else:
        click.echo(f"{report.file}: {report.lines} lines: {done}; nothing was written (--dry-run)")


def check_raw(context: Context, number: Number, warnings: list[str]) -> None:
    """Refuse what is no number at all, and warn of one that is kept as it is. Raises `InputError`."""
    if number.e164 is not None:
        return
    if not any(character.isdigit() for character in number.text):
        raise InputError(f"{number.raw!r} is no telephone number: are the columns in the order of the header?")
    warnings.append(f"{number.key} is kept as it is: no telephone number in {context.plan.country} (a digit lost?)")


@contextmanager
def progress(items: Iterable[T], length: int, label: str) -> Iterator[Iterable[T]]:
    """A progress bar on a terminal, for long work; else the items alone."""
    if length < _LONG or not sys.stderr.isatty():
        yield items
        return
    with click.progressbar(items, length=length, label=label, file=sys.stderr) as bar:
        yield bar
