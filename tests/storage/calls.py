"""Calls as the write path records them, each by its number."""

from datetime import timedelta
from uuid import UUID

from intercept.records import EndReason
from storage.recording.documents import ended_document, start_document
from storage.recording.operations import PRESUMED, RecordAction, RecordOperation
from storage.recording.outbox.writer import write_batch
from tests.storage.records import INSTANCE, NOON, ending, interception


class Calls:
    """Writes into a database; the call of a number started that many seconds after noon."""

    def __init__(self, database):
        self._database = database
        self._interceptions = database.interceptions
        self._started = {}

    async def start(self, number, **changes):
        await self.start_all([number], **changes)

    async def start_all(self, numbers, **changes):
        started = [self._begin(number, **changes) for number in numbers]
        await self._write(*(RecordOperation.of(RecordAction.START, one["_id"], one) for one in started))

    async def end(self, number, reason=EndReason.COMPLETED, **changes):
        await self._write(_end(self._begun(number), reason, **changes))

    async def made(self, numbers, **changes):
        """Write them at once, from their start to their end."""
        numbers = list(numbers)
        await self._write(*(_end(self._begin(number, **changes)) for number in numbers))

    async def presume(self, number):
        """End it as that of a server that died."""
        crashed = ending(interception_id=UUID(int=number), end_reason=EndReason.SERVER_CRASHED)
        document = ended_document(self._begun(number), crashed)
        await self._write(RecordOperation.of(RecordAction.PRESUMED_END, UUID(int=number), {**document, **PRESUMED}))

    async def checkpoint(self, number, fields):
        await self._write(RecordOperation.of(RecordAction.CHECKPOINT, UUID(int=number), fields))

    def _begin(self, number, **changes):
        self._started[number] = document = _started(number, **changes)
        return document

    def _begun(self, number):
        return self._started.get(number) or self._begin(number)

    async def change(self, number, change):
        """Change it as what works in the background does."""
        await self._interceptions.update_one({"_id": UUID(int=number)}, change)

    async def _write(self, *operations):
        assert await write_batch(self._database, operations, seconds=10) == []


def _started(number, **changes):
    fields = {"id": UUID(int=number), "started_at": NOON + timedelta(seconds=number), **changes}
    return start_document(interception(**fields), instance_id=INSTANCE)


def _end(started, reason=EndReason.COMPLETED, **changes):
    end = ending(interception_id=started["_id"], end_reason=reason, **changes)
    return RecordOperation.of(RecordAction.END, started["_id"], ended_document(started, end))
