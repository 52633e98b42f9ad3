"""An operation that waits to be written, and what the one who waits for it is told."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import StrEnum

from storage.recording.operations import Operation
from storage.recording.segments import Position


class RecordPolicy(StrEnum):
    """What becomes of a start while the database is unavailable: it is refused, or the spool has it."""

    STRICT = "strict"
    SPOOL = "spool"


class RecordingUnavailableError(Exception):
    """A start is not durable, so its call must not be made. The text may be shown to the client.

    `maybe_written` says that the database was asked to write it and did not answer: it may be there all the same.
    """

    def __init__(self, reason: str, *, maybe_written: bool = False) -> None:
        super().__init__(f"Recording is unavailable: {reason}.")
        self.maybe_written = maybe_written


@dataclass(eq=False, slots=True)
class PendingWrite:
    """An operation that is in memory, from `put` until the database has it or the spool alone.

    Attributes:
        answer: Set to None when it is durable, or to why it is not; None where nobody waits.
        optional: It may be left out.
        tried: It was sent to the database before.
        spooled: The spool has all of it.
        positions: Where the spool has it; of a start and its end, where it has either.
        due_at: When a start stops to wait for its end, in seconds of the event loop.
    """

    operation: Operation
    answer: asyncio.Future[RecordingUnavailableError | None] | None = None
    optional: bool = False
    tried: bool = False
    spooled: bool = False
    positions: tuple[Position, ...] = ()
    due_at: float = 0.0

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

    def end_with(self, end: PendingWrite) -> None:
        """Put the end of the interception together with this start of it."""
        self.operation = self.operation.ended_by(end.operation)
        self.positions += end.positions
        self.spooled = end.spooled

    def accept(self) -> None:
        """Say that it is durable."""
        if self.answer is not None and not self.answer.done():
            self.answer.set_result(None)

    def refuse(self, reason: str) -> None:
        """Say that it is not."""
        if self.answer is not None and not self.answer.done():
            self.answer.set_result(RecordingUnavailableError(reason, maybe_written=self.tried))
