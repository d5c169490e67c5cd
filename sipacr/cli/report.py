"""`sipacr report`: what the records prove."""

import json
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import click

from sipacr.cli.checks import closest, json_option
from sipacr.cli.context import Context, Failure, Misconfigured
from sipacr.cli.records import span, span_options
from sipacr.cli.showing import table, write_csv
from sipacr.memory.evidence import Contact, contacts, totals
from sipacr.memory.learner import Learner
from sipacr.memory.told import moment, talk_seconds
from sipacr.routing.ruleset import Ruleset
from sipacr.store.records import by_customer, read_many

_COLUMNS = (
    "profile", "agent", "customer", "contact", "outcome", "talk", "bound_until", "ended_because", "return_call",
    "got_by", "return_talk", "why_not", "contact_uid", "return_uid",
)  # fmt: skip


@click.group()
def report() -> None:
    """Evidence from the call records."""


@report.command()
@span_options
@click.option("--agent", metavar="NAME", help="Only the contacts of this agent.")
@click.option(
    "--profile", "named", metavar="NAME", help="By this sticky profile; default: all that learn from outgoing calls."
)
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV: a line for each contact and each of its return calls.")
@json_option
@click.pass_obj
def callbacks(
    context: Context, since: str, until: str, agent: str | None, named: str | None, as_csv: bool, as_json: bool
) -> None:
    """Who called whom, until when that bound the customer, and where his return calls went.

    Each outgoing contact of the time, by the profiles as they are now; the return calls up to --until. Where the bound
    agent did not talk with the customer, it says why not. Without --csv and --json: the totals by agent. Status 1 if
    there are no contacts.
    """  # fmt: skip
    if context.rules is None:
        raise Misconfigured("the rules have errors, and profiles stand in them; sipacr check shows the errors")
    ends = span(context, since, until)
    found: dict[str, list[Contact]] = {name: [] for name in _profiles(context.rules, named)}
    learners = {name: Learner(context.rules.sticky[name], context.rules.groups) for name in found}
    with context.database() as database:
        read_many(database.connection)
        for reports in by_customer(database.connection, *ends):
            for name, learner in learners.items():
                found[name] += (
                    contact
                    for contact in contacts(learner, reports)
                    if contact.report.started >= ends[0] and agent in (None, contact.agent)
                )
        database.connection.execute("ROLLBACK")
    if not any(found.values()):
        whose = f" of {agent}" if agent else ""
        raise Failure(f"no contacts{whose} from {context.show_moment(ends[0])} to {context.show_moment(ends[1])}")
    if as_csv:
        write_csv(sys.stdout, _COLUMNS, _lines(found))
    elif as_json:
        click.echo(json.dumps(_told(found), ensure_ascii=False, indent=2))
    else:
        rows = [{"profile": name, **line._asdict()} for name in found for line in totals(found[name])]
        table(context, rows, False, "")


def _profiles(rules: Ruleset, named: str | None) -> list[str]:
    if named is not None:
        if named not in rules.sticky:
            raise Misconfigured(f'the rules define no sticky profile "{named}"{closest(named, rules.sticky)}')
        return [named]
    learning = [
        name for name, profile in rules.sticky.items() if any(event.startswith("out_") for event in profile.create)
    ]
    if not learning:
        raise Misconfigured("no sticky profile of the rules learns from outgoing calls (create: out_attempt ...)")
    return learning


def _until(contact: Contact) -> str | None:
    if not contact.bound:
        return "not bound"
    if contact.until is None:
        return "the call goes on"
    last = datetime(9999, 1, 1, tzinfo=UTC).timestamp()
    return moment(contact.until) if contact.until < last else "for ever"


def _lines(found: Mapping[str, list[Contact]]) -> Iterator[list[object]]:
    for profile, theirs in found.items():
        for contact in theirs:
            head = [
                profile, contact.agent, contact.report.customer, moment(contact.report.started), contact.report.outcome,
                talk_seconds(contact.report), _until(contact), contact.ended,
            ]  # fmt: skip
            for each in contact.returns:
                back = each.report
                yield [
                    *head, moment(back.started), ", ".join(each.got_by), talk_seconds(back), each.why_not,
                    contact.report.uid, back.uid,
                ]  # fmt: skip
            if not contact.returns:
                yield [*head, None, None, None, None, contact.report.uid, None]


def _told(found: Mapping[str, list[Contact]]) -> dict[str, object]:
    return {
        "totals": [{"profile": name, **line._asdict()} for name, theirs in found.items() for line in totals(theirs)],
        "contacts": [_contact(name, contact) for name, theirs in found.items() for contact in theirs],
    }


def _contact(profile: str, contact: Contact) -> dict[str, object]:
    return {
        "profile": profile,
        "agent": contact.agent,
        "customer": contact.report.customer,
        "at": moment(contact.report.started),
        "outcome": contact.report.outcome,
        "talk": talk_seconds(contact.report),
        "bound_until": _until(contact),
        "ended_because": contact.ended,
        "uid": contact.report.uid,
        "returns": [
            {
                "at": moment(each.report.started),
                "got_by": list(each.got_by),
                "talk": talk_seconds(each.report),
                "why_not": each.why_not,
                "uid": each.report.uid,
            }
            for each in contact.returns
        ],
    }


COMMANDS: list[click.Command] = [report]
