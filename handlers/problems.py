"""The bridge's own errors, in the words of the route's dialect and with the plain message at the top.

Sources: OpenAI's and Anthropic's documents on error codes. Clients built for either find what they look for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from intercept.apis import Dialect
from intercept.refusals import Rule
from intercept.scrub import scrub_quoted

_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    413: "request_too_large",
    415: "invalid_request_error",
    426: "invalid_request_error",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
_OPENAI_TYPES = {
    400: ("invalid_request_error", None),
    401: ("invalid_request_error", "invalid_api_key"),
    403: ("invalid_request_error", "permission_denied"),
    404: ("invalid_request_error", "not_found"),
    405: ("invalid_request_error", "method_not_allowed"),
    413: ("invalid_request_error", "request_too_large"),
    415: ("invalid_request_error", "unsupported_content_encoding"),
    426: ("invalid_request_error", "websocket_not_supported"),
    429: ("rate_limit_exceeded", "rate_limit_exceeded"),
    500: ("server_error", None),
    502: ("server_error", "upstream_unreachable"),
    503: ("server_error", "service_unavailable"),
    504: ("server_error", "upstream_timeout"),
}


class Problem(Exception):  # noqa: N818 - the word of RFC 9457; it is an answer, not a fault of the program
    """An answer of the bridge's own: an HTTP status, a message for the client, and headers that explain it.

    `rule` is what refused a call to a provider; None elsewhere, and where the call is recorded as an interception.
    """

    def __init__(
        self, status: int, message: str, headers: Mapping[str, str] | None = None, *, rule: Rule | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = dict(headers or {})
        self.rule = rule

    @property
    def retry_after_ms(self) -> int | None:
        """How long the client is told to wait, in milliseconds; None where it is told nothing."""
        if (milliseconds := self.headers.get("retry-after-ms")) is not None:
            return int(milliseconds)
        seconds = self.headers.get("Retry-After")
        return None if seconds is None else int(seconds) * 1000

    def scrubbed(self) -> Problem:
        """The same without what looks like a credential in the words of who asked: nothing that is sent is said back."""
        return Problem(self.status, scrub_quoted(self.message), self.headers, rule=self.rule)


class InvalidQueryError(Problem):
    """A 400 that names each thing that is wrong: `validations` are pairs of field and detail."""

    def __init__(self, message: str, detail: str = "", validations: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(400, message)
        self.detail = detail
        self.validations = tuple(validations)

    def scrubbed(self) -> InvalidQueryError:
        """The same without what looks like a credential in the words of who asked."""
        validations = [(scrub_quoted(field), scrub_quoted(detail)) for field, detail in self.validations]
        return InvalidQueryError(scrub_quoted(self.message), scrub_quoted(self.detail), validations)


def problem_body(dialect: Dialect, status: int, message: str, request_id: str) -> bytes:
    """The JSON body of an error answer."""
    return msgspec.json.encode(_body(dialect, status, message, request_id))


def problem_event(dialect: Dialect, status: int, message: str, request_id: str) -> bytes:
    """The same as a server-sent event, for a stream that has begun and that the bridge has to break off."""
    data = msgspec.json.encode(_body(dialect, status, message, request_id))
    return b"event: error\ndata: " + data + b"\n\n"


def _body(dialect: Dialect, status: int, message: str, request_id: str) -> dict[str, Any]:
    if dialect is Dialect.ANTHROPIC:
        error = {"type": _ANTHROPIC_TYPES.get(status, "api_error"), "message": message}
        return {"type": "error", "error": error, "message": message, "request_id": request_id}
    kind, code = _OPENAI_TYPES.get(status, ("server_error", None))
    return {"error": {"message": message, "type": kind, "param": None, "code": code}, "message": message}
