"""Allow-listed routes that are relayed and not recorded."""

from __future__ import annotations

from urllib.parse import unquote

from handlers.dataplane.admission import admit, expect_form
from handlers.dataplane.proxy import ProxyHandler
from handlers.dataplane.relay import Relay
from handlers.dataplane.services.ownership import check_own
from handlers.dataplane.summary import streams_form
from handlers.dataplane.upstream_request import Destination, UpstreamRequest, check_destination, upstream_problem
from handlers.problems import Problem
from intercept.refusals import Rule
from limits.limit import NOTHING
from upstream.client import UpstreamError, UpstreamResponse
from upstream.routes.route import Audience

OWN_KEY_ONLY = "This needs your own key: with a key of the bridge every user could read what others store."


class Passthrough:
    """The service of a route that costs nothing worth recording.

    Attributes:
        tells_usage: Whether the response may tell what an earlier request used, which is charged to the one that fetches it.
    """

    takes_body = True
    tells_usage = False

    def __init__(self, to: Destination) -> None:
        self.provider_name = to.provider.name
        self.route_pattern = to.route.pattern
        self._to = to

    async def admit(self, handler: ProxyHandler) -> None:
        """Admit, but with a key of the bridge only to what is the user's own.

        Raises:
            Problem: 403 where only an own key gives access, 404 for a response that is not the user's, 503 when that cannot
                be known now, and as everywhere.
            OverloadedError: concurrency or rate.
        """
        if streams_form(handler, self._to):
            expect_form(handler, reads_fields=False, names_model=False)
        # A provider answers the cancellation of a response with all of it. That would be another way to fetch it.
        await admit(handler, cancels=self.route_pattern.endswith("/cancel") and not self.tells_usage)
        check_destination(handler, self._to)
        if self.tells_usage:
            await handler.count_call(lambda: NOTHING)
        audience = self._to.route.audience
        if handler.credentials.own_key is not None or audience is Audience.EVERYBODY:
            return
        if audience is Audience.OWN_KEY:
            raise Problem(403, OWN_KEY_ONLY, rule=Rule.OWN_KEY_NEEDED)
        await check_own(handler, self.provider_name, unquote(self._to.route.id_in(self._to.path)))

    async def serve(self, handler: ProxyHandler) -> None:
        """Relay.

        Raises:
            Problem: the upstream sent no response, or no whole one.
        """
        provider, route = self._to.provider, self._to.route
        handler.bridge.metrics.passthrough(provider.name, route.pattern, handler.request.method or "").inc()
        sent = UpstreamRequest(handler, self._to, model=route.pattern)
        try:
            response = await sent.open()
            try:
                await self.relay(handler, response, sent)
            finally:
                response.close()
        except UpstreamError as error:
            raise upstream_problem(handler, provider, error) from error

    async def relay(
        self,
        handler: ProxyHandler,
        response: UpstreamResponse,
        sent: UpstreamRequest,  # noqa: ARG002 - only who records calls needs it
    ) -> None:
        """Relay the provider's response to the request that was sent.

        Raises:
            UpstreamError: it broke off.
        """
        await Relay(handler).run(response)
