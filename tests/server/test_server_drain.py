"""A server that stops with many open streams: those that end in time are whole, the others get the reason."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections import Counter
from datetime import UTC, datetime
from uuid import UUID

import pytest
from msgspec.json import decode

from storage.accounts.identities import Identities, Role
from tests.fake_upstream import FakeUpstream
from tests.handlers.conversations import MESSAGES
from tests.server_process import ServerProcess

STREAMS = 20
PATH = "/api/v2/aibridge/anthropic/v1/messages"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
FIRST = MESSAGES.stream[: MESSAGES.stream.index(b"\n\n") + 2]
REST = MESSAGES.stream[len(FIRST) :]
SHUTTING_DOWN = "AI Bridge is shutting down. Please try again."


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


class Upstream(FakeUpstream):
    """Sends the first event of a stream at once, and the rest of those that are to end when `gate` is set."""

    def __init__(self):
        super().__init__()
        self.gate = asyncio.Event()

    async def received(self, request):
        if decode(request.body)["model"] == "endless":
            return HEAD + chunk(FIRST), asyncio.Event()
        return HEAD + chunk(FIRST), self.gate, chunk(REST) + b"0\r\n\r\n"


@pytest.fixture
def upstream(io_loop):
    upstream = io_loop.run_sync(Upstream.start)
    yield upstream
    io_loop.run_sync(upstream.stop)


@pytest.fixture
def token(io_loop, database):
    async def create():
        identities = Identities(database, now=lambda: datetime.now(UTC), monotonic=time.monotonic)
        await identities.add_user("ada", role=Role.MEMBER)
        return (await identities.create_token("ada"))[1]

    return io_loop.run_sync(create)


@pytest.fixture
def server(io_loop, upstream, tmp_path, mongodb_uri, database_name):
    server = ServerProcess(
        *("serve", "--aibridge-http-address", "127.0.0.1:0", "--aibridge-data-dir", tmp_path),
        *("--aibridge-drain-timeout", "2s"),
        CODER_AIBRIDGE_MONGODB_URI=mongodb_uri,
        CODER_AIBRIDGE_MONGODB_DATABASE=database_name,
        CODER_AIBRIDGE_ANTHROPIC_BASE_URL=upstream.url,
        CODER_AIBRIDGE_ANTHROPIC_KEY="sk-ant-of-this-test",
    )
    yield server
    server.kill()
    io_loop.run_sync(server.leave)


async def begin(server, token, model):
    """Begin a stream and read its first event."""
    client = await server.client()
    body = json.dumps(MESSAGES.request | {"model": model, "stream": True}).encode()
    await client.send("POST", PATH, {"X-Api-Key": token}, body)
    response = await client.head()
    assert await client.piece(response) == FIRST
    return client, response


async def refused(server, token):
    client = await server.client()
    response = await client.request("POST", PATH, {"X-Api-Key": token}, MESSAGES.request_body(stream=True))
    return response.status, response.header("Connection"), json.loads(response.body)["message"], await client.at_end()


@pytest.mark.gen_test(timeout=60)
async def test_twenty_streams_end_whole_in_time_or_are_told_why(server, upstream, token, database):
    ending = await asyncio.gather(*(begin(server, token, "ending") for _ in range(STREAMS // 2)))
    endless = await asyncio.gather(*(begin(server, token, "endless") for _ in range(STREAMS // 2)))
    server.send(signal.SIGINT)
    server.stderr.find(f"INFO aibridge: draining: {STREAMS} requests in progress$")
    assert (await server.get("/readyz"))[0] == 503
    assert await refused(server, token) == (503, "close", SHUTTING_DOWN, b"")
    upstream.gate.set()
    for client, response in ending:
        await client.rest(response)
        assert (bytes(response.body), response.whole) == (MESSAGES.stream, True)
    assert await refused(server, token) == (503, "close", SHUTTING_DOWN, b"")
    for client, response in endless:
        await client.rest(response)
        error, end = bytes(response.body).removeprefix(FIRST + b"event: error\ndata: ").split(b"\n", 1)
        assert (json.loads(error)["error"]["message"], end, response.whole) == (SHUTTING_DOWN, b"\n", False)
    assert await server.ended() == 0
    of_endless = await database.interceptions.distinct("token_usages.source", {"model": "endless"})
    assert of_endless == ["partial"]
    recorded = {document["_id"]: document async for document in database.interceptions.find()}
    for reason, streams in {"completed": ending, "server_shutdown": endless}.items():
        ids = [UUID(response.header("X-AI-Bridge-Interception-Id")) for _, response in streams]
        assert Counter(recorded.pop(id_)["end_reason"] for id_ in ids) == {reason: STREAMS // 2}
    assert recorded == {}
    assert [line.split(" ", 2)[2] for line in server.stderr.all().splitlines()[1:]] == [
        f"INFO aibridge: draining: {STREAMS} requests in progress",
        f"WARNING aibridge: drain-timeout is over: {STREAMS // 2} requests were ended",
    ]
