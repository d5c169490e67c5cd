"""`sipacr list`: the contents of the named lists that rules ask: black, white, or whatever they are called."""

import sqlite3
import time
from collections.abc import Mapping
from typing import Any, TextIO

import click

from sipacr.cli import checks, importing, showing
from sipacr.cli.context import Context, Failure, Misconfigured, warn
from sipacr.routing.masks import Mask, e164_suggestion
from sipacr.store.spreadsheet import InputError, Line, read_number
from sipacr.store.tables import LISTS, Key, Value, get, history, lists_with, on_both, rows, write

_COLUMNS = {
    "number": (
        "phone",
        "phone number",
        "telephone",
        "telephone number",
        "tel",
        "mobile",
        "customer",
        "prefix",
        "entry",
    ),
    "note": ("notes", "comment", "comments", "name", "company", "reason"),
    "expires": ("until", "expiry", "valid until"),
    "target": ("to", "agent", "destination"),
}


@click.group("list")
def list_() -> None:
    """Keep the named lists: numbers and prefixes.

    A prefix ends in a star.
    """


def _entry_options(command: Any) -> Any:
    """The arguments of add and set."""
    for option in (
        checks.by_option,
        click.option("--target", help="Where `list` steps send this number: an agent, a destination or user@peer."),
        click.option(
            "--expires", metavar="TIME", help="Not on the list from then on: 2026-12-24 (that day over), 30d."
        ),
        click.option("--note", help="Anything for people, such as the reason."),
        click.argument("number"),
        click.argument("name"),
    ):
        command = option(command)
    return command


@list_.command()
@_entry_options
@click.pass_obj
def add(context: Context, /, name: str, number: str, by: str, **given: str | None) -> None:
    """Put NUMBER (or a prefix such as "+48700*") on the list NAME. An entry with other words is left (status 1)."""
    _put(context, name, number, by, given, change=False)


@list_.command("set")
@_entry_options
@click.pass_obj
def set_(context: Context, /, name: str, number: str, by: str, **given: str | None) -> None:
    """Put NUMBER on the list NAME, or change its note, expiry or target ("" takes one away)."""
    _put(context, name, number, by, given, change=True)


def _put(context: Context, name: str, text: str, by: str, given: Mapping[str, str | None], *, change: bool) -> None:
    warnings: list[str] = []
    try:
        key = read_entry(context, text, name, warnings)
        values = {name: _value(context, name, value) for name, value in given.items() if value is not None}
    except InputError as error:
        raise Misconfigured(str(error)) from error
    checks.warn_of_rules(context)
    checks.warn_of_list(context, name)
    warnings += _target_warnings(context, values.get("target"))
    at = time.time()
    with context.database() as database, database.transaction() as connection:
        old = get(connection, LISTS, key)
        over = old is not None and _is_over(old, at)
        if old and not change and not over and any(old[column] != value for column, value in values.items()):
            raise Failure(
                f"{_shown(key)} is on the list {name} already; to change it: sipacr list set {name} {_shown(key)}"
            )
        if over and not change:
            values = {"note": "", "expires": None, "target": None, **values}
        counts = write(connection, LISTS, [(key, values)], by=by, at=at)
        both = [found for found in on_both(connection, at) if found[1:] == (name, _shown(key))]
    read = f" ({text!r} as a number of {context.plan.country})" if _shown(key) != text else ""
    until = values.get("expires")
    ends = f" until {context.show_moment(float(until))}" if until else ""
    click.echo(f"{name}: {_shown(key)}{read}{ends}{'; no change' if counts.unchanged else ''}")
    for message in warnings + checks.on_both_messages(both):
        warn(message)


