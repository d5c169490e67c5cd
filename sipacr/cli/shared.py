"""`sipacr shared`: numbers behind which many customers call, such as a company's switchboard; they are never bound."""

import time

import click

from sipacr.cli import checks, showing
from sipacr.cli.context import Context, Failure
from sipacr.store.tables import SHARED, get, rows, write


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


COMMANDS: list[click.Command] = [shared]
