"""The interceptions that start and end, as MongoDB's change stream reports them: batch by batch, from any position.

Made of commands rather than of the driver's own class: that takes an executor's thread for every single event (80 us of
CPU instead of 18), and says only after its first wait where it stands.

A position is the hexadecimal text of a resume token, those of events as well as those between them ("post batch"). It
is a KeyString, which MongoDB made to be ordered as bytes, so positions compare as text: what comes later is greater.
"""

from __future__ import annotations

import contextlib
import re
from typing import Any, NamedTuple, Self

import pymongo
from pymongo.errors import OperationFailure, PyMongoError

from storage.mongo.database import Database, DatabaseUnavailableError, Session

BATCH = 100
"""Most events that are read at a time; of all together MongoDB sends 16 MiB."""

WAIT_MILLISECONDS = 500
"""How long the database waits for an event before it returns without one."""

CLOSE_SECONDS = 1.0
"""How long the database may take to close a stream."""

MAX_POSITION = 1_024
"""Longest text that can be a position, in characters. Today's have up to 150."""

# A true end may have the status of the presumed end that it replaces; what it always does is to take that mark away.
_STARTS_AND_ENDS = {
    "$or": [
        {"operationType": "insert"},
        {
            "operationType": "update",
            "$or": [
                {"updateDescription.updatedFields.status": {"$exists": True}},
                {"updateDescription.removedFields": "presumed"},
            ],
        },
    ]
}

# Without the projection an event could be larger than MongoDB can send: it has what was written twice.
_PIPELINE = ({"$match": _STARTS_AND_ENDS}, {"$project": {"fullDocument": True}})

_POSITION = re.compile(rf"[0-9A-F]{{2,{MAX_POSITION}}}")

_FORGOTTEN = {280, 286}  # ChangeStreamFatalError, ChangeStreamHistoryLost
_CURSOR_NOT_FOUND = 43
_RESUMABLE = "ResumableChangeStreamError"


class InvalidPositionError(ValueError):
    """The text is no position of this database."""


class ForgottenPositionError(LookupError):
    """The database no longer has the events after this position."""


class Change(NamedTuple):
    """An interception that started or ended: its current document, and the position of the event."""

    position: str
    document: dict[str, Any]


class ChangeStream:
    """One change stream, made by `open` and to be closed. `position` is behind everything that was read."""

    def __init__(
        self,
        database: Database,
        session: Session,
        after: str | None,
    ) -> None:
        self._database = database
        self._collection = database.interceptions
        self._session = session
        self._after = after
        self._cursor_id = 0
        self.position = ""

    @classmethod
    async def open(
        cls,
        database: Database,
        after: str | None = None,
    ) -> Self:
        """Begin behind a position, or now. A position may turn out to be none, or too old, at the first `read` only.

        Raises:
            InvalidPositionError: `after` is not a position.
            ForgottenPositionError: What came after it is not known any more.
            DatabaseUnavailableError: The database is unavailable.
        """
        if after is not None and not _POSITION.fullmatch(after):
            raise InvalidPositionError("not the hexadecimal text of a resume token")
        async with database.within(None):
            session = await database.interceptions.database.client.start_session()
        stream = cls(database, session, after)
        try:
            await stream._begin()
        except BaseException:
            await session.end_session()
            raise
        return stream

    async def read(self, wait_ms: int = WAIT_MILLISECONDS) -> list[Change]:
        """Return what comes next, at most `BATCH`, nothing when nothing came within `wait_ms` milliseconds.

        Raises:
            InvalidPositionError: What the stream was to begin behind is not a position.
            ForgottenPositionError: The database does not know any more what comes next.
            DatabaseUnavailableError: The database is unavailable; another stream may go on at `position`.
        """
        more = {
            "getMore": self._cursor_id,
            "collection": self._collection.name,
            "batchSize": BATCH,
            "maxTimeMS": wait_ms,
        }
        cursor = await self._run_command(more)
        if not cursor["id"]:
            raise ForgottenPositionError("the collection was dropped")
        self.position = cursor["postBatchResumeToken"]["_data"]
        # One that was removed since then has no document.
        events = (event for event in cursor["nextBatch"] if event.get("fullDocument"))
        return [Change(event["_id"]["_data"], event["fullDocument"]) for event in events]

    async def close(self) -> None:
        """Close the stream in the database, if that is available."""
        kill = {"killCursors": self._collection.name, "cursors": [self._cursor_id]}
        with contextlib.suppress(PyMongoError), pymongo.timeout(CLOSE_SECONDS):
            await self._collection.database.command(kill, session=self._session)
        await self._session.end_session()

    async def _begin(self) -> None:
        after = {} if self._after is None else {"resumeAfter": {"_data": self._after}}
        pipeline = [{"$changeStream": {"fullDocument": "updateLookup", **after}}, *_PIPELINE]
        cursor = await self._run_command(
            {"aggregate": self._collection.name, "pipeline": pipeline, "cursor": {"batchSize": 0}}
        )
        self._cursor_id = cursor["id"]
        self.position = cursor["postBatchResumeToken"]["_data"]

    async def _run_command(self, command: dict[str, Any]) -> dict[str, Any]:
        """Send a command of cursors. The socket's own timeout bounds it; the driver's would replace `maxTimeMS`."""
        try:
            async with self._database.within(None):
                reply: dict[str, Any] = await self._collection.database.command(
                    command, session=self._session, codec_options=self._collection.codec_options
                )
        except OperationFailure as error:
            raise _meaning(error, resumed=self._after is not None) or error from error
        cursor: dict[str, Any] = reply["cursor"]
        return cursor


def _meaning(error: OperationFailure, *, resumed: bool) -> Exception | None:
    """Translate an error of the database; None for an unexpected one. For an invalid position MongoDB has a dozen codes."""
    if error.code in _FORGOTTEN:
        return ForgottenPositionError("events after this position are no longer available")
    if error.code == _CURSOR_NOT_FOUND or error.has_error_label(_RESUMABLE):
        return DatabaseUnavailableError(f"MongoDB broke a change stream off: error {error.code}")
    return InvalidPositionError("not a resume token of this database") if resumed else None
