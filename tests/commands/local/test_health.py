"""The health check of a container; that of a server with TLS is in `tests/server/test_server_tls.py`."""

from __future__ import annotations

import socket
import threading
from contextlib import closing

import pytest

from commands.local import health
from commands.local.servers import LocalServer, announced, chosen_database
from settings import load
from tests.command_line import invoke, refused


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


def test_a_server_that_answers_is_well_and_one_that_does_not_is_not(listening, monkeypatch):
    port = listening.getsockname()[1]
    monkeypatch.setattr(health, "SECONDS", 0.1)
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
