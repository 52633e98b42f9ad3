"""Commands that are imported when they are called, so that none waits for what only others need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from types import MappingProxyType
from typing import Any

import click

from settings import SettingsGroup


class LazyCommand(click.Command):
    """The name and the help of a command that is not imported yet.

    Args:
        name: The name.
        module: The module that has it, by its name.
        help_: The first sentence of its help, which lists of commands show.
    """

    def __init__(self, name: str, module: str, help_: str) -> None:
        super().__init__(name, help=help_)
        self._module = module

    def load(self) -> click.Command:
        """Import it. Its module calls it by the same name."""
        command: click.Command = getattr(import_module(self._module), str(self.name))
        command.help = command.help or self.help
        return command


class LazyGroup(SettingsGroup):
    """A group that imports a command when it is called. To list its commands it needs none of them.

    Args:
        topics: The names of its commands in the order of its help, by the heading that they stand under.
        more: What click takes for a group.
    """

    def __init__(self, *, topics: Mapping[str, Sequence[str]] = MappingProxyType({}), **more: Any) -> None:
        super().__init__(**more)
        self._topics = topics

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands by topic, then its own options; the settings are in the help of a command."""
        for topic, names in self._topics.items():
            with formatter.section(topic):
                formatter.write_dl([(name, self.commands[name].help or "") for name in names])
        click.Command.format_options(self, ctx, formatter)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that is called."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command.load() if isinstance(command, LazyCommand) else command, rest
