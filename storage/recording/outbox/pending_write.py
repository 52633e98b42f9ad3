"""An operation that waits to be written, and the result for the caller that waits for it."""

from __future__ import annotations

import asyncio
from enum import StrEnum

from msgspec import Struct

from storage.recording.operations import Operation
from storage.recording.outbox.spool import SpoolFile


class RecordPolicy(StrEnum):
    """What becomes of a start while the database is unavailable: it is refused, or the spool has it."""

    STRICT = "strict"
    SPOOL = "spool"


class RecordingUnavailableError(Exception):
    """A start is not durable, so its call must not be made. The text may be shown to the client.

    `maybe_written` says that it was sent to the database or the disk, which did not confirm it: it may be there all the same.
    """

    def __init__(self, reason: str, *, maybe_written: bool = False) -> None:
        super().__init__(f"Recording is unavailable: {reason}.")
        self.maybe_written = maybe_written


class PendingWrite(Struct, eq=False):
    """An operation in memory, until the database has it, or only the spool.

    Attributes:
        result: Set to None when it is durable, or to the reason why it is not; None if nothing waits.
        optional: It may be dropped.
        tried: It was sent to the database before.
        file: Where the spool has it; None if it has not.
        due_at: When a start stops to wait for its end, in seconds of the event loop.
    """

    operation: Operation
    result: asyncio.Future[RecordingUnavailableError | None] | None = None
    optional: bool = False
    tried: bool = False
    file: SpoolFile | None = None
    due_at: float = 0.0

    @property
    def size(self) -> int:
        """Its bytes."""
        return len(self.operation.record)

    @property
    def waited_for(self) -> bool:
        """Whether a caller still waits."""
        return self.result is not None and not self.result.done()

    @property
    def urgent(self) -> bool:
        """Whether it must be kept, as no caller would learn of its loss."""
        return not self.optional and not self.waited_for

    def accept(self) -> None:
        """Set the result: it is durable."""
        if self.result is not None and not self.result.done():
            self.result.set_result(None)

    def refuse(self, reason: str) -> None:
        """Set the result: it is not durable."""
        if self.result is not None and not self.result.done():
            maybe_written = self.tried or self.file is not None
            self.result.set_result(RecordingUnavailableError(reason, maybe_written=maybe_written))
