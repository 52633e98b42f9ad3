"""Stored responses of OpenAI's and interactions of Google's: passed on.

One that ran in the background is recorded as a call once it has ended, once.

The call that began such a response got an answer without tokens. Whoever asks for the response until it has ended gets them.
"""

from __future__ import annotations

import asyncio
import logging
from urllib.parse import unquote

from msgspec.structs import replace

from handlers.dataplane.call_usage import charge_fetched
from handlers.dataplane.observation import Observation
from handlers.dataplane.proxy import ProxyHandler
from handlers.dataplane.services.ownership import WRITTEN_SECONDS
from handlers.dataplane.services.passthrough import OK, Passthrough, Teller
from handlers.dataplane.shared.fetched import background_id
from handlers.dataplane.summary import start_of
from handlers.dataplane.upstream_request import UpstreamRequest
from handlers.identity.credentials import secrets_of
from intercept.apis import Api, RequestSummary
from intercept.callers.tags import together
from intercept.dialects.request_bodies import UNNAMED_MODEL
from intercept.records import Interception, Reading
from storage.mongo.database import DatabaseUnavailableError
from storage.recording.recorder import RecordingUnavailableError
from upstream.client import UpstreamResponse
from upstream.routes.route_tables import STORED_RESPONSES

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
            teller.observation.head(fetched)
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
        observation: Of the response.
    """

    def __init__(self, handler: ProxyHandler, api: Api, template: Interception, response_id: str) -> None:
        self._handler = handler
        self._response_id = response_id
        self._secrets = handler.bridge.secrets.together_with(secrets_of(handler.credentials))
        id_ = background_id(template.initiator_id, template.provider_name, response_id)
        self._template = replace(template, id=id_)
        self.observation = Observation(
            id_, api, now=handler.bridge.now, secrets=self._secrets, keep_text=template.keeps_response
        )

    def watch(self, piece: bytes) -> bool:
        """Read a piece."""
        self.observation.chunk(piece)
        return True

    async def wants_rest(self) -> bool:
        """Always: what it used stands at its end."""
        return True

    async def finish(self) -> bool:
        """Record the response if it has ended and nobody else has recorded what it used."""
        reading = self.observation.reading()
        if reading.background_model and reading.token_usages and reading.response_id == self._response_id:
            await self._record_once(reading)
        return reading.complete or reading.open_ended or self._handler.request.method == "HEAD"

    async def _record_once(self, reading: Reading) -> None:
        fetched = self._handler.bridge.fetched
        if not fetched.claim(self._template.id):
            return
        try:
            await self._record(reading)
        except (DatabaseUnavailableError, RecordingUnavailableError) as error:
            fetched.give_back(self._template.id)
            logger.warning("a background response is recorded when it is fetched again: %s", error)

    async def _record(self, reading: Reading) -> None:
        handler, bridge, template = self._handler, self._handler.bridge, self._template
        names = template.initiator_id, template.provider_name, self._response_id
        usage = await bridge.interceptions.find_usage(*names)
        if usage.is_awaited:  # by a stream of the response: another process may not have written down its end yet
            await asyncio.sleep(WRITTEN_SECONDS)
            usage = await bridge.interceptions.find_usage(*names)
        if usage.is_told:
            return
        named = reading.background_model if reading.background_model != UNNAMED_MODEL else ""
        start: Interception = self._secrets.hide(
            replace(
                template,
                model=named or usage.model or UNNAMED_MODEL,
                client_session_id=usage.client_session_id or template.client_session_id,
                tags=together(template.tags, usage.tags),
            )
        )
        await bridge.recorder.start(start)
        bridge.begin(start)
        # The times are those of the fetch, and tell nothing of how fast the provider was.
        ending = replace(self.observation.ending(None), first_byte_at=None)
        charge_fetched(handler, ending.reading, bridge.end(handler.identity.user, start, ending))
