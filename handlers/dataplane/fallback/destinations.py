"""The providers of a recorded call: the one in its path, and its fallbacks."""

from __future__ import annotations

from collections.abc import Iterator

from handlers.dataplane.policy import find_refused
from handlers.dataplane.proxy import ProxyHandler
from handlers.dataplane.summary import encoding_of
from handlers.dataplane.upstream_request import Destination
from intercept.apis import Api, RequestSummary
from intercept.callers.clients import client_name, session_id
from intercept.formats.request_encoding import IDENTITY
from intercept.ids import format_id
from intercept.provider_state import is_tied
from upstream.providers.fallback import find_order
from upstream.providers.provider import Availability


def find_destinations(
    handler: ProxyHandler, to: Destination, api: Api, summary: RequestSummary
) -> tuple[Destination, ...]:
    """Find the destinations of a call, in the order in which they are tried. The given one is among them.

    It is the only one if the call cannot be sent twice, uses a key of the client, or refers to something that one
    provider stores. A compressed body cannot be read, so it counts as one that does.
    """
    if handler.credentials.own_key is not None or handler.form is not None or encoding_of(handler) != IDENTITY:
        return (to,)
    if is_tied(api, summary, handler.body):
        return (to,)
    found = {to.provider.name: to} | {one.provider.name: one for one in _find_others(handler, to, api, summary)}
    if len(found) == 1:
        return (to,)
    headers = handler.request.headers
    session = session_id(client_name(headers), headers, summary.session_hint, summary.conversation_id)
    order = find_order(
        {name: one.provider.weight for name, one in found.items()}, session or format_id(handler.identity.user.id)
    )
    return tuple(found[name] for name in order)


def _find_others(handler: ProxyHandler, to: Destination, api: Api, summary: RequestSummary) -> Iterator[Destination]:
    """Those that serve the same path and model and that the caller may use."""
    table, method = handler.bridge.routing.table, handler.request.method
    for name in to.provider.fallback:
        provider, keys = table.providers.get(name), table.key_pools.get(name)
        if provider is None or provider.availability is not Availability.READY or provider.preset.is_own_key_only:
            continue
        if keys is None and provider.needs_key:
            continue
        routes = (one for one in provider.find_routes(to.path) if method in one.methods)
        route = next(routes, None)
        if route is None or route.api is None or route.api.name != api.name or provider.find_fault(route, to.path):
            continue
        if find_refused(handler, name, summary, is_billed=api.billed) is None:
            yield Destination(provider, route, to.path, keys)
