"""Amazon Bedrock's dialect: its errors, what else its clients expect of a server, and its event streams.

Of an event of a stream its payload is read, and of what went wrong an error.

Source: the Amazon Bedrock API reference, "Common errors", "InvokeModelWithResponseStream" and "ConverseStream".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, Self

from msgspec import Raw, Struct
from msgspec.json import Decoder, encode

from intercept.apis import Dialect
from intercept.formats.json_text import read_struct, text_of
from intercept.formats.streams import Event, Message, MessageDecoder

_ERRORS: Final = {
    **dict.fromkeys((400, 405, 413, 415), "ValidationException"),
    401: "UnrecognizedClientException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    429: "ThrottlingException",
    **dict.fromkeys((502, 503), "ServiceUnavailableException"),
    504: "ModelTimeoutException",
}
_OTHER_ERROR: Final = "InternalServerException"


class BedrockError(Struct, rename={"type": "__type"}):
    """An error of the bridge on the routes of Amazon Bedrock. The header `x-amzn-ErrorType` has the type as well."""

    type: str
    message: str

    @classmethod
    def of(cls, status: int, message: str, request_id: Any = "", retry_after_ms: int | None = None) -> Self:  # noqa: ARG003
        """Word the error of an HTTP status."""
        return cls(_ERRORS.get(status, _OTHER_ERROR), message)


DIALECT: Final = Dialect(
    name="bedrock",
    error=BedrockError,
    request_id_header="x-amzn-RequestId",
    error_type_header="x-amzn-ErrorType",
    paths=re.compile("/model/"),
)


MAX_PAYLOAD_BYTES: Final = 2 * 1024 * 1024
"""The largest payload that is read: it is decoded at once."""
BROKEN: Final = "broken_event_stream"
"""The type of the error that a broken event stream is."""
ERROR: Final = "error"
"""The name of the events that are errors. Their data is that of Anthropic's: `{"type": "error", "error": {..}}`."""


class _Chunk(Struct, rename={"data": "bytes"}):
    """A chunk of InvokeModelWithResponseStream: base64 of what the model's own API has in an event."""

    data: bytes = b""


class _Exception(Struct):
    message: Raw = Raw()


_CHUNK: Final = Decoder(_Chunk)
_EXCEPTION: Final = Decoder(_Exception)


class BedrockEvents:
    """Decodes an event stream of Bedrock.

    Args:
        unwrap: Makes the data of an event of its payload.
    """

    def __init__(self, unwrap: Callable[[bytes], bytes] = bytes) -> None:
        self._messages = MessageDecoder()
        self._unwrap = unwrap

    def feed(self, chunk: bytes) -> list[Event]:
        """Take the next bytes; return the events they end. A broken stream is an error, and the last event."""
        was_broken = bool(self._messages.fault)
        events = [self._event(message) for message in self._messages.feed(chunk)]
        if self._messages.fault and not was_broken:
            events.append(_error(BROKEN, self._messages.fault))
        return events

    def _event(self, message: Message) -> Event:
        oversized = len(message.payload) > MAX_PAYLOAD_BYTES
        payload = b"" if oversized else message.payload
        texts = message.texts
        match texts.get(":message-type"):
            case "exception":
                data = read_struct(payload, _EXCEPTION)
                return _error(texts.get(":exception-type", ""), text_of(data.message) if data else "")
            case "error":
                return _error(texts.get(":error-code", ""), texts.get(":error-message", ""))
        name = texts.get(":event-type", "")
        return Event(b"", name, oversized=True) if oversized else Event(self._unwrap(payload), name)


def unwrap_chunk(payload: bytes) -> bytes:
    """What the model's own API says in a chunk; b"" where it says nothing."""
    chunk = read_struct(payload, _CHUNK)
    return chunk.data if chunk else b""


def _error(kind: str, message: str) -> Event:
    return Event(encode({"type": ERROR, "error": {"type": kind, "message": message}}), ERROR)
