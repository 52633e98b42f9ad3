"""A client of OpenAI's responses over a WebSocket, on a real socket."""

from __future__ import annotations

from websockets.asyncio.client import connect

PATH = "/api/v2/aibridge/openai/v1/responses"


def dial(running, path=PATH, **headers):
    """Open a WebSocket of the user's."""
    headers = {"Authorization": f"Bearer {running.token}", "User-Agent": "codex_cli_rs/0.171"} | headers
    return connect(f"ws://127.0.0.1:{running.port}{path}", additional_headers=headers, user_agent_header=None)


async def send_all(connection, messages):
    for message in messages:
        await connection.send(message)


async def receive(connection, number):
    return [await connection.recv() for _ in range(number)]


def lets_go(running):
    """Whether nothing of any call is held."""
    return running.bridge.overload.holding == 0
