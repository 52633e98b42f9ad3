"""OpenAI's batches: their output is a file; the state of the batch has its id.

The record of the call that made a batch is given the ids of its files. So they are the user's own, and when one is fetched,
what it tells is known to be the output of a batch, not what a user has written.
"""

from __future__ import annotations

import asyncio
import logging
from urllib.parse import unquote

from handlers.dataplane.proxy import ProxyHandler
from handlers.dataplane.relay import Relay, Watcher
from handlers.dataplane.services.batch_results import BatchResults
from handlers.dataplane.services.passthrough import OK, Passthrough
from handlers.dataplane.upstream_request import UpstreamRequest
from intercept.catalog import CHAT_COMPLETIONS
from intercept.dialects.openai import batches
from intercept.dialects.openai.batches import MAX_BATCH_BYTES
from storage.mongo.database import DatabaseUnavailableError
from storage.recording.batch_files import batch_of_file, note_files
from upstream.client import UpstreamResponse

logger = logging.getLogger(__name__)


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
            await note_files(handler.bridge.database, handler.identity.user.id, self.provider_name, batch_id, files)
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
            return await batch_of_file(handler.bridge.database, handler.identity.user.id, self.provider_name, file_id)
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
