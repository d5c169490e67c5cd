"""`sipacr vip`: the table of VIPs and the employees who are responsible for them; the sales lead's own."""

import sqlite3
import time
from collections.abc import Mapping
from typing import Any, TextIO

import click

from sipacr.cli import checks, importing, showing
from sipacr.cli.context import Context, Failure, Misconfigured, warn
from sipacr.store.spreadsheet import InputError, Line, read_number
from sipacr.store.tables import VIPS, Key, Value, get, history, lists_with, on_both, rows, write

_COLUMNS = {
    "number": (
        "phone",
        "phone number",
        "telephone",
        "telephone number",
        "tel",
        "mobile",
        "customer",
        "customer number",
    ),
    "agent": ("employee", "owner", "account manager", "manager", "responsible", "person"),
    "note": ("notes", "comment", "comments", "name", "company", "customer name"),
}


@click.group()
def vip() -> None:
    """Keep the VIP table: which customer goes to whom."""


def _writes(command: Any) -> Any:
    """The arguments of add and set."""
    for option in (
        checks.by_option,
        click.option("--note", help="Anything for people, such as the customer's name."),
        click.argument("agent"),
        click.argument("number"),
    ):
        command = option(command)
    return command


@vip.command()
@_writes
@click.pass_obj
def add(context: Context, number: str, agent: str, note: str | None, by: str) -> None:
    """Add a VIP. One who is in the table with other words is left as he is (status 1)."""
    _put(context, number, agent, note, by, change=False)


@vip.command("set")
@_writes
@click.pass_obj
def set_(context: Context, number: str, agent: str, note: str | None, by: str) -> None:
    """Add a VIP, or change his agent or note."""
    _put(context, number, agent, note, by, change=True)


def _put(context: Context, text: str, agent: str, note: str | None, by: str, *, change: bool) -> None:
    customer = checks.read_customer(context, text)
    agent = agent.strip()
    if not agent or (customer.e164 is None and context.plan.read(agent).e164 is not None):
        raise Misconfigured("the customer's number comes first, then the agent's name: sipacr vip add NUMBER AGENT")
    checks.warn_of_agents(context, agent)
    checks.warn_of_own(context, customer)
    values: dict[str, Value] = {"agent": agent} if note is None else {"agent": agent, "note": note}
    at = time.time()
    with context.database() as database, database.transaction() as connection:
        old = get(connection, VIPS, (customer.key,))
        if old and not change and any(old[name] != value for name, value in values.items()):
            raise Failure(
                f"{customer.key} is a VIP of {old['agent']} already; to change that: "
                f"sipacr vip set {customer.key} {agent}"
            )
        counts = write(connection, VIPS, [((customer.key,), values)], by=by, at=at)
        both = on_both(connection, at, customer.key)
    before = f" (before: {old['agent']})" if old and old["agent"] != agent else ""
    click.echo(f"{checks.as_read(context, customer)}: {agent}{before}{'; no change' if counts.unchanged else ''}")
    for message in checks.on_both_messages(both):
        warn(message)


@vip.command()
@click.argument("number")
@checks.by_option
@click.pass_obj
def remove(context: Context, number: str, by: str) -> None:
    """Take a customer off the table (status 1 if he is not in it)."""
    customer = checks.read_customer(context, number)
    with context.database() as database, database.transaction() as connection:
        old = get(connection, VIPS, (customer.key,))
        write(connection, VIPS, [((customer.key,), None)], by=by, at=time.time())
    if old is None:
        raise Failure(f"{checks.as_read(context, customer)} is no VIP; to search: sipacr vip find TEXT")
    click.echo(f"{checks.as_read(context, customer)}: removed (was {old['agent']}'s)")


