"""The data plane: calls to providers, from the routes that are served, and what the bridge answers in their place.

The bodies are the provider's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal
from urllib.parse import quote
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from handlers.base import (
    IDENTITIES_UNAVAILABLE,
    PROVIDER_KEY,
    SIGNED,
    TOO_MANY_FAILURES,
    TOO_MANY_REQUESTS,
    UNIDENTIFIED,
    UNRECOGNISED,
)
from handlers.dataplane.addresses import IN_ADDRESS, UNAVAILABLE
from handlers.dataplane.admission import BYOK_DISABLED
from handlers.dataplane.call import NOT_RECORDABLE
from handlers.dataplane.proxy import INTERCEPTION_HEADER
from handlers.dataplane.services.ownership import NOT_YOURS
from handlers.dataplane.services.passthrough import OWN_KEY_ONLY
from handlers.identity.credentials import KEY_HEADERS
from handlers.lifecycle import SHUTTING_DOWN
from handlers.openapi.parts import JSON, Described, body, header, in_path, response, shared
from handlers.problems import problem_body
from handlers.timer import SERVER_TIMING_HEADER
from intercept.apis import EVENTS, Dialect
from intercept.catalog import ANTHROPIC, BY_PATH, DIALECTS, INTERACTIONS, OPENAI, REALTIME, RESPONSES
from intercept.dialects.request_bodies import MAX_MODEL
from intercept.formats.form_data import FORM_DATA
from limits.protection.overload import (
    AT_CAPACITY,
    BUDGET_EXCEEDED,
    OUT_OF_TOKENS,
    RATE_LIMITED,
    USER_AT_CAPACITY,
    USER_RATE_LIMITED,
)
from upstream.providers.presets import ALL_ROUTES
from upstream.providers.provider import Availability
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

_FINAL = ("x-should-retry",)
# By status: why, what the message may be, and which headers come with it.
_REFUSALS: dict[int, tuple[str, tuple[str, ...], Iterable[str]]] = {
    400: (
        "The provider has no key, or the body of a recorded call is not JSON or has no usable `model`.",
        (
            "model is required: a non-empty string",
            f"model is too long: at most {MAX_MODEL} characters",
            "The provider openai has no API key: set openai-key on the server.",
            IN_ADDRESS,
            "The path cannot be served: it has an empty segment.",
        ),
        _FINAL,
    ),
    401: (
        "There is no valid token.",
        (UNIDENTIFIED, UNRECOGNISED, PROVIDER_KEY, SIGNED),
        ("WWW-Authenticate", *_FINAL),
    ),
    403: (
        "The user's budget is used up; or the provider's key is the user's own and that is not allowed, or it has to be.",
        (BYOK_DISABLED, OWN_KEY_ONLY, BUDGET_EXCEEDED.format("50.00")),
        _FINAL,
    ),
    404: (
        "There is no such provider, it has no such route, or the response is not the user's.",
        (
            "provider not found; configured providers: anthropic, openai",
            "route not supported: POST /v1/audio",
            NOT_YOURS,
        ),
        _FINAL,
    ),
    413: ("The body is too large.", ("The request body is larger than the allowed 67108864 bytes.",), _FINAL),
    415: (
        "The body is compressed, or its text encoded, in a way that is not read.",
        ("Content-Encoding 'br' is not supported in requests: allowed are gzip, x-gzip, zstd.",),
        _FINAL,
    ),
    426: ("The request asks for a WebSocket.", ("WebSocket is not supported here: use HTTP streaming.",), ()),
    429: (
        "Too many requests of this token or user, too many tokens used, or too many tokens from this address that are not valid.",
        (
            f"{RATE_LIMITED} This token has started 60 of 60 requests in 1m0s; the next request may start in 13s.",
            TOO_MANY_FAILURES,
            f"{USER_RATE_LIMITED} You have started 300 of 300 requests in 1m0s; the next request may start in 13s.",
            f"{USER_AT_CAPACITY} You have 8 of 8 requests in progress.",
            f"{OUT_OF_TOKENS} You have used 100,250 of 100,000 tokens in 1m0s; the next request may start in 13s.",
        ),
        _WAIT,
    ),
    500: ("An internal error; the log has the details.", ("Internal Server Error",), ()),
    502: (
        "The provider cannot be reached, or closed the connection before its response.",
        ("openai: no connection to the provider: it refused the connection.",),
        (),
    ),
    503: (
        "Not now: stopping, full, the database unavailable, an open circuit, or a disabled provider.",
        (
            UNAVAILABLE[Availability.DISABLED].format("openai"),
            SHUTTING_DOWN,
            AT_CAPACITY,
            IDENTITIES_UNAVAILABLE,
            NOT_RECORDABLE,
            "circuit breaker is open",
        ),
        _WAIT,
    ),
    504: (
        "The provider sent nothing for too long.",
        ("openai: the provider sent nothing for longer than the idle timeout.",),
        (),
    ),
}


def _refusal(kind: str, status: int) -> Described:
    """An error of the bridge; the provider's own response may have the same status, and any body."""
    dialects = _KINDS[kind]
    why, messages, headers = _REFUSALS[status]
    ours = [{"$ref": f"#/components/schemas/{dialect.error.__name__}"} for dialect in dialects]
    examples = {
        f"{dialect.name}{number}": msgspec.json.decode(problem_body(dialect, status, message, _REQUEST_ID))
        for dialect in dialects
        for number, message in enumerate(messages, start=1)
    }
    content = {JSON: body({"anyOf": [*ours, {"description": "The provider's own."}]}, **examples)}
    family = [name for dialect in dialects for name in _limit_headers(dialect)] if status == TOO_MANY_REQUESTS else []
    kinds = list(filter(None, [dialect.error_type_header for dialect in dialects]))
    described_as = (
        dialects[0].request_id_header,
        INTERCEPTION_HEADER,
        SERVER_TIMING_HEADER,
        *headers,
        *kinds,
        *RATE,
        *family,
    )
    return response(why, content, named(*described_as))


def named(*names: str) -> dict[str, Described]:
    """Headers that are described once."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


ERRORS = {f"{kind}{status}": _refusal(kind, status) for kind in _KINDS for status in _REFUSALS}


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
    recorded = named(INTERCEPTION_HEADER, SERVER_TIMING_HEADER, *RATE)
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
                "headers": named(SERVER_TIMING_HEADER, *RATE),
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
