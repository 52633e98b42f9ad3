import json
import re
from datetime import datetime, timedelta

import pytest

from tests.command_line import refused, succeeded

MOMENT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
TOKEN = r"[A-Za-z0-9]{10}-[A-Za-z0-9]{22}"


@pytest.fixture(autouse=True)
def ada(output):
    output("users", "add", "ada")


def create(run, *arguments):
    result = run("tokens", "create", "ada", *arguments)
    assert result.exit_code == 0
    return result.stdout, result.stderr


def listed_in(output):
    return json.loads(output("tokens", "list", "ada", "--json"))


def test_the_token_stands_alone_on_stdout_and_what_it_is_on_stderr(run):
    token, explanation = create(run)
    assert re.fullmatch(TOKEN + "\n", token)
    assert explanation == f"Token {token[:10]} of ada, valid until revoked. It will not be shown again:\n"


def test_a_token_is_found_by_its_id_its_name_and_its_user(run, output):
    token, _ = create(run, "--name", "Laptop")
    output("groups", "add", "ci")
    service = run("tokens", "create", "groups/ci", "--name", "build").stdout[:10]

    def found(text):
        return [(one["id"], one["user"]["username"]) for one in json.loads(output("tokens", "find", text, "--json"))]

    for text in (token[:10], "lapTOP", "AD"):
        assert found(text) == [(token[:10], "ada")]
    for text in ("ci", "build"):
        assert found(text) == [(service, "groups/ci")]
    assert found("") == [(service, "groups/ci"), (token[:10], "ada")]
    assert found("nothing") == []
    refusal = "Error: give a token to `tokens lookup`, which reads it, and never on the command line\n"
    assert refused(run("tokens", "find", token.strip())) == (1, refusal)


def test_whose_a_token_is_is_said_by_the_token_on_the_standard_input(run, output):
    token, _ = create(run, "--name", "laptop")
    (found,) = json.loads(succeeded(run("tokens", "lookup", "--json", typed=token)))
    assert (found["id"], found["user"]["username"]) == (token[:10], "ada")
    message = "Error: no token of this bridge: it is unknown, or not complete\n"
    for text in ("", token[:10], token[:11] + 22 * "x"):
        assert refused(run("tokens", "lookup", typed=text)) == (1, message)


def test_a_token_is_replaced_and_works_on_for_a_while(run, output):
    old, _ = create(run, "--name", "laptop", "--expires", "90d")
    result = run("tokens", "replace", old[:10], "--overlap", "1h")
    assert re.fullmatch(TOKEN + "\n", result.stdout)
    explanation = (
        rf"Token {result.stdout[:10]} instead of {old[:10]}, valid until {MOMENT}. It will not be shown again:\n"
    )
    assert re.fullmatch(explanation, result.stderr)
    first, second = listed_in(output)
    assert (first["id"], second["id"], second["name"]) == (old[:10], result.stdout[:10], "laptop")
    created, ends, expires = (
        datetime.fromisoformat(text) for text in (second["created_at"], first["expires_at"], second["expires_at"])
    )
    assert ends - created == timedelta(hours=1)
    assert timedelta(days=90) - timedelta(minutes=1) < expires - created <= timedelta(days=90)
    output("tokens", "revoke", old[:10])
    message = f'Error: the token "{old[:10]}" is not valid any more: create another one\n'
    assert refused(run("tokens", "replace", old[:10])) == (1, message)
