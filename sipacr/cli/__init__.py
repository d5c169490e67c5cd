"""The command `sipacr`: a click group that imports the module of a command only when that command is asked for."""

import click

import sipacr
from sipacr.cli.context import Context
from sipacr.platform_check import require

# In the order in which an admin meets them. The names stand here so that `sipacr vip add` need not import the SIP stack
# to find `vip`; a test compares them with the modules' own lists.
_MODULES = {
    "init": "run",
    "run": "run",
    "reload": "run",
    "status": "run",
    "calls": "calls",
    "hangup": "calls",
    "bans": "bans",
    "probe": "run",
    "certs": "run",
    "check": "rules",
    "test": "rules",
    "explain": "rules",
    "schedule": "rules",
    "schema": "rules",
    "vip": "vip",
    "list": "lists",
    "sticky": "sticky",
    "learn": "learn",
    "agent": "agent",
    "shared": "shared",
    "records": "records",
    "why": "why",
    "report": "report",
    "replay": "replay",
    "export": "privacy",
    "forget": "privacy",
    "backup": "backup",
    "regions": "regions",
    "completion": "completion",
}


def _commands(module: str) -> list[click.Command]:
    """What a module of ours offers, imported now."""
    match module:
        case "run":
            from sipacr.cli.run import COMMANDS
        case "bans":
            from sipacr.cli.bans import COMMANDS
        case "calls":
            from sipacr.cli.calls import COMMANDS
        case "rules":
            from sipacr.cli.rules import COMMANDS
        case "vip":
            from sipacr.cli.vip import COMMANDS
        case "lists":
            from sipacr.cli.lists import COMMANDS
        case "sticky":
            from sipacr.cli.sticky import COMMANDS
        case "learn":
            from sipacr.cli.learn import COMMANDS
        case "agent":
            from sipacr.cli.agent import COMMANDS
        case "shared":
            from sipacr.cli.shared import COMMANDS
        case "records":
            from sipacr.cli.records import COMMANDS
        case "why":
            from sipacr.cli.why import COMMANDS
        case "report":
            from sipacr.cli.report import COMMANDS
        case "replay":
            from sipacr.cli.replay import COMMANDS
        case "privacy":
            from sipacr.cli.privacy import COMMANDS
        case "backup":
            from sipacr.cli.backup import COMMANDS
        case "regions":
            from sipacr.cli.regions import COMMANDS
        case _:
            from sipacr.cli.completion import COMMANDS
    return COMMANDS


class LazyGroup(click.Group):
    """A group whose commands are found by name in `_MODULES`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _MODULES:
            return None
        return next(command for command in _commands(_MODULES[cmd_name]) if command.name == cmd_name)


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "-c",
    "--config",
    envvar="SIPACR_CONFIG",
    metavar="FILE",
    help="The settings; else $SIPACR_CONFIG, ./sipacr.yaml, ./sipacr/sipacr.yaml, /etc/sipacr/sipacr.yaml.",
)
@click.version_option(sipacr.__version__, prog_name="sipacr", message="%(prog)s %(version)s")
@click.pass_context
def main(ctx: click.Context, config: str | None) -> None:
    """sipacr brings a caller to the right person: a SIP router in front of any PBX.

    Exit status: 0 yes, done; 1 no (not found, a test failed); 2 usage, settings or input; 3 the store is out of reach.
    """
    require()
    ctx.obj = Context(config)
