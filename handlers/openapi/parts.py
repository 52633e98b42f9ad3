"""What descriptions of operations are made of, and errors of the control plane.

A `schema` is a Python type until the document is put together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import UNSET, Meta

from handlers.problems import Error

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


def header(type_: Any, description: str) -> Described:
    """A header of a response."""
    return {"description": description, "schema": type_}


ETAG = {"ETag": header(str, "The version, which differs after each change.")}
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


RETRY_AFTER = header(Annotated[int, Meta(ge=1)], "Seconds after which to try again.")
CHALLENGE = {"WWW-Authenticate": header(str, "How to authenticate.")}


def problem(description: str, headers: dict[str, Described] | None = None) -> Described:
    """An error of the control plane."""
    return json_response(description, Error, headers)


def retriable(description: str) -> Described:
    """An error that says when to try again."""
    return problem(description, {"Retry-After": RETRY_AFTER})


RESPONSES = {
    "InvalidQuery": problem("A parameter is wrong, unknown or given twice. All of them are named."),
    "InvalidBody": problem(
        "The body is no JSON object, or a field of it cannot be used, is unknown or missing; every one that is wrong is "
        "named."
    ),
    "LateBody": problem("The body did not arrive in time. The connection is closed."),
    "BodyTooLarge": problem("The body is too large."),
    "BodyNotJSON": problem("The body is not declared as JSON."),
    "Unauthorized": problem("There is no valid token or session.", CHALLENGE),
    "TooManyRequests": retriable(
        "The user has used up their share of the control plane, or too many tokens from the address were not valid."
    ),
    "NotFound": problem("There is nothing of this name or id, or the caller may not see it."),
    "ChangedMeanwhile": problem("It has another version."),
    "InternalError": problem("An internal error; the log has the details."),
    "Unavailable": retriable("The database is unavailable."),
}
