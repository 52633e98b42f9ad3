"""Google's dialect: its errors, and what else its clients expect of a server.

In the body of a refusal alone Google says that a key is not valid, and when to come back. Its SDKs take a comment in a stream
for an invalid response, so there are no pings.

Source: Google's AIP-193, "Errors", with `google.rpc.ErrorInfo` and `google.rpc.RetryInfo` among the details.
"""

from __future__ import annotations

import re
from typing import Any, Final, Self

from msgspec import Struct
from msgspec.json import Decoder

from intercept.apis import Dialect, RefusalBody
from intercept.formats.json_text import read_array, read_struct

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
    example={"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]},
)
