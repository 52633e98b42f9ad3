"""Errors of the bridge: of the control plane, and of the data plane as each dialect words them.

Sources: OpenAI's and Anthropic's documents on error codes, Google's AIP-193, and Amazon Bedrock's API reference.
Clients built for one of them find what they look for.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, Self
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType

_INVALID, _SERVER = "invalid_request_error", "server_error"


class _Words(NamedTuple):
    """What vendors call the error of an HTTP status; OpenAI has a type and a code."""

    openai: str
    code: str | None
    anthropic: str
    google: str
    aws: str


_UNKNOWN = _Words(_SERVER, None, "api_error", "INTERNAL", "InternalServerException")
_WORDS = {
    400: _Words(_INVALID, None, _INVALID, "INVALID_ARGUMENT", "ValidationException"),
    401: _Words(_INVALID, "invalid_api_key", "authentication_error", "UNAUTHENTICATED", "UnrecognizedClientException"),
    403: _Words(_INVALID, "permission_denied", "permission_error", "PERMISSION_DENIED", "AccessDeniedException"),
    404: _Words(_INVALID, "not_found", "not_found_error", "NOT_FOUND", "ResourceNotFoundException"),
    405: _Words(_INVALID, "method_not_allowed", _INVALID, "INVALID_ARGUMENT", "ValidationException"),
    413: _Words(_INVALID, "request_too_large", "request_too_large", "INVALID_ARGUMENT", "ValidationException"),
    415: _Words(_INVALID, "unsupported_content_encoding", _INVALID, "INVALID_ARGUMENT", "ValidationException"),
    426: _Words(_INVALID, "websocket_not_supported", _INVALID, "INTERNAL", "InternalServerException"),
    429: _Words(
        *("rate_limit_exceeded", "rate_limit_exceeded", "rate_limit_error", "RESOURCE_EXHAUSTED", "ThrottlingException")
    ),
    502: _Words(_SERVER, "upstream_unreachable", "api_error", "UNAVAILABLE", "ServiceUnavailableException"),
    503: _Words(_SERVER, "service_unavailable", "overloaded_error", "UNAVAILABLE", "ServiceUnavailableException"),
    504: _Words(_SERVER, "upstream_timeout", "timeout_error", "DEADLINE_EXCEEDED", "ModelTimeoutException"),
}


def _words(status: int) -> _Words:
    return _WORDS.get(status, _UNKNOWN)


class Validation(Struct):
    """One thing that is wrong with a request, and where."""

    field: str
    detail: str


class Error(Struct):
    """Why a request failed."""

    message: str
    detail: str | UnsetType = UNSET
    validations: list[Validation] | UnsetType = UNSET


class OpenAIErrorDetail(Struct):
    """As OpenAI words it."""

    message: str
    type: str
    param: None
    code: str | None


class OpenAIError(Struct):
    """An error of the bridge on the routes of the type `openai`."""

    error: OpenAIErrorDetail
    message: str

    @classmethod
    def of(cls, status: int, message: str) -> Self:
        """Word the error of an HTTP status."""
        words = _words(status)
        return cls(OpenAIErrorDetail(message, words.openai, None, words.code), message)


class AnthropicErrorDetail(Struct):
    """As Anthropic words it."""

    type: str
    message: str


class AnthropicError(Struct):
    """An error of the bridge on the routes of the type `anthropic`."""

    type: Literal["error"]
    error: AnthropicErrorDetail
    message: str
    request_id: UUID

    @classmethod
    def of(cls, status: int, message: str, request_id: Any) -> Self:
        """Word the error of an HTTP status. `request_id` is a UUID, or its text, which is the same in JSON."""
        return cls("error", AnthropicErrorDetail(_words(status).anthropic, message), message, request_id)


class RetryInfo(Struct, tag_field="@type", tag="type.googleapis.com/google.rpc.RetryInfo", rename="camel"):
    """When to come back, as Google's clients read it: seconds and an `s`."""

    retry_delay: str


class GeminiErrorDetail(Struct):
    """As Google words it."""

    code: int
    message: str
    status: str
    details: list[RetryInfo]


class GeminiError(Struct):
    """An error of the bridge on the routes of Google's API."""

    error: GeminiErrorDetail
    message: str

    @classmethod
    def of(cls, status: int, message: str, retry_after_ms: int | None = None) -> Self:
        """Word the error of an HTTP status."""
        details = [] if retry_after_ms is None else [RetryInfo(f"{retry_after_ms / 1000:.3f}s")]
        return cls(GeminiErrorDetail(status, message, _words(status).google, details), message)


class BedrockError(Struct, rename={"type": "__type"}):
    """An error of the bridge on the routes of Amazon Bedrock. The header `x-amzn-ErrorType` has the type as well."""

    type: str
    message: str

    @classmethod
    def of(cls, status: int, message: str) -> Self:
        """Word the error of an HTTP status."""
        return cls(aws_error_type(status), message)


def aws_error_type(status: int) -> str:
    """The type of an error by Amazon Bedrock's names."""
    return _words(status).aws
