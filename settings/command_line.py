"""The settings of commands: flags that may stand before or after a sub-command, and their help by topic."""

from __future__ import annotations

import os

import click

from settings.declarations import Settings
from settings.loading import load, unknown_variables
from settings.setting import FLAGS, Setting

_WARNED = "aibridge.warned"


class SettingsCommand(click.Command):
    """A command whose help lists its settings by topic, each with its environment variable and default."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the settings, then whatever else the command takes."""
        settings = [param for param in self.params if isinstance(param, Setting)]
        for topic in dict.fromkeys(setting.topic for setting in settings):
            with formatter.section(topic):
                records = [setting.help_record(ctx) for setting in settings if setting.topic == topic]
                # So narrow a first column gives each explanation lines of its own, wide enough for the longest variable.
                formatter.write_dl(records, col_max=4)
        super().format_options(ctx, formatter)


class SettingsGroup(SettingsCommand, click.Group):
    """A group of commands that takes settings before its sub-command."""


def flags_of(context: click.Context) -> dict[str, str]:
    """The flags of the running command line, wherever they stood: names of settings, and the text given."""
    return dict(context.meta.get(FLAGS, {}))


def settings_of(context: click.Context) -> Settings:
    """The settings of the running command line: its flags, wherever they stood, and the environment.

    Unknown variables are warned of on stderr, once.

    Raises:
        SettingError: Click shows its line and exits with 2.
    """
    if not context.meta.get(_WARNED):
        context.meta[_WARNED] = True
        for warning in unknown_variables(os.environ):
            click.echo(f"Warning: {warning}", err=True)
    return load(flags_of(context), os.environ)
