"""Errors in the address of a call, and the base URL that was probably meant."""

from __future__ import annotations

from collections.abc import Mapping

from tornado.httputil import HTTPServerRequest

from handlers.bridge import Bridge
from handlers.identity.credentials import hides_token, scheme_of
from handlers.problems import Problem
from intercept.apis import Api, Dialect
from intercept.catalog import REALTIME, RESPONSES
from intercept.refusals import Rule
from intercept.secrets import scrub_quoted
from upstream.providers.provider import OPENAI_PREFIX, Availability, Provider
from upstream.routes import Route, find_fault, guess_dialect

CONTROL_PLANE = "/api/v2/aibridge/"
# `HEAD` on these checks that the bridge is there. Claude Code sends the second.
ROOTS = frozenset({"/", "/api/hello"})
IN_ADDRESS = "The URL has a token of AI Bridge in it. Send it in a header, and revoke it if others may have seen it."
NOT_KNOWN_YET = (
    "provider not found: {}. The providers in the database are not known yet, as it cannot be reached at the moment."
)
UNAVAILABLE = {
    Availability.DISABLED: "The provider {} is disabled. Please ask an owner of AI Bridge.",
    Availability.SEALED: "The provider {} cannot be used: this server has no encryption key that opens its keys.",
}
REMOVED = "The provider {} was removed. Please ask an owner of AI Bridge."
NO_WEBSOCKET = "WebSocket is not supported here: use HTTP streaming."
_SOCKETS = {api.path: api for api in (RESPONSES, REALTIME)}
_RESPONSES, _REALTIME = "/responses", "/realtime"
# First words of paths of the server that are no provider's, whatever providers are called.
_OF_THE_SERVER = frozenset(
    {"", "api", "dashboard", "demo-company", "docs", "healthz", "metrics", "openapi.json", "readyz"}
)
# First words of paths of providers' APIs, which clients send whose base URL has no path, or not the provider's name.
_OF_AN_API = frozenset(
    {"chat", "completions", "embeddings", "messages", "model", "responses", "v1", "v1alpha", "v1beta", "v1beta1"}
)


def find_route(bridge: Bridge, name: str, request: HTTPServerRequest, path: str) -> Route | Problem:
    """The route of a request for `path` below the provider `name`, or why it is not served.

    That of the handshake of a WebSocket has no methods.
    """
    table = bridge.routing.table
    providers = table.providers
    provider = providers.get(name)
    if provider is None and not table.is_complete:
        return Problem(503, NOT_KNOWN_YET.format(name), {"Retry-After": "1"}, rule=Rule.PROVIDER_UNAVAILABLE)
    if provider is None:
        known = ", ".join(sorted(providers)) or "none"
        dialect = dialect_of_unknown(name, path)
        hint = f"; {_use(bridge, _pick(providers, dialect), dialect, request)}" if name in _OF_AN_API else ""
        return Problem(404, f"provider not found; configured providers: {known}{hint}", rule=Rule.UNKNOWN_PROVIDER)
    if hides_token(path):
        return Problem(400, IN_ADDRESS, rule=Rule.TOKEN_IN_ADDRESS)
    if (unavailable := find_unavailability(bridge, name)) is not None:
        return unavailable
    if path != "/" and (fault := find_fault(path)):
        return Problem(400, f"The path cannot be served: it has {fault}.", rule=Rule.ODD_PATH)
    if (api := find_socket(provider, request, path)) is not None:
        settings = bridge.settings
        is_on = settings.realtime_websocket if api is REALTIME else settings.responses_websocket
        if is_on and provider.preset.has_websocket:
            return Route(api.path, api.dialect, (), api)
        return Problem(426, NO_WEBSOCKET, rule=Rule.WEBSOCKET)
    if served := [route for route in provider.find_routes(path) if request.method in route.methods]:
        fault = provider.find_fault(served[0], path)
        return Problem(404, f"route not supported: {fault}.", rule=Rule.UNKNOWN_ROUTE) if fault else served[0]
    return _not_served(bridge, provider, request, path)


