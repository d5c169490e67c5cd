"""What a person who keeps data is told: how a number was read, and what will not work although it was written."""

import getpass
import os
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click

from sipacr.cli.context import Context, Misconfigured, warn
from sipacr.routing.facts import Number
from sipacr.store.spreadsheet import InputError, read_number


def os_user() -> str:
    """Who gives this command: with sudo the one who called it."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in some containers
        user = f"uid {os.geteuid()}"
    behind = os.environ.get("SUDO_USER")
    return f"{behind} (as {user})" if behind and behind != user else user


def by_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """--by NAME: who makes the change, for the record."""
    return click.option(
        "--by", default=os_user, metavar="NAME", help="Who makes the change, for the record; default: your user name."
    )(command)


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """--json, given to the command as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")(command)


def output_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """-o FILE, given to the command as `output`."""
    return click.option(
        "-o",
        "--output",
        metavar="FILE",
        type=click.Path(path_type=Path, dir_okay=False),
        help="The file to write; default: standard output.",
    )(command)


def read_customer(context: Context, text: str) -> Number:
    """A customer's number from the command line. Ends the command with status 2 if it is none."""
    try:
        number = read_number(text.strip(), context.plan)
    except InputError as error:
        raise Misconfigured(f"the number {error}" if not text.strip() else str(error)) from error
    return number


def as_read(context: Context, number: Number) -> str:
    """The number as it is kept, and how it was read if that was not as it was written."""
    country = context.plan.country
    if number.e164 is None:
        return f"{number.key} (kept as it is: no telephone number in {country})"
    return number.key if number.key == number.raw else f"{number.key} ({number.raw!r} as a number of {country})"


def closest(word: str, known: Iterable[str]) -> str:
    """`(did you mean "..."?)` or nothing."""
    near = get_close_matches(word, list(known), n=1)
    return f' (did you mean "{near[0]}"?)' if near else ""


def unknown_agents(context: Context, agents: Iterable[str]) -> dict[str, str]:
    """Agent -> warning, for those whom the rules do not name. Data never waits for rules: the step is skipped."""
    if context.rules is None:
        return {}
    known = context.rules.agents
    return {
        agent: f'the rules name no agent "{agent}"{closest(agent, known)}: '
        "the step is skipped until they do (agents: in the rule files)"
        for agent in dict.fromkeys(agents)
        if agent not in known
    }


def warn_of_rules(context: Context) -> None:
    """Say so if names cannot be compared with the rules because these have errors."""
    if context.rules is None:
        warn("the rules have errors, so names were not compared with them; sipacr check shows the errors")


def warn_of_agents(context: Context, *agents: str) -> None:
    """Warn of agents whom the rules do not name."""
    warn_of_rules(context)
    for message in unknown_agents(context, agents).values():
        warn(message)


def warn_of_list(context: Context, name: str) -> None:
    """Warn of a list that no rule file declares."""
    if context.rules is not None and name not in context.rules.lists:
        warn(
            f'the rules declare no list "{name}"{closest(name, context.rules.lists)}: nothing reads it until they do '
            f"(lists: {{{name}: {{}}}})"
        )


def warn_of_profile(context: Context, *names: str) -> None:
    """Warn of sticky profiles that no rule file defines."""
    if context.rules is None:
        return
    for name in dict.fromkeys(names):
        if name not in context.rules.sticky:
            warn(
                f'the rules define no sticky profile "{name}"{closest(name, context.rules.sticky)}: '
                "nothing reads it until they do (sticky: in the rule files)"
            )


def warn_of_own(context: Context, number: Number) -> None:
    """Warn of a customer who is one of our own numbers."""
    if number.key in context.settings.directory.own:
        warn(f"{number.key} is one of your own numbers (numbers.own): nobody calls from it as a customer")


def on_both_messages(found: list[tuple[str, str, str]], most: int = 20) -> list[str]:
    """Warnings of VIPs that are on a list too. `found` is what `tables.on_both` gives."""
    messages = [
        f"{customer} is a VIP and on the list {name}{'' if entry == customer else f' (entry {entry})'}: "
        "only the order of the rules decides which counts"
        for customer, name, entry in found[:most]
    ]
    return [*messages, f"... and {len(found) - most} more VIPs are on lists"] if len(found) > most else messages
