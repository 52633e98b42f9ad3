"""The server closes its connections at any moment of a request that it refuses."""

import asyncio
import socket

from tests.bridge import until

REQUEST = b"POST /api/v2/aibridge/openai/v1/responses HTTP/1.1\r\nHost: bridge\r\nContent-Length: 2\r\n\r\n{}"
# A refusal takes about four event loop iterations.
TURNS = 12


async def test_a_connection_that_is_closed_under_a_refusal_is_not_worth_a_word_in_the_log(running, http_server):
    for turns in range(TURNS):
        with socket.create_connection(("127.0.0.1", running.port)) as client:
            await until(lambda: http_server.connections)
            client.sendall(REQUEST)
            for _ in range(turns):
                await asyncio.sleep(0)
            await http_server.close_all_connections()
        await until(lambda: not http_server.connections)
    assert running.bridge.lifecycle.in_flight == 0
    assert running.upstream.requests == []
