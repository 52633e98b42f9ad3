"""The results of batches: passed on, and each request of the batch recorded as a call, once.

A batch costs what its messages cost, which its results alone tell. They may be fetched again, by any process: the id of each
record follows from what names the request, so that a second fetch finds the records there.
"""

from __future__ import annotations

import asyncio
import logging
from uuid import UUID

from msgspec.structs import replace

from handlers.dataplane.call_usage import charge_fetched
from handlers.dataplane.proxy import ProxyHandler
from handlers.dataplane.relay import Relay
from handlers.dataplane.services.passthrough import OK, Passthrough, Teller
from handlers.dataplane.shared.fetched import fetched_id
from handlers.dataplane.shared.finishing import finish
from handlers.dataplane.summary import start_of
from handlers.dataplane.upstream_request import UpstreamRequest
from handlers.identity.credentials import secrets_of
from intercept.apis import Api, RequestSummary
from intercept.catalog import MESSAGES
from intercept.dialects import anthropic
from intercept.dialects.batch_lines import BatchResult, BatchResultLines, ReadLine
from intercept.formats.request_encoding import IDENTITY
from intercept.records import Ending, EndReason, Interception, Reading
from limits.limit import NOTHING
from storage.mongo.database import DatabaseUnavailableError
from upstream.client import UpstreamResponse

logger = logging.getLogger(__name__)

# How many results are recorded together. Meanwhile no more results are read.
RECORDED_TOGETHER = 100


class BatchResults(Passthrough):
    """The service of the route that has the results of a batch of Anthropic's.

    Attributes:
        api: By which the requests of a batch are recorded.
        read_line: Reads a line of the results.
    """

    tells_usage = True
    api: Api = MESSAGES
    read_line: ReadLine = staticmethod(anthropic.read_line)

    async def find_batch(self, handler: ProxyHandler) -> str | None:  # noqa: ARG002 - not all need it
        """The id of the batch of these results; None if they are not results."""
        return self._to.route.id_in(self._to.path)

    async def relay(self, handler: ProxyHandler, response: UpstreamResponse, sent: UpstreamRequest) -> None:
        """Relay and record the results.

        Raises:
            UpstreamError: the provider's response broke off.
        """
        encoding = response.header("Content-Encoding").strip().lower() or IDENTITY
        batch_id = None
        if response.status == OK and handler.request.method == "GET" and encoding == IDENTITY:
            batch_id = await self.find_batch(handler)
        if batch_id is None:
            await Relay(handler).run(response)
            return
        template = start_of(handler, self._to, self.api, RequestSummary(model=self.api.name), sent)
        # All of a batch are one session.
        template = replace(template, client_session_id=batch_id)
        await self.relay_teller(handler, response, lambda _: _Results(handler, template, self.read_line))


class _Results(Teller):
    """Watches results, and records them."""

    def __init__(self, handler: ProxyHandler, template: Interception, read_line: ReadLine) -> None:
        self._handler = handler
        self._bridge = bridge = handler.bridge
        self._batch_id = template.client_session_id or ""
        self._secrets = secrets = bridge.secrets.together_with(secrets_of(handler.credentials))
        self._template: Interception = secrets.hide(template)
        self._lines = BatchResultLines(read_line)
        self._unrecorded: list[BatchResult] = []
        self._used = NOTHING

    def watch(self, piece: bytes) -> bool:
        """Read a piece; `catch_up` records it."""
        self._unrecorded += self._lines.feed(piece)
        return len(self._unrecorded) < RECORDED_TOGETHER

    async def catch_up(self) -> None:
        """Record what has been read, if it is enough."""
        if len(self._unrecorded) >= RECORDED_TOGETHER:
            await finish(self._record())

    async def wants_rest(self) -> bool:
        """Always: what a request of the batch has used stands at the end of its line."""
        return True

    async def finish(self) -> bool:
        """Record what is left, after the end of the body; return whether no line was cut."""
        was_cut = self._lines.is_within_line
        last = self._lines.end()
        self._unrecorded += last
        if self._lines.skipped:
            logger.warning("%d results of a batch are too long to read", self._lines.skipped)
        await self._record()
        return bool(last) or not was_cut

    async def _record(self) -> None:
        results, self._unrecorded = self._unrecorded, []
        named = {id_: result for result in results if self._bridge.fetched.claim(id_ := self._id_of(result))}
        for id_ in await self._recorded(list(named)):
            named.pop(id_, None)
        pairs = [
            (self._secrets.hide(replace(self._template, id=id_, model=one.model)), one) for id_, one in named.items()
        ]
        starts = [self._bridge.recorder.start(start) for start, _ in pairs]
        failures = await asyncio.gather(*starts, return_exceptions=True)
        for (start, result), failure in zip(pairs, failures, strict=True):
            if failure is None:
                self._end(start, result)
            else:
                self._bridge.fetched.give_back(start.id)
        if failed := list(filter(None, failures)):
            logger.warning(
                "results of a batch cannot be recorded now; they are when it is fetched again: %d", len(failed),
                exc_info=failed[0],
            )  # fmt: skip

    def _id_of(self, result: BatchResult) -> UUID:
        named = self._template.provider_name, self._batch_id, result.custom_id, result.response_id
        return fetched_id(*named)

    async def _recorded(self, ids: list[UUID]) -> set[UUID]:
        """Which of them have been recorded; none where that is not known, for a record that is there stays as it is."""
        try:
            return await self._bridge.interceptions.ended_ones(ids)
        except DatabaseUnavailableError:
            return set()

    def _end(self, start: Interception, result: BatchResult) -> None:
        bridge = self._bridge
        reading = Reading(response_id=result.response_id, complete=True, token_usages=result.usages)
        ending = Ending(
            interception_id=start.id,
            end_reason=EndReason.COMPLETED,
            ended_at=bridge.now(),
            upstream_status=OK,
            reading=self._secrets.hide(reading),
        )
        bridge.begin(start)
        cost = bridge.end(self._handler.identity.user, start, ending)
        self._used = charge_fetched(self._handler, ending.reading, cost, self._used)
