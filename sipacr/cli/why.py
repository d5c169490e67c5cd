"""`sipacr why`: the story of a call, or of a customer's last ones."""

import json
import sqlite3
from itertools import islice
from zoneinfo import ZoneInfo

import click

from sipacr.cli.checks import as_read, json_option
from sipacr.cli.context import Context, Failure
from sipacr.memory.report import Report
from sipacr.memory.told import as_data, story
from sipacr.store.records import newest_of_customer, one


@click.command()
@click.argument("what", metavar="NUMBER|CALL-ID")
@click.option(
    "--last", type=click.IntRange(1), default=3, show_default=True, help="Of NUMBER: how many calls, the newest first."
)
@json_option
@click.pass_obj
def why(context: Context, what: str, last: int, as_json: bool) -> None:
    """Tell why a call went where it went: by its Call-ID, or the last calls with a customer.

    Which rule it was, who was rung and what came of it, who talked, which binding was used or why not. Status 1 if no
    record is kept.
    """  # fmt: skip
    with context.database() as database:
        found = _found(context, database.connection, what.strip(), last)
    if as_json:
        click.echo(json.dumps([as_data(report) for report in found], ensure_ascii=False, indent=2))
        return
    directory = context.settings.directory
    for report in found:
        for line in story(report, ZoneInfo(directory.timezone), dict(directory.own)):
            click.echo(line)


def _found(context: Context, connection: sqlite3.Connection, what: str, last: int) -> list[Report]:
    report = one(connection, what)
    if report is not None:
        return [report]
    number = context.plan.read(what)
    found = list(islice(newest_of_customer(connection, number.key), last))
    if not found:
        shown = as_read(context, number) if number.e164 else what
        raise Failure(f"no record of {shown} is kept: it is no Call-ID of a call, and no customer's number")
    return found


COMMANDS: list[click.Command] = [why]
