"""What clients send, and how: bodies of every size and framing, and heads that nobody should send."""

from __future__ import annotations

import json
import tracemalloc

import pytest

from tests.handlers.conversations import CHAT, MESSAGES

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
MIB = 1024 * 1024


def head(running, *lines, path=None, token=None):
    start = f"POST {path or running.path(CHAT)} HTTP/1.1"
    return "\r\n".join([start, "Host: b", f"X-Api-Key: {token or running.token}", *lines, "", ""]).encode()


async def still_serves(running, calls=1):
    """Expect a call on a new connection to be answered, and such calls to be the only ones that are recorded."""
    running.upstream.scripts = [[OK]]
    client = await running.client()
    response = await client.request("POST", running.path(CHAT), running.headers, CHAT.request_body(stream=False))
    assert response.status == 200
    await running.ended(calls)
    assert len(running.upstream.requests) == calls
    assert running.bridge.lifecycle.in_flight == 0


@pytest.mark.bridge(max_body_bytes=2 * MIB)
@pytest.mark.gen_test
async def test_a_body_of_exactly_the_limit_is_relayed_and_one_byte_more_is_not(running):
    body = b'{"model":"m","messages":"'.ljust(2 * MIB - 2, b"x") + b'"}'
    running.upstream.play(OK)
    client = await running.client()
    response = await client.request("POST", running.path(CHAT), running.headers, body)
    assert response.status == 200
    assert running.upstream.requests[0].body == body
    response = await client.request("POST", running.path(CHAT), running.headers, body + b" ")
    assert response.status == 413
    await running.ended(1)


@pytest.mark.gen_test
async def test_bodies_in_chunks_or_after_a_100_are_relayed(running):
    # a chunked request body is relayed whole
    running.upstream.play(OK)
    body = MESSAGES.request_body(stream=False)
    sizes = (1, 7, 10**6)
    for size in sizes:
        pieces = [body[start : start + size] for start in range(0, len(body), size)]
        client = await running.client()
        await client.send_raw(head(running, "Transfer-Encoding: chunked", path=running.path(MESSAGES)))
        for piece in pieces:
            await client.send_raw(b"%x\r\n%s\r\n" % (len(piece), piece))
        await client.send_raw(b"0\r\n\r\n")
        assert (await client.head()).status == 200, size
        request = running.upstream.requests[-1]
        assert (request.body, request.header("Transfer-Encoding")) == (body, []), size
        assert request.header("Content-Length") == [str(len(body))], size
    await running.ended(len(sizes))
    await running.afresh()
    # a client that waits for 100 continue is told to go on
    running.upstream.play(OK)
    body = CHAT.request_body(stream=False)
    client = await running.client()
    await client.send_raw(head(running, "Expect: 100-continue", f"Content-Length: {len(body)}"))
    assert (await client.head()).status == 100
    assert running.upstream.requests == []
    await client.send_raw(body)
    response = await client.head()
    assert (response.status, await client.piece(response)) == (200, b"{}")
    assert running.upstream.requests[0].header("Expect") == []
    await running.ended(1)
    await running.afresh()
    # a refused client that waits for 100 continue is told that it need not send
    client = await running.client()
    await client.send_raw(head(running, "Expect: 100-continue", "Content-Length: 3", token="nobody"))
    response = await client.rest(await client.head())
    assert (response.status, response.whole, response.header("Connection")) == (401, True, "close")
    await client.send_raw(b"abc")
    assert await client.at_end() == b""


@pytest.mark.gen_test
async def test_a_hundred_headers_cross_and_other_methods_and_large_bodies_are_refused(running):
    # a hundred headers cross in order
    running.upstream.play(OK)
    lines = [f"X-Many: {number}" for number in range(100)]
    client = await running.client()
    body = CHAT.request_body(stream=False)
    await client.send_raw(head(running, *lines, f"Content-Length: {len(body)}") + body)
    assert (await client.head()).status == 200
    assert running.upstream.requests[0].header("X-Many") == [str(number) for number in range(100)]
    await running.ended(1)
    await running.afresh()
    # an unknown method is refused in the dialect
    for calls, method in enumerate(("PROPFIND", "TRACE"), start=1):
        client = await running.client()
        response = await client.request(method, running.path(MESSAGES), running.headers)
        error = json.loads(response.body)
        refused = (response.status, response.header("Allow"))
        assert refused == (405, "GET, HEAD, POST, DELETE, PATCH, PUT, OPTIONS"), method
        assert (error["error"], error["message"]) == (
            {"type": "invalid_request_error", "message": "Method Not Allowed"},
            "Method Not Allowed",
        ), method
        await still_serves(running, calls)
    await running.afresh()
    # a body beyond the default limit is taken in and refused without being held
    client = await running.client()
    piece = b"x" * MIB
    tracemalloc.start()
    await client.send_raw(head(running, f"Content-Length: {65 * MIB}"))
    for _ in range(65):
        await client.send_raw(piece)
    response = await client.rest(await client.head())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (response.status, json.loads(response.body)["message"]) == (
        413,
        "The request body is larger than the allowed 67108864 bytes.",
    )
    assert await client.at_end() == b""
    assert peak < 8 * MIB
    await still_serves(running)
