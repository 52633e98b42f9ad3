"""Stored responses of OpenAI's and interactions of Google's: passed on.

One that ran in the background is recorded as a call once it has ended, once.

The call that began such a response got an answer without tokens. Whoever asks for the response until it has ended gets them.
"""

from __future__ import annotations

import asyncio
import logging
from urllib.parse import unquote

from msgspec.structs import replace

from handlers.dataplane.call import Call
from handlers.dataplane.proxy import ProxyHandler
from handlers.dataplane.services.ownership import WRITTEN_SECONDS
from handlers.dataplane.services.passthrough import OK, Passthrough, Teller
from handlers.dataplane.shared import background_id
from handlers.dataplane.summary import start_of
from handlers.dataplane.upstream_request import UpstreamRequest
from handlers.problems import Problem
from intercept.apis import Api, RequestSummary
from intercept.dialects.request_bodies import UNNAMED_MODEL
from intercept.records import Reading, StartRecord
from intercept.tags import together
from storage.mongo.database import DatabaseUnavailableError
from upstream.client import UpstreamResponse
from upstream.routes import STORED_RESPONSES

logger = logging.getLogger(__name__)


class StoredResponse(Passthrough):
    """The service of the routes of one stored response."""

    tells_usage = True

    async def relay(self, handler: ProxyHandler, response: UpstreamResponse, sent: UpstreamRequest) -> None:
        """Relay, and record a response that has ended in the background.

        Raises:
            UpstreamError: the provider's response broke off.
        """
        if response.status != OK:
            await super().relay(handler, response, sent)
            return
        response_id = unquote(self._to.route.id_in(self._to.path))
        api = STORED_RESPONSES[self._to.route.pattern]

        def watch(fetched: UpstreamResponse) -> Teller:
            summary = RequestSummary(model=api.name, stream=fetched.is_event_stream, previous_response_id=response_id)
            teller = _Fetched(handler, api, start_of(handler, self._to, api, summary, sent), response_id)
            teller.call.head(fetched)
            return teller

        await self.relay_teller(handler, response, watch)


class _Fetched(Teller):
    """Watches a response that was stored, and records it.

    Args:
        handler: Of the request.
        api: What the response is one of.
        template: The start of its record, but for what only the response tells.
        response_id: Which response it is.

    Attributes:
        call: That of the response.
    """

    def __init__(self, handler: ProxyHandler, api: Api, template: StartRecord, response_id: str) -> None:
        self._handler = handler
        self._response_id = response_id
        id_ = background_id(template.initiator_id, template.provider_name, response_id)
        self.call = Call(handler, replace(template, id=id_), api)

    def watch(self, piece: bytes) -> bool:
        """Read a piece."""
        self.call.watch(piece)
        return True

    async def finish(self) -> bool:
        """Record the response if it has ended and nobody else has recorded what it used."""
        reading = self.call.reading()
        if reading.background_model and reading.token_usages and reading.response_id == self._response_id:
            await self._record_once(reading)
        return reading.complete or reading.open_ended or self._handler.request.method == "HEAD"

    async def _record_once(self, reading: Reading) -> None:
        fetched = self._handler.bridge.fetched
        if not fetched.claim(self.call.start.id):
            return
        try:
            await self._record(reading)
        except (DatabaseUnavailableError, Problem) as error:
            fetched.give_back(self.call.start.id)
            logger.warning("a background response is recorded when it is fetched again: %s", error.__cause__ or error)

    async def _record(self, reading: Reading) -> None:
        bridge, call, template = self._handler.bridge, self.call, self.call.start
        names = template.initiator_id, template.provider_name, self._response_id
        usage = await bridge.interceptions.find_usage(*names)
        if usage.is_awaited:  # by a stream of the response: another process may not have written down its end yet
            await asyncio.sleep(WRITTEN_SECONDS)
            usage = await bridge.interceptions.find_usage(*names)
        if usage.is_told:
            return
        named = reading.background_model if reading.background_model != UNNAMED_MODEL else ""
        call.start = replace(
            template,
            model=named or usage.model or UNNAMED_MODEL,
            client_session_id=usage.client_session_id or template.client_session_id,
            tags=together(template.tags, usage.tags),
        )
        await call.begin()
        # The times are those of the fetch, and tell nothing of how fast the provider was.
        call.end(replace(call.ending(), first_byte_at=None))
