"""Errors of the control plane, described once."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from handlers.api.control import TOO_MANY_REQUESTS
from handlers.base import IDENTITIES_UNAVAILABLE, SESSION_ENDED, TOO_MANY_FAILURES, UNIDENTIFIED, UNRECOGNISED
from handlers.openapi.parts import JSON, Described, body, header, response
from handlers.operations.handler import NOT_JSON, TOO_LARGE
from handlers.operations.operation import MAX_BODY_BYTES
from handlers.operations.problems import INVALID_BODY
from handlers.operations.query import INVALID
from handlers.problems import DATABASE_UNAVAILABLE, Error, Validation
from http1.requests import BODY_TOO_SLOW, UNREADABLE
from http1.server import BODY_SECONDS
from limits.protection.concurrency import DEFAULT_REQUESTS

RETRY_AFTER = header(Annotated[int, Meta(ge=1)], "Seconds after which to try again.", 1)
CHALLENGE = header(str, "How to authenticate.", "Bearer")


def problem(description: str, *messages: str, headers: dict[str, Described] | None = None) -> Described:
    """An error of the control plane, with the messages it may have."""
    examples = {f"message{number}": Error(message) for number, message in enumerate(messages, start=1)}
    return response(description, {JSON: body(Error, **examples)}, headers)


def retriable(description: str, *messages: str) -> Described:
    """An error that says when to try again."""
    return problem(description, *messages, headers={"Retry-After": RETRY_AFTER})


UNKNOWN_FIELD = Validation("admin", "unknown field; allowed are role, name")
UNKNOWN_PARAMETER = Validation("sort", "unknown query parameter; allowed are after_id, limit, offset, q")

RESPONSES = {
    "InvalidQuery": response(
        "A parameter is wrong, unknown or given twice. All of them are named.",
        {JSON: body(unknown=Error(INVALID, validations=[UNKNOWN_PARAMETER]))},
    ),
    "InvalidBody": response(
        "The body is no JSON object, or a field of it cannot be used, is unknown or missing; every one that is wrong is "
        "named.",
        {JSON: body(unknown=Error(INVALID_BODY, validations=[UNKNOWN_FIELD]))},
    ),
    "LateBody": problem(
        "The body did not arrive in time. The connection is closed.",
        UNREADABLE.format(BODY_TOO_SLOW.format(BODY_SECONDS)),
    ),
    "BodyTooLarge": problem("The body is too large.", TOO_LARGE.format(MAX_BODY_BYTES)),
    "BodyNotJSON": problem("The body is not declared as JSON.", NOT_JSON),
    "Unauthorized": problem(
        "There is no valid token or session.",
        UNIDENTIFIED,
        UNRECOGNISED,
        SESSION_ENDED,
        headers={"WWW-Authenticate": CHALLENGE},
    ),
    "TooManyRequests": retriable(
        "The user has used up their share of the control plane, or too many tokens from the address were not valid.",
        TOO_MANY_REQUESTS.format(DEFAULT_REQUESTS),
        TOO_MANY_FAILURES,
    ),
    "NotFound": problem(
        "There is nothing of this name or id, or the caller may not see it.", "There is no user named ada."
    ),
    "ChangedMeanwhile": problem(
        "It has another version.",
        "The group research was changed meanwhile; read it again, and make the change to that.",
    ),
    "InternalError": problem("An internal error; the log has the details.", "Internal Server Error"),
    "Unavailable": retriable("The database is unavailable.", DATABASE_UNAVAILABLE, IDENTITIES_UNAVAILABLE),
}
