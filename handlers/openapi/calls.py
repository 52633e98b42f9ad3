"""The data plane: calls to providers, described from the routes that are served. The bodies are the provider's own."""

from __future__ import annotations

import re
from typing import Annotated, Any
from urllib.parse import quote

from msgspec import UNSET, Meta, Struct, UnsetType

from handlers.dataplane.proxy import INTERCEPTION_HEADER
from handlers.identity.credentials import KEY_HEADERS
from handlers.openapi.parts import JSON, Described, body, in_path, response, shared
from handlers.openapi.refusals import RATE, kind_of
from handlers.openapi.refusals import named as headers_named
from handlers.timer import SERVER_TIMING_HEADER
from intercept.apis import EVENTS
from intercept.catalog import BY_PATH, INTERACTIONS, REALTIME, RESPONSES
from intercept.dialects.request_bodies import MAX_MODEL
from intercept.formats.form_data import FORM_DATA
from upstream.providers.presets import ALL_ROUTES
from upstream.routes import Audience, Route

PREFIXES = ("/api/v2/aibridge/{provider}", "/api/experimental/aibridge/{provider}")
# Everything that takes a token, but for the cookie.
SECURITY: list[Described] = [{name: []} for name in ("GovernanceToken", "SessionToken", "BearerToken")] + [
    {name.replace("-", ""): []} for name in KEY_HEADERS
]
_FOR_WHOM = {
    Audience.EVERYBODY: "For all users with a token.",
    Audience.OWN_RESPONSE: "For clients with a key of their own, and for a response, batch or file from a recorded call of the user.",
    Audience.OWN_KEY: "For clients with a key of their own.",
}


class Call(Struct):
    """What the bridge asks of the body of a recorded call. All else goes to the provider as it is."""

    model: Annotated[str, Meta(min_length=1, max_length=MAX_MODEL, pattern=r"\S")]
    stream: bool | UnsetType | None = UNSET


_OF_ALL = (400, 401, 403, 404, 413, 429, 500, 502, 503, 504)
_OF_A_SOCKET = (401, 403, 404, 413, 426, 429, 500, 503)
_OF_RECORDED = (400, 401, 403, 404, 413, 415, 429, 500, 502, 503, 504)

_TEXT = Annotated[str, Meta(min_length=1)]
PARAMETERS = {
    "Provider": in_path(
        "provider",
        Annotated[str, Meta(pattern="^[a-z0-9]+(-[a-z0-9]+)*$", max_length=64)],
        "The name of a provider: `openai`, `anthropic`, `demo`, or one of your own.",
    ),
    "Id": in_path("id", _TEXT, "Of a response, a batch, a file or a conversation, as the provider gave it."),
    "Deployment": in_path("deployment", _TEXT, "Of a model, by the name it has there."),
    "Version": in_path(
        "version", Annotated[str, Meta(pattern="^v1(alpha|beta1?)?$")], "Of Google's API, such as `v1beta`."
    ),
    "Project": in_path("project", _TEXT, "Of Google Cloud, the provider's own."),
    "Location": in_path("location", _TEXT, "Of Google Cloud, the provider's own."),
    "Model": in_path("model", _TEXT, "The model; slashes in it are percent-encoded."),
    "Rest": in_path("rest", _TEXT, "What follows; it may have slashes."),
}

_ANY: dict[str, Described] = {"*/*": {}}
_OWN = {"description": "The provider's own response: status, headers and body unchanged.", "content": _ANY}


def _call_body(route: Route, example: dict[str, Any]) -> Described:
    """The body of a recorded call. Where the path names the model, the body need not."""
    if route.api is INTERACTIONS:
        return body(dict[str, Any], call={"model": "gemini-3-flash-preview", "input": "Hello"})
    if route.dialect.example:
        return body(dict[str, Any], call=route.dialect.example)
    names_model = "{" not in route.pattern and route.api in BY_PATH.values()
    return body(Call if names_model else dict[str, Any], call=example)