@vip.command()
@click.argument("number", required=False)
@click.option("--history", "with_history", is_flag=True, help="Also who changed it, when, from what and to what.")
@checks.json_option
@click.pass_obj
def show(context: Context, number: str | None, with_history: bool, as_json: bool) -> None:
    """Show one VIP, or all of them (status 1 if there is none)."""
    with context.database() as database:
        connection = database.connection
        if number is None:
            found_all = [_row(row) for row in rows(connection, VIPS)]
            showing.table(context, found_all, as_json, "no VIPs yet: sipacr vip add NUMBER AGENT")
            return
        customer = checks.read_customer(context, number)
        found = get(connection, VIPS, (customer.key,))
        changes = history(connection, customer.key, "vip") if with_history else []
        on = lists_with(connection, customer, time.time())
    if found is None and not changes:
        raise Failure(f"{checks.as_read(context, customer)} is no VIP; to search: sipacr vip find TEXT")
    shown = {"number": customer.key, **(found or {"agent": None}), "lists": [name for name, _ in on]}
    showing.one(context, shown, changes if with_history else None, as_json)
    if found is None:
        raise Failure(f"{customer.key} is no VIP any more")


def _row(row: Mapping[str, Value]) -> dict[str, Value]:
    """A VIP as it is shown."""
    return {"number": row["customer"], **{name: row[name] for name in ("agent", "note", "changed", "by")}}


@vip.command()
@click.argument("text")
@checks.json_option
@click.pass_obj
def find(context: Context, text: str, as_json: bool) -> None:
    """List the VIPs whose number, agent or note holds TEXT (status 1 if none does)."""
    with context.database() as database:
        wanted = showing.wanted(context, text)
        found = [_row(row) for row in rows(database.connection, VIPS) if wanted(row, "customer")]
    showing.table(context, found, as_json, f"no VIP whose number, agent or note holds {text!r}")


@vip.command("import")
@importing.import_options
@click.pass_obj
def import_(context: Context, /, **options: Any) -> None:
    """Import VIPs from a CSV file with a header: number, agent and if you like note, in any order.

    The delimiter may be a comma, a semicolon or a tab. Every line is checked before anything is written; then all lines
    are written together or none. A line of a customer who is in the table changes him. "-" is standard input.

    Exit status: 0 all written; 1 with --skip-refused, some lines were refused; 2 nothing was written.
    """
    checks.warn_of_rules(context)
    first_line: dict[str, int] = {}
    how_many: dict[str, int] = {}

    def parse(line: Line, warnings: list[str]) -> tuple[Key, Mapping[str, Value]]:
        number = read_number(line.values["number"], context.plan)
        importing.check_raw(context, number, warnings)
        agent = line.values["agent"]
        if not agent:
            raise InputError("has no agent: write the agent's name as it stands in the rules")
        first_line.setdefault(agent, line.line)
        how_many[agent] = how_many.get(agent, 0) + 1
        values: dict[str, Value] = {"agent": agent}
        if "note" in line.values:
            values["note"] = line.values["note"]
        return (number.key,), values

    def after(connection: sqlite3.Connection, written: Mapping[Key, Mapping[str, Value]]) -> list[str]:
        told = [
            f"line {first_line[agent]}{f' and {how_many[agent] - 1} more' if how_many[agent] > 1 else ''}: {message}"
            for agent, message in checks.unknown_agents(context, how_many).items()
        ]
        both = [found for found in on_both(connection, time.time()) if (found[0],) in written]
        return told + checks.on_both_messages(both)

    form = importing.Format(_COLUMNS, ("number", "agent"), parse)
    importing.import_file(context, importing.Options(**options), form, VIPS, {}, after)


@vip.command()
@click.argument("target", type=click.File("w", encoding="utf-8", atomic=True), default="-", metavar="[FILE]")
@click.pass_obj
def export(context: Context, target: TextIO) -> None:
    """Write the VIP table as CSV, as `vip import` reads it; to standard output if no file is named."""
    with context.database() as database:
        lines = ((row["customer"], row["agent"], row["note"]) for row in rows(database.connection, VIPS))
        showing.write_csv(target, ("number", "agent", "note"), lines)


COMMANDS: list[click.Command] = [vip]