def _not_served(bridge: Bridge, provider: Provider, request: HTTPServerRequest, path: str) -> Problem:
    """Why no route of a provider serves a request."""
    if routes := provider.find_routes(path):
        allowed = ", ".join(dict.fromkeys(method for route in routes for method in route.methods))
        message = f"{request.method} is not allowed at {scrub_quoted(path)}; use {allowed}."
        return Problem(405, message, {"Allow": allowed}, rule=Rule.WRONG_METHOD)
    message = f"route not supported: {request.method} {scrub_quoted(path)}"
    meant = [route for route in provider.find_routes(_plain(path)) if _plain(path) != path]
    if not meant:
        return Problem(404, message, rule=Rule.UNKNOWN_ROUTE)
    return Problem(404, f"{message}; {_use(bridge, provider, meant[0].dialect, request)}", rule=Rule.WRONG_BASE_URL)


def find_unavailability(bridge: Bridge, name: str) -> Problem | None:
    """Why a provider no longer accepts requests; None if it does, or if it is not known yet."""
    table = bridge.routing.table
    provider = table.providers.get(name)
    if provider is None:
        return Problem(503, REMOVED.format(name), rule=Rule.PROVIDER_UNAVAILABLE) if table.is_complete else None
    if provider.availability is not Availability.READY:
        return Problem(503, UNAVAILABLE[provider.availability].format(name), rule=Rule.PROVIDER_UNAVAILABLE)
    return None


def find_socket(provider: Provider, request: HTTPServerRequest, path: str) -> Api | None:
    """The API for which a request for `path` below a provider is the handshake of a WebSocket; None where it is none.

    Each path on which the provider serves responses by POST may be one, and beside it that of the Realtime API: Azure has
    them below `/openai` too.
    """
    if request.method != "GET" or request.headers.get("Upgrade", "").lower() != "websocket":
        return None
    if (api := _SOCKETS.get(path)) is not None:
        return api
    is_realtime = path.endswith(_REALTIME)
    same = path.removesuffix(_REALTIME) + _RESPONSES if is_realtime else path
    if not same.endswith(_RESPONSES) or all(route.api is not RESPONSES for route in provider.find_routes(same)):
        return None
    return REALTIME if is_realtime else RESPONSES


def find_misdirection(bridge: Bridge, request: HTTPServerRequest) -> tuple[Problem, Dialect] | None:
    """The message for a call at the root of the server, and its dialect; None if it is no call to a provider."""
    providers = bridge.providers
    first = request.path.split("/", 2)[1] if request.path.startswith("/") else ""
    if first in _OF_THE_SERVER or (first not in _OF_AN_API and first not in providers):
        return None
    dialect = guess_dialect(request.path)
    provider = providers.get(first) or _pick(providers, dialect)
    if provider is not None:
        dialect = provider.dialect_of(request.path)
    message = f"no provider is here; {_use(bridge, provider, dialect, request)}"
    return Problem(404, message, rule=Rule.WRONG_BASE_URL), dialect


def dialect_of_unknown(name: str, path: str) -> Dialect:
    """The dialect in which to refuse `path` below `name`, which is no provider."""
    return guess_dialect(f"/{name}{path}" if name in _OF_AN_API else path)


def _use(bridge: Bridge, provider: Provider | None, dialect: Dialect, request: HTTPServerRequest) -> str:
    """The base URL to set, as the client reached the server. OpenAI's has the version, Anthropic's has not."""
    name = provider.name if provider else "PROVIDER"
    scheme = scheme_of(request, bridge.settings.trusted_proxies)
    return f"set the base URL to {scheme}://{request.host}{CONTROL_PLANE}{name}{dialect.base_path}"


def _pick(providers: Mapping[str, Provider], dialect: Dialect) -> Provider | None:
    """The first provider of a dialect that the bridge can call, else the first one."""
    fitting = [one for one in providers.values() if dialect in one.preset.dialects]
    return next((one for one in fitting if one.keys or not one.needs_key), fitting[0] if fitting else None)


def _plain(path: str) -> str:
    """The path below the provider that was meant, if a wrong base URL dropped or doubled `/v1`."""
    while path.startswith(OPENAI_PREFIX + OPENAI_PREFIX + "/"):
        path = path.removeprefix(OPENAI_PREFIX)
    return path if path.startswith((OPENAI_PREFIX + "/", "/api/")) else OPENAI_PREFIX + path
