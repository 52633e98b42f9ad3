"""Batches: their results are passed on, and each request of a batch is recorded as a call, once.

A batch costs what its messages cost, which its results alone tell. They may be fetched again, by any process: the id of each
record follows from what names the request, so that a second fetch finds the records there.

Of OpenAI's the output is a file, whose id the state of the batch has. The record of the call that made a batch is given the
ids of its files. So they are the user's own, and when one is fetched, what it tells is known to be the output of a batch, not
what a user has written.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from urllib.parse import unquote
from uuid import UUID

from msgspec.structs import replace

from handlers.dataplane.call import Call
from handlers.dataplane.proxy import ProxyHandler
from handlers.dataplane.relay import Relay, Watcher, finish
from handlers.dataplane.services.passthrough import OK, Passthrough, Teller
from handlers.dataplane.shared import fetched_id
from handlers.dataplane.summary import start_of
from handlers.dataplane.upstream_request import UpstreamRequest
from intercept.apis import Api, RequestSummary
from intercept.catalog import CHAT_COMPLETIONS, MESSAGES
from intercept.dialects import anthropic
from intercept.dialects.batch_lines import BatchResult, BatchResultLines, ReadLine
from intercept.dialects.openai import batches
from intercept.dialects.openai.batches import MAX_BATCH_BYTES
from intercept.formats.content_encoding import IDENTITY
from intercept.records import Reading, StartRecord
from limits.limit import NOTHING, Amounts
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
        charged = _Charged(handler)
        await self.relay_teller(handler, response, lambda _: _Results(charged, self.api, template, self.read_line))


class _Charged:
    """Charges what all results of a batch used to the request that fetches them, also where it fetches them again.

    Attributes:
        handler: Of that request.
    """

    def __init__(self, handler: ProxyHandler) -> None:
        self.handler = handler
        self._used = NOTHING

    @property
    def is_charged(self) -> bool:
        """Whether a limit counts what the batch has used."""
        return self.handler.is_charged

    async def count_call(self, reserve: Callable[[], Amounts]) -> None:
        """Nothing: the request that fetches the results was counted."""

    def charge(self, amounts: Amounts, reserve: Amounts | None = None) -> None:  # noqa: ARG002 - nothing is reserved
        """Charge what one more request of the batch has used."""
        used = self._used
        self._used = Amounts(used.tokens + amounts.tokens, used.micro_dollars + amounts.micro_dollars)
        self.handler.charge(self._used)


class _Results(Teller):
    """Watches results, and records them."""

    def __init__(self, charged: _Charged, api: Api, template: StartRecord, read_line: ReadLine) -> None:
        self._charged = charged
        self._bridge = charged.handler.bridge
        self._api = api
        self._batch_id = template.client_session_id or ""
        self._template = template
        self._lines = BatchResultLines(read_line)
        self._unrecorded: list[BatchResult] = []

    def watch(self, piece: bytes) -> bool:
        """Read a piece; `catch_up` records it."""
        self._unrecorded += self._lines.feed(piece)
        return len(self._unrecorded) < RECORDED_TOGETHER

    async def catch_up(self) -> None:
        """Record what has been read, if it is enough."""
        if len(self._unrecorded) >= RECORDED_TOGETHER:
            await finish(self._record())

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
        calls = [self._call(id_, result) for id_, result in named.items()]
        failures = await asyncio.gather(*[call.begin() for call in calls], return_exceptions=True)
        for call, result, failure in zip(calls, named.values(), failures, strict=True):
            if failure is None:
                reading = Reading(response_id=result.response_id, complete=True, token_usages=result.usages)
                call.end(call.ending(reading=reading))
            else:
                self._bridge.fetched.give_back(call.start.id)
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

    def _call(self, id_: UUID, result: BatchResult) -> Call:
        start = replace(self._template, id=id_, model=result.model)
        call = Call(self._charged.handler, start, self._api, self._charged)
        call.status = OK
        return call


class BatchState(Passthrough):
    """The service of the route for the state of a batch."""

    async def relay(
        self,
        handler: ProxyHandler,
        response: UpstreamResponse,
        sent: UpstreamRequest,  # noqa: ARG002 - nothing is recorded
    ) -> None:
        """Relay, and note the files that the batch has put out."""
        beginning = _Beginning()
        await Relay(handler).run(response, beginning)
        if response.status != OK:
            return
        batch_id, files = batches.read_files(bytes(beginning.body))
        if files and batch_id == unquote(self._to.route.id_in(self._to.path)):
            # A client that has the whole response may leave now.
            await asyncio.shield(self._note(handler, batch_id, files))

    async def _note(self, handler: ProxyHandler, batch_id: str, files: list[str]) -> None:
        try:
            await handler.bridge.interceptions.note_files(handler.identity.user.id, self.provider_name, batch_id, files)
        except DatabaseUnavailableError as error:
            logger.warning("the files of a batch are stored at its next request: %s", error)


class FileContent(BatchResults):
    """The service of the route that has the content of a file, which may be the output of a batch."""

    api = CHAT_COMPLETIONS
    read_line = staticmethod(batches.read_line)

    async def find_batch(self, handler: ProxyHandler) -> str | None:
        """The batch whose output the file is, as far as that is known."""
        file_id = unquote(self._to.route.id_in(self._to.path))
        try:
            return await handler.bridge.interceptions.batch_of_file(
                handler.identity.user.id, self.provider_name, file_id
            )
        except DatabaseUnavailableError as error:
            logger.warning("the results of a batch file are recorded when it is fetched again: %s", error)
            return None


class _Beginning(Watcher):
    """Watches a response, and keeps its beginning."""

    def __init__(self) -> None:
        self.body = bytearray()

    def watch(self, piece: bytes) -> bool:
        self.body += piece[: MAX_BATCH_BYTES - len(self.body)]
        return True
