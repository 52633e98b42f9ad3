"""Live events of interceptions, for all listeners.

All listeners of a process share one change stream, opened for the first and closed after the last: each stream that waits
takes a thread of the driver's. Who resumes behind a position is first sent what it missed from a short stream of its own,
up to where the shared one stands, and joins that in the same event loop iteration: nothing is lost or sent twice.

While the database is unavailable listeners wait with it; the shared stream goes on where it was.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from storage.accounts.identities import Identities
from storage.accounts.users import User
from storage.live.filter_eval import TEXTS
from storage.live.listeners import End, Listener, LiveEvent
from storage.mongo.change_stream import Change, ChangeFilter, ChangeStream, ForgottenPositionError, InvalidPositionError
from storage.mongo.clocks import Pause
from storage.mongo.database import Database, DatabaseUnavailableError

MAX_LISTENERS = 100
"""How many listen at a time."""

HEARTBEAT_SECONDS = 15.0
"""How often each listener gets at least a sign of life."""

RETRY_SECONDS = 1.0
"""How long after a change stream could not be opened the next try is made."""

MISSED_AT_ONCE = 2
"""How many listeners' missed events are read at the same time: each takes a thread of the driver's."""

MISSED_WAIT_MILLISECONDS = 10
"""How long the database waits for more missed events."""

# A true end may have the status of the presumed end that it replaces; what it always does is to take that mark away.
_STARTS_AND_ENDS = {
    "$or": [
        {"operationType": {"$in": ["insert", "replace"]}},
        {
            "operationType": "update",
            "$or": [
                {"updateDescription.updatedFields.status": {"$exists": True}},
                {"updateDescription.removedFields": "presumed"},
            ],
        },
    ]
}
_READ = dict.fromkeys(("fullDocument", "documentKey", "clusterTime"), True)

STARTS_AND_ENDS = ChangeFilter(({"$match": _STARTS_AND_ENDS}, {"$project": _READ}), look_up=True)
"""The changes that listeners hear of."""

_log = logging.getLogger(__name__)


class _Current(NamedTuple):
    """An interception that started or ended: the position of the event, and its current document."""

    position: str
    document: dict[str, Any]


class TooManyListenersError(Exception):
    """`MAX_LISTENERS` listen already."""


class Live:
    """Sends events to the listeners of a process.

    Args:
        to_json: Makes of a document, with the users that are known, what listeners are sent; without texts if the last
            argument is false.
    """

    def __init__(
        self,
        database: Database,
        identities: Identities,
        to_json: Callable[[Mapping[str, Any], Mapping[UUID, User], bool], bytes],
        *,
        pause: Pause = asyncio.sleep,
    ) -> None:
        self._database = database
        self._identities = identities
        self._to_json = to_json
        self._pause = pause
        self._listeners: set[Listener] = set()
        self._reading: asyncio.Task[None] | None = None
        self._opening = asyncio.Lock()
        self._catch_up_slots = asyncio.Semaphore(MISSED_AT_ONCE)
        self._position = ""  # everything up to it has been sent

    @contextlib.asynccontextmanager
    async def listen(
        self,
        conditions: Sequence[Mapping[str, Any]],
        *,
        after: str | None,
        on_slow: Callable[[], None],
        texts: bool = True,
    ) -> AsyncIterator[Listener]:
        """Listen until the block ends; `next` returns events. `Listener` says what it is given.

        `after` is the position of the last event that was heard; None listens from now on.

        Raises:
            TooManyListenersError: No more may listen.
            InvalidPositionError: `after` is not a position.
            ForgottenPositionError: The events after it are no longer available.
            DatabaseUnavailableError: The database is unavailable.
        """
        if len(self._listeners) >= MAX_LISTENERS:
            raise TooManyListenersError
        listener = Listener(conditions, on_slow, texts=texts)
        self._listeners.add(listener)
        try:
            await self._open()
            if after is None:
                listener.join(self._position)
            else:
                listener.behind = await ChangeStream.open(self._database, STARTS_AND_ENDS, after)
                await self._read_missed(listener, listener.behind)
            yield listener
        finally:
            self._listeners.discard(listener)
            if listener.behind is not None:
                await listener.behind.close()

    async def next(self, listener: Listener) -> LiveEvent | None:
        """Wait for the next event of a listener; None when it has ended.

        Raises:
            DatabaseUnavailableError: The database is unavailable, and the listener has not received all that it missed.
        """
        while True:
            event = await listener.next_event()
            if event is not None or listener.ended or listener.behind is None:
                return event
            try:
                await self._read_missed(listener, listener.behind)
            except ForgottenPositionError:
                listener.end(End.FORGOTTEN)

    async def close(self) -> None:
        """End every listener and the shared stream."""
        self._end_all(End.LEFT)
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait({self._reading})
            self._reading = None

    async def _open(self) -> None:
        async with self._opening:
            if self._reading is None:
                stream = await ChangeStream.open(self._database, STARTS_AND_ENDS)
                self._position = stream.position
                self._reading = asyncio.create_task(self._read(stream))  # noqa: TID251 - its waiters get its failure

    async def _read(self, stream: ChangeStream) -> None:
        """Send new events to the listeners, while there are any."""
        beating = asyncio.create_task(self._beat())  # noqa: TID251 - lives as long as this; what fails in it ends this
        beating.add_done_callback(self._end_without_heartbeat)
        try:
            while self._listeners:
                try:
                    await self._publish(_documents(await stream.read()), stream)
                except DatabaseUnavailableError:
                    await stream.close()
                    stream = await self._reopened() or stream
        except (ForgottenPositionError, InvalidPositionError) as error:
            _log.warning("live interceptions restart: %s", error)
            self._end_all(End.FORGOTTEN)
        except Exception:  # noqa: BLE001 - whatever it is, nobody may wait for what does not come
            _log.exception("live interceptions stopped")
            self._end_all(End.FAILED)
        finally:
            beating.cancel()
            self._reading = None
            await stream.close()

    async def _publish(self, changes: Sequence[_Current], stream: ChangeStream) -> None:
        users = await self._users_of(changes)
        await _read_texts(changes, self._listeners)
        for position, document in changes:
            if listeners := [one for one in self._listeners if one.wants(position, document)]:
                initiator = users.get(document["initiator_id"])
                payloads = {texts: self._to_json(document, users, texts) for texts in {one.texts for one in listeners}}
                for listener in listeners:
                    listener.send(LiveEvent(position, payloads[listener.texts], initiator))
        if stream.position != self._position:
            self._position = stream.position
            for listener in self._listeners:
                listener.missed(more=True)

    async def _reopened(self) -> ChangeStream | None:
        """Wait for the database, and continue after the last event that was sent; None when there are no listeners."""
        while self._listeners:
            await self._database.health.wait_until_back()
            try:
                return await ChangeStream.open(self._database, STARTS_AND_ENDS, self._position)
            except DatabaseUnavailableError:
                await self._pause(RETRY_SECONDS)
        return None

    async def _read_missed(self, listener: Listener, stream: ChangeStream) -> None:
        """Read a batch of the events that a listener missed; merge it with the others when it has caught up."""
        before = stream.position, self._position
        async with self._catch_up_slots:
            changes = _documents(await stream.read(MISSED_WAIT_MILLISECONDS))
        # A stream that has just begun stands ahead of everything there is. In a quiet database nothing brings another one
        # there but the next thing that happens, so that is waited for.
        listener.missed(more=before != (stream.position, self._position))
        await _read_texts(changes, [listener])
        changes = [change for change in changes if listener.may_see(change.document)]
        users = await self._users_of(changes)
        for position, document in changes:
            payloads = self._to_json(document, users, listener.texts)
            listener.send(LiveEvent(position, payloads, users.get(document["initiator_id"])))
        if stream.position >= self._position:
            listener.join(stream.position)
            listener.behind = None
            await stream.close()

    async def _users_of(self, changes: Iterable[_Current]) -> Mapping[UUID, User]:
        ids = {change.document["initiator_id"] for change in changes}
        return await self._identities.users_by_id(ids) if ids else {}

    async def _beat(self) -> None:
        while True:
            await self._pause(HEARTBEAT_SECONDS)
            for listener in tuple(self._listeners):
                listener.heartbeat(self._position)

    def _end_without_heartbeat(self, beating: asyncio.Task[None]) -> None:
        """End all listeners: their tokens are no longer checked."""
        if not beating.cancelled() and (error := beating.exception()):
            _log.error("heartbeats of live interceptions failed", exc_info=error)
            self._end_all(End.FAILED)

    def _end_all(self, reason: End) -> None:
        for listener in self._listeners:
            listener.end(reason)


def _documents(changes: Iterable[Change]) -> list[_Current]:
    """Leave out what was removed since it changed."""
    return [_Current(one.position, one.document) for one in changes if one.document is not None]


async def _read_texts(changes: Sequence[_Current], listeners: Iterable[Listener]) -> None:
    """Read in a thread what texts say, once for all listeners, of interceptions of which a filter depends on that."""
    read = [
        (document, said_in)
        for _, document in changes
        if (said_in := next(filter(None, [one.said_in(document) for one in listeners]), None))
    ]
    if read:
        said = await asyncio.to_thread(lambda: [said_in(document) for document, said_in in read])
        for (document, _), texts in zip(read, said, strict=True):
            document[TEXTS] = texts
