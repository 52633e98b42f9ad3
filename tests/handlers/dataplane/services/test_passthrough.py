"""Routes that are relayed and not recorded end like those that are."""

import asyncio
from datetime import timedelta

import pytest

from tests.bridge import until
from tests.fake_upstream import CLOSE, RESET
from tests.handlers.dataplane.test_admission import refused

MODELS = "/api/v2/aibridge/openai/v1/models"
INPUT_TOKENS = "/api/v2/aibridge/openai/v1/responses/input_tokens"
JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@pytest.fixture(autouse=True)
def nothing_is_recorded(io_loop, running):
    yield
    count = running.bridge.database.interceptions.count_documents
    assert io_loop.run_sync(lambda: count({})) == 0


async def test_what_is_passed_on_goes_up_and_comes_down_unchanged_piece_by_piece(running):
    # a body goes up and its answer comes down unchanged
    running.upstream.play(JSON + b'Content-Length: 20\r\n\r\n{"input_tokens": 14}')
    body = b'{ "model":"m",\n"messages" : [] }'
    client = await running.client()
    response = await client.request("POST", f"{INPUT_TOKENS}?beta=true", running.headers, body)
    (request,) = running.upstream.requests
    assert (request.method, request.target, request.body) == ("POST", "/v1/responses/input_tokens?beta=true", body)
    assert request.header("Authorization") == ["Bearer sk-openai-provider-key"]
    assert (response.status, bytes(response.body)) == (200, b'{"input_tokens": 14}')
    await running.afresh()
    # a stream passes event by event
    gate = asyncio.Event()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    running.upstream.play(head + b"9\r\ndata: 1\n\n\r\n", gate, b"9\r\ndata: 2\n\n\r\n0\r\n\r\n")
    client = await running.client()
    path = "/api/v2/aibridge/openai/v1/responses/resp_1?stream=true"
    await client.send("GET", path, {"X-Coder-AI-Governance-Token": running.token, "X-Api-Key": "sk-own"})
    response = await client.head()
    assert await client.piece(response) == b"data: 1\n\n"
    gate.set()
    assert await client.piece(response) == b"data: 2\n\n"
    assert await client.piece(response) == b""
    assert (response.whole, response.header("Cache-Control")) == (True, "no-cache, no-transform")


async def test_a_cut_or_a_client_that_leaves_ends_what_is_passed_on(running):
    # a body that was cut never looks complete
    for end in (CLOSE, RESET):
        gate = asyncio.Event()
        running.upstream.scripts = [[JSON + b'Content-Length: 99\r\n\r\n{"data":', gate, end]]
        client = await running.client()
        await client.send("GET", MODELS, running.headers)
        response = await client.head()
        assert await client.piece(response) == b'{"data":', end
        gate.set()
        await client.rest(response)
        assert (bytes(response.body), response.whole) == (b'{"data":', False), end
    await running.afresh()
    # a client that leaves closes its upstream
    running.upstream.play(asyncio.Event())
    client = await running.client()
    await client.send("GET", MODELS, running.headers)
    request = await running.upstream.request()
    client.reset()
    await request.closed.wait()
    await until(lambda: running.bridge.lifecycle.in_flight == 0)
    assert running.bridge.overload.holding == 0


CONTROL = "/api/v2/aibridge"


async def test_who_asks_for_roots_needs_no_token(running):
    # who asks whether anybody is there needs no token
    for path in ("/anthropic", "/anthropic/", "/anthropic/api/hello", "/openai/api/hello"):
        response = await refused(running, CONTROL + path, {}, method="HEAD", body=b"")
        assert (response.status, response.header("Content-Length")) == (200, "0"), path
    assert (await refused(running, f"{CONTROL}/anthropic/api/hello", {}, method="GET", body=b"")).status == 401
    await running.afresh()
    # the right base url at the root needs no token and takes no slot
    response = await running.request("GET", "/v1/models", {})
    assert (response.status, running.bridge.overload.holding) == (404, 0)
    for path in ("/v1x", "/nowhere/v1/models", "/dashboard/v1", "/"):
        response = await running.request("GET", path, running.headers)
        assert b"base URL" not in response.body


@pytest.mark.bridge(rate_limit=2, rate_window=timedelta(hours=1))
async def test_who_is_told_something_without_a_token_is_limited_by_address(running):
    requests = [("HEAD", f"{CONTROL}/openai"), ("GET", "/v1/models")] * 2
    responses = [await running.request(method, path, {}) for method, path in requests]
    assert [response.status for response in responses] == [200, 404, 429, 429]
