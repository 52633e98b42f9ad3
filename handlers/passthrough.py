"""Allow-listed routes that are relayed and not recorded."""

from __future__ import annotations

from handlers.relay import RelayHandler
from upstream.client import UpstreamError


class PassthroughHandler(RelayHandler):
    """Relays any method of a route that costs nothing worth recording."""

    async def serve(self) -> None:
        """Relay.

        Raises:
            Problem: the upstream gave no answer, or no whole one.
        """
        self.bridge.metrics.passthrough(self.provider.name, self.route.pattern, self.request.method or "")
        self.choose_key(self.route.pattern)
        try:
            response = await self.open_upstream()
            try:
                await self.relay(response, lambda _piece: None)
            finally:
                response.close()
        except UpstreamError as error:
            raise self.upstream_problem(error) from error
