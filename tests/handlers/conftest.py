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
        response = await running.request("POST", running.path(conversation), headers or running.headers, body)
        assert response.status == 200
        assert await running.bridge.recorder.flush(5)
        return response.header("X-AI-Bridge-Interception-Id")

    return call


@pytest.fixture
def send(running):
    """Send JSON to the control plane, with what else is in the head; returns the whole response."""

    async def send(method, path, body=None, headers=None, **more):
        sent = (running.headers if headers is None else headers) | {"Content-Type": "application/json"} | more
        return await running.request(method, path, sent, b"" if body is None else json.dumps(body).encode())

    return send


@pytest.fixture
def change(send):
    """Ask for a change with a JSON body; returns the status and what was answered, None for nothing."""

    async def change(method, path, body=None, headers=None):
        response = await send(method, f"/api/v2/aibridge{path}", body, headers)
        return response.status, json.loads(response.body) if response.body else None

    return change


@pytest.fixture
def elsewhere(running, bridge_settings):
    """The users and tokens as another process changes them."""
    bridge, settings = (
        running.bridge,
        {name: bridge_settings[name] for name in bridge_settings if name == "tokens_per_user"},
    )
    return Identities(bridge.database, now=bridge.now, monotonic=bridge.monotonic, **settings)
