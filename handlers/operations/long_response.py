"""Responses that take long: they end when nobody waits for them any more, and when their user may no longer have them."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

import msgspec
from tornado.iostream import StreamClosedError

from handlers.operations.operation import Download, Operation
from handlers.problems import Problem, stopping
from intercept.records import EndReason
from resources.fields import shown

if TYPE_CHECKING:
    from handlers.operations.handler import OperationHandler

logger = logging.getLogger(__name__)

LINES: Final = "application/x-ndjson"
"""The media type of lines of progress, and at last the result."""

TOO_MANY_EXPORTS_OF_USER = (
    "You have {} export in progress, the maximum for one user. Please try again when it has ended."
)

WATCH_SECONDS = 5.0
"""How often the token or session and the user of a long response are checked again."""


class LongResponse:
    """A response that may take long, and the `Report` of its operation.

    With `Accept: application/x-ndjson` it is lines: the progress, and at last the result or what went wrong.
    """

    def __init__(self, handler: OperationHandler) -> None:
        self._handler = handler
        self._until_left: asyncio.Timeout | None = None
        self.in_lines = LINES in handler.request.headers.get("Accept", "")

    async def __call__(self, progress: float | None = None) -> None:
        """Send how far it is, from 0 to 1, if the client takes lines.

        Raises:
            StreamClosedError: The client has left.
        """
        if self._handler.cycle.ended:
            raise StreamClosedError
        if progress is not None and self.in_lines:
            self._handler.set_header("Content-Type", LINES)
            self._handler.write(msgspec.json.encode({"progress": round(progress, 4)}) + b"\n")
            await self._handler.send()

    async def run(self, operation: Operation, arguments: dict[str, Any]) -> None:
        """Run an operation and send its answer.

        It ends when its token was revoked or expired, its session has ended, or its user was removed or changed. That
        takes `WATCH_SECONDS` and the time for which tokens are cached. Reading the demo company takes no such time.

        Raises:
            StreamClosedError: The client has left.
            Problem: 429, the user has another one in progress; 503, the server stops.
        """
        handler, bridge = self._handler, self._handler.bridge
        if bridge.lifecycle.draining:
            raise stopping()
        if operation.shares:
            handler.acquire_share("user_exports", bridge.shares.exports, TOO_MANY_EXPORTS_OF_USER)
        if handler.cycle.ended:
            raise StreamClosedError
        bridge.lifecycle.enter(self)
        is_watched = bridge.real is None
        watch = asyncio.create_task(self._watch()) if is_watched else None  # noqa: TID251 - ends the response also where it fails
        try:
            async with asyncio.timeout(None) as self._until_left:
                await self._answer(operation, arguments)
        except TimeoutError as error:
            if self._until_left is None or not self._until_left.expired():
                raise
            raise StreamClosedError from error
        finally:
            if watch is not None:
                watch.cancel()

    async def _answer(self, operation: Operation, arguments: dict[str, Any]) -> None:
        handler = self._handler
        try:
            answer = await operation.function(**arguments)
            if "report" in operation.hints and self.in_lines and not isinstance(answer, Download):
                handler.set_header("Content-Type", LINES)
                handler.write(msgspec.json.encode({"result": shown(answer)}) + b"\n")
            else:
                await handler.answer(operation, answer)
        except Exception as error:
            problem = handler.problem_of(error)
            if problem is None or not (self.in_lines and handler.cycle.started):
                raise
            handler.write(b'{"error":' + handler.error_body(problem) + b"}\n")

    async def _watch(self) -> None:
        handler = self._handler
        try:
            identity = handler.identity
            while identity.user == handler.identity.user:
                await handler.bridge.pause(WATCH_SECONDS)
                identity = await handler.authenticate(handler.read_credentials())
        except Problem:
            pass
        except Exception:
            logger.exception("unexpected error: request_id=%s", handler.request_id)
        handler.cut()  # unless it was cancelled: then the response has ended by itself

    def leave(self) -> None:
        """The client has left: what is read for it ends."""
        if self._until_left is not None and not self._until_left.expired():
            self._until_left.reschedule(0)

    def stop(self, reason: EndReason) -> None:  # noqa: ARG002 - to the client it is the same whatever it was
        """Close the connection, as the server stops: so the response does not look complete."""
        self._handler.cut()
