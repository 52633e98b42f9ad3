from __future__ import annotations

import json

import pytest

from storage.accounts.identities import Identities


@pytest.fixture
def call(running):
    """Make a call and wait until it is recorded; returns its id."""

    async def call(conversation, headers=None, response_headers=b"", **extra):
        running.upstream.scripts.clear()
        running.upstream.play(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n%s"
            % (response_headers, len(conversation.body), conversation.body)
        )
        body = json.dumps(conversation.request | extra).encode()
        client = await running.client()
        response = await client.request("POST", running.path(conversation), headers or running.headers, body)
        client.close()
        assert response.status == 200
        assert await running.bridge.recorder.flush(5)
        return response.header("X-AI-Bridge-Interception-Id")

    return call


@pytest.fixture
def change(running):
    """Ask for a change with a JSON body; returns the status and what was answered, None for nothing."""

    async def change(method, path, body=None, headers=None):
        client = await running.client()
        data = b"" if body is None else json.dumps(body).encode()
        sent = (running.headers if headers is None else headers) | {"Content-Type": "application/json"}
        response = await client.request(method, f"/api/v2/aibridge{path}", sent, data)
        client.close()
        return response.status, json.loads(response.body) if response.body else None

    return change


@pytest.fixture
def elsewhere(running):
    """The users and tokens as another process changes them."""
    return Identities(running.bridge.database, now=running.bridge.now, monotonic=running.bridge.monotonic)
