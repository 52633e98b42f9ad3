"""Errors of the bridge: of the control plane, and of the data plane as each dialect words them.

Sources: OpenAI's and Anthropic's documents on error codes, Google's AIP-193, and Amazon Bedrock's API reference.
Clients built for one of them find what they look for.
"""

from __future__ import annotations

from typing import Any, Literal, Self
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType

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


_GOOGLE_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "INVALID_ARGUMENT",
    413: "INVALID_ARGUMENT",
    415: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_AWS_TYPES = {
    400: "ValidationException",
    401: "UnrecognizedClientException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    405: "ValidationException",
    413: "ValidationException",
    415: "ValidationException",
    429: "ThrottlingException",
    502: "ServiceUnavailableException",
    503: "ServiceUnavailableException",
    504: "ModelTimeoutException",
}


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
        kind, code = _OPENAI_TYPES.get(status, ("server_error", None))
        return cls(OpenAIErrorDetail(message, kind, None, code), message)


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
        detail = AnthropicErrorDetail(_ANTHROPIC_TYPES.get(status, "api_error"), message)
        return cls("error", detail, message, request_id)


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
        return cls(GeminiErrorDetail(status, message, _GOOGLE_STATUSES.get(status, "INTERNAL"), details), message)


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
    return _AWS_TYPES.get(status, "InternalServerException")
