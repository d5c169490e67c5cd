"""`sipacr export` and `sipacr forget`: what a data-protection request asks for."""

import json
import time
from pathlib import Path

import click

from sipacr.cli.checks import as_read, by_option, output_option, read_customer
from sipacr.cli.context import Context, Failure
from sipacr.store.privacy import forget as forget_number
from sipacr.store.privacy import known


@click.command()
@click.argument("number")
@output_option
@click.pass_obj
def export(context: Context, number: str, output: Path | None) -> None:
    """Give out all that is kept of NUMBER, as JSON: records of calls, bindings, lists, VIP table, who changed what.

    Status 1 if nothing is kept.
    """  # fmt: skip
    customer = read_customer(context, number)
    with context.database() as database:
        found = known(database.connection, customer)
    if not found.counts():
        raise Failure(f"nothing is kept of {as_read(context, customer)}")
    text = json.dumps({"number": customer.key, **found.as_data()}, ensure_ascii=False, indent=2)
    if output is None:
        click.echo(text)
        return
    with click.open_file(str(output), "w", encoding="utf-8", atomic=True) as file:
        file.write(text + "\n")
    click.echo(f"{output}: {_counted(found.counts())}", err=True)


@click.command()
@click.argument("number")
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@by_option
@click.pass_obj
def forget(context: Context, number: str, dry_run: bool, yes: bool, by: str) -> None:
    """Delete all that is kept of NUMBER: records of calls, bindings, list entries, the VIP row, the changes to them.

    That it was done is recorded, without the number. Copies of the store and the log of the router still have it.
    Status 1 if nothing is kept.
    """
    customer = read_customer(context, number)
    with context.database() as database:
        found = known(database.connection, customer)
        counts = found.counts()
        if not counts:
            raise Failure(f"nothing is kept of {as_read(context, customer)}")
        if dry_run:
            click.echo(f"{as_read(context, customer)}: {_counted(counts)} would be deleted")
            return
        if not yes:
            click.confirm(f"Delete {_counted(counts)} of {as_read(context, customer)} for good?", abort=True, err=True)
        database.connection.execute("PRAGMA secure_delete = ON")
        with database.transaction() as connection:
            forget_number(connection, customer, found, by=by, at=time.time())
        database.empty_log()
    click.echo(f"{as_read(context, customer)}: {_counted(counts)} deleted")


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{number} {what}" for what, number in counts.items())


COMMANDS: list[click.Command] = [export, forget]
