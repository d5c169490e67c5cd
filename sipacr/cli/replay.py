"""`sipacr replay`: past calls against other rules, before these are put in place."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from sipacr.cli.checks import json_option
from sipacr.cli.context import MISCONFIGURED, Context, Failure
from sipacr.cli.records import span, span_options
from sipacr.cli.rules import store_of, working_engine
from sipacr.cli.showing import write_csv
from sipacr.memory.told import moment
from sipacr.replay import Moved, Replay
from sipacr.routing.decide import Engine
from sipacr.rulefile import load_rules
from sipacr.store.records import asked, count, read_many

_MOST = 30  # ways that are printed
_EACH = 1000  # calls between two steps of the progress bar
_COLUMNS = ("started", "caller", "dialled", "peer", "was", "would", "call_id")


@click.command()
@click.option(
    "--rules",
    "folder",
    required=True,
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="The other rules.",
)
@span_options
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV: each call that would go elsewhere.")
@json_option
@click.pass_obj
def replay(context: Context, folder: Path, since: str, until: str, as_csv: bool, as_json: bool) -> None:
    """Decide the relayed calls of a time by the rules as they are and by those of DIR: which would go elsewhere?

    Both are asked about the call as it was, at its time. What the store knows is as it is now (VIPs, lists, bindings);
    nobody is busy, and all peers are up: only the rules differ. Status 1 if there are no records.
    """  # fmt: skip
    old = working_engine(context)
    new = _engine_of(context, folder, old)
    ends = span(context, since, until)
    moved: list[Moved] = []
    with context.database() as database, store_of(context) as store:
        replayed = Replay(old, new, store)
        read_many(database.connection)
        total = count(database.connection, *ends)
        with click.progressbar(length=total, label="Replaying", file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:
            for number, call in enumerate(asked(database.connection, *ends), 1):
                found = replayed.ask(call)
                if found is not None and as_csv:
                    moved.append(found)
                if number % _EACH == 0:
                    bar.update(_EACH)
        database.connection.execute("ROLLBACK")
    if not replayed.calls and not replayed.skipped:
        raise Failure(
            f"no relayed calls are recorded from {context.show_moment(ends[0])} to {context.show_moment(ends[1])}"
        )
    if as_csv:
        write_csv(sys.stdout, _COLUMNS, map(_line, moved))
    elif as_json:
        click.echo(json.dumps(_told(replayed), ensure_ascii=False, indent=2))
    else:
        _show(context, replayed)


def _engine_of(context: Context, folder: Path, old: Engine) -> Engine:
    """The rules of another folder with the settings as they are. Ends the command with status 2 if they have errors."""
    ruleset, problems = load_rules(folder, context.settings)
    if ruleset is None:
        for problem in problems:
            click.echo(str(problem), err=True)
        raise click.exceptions.Exit(MISCONFIGURED)
    return Engine(ruleset, old.directory, old.truths.regions)


def _show(context: Context, replayed: Replay) -> None:
    share = 100 * replayed.elsewhere / replayed.calls if replayed.calls else 0.0
    click.echo(f"{replayed.calls:,} calls: {replayed.elsewhere:,} would go elsewhere ({share:.1f}%)")
    if replayed.skipped:
        click.echo(f"{replayed.skipped:,} more came from peers that are no more, and were left out")
    for (was, would), number in replayed.ways.most_common(_MOST):
        click.echo(f"{number:>9,}  {was}  ->  {would}")
        for example in replayed.examples[was, would]:
            call = example.call
            caller = call.caller.key or "anonymous"
            click.echo(f"{'':>11}such as {caller} -> {call.dialled.key}, {context.show_moment(call.started)}")
    if len(replayed.ways) > _MOST:
        click.echo(f"... and {len(replayed.ways) - _MOST} more ways: --csv has all calls")


def _line(moved: Moved) -> Sequence[object]:
    call = moved.call
    return (
        moment(call.started), call.caller.key, call.dialled.key, call.peer, moved.was, moved.would, call.call_id,
    )  # fmt: skip


def _told(replayed: Replay) -> dict[str, object]:
    return {
        "calls": replayed.calls,
        "elsewhere": replayed.elsewhere,
        "left_out": replayed.skipped,
        "ways": [
            {
                "was": was,
                "would": would,
                "calls": number,
                "examples": [dict(zip(_COLUMNS, _line(each), strict=True)) for each in replayed.examples[was, would]],
            }
            for (was, would), number in replayed.ways.most_common()
        ],
    }


COMMANDS: list[click.Command] = [replay]
