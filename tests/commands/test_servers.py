"""A command on another database than the running server's says so, and `health` asks the servers.

The health of a server with TLS is in `tests/server/test_server_tls.py`.
"""

import os
import socket
import subprocess
import sys
import threading
from contextlib import closing

import pytest

from commands import servers as local_servers
from commands.servers import LocalServer, announced, chosen_database, warning
from settings import load
from tests.command_line import invoke, refused
from tests.server_process import ROOT


def settings(**environ):
    return load({}, {f"AIBRIDGE_{name.upper()}": value for name, value in environ.items()})


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    monkeypatch.setattr(local_servers, "FOLDER", tmp_path / "servers")
    return tmp_path / "servers"


def test_a_command_on_another_database_than_the_servers_names_both(tmp_path, folder, mongodb_uri, database_name):
    data, other = tmp_path / "data", tmp_path / "other"
    elsewhere = ("--mongodb-uri", mongodb_uri, "--mongodb-database", database_name)
    theirs = "Warning: the server at http://127.0.0.1:4001 uses another database: the embedded one of the data-dir "
    remedy = f"To use the server's, set --data-dir {data}."
    with announced(LocalServer("http://127.0.0.1:4001", chosen_database(settings(data_dir=str(data))))):
        assert warning(settings(data_dir=str(data))) == ""
        assert warning(settings(data_dir=str(other))) == (
            f"{theirs}{data}. This command uses the embedded one of the data-dir {other}. {remedy}"
        )
        named = chosen_database(settings(mongodb_uri=mongodb_uri, mongodb_database=database_name))
        said = f"{theirs}{data}. This command uses {named.text}. {remedy}\n"
        assert invoke("users", "list", *elsewhere).stderr == said
    assert invoke("users", "list", *elsewhere).stderr == ""
    assert list(folder.iterdir()) == []


def announce(port):
    return announced(LocalServer(f"http://127.0.0.1:{port}", chosen_database(load({}, {}))))


@pytest.fixture
def listening():
    with closing(socket.create_server(("127.0.0.1", 0))) as one:
        yield one


def answer(listening, response):
    connection, _ = listening.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(response)


def test_without_a_server_it_is_not_well():
    assert refused(invoke("health")) == (1, "Error: no server of this account runs on this machine\n")


KILLED = """
import os
from commands.servers import LocalServer, announced, chosen_database
from settings import load
with announced(LocalServer("http://127.0.0.1:4001", chosen_database(load({}, {})))):
    os.kill(os.getpid(), 9)
"""


def test_a_server_that_was_killed_is_forgotten(monkeypatch, tmp_path):
    folder = tmp_path / f"aibridge-servers-{os.geteuid()}"
    monkeypatch.setattr(local_servers, "FOLDER", folder)
    subprocess.run([sys.executable, "-c", KILLED], check=False, cwd=ROOT, env=os.environ | {"TMPDIR": str(tmp_path)})
    assert len(list(folder.iterdir())) == 1
    assert refused(invoke("health"))[0] == 1
    assert list(folder.iterdir()) == []


def test_a_server_that_answers_is_well_and_one_that_does_not_is_not(listening, monkeypatch):
    port = listening.getsockname()[1]
    monkeypatch.setattr(local_servers, "SECONDS", 0.1)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with announce(port):
        for response, expected in (
            (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", (0, f"http://127.0.0.1:{port} answers.\n")),
            (
                b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n",
                (1, f"Error: http://127.0.0.1:{port} answers with 503\n"),
            ),
        ):
            thread = threading.Thread(target=answer, args=(listening, response))
            thread.start()
            result = invoke("health")
            thread.join()
            assert (result.exit_code, result.output) == expected
        hangs = refused(invoke("health"))
        listening.close()
        gone = refused(invoke("health"))
    assert hangs == (1, f"Error: http://127.0.0.1:{port} does not answer: timed out\n")
    assert gone == (1, f"Error: http://127.0.0.1:{port} does not answer: [Errno 111] Connection refused\n")
