"""The range of time that commands about money are given as --from and --to."""

from __future__ import annotations

import click

from commands.command import Read
from resources.money.prices import read_day_or_time
from resources.ranges import NOT_AFTER, Problems

TIME = Read("TIME", read_day_or_time)


def refuse_range(problems: Problems) -> None:
    """Say what is wrong with --from and --to, if anything is."""
    for name, rule in problems:
        raise click.UsageError(f"--{name} {rule.replace(NOT_AFTER, 'must be after --from')}")
