"""The changes of interceptions, as MongoDB's change stream reports them: batch by batch, from any position.

Made of commands rather than of the driver's own class: that takes an executor's thread for every single event (80 us of
CPU instead of 18), and says only after its first wait where it stands.

A position is the hexadecimal text of a resume token, those of events as well as those between them ("post batch").
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

import pymongo
from bson.timestamp import Timestamp
from pymongo.errors import OperationFailure, PyMongoError

from storage.mongo.database import Database, DatabaseUnavailableError, Session, with_plain_ids

BATCH = 100
"""Most events that are read at a time; of all together MongoDB sends 16 MiB."""

CLOSE_SECONDS = 1.0
"""How long the database may take to close a stream."""

_FORGOTTEN = {280, 286}  # ChangeStreamFatalError, ChangeStreamHistoryLost
_CURSOR_NOT_FOUND = 43
_RESUMABLE = "ResumableChangeStreamError"


class ForgottenPositionError(LookupError):
    """The database does not have the events after this position, or it is no position of this database."""


class Change(NamedTuple):
    """A change of an interception.

    Attributes:
        position: Where its event is.
        time: The database's time of it.
        id: Of the interception, as `with_plain_ids` reads it.
        document: The whole document, as it was written; None of an update.
        updated: The fields that an update has set, with None for those that it removed. None of other changes.
    """

    position: str
    time: Timestamp
    id: Any
    document: dict[str, Any] | None
    updated: dict[str, Any] | None


class ChangeStream:
    """One change stream, made by `open` and to be closed.

    Attributes:
        position: Behind everything that was read.
        time: The database's time of that position.
    """

    def __init__(self, database: Database, session: Session, after: str | None) -> None:
        self._database = database
        self._collection = with_plain_ids(database.interceptions)
        self._session = session
        self._after = after
        self._cursor_id = 0
        self.position = ""
        self.time = Timestamp(0, 0)

    @classmethod
    async def open(cls, database: Database, pipeline: Sequence[Mapping[str, Any]], after: str | None = None) -> Self:
        """Begin behind a position, or now. A position may turn out to be too old at the first `read` only.

        Args:
            database: The database.
            pipeline: Selects changes, and projects their events to what is needed. Without a projection an event could be
                larger than MongoDB can send: it has what was written twice.
            after: The position.

        Raises:
            ForgottenPositionError: What came after it is not known.
            DatabaseUnavailableError: The database is unavailable.
        """
        async with database.within(None):
            session = await database.interceptions.database.client.start_session()
        stream = cls(database, session, after)
        try:
            await stream._begin(pipeline)
        except BaseException:
            await session.end_session()
            raise
        return stream

    async def read(self, wait_ms: int) -> list[Change]:
        """Return what comes next, at most `BATCH`, nothing when nothing came within `wait_ms` milliseconds.

        Raises:
            ForgottenPositionError: The database does not know what comes next.
            DatabaseUnavailableError: The database is unavailable; another stream may go on at `position`.
        """
        more = {
            "getMore": self._cursor_id,
            "collection": self._collection.name,
            "batchSize": BATCH,
            "maxTimeMS": wait_ms,
        }
        reply = await self._run_command(more)
        cursor = reply["cursor"]
        if not cursor["id"]:
            raise ForgottenPositionError("the collection was dropped")
        changes = [_change(event) for event in cursor["nextBatch"]]
        self.position = cursor["postBatchResumeToken"]["_data"]
        self.time = _time_of(self.position)
        return changes

    async def close(self) -> None:
        """Close the stream in the database, if that is available."""
        kill = {"killCursors": self._collection.name, "cursors": [self._cursor_id]}
        with contextlib.suppress(PyMongoError), pymongo.timeout(CLOSE_SECONDS):
            await self._collection.database.command(kill, session=self._session)
        await self._session.end_session()

    async def _begin(self, pipeline: Sequence[Mapping[str, Any]]) -> None:
        after = {} if self._after is None else {"resumeAfter": {"_data": self._after}}
        stages = [{"$changeStream": after}, *pipeline]
        reply = await self._run_command(
            {"aggregate": self._collection.name, "pipeline": stages, "cursor": {"batchSize": 0}}
        )
        self._cursor_id = reply["cursor"]["id"]
        self.position = reply["cursor"]["postBatchResumeToken"]["_data"]
        self.time = _time_of(self.position)

    async def _run_command(self, command: dict[str, Any]) -> dict[str, Any]:
        """Send a command of cursors. The socket's own timeout bounds it; the driver's would replace `maxTimeMS`."""
        try:
            async with self._database.within(None):
                reply: dict[str, Any] = await self._collection.database.command(
                    command, session=self._session, codec_options=self._collection.codec_options
                )
        except OperationFailure as error:
            raise _meaning(error, resumed=self._after is not None) or error from error
        return reply


def _time_of(position: str) -> Timestamp:
    """Return the time with which a position begins, behind a byte for its type."""
    return Timestamp(int(position[2:10], 16), int(position[10:18], 16))


def _change(event: Mapping[str, Any]) -> Change:
    document, id_ = event.get("fullDocument"), event["documentKey"]["_id"]
    updated = None
    if (update := event.get("updateDescription")) is not None:
        updated = {**dict.fromkeys(update.get("removedFields", ())), **update.get("updatedFields", {})}
    return Change(event["_id"]["_data"], event["clusterTime"], id_, document, updated)


def _meaning(error: OperationFailure, *, resumed: bool) -> Exception | None:
    """Translate an error of the database; None for an unexpected one. For an invalid position MongoDB has a dozen codes."""
    if error.code in _FORGOTTEN:
        return ForgottenPositionError("events after this position are no longer available")
    if error.code == _CURSOR_NOT_FOUND or error.has_error_label(_RESUMABLE):
        return DatabaseUnavailableError(f"MongoDB broke a change stream off: error {error.code}")
    return ForgottenPositionError("not a resume token of this database") if resumed else None
