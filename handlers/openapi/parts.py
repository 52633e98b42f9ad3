"""What descriptions of operations are made of, and errors of the control plane.

A `schema` is a Python type until the document is put together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import UNSET, Meta

from handlers.api.control import TOO_MANY_REQUESTS
from handlers.base import IDENTITIES_UNAVAILABLE, SESSION_ENDED, TOO_MANY_FAILURES, UNIDENTIFIED, UNRECOGNISED
from handlers.operations.handler import NOT_JSON, TOO_LARGE
from handlers.operations.operation import MAX_BODY_BYTES
from handlers.operations.problems import INVALID_BODY
from handlers.operations.query import INVALID
from handlers.problems import DATABASE_UNAVAILABLE, Error, Validation
from http1.requests import BODY_TOO_SLOW, UNREADABLE
from http1.server import BODY_SECONDS
from limits.protection.concurrency import DEFAULT_REQUESTS

# An object of the OpenAPI document, by its keys.
Described = dict[str, Any]

JSON = "application/json"


def query(name: str, type_: Any, description: str, *, default: object = UNSET, example: object = UNSET) -> Described:
    """A parameter of the query that may be left out, which is what an empty value says too."""
    if default is not UNSET:
        type_ = Annotated[type_, Meta(extra_json_schema={"default": default})]
    parameter = {"name": name, "in": "query", "description": description, "allowEmptyValue": True, "schema": type_}
    return parameter if example is UNSET else parameter | {"example": example}


def in_path(name: str, type_: Any, description: str) -> Described:
    """A part of the path."""
    return {"name": name, "in": "path", "required": True, "description": description, "schema": type_}


def header_parameter(name: str, type_: Any, description: str) -> Described:
    """A header of a request that may be left out."""
    return {"name": name, "in": "header", "description": description, "schema": type_}


IF_MATCH = header_parameter(
    "If-Match",
    str,
    "Change it only if it still has this `ETag`; else it was changed in the meantime, and the response is 412.",
)


def header(type_: Any, description: str, example: object) -> Described:
    """A header of a response."""
    return {"description": description, "schema": type_, "example": example}


ETAG = {"ETag": header(str, "The version, which differs after each change.", '"9f8e1c0d7a6b5e4f"')}
"""The header of a resource that may be changed."""


def response(
    description: str, content: Mapping[str, Described], headers: Mapping[str, Described] | None = None
) -> Described:
    """A response with a body, by media type."""
    described: Described = {"description": description, "content": dict(content)}
    return described | {"headers": dict(headers)} if headers else described


def body(type_: Any = None, /, **examples: object) -> Described:
    """A body, with examples by name. It is of their type if no other one is given."""
    schema = type_ or type(next(iter(examples.values())))
    return {"schema": schema, "examples": {name: {"value": value} for name, value in examples.items()}}


def json_response(description: str, type_: Any, headers: Mapping[str, Described] | None = None) -> Described:
    """A response in JSON that is of a type."""
    return response(description, {JSON: {"schema": type_}}, headers)


def shared(name: str) -> Described:
    """A response that many operations have, described once."""
    return {"$ref": f"#/components/responses/{name}"}


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
