"""Records interceptions: starts are durable before calls are sent, nothing waits for ends, every start gets one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from intercept.recording import Keep
from intercept.records import Ending, EndReason, ProviderError, Reading, StartRecord, UsageSource
from intercept.restricted_texts import Texts, without_restricted_texts, without_restricted_words
from storage.mongo.clocks import Now
from storage.mongo.database import Database
from storage.prices.pricing import Cost, Prices
from storage.recording.documents import ended_document, ending_fields, prompts_of, start_document, websocket_ids
from storage.recording.operations import PRESUMED, RecordAction, RecordOperation
from storage.recording.outbox.outbox import Outbox, RecordingUnavailableError
from storage.recording.outbox.spool import Spool
from storage.recording.outbox.writer import Writer

__all__ = ["Recorder", "RecordingUnavailableError"]

ENDS_TOGETHER = 32
END_SECONDS = 0.005
"""Ends are written in groups of this number, or after this time: the code then runs from the processor's caches, in
half the time."""

MAX_REDACTING = 256
"""Calls whose texts are being redacted, or wait for it. Beyond this number no restricted text is recorded."""

MAX_REDACTING_OF_USER = 32
"""Calls of one user whose texts are being redacted, or wait for it: nobody makes the texts of others disappear."""

TEXT_SECONDS = 5.0
"""How long a stopping server waits until texts are redacted."""

_Ended = tuple[StartRecord, Ending, Cost | None]

_log = logging.getLogger(__name__)
_NOT_CALLED = ProviderError(type="recording_unavailable", message="The start was not acknowledged; no call was made.")


class Recorder:
    """The records of one server, on one event loop, from now on until `close`.

    Args:
        strict: Whether the database alone makes a start durable, and not the spool.
        spool: Where every record is on disk until the database has it; closed with the recorder.
        prices: What calls cost; without it only what calls cost that have an own price.
        texts: What is kept of texts that policies restrict.

    Attributes:
        outbox: What is on its way to the database.
        prices: What calls cost.
        needs_database: Starts are refused while the database is unavailable.
    """

    def __init__(
        self,
        database: Database,
        *,
        instance_id: UUID,
        strict: bool = False,
        spool: Spool,
        now: Now,
        prices: Prices | None = None,
        texts: Texts | None = None,
    ) -> None:
        self.needs_database = strict
        self.outbox = Outbox(spool, strict=strict)
        self._writer = Writer(database, self.outbox)
        self._instance_id = instance_id
        self._now = now
        self.prices = prices or Prices({})
        self._texts = texts or Texts()
        self._redactor = asyncio.Semaphore(1)  # the other threads are for what does not wait for the interpreter
        self._redacting: dict[asyncio.Task[None], _Ended] = {}
        self._started: dict[UUID, dict[str, Any]] = {}
        self._ended: list[_Ended] = []
        self._ends_due: asyncio.TimerHandle | None = None

    async def start(self, interception: StartRecord) -> None:
        """Record a start; return when it survives the end of this process.

        A start that may have been written without the caller knowing, because it was cancelled or the database did not
        answer, is given an end. That end is presumed: one that the caller reports all the same wins.

        Raises:
            RecordingUnavailableError: It is not durable.
        """
        document = self._start_document(self._texts.start(interception))
        try:
            await self.outbox.write(RecordOperation.of(RecordAction.START, interception.id, document))
        except asyncio.CancelledError:
            self._presume_end(document, EndReason.CLIENT_DISCONNECTED)
            raise
        except RecordingUnavailableError as error:
            if error.maybe_written:
                self._presume_end(document, EndReason.UPSTREAM_UNREACHABLE, error=_NOT_CALLED)
            raise
        self._started[interception.id] = document

    def _start_document(self, interception: StartRecord) -> dict[str, Any]:
        return start_document(interception, instance_id=self._instance_id)

    def end(self, interception: StartRecord, ending: Ending) -> Cost | None:
        """Record an end, and return what the call cost. Never waits; it is on its way within `END_SECONDS`.

        If a policy restricts its texts, they are redacted first, in a thread.
        """
        cost = self.cost(interception, ending.reading)
        if interception.recording is None or not interception.recording.restricts:
            self._add_end(interception, ending, cost)
        elif self._has_no_room(interception.initiator_id):
            self._add_end(*_without_texts(interception, ending), cost)
        else:
            task = asyncio.create_task(self._redact(interception, ending, cost))  # noqa: TID251 - it catches what fails
            self._redacting[task] = interception, ending, cost
            task.add_done_callback(self._redacting.pop)
        return cost

    def _has_no_room(self, user_id: UUID) -> bool:
        """Whether no further call of a user can wait for its texts to be redacted."""
        own = sum(waiting.initiator_id == user_id for waiting, _, _ in self._redacting.values())
        return own >= MAX_REDACTING_OF_USER or len(self._redacting) >= MAX_REDACTING

    async def _redact(self, interception: StartRecord, ending: Ending, cost: Cost | None) -> None:
        try:
            async with self._redactor:
                kept = await asyncio.to_thread(self._texts.ended, interception, ending)
        except Exception:  # noqa: BLE001 - whatever it is, no text may be recorded that was not redacted
            _log.exception("texts of interception %s cannot be redacted and are not recorded", interception.id)
            kept = _without_texts(interception, ending)
        self._add_end(*kept, cost)

    def _add_end(self, interception: StartRecord, ending: Ending, cost: Cost | None) -> None:
        self._ended.append((interception, ending, cost))
        if len(self._ended) >= ENDS_TOGETHER:
            self._write_ends()
        elif self._ends_due is None:
            self._ends_due = asyncio.get_running_loop().call_later(END_SECONDS, self._write_ends)

    def checkpoint(self, interception: StartRecord, reading: Reading) -> Cost | None:
        """Record the usage so far of a running call, and return its cost.

        Dropped if there is too much else to write. `interception` is the start, with the provider that responds.
        """
        usages = tuple(replace(usage, source=UsageSource.PARTIAL) for usage in reading.token_usages)
        seen = Reading(response_id=reading.response_id, token_usages=usages)
        cost = self.cost(interception, seen)
        fields = ending_fields(self._ending(interception.id, reading=seen), cost=cost)
        checkpoint = {name: fields[name] for name in ("response_id", "request_ids", "token_usages", "cost")}
        checkpoint["checkpointed_at"] = fields["ended_at"]
        checkpoint["request_ids"] += websocket_ids(interception)
        if interception.requested_provider_name is not None:
            checkpoint |= {"provider": interception.provider, "provider_name": interception.provider_name}
        self.outbox.enqueue(RecordOperation.of(RecordAction.CHECKPOINT, interception.id, checkpoint))
        return cost

    def cost(self, interception: StartRecord, reading: Reading) -> Cost | None:
        """What a call costs; None where that is not known."""
        if not reading.token_usages:
            return None
        called = interception.provider_name, interception.model
        return self.prices.cost(*called, reading.token_usages, interception.started_at)

    async def flush(self, seconds: float) -> bool:
        """Wait until everything is in the database, at most some seconds, and say whether it is."""
        began = asyncio.get_running_loop().time()
        await self._wait_for_texts(seconds)
        seconds -= asyncio.get_running_loop().time() - began
        self._write_ends()
        return await self.outbox.flush(seconds)

    async def close(self, seconds: float) -> None:
        """Stop when everything is in the database or after some seconds; the spool has the rest."""
        await self._wait_for_texts(TEXT_SECONDS)
        for task, (interception, ending, cost) in list(self._redacting.items()):
            task.cancel()
            self._add_end(*_without_texts(interception, ending), cost)
        self._write_ends()
        await self._writer.close(seconds)
        self._write_ends()  # of what came meanwhile it is logged that it is lost

    @property
    def queue_length(self) -> int:
        """How many records wait in memory, those being written included."""
        return self.outbox.queued + len(self._ended) + len(self._redacting)

    async def _wait_for_texts(self, seconds: float) -> None:
        if self._redacting:
            await asyncio.wait(self._redacting, timeout=max(seconds, 0))

    def _write_ends(self) -> None:
        if self._ends_due is not None:
            self._ends_due.cancel()
            self._ends_due = None
        ended, self._ended = self._ended, []
        for interception, ending, cost in ended:
            try:
                self._write_end(interception, ending, cost)
            except Exception:  # noqa: BLE001 - the others are to be written all the same
                _log.exception("the end of interception %s cannot be recorded", interception.id)

    def _write_end(self, interception: StartRecord, ending: Ending, cost: Cost | None) -> None:
        started = self._started.pop(interception.id, None) or self._start_document(interception)
        if interception.recording is not None and interception.recording.prompts is not Keep.FULL:
            started["user_prompts"] = prompts_of(interception)
        document = ended_document(started, ending, cost=cost)
        self.outbox.enqueue(RecordOperation.of(RecordAction.END, interception.id, document))

    def _presume_end(
        self, started: Mapping[str, Any], end_reason: EndReason, error: ProviderError | None = None
    ) -> None:
        # A start that arrives late finds the document there.
        ending = self._ending(started["_id"], end_reason, error=error)
        document = {**ended_document(started, ending), **PRESUMED}
        self.outbox.enqueue(RecordOperation.of(RecordAction.PRESUMED_END, ending.interception_id, document))

    def _ending(
        self, interception_id: UUID, end_reason: EndReason = EndReason.SERVER_CRASHED, **details: Any
    ) -> Ending:
        return Ending(interception_id=interception_id, end_reason=end_reason, ended_at=self._now(), **details)


def _without_texts(interception: StartRecord, ending: Ending) -> tuple[StartRecord, Ending]:
    return without_restricted_texts(interception), without_restricted_words(interception.recording, ending)
