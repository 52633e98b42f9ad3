"""The end of the server: in order, in time, at once, or killed; and the start of the next one."""

import asyncio
import json
import os
import signal
import subprocess

import pytest

from storage.mongo.embedded import running_uri
from tests.fake_upstream import FakeUpstream
from tests.handlers.conversations import MESSAGES
from tests.polling import PAUSE_SECONDS
from tests.server_process import ServerProcess, await_end, remove_sockets
from upstream.demo.scripted import chunk
from version import VERSION

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
FIRST = MESSAGES.stream[: MESSAGES.stream.index(b"\n\n") + 2]
REST = MESSAGES.stream[len(FIRST) :]
PATH = "/api/v2/aibridge/anthropic/v1/messages"


@pytest.fixture
def gate():
    """Holds back the rest of the stream."""
    return asyncio.Event()


@pytest.fixture
def upstream(io_loop, gate):
    """Sends the first event of a stream at once."""
    upstream = io_loop.run_sync(FakeUpstream().start)
    upstream.play(HEAD + chunk(FIRST), gate, chunk(REST) + b"0\r\n\r\n")
    yield upstream
    io_loop.run_sync(upstream.stop)


@pytest.fixture
def data_dir(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def start(io_loop, upstream, data_dir):
    """Start a server on the data-dir of the test; what still runs after the test is ended."""
    processes = []

    def start(*flags):
        where = ("--http-address", "127.0.0.1:0", "--data-dir", data_dir)
        processes.append(ServerProcess("serve", "--demo", *where, *flags, AIBRIDGE_ANTHROPIC_BASE_URL=upstream.url))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        io_loop.run_sync(process.leave)
    remove_sockets(data_dir)


@pytest.fixture
def token(data_dir):
    """The demo user's token, as it is kept."""
    return lambda: (data_dir / "demo-token").read_text().strip()


@pytest.fixture
def stream(token):
    """Begin a call and read its first event; the client and its response so far."""

    async def stream(server):
        server.stdout.find("interceptions")
        client = await server.client()
        await client.send("POST", PATH, {"X-Api-Key": token()}, MESSAGES.request_body(stream=True))
        response = await client.head()
        assert await client.piece(response) == FIRST
        return client, response

    return stream


@pytest.mark.gen_test(timeout=60)
async def test_sighup_does_nothing_and_on_sigterm_calls_finish_and_no_new_one_begins(
    start, stream, gate, token, data_dir
):
    server = start("--drain-timeout", "1h")
    client, response = await stream(server)
    waiting = await server.client()
    (mongod,) = server.children()
    server.send(signal.SIGHUP)
    await asyncio.to_thread(server.stderr.find, "INFO aibridge: SIGHUP has no effect on a server of one process$")
    assert server.children() == [mongod]
    server.send(signal.SIGTERM)
    server.stderr.find("INFO aibridge: draining: 1 requests in progress")
    assert await server.get("/healthz") == (200, {"status": "ok"})
    assert await server.get("/readyz") == (
        503,
        {
            "status": "draining",
            "database": "ok",
            "recording": "ok",
            "providers": "ok",
            "jobs": "ok",
            "version": VERSION,
        },
    )
    refusal = await waiting.request("POST", PATH, {"X-Api-Key": token()}, MESSAGES.request_body(stream=True))
    assert (refusal.status, refusal.header("Connection")) == (503, "close")
    assert json.loads(refusal.body)["message"] == "AI Bridge is shutting down. Please try again."
    assert await waiting.at_end() == b""
    gate.set()
    await client.rest(response)
    assert (bytes(response.body), response.whole) == (MESSAGES.stream, True)
    assert await server.ended() == 0
    await_end(mongod)
    assert running_uri(data_dir) is None
    assert [line.split(" ", 2)[2] for line in server.stderr.all().splitlines()[2:]] == [
        "INFO aibridge: SIGHUP has no effect on a server of one process",
        "INFO aibridge: draining: 1 requests in progress",
    ]


@pytest.mark.gen_test(timeout=120)
async def test_the_next_server_shows_what_broke_off_starts_mongodb_again_and_ends_if_told_twice(start, stream, token):
    server = start()
    client, response = await stream(server)
    first_token = token()
    (mongod,) = server.children()
    server.send(signal.SIGKILL)
    assert await server.ended() == -signal.SIGKILL

    successor = start()
    await_end(mongod)
    await client.rest(response)
    assert (bytes(response.body), response.whole) == (FIRST, False)
    (recorded,) = await successor.interceptions(first_token, 1)
    assert (recorded["status"], recorded["end_reason"]) == ("failed", "server_crashed")
    assert recorded["id"] == response.header("X-AI-Bridge-Interception-Id")

    await asyncio.to_thread(successor.stdout.find, f"Token of user demo, kept in .*:  {first_token}$")
    client, response = await stream(successor)
    (killed,) = successor.children()
    os.kill(killed, signal.SIGKILL)
    await asyncio.to_thread(successor.stderr.find, "the embedded MongoDB ended and is started again: it was killed")
    while killed in successor.children() or (await successor.get("/readyz"))[1]["database"] != "ok":  # noqa: ASYNC110 - another process
        await asyncio.sleep(PAUSE_SECONDS)
    (mongod,) = successor.children()
    for _ in range(3):  # one signal that several senders passed on
        successor.send(signal.SIGTERM)
    successor.stderr.find("draining")
    with pytest.raises(subprocess.TimeoutExpired):
        successor.wait(0.6)
    successor.send(signal.SIGTERM)
    assert await successor.ended() == 1
    successor.stderr.find("WARNING aibridge: second signal: exiting at once")
    await_end(mongod)
    await client.rest(response)
    assert (bytes(response.body), response.whole) == (FIRST, False)
