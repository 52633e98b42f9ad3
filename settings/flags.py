"""The settings on the command line: flags that may stand before or after a sub-command, and their help."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import click

from settings.declarations import Settings, declared
from settings.loading import load, unknown_variables
from settings.setting import Setting

_FLAGS = "aibridge.flags"


class _SettingOption(click.Option):
    """A flag that is remembered for the whole command line, so that it may stand before or after a sub-command."""

    def __init__(self, param_decls: Sequence[str], setting: Setting) -> None:
        super().__init__(param_decls, expose_value=False, hidden=True, callback=self._remember)
        self.setting = setting

    def _remember(self, context: click.Context, _: click.Parameter, value: str | None) -> None:
        if value is not None:
            context.meta.setdefault(_FLAGS, {})[self.setting.name] = value


class SettingsCommand(click.Command):
    """A command whose help lists its settings by topic, each with its environment variable and default."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the settings, then whatever else the command takes."""
        topics = {option.setting.topic: None for option in self.params if isinstance(option, _SettingOption)}
        for topic in topics:
            with formatter.section(topic):
                entries = [_help_entry(setting) for setting in declared() if setting.topic == topic]
                # So narrow a first column gives each explanation lines of its own, wide enough for the longest variable.
                formatter.write_dl(entries, col_max=4)
        super().format_options(ctx, formatter)


class SettingsGroup(SettingsCommand, click.Group):
    """A group of commands that takes settings before its sub-command."""


def _help_entry(setting: Setting) -> tuple[str, str]:
    origin = setting.env if setting.flag else "environment only"
    file = " or .._FILE" if setting.secret else ""
    default = f"; default {setting.default}" if setting.default else ""
    return f"{setting.flag or setting.env} {setting.kind.metavar}", f"{setting.help} [{origin}{file}{default}]"


def settings_options(*topics: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command the flags of these topics, of all if none is named. Its `cls` should be a `SettingsCommand`."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for setting in reversed(declared()):
            if setting.flag and (not topics or setting.topic in topics):
                command = click.option(setting.flag, cls=_SettingOption, setting=setting)(command)
        return command

    return decorate


def flags_of(context: click.Context) -> dict[str, str]:
    """The flags of the running command line, wherever they stood: names of settings, and the text given."""
    return dict(context.meta.get(_FLAGS, {}))


def settings_of(context: click.Context) -> Settings:
    """The settings of the running command line: its flags, wherever they stood, and the environment.

    Unknown variables are warned of on stderr.

    Raises:
        SettingError: Click shows its line and exits with 2.
    """
    for warning in unknown_variables(os.environ):
        click.echo(f"Warning: {warning}", err=True)
    return load(flags_of(context), os.environ)
