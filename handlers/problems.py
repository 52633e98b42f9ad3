"""The bridge's own errors: on the control plane as they are, on the data plane in the words of the route's dialect."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import UNSET, Struct, UnsetType

from handlers.lifecycle import SHUTTING_DOWN
from intercept.apis import Dialect
from intercept.refusals import Problem, Rule
from intercept.secrets import scrub_quoted

__all__ = [
    "DATABASE_UNAVAILABLE",
    "Problem",
    "ValidationProblem",
    "body_too_large",
    "database_unavailable",
    "policies_unknown",
    "problem_body",
    "problem_event",
    "sentence",
    "stopping",
]

POLICIES_UNKNOWN = "The policies cannot be read at the moment. Please try again later."
DATABASE_UNAVAILABLE = "The database cannot be reached at the moment. Please try again later."


class Validation(Struct):
    """One thing that is wrong with a request, and where."""

    field: str
    detail: str


class Error(Struct):
    """Why a request failed."""

    message: str
    detail: str | UnsetType = UNSET
    validations: list[Validation] | UnsetType = UNSET


class ValidationProblem(Problem):
    """A 400 that names each thing that is wrong: `validations` are pairs of field and detail."""

    def __init__(self, message: str, detail: str = "", validations: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(400, message)
        self.detail = detail
        self.validations = tuple(validations)

    def scrubbed(self) -> ValidationProblem:
        """This problem without anything that looks like a credential."""
        validations = [(scrub_quoted(field), scrub_quoted(detail)) for field, detail in self.validations]
        return ValidationProblem(scrub_quoted(self.message), scrub_quoted(self.detail), validations)


def sentence(text: str) -> str:
    """Make a sentence of what an error says."""
    return f"{text[:1].upper()}{text[1:]}."


def stopping() -> Problem:
    """The problem for calls while the server stops."""
    return Problem(503, SHUTTING_DOWN, {"Connection": "close", "Retry-After": "1"}, rule=Rule.STOPPING)


def database_unavailable() -> Problem:
    """The problem where the database does not answer."""
    return Problem(503, DATABASE_UNAVAILABLE, {"Retry-After": "1"}, rule=Rule.DATABASE_UNAVAILABLE)


def policies_unknown() -> Problem:
    """The problem while the policies were not read."""
    return Problem(503, POLICIES_UNKNOWN, {"Retry-After": "1"}, rule=Rule.DATABASE_UNAVAILABLE)


def body_too_large(allowed: int) -> Problem:
    """The problem for a body that is too large."""
    message = f"The request body is larger than the allowed {allowed} bytes."
    return Problem(413, message, {"Connection": "close"}, rule=Rule.BODY_TOO_LARGE)


def problem_body(
    dialect: Dialect, status: int, message: str, request_id: str, retry_after_ms: int | None = None
) -> bytes:
    """The JSON body of an error response."""
    return msgspec.json.encode(dialect.error.of(status, message, request_id, retry_after_ms))


def problem_event(dialect: Dialect, status: int, message: str, request_id: str) -> bytes:
    """The error as a server-sent event, for a stream that has begun and that the bridge has to break off."""
    before, behind = dialect.error_event
    return before + problem_body(dialect, status, message, request_id) + behind
