"""The data plane: calls to providers, from the routes that are served, and what the bridge answers in their place.

The bodies are the provider's own.
"""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import quote

from msgspec import Meta

from handlers.dataplane.proxy import INTERCEPTION_HEADER
from handlers.identity.credentials import KEY_HEADERS
from handlers.openapi.parts import JSON, Described, in_path, response, shared
from intercept.apis import Dialect
from intercept.catalog import ANTHROPIC, DIALECTS, OPENAI, REALTIME, RESPONSES
from upstream.providers.presets import ALL_ROUTES
from upstream.routes import Audience, Route


def kind_of(dialect: Dialect) -> str:
    """How the errors of a dialect are called."""
    return dialect.error.__name__.removesuffix("Error")


SCHEMAS = tuple(dialect.error for dialect in DIALECTS)
# The dialects of a route, by what its errors are called.
_KINDS: dict[str, tuple[Dialect, ...]] = {
    **{kind_of(dialect): (dialect,) for dialect in DIALECTS},
    "Either": (OPENAI, ANTHROPIC),
}
WHY = (
    "A refusal of the bridge, or the provider's own answer with any body. The rules of refusals with their statuses are in "
    "`GET /api/v2/aibridge/vocabulary`. Without a rule: 500 is an internal error, 502 that the provider cannot be reached or "
    "closed the connection, 503 also an open circuit, 504 that the provider sent nothing for too long. Headers say how much "
    "of the limits is left and when to try again."
)


def _refusal(kind: str) -> Described:
    """An error of the bridge; the provider's own response may have the same status, and any body."""
    ours = [{"$ref": f"#/components/schemas/{dialect.error.__name__}"} for dialect in _KINDS[kind]]
    return response(WHY, {JSON: {"schema": {"anyOf": [*ours, {"description": "The provider's own."}]}}})


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
_RECORDED = f"Nothing goes to the provider before the record is acknowledged, whose id is in the header `{INTERCEPTION_HEADER}`."


def _operations(route: Route, kind: str) -> Described:
    """What is said of the methods of a route."""
    operation: Described = {
        "summary": "A recorded call" if route.api else "Passed on, not recorded",
        "description": _RECORDED if route.api else _FOR_WHOM[route.audience],
        "security": SECURITY,
        "responses": {
            **_refused(kind),
            "default": {
                "description": "The provider's own response: status, headers and body unchanged, each piece at once.",
                "content": _ANY,
            },
        },
    }
    with_body = operation | {"requestBody": {"required": bool(route.api), "content": _ANY}}
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
        item |= _operations(route, kind)
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
        "responses": {"200": {"description": "The provider is configured."}, **_refused("OpenAI")},
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
