"""One HTTP request to the demo, from its route to the last byte of its response."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, cast

import msgspec
from tornado.http1connection import HTTP1Connection
from tornado.iostream import StreamClosedError
from tornado.web import RequestHandler, stream_request_body

from intercept.catalog import ANTHROPIC, OPENAI
from upstream.demo import models
from upstream.demo.api_call import ApiCall, Stamp
from upstream.demo.chat_completions import ChatCompletion
from upstream.demo.errors import anthropic_error, openai_error
from upstream.demo.messages import Message, token_count
from upstream.demo.responses import Response

MAX_BODY_BYTES = 2**20
"""The largest body that is accepted: it is decoded at once, in the process of the bridge."""

TOO_LARGE = f"The request body is larger than the {MAX_BODY_BYTES} bytes that the demo provider reads."

_MODELS = "/v1/models"
_FAILURE_STATUSES = {OPENAI: 500, ANTHROPIC: 529}
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for a body that is not JSON, not UTF-8, nested too deeply, or not of the expected shape."""


@stream_request_body
class CallHandler(RequestHandler):
    """One request and its response."""

    def initialize(self, new_stamp: Callable[[], Stamp], pause: Callable[[], Awaitable[object]]) -> None:
        """Set what makes the response unique, and what is awaited before each chunk of it."""
        self._stamp = new_stamp()
        self._pause = pause
        self._body = bytearray()
        self._responding: asyncio.Task[None] | None = None
        self._request_id = f"req_{self._stamp.key}"
        anthropic = self.request.path.startswith("/v1/messages") or "anthropic-version" in self.request.headers
        self._dialect = ANTHROPIC if anthropic else OPENAI
        self.set_header(self._dialect.request_id_header, self._request_id)

    def prepare(self) -> None:
        """Send chunks at once, and accept bodies of any size: a client whose body is too large is told so."""
        self._connection.stream.set_nodelay(True)
        self._connection.set_max_body_size(sys.maxsize)

    def data_received(self, chunk: bytes) -> None:
        """Collect the body up to the limit."""
        if len(self._body) <= MAX_BODY_BYTES:
            self._body += chunk

    async def respond(self) -> None:
        """Respond, or send an error in the dialect of the route."""
        self._responding = asyncio.current_task()
        try:
            await self._route()
        except _UNREADABLE as error:
            self._refuse(400, f"Invalid request body: {error}")
        except asyncio.CancelledError:
            if self._responding is None or not self._connection.stream.closed():
                raise
            self._responding.uncancel()

    get = head = post = put = patch = delete = options = respond

    def on_connection_close(self) -> None:
        """The client left, or the demo stops: stop responding."""
        super().on_connection_close()
        if self._responding is not None:
            self._responding.cancel()

    def set_default_headers(self) -> None:
        """Send no Server header: it would reach clients as if it were a provider's."""
        self.clear_header("Server")

    def compute_etag(self) -> None:
        """No entity tags: the real providers have none."""

    @property
    def _connection(self) -> HTTP1Connection:
        return cast("HTTP1Connection", self.request.connection)

    async def _route(self) -> None:
        if len(self._body) > MAX_BODY_BYTES:
            self._refuse(413, TOO_LARGE)
            return
        match self.request.method, self.request.path:
            case "POST", "/v1/chat/completions":
                await self._serve_call(ChatCompletion)
            case "POST", "/v1/responses":
                await self._serve_call(Response)
            case "POST", "/v1/messages":
                await self._serve_call(Message)
            case "POST", "/v1/messages/count_tokens":
                self._json(token_count(bytes(self._body)))
            case "GET", path if path == _MODELS or path.startswith(_MODELS + "/"):
                self._models(path.removeprefix(_MODELS).removeprefix("/"))
            case method, path:
                self._refuse(404, f"Unknown request URL: {method} {path}.")

    async def _serve_call(self, parse: Callable[[bytes, Stamp], ApiCall]) -> None:
        call = parse(bytes(self._body), self._stamp)
        fails_half_way = call.model == models.FAILING_STREAM
        if call.model == models.FAILING or (fails_half_way and not call.streaming):
            self._refuse(_FAILURE_STATUSES[self._dialect])
            return
        headers, chunks = _stream(call) if call.streaming else _body(call)
        half = len(chunks) // 2
        if fails_half_way:
            chunks[half:] = [call.error_event(half)]
        if call.model == models.CUT:
            del chunks[half:]
        for name, value in headers.items():
            self.set_header(name, value)
        await self._send(chunks)
        if call.model == models.CUT:
            self._connection.stream.close()

    async def _send(self, chunks: list[bytes]) -> None:
        with suppress(StreamClosedError):  # the client left
            for chunk in chunks:
                await self._pause()
                self.write(chunk)
                await self.flush()

    def _models(self, model: str) -> None:
        openai = self._dialect is OPENAI
        if not model:
            self._json(models.openai_models() if openai else models.anthropic_models())
        elif model not in models.NAMES:
            self._refuse(404, f"The model '{model}' does not exist.")
        else:
            self._json(models.openai_model(model) if openai else models.anthropic_model(model))

    def _refuse(self, status: int, message: str = "") -> None:
        self.set_status(status)
        if self._dialect is ANTHROPIC:
            self._json(anthropic_error(status, message, request_id=self._request_id))
        else:
            self._json(openai_error(status, message))

    def _json(self, data: Mapping[str, Any]) -> None:
        self.set_header("Content-Type", "application/json")
        self.finish(msgspec.json.encode(data))


def _stream(call: ApiCall) -> tuple[dict[str, str], list[bytes]]:
    headers = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"}
    return headers, list(call.events())


def _body(call: ApiCall) -> tuple[dict[str, str], list[bytes]]:
    body = msgspec.json.encode(call.body())
    middle = len(body) // 2
    headers = {"Content-Type": "application/json", "Content-Length": str(len(body))}
    return headers, [body[:middle], body[middle:]]
