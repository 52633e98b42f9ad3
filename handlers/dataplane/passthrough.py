"""Allow-listed routes that are relayed and not recorded."""

from __future__ import annotations

import asyncio
from urllib.parse import unquote

from handlers.control import database_problems
from handlers.dataplane.relay import RelayHandler
from handlers.problems import Problem
from intercept.refusals import Rule
from upstream.client import UpstreamError
from upstream.routes import Audience

OWN_KEY_ONLY = "Conversations need your own key: with a key of the bridge every user could read every conversation."
NOT_YOURS = "No recorded response of yours has this id. With your own key you can use any response."
# A response is recorded when it has ended, which another process may not have written down yet.
WRITTEN_SECONDS = 1.0


class PassthroughHandler(RelayHandler):
    """Relays a route that costs nothing worth recording."""

    async def admit(self) -> None:
        """Admit, but with a key of the bridge only to what is the user's own.

        Raises:
            Problem: 403 where only an own key gives access, 404 for a response that is not the user's, 503 when that cannot
                be known now, and as before.
            OverloadedError: concurrency or rate.
        """
        await super().admit()
        if self.credentials.own_key is not None or self.route.audience is Audience.EVERYBODY:
            return
        if self.route.audience is Audience.OWN_KEY:
            raise Problem(403, OWN_KEY_ONLY, rule=Rule.OWN_KEY_NEEDED)
        with database_problems():
            if not await self._is_own(unquote(self.route.id_in(self.path))):
                raise Problem(404, NOT_YOURS, rule=Rule.NOT_YOUR_RESPONSE)

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
                await self.relay(response)
            finally:
                response.close()
        except UpstreamError as error:
            raise self.upstream_problem(error) from error

    async def _is_own(self, response_id: str) -> bool:
        """Whether a recorded call of the user's got this response; what is still to be written is waited for."""
        asked = (self.identity.user.id, self.provider.name, response_id)
        if await self.bridge.interceptions.has_response(*asked):
            return True
        await self.bridge.recorder.flush(WRITTEN_SECONDS)
        if await self.bridge.interceptions.has_response(*asked):
            return True
        await asyncio.sleep(WRITTEN_SECONDS)
        return await self.bridge.interceptions.has_response(*asked)
