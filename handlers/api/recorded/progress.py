"""Responses that take long: lines with the progress, and at last the result."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import ClassVar, TypeAlias

import msgspec
from tornado.iostream import StreamClosedError

from handlers.api.recorded.watched import WatchedHandler
from handlers.operations.long_response import LINES
from handlers.problems import stopping
from resources.recorded.statistics import ReadingProgress
from storage.queries.questions.questions import STREAM_SECONDS
from storage.queries.questions.reading import OnProgress, Progress

Read: TypeAlias = Callable[[OnProgress, float | None], Awaitable[msgspec.Struct]]
"""Reads a result. It reports its progress and may take this many seconds; None is the usual time."""


class ProgressHandler(WatchedHandler):
    """A resource that reads records for its result.

    With `Accept: application/x-ndjson` the response is lines: the progress, and at last the result. It may take longer then.

    Attributes:
        read_per_second: About how many records the database reads for it in a second.
    """

    read_per_second: ClassVar[int]
    _began = 0.0

    async def write_with_progress(self, read: Read) -> None:
        """Respond with the result: in one piece, or in lines if the client accepts them.

        Raises:
            TooMuchError: it would take too long.
            Problem: 503, the server stops.
        """
        if LINES in self.request.headers.get("Accept", ""):
            await self._write_lines(read)
        else:
            self.write_json(await read(self.check_client, None))

    async def check_client(self, _progress: Progress) -> None:
        """End the reading when the client has left."""
        if self.cycle.ended:
            raise StreamClosedError

    async def _write_lines(self, read: Read) -> None:
        if self.bridge.lifecycle.draining:
            raise stopping()
        self.bridge.lifecycle.enter(self)
        self._began = self.bridge.monotonic()
        with self.late_problems():
            async with self.watched():
                found = await read(self._write_progress, STREAM_SECONDS)
            self.set_header("Content-Type", LINES)
            self.write(msgspec.json.encode({"result": found}) + b"\n")

    async def _write_progress(self, progress: Progress) -> None:
        await self.check_client(progress)
        self.set_header("Content-Type", LINES)
        progress_so_far = ReadingProgress.of_records(
            *progress, self.bridge.monotonic() - self._began, self.read_per_second
        )
        self.write(msgspec.json.encode({"progress": progress_so_far}) + b"\n")
        await self.send()
