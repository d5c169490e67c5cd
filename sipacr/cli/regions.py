"""`sipacr regions`: where a number is from, and packs of prefixes made of the Russian numbering register."""

import json
import sys
import time
from pathlib import Path
from typing import BinaryIO

import click

from sipacr.cli.checks import as_read, json_option, read_customer
from sipacr.cli.context import MISCONFIGURED, NO, Context, Failure, Misconfigured
from sipacr.routing.regions import PackError, Region, Regions, region_name
from sipacr.routing.register import RegisterProblem, pack_text, prefixes, read_register

_MOST = 200  # refused lines that are printed


@click.group()
def regions() -> None:
    """Look up regions, and make packs of prefixes."""


@regions.command("import")
@click.option(
    "-o",
    "--output",
    metavar="PACK",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The pack to write; default: standard output.",
)
@click.option("--skip-refused", is_flag=True, help="Take the other lines although some are refused.")
@click.argument("source", type=click.File("rb"), metavar="FILE")
def import_(source: BinaryIO, output: Path | None, skip_refused: bool) -> None:
    """Make a pack of prefixes of FILE, a CSV file of the Russian numbering register ("-" is standard input).

    With it Russian mobile numbers have a region. Name the pack in sipacr.yaml under `regions`; it counts from the next
    reload on.

    Exit status: 0 written; 1 with --skip-refused, some lines were refused; 2 nothing was written.
    """
    named = str(getattr(source, "name", "-"))
    name = "standard input" if named in ("-", "<stdin>") else named
    ranges, problems = read_register(source.read())
    _tell_refused(name, problems)
    if not ranges:
        raise Misconfigured(f"{name}: nothing was written: there is no range in it that can be read")
    if problems and not skip_refused:
        raise Misconfigured(
            f"{name}: nothing was written: {len(problems)} lines are refused, {len(ranges)} are not; correct them, or "
            "take the others with --skip-refused"
        )
    pack = prefixes(ranges)
    day = time.strftime("%Y-%m-%d")
    _write(
        output,
        pack_text(pack, f"Made on {day} by sipacr regions import of {Path(name).name}, Russian numbering register"),
    )
    skipped = f", {len(problems)} lines refused" if problems else ""
    click.echo(f"{name}: {len(ranges)} ranges, {len(pack)} prefixes{skipped}", err=True)
    if output is not None:
        click.echo(f"wrote {output}; it counts when sipacr.yaml names it under `regions`, from a reload on", err=True)
    if problems:
        sys.exit(NO)


def _tell_refused(name: str, problems: list[RegisterProblem]) -> None:
    for problem in problems[:_MOST]:
        click.echo(f"{name}:{problem.line}: refused: {problem.message}", err=True)
    if len(problems) > _MOST:
        click.echo(f"... and {len(problems) - _MOST} more lines are refused", err=True)


def _write(output: Path | None, text: str) -> None:
    """All of it or nothing: a reload may read the pack at any moment."""
    if output is None:
        click.echo(text, nl=False)
        return
    new = output.with_name(f"{output.name}.new")
    try:
        new.write_text(text, encoding="utf-8")
        new.replace(output)
    except OSError as error:
        raise Misconfigured(f"{output} cannot be written: {error.strerror}") from error


@regions.command()
@click.argument("number")
@json_option
@click.pass_obj
def lookup(context: Context, number: str, as_json: bool) -> None:
    """Tell where NUMBER is from, as rules see it (status 1 if that is not known).

    A guess is what the numbering plan alone says, of a mobile for example: the number may have moved.
    """
    read = read_customer(context, number)
    try:
        known = Regions.load(context.settings.regions)
    except PackError as error:
        for problem in error.problems:
            click.echo(str(problem), err=True)
        raise click.exceptions.Exit(MISCONFIGURED) from error
    found = known.lookup(read.e164) if read.e164 is not None else Region((), False)
    if as_json:
        names = {code: region_name(code) for code in found.codes}
        told = {"number": read.key, "e164": read.e164, "codes": found.codes, "names": names, "guess": found.guess}
        click.echo(json.dumps(told, ensure_ascii=False, indent=2))
        if not found.codes:
            raise click.exceptions.Exit(NO)
        return
    if not found.codes:
        raise Failure(f"{as_read(context, read)}: no region is known")
    texts = [f"{code} ({name})" if (name := region_name(code)) else code for code in found.codes]
    guess = "; a guess of the numbering plan" if found.guess else ""
    click.echo(f"{as_read(context, read)}: {', '.join(texts)}{guess}")


COMMANDS: list[click.Command] = [regions]
