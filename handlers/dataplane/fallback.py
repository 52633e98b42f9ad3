"""The providers of a recorded call, the one in its path and its fallbacks: tried one after the other until one succeeds."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from handlers.dataplane.policy import find_refused
from handlers.dataplane.proxy import ProxyHandler
from handlers.dataplane.shared import MAX_QUERY, Asked
from handlers.dataplane.summary import encoding_of, plain_body
from handlers.dataplane.upstream_request import Destination, UpstreamRequest
from intercept.apis import Api, RequestSummary
from intercept.callers import client_name, session_id
from intercept.dialects.openai.stream_usage import UsageChunkFilter, refuses_usage, with_usage
from intercept.formats.content_encoding import IDENTITY
from intercept.ids import format_id
from intercept.provider_state import is_tied
from intercept.records import EndReason, ProviderError, Try
from limits.protection.circuit_breaker import (
    FIRST_SERVER_ERROR,
    TOO_MANY_REQUESTS,
    CallOutcome,
    CircuitKey,
    CircuitOpenError,
    Permit,
    outcome_of_status,
)
from upstream.client import UpstreamError, UpstreamResponse, UpstreamUnreachableError
from upstream.providers.provider import Availability, find_order

logger = logging.getLogger(__name__)

FIRST_REFUSAL = 400
# How much of a 400 is read to see whether it refuses `stream_options`.
MAX_REFUSAL_BYTES = 16 * 1024
# What servers answer to an option that they do not know.
REFUSAL_STATUSES = frozenset({400, 422})


class ProviderResponse(NamedTuple):
    """A response, the filter that hides the usage chunk if only the bridge requested it, and the request that was sent."""

    response: UpstreamResponse
    usage_filter: UsageChunkFilter | None
    sent: UpstreamRequest


class Tries:
    """Sends a call to the first of some providers, and to the next ones while those before cannot answer.

    The next provider is tried if one cannot be reached, has an open circuit, or answers 429 or 5xx, and after the first
    one also if it refuses by its own rules. A timeout ends the tries. Each gets the same bytes, with its own key.

    The client gets the first success; if there is none, the first 429 or 5xx; without one, the error of the first
    provider. How the others refuse by their own rules is not the client's: one may lack the model.

    Args:
        handler: Of the request, whose body is whole.
        api: How the response is read.
        summary: What was read of the body.
        destinations: Where the call may go, at least one.

    Attributes:
        sent: The request to the provider that responded, or that is being tried.
    """

    def __init__(
        self, handler: ProxyHandler, api: Api, summary: RequestSummary, destinations: Sequence[Destination]
    ) -> None:
        self._handler = handler
        self._bridge = handler.bridge
        self._api = api
        self._summary = summary
        self._destinations = destinations
        self._permit: Permit | None = None
        self._tries: list[Try] = []
        self.sent = self._request(destinations[0])

    @property
    def record(self) -> tuple[Try, ...]:
        """Every try, in order; empty if there was only one."""
        return tuple(self._tries) if len(self._tries) > 1 else ()

    async def open(self) -> ProviderResponse:
        """Send the request and wait for the head of the response for the client.

        Raises:
            CircuitOpenError: no provider gave an answer for the client, and the circuit of the first one is open.
            UpstreamError: no provider gave an answer for the client.
        """
        handler, body, first = self._handler, self._handler.body, self.sent
        held: ProviderResponse | None = None
        failure: CircuitOpenError | UpstreamError | None = None
        try:
            for number, to in enumerate(self._destinations):
                if number:
                    self._move_on(to, body)
                try:
                    found = await self._open(to)
                except (CircuitOpenError, UpstreamError) as error:
                    self._settle_failed(to, error)
                    failure = failure or error
                    if isinstance(error, (CircuitOpenError, UpstreamUnreachableError)):
                        continue
                    break
                status = found.response.status
                if status < FIRST_REFUSAL or (not number and not _asks_for_another(status)):
                    return found
                self.settle(outcome_of_status(status))
                if held is None and _asks_for_another(status):
                    held = found
                else:
                    found.response.close()
            if held is None:
                self.sent = first
                assert failure is not None  # noqa: S101 - a provider that did not fail has responded
                raise failure
            found, held = held, None
            self.sent = found.sent
            return found
        finally:
            handler.body = b""
            if held is not None:
                held.response.close()

    def _request(self, to: Destination) -> UpstreamRequest:
        return UpstreamRequest(self._handler, to, model=self._summary.model, tries=self._tries)

    def _move_on(self, to: Destination, body: bytes) -> None:
        before = self.sent.provider.name
        self._bridge.metrics.fallbacks(before, to.provider.name).inc()
        logger.info("fallback: provider=%s cannot answer, asking=%s", before, to.provider.name)
        self.sent = self._request(to)
        self._handler.body = body

    async def _open(self, to: Destination) -> ProviderResponse:
        """Send the request; request the usage of a chat stream too, unless the provider refuses that.

        A compressed body is sent plain where the option is added.

        Raises:
            CircuitOpenError: the circuit of the provider is open.
            UpstreamError: no response came.
        """
        if self._bridge.breakers is not None:
            key = CircuitKey(to.provider.name, to.route.pattern, self._summary.model)
            self._permit = self._bridge.breakers.admit(key)
        handler, usage, body = self._handler, self._bridge.chat_usage, self._handler.body
        asked = Asked(to.provider.name, self._summary.model, handler.request.query[:MAX_QUERY])
        changed = await self._with_usage() if usage.asks(asked, self._api, self._summary) else None
        if changed is None:
            return ProviderResponse(await self.sent.open(), None, self.sent)
        handler.body = changed
        self.sent.is_plain = True
        response = await self.sent.open()
        if response.status in REFUSAL_STATUSES and refuses_usage(await response.peek(MAX_REFUSAL_BYTES)):
            response.close()
            handler.body = body
            self.sent.is_plain = False
            response = await self.sent.open()
            # A refusal may have repeated the request, or the client's words: then the option was not the reason.
            if response.status < FIRST_REFUSAL:
                usage.refused(asked)
                logger.info("provider %s refuses stream_options.include_usage: model=%s", asked.provider, asked.model)
            return ProviderResponse(response, None, self.sent)
        if response.status < FIRST_REFUSAL:
            usage.accepted(asked)
        return ProviderResponse(response, UsageChunkFilter(), self.sent)

    async def _with_usage(self) -> bytes | None:
        """The body that requests the usage; None if it stays as it is."""
        most = self._bridge.settings.max_body_bytes
        body = await plain_body(self._handler.body, encoding_of(self._handler), most)
        return with_usage(body, self._summary.stream_options)

    def _settle_failed(self, to: Destination, error: CircuitOpenError | UpstreamError) -> None:
        if isinstance(error, CircuitOpenError):
            said = ProviderError(type=EndReason.CIRCUIT_OPEN.value, message=str(error))
            self._tries.append(Try(provider_name=to.provider.name, error=said))
        else:
            self.settle(CallOutcome.FAILURE)

    def settle(self, outcome: CallOutcome) -> None:
        """Report the outcome to the circuit of the last tried provider, once."""
        permit, self._permit = self._permit, None
        if permit is not None:
            permit.settle(outcome)


def _asks_for_another(status: int) -> bool:
    """Whether a provider cannot answer now, so that another one may. It refuses by its own rules otherwise."""
    return status == TOO_MANY_REQUESTS or status >= FIRST_SERVER_ERROR


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
    """Destinations at other providers that serve the same path and model and that the caller may use."""
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
