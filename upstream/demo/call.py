"""One HTTP request to the demo, from its route to the last byte of its answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

import msgspec
from aiohttp import web

from intercept.apis import Dialect
from upstream.demo import models
from upstream.demo.chat_completions import ChatCompletion
from upstream.demo.errors import anthropic_error, openai_error
from upstream.demo.exchange import Exchange, Stamp
from upstream.demo.messages import Message, token_count
from upstream.demo.responses import Response

_MODELS = "/v1/models"
_REQUEST_ID_HEADERS = {Dialect.OPENAI: "x-request-id", Dialect.ANTHROPIC: "request-id"}
_FAILURE_STATUSES = {Dialect.OPENAI: 500, Dialect.ANTHROPIC: 529}
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for a body that is not JSON, not UTF-8, nested too deeply, or not of the expected shape."""


class Call:
    """One request and its answer.

    Args:
        request: what came in.
        stamp: makes the answer unique.
        pause: awaited before each piece of an answer.
    """

    def __init__(self, request: web.Request, stamp: Stamp, pause: Callable[[], Awaitable[object]]) -> None:
        self._request = request
        self._stamp = stamp
        self._pause = pause
        self._request_id = f"req_{stamp.key}"
        anthropic = request.path.startswith("/v1/messages") or "anthropic-version" in request.headers
        self._dialect = Dialect.ANTHROPIC if anthropic else Dialect.OPENAI
        self._headers = {_REQUEST_ID_HEADERS[self._dialect]: self._request_id}

    async def respond(self) -> web.StreamResponse:
        """Answer, or say in the dialect of the route why not."""
        try:
            return await self._route()
        except _UNREADABLE as error:
            return self._error(400, f"Invalid request body: {error}")
        except web.HTTPRequestEntityTooLarge:
            return self._error(413, "The request body is too large.")

    async def _route(self) -> web.StreamResponse:
        match self._request.method, self._request.path:
            case "POST", "/v1/chat/completions":
                return await self._exchange(ChatCompletion)
            case "POST", "/v1/responses":
                return await self._exchange(Response)
            case "POST", "/v1/messages":
                return await self._exchange(Message)
            case "POST", "/v1/messages/count_tokens":
                return self._json(token_count(await self._request.read()))
            case "GET", path if path == _MODELS or path.startswith(_MODELS + "/"):
                return self._models(path.removeprefix(_MODELS).removeprefix("/"))
            case method, path:
                return self._error(404, f"Unknown request URL: {method} {path}.")

    async def _exchange(self, understand: Callable[[bytes, Stamp], Exchange]) -> web.StreamResponse:
        exchange = understand(await self._request.read(), self._stamp)
        fails_half_way = exchange.model == models.FAILING_STREAM
        if exchange.model == models.FAILING or (fails_half_way and not exchange.streaming):
            return self._error(_FAILURE_STATUSES[self._dialect])
        headers, chunks = _stream(exchange) if exchange.streaming else _body(exchange)
        half = len(chunks) // 2
        if fails_half_way:
            chunks[half:] = [exchange.error_event(half)]
        if exchange.model == models.CUT:
            del chunks[half:]
        response = web.StreamResponse(headers=self._headers | headers)
        await self._send(response, chunks)
        if exchange.model == models.CUT and self._request.transport:
            self._request.transport.abort()
        return response

    async def _send(self, response: web.StreamResponse, chunks: list[bytes]) -> None:
        with suppress(ConnectionError):  # the client left
            await response.prepare(self._request)
            for chunk in chunks:
                await self._pause()
                await response.write(chunk)

    def _models(self, model: str) -> web.Response:
        openai = self._dialect is Dialect.OPENAI
        if not model:
            return self._json(models.openai_models() if openai else models.anthropic_models())
        if model not in models.NAMES:
            return self._error(404, f"The model '{model}' does not exist.")
        return self._json(models.openai_model(model) if openai else models.anthropic_model(model))

    def _error(self, status: int, message: str = "") -> web.Response:
        if self._dialect is Dialect.ANTHROPIC:
            return self._json(anthropic_error(status, message, request_id=self._request_id), status)
        return self._json(openai_error(status, message), status)

    def _json(self, data: Mapping[str, Any], status: int = 200) -> web.Response:
        body = msgspec.json.encode(data)
        return web.Response(body=body, status=status, headers=self._headers, content_type="application/json")


def _stream(exchange: Exchange) -> tuple[dict[str, str], list[bytes]]:
    headers = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"}
    return headers, list(exchange.events())


def _body(exchange: Exchange) -> tuple[dict[str, str], list[bytes]]:
    body = msgspec.json.encode(exchange.body())
    middle = len(body) // 2
    headers = {"Content-Type": "application/json", "Content-Length": str(len(body))}
    return headers, [body[:middle], body[middle:]]
