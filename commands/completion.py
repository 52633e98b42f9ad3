"""`completion`: what a shell needs to complete commands and flags."""

from __future__ import annotations

import click
from click.shell_completion import BashComplete, FishComplete, ZshComplete

SHELLS = {one.name: one for one in (BashComplete, ZshComplete, FishComplete)}


@click.command("completion")
@click.argument("shell", type=click.Choice(list(SHELLS)))
def completion(shell: str) -> None:
    """Print what completes commands and flags in a shell.

    In the start file of bash or zsh: eval "$(aibridge completion bash)". Of fish: aibridge completion fish | source
    """
    root = click.get_current_context().find_root()
    name = str(root.info_name)
    # The name is that by which click knows in a later call that a shell asks.
    variable = f"_{name}_COMPLETE".replace("-", "_").replace(".", "_").upper()
    click.echo(SHELLS[shell](root.command, {}, name, variable).source())
