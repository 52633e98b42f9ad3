import json
import re
import subprocess
import sys
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from uuid import UUID

import pytest

import commands
from storage.audit import Audit
from storage.embedded import EmbeddedMongoDB, running_uri
from tests.command_line import invoke, refused, succeeded

MOMENT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
TOKEN = r"[A-Za-z0-9]{10}-[A-Za-z0-9]{22}"


@pytest.fixture
def run(database, mongodb_uri, database_name):
    """Run a command on the database of the test."""
    return partial(invoke, CODER_AIBRIDGE_MONGODB_URI=mongodb_uri, CODER_AIBRIDGE_MONGODB_DATABASE=database_name)


@pytest.fixture
def output(run):
    """Run a command that is expected to succeed, and return what it prints."""
    return lambda *arguments: succeeded(run(*arguments))


class TestUsers:
    def test_a_user_is_added_listed_and_removed(self, output):
        assert output("users", "add", "ada") == "Added ada (member).\n"
        assert (
            output("users", "add", "grace", "--role", "auditor", "--display-name", "Grace H.")
            == "Added grace (auditor).\n"
        )
        heading, ada, grace = output("users", "list").splitlines()
        assert heading.split() == ["NAME", "ROLE", "DISPLAY", "NAME", "CREATED", "ID"]
        assert re.fullmatch(rf"ada    member   ada           {MOMENT}  [0-9a-f-]{{36}}", ada)
        assert re.fullmatch(rf"grace  auditor  Grace H\.      {MOMENT}  [0-9a-f-]{{36}}", grace)
        assert output("users", "remove", "ada") == "Removed ada and revoked their tokens.\n"
        assert [user["username"] for user in json.loads(output("users", "list", "--json"))] == ["grace"]

    def test_each_change_is_in_the_audit_trail(self, run, output, database, io_loop):
        output("users", "add", "ada", "--role", "owner")
        token = run("tokens", "create", "ada", "--name", "laptop").stdout[:10]
        output("tokens", "revoke", token)
        output("users", "remove", "ada")
        entries = io_loop.run_sync(lambda: Audit(database).page(limit=10))
        assert {entry["actor"]["username"] for entry in entries} == {"command line"}
        assert [(entry["action"], entry["subject"]["username"], entry["detail"]) for entry in entries] == [
            ("user.removed", "ada", {"revoked_tokens": 0}),
            ("token.revoked", "ada", {"token_id": token, "name": "laptop"}),
            ("token.created", "ada", {"token_id": token, "name": "laptop", "expires_at": None}),
            ("user.added", "ada", {"role": "owner", "name": "ada"}),
        ]

    def test_without_users_the_table_is_its_heading(self, output):
        assert output("users", "list") == "NAME  ROLE  DISPLAY NAME  CREATED  ID\n"
        assert output("users", "list", "--json") == "[]\n"

    def test_users_are_listed_for_programs_as_json(self, output):
        output("users", "add", "ada", "--role", "owner", "--display-name", "Ada")
        (user,) = json.loads(output("users", "list", "--json"))
        assert UUID(user.pop("id")).version == 4
        assert datetime.fromisoformat(user.pop("created_at")).utcoffset() == timedelta(0)
        assert user == {"username": "ada", "display_name": "Ada", "role": "owner"}

    def test_a_name_is_taken_once_even_before_the_first_server_prepared_the_database(
        self, run, output, database, database_name, io_loop
    ):
        io_loop.run_sync(lambda: database._client.drop_database(database_name))
        output("users", "add", "ada")
        assert refused(run("users", "add", "ada")) == (1, 'Error: a user named "ada" exists already\n')

    def test_adding_a_user_leaves_the_retention_that_the_server_decided(self, output, database, io_loop):
        io_loop.run_sync(lambda: database.prepare(retention=timedelta(days=1)))
        output("users", "add", "ada")
        indexes = io_loop.run_sync(database.interceptions.index_information)
        assert indexes["retention"]["expireAfterSeconds"] == 86400

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["remove", "nobody"], 'Error: there is no user named "nobody"\n'),
            (
                ["add", "not allowed"],
                (
                    'Error: the username "not allowed" is not allowed: '
                    "it has 1 to 32 letters and digits, with single hyphens between them\n"
                ),
            ),
        ],
    )
    def test_what_cannot_be_done_is_said_in_one_line(self, run, arguments, message):
        assert refused(run("users", *arguments)) == (1, message)

    def test_an_unknown_role_is_a_usage_error(self, run):
        code, message = refused(run("users", "add", "ada", "--role", "king"))
        assert (code, message.splitlines()[-1]) == (
            2,
            "Error: Invalid value for '--role': 'king' is not one of 'owner', 'auditor', 'member'.",
        )