def read_entry(context: Context, text: str, name: str, warnings: list[str]) -> Key:
    """The key of an entry that a person has written: a number, or a prefix with its star. Raises `InputError`."""
    text = text.strip()
    if not name.strip():
        raise InputError("the list has no name")
    if not text.endswith("*") or text == "*":
        number = read_number(text, context.plan)
        if text == "*":
            raise InputError('"*" would hold every caller: write that as a rule without `when`')
        if number.e164 is None:
            warnings.append(f"{number.key} is kept as it is: no telephone number in {context.plan.country}")
        return (number.key, 0, name)
    try:
        mask = Mask(text)
    except ValueError as error:
        raise InputError(str(error)) from error
    if not mask.is_prefix:
        raise InputError(
            f'{text} is no prefix: a list holds numbers and prefixes such as "+48700*"; masks stand in rules'
        )
    if suggested := e164_suggestion(mask, context.plan):
        warnings.append(f'{text} is compared with the number as it comes; did you mean "{suggested}"?')
    return (mask.prefix, 1, name)


def _shown(key: Key) -> str:
    return f"{key[0]}{'*' if key[1] else ''}"


def _is_over(values: Mapping[str, Value], now: float) -> bool:
    expires = values["expires"]
    return expires is not None and float(expires) <= now


def _value(context: Context, name: str, text: str) -> Value:
    """A value as it is stored; an empty text is none. Raises `InputError`."""
    if name == "note":
        return text
    if not text:
        return None
    if name == "expires":
        try:
            return context.moment(text, end_of_day=True)
        except click.BadParameter as error:
            raise InputError(error.message) from error
    return text


def _target_warnings(context: Context, target: Value) -> list[str]:
    """A warning if nobody knows the target of an entry."""
    directory = context.settings.directory
    if not target or context.rules is None:
        return []
    text = str(target)
    known = {*context.rules.agents, *directory.destinations}
    if text in known or text.partition("@")[2] in directory.peers:
        return []
    return [
        f'"{text}" is no agent, destination or user@peer{checks.closest(text, known)}: '
        "a `list` step skips the entry until it is"
    ]


@list_.command()
@click.argument("name")
@click.argument("number")
@checks.by_option
@click.pass_obj
def remove(context: Context, name: str, number: str, by: str) -> None:
    """Take NUMBER (or a prefix) off the list NAME (status 1 if it is not on it)."""
    try:
        key = read_entry(context, number, name, [])
    except InputError as error:
        raise Misconfigured(str(error)) from error
    with context.database() as database, database.transaction() as connection:
        removed = write(connection, LISTS, [(key, None)], by=by, at=time.time()).removed
    if not removed:
        raise Failure(f"{_shown(key)} is not on the list {name}; to search: sipacr list find TEXT")
    click.echo(f"{name}: {_shown(key)} removed")


@list_.command()
@click.argument("name", required=False)
@click.argument("number", required=False)
@click.option("--history", "with_history", is_flag=True, help="With NUMBER: also who changed it, when and how.")
@checks.json_option
@click.pass_obj
def show(context: Context, name: str | None, number: str | None, with_history: bool, as_json: bool) -> None:
    """Show all lists, the entries of NAME, or whether NUMBER is on it now (status 1 if not).

    A number alone shows the lists that hold it.
    """
    now = time.time()
    with context.database() as database:
        connection = database.connection
        if name is None:
            _show_names(context, connection, as_json)
            return
        if number is None:
            found = [_row(row, now) for row in rows(connection, LISTS, list=name)]
            if not found and context.plan.read(name).e164 is not None:
                _show_lists_with(context, connection, name, as_json)
                return
            showing.table(context, found, as_json, f"nothing is on the list {name}: sipacr list add {name} NUMBER")
            return
        customer = checks.read_customer(context, number)
        entries = [entry for on, entry in lists_with(connection, customer, now) if on == name]
        entry = max(entries, key=lambda entry: (not entry.endswith("*"), len(entry)), default=customer.key)
        key = read_entry(context, entry, name, [])
        values = get(connection, LISTS, key) or {}
        changes = history(connection, entry, f"list {name}") if with_history else None
    if entries or changes:
        shown = {"list": name, "number": customer.key, "entry": entry if entries else None, **values}
        showing.one(context, shown, changes, as_json)
    if not entries:
        over = "; its entry has expired" if values else ""
        raise Failure(f"{checks.as_read(context, customer)} is not on the list {name}{over}")


