"""A provider that serves OpenAI's responses over a WebSocket, on a real socket."""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

USAGE = {"input_tokens": 20, "input_tokens_details": {"cached_tokens": 5}, "output_tokens": 7}


class SocketProvider:
    """Notes what it is sent. A test says what it sends; `respond` is the usual course of a response."""

    def __init__(self) -> None:
        self.url = ""
        self._server: Server
        self.forget()

    def forget(self) -> None:
        """Begin as if nothing had happened yet."""
        self.requests: list[Request] = []
        self.received: asyncio.Queue[str] = asyncio.Queue()
        self.connections: asyncio.Queue[ServerConnection] = asyncio.Queue()
        self.refusal: tuple[HTTPStatus, str] | None = None
        self.closed: asyncio.Queue[tuple[int | None, str | None]] = asyncio.Queue()
        self.protocols: list[str] = []

    async def start(self) -> None:
        """Begin to serve, at `url`: the base URL for a provider of the type `openai`."""
        self._server = await serve(
            self._serve,
            "127.0.0.1",
            0,
            process_request=self._look,
            max_size=None,
            select_subprotocol=lambda _, offered: next((one for one in self.protocols if one in offered), None),
        )
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1/"

    async def stop(self) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, connection: ServerConnection) -> None:
        self.connections.put_nowait(connection)
        try:
            async for message in connection:
                self.received.put_nowait(str(message))
        except ConnectionClosed:
            pass
        self.closed.put_nowait((connection.close_code, connection.close_reason))

    def _look(self, connection: ServerConnection, request: Request) -> Response | None:
        self.requests.append(request)
        return None if self.refusal is None else connection.respond(*self.refusal)


def event(kind: str, response: str | None = None, **fields: Any) -> str:
    """An event as the provider sends it."""
    named = {"response": {"id": response}} if response else {}
    return json.dumps({"type": kind, **named, **fields})


def events(response: str, text: str = "Hello", **fields: Any) -> list[str]:
    """All events of a response, with `USAGE`."""
    return [
        event("response.created", response, **fields),
        event("response.output_text.delta", delta=text, output_index=0, content_index=0, **fields),
        json.dumps({"type": "response.completed", "response": {"id": response, "usage": USAGE}, **fields}),
    ]


def create(prompt: str, **fields: Any) -> str:
    """A client's request for a response."""
    return json.dumps({"type": "response.create", "model": "gpt-5", "input": prompt, **fields})
