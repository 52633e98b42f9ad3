"""The command line as operators have it, without the server: run it, and read its output."""

import click
from click.testing import CliRunner

from commands.examples import examples
from commands.groups import groups
from commands.interceptions import interceptions
from commands.money.reconcile import reconcile_command
from commands.money.recosts import prices
from commands.money.spend import spend
from commands.people import people
from commands.policies import policies
from commands.providers import add_check, providers
from commands.tokens import tokens
from commands.users import users
from commands.webhooks import webhooks
from runtime.provider_table import make_managed
from settings import SettingsGroup, declared


@click.group(cls=SettingsGroup, params=[*declared()])
def main():
    pass


add_check(providers, make_managed)
for group in (examples, users, groups, people, policies, prices, spend, webhooks, tokens, providers, interceptions):
    main.add_command(group)
main.add_command(reconcile_command)


def invoke(*arguments, typed="", **environ):
    """Run a command that may read what is `typed`; `environ` is added to the environment."""
    return CliRunner().invoke(main, arguments, input=typed, env=environ, prog_name="server.py")


def succeeded(result):
    """Expect success without a word on stderr, and return what was printed."""
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout


def refused(result):
    """Expect nothing printed, and return the exit code and what is on stderr."""
    assert result.stdout == ""
    return result.exit_code, result.stderr
