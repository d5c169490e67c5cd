"""`sipacr shared`: numbers behind which many customers call, such as a company's switchboard; they are never bound."""

import time

import click

from sipacr.cli import checks, showing
from sipacr.cli.context import Context, Failure
from sipacr.store.tables import SHARED, get, rows, write

_MONTH = 30 * 86_400.0  # seconds
_SUSPECTS = """
    SELECT customer AS number, count(DISTINCT talks.agent) AS agents, count(DISTINCT records.id) AS calls,
        count(DISTINCT nullif(records.name, '')) AS names
    FROM records JOIN talks ON talks.record = records.id
    WHERE records.started >= ? AND customer <> '' AND nobody = '' AND talks.agent IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM shared_numbers WHERE number = customer)
    GROUP BY customer HAVING count(DISTINCT talks.agent) >= ? ORDER BY agents DESC, calls DESC, number
"""


@click.group()
def shared() -> None:
    """Mark numbers that many customers share.

    Nobody is bound to an agent by such a number.
    """


@shared.command()
@click.argument("number")
@click.option("--note", help="Anything for people, such as whose switchboard it is.")
@checks.by_option
@click.pass_obj
def add(context: Context, number: str, note: str | None, by: str) -> None:
    """Mark NUMBER as shared, or change its note."""
    customer = checks.read_customer(context, number)
    values = {} if note is None else {"note": note}
    with context.database() as database, database.transaction() as connection:
        counts = write(connection, SHARED, [((customer.key,), values)], by=by, at=time.time())
    click.echo(f"{checks.as_read(context, customer)}: shared{'; no change' if counts.unchanged else ''}")


@shared.command()
@click.argument("number")
@checks.by_option
@click.pass_obj
def remove(context: Context, number: str, by: str) -> None:
    """NUMBER is one customer's again (status 1 if it was not marked)."""
    customer = checks.read_customer(context, number)
    with context.database() as database, database.transaction() as connection:
        removed = write(connection, SHARED, [((customer.key,), None)], by=by, at=time.time()).removed
    if not removed:
        raise Failure(f"{checks.as_read(context, customer)} is not marked as shared")
    click.echo(f"{checks.as_read(context, customer)}: no longer shared")


@shared.command()
@click.argument("number", required=False)
@checks.json_option
@click.pass_obj
def show(context: Context, number: str | None, as_json: bool) -> None:
    """Show all shared numbers, or whether NUMBER is one (status 1 if not)."""
    with context.database() as database:
        if number is None:
            found = list(rows(database.connection, SHARED))
            showing.table(context, found, as_json, "no number is marked as shared: sipacr shared add NUMBER")
            return
        customer = checks.read_customer(context, number)
        values = get(database.connection, SHARED, (customer.key,))
    if values is None:
        raise Failure(f"{checks.as_read(context, customer)} is not marked as shared")
    showing.one(context, {"number": customer.key, **values}, None, as_json)


@shared.command()
@click.option("--agents", default=5, show_default=True, type=click.IntRange(2), help="So many agents or more.")
@click.option("--since", default="", metavar="TIME", help="Look at calls from then on; default: 30 days ago.")
@checks.json_option
@click.pass_obj
def suggestions(context: Context, agents: int, since: str, as_json: bool) -> None:
    """Show numbers behind which there may be many customers: they talked with many agents. Nothing is marked."""
    start = context.moment(since) if since else time.time() - _MONTH
    with context.database() as database:
        cursor = database.connection.execute(_SUSPECTS, (start, agents))
        names = [column[0] for column in cursor.description]
        found = [dict(zip(names, row, strict=True)) for row in cursor]
    showing.table(context, found, as_json, f"no number talked with {agents} agents or more")
    if found and not as_json:
        click.echo("If a number is shared by many customers: sipacr shared add NUMBER")


COMMANDS: list[click.Command] = [shared]
