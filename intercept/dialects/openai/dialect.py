"""OpenAI's dialect: its errors, and what else its clients expect of a server.

Source: OpenAI's documentation, "Error codes" and "Rate limits". WHATWG HTML, section 9.2.7, recommends comments as pings.
"""

from __future__ import annotations

from typing import Any, Final, Self

from msgspec import Struct

from intercept.apis import Dialect

_INVALID, _SERVER = "invalid_request_error", "server_error"
_ERRORS: Final = {
    400: (_INVALID, None),
    401: (_INVALID, "invalid_api_key"),
    403: (_INVALID, "permission_denied"),
    404: (_INVALID, "not_found"),
    405: (_INVALID, "method_not_allowed"),
    413: (_INVALID, "request_too_large"),
    415: (_INVALID, "unsupported_content_encoding"),
    426: (_INVALID, "websocket_not_supported"),
    429: ("rate_limit_exceeded", "rate_limit_exceeded"),
    502: (_SERVER, "upstream_unreachable"),
    503: (_SERVER, "service_unavailable"),
    504: (_SERVER, "upstream_timeout"),
}
_OTHER_ERROR: Final = (_SERVER, None)


class OpenAIErrorDetail(Struct):
    """What is wrong, as OpenAI words it."""

    message: str
    type: str
    param: None
    code: str | None


class OpenAIError(Struct):
    """An error of the bridge on the routes of the type `openai`."""

    error: OpenAIErrorDetail
    message: str

    @classmethod
    def of(cls, status: int, message: str, request_id: Any = "", retry_after_ms: int | None = None) -> Self:  # noqa: ARG003
        """Word the error of an HTTP status."""
        kind, code = _ERRORS.get(status, _OTHER_ERROR)
        return cls(OpenAIErrorDetail(message, kind, None, code), message)


DIALECT: Final = Dialect(
    name="openai",
    error=OpenAIError,
    ping=b": ping\n\n",
    base_path="/v1",
    models_path="/v1/models",
)
