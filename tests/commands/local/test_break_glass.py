import re

import pytest
from click.testing import CliRunner

from commands.local.servers import LocalServer, announced, chosen_database
from server import main
from settings import load


@pytest.fixture
def run(database, mongodb_uri, database_name):
    """Run the server's own command line on the database of the test."""
    environ = {"AIBRIDGE_MONGODB_URI": mongodb_uri, "AIBRIDGE_MONGODB_DATABASE": database_name}
    return lambda *arguments: CliRunner().invoke(main, arguments, env=environ, prog_name="server.py")


CODE = "[A-Za-z0-9]{10}-[A-Za-z0-9]{22}"


@pytest.mark.usefixtures("ada")
def test_a_link_signs_a_user_in_whatever_else_there_is(run):
    result = run("--break-glass", "ada")
    assert result.exit_code == 0
    assert re.fullmatch(f"/#/sign-in/{CODE}\n", result.stdout)
    assert result.stderr == "Put the address of the dashboard before it. It signs ada in once, within 10 minutes:\n"


@pytest.mark.usefixtures("ada")
def test_the_link_leads_to_the_server_that_runs_here(run, mongodb_uri, database_name):
    settings = load({"mongodb-uri": mongodb_uri, "mongodb-database": database_name}, {})
    with announced(LocalServer("http://127.0.0.1:4001", chosen_database(settings))):
        result = run("--break-glass", "ada")
    assert re.fullmatch(f"http://127.0.0.1:4001/#/sign-in/{CODE}\n", result.stdout)
    assert result.stderr == "It signs ada in once, within 10 minutes:\n"
