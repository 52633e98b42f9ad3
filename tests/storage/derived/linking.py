"""Calls that continue one another, written to a database in any order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from intercept.records import Conversation, Reading, ToolResult, ToolUsage
from storage.recording.documents import ended_document, start_document
from storage.recording.operations import RecordAction, RecordOperation
from storage.recording.outbox.writer import write_batch
from tests.derived import derive
from tests.storage.records import ADA, INSTANCE, NOON, ending, interception


@dataclass(frozen=True)
class Call:
    """A call that started that many seconds after noon, the tool call it answers and those it issues.

    `results` are those of calls before. `says` and `repeats` are its conversation's key and that of the call it goes on
    with; `responds` and `previous` are ids of responses.
    """

    number: int
    answers: str | None = None
    issues: tuple[str, ...] = ()
    initiator: UUID = ADA.id
    second: int | None = None
    session: str | None = "session-1"
    client: str = "OpenAI SDK (Python)"
    says: bytes | None = None
    repeats: bytes | None = None
    responds: str = ""
    previous: str | None = None
    results: tuple[ToolResult, ...] = ()

    @property
    def started_at(self) -> datetime:
        return NOON + timedelta(seconds=self.number if self.second is None else self.second)

    @property
    def document(self) -> dict[str, Any]:
        record = interception(
            id=UUID(int=self.number),
            initiator_id=self.initiator,
            started_at=self.started_at,
            answered_tool_call_id=self.answers,
            client=self.client,
            client_session_id=self.session,
            conversation=Conversation(key=self.says, continues=self.repeats),
            previous_response_id=self.previous,
            tool_results=self.results,
        )
        return start_document(record, instance_id=INSTANCE)

    @property
    def start(self) -> RecordOperation:
        return RecordOperation.of(RecordAction.START, UUID(int=self.number), self.document)

    @property
    def end(self) -> RecordOperation:
        tools = tuple(
            ToolUsage(provider_response_id="r", provider_tool_call_id=id_, tool="ls", input="{}") for id_ in self.issues
        )
        record = ending(
            interception_id=UUID(int=self.number),
            reading=Reading(response_id=self.responds, tool_usages=tools, complete=True),
        )
        document = ended_document(self.document, record)
        return RecordOperation.of(RecordAction.END, record.interception_id, document)


async def write(database, *operations):
    assert await write_batch(database, operations, seconds=10) == []


async def keep(database, *calls):
    """Write calls that have ended, one behind the other, and link them."""
    for call in calls:
        await write(database, call.end)
    await derive(database)


async def documents(database):
    return {document["_id"].int: document async for document in database.interceptions.find()}
