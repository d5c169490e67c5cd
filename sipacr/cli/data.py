"""The commands of those who keep data: vip, list, sticky, shared."""

import click

from sipacr.cli.lists import list_
from sipacr.cli.shared import shared
from sipacr.cli.sticky import sticky
from sipacr.cli.vip import vip

COMMANDS: list[click.Command] = [vip, list_, sticky, shared]
