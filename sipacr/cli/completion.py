"""`sipacr completion`: the lines that teach a shell to complete sipacr's commands."""

import click
from click.shell_completion import get_completion_class

_USE = {
    "bash": 'put  eval "$(sipacr completion bash)"  into ~/.bashrc',
    "zsh": 'put  eval "$(sipacr completion zsh)"  into ~/.zshrc',
    "fish": "sipacr completion fish > ~/.config/fish/completions/sipacr.fish",
}


@click.command()
@click.argument("shell", type=click.Choice(list(_USE)))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print what completes commands in bash, zsh or fish.

    Its first line says how to use it.
    """
    words = get_completion_class(shell)
    assert words is not None  # click knows all three
    click.echo(f"# To use it: {_USE[shell]}")
    click.echo(words(ctx.find_root().command, {}, "sipacr", "_SIPACR_COMPLETE").source())


COMMANDS: list[click.Command] = [completion]
