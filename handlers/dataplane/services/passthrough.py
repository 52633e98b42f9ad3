"""Allow-listed routes that are relayed and not recorded."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from urllib.parse import unquote

from msgspec.structs import replace

from handlers.dataplane.admission import admit, expect_form
from handlers.dataplane.proxy import ProxyHandler
from handlers.dataplane.relay import Relay, Watcher, finish
from handlers.dataplane.services.ownership import check_own
from handlers.dataplane.summary import streams_form
from handlers.dataplane.upstream_request import Destination, UpstreamRequest, check_destination, upstream_problem
from handlers.problems import Problem
from intercept.records import EndReason
from intercept.refusals import Rule
from limits.limit import NOTHING
from upstream.client import UpstreamError, UpstreamResponse
from upstream.routes import Audience

logger = logging.getLogger(__name__)

AGAIN_SECONDS = 10.0
"""How long the bridge fetches once more what a response tells that broke off."""
OK = 200
FREE = ("/cancel", "/input_tokens")
OWN_KEY_ONLY = "This needs your own key: with a key of the bridge every user could read what others store."


class Teller(Watcher):
    """Watches a response that tells what an earlier request used."""

    async def wants_rest(self) -> bool:
        """Always: what was used stands at the end."""
        return True

    async def finish(self) -> bool:
        """Record what it told; return whether it told everything: not where it broke off before."""
        raise NotImplementedError


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
        await admit(handler, is_free=self.route_pattern.endswith(FREE) and not self.tells_usage)
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

    async def relay_teller(
        self, handler: ProxyHandler, response: UpstreamResponse, watch: Callable[[UpstreamResponse], Teller]
    ) -> None:
        """Relay a response that is watched. If it breaks off, the bridge fetches it once more for what it tells.

        Raises:
            UpstreamError: it broke off.
        """
        teller = watch(response)
        try:
            await Relay(handler).run(response, teller)
        finally:
            # A client that has all of it may leave now.
            await finish(self._hear(handler, teller, watch))

    async def _hear(self, handler: ProxyHandler, teller: Teller, watch: Callable[[UpstreamResponse], Teller]) -> None:
        if await teller.finish() or handler.stopped is EndReason.SERVER_SHUTDOWN:
            return
        whole = replace(self._to, path=self._to.path.removesuffix("/cancel"))
        try:
            async with asyncio.timeout(AGAIN_SECONDS):
                response = await UpstreamRequest(handler, whole, model=self.route_pattern, is_again=True).open()
                try:
                    if response.status == OK:
                        await self._hear_again(response, watch(response))
                finally:
                    response.close()
        except (UpstreamError, TimeoutError) as error:
            logger.info("provider=%s: what broke off cannot be fetched again: %s", self.provider_name, error)

    async def _hear_again(self, response: UpstreamResponse, teller: Teller) -> None:
        try:
            teller.watch(response.buffered())
            while not await response.stream_to(teller.watch):
                await teller.catch_up()
        finally:
            await teller.finish()
