"""`sipacr bans`: the addresses that are banned because they asked too often without being a peer's."""

import json
import time
from ipaddress import ip_address

import click

from sipacr.cli.checks import json_option
from sipacr.cli.context import Context, Failure, Misconfigured, read_moment

_NFT = """\
add table inet sipacr
add set inet sipacr banned4 { type ipv4_addr; flags timeout; }
add set inet sipacr banned6 { type ipv6_addr; flags timeout; }
flush set inet sipacr banned4
flush set inet sipacr banned6"""


@click.group()
def bans() -> None:
    """Show and change which addresses are banned.

    A banned address gets no answer. An address of a peer is never banned.
    """


@bans.command("list")
@click.option("--nft", is_flag=True, help="Print commands for nft -f, which make two sets of them.")
@json_option
@click.pass_obj
def list_(context: Context, nft: bool, as_json: bool) -> None:
    """Show all banned addresses, until when, and why."""
    now = time.time()
    found = context.ask("bans").get("rows", [])
    if nft:
        click.echo(_NFT)
        for ban in found:
            kind = ip_address(ban["address"]).version
            seconds = max(1, round(ban["until"] - now))
            click.echo(f"add element inet sipacr banned{kind} {{ {ban['address']} timeout {seconds}s }}")
    elif as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        for ban in found:
            click.echo(f"{ban['address']:<39} until {context.show_moment(ban['until'])}  {ban['why']}")
        click.echo(f"{len(found)} banned")


def _read(address: str) -> str:
    try:
        return str(ip_address(address))
    except ValueError:
        raise Misconfigured(f"{address!r} is no IP address") from None


@bans.command()
@click.argument("address")
@click.option("--for", "time_", default="1h", show_default=True, metavar="TIME", help="How long: 30m, 24h, 7d.")
@click.pass_obj
def add(context: Context, address: str, time_: str) -> None:
    """Ban ADDRESS (status 1 if it is a peer's)."""
    now = time.time()
    seconds = read_moment(time_, context.zone, now) - now
    if seconds <= 0:
        raise click.BadParameter(f"{time_!r} is over already")
    read = _read(address)
    if not context.ask(f"ban {read} {seconds:.0f}")["ok"]:
        raise Failure(f"{read} is an address of a peer: those are never banned")
    click.echo(f"{read} is banned for {seconds:.0f} s")


@bans.command()
@click.argument("address")
@click.pass_obj
def remove(context: Context, address: str) -> None:
    """Ban ADDRESS no more (status 1 if it was not banned)."""
    read = _read(address)
    if not context.ask(f"unban {read}")["ok"]:
        raise Failure(f"{read} is not banned")
    click.echo(f"{read} is no longer banned")


COMMANDS: list[click.Command] = [bans]
