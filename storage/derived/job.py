"""The job that derives figures from ended calls: rollups, sessions and the search index, each call exactly once.

It follows the database's own order of changes (see `storage.derived.changes`), batch by batch. A batch is one transaction:
what its calls add, and the position behind it. Either both have happened or neither has, so the job may stop anywhere. It is
the only one that writes these figures, and a lease says which process does it.

Without a position, where the database no longer has the changes behind it, and in a copy of the database, the days since are
counted again from the records (see `storage.derived.recount`).

A call that cannot be added for what is in it keeps no other one waiting: a batch with it fails, and is halved until it stands
alone. Then it is left out, which is logged.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias
from uuid import UUID, uuid4

from bson.timestamp import Timestamp

from intercept.ids import format_id
from storage.derived.changes import ENDS, Ended, ended_by, of_different_calls
from storage.derived.recount import (
    JOB,
    Recount,
    after_batch,
    begin_recount,
    clear,
    followed_collection,
    read_recorded,
    read_state,
    recount_since,
)
from storage.derived.sessions.grouping import add_to_sessions, parents_of
from storage.derived.totals import add_to_rollups
from storage.members.membership import has_lease
from storage.mongo.change_stream import Change, ChangeStream, ForgottenPositionError
from storage.mongo.clocks import Monotonic, Now, Pause
from storage.mongo.database import Database, DatabaseUnavailableError, Session, with_plain_ids
from storage.mongo.errors import is_of_content

BATCH: Final = 1_000
"""Most changes of one transaction."""

BATCH_SECONDS: Final = 10.0
"""How long a transaction may take. MongoDB ends one after 60 s."""

GROWTH_STEPS: Final = 20
"""A batch that was too much is halved. Each one that succeeds adds this part of a whole batch to the next."""

PAUSE_SECONDS: Final = 1.0
"""The pause while nothing more waits."""

BUSY_SECONDS: Final = 0.2
"""The pause between two batches while calls are in progress, which have priority."""

LEASE_SECONDS: Final = 15.0
"""How long a process has the job after it renewed the lease."""

RENEWAL_SECONDS: Final = 5.0
"""How often it is renewed, and others look whether it is free."""

RETRY_SECONDS: Final = 0.02
"""The pause between two steps of who waits for the figures."""

WAIT_MILLISECONDS: Final = 1
"""How long the database waits for a change."""

_log = logging.getLogger(__name__)

Progress: TypeAlias = Callable[[datetime], Awaitable[object]]
Write: TypeAlias = Callable[[Database, Sequence[Mapping[str, Any]], Session], Awaitable[None]]


class _JobLostError(Exception):
    """Another process has the job, or it is not known whether the last transaction was done."""


class DerivedJob:
    """Derives the figures of a database.

    Args:
        database: The database.
        add_to_search: Adds calls to the search index, in the transaction of a session.
        remove_from_search: Takes calls out of it.
        holder: Who holds the lease.
        busy: Whether calls are in progress, which have priority.

    Attributes:
        counted_until: Until when all that ended is in the figures, as far as this process has seen; None while that is unknown.
    """

    def __init__(
        self,
        database: Database,
        add_to_search: Write,
        remove_from_search: Write,
        *,
        now: Now,
        holder: UUID | None = None,
        pause: Pause = asyncio.sleep,
        clock: Monotonic = time.monotonic,
        busy: Callable[[], bool] = lambda: True,
    ) -> None:
        self._database = database
        self._add_to_search = add_to_search
        self._remove_from_search = remove_from_search
        self._now = now
        self._holder = holder or uuid4()
        self._pause = pause
        self._clock = clock
        self._busy = busy
        self._limit = BATCH
        self._renewed_at: float | None = None
        self._stream: ChangeStream | None = None
        self._position: str | None = None
        self._recount: Recount | None = None
        self.counted_until: datetime | None = None

    async def run(self) -> None:
        """Derive until cancelled, and give the lease back then.

        Raises:
            DatabaseRefusalError: The database does not do it.
        """
        try:
            await self._database.health.repeat(self.step, "no figures are derived", pause=self._pause)
        finally:
            await self.close()

    async def watch(self) -> None:
        """Know how far the figures are, where another process of the server derives them, until cancelled."""

        async def look() -> None:
            async with self._database.within(BATCH_SECONDS, "say how far the figures are"):
                self._know(await read_state(self._database))

        unknown = "it is unknown how far the figures are"
        await self._database.health.repeat(look, unknown, RENEWAL_SECONDS, pause=self._pause)

    @property
    def behind_seconds(self) -> float:
        """How far the figures are behind, as far as this process knows; 0 where it does not."""
        return 0.0 if self.counted_until is None else max((self._now() - self.counted_until).total_seconds(), 0.0)

    async def step(self) -> float:
        """Do a step; return the seconds until the next.

        Raises:
            DatabaseUnavailableError: It was not done.
        """
        try:
            stream = await self._lead()
            if stream is None:
                return RENEWAL_SECONDS
            is_all = await (self._replay(stream, self._recount) if self._recount else self._follow(stream))
        except _JobLostError:
            await self._forget()
            return 0.0
        except BaseException:
            await self._forget()
            raise
        if is_all:
            return PAUSE_SECONDS
        return BUSY_SECONDS if self._busy() else 0.0

    async def catch_up(self, on_progress: Progress | None = None) -> None:
        """Derive all that has ended until now, and give the lease back.

        Args:
            on_progress: Is told until which start calls are counted, while that is done from the records.

        Raises:
            DatabaseUnavailableError: Not all was done.
        """
        try:
            async with self._database.within(BATCH_SECONDS):
                until: Timestamp = (await self._database.derived.database.command("ping"))["operationTime"]
            while True:
                seconds = await self.step()
                if self._stream is not None and self._recount is None and self._stream.time >= until:
                    return
                if on_progress is not None and self._recount and self._recount.done:
                    await on_progress(self._recount.done[0])
                await self._pause(RETRY_SECONDS if seconds else 0.0)
        finally:
            await self.close()

    async def recount(self, start: datetime, on_progress: Progress | None = None) -> None:
        """Have all counted again from a day on, by whichever process has the job; return when it is done.

        Args:
            start: In the first day, in UTC.
            on_progress: See `catch_up`.

        Raises:
            DatabaseUnavailableError: It is not known to be done. If it was begun, it goes on.
        """
        async with self._database.within(BATCH_SECONDS, "count days again"):
            await begin_recount(self._database, start)
        try:
            while True:
                seconds = await self.step()
                async with self._database.within(BATCH_SECONDS, "count days again"):
                    recount = Recount.of(await read_state(self._database))
                if recount is None:
                    return
                if on_progress is not None and recount.done:
                    await on_progress(recount.done[0])
                await self._pause(min(seconds, RETRY_SECONDS))
        finally:
            await self.close()

    async def close(self) -> None:
        """Give the lease back, if the database is available."""
        await self._forget()
        if self._database.health.available:
            with contextlib.suppress(DatabaseUnavailableError):
                async with self._database.within(1.0):
                    await self._database.derived.update_one(self._own, {"$unset": {"lease": ""}})

    @property
    def _own(self) -> dict[str, Any]:
        return {**JOB, "lease.holder": self._holder}

    async def _forget(self) -> None:
        """Go on with what the database has."""
        self._renewed_at = None
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.close()

    async def _lead(self) -> ChangeStream | None:
        """Take or renew the lease; return the changes behind the position, None where another process has the lease."""
        now = self._clock()
        if self._renewed_at is not None and now - self._renewed_at < RENEWAL_SECONDS:
            return self._stream
        async with self._database.within(BATCH_SECONDS, "derive figures"):
            has = await has_lease(self._database.derived, str(JOB["_id"]), self._holder, LEASE_SECONDS)
            state = await read_state(self._database)
            if has and "end" in state.get("recount", ()):  # of version 0.1.0, perhaps of some days alone
                await begin_recount(self._database, state["recount"]["start"])
                state = await read_state(self._database)
        self._know(state)
        self._recount = Recount.of(state)
        if not has:
            await self._forget()
            return None
        if self._stream is None:
            await self._open(state)
        elif self._stream.position != self._position:
            # Keep the position also while nothing ends: the database forgets old ones.
            async with self._database.within(BATCH_SECONDS, "derive figures"):
                await self._move(self._stream.position, self._stream.time, None)
        self._renewed_at = now
        return self._stream

    def _know(self, state: Mapping[str, Any]) -> None:
        self.counted_until = None if "recount" in state else state.get("time")

    async def _open(self, state: Mapping[str, Any]) -> None:
        """Follow the changes behind the position, or from now on, and then count again what is missing."""
        async with self._database.within(BATCH_SECONDS, "derive figures"):
            collection = await followed_collection(self._database)
        self._position = state.get("position") if state.get("collection") == collection else None
        try:
            self._stream = await ChangeStream.open(self._database, ENDS, self._position)
            if self._position is not None:
                return
        except ForgottenPositionError:
            self._stream = await ChangeStream.open(self._database, ENDS)
        async with self._database.within(BATCH_SECONDS, "derive figures"):
            self._recount = await recount_since(self._database, state)
            fields: dict[str, Any] = {"position": self._stream.position, "collection": collection}
            if self._recount:
                fields["recount"] = self._recount.stored
            await self._database.derived.update_one(self._own, {"$set": fields})
        self._position = self._stream.position
        if self._recount:
            level = logging.INFO if "time" not in state else logging.WARNING
            _log.log(level, "figures since %s are derived again from the records", self._recount.start)

    async def _replay(self, stream: ChangeStream, recount: Recount) -> bool:
        """Add the next calls of the days that are counted again, and then what has ended; return whether that was all."""
        if not recount.is_cleared:

            async def remove(session: Session) -> None:
                is_all = await clear(self._database, recount, session)
                await self._keep(recount, recount._replace(is_cleared=is_all), session)

            async with self._database.within(BATCH_SECONDS, "count days again", may_be_slow=True):
                await self._database.together(remove)
            return False
        if recount.time is not None and stream.time < recount.time:
            await self._follow(stream)
            return False
        async with self._database.within(BATCH_SECONDS, "count days again", may_be_slow=True):
            documents, at = await read_recorded(self._database, recount, self._limit)
            if documents:
                ended = [Ended(None, document) for document in documents]
                parents = await parents_of(self._database, ended)
                after = after_batch(recount, documents, at)

                async def add(session: Session) -> None:
                    await self._derive(ended, parents, session, again=True)
                    await self._keep(recount, after, session)

                try:
                    await self._database.together(add)
                except Exception as error:  # noqa: BLE001 - what is of no call is raised again
                    self._recount = recount
                    if self._leaves_out(error, [document["_id"] for document in documents]):
                        await self._keep(recount, after)
                else:
                    self._grow()
            else:
                await self._keep(recount, None)
        return False

    async def _keep(self, before: Recount, recount: Recount | None, session: Session | None = None) -> None:
        """Go on with what is counted again; None ends it.

        Raises:
            _JobLostError: It is not where this process has left it.
        """
        change = {"$unset": {"recount": ""}} if recount is None else {"$set": {"recount": recount.stored}}
        kept = await self._database.derived.update_one({**self._own, "recount": before.stored}, change, session=session)
        if not kept.matched_count:
            raise _JobLostError
        self._recount = recount

    async def _follow(self, stream: ChangeStream) -> bool:
        """Add what has ended; return whether that was all."""
        changes: list[Change] = []
        try:
            while len(changes) < BATCH:
                some = await stream.read(WAIT_MILLISECONDS)
                changes += some
                if not some:
                    break
        except ForgottenPositionError:
            await self._database.derived.update_one(self._own, {"$unset": {"position": ""}})
            raise _JobLostError from None
        is_all = len(changes) < BATCH
        await self._add_all(changes)
        if is_all and not self._recount:
            self.counted_until = _utc(stream.time)
        return is_all

    async def _add_all(self, changes: Sequence[Change]) -> None:
        """Add changes in their order, in as many transactions as it takes."""
        while changes:
            some = of_different_calls(changes[: self._limit])
            try:
                await self._add(some)
            except Exception as error:  # noqa: BLE001 - what is of no call is raised again
                if not self._leaves_out(error, [one.id for one in some]):
                    continue
                await self._move(some[-1].position, some[-1].time, None)
            self._grow()
            changes = changes[len(some) :]

    def _leaves_out(self, error: Exception, ids: Sequence[Any]) -> bool:
        """After a batch failed, take fewer next time; return whether it is a single call, which cannot be added at all.

        Raises:
            Exception: It is this error, and fewer would not help.
        """
        is_content = is_of_content(error) and not isinstance(error, (DatabaseUnavailableError, _JobLostError))
        if not is_content and (isinstance(error, _JobLostError) or not self._database.health.available):
            raise error
        if len(ids) > 1:
            self._limit = len(ids) // 2
            return False
        if not is_content:
            raise error
        _log.error("the call %s is left out of all figures: %r", format_id(UUID(bytes=bytes(ids[0]))), error)
        return True

    def _grow(self) -> None:
        self._limit = min(self._limit + max(BATCH // GROWTH_STEPS, 1), BATCH)

    async def _add(self, changes: Sequence[Change]) -> None:
        last, before = changes[-1], self._position

        async def add(session: Session) -> None:
            self._position = before  # this may be another try
            await self._move(last.position, last.time, session)
            updated = [one.id for one in changes if one.updated is not None]
            found = with_plain_ids(self._database.interceptions).find({"_id": {"$in": updated}}, session=session)
            current = {document["_id"]: document for document in await found.to_list(None)} if updated else {}
            recount = self._recount
            later = [one for one in changes if recount and recount.has(one, one.document or current.get(one.id))]
            skipped = {one.position for one in later}
            ended = ended_by([one for one in changes if one.position not in skipped], current)
            await self._derive(ended, parents, session)

        try:
            async with self._database.within(BATCH_SECONDS, may_be_slow=True):
                ends = [Ended(None, one.document) for one in changes if one.document is not None]
                parents = await parents_of(self._database, ends)
                await self._database.together(add)
        except BaseException:
            self._position = before
            raise

    async def _derive(
        self, ended: Sequence[Ended], parents: Mapping[Any, Mapping[str, Any]], session: Session, *, again: bool = False
    ) -> None:
        """Add calls to rollups, sessions and the search index. In this some may be already if it is done `again`."""
        if not ended:
            return
        lost = await add_to_sessions(self._database, ended, parents, session)
        if there := [one.after for one in ended if again or one.before is not None]:
            await self._remove_from_search(self._database, there, session)
        await self._add_to_search(self._database, [one.after for one in ended], session)
        after = [
            {**one.after, "cache_loss": loss} if (loss := lost.get(one.after["_id"])) else one.after for one in ended
        ]
        signed = [*((one, 1) for one in after), *((one.before, -1) for one in ended if one.before is not None)]
        await add_to_rollups(self._database, signed, session)

    async def _move(self, position: str, at: Timestamp, session: Session | None) -> None:
        """Go on to a position.

        Raises:
            _JobLostError: The job is not where this process has left it.
        """
        there = {**self._own, "position": self._position}
        moved = await self._database.derived.update_one(
            there, {"$set": {"position": position, "time": _utc(at)}}, session=session
        )
        if not moved.matched_count:
            raise _JobLostError
        self._position = position


def _utc(at: Timestamp) -> datetime:
    return at.as_datetime().astimezone(UTC)
