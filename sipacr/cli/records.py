"""`sipacr records`: the call records as a file, and the deletion of old ones."""

import json
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO, cast

import click

from sipacr.cli.checks import output_option
from sipacr.cli.context import Context, Failure
from sipacr.cli.showing import write_csv
from sipacr.memory.report import Report
from sipacr.memory.told import ATTEMPT_COLUMNS, COLUMNS, as_data, as_row, attempts
from sipacr.store import Database
from sipacr.store.records import between, read_many
from sipacr.store.retention import Place, old, purge_bindings, purge_records


@click.group()
def records() -> None:
    """Export call records, and delete old ones."""


def span_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--since and --until, as texts."""
    until = "Calls that began before: a day (all of it) or a time; default: now."
    command = click.option("--until", default="now", metavar="TIME", help=until)(command)
    since = "Calls that began then or later: a day or a time."
    command = click.option("--since", required=True, metavar="TIME", help=since)(command)
    return command


def span(context: Context, since: str, until: str) -> tuple[float, float]:
    """Both ends in unix seconds."""
    return context.moment(since), context.moment(until, end_of_day=True)


@records.command()
@span_options
@click.option("--format", "form", type=click.Choice(["csv", "jsonl"]), default="csv", show_default=True)
@click.option(
    "--attempts", "by_attempt", is_flag=True, help="CSV: a line for each attempt on a leg, not for each call."
)
@output_option
@click.pass_obj
def export(context: Context, since: str, until: str, form: str, by_attempt: bool, output: Path | None) -> None:
    """Write the records of a time as CSV, a call a line, or as JSON Lines with everything that is kept.

    Status 1 if there are none.
    """  # fmt: skip
    ends = span(context, since, until)
    found = 0

    def counted(reports: Iterator[Report]) -> Iterator[Report]:
        nonlocal found
        for report in reports:
            found += 1
            yield report

    with context.database() as database, _target(output) as target:
        read_many(database.connection)
        reports = counted(between(database.connection, *ends))
        if form == "jsonl":
            for report in reports:
                target.write(json.dumps(as_data(report), ensure_ascii=False) + "\n")
        elif by_attempt:
            write_csv(target, ATTEMPT_COLUMNS, (line for report in reports for line in attempts(report)))
        else:
            write_csv(target, COLUMNS, map(as_row, reports))
        database.connection.execute("ROLLBACK")
    if not found:
        raise Failure(f"there are no records from {context.show_moment(ends[0])} to {context.show_moment(ends[1])}")
    if output is not None:
        click.echo(f"{output}: {found:,} calls", err=True)


@contextmanager
def _target(output: Path | None) -> Iterator[TextIO]:
    """The file, put in place when it is whole; or standard output."""
    if output is None:
        yield sys.stdout
        return
    with click.open_file(str(output), "w", encoding="utf-8", atomic=True) as file:
        yield cast(TextIO, file)


@records.command()
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@click.pass_obj
def purge(context: Context, dry_run: bool) -> None:
    """Delete the records and bindings that are older than `keep` in sipacr.yaml says.

    The running router does so by and by; this does it at once.
    """
    now, keep = time.time(), context.settings.keep
    before = now - keep.records, now - keep.bindings
    with context.database() as database:
        of_records, of_bindings = old(database.connection, *before)
        if not dry_run:
            of_records = of_bindings = 0
            while portion := _portion(database, lambda connection: purge_records(connection, before[0])):
                of_records += portion
            place = Place()
            while True:
                of_bindings += _portion(database, lambda connection: purge_bindings(connection, before[1], place))
                if not place.customer:
                    break
    gone = "would go" if dry_run else "have gone"
    click.echo(f"{of_records:,} records and {of_bindings:,} bindings {gone}")


def _portion(database: Database, purge: Callable[[sqlite3.Connection], int]) -> int:
    """In a transaction of its own: the router's writes come between."""
    with database.transaction() as connection:
        return purge(connection)


COMMANDS: list[click.Command] = [records]
