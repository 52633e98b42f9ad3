"""A client of OpenAI's responses over a WebSocket, on a real socket."""

import json

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

PATH = "/api/v2/aibridge/openai/v1/responses"


def dial(running, path=PATH, subprotocols=None, **headers):
    """Open a WebSocket of the user's; a header of None is not sent."""
    headers = {"Authorization": f"Bearer {running.token}", "User-Agent": "codex_cli_rs/0.171"} | headers
    return connect(
        f"ws://127.0.0.1:{running.port}{path}",
        additional_headers={name: value for name, value in headers.items() if value is not None},
        user_agent_header=None,
        subprotocols=subprotocols,
    )


async def refusal(dialled):
    """The response to a handshake that is refused."""
    with pytest.raises(InvalidStatus) as refused:
        await dialled
    return refused.value.response


async def closing(client):
    """With which code and reason the client is closed, which is sent nothing more."""
    with pytest.raises(ConnectionClosed):
        await client.recv()
    return client.close_code, client.close_reason


async def ask(client, provider, request):
    """Send a request, and wait until the provider has it."""
    await client.send(request)
    await provider.received.get()


async def answer(client):
    return json.loads(await client.recv())


async def exchange(client, upstream, *messages):
    """Let the provider send messages, and the client get them unchanged."""
    for message in messages:
        await upstream.send(message)
    assert [await client.recv() for _ in messages] == list(messages)


def lets_go(running):
    """Whether nothing of any call is held."""
    return running.bridge.overload.holding == 0
