"""A command whose database is not the running server's says so."""

from __future__ import annotations

import os

import pytest

from commands.local import servers as local_servers
from commands.local.servers import chosen_database, warning
from settings import load
from tests.command_line import invoke
from tests.server_process import ServerProcess, remove_sockets


def settings(**environ):
    return load({}, {f"AIBRIDGE_{name.upper()}": value for name, value in environ.items()})


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    monkeypatch.setattr(local_servers, "FOLDER", tmp_path / "servers")
    return tmp_path / "servers"


@pytest.fixture
def server(tmp_path):
    """A server with an embedded MongoDB, which no other test sees."""
    data_dir = tmp_path / "data"
    flags = ("--http-address", "127.0.0.1:0", "--data-dir", data_dir)
    process = ServerProcess("serve", *flags, TMPDIR=str(tmp_path))
    yield process
    process.kill()
    remove_sockets(data_dir)


@pytest.fixture
def servers(monkeypatch, tmp_path):
    """The folder where that server says that it runs."""
    monkeypatch.setattr(local_servers, "FOLDER", tmp_path / f"aibridge-servers-{os.geteuid()}")
    return local_servers.FOLDER


def test_a_command_on_another_database_than_the_servers_names_both(
    server, servers, tmp_path, mongodb_uri, database_name
):
    assert server.stdout.find("Add yourself as an owner")
    assert invoke("users", "list", "--data-dir", str(tmp_path / "data")).stderr == ""
    theirs = f"Warning: the server at http://127.0.0.1:{server.port} uses another database: the embedded one of the data-dir "
    remedy = f"To use the server's, set --data-dir {tmp_path}/data."
    assert warning(settings(data_dir=str(tmp_path / "other"))) == (
        f"{theirs}{tmp_path}/data. This command uses the embedded one of the data-dir {tmp_path}/other. {remedy}"
    )
    elsewhere = ("--mongodb-uri", mongodb_uri, "--mongodb-database", database_name)
    named = chosen_database(settings(mongodb_uri=mongodb_uri, mongodb_database=database_name))
    assert invoke("users", "list", *elsewhere).stderr == (
        f"{theirs}{tmp_path}/data. This command uses {named.text}. {remedy}\n"
    )
    server.kill()
    assert invoke("users", "list", *elsewhere).stderr == ""
    assert list(servers.iterdir()) == []
