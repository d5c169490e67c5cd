"""`sipacr backup`: a copy of the store while the router runs."""

import sys
from pathlib import Path

import click

from sipacr.cli.context import Context, Misconfigured
from sipacr.store.backup import BackupRefused
from sipacr.store.backup import backup as copy_store


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.pass_obj
def backup(context: Context, file: Path) -> None:
    """Copy the store to FILE while the router and others use it.

    FILE may be an older copy: it is replaced when the new one is whole, never before.
    """
    with (
        context.database() as database,
        click.progressbar(length=1, label="Copying", file=sys.stderr, hidden=not sys.stderr.isatty()) as bar,
    ):

        def show(done: int, total: int) -> None:
            bar.length = total
            bar.update(done - bar.pos)

        try:
            size = copy_store(database, file, show)
        except BackupRefused as error:
            raise Misconfigured(str(error)) from error
    click.echo(f"{file}: {size:,} bytes")


COMMANDS: list[click.Command] = [backup]
