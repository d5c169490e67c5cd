"""`sipacr learn import`: calls that did not pass through sipacr, from a CSV file, kept and learned from."""

import json
import sys
import time
from typing import BinaryIO

import click

from sipacr.cli import importing
from sipacr.cli.checks import json_option
from sipacr.cli.context import Context, Misconfigured, warn
from sipacr.memory.customers import Customers
from sipacr.memory.learner import Learner
from sipacr.memory.report import Report
from sipacr.outside import FIELDS, REQUIRED, Outside
from sipacr.store.learning import learn_elsewhere
from sipacr.store.spreadsheet import InputError, Refusal, read

_BATCH = 500  # calls in one transaction: the router waits for none of them
_MOST = 200  # refused lines and warnings that are printed; --json has all


@click.group()
def learn() -> None:
    """Learn from calls that did not pass through sipacr."""


@learn.command("import")
@click.argument("source", type=click.File("rb"), metavar="FILE")
@click.option("--dry-run", is_flag=True, help="Check and report; write nothing.")
@click.option("--skip-refused", is_flag=True, help="Import the other lines although some are refused.")
@click.option("--encoding", metavar="NAME", help="Of the file, for example cp1250; default: UTF-8 or UTF-16.")
@json_option
@click.pass_obj
def import_(
    context: Context, source: BinaryIO, dry_run: bool, skip_refused: bool, encoding: str | None, as_json: bool
) -> None:
    """Import calls from a CSV file with a header: time, direction (in, out), customer, agent (name or extension),
    answered (yes, no, busy ...), talk (seconds), uid (the PBX's unique id), and if you like ours (your number), ended,
    name.

    Every line is checked before anything is written. A call counts by its own time, and once, however often it is
    imported. "-" is standard input.

    Exit status: 0 all written; 1 with --skip-refused, some lines were refused; 2 nothing was written.
    """
    rules = context.rules
    if rules is None:
        raise Misconfigured("the rules have errors, so nobody knows the agents: sipacr check shows the errors")
    name = importing.name_of(source)
    outside, customers = Outside(rules, context.settings.directory), Customers(context.settings.directory, rules)
    reports, refused, warnings, lines = _read(source, name, encoding, outside)
    learners = [Learner(profile, rules.groups) for profile in rules.sticky.values()]
    counts = {"new": 0, "changed": 0, "unchanged": 0}
    write = bool(reports) and not dry_run and (not refused or skip_refused)
    if write:
        with context.database() as database, importing.progress(reports, len(reports), "learning") as found:
            batch: list[Report] = []
            for report in (*found, None):
                if report is not None:
                    batch.append(report)
                if len(batch) == _BATCH or (report is None and batch):
                    with database.transaction() as connection:
                        for each in batch:
                            counts[learn_elsewhere(connection, each, learners, customers)] += 1
                    batch.clear()
    _tell(name, lines, counts, refused, warnings, write, as_json)
    if refused:
        sys.exit(1 if write else 2)


def _read(
    source: BinaryIO, name: str, encoding: str | None, outside: Outside
) -> tuple[list[Report], list[Refusal], list[str], int]:
    """The calls of the file in order of time, lines that cannot be taken, warnings, and how many lines there are."""
    try:
        sheet = read(source.read(), FIELDS, REQUIRED, encoding)
    except InputError as error:
        raise Misconfigured(f"{name} {error}") from error
    now, lines = time.time(), 0
    reports: dict[str, Report] = {}
    refused: list[Refusal] = []
    warnings = [f"{name}: ignored columns: {', '.join(sheet.ignored)}"] if sheet.ignored else []
    with importing.progress(sheet.lines(), sheet.size, "checking") as found:
        for line in found:
            lines += 1
            try:
                report, warning = outside.told(line.values, "import", now)
            except InputError as error:
                refused.append(Refusal(line.line, str(error)))
                continue
            if warning:
                warnings.append(f"{name}:{line.line}: {warning}")
            known = reports.get(report.uid)
            if known is None or report.replaces(known):
                reports[report.uid] = report
    refused = sorted(refused + sheet.refusals)
    return sorted(reports.values(), key=lambda report: report.started), refused, warnings, lines + len(sheet.refusals)


def _tell(
    name: str, lines: int, counts: dict[str, int], refused: list[Refusal], warnings: list[str], written: bool,
    as_json: bool,
) -> None:  # fmt: skip
    if as_json:
        told = {"file": name, "lines": lines, "written": written, **counts, "warnings": warnings}
        click.echo(json.dumps({**told, "refused": [each._asdict() for each in refused]}, ensure_ascii=False, indent=2))
        return
    for message in warnings[:_MOST]:
        warn(message)
    if len(warnings) > _MOST:
        warn(f"... and {len(warnings) - _MOST} more warnings (--json has all)")
    for refusal in refused[:_MOST]:
        click.echo(f"{name}:{refusal.line}: refused: {refusal.reason}", err=True)
    if len(refused) > _MOST:
        click.echo(f"... and {len(refused) - _MOST} more lines are refused (--json has all)", err=True)
    done = ", ".join(f"{number} {what}" for what, number in counts.items() if number)
    rest = f", {len(refused)} refused" if refused else ""
    click.echo(
        f"{name}: {lines} lines: {done}{rest}" if written else f"{name}: {lines} lines{rest}: nothing was written"
    )


COMMANDS: list[click.Command] = [learn]
