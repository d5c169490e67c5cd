"""`sipacr calls` and `sipacr hangup`: the relayed calls in progress, and their end by command."""

import json
import time
from collections.abc import Mapping
from typing import Any

import click

from sipacr.cli.checks import json_option
from sipacr.cli.context import Context, Failure, Misconfigured

_COLUMNS = ("since", "state", "time", "caller", "dialled", "from", "to", "target", "rule", "call_id")
_WIDEST = 40  # signs of a column but the last; a rule's name can be long
_PAUSE = 1.0  # seconds between two looks


@click.command()
@click.argument("text", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on showing them, once a second, until Ctrl-C.")
@json_option
@click.pass_obj
def calls(context: Context, text: str | None, follow: bool, as_json: bool) -> None:
    """Show the relayed calls in progress, or those of them in which TEXT occurs."""
    while True:
        found = [row for row in context.ask("calls").get("rows", ()) if text is None or _holds(row, text)]
        if as_json:
            click.echo(json.dumps(found, ensure_ascii=False, indent=None if follow else 2))
        else:
            if follow:
                click.clear()
            click.echo(_table(context, found))
        if not follow:
            return
        time.sleep(_PAUSE)


def _holds(row: Mapping[str, Any], text: str) -> bool:
    folded = text.casefold()
    values = (value for each in row.values() for value in (each if isinstance(each, list) else [each]))
    return any(isinstance(value, str) and folded in value.casefold() for value in values)


def _table(context: Context, found: list[dict[str, Any]]) -> str:
    """All calls in aligned columns, then how many there are."""
    counted = f"{len(found)} {'call' if len(found) == 1 else 'calls'} in progress"
    if not found:
        return counted
    lines = [[name.replace("_", "-") for name in _COLUMNS]]
    for row in found:
        shown = {**row, "since": context.show_moment(row["since"]), "time": _duration(row["seconds"])}
        lines.append([_printable(str(shown[name])) for name in _COLUMNS])
    widths = [min(max(map(len, column)), _WIDEST) for column in zip(*lines, strict=True)]
    texts = ["  ".join([*map(_cut, line[:-1], widths), line[-1]]).rstrip() for line in lines]
    return "\n".join([*texts, counted])


def _cut(text: str, width: int) -> str:
    return (text if len(text) <= width else text[: width - 1] + "…").ljust(width)


def _printable(text: str) -> str:
    """Text of a far end for a terminal."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


@click.command()
@click.argument("call_id", metavar="CALL-ID", required=False)
@click.option("--all", "everything", is_flag=True, help="All relayed calls.")
@click.pass_obj
def hangup(context: Context, call_id: str | None, everything: bool) -> None:
    """Hang up the call with this Call-ID, the caller's or the far side's (status 1 if there is none)."""
    if (call_id is None) != everything:
        raise Misconfigured("name one call by its Call-ID (sipacr calls shows them), or all with --all")
    if call_id is not None and (not call_id.strip() or not call_id.isprintable()):
        raise Misconfigured(f"{call_id!r} is no Call-ID")
    count = context.ask("hangup-all" if call_id is None else f"hangup {call_id}")["calls"]
    if call_id is not None and not count:
        raise Failure(f"no call in progress has the Call-ID {call_id}: sipacr calls shows them")
    click.echo(f"{count} {'call' if count == 1 else 'calls'} hung up")


COMMANDS: list[click.Command] = [calls, hangup]
