"""Long responses: they end when their user may no longer have them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from handlers.api.recorded.visibility import VisibilityHandler
from handlers.lifecycle import ActiveRequest
from handlers.operations.long_response import TOO_MANY_EXPORTS_OF_USER, WATCH_SECONDS
from handlers.problems import Problem, stopping
from intercept.records import EndReason

logger = logging.getLogger(__name__)


class WatchedHandler(VisibilityHandler):
    """A resource whose answer may last for hours. Between `enter` of the lifecycle and its end, `watched` is around it."""

    def end(self) -> None:
        """End the response now, so that it does not look complete. It is called once more when it has ended."""
        self.cut()

    def begin_export(self) -> None:
        """Hold the user's share of long requests, and end with the server.

        Raises:
            Problem: 429, the user has another one in progress; 503, the server stops.
        """
        if self.bridge.lifecycle.draining:
            raise stopping()
        self.acquire_share("user_exports", self.bridge.shares.exports, TOO_MANY_EXPORTS_OF_USER)
        self.bridge.lifecycle.enter(self)

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """End the response when its token was revoked or expired, its session has ended, or its user was removed or changed.

        That takes `WATCH_SECONDS` and the time for which tokens are cached. Reading the demo company takes no such time.
        """
        if self.bridge.real is not None:
            yield
            return
        watch = asyncio.create_task(self._watch())  # noqa: TID251 - ends the response also where it fails
        try:
            yield
        finally:
            watch.cancel()

    @contextmanager
    def late_problems(self) -> Iterator[None]:
        """Once lines have been sent, say in the last one what went wrong.

        Raises:
            Exception: nothing has been sent, or it is unexpected.
        """
        try:
            yield
        except Exception as error:
            problem = self.problem_of(error)
            if problem is None or not self.cycle.started:
                raise
            self.write(b'{"error":' + self.error_body(problem) + b"}\n")

    async def _watch(self) -> None:
        try:
            identity = self.identity
            while identity.user == self.identity.user:
                await asyncio.sleep(WATCH_SECONDS)
                identity = await self.authenticate(self.read_credentials())
        except Problem:
            pass
        except Exception:
            logger.exception("unexpected error: request_id=%s", self.request_id)
        self.end()  # unless it was cancelled: then the response has ended by itself

    def stop(self, reason: EndReason) -> None:  # noqa: ARG002 - to the client it is the same whatever it was
        """End, as the client left or the server stops."""
        self.end()

    def holding(self) -> ActiveRequest | None:
        """Nothing: it takes no slot."""
        return None

    def on_finish(self) -> None:
        """The response has ended."""
        super().on_finish()
        self.bridge.lifecycle.leave(self)
