"""`sipacr sticky`: the memory of who talked to whom, looked at and corrected by hand."""

import sqlite3
import time
from collections.abc import Mapping
from typing import Any

import click

from sipacr.cli import checks, importing, showing
from sipacr.cli.context import Context, Failure, Misconfigured
from sipacr.memory.learner import Learner
from sipacr.routing.facts import Binding
from sipacr.routing.sticky import clock, is_live
from sipacr.store.learning import Rebuilt, rebuild
from sipacr.store.records import count_customers, customers_after
from sipacr.store.spreadsheet import InputError, Line, read_number
from sipacr.store.tables import BINDINGS, EVENTS, Key, Value, history, rows, write

_COLUMNS = {
    "profile": ("sticky", "memory"),
    "customer": ("number", "phone", "phone number", "telephone", "tel", "mobile", "customer number"),
    "agent": ("employee", "owner", "account manager", "manager", "responsible", "person"),
    "scope": ("our number", "company number", "dialled"),
    "made": ("at", "time", "date", "last", "when"),
    **{event: (event.replace("_", " "),) for event in EVENTS},
}
_BATCH = 200  # customers in one transaction: the router's own writing does not wait long
_FRESH: dict[str, Value] = {
    "in_progress": 0,
    "since": None,
    "calling": 0,
}  # whoever sets a row sets its clock to `made`


@click.group()
def sticky() -> None:
    """Look at and correct who is bound to whom."""


@sticky.command("set")
@click.argument("profile")
@click.argument("customer")
@click.argument("agent")
@click.option("--at", default="now", metavar="TIME", help="When they talked, which starts the clock; default: now.")
@click.option("--scope", default="", metavar="NUMBER", help="Your number, for profiles with `scope: number`.")
@checks.by_option
@click.pass_obj
def set_(context: Context, profile: str, customer: str, agent: str, at: str, scope: str, by: str) -> None:
    """Bind CUSTOMER to AGENT in PROFILE, as if they had talked at that time."""
    number = checks.read_customer(context, customer)
    made = context.moment(at)
    now = time.time()
    if made > now:
        raise Misconfigured(f"{at} lies in the future: a binding tells what has been; write a time up to now with --at")
    where = checks.read_customer(context, scope).key if scope else ""
    checks.warn_of_agents(context, agent)
    checks.warn_of_profile(context, profile)
    checks.warn_of_own(context, number)
    values: dict[str, Value] = {"made": made, **dict.fromkeys(EVENTS), **_FRESH}
    with context.database() as database, database.transaction() as connection:
        write(connection, BINDINGS, [((number.key, profile, where, agent), values)], by=by, at=now)
        others = [
            str(row["agent"])
            for row in rows(connection, BINDINGS, customer=number.key, profile=profile, scope=where)
            if row["agent"] != agent
        ]
    beside = f"; he has rows with {', '.join(others)} too, and `keep` chooses" if others else ""
    on = f" on {where}" if where else ""
    click.echo(f"{profile}: {checks.as_read(context, number)}{on}: {agent}, {context.show_moment(made)}{beside}")


@sticky.command()
@click.argument("words", nargs=-1, metavar="[PROFILE] [CUSTOMER]")
@click.option("--history", "with_history", is_flag=True, help="Of CUSTOMER: also who changed what by hand, and when.")
@checks.json_option
@click.pass_obj
def show(context: Context, words: tuple[str, ...], with_history: bool, as_json: bool) -> None:
    """Show how much each profile remembers, all rows of PROFILE, or of CUSTOMER (status 1 if there are none)."""
    with context.database() as database:
        connection = database.connection
        if not words:
            counted = connection.execute("SELECT profile, count(*) FROM bindings GROUP BY profile ORDER BY profile")
            showing.table(
                context,
                [{"profile": name, "rows": number} for name, number in counted],
                as_json,
                "nothing is remembered",
            )
            return
        only = _selection(context, connection, words)
        found = [_row(context, row) for row in rows(connection, BINDINGS, **only)]
        customer = only.get("customer")
        changes = history(connection, str(customer), "sticky") if with_history and customer else []
    if changes and not as_json:
        for change in changes:
            click.echo(showing.change(context, change))
    showing.table(context, found, as_json, f"nothing is remembered of {' '.join(words)}")


@sticky.command()
@click.argument("words", nargs=-1, required=True, metavar="[PROFILE] CUSTOMER")
@click.option("--agent", help="Only the rows with this agent.")
@checks.by_option
@click.pass_obj
def forget(context: Context, words: tuple[str, ...], agent: str | None, by: str) -> None:
    """Delete what is remembered of CUSTOMER, in all profiles or in PROFILE (status 1 if there is nothing)."""
    with context.database() as database, database.transaction() as connection:
        only = _selection(context, connection, words)
        if "customer" not in only:
            raise Misconfigured(f"whom to forget? sipacr sticky forget {' '.join(words)} CUSTOMER")
        if agent is not None:
            only["agent"] = agent
        keys = [importing.key_of(BINDINGS, row) for row in rows(connection, BINDINGS, **only)]
        write(connection, BINDINGS, ((key, None) for key in keys), by=by, at=time.time())
    if not keys:
        raise Failure(f"nothing is remembered of {' '.join(words)}{f' with {agent}' if agent else ''}")
    for customer, profile, scope, bound in keys:
        click.echo(f"{profile}: {customer}{f' on {scope}' if scope else ''}: {bound} forgotten")


