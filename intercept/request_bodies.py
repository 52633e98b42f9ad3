"""Request bodies: what all APIs ask of them, and what is read of their last message."""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec
from msgspec import Raw, Struct, field, structs
from msgspec.json import Decoder

from intercept.apis import InvalidRequestError
from intercept.drafts import MAX_NAME
from intercept.json_text import as_text, decode, read_object
from intercept.records import UserPrompt

MAX_MODEL: Final = 256
"""Characters of a model's name."""
MAX_ASIDES: Final = 8
"""Messages of a program, not of its user, that are looked past at the end of a conversation."""
MAX_PROMPT: Final = 256 * 1024
"""Characters of a recorded prompt."""


class RequestBody(Struct):
    """What every API has in its request body."""

    model: str = ""
    stream: bool | None = None
    stream_options: Raw = field(default_factory=Raw)


R = TypeVar("R", bound=RequestBody)

_BODY: Final = Decoder(RequestBody)


def decode_request(body: bytes, decoder: Decoder[R]) -> R:
    """Decode a request body as far as it is needed. If what only one API has is not of its type, none of that is kept.

    Raises:
        InvalidRequestError: The body is not a JSON object, or has no usable `model` or `stream`.
    """
    try:
        request = _decoded(body, decoder)
    except msgspec.ValidationError as error:
        raise InvalidRequestError(f"request body is not usable: {error}") from error
    except RecursionError as error:
        raise InvalidRequestError("request body is nested too deeply") from error
    except ValueError as error:
        raise InvalidRequestError(f"request body is not valid JSON: {error}") from error
    if not request.model.strip():
        raise InvalidRequestError("model is required: a non-empty string")
    if len(request.model) > MAX_MODEL:
        raise InvalidRequestError(f"model is too long: at most {MAX_MODEL} characters")
    return request


def _decoded(body: bytes, decoder: Decoder[R]) -> R:
    try:
        return decode(body, decoder)
    except msgspec.ValidationError:
        return decoder.type(**structs.asdict(decode(body, _BODY)))


def last_turn(turns: list[Raw]) -> dict[str, Any]:
    """Return the last item of a conversation that is not the client program's own word; an empty object if there is none.

    Claude Code 2.1 puts a `system` message behind what its user wrote.
    """
    for item in reversed(turns[-MAX_ASIDES - 1 :]):
        turn = read_object(item)
        if turn.get("role") not in ("system", "developer"):
            return turn
    return {}


def user_prompt(text: str) -> UserPrompt | None:
    """Return the prompt that a text makes; no text makes none."""
    return UserPrompt(prompt=text[:MAX_PROMPT], truncated=len(text) > MAX_PROMPT) if text else None


def tool_call_id(value: object) -> str | None:
    """Return a tool call's id, None if there is none."""
    return as_text(value)[:MAX_NAME] or None