def _recorded(route: Route, kind: str) -> Described:
    example = {"model": "demo", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 100}
    if route.api is RESPONSES:
        example = {"model": "demo", "input": "Hello", "stream": True}
    elif route.api not in BY_PATH.values():
        example = {"model": "demo", "input": "Hello"}
    recorded = headers_named(INTERCEPTION_HEADER, SERVER_TIMING_HEADER, *RATE)
    responses = {str(status): shared(f"{kind}{status}") for status in _OF_RECORDED}
    responses["408"] = shared("LateBody")
    kinds: Described = {
        JSON: {"schema": dict[str, Any]},
        route.dialect.stream_type: {"schema": str if route.dialect.stream_type == EVENTS else bytes},
    }
    responses["200"] = response("The provider's response, each piece as soon as it arrives.", kinds, recorded)
    files: Described = {FORM_DATA: {}} if route.api and route.api.parse_form else {}
    operation: Described = {
        "summary": "A recorded call",
        "description": "Nothing goes to the provider before the record is acknowledged.",
        "security": SECURITY,
        "requestBody": {"required": True, "content": {JSON: _call_body(route, example)} | files},
        "responses": responses | {"default": _OWN | {"headers": recorded}},
    }
    return {"post": operation}


def _passed_on(kind: str, route: Route) -> Described:
    responses = {str(status): shared(f"{kind}{status}") for status in _OF_ALL} | {"default": _OWN}
    operation: Described = {
        "summary": "Passed on, not recorded",
        "description": _FOR_WHOM[route.audience],
        "security": SECURITY,
        "responses": responses,
    }
    with_body = operation | {"requestBody": {"content": _ANY}, "responses": responses | {"408": shared("LateBody")}}
    return {method.lower(): with_body if method == "POST" else operation for method in route.methods}


_SOCKET: Described = {
    "summary": "A WebSocket for responses, each of which is recorded",
    "description": "Of the types `openai` and `azure`, unless a setting is off. Others refuse it.",
    "security": SECURITY,
    "responses": {"101": {"description": "It is open. `X-AI-Bridge-WebSocket-Id` is its id."}}
    | {str(status): shared(f"OpenAI{status}") for status in _OF_A_SOCKET},
}


def _path_item(pattern: str, routes: list[Route]) -> tuple[str, Described]:
    """A path template and what is served there; the rest that `*` stands for is a parameter."""
    (dialect, *others) = {route.dialect for route in routes}
    kind = "Either" if others else kind_of(dialect)
    item: Described = {}
    for route in reversed(routes):
        item |= _recorded(route, kind) if route.api else _passed_on(kind, route)
    if pattern == RESPONSES.path:
        item["get"] = _SOCKET
    named = [name.capitalize() for name in re.findall(r"\{(\w+)\}", pattern)]
    names = ["Provider", *named, *(["Rest"] if pattern.endswith("*") else [])]
    item["parameters"] = [{"$ref": f"#/components/parameters/{name}"} for name in names]
    return pattern.replace("*", "{rest}"), item


_ROOT = {
    "parameters": [{"$ref": "#/components/parameters/Provider"}],
    "head": {
        "summary": "Whether the bridge answers",
        "description": "Without a token; counted by the client's address.",
        "security": [],
        "responses": {
            "200": {
                "description": "The provider is configured.",
                "headers": headers_named(SERVER_TIMING_HEADER, *RATE),
            },
            **{str(status): shared(f"OpenAI{status}") for status in (404, 429, 500, 503)},
        },
    },
}


def _paths() -> dict[str, Described]:
    """Every path below both prefixes; below the second one they refer to the first."""
    routes: dict[str, list[Route]] = {}
    for route in ALL_ROUTES:
        routes.setdefault(route.pattern, []).append(route)
    items = dict(_path_item(pattern, same) for pattern, same in routes.items()) | dict.fromkeys(
        ("/", "/api/hello"), _ROOT
    )
    items[REALTIME.path] = {"parameters": [{"$ref": "#/components/parameters/Provider"}], "get": _SOCKET}
    first, *others = PREFIXES
    paths = {first + path: item for path, item in items.items()}
    for prefix in others:
        paths |= {prefix + path: {"$ref": _pointer(first + path)} for path in items}
    return paths


def _pointer(path: str) -> str:
    """A reference to a path of the document (RFC 6901, section 6)."""
    return "#/paths/" + quote(path.replace("~", "~0").replace("/", "~1"), safe="~:")


PATHS = _paths()
