import json
import re
from contextlib import contextmanager

import pytest

from storage.mongo.embedded import EmbeddedMongoDB, running_uri
from tests.command_line import invoke, refused


@contextmanager
def server(run_apart, data_dir):
    mongodb = run_apart(EmbeddedMongoDB.start(data_dir))
    try:
        yield
    finally:
        run_apart(mongodb.stop())


def test_a_mongod_runs_for_as_long_as_the_command_or_the_server_that_has_one(tmp_path, run_apart):
    data_dir = tmp_path / "my data"
    flags = ["--data-dir", str(data_dir)]
    assert "ada" in invoke(*flags, "users", "add", "ada").stdout
    assert running_uri(data_dir) is None
    with server(run_apart, data_dir):
        assert "grace" in invoke("users", "add", "grace", *flags).stdout
        assert running_uri(data_dir) is not None
        listed = invoke("users", "list", "-o", "json", *flags)
    assert [user["username"] for user in json.loads(listed.stdout)["results"]] == ["ada", "grace"]


def test_a_data_dir_that_cannot_be_used_is_said_in_one_line(tmp_path):
    (tmp_path / "file").touch()
    result = invoke("users", "list", "--data-dir", str(tmp_path / "file"))
    assert refused(result) == (
        1,
        f"Error: the data-dir {tmp_path}/file cannot be used: File exists: {tmp_path}/file\n",
    )


@pytest.mark.usefixtures("impatient")
def test_a_database_that_is_unavailable_is_said_in_one_line_without_its_password():
    uri = "mongodb://ada:s3cret@127.0.0.1:1/?serverSelectionTimeoutMS=100"
    code, message = refused(invoke("users", "list", "--mongodb-uri", uri))
    assert code == 1
    assert re.fullmatch(r"Error: MongoDB is unavailable: .*127\.0\.0\.1:1.*\n", message)
    assert "s3cret" not in message
