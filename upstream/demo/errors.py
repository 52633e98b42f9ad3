"""Errors in the words of either provider.

Sources: https://platform.openai.com/docs/guides/error-codes, https://docs.anthropic.com/en/api/errors.
"""

from __future__ import annotations

from typing import Any

_OPENAI_TYPES = {500: "server_error"}
_ANTHROPIC_TYPES = {404: "not_found_error", 413: "request_too_large", 500: "api_error", 529: "overloaded_error"}
_MESSAGES = {
    500: "The demo provider fails for this model, as you asked.",
    529: "Overloaded: the demo provider fails for this model, as you asked.",
}


def openai_error(status: int, message: str = "") -> dict[str, Any]:
    """The body of an OpenAI error. Without a message, the one that goes with the status."""
    kind = _OPENAI_TYPES.get(status, "invalid_request_error")
    return {"error": {"message": message or _MESSAGES[status], "type": kind, "param": None, "code": None}}


def anthropic_error(status: int, message: str = "", *, request_id: str) -> dict[str, Any]:
    """The body of an Anthropic error. Without a message, the one that goes with the status."""
    kind = _ANTHROPIC_TYPES.get(status, "invalid_request_error")
    error = {"type": kind, "message": message or _MESSAGES[status]}
    return {"type": "error", "error": error, "request_id": request_id}