class TestTokens:
    @pytest.fixture(autouse=True)
    def ada(self, output):
        output("users", "add", "ada")

    def create(self, run, *arguments):
        result = run("tokens", "create", "ada", *arguments)
        assert result.exit_code == 0
        return result.stdout, result.stderr

    def listed(self, output):
        return json.loads(output("tokens", "list", "ada", "--json"))

    def test_the_token_stands_alone_on_stdout_and_what_it_is_on_stderr(self, run):
        token, explanation = self.create(run)
        assert re.fullmatch(TOKEN + "\n", token)
        assert explanation == f"Token {token[:10]} of ada, valid until revoked. It will not be shown again:\n"

    def test_a_token_expires_as_long_after_now_as_asked(self, run, output):
        token, explanation = self.create(run, "--expires", "90d")
        assert re.fullmatch(
            f"Token {token[:10]} of ada, valid until {MOMENT}. It will not be shown again:\n", explanation
        )
        (listed,) = self.listed(output)
        created, expires = (datetime.fromisoformat(listed[name]) for name in ("created_at", "expires_at"))
        assert timedelta(days=90) - timedelta(minutes=1) < expires - created <= timedelta(days=90)

    def test_tokens_are_listed_without_their_secrets(self, run, output):
        token, _ = self.create(run, "--name", "laptop")
        (listed,) = self.listed(output)
        (user,) = json.loads(output("users", "list", "--json"))
        assert datetime.fromisoformat(listed.pop("created_at")).utcoffset() == timedelta(0)
        assert listed == {
            "id": token[:10],
            "user_id": user["id"],
            "name": "laptop",
            "expires_at": None,
            "revoked_at": None,
        }

    def test_tokens_are_listed_for_people_as_a_table(self, run, output):
        first, second = self.create(run, "--name", "laptop")[0], self.create(run, "--expires", "1d")[0]
        output("tokens", "revoke", first[:10])
        heading, *rows = output("tokens", "list", "ada").splitlines()
        assert heading == "ID          NAME    CREATED               EXPIRES               REVOKED"
        assert re.fullmatch(rf"{first[:10]}  laptop  {MOMENT}  never                 {MOMENT}", rows[0])
        assert re.fullmatch(rf"{second[:10]}          {MOMENT}  {MOMENT}", rows[1])

    def test_a_token_is_revoked_by_its_id(self, run, output):
        token, _ = self.create(run)
        assert output("tokens", "revoke", token[:10]) == f"Revoked {token[:10]}.\n"
        assert self.listed(output)[0]["revoked_at"] is not None

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["create", "nobody"], 'Error: there is no user named "nobody"\n'),
            (["list", "nobody"], 'Error: there is no user named "nobody"\n'),
            (["revoke", "x"], 'Error: there is no token with the id "x": it is the part before the hyphen\n'),
            (
                ["create", "ada", "--name", "a\nb"],
                "Error: the token's name is not allowed: it has up to 128 printable characters\n",
            ),
        ],
    )
    def test_what_cannot_be_done_is_said_in_one_line(self, run, arguments, message):
        assert refused(run("tokens", *arguments)) == (1, message)

    @pytest.mark.parametrize("duration", ["90", "0d", "-1d", "soon"])
    def test_a_duration_that_is_none_is_a_usage_error(self, run, duration):
        code, message = refused(run("tokens", "create", "ada", "--expires", duration))
        assert (code, message.splitlines()[-1]) == (
            2,
            (
                f"Error: Invalid value for '--expires': '{duration}' is not allowed; "
                "give a duration longer than 0, such as 500ms, 30s, 10m, 1h30m or 60d, up to 3650d"
            ),
        )


class TestDatabase:
    @contextmanager
    def server(self, run_apart, data_dir):
        mongodb = run_apart(EmbeddedMongoDB.start(data_dir))
        try:
            yield
        finally:
            run_apart(mongodb.stop())

    def test_without_a_server_a_mongod_runs_for_as_long_as_the_command(self, tmp_path):
        data_dir = ["--aibridge-data-dir", str(tmp_path / "my data")]
        assert invoke(*data_dir, "users", "add", "ada").output == "Added ada (member).\n"
        assert running_uri(tmp_path / "my data") is None
        listed = invoke("users", "list", "--json", *data_dir)
        assert [user["username"] for user in json.loads(listed.stdout)] == ["ada"]

    def test_while_a_server_runs_its_mongod_is_used_and_goes_on_running(self, tmp_path, run_apart):
        with self.server(run_apart, tmp_path):
            assert invoke("users", "add", "ada", "--aibridge-data-dir", str(tmp_path)).output == "Added ada (member).\n"
            assert running_uri(tmp_path) is not None

    def test_a_data_dir_that_cannot_be_used_is_said_in_one_line(self, tmp_path):
        (tmp_path / "file").touch()
        result = invoke("users", "list", "--aibridge-data-dir", str(tmp_path / "file"))
        assert refused(result) == (
            1,
            f"Error: the data-dir {tmp_path}/file cannot be used: File exists: {tmp_path}/file\n",
        )

    def test_a_database_that_is_away_is_said_in_one_line_without_its_password(self):
        uri = "mongodb://ada:s3cret@127.0.0.1:1/?serverSelectionTimeoutMS=100"
        code, message = refused(invoke("users", "list", "--aibridge-mongodb-uri", uri))
        assert code == 1
        assert re.fullmatch(r"Error: MongoDB is unavailable: .*127\.0\.0\.1:1.*\n", message)
        assert "s3cret" not in message

    def test_a_bad_setting_ends_with_2_before_anything_is_opened(self, tmp_path):
        result = invoke("--aibridge-data-dir", str(tmp_path / "new"), "--aibridge-rate-limit", "x", "users", "list")
        assert refused(result) == (
            2,
            "Error: --aibridge-rate-limit: 'x' is not allowed; give a whole number, 0 (off) or more\n",
        )
        assert not (tmp_path / "new").exists()

    def test_two_programs_adding_one_name_at_once_add_it_once(self, mongodb_uri, database_name, database):
        script = "import commands, sys; commands.users(sys.argv[1:])"
        flags = ["--aibridge-mongodb-uri", mongodb_uri, "--aibridge-mongodb-database", database_name]
        programs = [
            subprocess.Popen(
                [sys.executable, "-c", script, "add", "ada", *flags],
                cwd=Path(commands.__file__).parent,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for _ in range(2)
        ]
        outputs = sorted(program.communicate(timeout=60) for program in programs)
        assert outputs == [("", 'Error: a user named "ada" exists already\n'), ("Added ada (member).\n", "")]
        assert sorted(program.returncode for program in programs) == [0, 1]