@sticky.command("import")
@click.option("--profile", help="The profile of all lines, if the file has no such column.")
@importing.import_options
@click.pass_obj
def import_(context: Context, /, profile: str | None, **options: Any) -> None:
    """Import bindings from a CSV file with a header: customer, agent, profile and if you like made (when they talked;
    default: now), scope, and the times of events (out_attempt, in_answered ...).

    Every line is checked before anything is written; then all lines are written together or none. --replace removes the
    rows that are not in the file, of that --profile or of all. "-" is standard input.

    Exit status: 0 all written; 1 with --skip-refused, some lines were refused; 2 nothing was written.
    """
    checks.warn_of_rules(context)
    now = time.time()
    agents: dict[str, int] = {}
    profiles: dict[str, None] = {}

    def parse(line: Line, warnings: list[str]) -> tuple[Key, Mapping[str, Value]]:
        cells = line.values
        number = read_number(cells["customer"], context.plan)
        importing.check_raw(context, number, warnings)
        name = cells.get("profile") or profile
        if not name:
            raise InputError("has no profile: add the column, or name it for all lines with --profile")
        if not cells["agent"]:
            raise InputError("has no agent: write the agent's name as it stands in the rules")
        scope = cells.get("scope")
        agents.setdefault(cells["agent"], line.line)
        profiles[name] = None
        values: dict[str, Value] = {"made": _moment(context, cells.get("made", ""), now) or now, **_FRESH}
        for event in EVENTS:
            if event in cells:
                values[event] = _moment(context, cells[event], now)
        return (number.key, name, read_number(scope, context.plan).key if scope else "", cells["agent"]), values

    def after(connection: sqlite3.Connection, written: Mapping[Key, Mapping[str, Value]]) -> list[str]:
        told = checks.unknown_agents(context, agents)
        checks.warn_of_profile(context, *profiles)
        return [f"line {agents[agent]}: {message}" for agent, message in told.items()]

    required = ("customer", "agent") if profile else ("customer", "agent", "profile")
    only: dict[str, Value] = {"profile": profile} if profile else {}
    form = importing.Format(_COLUMNS, required, parse)
    importing.import_file(context, importing.Options(**options), form, BINDINGS, only, after)


@sticky.command("rebuild")
@click.argument("profile")
@click.pass_obj
def rebuild_(context: Context, profile: str) -> None:
    """Fill PROFILE, which is new or was changed, from the records of calls.

    What was set by hand stays. The router goes on meanwhile.
    """
    if context.rules is None:
        raise Misconfigured("the rules have errors: sipacr check shows them")
    found = context.rules.sticky.get(profile)
    if found is None:
        near = checks.closest(profile, context.rules.sticky)
        raise Misconfigured(f'the rules define no sticky profile "{profile}"{near}')
    learner = Learner(found, context.rules.groups)
    done = Rebuilt(0, 0, 0)
    with context.database() as database:
        total, last = count_customers(database.connection), ""
        with importing.progress(range(total), total, profile) as bar:
            steps = iter(bar)
            while True:
                with database.transaction() as connection:
                    customers = customers_after(connection, last, _BATCH)
                    for last in customers:
                        one = rebuild(connection, learner, last)
                        done = Rebuilt(*map(sum, zip(done, one, strict=True)))
                        next(steps, None)
                if not customers:
                    break
            next(steps, None)
    click.echo(
        f"{profile}: {total} customers with records: {done.written} bindings written, {done.dropped} dropped, "
        f"{done.by_hand} set by hand stay"
    )


def _selection(context: Context, connection: sqlite3.Connection, words: tuple[str, ...]) -> dict[str, Value]:
    """What `[PROFILE] [CUSTOMER]` selects. One word alone is a profile if there is one of that name."""
    if len(words) > 2:
        raise Misconfigured(f"what is {words[2]!r}? Write a profile, a customer's number, or both in this order")
    if len(words) == 2:
        return {"profile": words[0], "customer": checks.read_customer(context, words[1]).key}
    word = words[0]
    known = context.rules is not None and word in context.rules.sticky
    if known or connection.execute("SELECT 1 FROM bindings WHERE profile = ? LIMIT 1", (word,)).fetchone():
        return {"profile": word}
    return {"customer": checks.read_customer(context, word).key}


def _moment(context: Context, text: str, now: float) -> float | None:
    """A time in a file; nothing is None. Raises `InputError`."""
    if not text:
        return None
    try:
        moment = context.moment(text)
    except click.BadParameter as error:
        raise InputError(error.message) from error
    if moment > now:
        raise InputError(f"{text} lies in the future: a binding tells what has been")
    return moment


def _row(context: Context, row: Mapping[str, Value]) -> dict[str, Value]:
    """A binding as it is shown: with its state, if the rules know its profile."""
    shown: dict[str, Value] = {**{name: row[name] for name in ("profile", "customer", "scope", "agent")}, "state": ""}
    profile = context.rules.sticky.get(str(row["profile"])) if context.rules else None
    if profile is not None:
        binding = Binding(**{**row, "in_progress": bool(row["in_progress"]), "calling": bool(row["calling"])})  # type: ignore[arg-type]
        shown["state"] = "live" if is_live(binding, profile, time.time()) else "expired"
        if profile.ttl is not None and not binding.in_progress and not binding.calling:
            shown["live_until"] = clock(binding, profile) + profile.ttl
    return {**shown, "live_until": shown.get("live_until"), **{name: row[name] for name in ("made", *EVENTS)}}


COMMANDS: list[click.Command] = [sticky]
