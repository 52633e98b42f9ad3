"""Calls as the write path records them, each by its number."""

from datetime import timedelta
from uuid import UUID

from intercept.records import EndReason
from storage.recording.documents import ending_fields, start_document
from storage.recording.operations import PRESUMED, Action, Operation
from storage.recording.outbox.batch import write_batch
from tests.storage.records import INSTANCE, NOON, counting_ids, ending, interception


class Calls:
    """Writes into a database; the call of a number started that many seconds after noon."""

    def __init__(self, database):
        self._database = database
        self._interceptions = database.interceptions

    async def start(self, number, **changes):
        await self.start_all([number], **changes)

    async def start_all(self, numbers, **changes):
        """Write them at once."""
        await self._write(*(_start(number, **changes) for number in numbers))

    async def end(self, number, reason=EndReason.COMPLETED, **changes):
        await self._write(_end(number, reason, **changes))

    async def made(self, numbers, **changes):
        """Write them at once, from their start to their end."""
        numbers = list(numbers)
        await self._write(*(_start(number, **changes) for number in numbers), *map(_end, numbers))

    async def presume(self, number):
        """End it as that of a server that died."""
        crashed = ending(interception_id=UUID(int=number), end_reason=EndReason.SERVER_CRASHED)
        await self.amend(number, {**ending_fields(crashed, new_id=counting_ids()), **PRESUMED})

    async def amend(self, number, fields):
        await self._write(Operation(Action.AMEND, UUID(int=number), fields))

    async def change(self, number, change):
        """Change it as what works in the background does."""
        await self._interceptions.update_one({"_id": UUID(int=number)}, change)

    async def _write(self, *operations):
        assert await write_batch(self._database, operations, seconds=10) == []


def _start(number, **changes):
    fields = {"id": UUID(int=number), "started_at": NOON + timedelta(seconds=number), **changes}
    document = start_document(interception(**fields), instance_id=INSTANCE, new_id=counting_ids())
    return Operation(Action.START, document.pop("_id"), document)


def _end(number, reason=EndReason.COMPLETED, **changes):
    end = ending(interception_id=UUID(int=number), end_reason=reason, **changes)
    return Operation(Action.END, UUID(int=number), ending_fields(end, new_id=counting_ids()))
