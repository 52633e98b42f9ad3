"""The data plane: calls to providers, from the routes that are served, and what the bridge answers in their place.

The bodies are the provider's own.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal
from urllib.parse import quote
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from handlers.base import (
    TOO_MANY_REQUESTS,
)
from handlers.dataplane.proxy import INTERCEPTION_HEADER
from handlers.identity.credentials import KEY_HEADERS
from handlers.openapi.parts import JSON, Described, body, header, in_path, response, shared
from handlers.problems import problem_body
from handlers.timer import SERVER_TIMING_HEADER
from intercept.apis import EVENTS, Dialect
from intercept.catalog import ANTHROPIC, BY_PATH, DIALECTS, INTERACTIONS, OPENAI, REALTIME, RESPONSES
from intercept.dialects.request_bodies import MAX_MODEL
from intercept.formats.form_data import FORM_DATA
from limits.protection.overload import (
    RATE_LIMITED,
)
from upstream.providers.presets import ALL_ROUTES
from upstream.routes import Audience, Route

_REQUEST_ID = "0e6aced7-61fe-4661-8fb3-286088af84db"


def kind_of(dialect: Dialect) -> str:
    """How the errors of a dialect are called."""
    return dialect.error.__name__.removesuffix("Error")


SCHEMAS = tuple(dialect.error for dialect in DIALECTS)
# The dialects of a route, by what its errors are called.
_KINDS: dict[str, tuple[Dialect, ...]] = {
    **{kind_of(dialect): (dialect,) for dialect in DIALECTS},
    "Either": (OPENAI, ANTHROPIC),
}
_REQUESTS: dict[str, str] = {
    "X-RateLimit-Limit": "Requests per window, while there is a rate limit.",
    "X-RateLimit-Remaining": "Requests that may still start now.",
    "X-RateLimit-Reset": "Seconds, rounded up, until the window is empty.",
}
_BUDGET = {
    "X-AI-Bridge-Budget-Limit": ("US dollars in a period, of the budget with the least money left.", "50.00"),
    "X-AI-Bridge-Budget-Remaining": ("US dollars that are neither used nor held back.", "49.9731"),
    "X-AI-Bridge-Budget-Reset": ("Seconds, rounded up, until the period ends.", "86400"),
}
# Every response after the limits were counted has them.
RATE: tuple[str, ...] = (*_REQUESTS, "RateLimit", "RateLimit-Policy", *_BUDGET)


def _limit_headers(dialect: Dialect) -> dict[str, str]:
    """The headers of a dialect about limits, each with an example."""
    reset = "2026-11-25T00:31:41Z" if dialect.limit_reset_is_instant else "12.5s"
    return {
        dialect.limit_header.format(what=what, unit=unit): example
        for unit in (("requests", "tokens") if dialect.limit_header else ())
        for what, example in (("limit", "60"), ("remaining", "0"), ("reset", reset))
    }


_WAIT = {
    "Retry-After": "Seconds, rounded up, after which to try again.",
    "retry-after-ms": "Milliseconds, rounded up, of a refusal by a limit.",
    "x-should-retry": "`false` when the wait exceeds 60 s, and on what no repetition mends.",
}
HEADERS = {
    **{name: header(Annotated[int, Meta(ge=0)], text, 1) for name, text in (_REQUESTS | _WAIT).items()},
    "x-should-retry": header(Literal["false"], _WAIT["x-should-retry"], "false"),
    **{name: header(str, text, example) for name, (text, example) in _BUDGET.items()},
    "RateLimit": header(
        str,
        "The rule of the tightest limit, how much is left of it, and after how many seconds all of it is.",
        '"rate";r=59;t=60',
    ),
    "RateLimit-Policy": header(
        str, "How much it is altogether, in how many seconds; tokens where it says so.", '"rate";q=60;w=60'
    ),
    **{
        name: header(str, f"Of a refusal by a limit: as {kind_of(dialect)} says it.", example)
        for dialect in DIALECTS
        for name, example in _limit_headers(dialect).items()
    },
    "WWW-Authenticate": header(str, "How to authenticate.", "Bearer"),
    INTERCEPTION_HEADER: header(
        UUID, "The id of the record, of a recorded call.", "3dc9afb2-d8d4-49f1-9cf7-ad523218a70b"
    ),
    SERVER_TIMING_HEADER: header(
        str,
        "Milliseconds that verifying the token, limits, the record and the provider's head took; beside the provider's own.",
        "auth;dur=0.041, admission;dur=0.112, record;dur=1.873, upstream;dur=412.650",
    ),
    **{
        dialect.request_id_header: header(UUID, "The id of the request, of an error of the bridge.", _REQUEST_ID)
        for dialect in DIALECTS
    },
    **{
        dialect.error_type_header: header(str, "The type of an error.", "ValidationException")
        for dialect in DIALECTS
        if dialect.error_type_header
    },
}

WHY = (
    "A refusal of the bridge, or the provider's own answer with any body. The rules of refusals with their statuses are in "
    "`GET /api/v2/aibridge/vocabulary`. Without a rule: 500 is an internal error, 502 that the provider cannot be reached or "
    "closed the connection, 503 also an open circuit, 504 that the provider sent nothing for too long."
)


def _refusal(kind: str) -> Described:
    """An error of the bridge; the provider's own response may have the same status, and any body."""
    dialects = _KINDS[kind]
    ours = [{"$ref": f"#/components/schemas/{dialect.error.__name__}"} for dialect in dialects]
    examples = {
        dialect.name: msgspec.json.decode(problem_body(dialect, TOO_MANY_REQUESTS, RATE_LIMITED, _REQUEST_ID))
        for dialect in dialects
    }
    content = {JSON: body({"anyOf": [*ours, {"description": "The provider's own."}]}, **examples)}
    of_dialects = [
        name
        for one in dialects
        for name in (one.request_id_header, one.error_type_header, *_limit_headers(one))
        if name
    ]
    return response(
        WHY, content, named("WWW-Authenticate", INTERCEPTION_HEADER, SERVER_TIMING_HEADER, *_WAIT, *RATE, *of_dialects)
    )


