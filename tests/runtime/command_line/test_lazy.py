"""Commands that are imported when they are called."""

import json
import re
import subprocess
import sys

import click
from click.testing import CliRunner

from server import COMMANDS, main
from tests.cases import for_each
from tests.server_process import ROOT, ServerProcess
from version import VERSION

IMPORTED = """
import json, sys

def imported():
    return sorted(name for name in sys.modules if name.startswith("commands.") or name in ("motor", "tornado"))

import server
before = imported()
server.main.resolve_command(None, ["serve"])
print(json.dumps([before, imported()]))
"""


@for_each("name", *COMMANDS)
def test_the_list_of_commands_says_what_each_says_itself(name):
    context = click.Context(main)
    _, command, _ = main.resolve_command(context, [name])
    listed = main.get_command(context, name)
    assert (command.name, command.get_short_help_str(1000)) == (name, listed.get_short_help_str(1000))


def test_a_command_imports_no_other_one_and_the_help_none():
    printed = subprocess.run([sys.executable, "-c", IMPORTED], cwd=ROOT, capture_output=True, check=True).stdout
    assert json.loads(printed) == [
        [],
        ["commands.output", "commands.servers", "motor", "tornado"],
    ]


def test_the_version_is_printed():
    printed = rf"AI Bridge {re.escape(VERSION)}( \([0-9a-f]{{40}}\))?\n"
    assert re.fullmatch(printed, ServerProcess("--version").succeeded())


def test_the_help_lists_each_command_once_under_a_topic_and_no_setting():
    result = CliRunner().invoke(main, ["--help"])
    listed = re.findall(r"^  ([a-z]+)  +[A-Z]", result.output, re.MULTILINE)
    assert listed == list(COMMANDS)
    assert "--http-address" not in result.output
