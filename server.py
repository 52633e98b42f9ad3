#!/usr/bin/env python3
"""AI Bridge: the command line. Each command is imported when it is called; without one, it serves."""

from __future__ import annotations

from runtime import preflight  # noqa: F401 - before what it looks for

# isort: split

import sys
from importlib import import_module

import click

from runtime.command_line.lazy import LazyCommand, LazyGroup
from settings import declared, flags_of, settings_of
from version import VERSION

COMMANDS = {
    "apply": (
        "runtime.command_line.providers",
        "Make users, groups, policies and providers as a file says, so that they can live in version control.",
    ),
    "audit": ("commands.operations", "Show the audit trail."),
    "clients": ("commands.operations", "List the clients that called."),
    "completion": ("commands.completion", "Print what completes commands and flags in a shell."),
    "demo": ("commands.upkeep", "Fill in a company to look around in, in a database of its own, and remove it again."),
    "errors": ("commands.operations", "List errors of calls, grouped."),
    "groups": ("commands.operations", "Add, list and remove groups of users and their members."),
    "health": ("commands.servers", "Check that each server of this account on this machine answers."),
    "interceptions": ("commands.operations", "List and export recorded calls."),
    "limits": ("commands.operations", "Show limits and what is used of them, of a running server."),
    "login": (
        "commands.login",
        "Sign in to the AI Bridge at URL, in a browser, and keep a token of yours for AI clients.",
    ),
    "models": ("commands.operations", "List the models that were called."),
    "policies": ("commands.operations", "Show and set policies: which models users may call, and how much."),
    "prices": ("commands.operations", "Show and set own prices, which come before list prices."),
    "providers": ("runtime.command_line.providers", "List, add, change and check the providers in the database."),
    "reconcile": ("commands.reconcile", "Compare the records with what a provider reports, by day and model."),
    "recount": (
        "commands.upkeep",
        "Make totals of days again from the records; without --to sessions and the search, too.",
    ),
    "refusals": ("commands.operations", "List refused requests."),
    "serve": ("runtime.processes.serving", "Serve until SIGTERM or SIGINT; a second one exits at once."),
    "sessions": ("commands.operations", "List sessions, which are calls that belong together."),
    "spend": ("commands.operations", "Write what calls cost."),
    "stats": ("commands.operations", "Show statistics of calls."),
    "tags": ("commands.operations", "List the tags of calls."),
    "tokens": ("commands.operations", "Create, find, replace and revoke tokens."),
    "users": ("commands.operations", "Add, change, list and remove users."),
    "verify": ("verify.command", "Check that the bridge at URL keeps what it promises."),
    "views": ("commands.operations", "Save views of the dashboard, list and change them."),
    "webhooks": ("commands.operations", "Manage webhooks that receive alerts."),
}
"""The module of each, and the first sentence of its help."""


@click.group(
    cls=LazyGroup,
    params=[*declared()],
    commands=[LazyCommand(name, *one) for name, one in COMMANDS.items()],
    invoke_without_command=True,
)
@click.version_option(VERSION, message="AI Bridge %(version)s")
@click.option("--break-glass", metavar="NAME", help="Print a link that signs the user NAME in once, and exit.")
@click.pass_context
def main(context: click.Context, /, break_glass: str | None) -> None:
    """AI Bridge: a gateway between AI clients and AI providers that records every call.

    Without a command it serves.
    """
    if break_glass is not None:
        if context.invoked_subcommand is not None:
            raise click.UsageError("--break-glass takes no command")
        import_module("commands.upkeep").break_glass(break_glass)
    elif context.invoked_subcommand is None:
        import_module("runtime.processes.serving").run(settings_of(context), flags_of(context), demo=False)


if __name__ == "__main__":
    sys.exit(main())
