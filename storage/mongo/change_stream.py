"""The changes of interceptions, as MongoDB's change stream reports them: batch by batch, from any position.

Made of commands rather than of the driver's own class: that takes an executor's thread for every single event (80 us of
CPU instead of 18), and says only after its first wait where it stands.

A position is the hexadecimal text of a resume token, those of events as well as those between them ("post batch"). It
is a KeyString, which MongoDB made to be ordered as bytes, so positions compare as text: what comes later is greater.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import pymongo
from bson.timestamp import Timestamp
from pymongo.errors import OperationFailure, PyMongoError

from storage.mongo.database import Database, DatabaseUnavailableError, Session, with_plain_ids

BATCH = 100
"""Most events that are read at a time; of all together MongoDB sends 16 MiB."""

WAIT_MILLISECONDS = 500
"""How long the database waits for an event before it returns without one."""

CLOSE_SECONDS = 1.0
"""How long the database may take to close a stream."""

MAX_POSITION = 1_024
"""Longest text that can be a position, in characters. Today's have up to 150."""

_POSITION = re.compile(rf"[0-9A-F]{{2,{MAX_POSITION}}}")

_FORGOTTEN = {280, 286}  # ChangeStreamFatalError, ChangeStreamHistoryLost
_CURSOR_NOT_FOUND = 43
_RESUMABLE = "ResumableChangeStreamError"


class InvalidPositionError(ValueError):
    """The text is no position of this database."""


class ForgottenPositionError(LookupError):
    """The database no longer has the events after this position."""


class ChangeFilter(NamedTuple):
    """Which changes a stream reports.

    Attributes:
        pipeline: Selects them, and projects their events to what is needed. Without a projection an event could be larger
            than MongoDB can send: it has what was written twice.
        look_up: Whether an update comes with the document as it is when it is read.
        plain_ids: Whether ids are read as `with_plain_ids` does.
    """

    pipeline: tuple[Mapping[str, Any], ...]
    look_up: bool = False
    plain_ids: bool = False


class Change(NamedTuple):
    """A change of an interception.

    Attributes:
        position: Where its event is.
        time: The database's time of it.
        id: Of the interception.
        document: The whole document, as it was written or is; None of an update that is not looked up, and where the
            document was removed since then.
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

    def __init__(self, database: Database, session: Session, followed: ChangeFilter, after: str | None) -> None:
        self._database = database
        self._followed = followed
        self._collection = with_plain_ids(database.interceptions) if followed.plain_ids else database.interceptions
        self._session = session
        self._after = after
        self._cursor_id = 0
        self.position = ""
        self.time = Timestamp(0, 0)

    @classmethod
    async def open(cls, database: Database, followed: ChangeFilter, after: str | None = None) -> Self:
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
        stream = cls(database, session, followed, after)
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

    async def _begin(self) -> None:
        after = {} if self._after is None else {"resumeAfter": {"_data": self._after}}
        look_up = {"fullDocument": "updateLookup"} if self._followed.look_up else {}
        pipeline = [{"$changeStream": {**look_up, **after}}, *self._followed.pipeline]
        reply = await self._run_command(
            {"aggregate": self._collection.name, "pipeline": pipeline, "cursor": {"batchSize": 0}}
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
    return InvalidPositionError("not a resume token of this database") if resumed else None
