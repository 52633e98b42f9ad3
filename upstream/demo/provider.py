"""The demo as a provider: what it answers to a request, and how fast."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import msgspec

from intercept.apis import Api, Dialect, InvalidRequestError
from intercept.catalog import ANTHROPIC, CHAT_COMPLETIONS, MESSAGES, MESSAGES_COUNT_TOKENS, OPENAI, RESPONSES
from upstream.demo import chat_completions, messages, responses
from upstream.demo.generation import DemoCall, count_tokens
from upstream.demo.scripted import LAST_CHUNK, Received, ScriptedProvider, Step, chunk, stream_head, whole

PACE: Final = 0.03
"""Seconds between two events: slow enough to see the words come, fast enough not to wait for them."""

MAX_BODY_BYTES: Final = 2**20
"""The largest body that is accepted: it is decoded at once, in the process of the bridge."""

TOO_LARGE: Final = f"The request body is larger than the {MAX_BODY_BYTES} bytes that the demo provider reads."

FAILING: Final = "demo-error"
NAMES: Final = {"demo": "Demo", FAILING: "Demo that fails"}
"""What to call each model, by id."""

_MODELS: Final = "/v1/models"
_CREATED, _CREATED_AT = 1767225600, "2026-01-01T00:00:00Z"


class _ResponseShape(NamedTuple):
    """The shape that an API gives to a response: whole, and in events."""

    api: Api
    body: Callable[[DemoCall], Mapping[str, Any]]
    events: Callable[[DemoCall], Iterator[bytes]]


_SHAPES: Final = {
    api.path: _ResponseShape(api, module.body, module.events)
    for api, module in ((CHAT_COMPLETIONS, chat_completions), (RESPONSES, responses), (MESSAGES, messages))
}
_FAILURES: Final = {
    OPENAI: (500, "The demo provider fails for this model, as you asked."),
    ANTHROPIC: (529, "Overloaded: the demo provider fails for this model, as you asked."),
}


class DemoProvider(ScriptedProvider):
    """Answers in the three APIs.

    Args:
        pace: Seconds between two events.
        sleep: Waits that long.
        clock: Seconds since 1970.
        new_key: Letters and digits that no other response has, for its ids.
    """

    def __init__(
        self,
        *,
        pace: float = PACE,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        clock: Callable[[], float] = time.time,
        new_key: Callable[[], str] = lambda: secrets.token_hex(12),
    ) -> None:
        super().__init__(sleep, kept_body_bytes=MAX_BODY_BYTES + 1)
        self._pace = pace
        self._clock = clock
        self._new_key = new_key

    def script_of(self, request: Received) -> Iterator[Step]:
        """Return the answer, piece by piece."""
        steps = _Answer(request, self._new_key(), int(self._clock())).steps()
        for step in steps:
            if step == LAST_CHUNK:
                yield step
                continue
            yield self._pace
            yield step


class _Answer:
    """The answer to one request."""

    def __init__(self, request: Received, key: str, created: int) -> None:
        self._request = request
        self._key = key
        self._created = created
        self._path = urlsplit(request.target).path
        is_anthropic = self._path.startswith(MESSAGES.path) or bool(request.header("anthropic-version"))
        self._dialect: Dialect = ANTHROPIC if is_anthropic else OPENAI
        self._headers = {self._dialect.request_id_header: f"req_{key}"}

    def steps(self) -> list[Step]:
        """Return what is written, one after the other."""
        if len(self._request.body) > MAX_BODY_BYTES:
            return self._refuse(413, TOO_LARGE)
        try:
            return self._route()
        except InvalidRequestError as error:
            return self._refuse(400, str(error))

    def _route(self) -> list[Step]:
        body = self._request.body
        match self._request.method, self._path:
            case "POST", path if path in _SHAPES:
                return self._call(_SHAPES[path])
            case "POST", MESSAGES_COUNT_TOKENS.path:
                MESSAGES.parse_request(body)
                return self._json({"input_tokens": count_tokens(len(body))})
            case "GET" | "HEAD", path if path == _MODELS or path.startswith(f"{_MODELS}/"):
                return self._models(path.removeprefix(_MODELS).removeprefix("/"))
            case method, path:
                return self._refuse(404, f"Unknown request URL: {method} {path}.")

    def _call(self, shape: _ResponseShape) -> list[Step]:
        call = DemoCall.of(shape.api, self._request.body, self._key, self._created)
        if call.model == FAILING:
            return self._refuse(*_FAILURES[self._dialect])
        if call.streams:
            first, *pieces = map(chunk, shape.events(call))
            return [stream_head(self._headers) + first, *pieces, LAST_CHUNK]
        return list(whole(200, self._headers, msgspec.json.encode(shape.body(call))))

    def _models(self, model: str) -> list[Step]:
        of = _openai_model if self._dialect is OPENAI else _anthropic_model
        if model in NAMES:
            return self._json(of(model))
        if model:
            return self._refuse(404, f"The model '{model}' does not exist.")
        models = [of(one) for one in NAMES]
        page = {"has_more": False, "first_id": models[0]["id"], "last_id": models[-1]["id"]}
        return self._json({"data": models} | ({"object": "list"} if self._dialect is OPENAI else page))

    def _refuse(self, status: int, message: str) -> list[Step]:
        return self._json(self._dialect.error.of(status, message, f"req_{self._key}"), status)

    def _json(self, data: Any, status: int = 200) -> list[Step]:
        head, body = whole(status, self._headers, msgspec.json.encode(data))
        return [head if self._request.method == "HEAD" else head + body]


def _openai_model(model: str) -> dict[str, Any]:
    return {"id": model, "object": "model", "created": _CREATED, "owned_by": "demo"}


def _anthropic_model(model: str) -> dict[str, Any]:
    return {
        "type": "model",
        "id": model,
        "display_name": NAMES[model],
        "created_at": _CREATED_AT,
        "lifecycle": "active",
    }
