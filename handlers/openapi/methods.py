"""Operations by their methods: what they have in common, and the errors that all of them may have."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from handlers.openapi.parts import JSON, Described, shared

METHODS = frozenset({"get", "head", "post", "put", "patch", "delete"})
# The errors of every change, of those with a body, and of every resource that is read.
CHANGE = {
    "401": shared("Unauthorized"),
    "429": shared("TooManyRequests"),
    "500": shared("InternalError"),
    "503": shared("Unavailable"),
}
CHANGE_WITH_BODY = CHANGE | {
    "400": shared("InvalidBody"),
    "408": shared("LateBody"),
    "413": shared("BodyTooLarge"),
    "415": shared("BodyNotJSON"),
}
ALWAYS = CHANGE | {"400": shared("InvalidQuery")}


def tagged(tag: str, item: Described) -> Described:
    """The item of a path, with the tag in each operation that has no other."""
    return {key: {"tags": [tag]} | value if key in METHODS else value for key, value in item.items()}


def _change(
    method: str,
    operation_id: str,
    summary: str,
    description: str,
    *,
    responses: Mapping[str, Described],
    parameters: tuple[Described, ...] = (),
    request: Described | None = None,
) -> Described:
    """An operation that changes something, by its method. `responses` are those besides `CHANGE`, or `CHANGE_WITH_BODY`."""
    described: Described = {
        "operationId": operation_id,
        "summary": summary,
        "description": description,
        "parameters": list(parameters),
        "responses": dict(sorted(((CHANGE_WITH_BODY if request else CHANGE) | dict(responses)).items())),
    }
    if request:
        described["requestBody"] = {"required": True, "content": {JSON: request}}
    return {method: described}


post = partial(_change, "post")
put = partial(_change, "put")
patch = partial(_change, "patch")
delete = partial(_change, "delete")


def get(
    operation_id: str,
    summary: str,
    description: str,
    *,
    responses: Mapping[str, Described],
    parameters: tuple[Described, ...] = (),
    public: bool = False,
) -> Described:
    """A resource that is read: GET, and HEAD. `responses` are those besides `ALWAYS`, which public ones do not have."""
    common: Described = {
        "summary": summary,
        "parameters": list(parameters),
        "responses": dict(sorted((({} if public else ALWAYS) | dict(responses)).items())),
    }
    if public:
        common["security"] = []
    return {
        "get": {"operationId": operation_id, "description": description} | common,
        "head": {"operationId": operation_id + "Head", "description": "The same, without a body."} | common,
    }
