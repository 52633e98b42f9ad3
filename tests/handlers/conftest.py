from __future__ import annotations

import json

import pytest


@pytest.fixture
def call(running):
    """Make a call and wait until it is recorded; returns its id."""

    async def call(conversation, headers=None, answer_headers=b"", **extra):
        running.upstream.scripts.clear()
        running.upstream.play(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n%s"
            % (answer_headers, len(conversation.body), conversation.body)
        )
        body = json.dumps(conversation.request | extra).encode()
        client = await running.client()
        answer = await client.request("POST", running.path(conversation), headers or running.headers, body)
        client.close()
        assert answer.status == 200
        assert await running.bridge.recorder.flush(5)
        return answer.header("X-AI-Bridge-Interception-Id")

    return call
