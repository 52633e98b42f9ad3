"""Google's dialect: its errors, what else its clients expect of a server, and the answers of `:predict`.

In the body of a refusal alone Google says that a key is not valid, and when to come back. Its SDKs take a comment in a stream
for an invalid response, so there are no pings.

`:predict` answers embeddings by most of Vertex AI's models for them, and images. Each embedding says how many tokens its text
has. An image says nothing of the kind.

Sources: Google's AIP-193, "Errors", with `google.rpc.ErrorInfo` and `google.rpc.RetryInfo` among the details; Vertex AI, "Text
embeddings API" and "Imagen API".
"""

from __future__ import annotations

import re
from typing import Any, Final, Self

from msgspec import Struct
from msgspec.json import Decoder
from msgspec.structs import replace

from intercept.apis import Dialect, RefusalBody
from intercept.dialects.openai.usage_only import UsageReader
from intercept.formats.json_text import read_array, read_struct
from intercept.records import Reading, TokenUsage, UsageSource

_ERRORS: Final = {
    **dict.fromkeys((400, 405, 413, 415), "INVALID_ARGUMENT"),
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    **dict.fromkeys((502, 503), "UNAVAILABLE"),
    504: "DEADLINE_EXCEEDED",
}
_OTHER_ERROR: Final = "INTERNAL"
# What is Google's and nobody else's: these versions, methods behind a colon, projects and publishers.
_PATHS: Final = re.compile(
    r"(/v1)*/v1(?:beta1?|alpha)/|(/v1)*/models/[^/]+(?::|%3A)\w+$|(/v1)*/(?:projects|publishers)/", re.IGNORECASE
)
_INVALID_KEY: Final = "API_KEY_INVALID"
_SECONDS: Final = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)s")


class RetryInfo(Struct, tag_field="@type", tag="type.googleapis.com/google.rpc.RetryInfo", rename="camel"):
    """When to come back, as Google's clients read it: seconds and an `s`."""

    retry_delay: str


class GeminiErrorDetail(Struct):
    """What is wrong, as Google words it."""

    code: int
    message: str
    status: str
    details: list[RetryInfo]


class GeminiError(Struct):
    """An error of the bridge on the routes of Google's API."""

    error: GeminiErrorDetail
    message: str

    @classmethod
    def of(cls, status: int, message: str, request_id: Any = "", retry_after_ms: int | None = None) -> Self:  # noqa: ARG003
        """Word the error of an HTTP status."""
        details = [] if retry_after_ms is None else [RetryInfo(f"{retry_after_ms / 1000:.3f}s")]
        return cls(GeminiErrorDetail(status, message, _ERRORS.get(status, _OTHER_ERROR), details), message)


class _Detail(Struct):
    reason: str = ""
    retryDelay: str = ""  # noqa: N815 - the member's name


class _Error(Struct):
    details: list[_Detail] | None = None


class _Body(Struct):
    error: _Error | None = None


_BODY: Final = Decoder(_Body)


def read_refusal(body: bytes) -> RefusalBody:
    """Read the body of a refusal, which is an object, or an array of one where an array was to be streamed."""
    decoded = read_struct(body, _BODY)
    if decoded is None:
        decoded = read_struct(next(iter(read_array(body)), b""), _BODY)
    details = (decoded.error.details if decoded and decoded.error else None) or []
    delays = [float(found[1]) for one in details if (found := _SECONDS.fullmatch(one.retryDelay))]
    return RefusalBody(any(one.reason == _INVALID_KEY for one in details), delays[0] if delays else None)


DIALECT: Final = Dialect(
    name="gemini",
    error=GeminiError,
    error_event=(b"data: ", b"\r\n\r\n"),  # the events have no names
    paths=_PATHS,
    key_in_query=True,
    system_parameters=True,
    models_path="/v1beta/models",
    explaining_statuses=frozenset({400, 429}),
    read_refusal=read_refusal,
)


# A match after a backslash is inside a text of the response.
_COUNT: Final = re.compile(rb'(?<!\\)"token_?[cC]ount"\s{0,9}:\s{0,9}(\d{1,15})(?=[\s,}])')
_HELD_BYTES: Final = 64
"""How much of the end of a piece is read again: longer than the longest match, so that cuts change nothing."""


class _Predictions(UsageReader):
    """Adds up the tokens of all predictions too."""

    def __init__(self) -> None:
        super().__init__()
        self._end = b""
        self._tokens: int | None = None

    def feed(self, chunk: bytes) -> None:
        super().feed(chunk)
        data, at = self._end + chunk, 0
        for found in _COUNT.finditer(data):
            self._tokens = (self._tokens or 0) + int(found[1])
            at = found.end()
        self._end = data[max(at, len(data) - _HELD_BYTES) :]

    def result(self) -> Reading:
        reading = super().result()
        if self._tokens is None:
            return reading
        source = UsageSource.PROVIDER if reading.complete or reading.open_ended else UsageSource.PARTIAL
        usage = TokenUsage(provider_response_id="", input_tokens=self._tokens, source=source)
        return replace(reading, token_usages=(usage,))


predictions_reader: Final = _Predictions
