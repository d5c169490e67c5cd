"""`sipacr agent`: agents who leave, come back, and are on holiday; and data that names an agent whom nobody knows."""

import sqlite3
import time
from collections.abc import Callable, Iterator

import click

from sipacr.cli import checks, showing
from sipacr.cli.context import Context, Failure, Misconfigured, warn
from sipacr.store.tables import ABSENCES, Key, rows, write

_DANGLING = """
    SELECT 'VIPs', agent, count(*) FROM vips GROUP BY agent
    UNION ALL SELECT 'entries of lists', target, count(*) FROM list_entries
        WHERE target IS NOT NULL AND instr(target, '@') = 0 GROUP BY target
    UNION ALL SELECT 'bindings', agent, count(*) FROM bindings GROUP BY agent
    UNION ALL SELECT 'successions', successor, count(*) FROM absences WHERE successor IS NOT NULL GROUP BY successor
"""


@click.group()
def agent() -> None:
    """Agents who leave, come back, or are on holiday; the router knows within a second."""


@agent.command()
@click.argument("name")
@click.option("--to", "successor", metavar="NAME", help="Who has his customers from now on; default: nobody.")
@checks.by_option
@click.pass_obj
def leave(context: Context, name: str, successor: str | None, by: str) -> None:
    """Agent NAME has left: he is offered to nobody. Bindings to him sleep, or lead to the agent of --to."""
    _check(context, name)
    if successor is not None:
        _check(context, successor)
    now = time.time()
    with context.database() as database, database.transaction() as connection:
        if successor is not None and (why := _no_successor(connection, name, successor)):
            raise Misconfigured(why)
        gone = [(key, None) for key in _keys(connection, name, lambda until: until is None)]
        write(connection, ABSENCES, gone, by=by, at=now)
        write(connection, ABSENCES, [((name, now), {"until": None, "successor": successor})], by=by, at=now)
        left = list(_pointing(connection, {name}, "VIPs", "entries of lists"))
    click.echo(f"{name} has left; " + (f"who is bound to him goes to {successor}" if successor else "bindings sleep"))
    for what, _, count in left:
        warn(f"{count} {what} still name {name}: they are skipped; move them to another agent")


@agent.command()
@click.argument("name")
@checks.by_option
@click.pass_obj
def back(context: Context, name: str, by: str) -> None:
    """Agent NAME is there again, and so are his bindings (status 1 if he was not away)."""
    now = time.time()
    with context.database() as database, database.transaction() as connection:
        keys = _keys(connection, name, lambda until: until is None or until > now)
        keys = [key for key in keys if float(key[1]) <= now]
        write(connection, ABSENCES, [(key, None) for key in keys], by=by, at=now)
    if not keys:
        raise Failure(f"{name} is not away: sipacr agent list shows who is")
    click.echo(f"{name} is back")


@agent.command()
@click.argument("name")
@click.argument("since", metavar="FROM")
@click.argument("until", metavar="TO")
@checks.by_option
@click.pass_obj
def holiday(context: Context, name: str, since: str, until: str, by: str) -> None:
    """Agent NAME is away from FROM to TO, both days included: steps that would offer him are skipped."""
    _check(context, name)
    start, end = context.moment(since), context.moment(until, end_of_day=True)
    now = time.time()
    if end <= start or end <= now:
        raise Misconfigured(f"{since} to {until} is {'over' if end > start else 'no time'}: write FROM, then TO")
    with context.database() as database, database.transaction() as connection:
        write(connection, ABSENCES, [((name, start), {"until": end, "successor": None})], by=by, at=now)
    click.echo(f"{name} is away from {context.show_moment(start)} to {context.show_moment(end)}")


@agent.command("list")
@checks.json_option
@click.pass_obj
def list_(context: Context, as_json: bool) -> None:
    """Show who is away or will be, and warn of data that names agents whom the rules do not know."""
    now = time.time()
    with context.database() as database:
        found = [
            row for row in rows(database.connection, ABSENCES) if row["until"] is None or float(row["until"]) > now
        ]
        if context.rules is not None:
            strangers = _pointing(database.connection, None, "VIPs", "entries of lists", "bindings", "successions")
            known = {*context.rules.agents, *context.settings.directory.destinations}
            for what, name, count in strangers:
                if name not in known:
                    warn(f'{count} {what} name "{name}", whom the rules do not know: they are skipped')
    shown = [{"agent": row["agent"], "state": _state(row, now), **row} for row in found]
    showing.table(context, shown, as_json, "nobody is away")


def _state(row: dict[str, str | float | int | None], now: float) -> str:
    if row["until"] is None:
        return "left"
    return "on leave" if float(row["since"] or 0) <= now else "will be on leave"


def _check(context: Context, name: str) -> None:
    """End the command with status 2 if the rules know no such agent."""
    if context.rules is None:
        checks.warn_of_rules(context)
    elif name not in context.rules.agents:
        raise Misconfigured(f'the rules name no agent "{name}"{checks.closest(name, context.rules.agents)}')


def _keys(connection: sqlite3.Connection, name: str, wanted: Callable[[float | None], bool]) -> list[Key]:
    found = rows(connection, ABSENCES, agent=name)
    return [(name, float(row["since"] or 0)) for row in found if wanted(_number(row["until"]))]


def _number(value: str | float | int | None) -> float | None:
    return None if value is None else float(value)


def _no_successor(connection: sqlite3.Connection, name: str, successor: str) -> str:
    """Why this agent cannot have the customers of the other one; "": he can."""
    if successor == name:
        return f"{name} cannot follow himself"
    left = {str(row["agent"]): row["successor"] for row in rows(connection, ABSENCES) if row["until"] is None}
    if successor not in left:
        return ""
    return f"{successor} has left too: name somebody who is there, or first: sipacr agent back {successor}"


def _pointing(connection: sqlite3.Connection, names: set[str] | None, *kinds: str) -> Iterator[tuple[str, str, int]]:
    """What points at agents: what it is, at whom, and how many. Reads all bindings."""
    for what, name, count in connection.execute(_DANGLING):
        if what in kinds and (names is None or name in names):
            yield str(what), str(name), int(count)


COMMANDS: list[click.Command] = [agent]
