"""Answers that say how far they are, where they take long: lines of progress, and at last the result."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import ClassVar, Final, TypeAlias

import msgspec
from tornado.iostream import StreamClosedError

from handlers.api.recorded.watched import WatchedHandler
from handlers.lifecycle import SHUTTING_DOWN
from handlers.problems import Problem, ValidationProblem
from resources.recorded.groups import ReadingProgress
from storage.queries.grouped.grouped import STREAM_SECONDS
from storage.queries.grouped.row_reader import OnProgress, Progress

LINES: Final = "application/x-ndjson"

Read: TypeAlias = Callable[[OnProgress, float | None], Awaitable[msgspec.Struct]]
"""Reads an answer: tells how far it is, and may take so many seconds; None is the usual time."""


class ToldHandler(WatchedHandler):
    """A resource that reads records for its answer.

    With `Accept: application/x-ndjson` an answer is lines: how far the records are read, and at last the result. It may take
    longer then.

    Attributes:
        read_per_second: About how many records the database reads for it in a second.
    """

    read_per_second: ClassVar[int]
    _began = 0.0

    def end(self) -> None:
        """Break the answer off."""
        self.cut()

    async def write_told(self, read: Read) -> None:
        """Answer with what is read: in one piece, or in lines where the client accepts those.

        Raises:
            ValidationProblem: it would take too long.
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
            raise Problem(503, SHUTTING_DOWN, {"Connection": "close", "Retry-After": "1"})
        self.bridge.lifecycle.enter(self)
        self._began = self.bridge.monotonic()
        try:
            async with self.watched():
                found = await read(self._tell, STREAM_SECONDS)
        except ValidationProblem as problem:
            if not self.cycle.started:
                raise
            self.write(b'{"error":' + self.error_body(problem) + b"}\n")
            return
        self.set_header("Content-Type", LINES)
        self.write(msgspec.json.encode({"result": found}) + b"\n")

    async def _tell(self, progress: Progress) -> None:
        await self.check_client(progress)
        self.set_header("Content-Type", LINES)
        shown = ReadingProgress.of_records(*progress, self.bridge.monotonic() - self._began, self.read_per_second)
        self.write(msgspec.json.encode({"progress": shown}) + b"\n")
        await self.send()
