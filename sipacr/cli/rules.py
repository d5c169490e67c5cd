"""The commands about rules: check, test, explain, schedule, schema. Each parses, calls one function, prints."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import click

from sipacr.cli.checks import closest, json_option
from sipacr.cli.context import MISCONFIGURED, NO, STORE, Context, Failure, Misconfigured, warn
from sipacr.configuration import GOLDEN, load_rest, problems_of_machine
from sipacr.routing.decide import Engine
from sipacr.routing.explain import Explanation, as_text, explain
from sipacr.routing.explain import as_json as explanation_as_json
from sipacr.routing.facts import Facts, Request, State, Store, Unavailable
from sipacr.routing.given import GivenStore
from sipacr.routing.golden import GoldenCall, Outcome
from sipacr.routing.golden import run as run_golden
from sipacr.routing.identity import make_request
from sipacr.routing.ruleset import Position
from sipacr.rulefile import Problem, has_errors
from sipacr.rulefile.golden import first_trunk, load_golden
from sipacr.rulefile.written import Written, written_numbers
from sipacr.settings import load_settings


@click.command()
@click.option("--strict", is_flag=True, help="Warnings are errors too.")
@json_option
@click.pass_obj
def check(context: Context, strict: bool, as_json: bool) -> None:
    """Read settings and rules and tell all that is wrong with them, how numbers were read, and what rules cost.

    Exit status 2 if there is an error, with --strict also if there is a warning.
    """
    settings, problems = load_settings(context.path)
    loaded, problems = load_rest(settings, context.path, problems)
    engine = loaded.engine if loaded else None
    numbers: list[Written] = []
    if settings is not None:
        problems += problems_of_machine(settings)
        numbers = written_numbers(settings.rules, settings.directory.plan)
        if engine is not None:
            problems += load_golden(settings.rules / GOLDEN, engine.ruleset, settings.directory)[1]
    failed = engine is None or has_errors(problems) or (strict and bool(problems))
    if as_json:
        click.echo(json.dumps(_checked(problems, numbers, engine, failed), ensure_ascii=False, indent=2))
    else:
        for line in (*problems, *numbers):
            click.echo(str(line))
        click.echo(_summary(problems, engine))
    if failed:
        raise click.exceptions.Exit(MISCONFIGURED)


def _checked(
    problems: Sequence[Problem], numbers: Sequence[Written], engine: Engine | None, failed: bool
) -> dict[str, object]:
    return {
        "ok": not failed,
        "problems": [
            {**_place(problem.position), "severity": problem.severity, "message": problem.message}
            for problem in problems
        ],
        "numbers": [
            {**_place(found.position), "written": found.text, "e164": found.number.e164, "raw": found.number.text}
            for found in numbers
        ],
        "rules": None if engine is None else len(engine.incoming.rules) + len(engine.outgoing.rules),
        "residual": None if engine is None else len(engine.incoming.residual) + len(engine.outgoing.residual),
    }


def _place(position: Position) -> dict[str, object]:
    return {"file": position.file, "line": position.line, "column": position.column}


def _summary(problems: Sequence[Problem], engine: Engine | None) -> str:
    errors = sum(problem.severity == "error" for problem in problems)
    counts = f"{_counted(errors, 'error')}, {_counted(len(problems) - errors, 'warning')}"
    if engine is None:
        return counts
    rules = len(engine.incoming.rules) + len(engine.outgoing.rules)
    residual = len(engine.incoming.residual) + len(engine.outgoing.residual)
    filed = f"{residual} of them residual (not filed under a number: looked at for every call)"
    return f"{counts}; {_counted(rules, 'rule')}, {filed}"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def working_engine(context: Context) -> Engine:
    """The engine of settings and rules without errors. Else ends the command with status 2 and all problems."""
    loaded, problems = load_rest(context.settings, context.path, [])
    if loaded is None:
        for problem in problems:
            click.echo(str(problem), err=True)
        raise click.exceptions.Exit(MISCONFIGURED)
    return loaded.engine


@click.command()
@json_option
@click.pass_obj
def test(context: Context, as_json: bool) -> None:
    """Run the golden calls of rules/tests/*.yaml: calls and what the rules must make of them.

    Exit status 1 if one fails, 2 if settings, rules or golden calls have errors.
    """
    engine = working_engine(context)
    folder = context.settings.rules / GOLDEN
    calls, problems = load_golden(folder, engine.ruleset, engine.directory)
    if problems:
        for problem in problems:
            click.echo(str(problem), err=True)
        if has_errors(problems):
            raise click.exceptions.Exit(MISCONFIGURED)
    outcomes = [run_golden(engine, call) for call in calls]
    failed = [outcome for outcome in outcomes if not outcome.passed]
    if as_json:
        click.echo(json.dumps([_outcome(outcome) for outcome in outcomes], ensure_ascii=False, indent=2))
    else:
        for outcome in failed:
            click.echo(f"{outcome.call.position}: FAILED {outcome.call.title}")
            for difference in outcome.differences:
                click.echo(f"    {difference}")
        click.echo(_count(calls, failed, str(folder)))
    if failed:
        raise click.exceptions.Exit(NO)


def _count(calls: Sequence[GoldenCall], failed: Sequence[Outcome], folder: str) -> str:
    if not calls:
        return f"there are no golden calls in {folder}"
    return f"{len(calls) - len(failed)} passed, {len(failed)} failed"


def _outcome(outcome: Outcome) -> dict[str, object]:
    return {
        **_place(outcome.call.position),
        "call": outcome.call.title,
        "passed": outcome.passed,
        "differences": list(outcome.differences),
    }


@click.command("explain")
@click.argument("caller", required=False)
@click.argument("dialled", required=False)
@click.option("--call-id", metavar="ID", help="A past call instead: as it came, at its time.")
@click.option("--at", "at", default="now", metavar="TIME", help="When: 2026-12-24T16:15, 30m (from now); default: now.")
@click.option("--peer", metavar="NAME", help="Who sends the call; default: the first trunk.")
@click.option("--header", "headers", multiple=True, metavar="NAME:VALUE", help="A header; may be repeated.")
@json_option
@click.pass_obj
def explain_command(
    context: Context,
    caller: str | None,
    dialled: str | None,
    call_id: str | None,
    at: str,
    peer: str | None,
    headers: tuple[str, ...],
    as_json: bool,
) -> None:
    """Tell what becomes of a call from CALLER (a number, or anonymous) to DIALLED, and why.

    The engine that routes is asked, with the real store; nothing is sent and nothing is learned.

    With --call-id it is a past call, decided at its time by the rules of now, with the bindings that the records of
    that moment tell (not those that were made by hand) and the VIPs and lists of now.
    """
    engine = working_engine(context)
    if call_id is not None:
        found = _explain_past(context, engine, call_id)
    elif caller is None or dialled is None:
        raise Misconfigured(
            "who calls whom? sipacr explain CALLER DIALLED, or a past call: sipacr explain --call-id ID"
        )
    else:
        directory = engine.directory
        if peer is not None and peer not in directory.peers:
            raise Misconfigured(f'there is no peer "{peer}"{closest(peer, directory.peers)}')
        now = context.moment(at)
        request = make_request(directory, caller, dialled, peer or first_trunk(directory), _headers(headers), str(now))
        with store_of(context) as store:
            found = explain(engine, Facts(request, store), _state(store, now), now)
    if as_json:
        click.echo(json.dumps(explanation_as_json(found), ensure_ascii=False, indent=2))
    else:
        for line in as_text(found):
            click.echo(line)
    if found.broken:
        raise click.exceptions.Exit(STORE)


def _explain_past(context: Context, engine: Engine, call_id: str) -> Explanation:
    from sipacr.replay import PastStore
    from sipacr.store.records import of_customer, one

    with context.database() as database:
        report = one(database.connection, call_id)
        if report is None:
            raise Failure(f"no record of {call_id} is kept: it is no Call-ID of a call, or its record is purged")
        others = [each for each in of_customer(database.connection, report.customer) if each.uid != report.uid]
    anonymous = report.direction == "in" and not report.customer
    request = Request(report.caller, report.dialled, report.peer, anonymous, report.headers, report.call_id)
    with store_of(context) as store:
        past = PastStore(store, engine, others, report.started)
        return explain(engine, Facts(request, past), _state(store, report.started), report.started)


def _state(store: Store, now: float) -> State:
    """The moment as far as the store knows it: which agents are away."""
    from sipacr.store import Reader

    state = State()
    if isinstance(store, Reader):
        with suppress(Unavailable):  # told by the steps that ask the store
            state.miss(store.absences(), now)
    return state


@contextmanager
def store_of(context: Context) -> Iterator[Store]:
    """The store as the router reads it; before the router's first start an empty one."""
    from sipacr.store import Reader

    path = context.settings.store
    if not path.exists():
        warn(f"{path} does not exist yet (sipacr run makes it): as if nothing were known of anybody")
        yield GivenStore()
        return
    reader = Reader(path, watch=False)
    try:
        yield reader
    finally:
        reader.close()


def _headers(written: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Lower-case names and their values, from NAME:VALUE."""
    found: dict[str, tuple[str, ...]] = {}
    for text in written:
        name, colon, value = text.partition(":")
        if not colon or not name.strip():
            raise Misconfigured(f'--header "{text}": write NAME:VALUE, such as "X-Campaign: summer"')
        key = name.strip().lower()
        found[key] = (*found.get(key, ()), value.strip())
    return found


@click.group()
def schedule() -> None:
    """Look at opening times."""


@schedule.command("next")
@click.argument("names", nargs=-1)
@click.option("--at", "at", default="now", metavar="TIME", help="When: 2026-12-24T16:15, 30m (from now); default: now.")
@json_option
@click.pass_obj
def next_change(context: Context, names: tuple[str, ...], at: str, as_json: bool) -> None:
    """Tell whether schedules (all, or NAMES) are open, and when that changes."""
    schedules = working_engine(context).ruleset.schedules
    for name in names:
        if name not in schedules:
            raise Misconfigured(f'there is no schedule "{name}"{closest(name, schedules)}')
    now = context.moment(at)
    told: list[dict[str, Any]] = []
    for name in names or schedules:
        change = schedules[name].next_change(now)
        told.append(
            {
                "schedule": name,
                "open": schedules[name].is_open(now),
                "changes": None if change is None else context.show_moment(change[0]),
            }
        )
    if as_json:
        click.echo(json.dumps(told, ensure_ascii=False, indent=2))
        return
    for line in told:
        state, then = ("open", "closes") if line["open"] else ("closed", "opens")
        change_text = f"{then} {line['changes']}" if line["changes"] else "and stays so for four years"
        click.echo(f"{line['schedule']}: {state}, {change_text}")
    if not told:
        click.echo("the rules have no schedules")


@click.command()
@click.argument("kind", type=click.Choice(["rules", "settings"]), default="rules")
def schema(kind: str) -> None:
    """Print the JSON Schema of rule files, or of sipacr.yaml, for editors."""
    from sipacr.rulefile.schema import rules_schema, settings_schema

    told = rules_schema() if kind == "rules" else settings_schema()
    click.echo(json.dumps(told, ensure_ascii=False, indent=2))


COMMANDS: list[click.Command] = [check, test, explain_command, schedule, schema]