def _show_lists_with(context: Context, connection: sqlite3.Connection, text: str, as_json: bool) -> None:
    customer = checks.read_customer(context, text)
    found: list[dict[str, Value]] = [
        {"list": name, "number": customer.key, "entry": entry}
        for name, entry in lists_with(connection, customer, time.time())
    ]
    showing.table(context, found, as_json, f"{checks.as_read(context, customer)} is on no list")


def _show_names(context: Context, connection: sqlite3.Connection, as_json: bool) -> None:
    counted = dict(connection.execute("SELECT list, count(*) FROM list_entries GROUP BY list ORDER BY list"))
    declared = context.rules.lists if context.rules else {}
    found = [
        {"list": name, "entries": counted.get(name, 0), "declared": "yes" if name in declared else "no"}
        for name in dict.fromkeys([*declared, *counted])
    ]
    showing.table(context, found, as_json, "there are no lists: declare one in the rules (lists: {black: {}})")


def _row(row: Mapping[str, Value], now: float) -> dict[str, Value]:
    """An entry as it is shown."""
    number = f"{row['number']}{'*' if row['prefix'] else ''}"
    told = {"list": row["list"], "number": number, "state": "expired" if _is_over(row, now) else ""}
    return {**told, **{name: row[name] for name in ("note", "expires", "target", "changed", "by")}}


@list_.command()
@click.argument("text")
@checks.json_option
@click.pass_obj
def find(context: Context, text: str, as_json: bool) -> None:
    """List the entries of all lists whose number, note, target or list holds TEXT (status 1 if none does)."""
    now = time.time()
    with context.database() as database:
        wanted = showing.wanted(context, text)
        found = [_row(row, now) for row in rows(database.connection, LISTS) if wanted(row, "number")]
    showing.table(context, found, as_json, f"no entry whose number, note, target or list holds {text!r}")


@list_.command("import")
@click.argument("name")
@importing.import_options
@click.pass_obj
def import_(context: Context, /, name: str, **options: Any) -> None:
    """Import entries of the list NAME from a CSV file with a header: number, and if you like note, expires, target.

    The delimiter may be a comma, a semicolon or a tab; prefixes end in a star. Every line is checked before anything is
    written; then all lines are written together or none. A line whose number is on the list changes it. --replace
    removes what is on this list and not in the file. "-" is standard input.

    Exit status: 0 all written; 1 with --skip-refused, some lines were refused; 2 nothing was written.
    """
    checks.warn_of_rules(context)
    checks.warn_of_list(context, name)

    def parse(line: Line, warnings: list[str]) -> tuple[Key, Mapping[str, Value]]:
        text = line.values["number"]
        if not text.endswith("*"):
            importing.check_raw(context, read_number(text, context.plan), [])
        key = read_entry(context, text, name, warnings)
        values = {column: _value(context, column, value) for column, value in line.values.items() if column != "number"}
        warnings += _target_warnings(context, values.get("target"))
        return key, values

    def after(connection: sqlite3.Connection, written: Mapping[Key, Mapping[str, Value]]) -> list[str]:
        entries = {_shown(key) for key in written}
        both = on_both(connection, time.time())
        return checks.on_both_messages([found for found in both if found[1] == name and found[2] in entries])

    form = importing.Format(_COLUMNS, ("number",), parse)
    importing.import_file(context, importing.Options(**options), form, LISTS, {"list": name}, after)


@list_.command()
@click.argument("name")
@click.argument("target", type=click.File("w", encoding="utf-8", atomic=True), default="-", metavar="[FILE]")
@click.pass_obj
def export(context: Context, name: str, target: TextIO) -> None:
    """Write the list NAME as CSV, as `list import` reads it; to standard output if no file is named."""
    with context.database() as database:
        found = (_row(row, 0) for row in rows(database.connection, LISTS, list=name))
        lines = ((row["number"], row["note"], showing.moment_text(row["expires"]), row["target"]) for row in found)
        showing.write_csv(target, ("number", "note", "expires", "target"), lines)


COMMANDS: list[click.Command] = [list_]
