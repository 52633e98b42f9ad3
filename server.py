#!/usr/bin/env python3
"""AI Bridge: the command line. Each command is imported when it is called; without one, it serves."""

from __future__ import annotations

from runtime import preflight  # noqa: F401 - before what it looks for

# isort: split

import sys
from importlib import import_module

import click

from installation import COMMAND, IS_INSTALLED, version_and_commit
from runtime.command_line.lazy import LazyCommand, LazyGroup
from runtime.isolated import UNVERIFIED
from settings import declared, flags_of, settings_of

TOPICS = {
    "Run": {
        "serve": ("runtime.processes.serving", "Serve until SIGTERM or SIGINT; a second one exits at once."),
        "demo": (
            "commands.upkeep",
            "Fill in a company to look around in, in a database of its own, and remove it again.",
        ),
        "health": ("commands.servers", "Check that each server of this account on this machine answers."),
        "verify": ("verify.command", "Check that the bridge at URL keeps what it promises."),
        "attest": (
            "commands.attest",
            "Say what is installed: version, commit, each package and whether it is the pinned one.",
        ),
        "completion": ("commands.completion", "Print what completes commands and flags in a shell."),
        "recount": (
            "commands.upkeep",
            "Make totals, sessions and the search again from the records, from a day until now.",
        ),
    },
    "Who may do what": {
        "users": ("commands.operations", "Add, change, list and remove users."),
        "groups": ("commands.operations", "Add, list and remove groups of users and their members."),
        "tokens": ("commands.operations", "Create, find, replace and revoke tokens."),
        "policies": ("commands.operations", "Show and set policies: which models users may call, and how much."),
        "limits": ("commands.operations", "Show limits and what is used of them, of a running server."),
        "login": (
            "commands.login",
            "Sign in to the AI Bridge at URL, in a browser, and keep a token of yours for AI clients.",
        ),
        "apply": (
            "runtime.command_line.providers",
            "Make users, groups, policies and providers as a file says, so that they can live in version control.",
        ),
        "desk": ("commands.operations", "Make the files that manage Codex, GitHub Copilot and Gemini CLI."),
        "audit": ("commands.operations", "Show the audit trail."),
    },
    "Providers and money": {
        "providers": ("runtime.command_line.providers", "List, add, change and check the providers in the database."),
        "budgets": ("commands.operations", "List budgets with what is spent of them, of a running server."),
        "prices": ("commands.operations", "Show and set own prices, which come before list prices."),
        "spend": ("commands.terminal", "Show what calls of the last 30 days cost; or write it to a file."),
        "webhooks": ("commands.operations", "Manage webhooks that receive alerts."),
    },
    "For yourself, at the bridge that you signed in to": {
        "run": ("commands.launch", "Start an agent that calls the bridge, and say afterwards what that cost."),
        "usage": ("commands.terminal", "Show what you used, your limits and what is left of them."),
        "calls": ("commands.terminal", "List your calls, newest first, and follow them."),
        "why": ("commands.terminal", "Say what became of the request with this ID, and why it was refused."),
    },
    "What was called": {
        "interceptions": ("commands.operations", "List and export recorded calls."),
        "sessions": ("commands.terminal", "List sessions, which are calls that belong together."),
        "errors": ("commands.operations", "List errors of calls, grouped."),
        "refusals": ("commands.operations", "List refused requests."),
        "stats": ("commands.operations", "Show statistics of calls."),
        "clients": ("commands.operations", "List the clients that called."),
        "models": ("commands.operations", "List the models that were called."),
        "tags": ("commands.operations", "List the tags of calls."),
        "views": ("commands.operations", "Save views of the dashboard, list and change them."),
    },
}
"""The commands in the order of the help: the module of each, and the first sentence of its help."""

COMMANDS = {name: one for commands in TOPICS.values() for name, one in commands.items()}
EPILOG = f"""\b
Examples:
  {COMMAND} serve --demo              serve, with a demo provider if none has a key
  {COMMAND} users add ada             add a user to the database of that server
  {COMMAND} providers list --help     show what a command takes

Settings are flags of each command, and AIBRIDGE_* variables: `{COMMAND} serve --help` lists them.
"""


def _show_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        click.echo(f"AI Bridge {version_and_commit()}")
        context.exit()


@click.group(
    cls=LazyGroup,
    params=[*declared()],
    commands=[LazyCommand(name, *one) for name, one in COMMANDS.items()],
    topics={topic: list(commands) for topic, commands in TOPICS.items()},
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EPILOG,
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Print version and commit.",
)
@click.option(UNVERIFIED, is_flag=True, expose_value=False, help="Do not compare installed packages with their RECORD.")
@click.option("--break-glass", metavar="NAME", help="Print a link that signs the user NAME in once, and exit.")
@click.pass_context
def main(context: click.Context, /, break_glass: str | None) -> None:
    """AI Bridge: a gateway between AI clients and AI providers that records every call.

    Without a command it serves. Installed and without a MongoDB of its own, it does so as `serve --demo`.
    """
    if break_glass is not None:
        if context.invoked_subcommand is not None:
            raise click.UsageError("--break-glass takes no command")
        import_module("commands.upkeep").break_glass(break_glass)
    elif context.invoked_subcommand is None:
        settings = settings_of(context)
        demo = IS_INSTALLED and not settings.mongodb_uri
        import_module("runtime.processes.serving").run(settings, flags_of(context), demo=demo)


if __name__ == "__main__":
    sys.exit(main())
