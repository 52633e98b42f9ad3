"""An operation that waits to be written, and what the one who waits for it is told."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from storage.recording.operations import Operation
from storage.recording.write_ahead_log import LogFile


class RecordingUnavailableError(Exception):
    """A start is not durable, so its call must not be made. The text may be shown to the client.

    `maybe_written` says that the database was asked to write it and did not answer: it may be there all the same.
    """

    def __init__(self, reason: str, *, maybe_written: bool = False) -> None:
        super().__init__(f"Recording is unavailable: {reason}.")
        self.maybe_written = maybe_written


@dataclass(eq=False, slots=True)
class Entry:
    """An operation on its way, from `put` to the database or the journal.

    `answer` is set to None when it is durable, or to why it is not. An `optional` one may be left out. One that was
    `tried` was sent to the database before. `ahead` is where the write-ahead log has it.
    """

    operation: Operation
    answer: asyncio.Future[RecordingUnavailableError | None] | None = None
    optional: bool = False
    tried: bool = False
    ahead: tuple[LogFile, ...] = ()

    @property
    def size(self) -> int:
        """Its bytes."""
        return len(self.operation.record)

    @property
    def waited_for(self) -> bool:
        """Whether someone still waits."""
        return self.answer is not None and not self.answer.done()

    @property
    def urgent(self) -> bool:
        """Whether it must be kept, as nobody would hear that it was not."""
        return not self.optional and not self.waited_for

    def accept(self) -> None:
        """Say that it is durable."""
        if self.answer is not None and not self.answer.done():
            self.answer.set_result(None)

    def refuse(self, reason: str) -> None:
        """Say that it is not."""
        if self.answer is not None and not self.answer.done():
            self.answer.set_result(RecordingUnavailableError(reason, maybe_written=self.tried))