def named(*names: str) -> dict[str, Described]:
    """Headers that are described once."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


ERRORS = {kind: _refusal(kind) for kind in _KINDS}


def _refused(kind: str) -> Described:
    """The responses of a route that the bridge itself may give."""
    return {"4XX": shared(kind), "5XX": shared(kind)}


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


class RecordedBody(Struct):
    """What the bridge asks of the body of a recorded call. All else goes to the provider as it is."""

    model: Annotated[str, Meta(min_length=1, max_length=MAX_MODEL, pattern=r"\S")]
    stream: bool | UnsetType | None = UNSET


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
    return body(RecordedBody if names_model else dict[str, Any], call=example)


def _recorded(route: Route, kind: str) -> Described:
    example = {"model": "demo", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 100}
    if route.api is RESPONSES:
        example = {"model": "demo", "input": "Hello", "stream": True}
    elif route.api not in BY_PATH.values():
        example = {"model": "demo", "input": "Hello"}
    recorded = named(INTERCEPTION_HEADER, SERVER_TIMING_HEADER, *RATE)
    kinds: Described = {
        JSON: {"schema": dict[str, Any]},
        route.dialect.stream_type: {"schema": str if route.dialect.stream_type == EVENTS else bytes},
    }
    responses = {
        "200": response("The provider's response, each piece as soon as it arrives.", kinds, recorded),
        **_refused(kind),
        "default": _OWN | {"headers": recorded},
    }
    files: Described = {FORM_DATA: {}} if route.api and route.api.parse_form else {}
    operation: Described = {
        "summary": "A recorded call",
        "description": "Nothing goes to the provider before the record is acknowledged.",
        "security": SECURITY,
        "requestBody": {"required": True, "content": {JSON: _call_body(route, example)} | files},
        "responses": responses,
    }
    return {"post": operation}


def _passed_on(kind: str, route: Route) -> Described:
    operation: Described = {
        "summary": "Passed on, not recorded",
        "description": _FOR_WHOM[route.audience],
        "security": SECURITY,
        "responses": _refused(kind) | {"default": _OWN},
    }
    with_body = operation | {"requestBody": {"content": _ANY}}
    return {method.lower(): with_body if method == "POST" else operation for method in route.methods}


_SOCKET: Described = {
    "summary": "A WebSocket for responses, each of which is recorded",
    "description": "Of the types `openai` and `azure`, unless a setting is off. Others refuse it.",
    "security": SECURITY,
    "responses": {"101": {"description": "It is open. `X-AI-Bridge-WebSocket-Id` is its id."}} | _refused("OpenAI"),
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
                "headers": named(SERVER_TIMING_HEADER, *RATE),
            },
            **_refused("OpenAI"),
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
