"""Reading interceptions: one, all that match, or pages of a list with how many there are. Newest first.

The files that batches of OpenAI's have put out are noted in the records of the calls that made the batches, and found there.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

from pymongo import ASCENDING

from intercept.ids import in_any_case
from intercept.records import Status
from storage.mongo.database import Database, Session
from storage.mongo.documents.rows import Rows, as_sent
from storage.mongo.indexes import Keys
from storage.queries.counts import counted_ranges, index_of_page, number_of
from storage.queries.filters.selection import Selection
from storage.queries.filters.time_ranges import EARLIEST, LATEST
from storage.queries.paging import HIDDEN_FIELDS, INTERCEPTIONS, Position, side_by_side, visible

_OF_FIRST = {"client_session_id": True, "model": True, "tags": True, "status": True}
_MILLISECOND = timedelta(milliseconds=1)

MAX_EXPORTS_AT_A_TIME = 4
"""How many read everything at a time: each holds a page in memory."""

PAGE = 200
"""Most documents of a page. Large ones make fewer."""

USAGE_SECONDS = 2.0
"""How long the database may take to say whether the usage of a response is written, or which batch a file is of."""

_MAKES_BATCH = {"route": {"$in": ["/v1/batches", "/openai/batches"]}}


class TooManyExportsError(Exception):
    """`MAX_EXPORTS_AT_A_TIME` are under way already."""


class ResponseUsage(NamedTuple):
    """What is written of a response: session, model and tags of the first call that got it, and whether a call has its usage.

    `is_awaited` says that this first call is under way, so that its end may tell the usage.
    """

    client_session_id: str | None
    model: str | None
    tags: Mapping[str, str]
    is_told: bool
    is_awaited: bool


class Interceptions:
    """The interceptions of a database. Every method raises `DatabaseUnavailableError`, also after `QUERY_SECONDS`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._collection = database.interceptions
        self._raw = as_sent(self._collection)
        self._exports = 0

    async def page(
        self,
        search_filter: Mapping[str, Any],
        *,
        visible_to: UUID | None,
        limit: int,
        after_id: UUID | None = None,
        offset: int = 0,
    ) -> tuple[int, Rows]:
        """Read a page (see `storage.queries.paging`) of what a `Search.filter` finds, newest first, and count it all.

        Both are as of one moment. A page that would have too many bytes is cut: there are fewer documents than `limit`,
        and more behind them.
        """
        selection = Selection.of(search_filter, visible_to)
        async with self._database.query():
            cursor = None
            if after_id is not None:
                cursor = await INTERCEPTIONS.locate(self._collection, after_id, visible(visible_to))
            if selection is None:
                return 0, Rows(self._collection)
            if selection.breakdown is not None:
                async with self._database.snapshot() as session:
                    if page := await self._counted_by_rollups(selection, session, limit, cursor, offset):
                        return page
            count, rows = await side_by_side(
                number_of(self._database, selection), self._documents(selection, selection.index, limit, cursor, offset)
            )
            return count, rows

    async def find(self, id_: UUID, *, visible_to: UUID | None) -> dict[str, Any] | None:
        """Return the document of one interception; None where there is none that `visible_to`, if not None, may see."""
        async with self._database.query():
            return await self._collection.find_one({"_id": id_, **visible(visible_to)})

    async def pages(
        self,
        search_filter: Mapping[str, Any],
        *,
        visible_to: UUID | None,
        after_id: UUID | None = None,
        limit: int | None = None,
    ) -> AsyncGenerator[list[dict[str, Any]], None]:
        """Read all interceptions that match, newest first, a page whenever the caller is ready for one.

        Nothing is held in the database in between, so it may take as long as it likes: each page begins behind the last
        document of the one before. What starts meanwhile is not among them. `limit` is the most in all, and None all of
        them; see `storage.queries.paging`.

        Raises:
            TooManyExportsError: No more may read everything.
        """
        if self._exports >= MAX_EXPORTS_AT_A_TIME:
            raise TooManyExportsError
        self._exports += 1
        try:
            selection = Selection.of(search_filter, visible_to)
            last = None
            if after_id is not None:
                async with self._database.query():
                    last = await INTERCEPTIONS.locate(self._collection, after_id, visible(visible_to))
            while selection and limit != 0:
                async with self._database.query():
                    rows = await self._documents(selection, selection.index, min(limit or PAGE, PAGE), last, 0)
                if not (page := list(rows)):
                    break
                yield page
                last = Position(page[-1]["started_at"], page[-1]["_id"])
                limit = limit and limit - len(page)
        finally:
            self._exports -= 1

    async def has_response(self, initiator_id: UUID, provider_name: str, response_id: str) -> bool:
        """Whether a call of this user to this provider got the response with that id, as far as it is written.

        The id of the request in a header does not count: some servers repeat the one that the client sent.
        """
        is_of_response = {"$or": [{"response_id": response_id}, {"upstream_request_id": {"$ne": response_id}}]}
        got = _of_request(initiator_id, provider_name, response_id) | is_of_response
        async with self._database.query():
            return await self._collection.find_one(got, {"_id": True}) is not None

    async def are_of_others(self, initiator_id: UUID, provider_name: str, ids: Collection[str]) -> bool:
        """Whether calls of other users to this provider got any response with these ids that none of this user's got."""
        named = {in_any_case(id_) for id_ in ids}
        got = {"request_ids": {"$in": sorted(named)}, "provider_name": provider_name}
        fields = ("request_ids", "response_id", "upstream_request_id", "initiator_id")
        own: set[str] = set()
        of_others: set[str] = set()
        async with self._database.query():
            async for call in self._collection.find(got, dict.fromkeys(fields, True)):
                made = named & set(call["request_ids"])
                if (echoed := call.get("upstream_request_id")) and echoed != call.get("response_id"):
                    made.discard(in_any_case(echoed))  # some servers repeat the id that a client sent
                (own if call["initiator_id"] == initiator_id else of_others).update(made)
        return bool(of_others - own)

    async def find_usage(self, initiator_id: UUID, provider_name: str, response_id: str) -> ResponseUsage:
        """What is written of the response with that id that calls of this user to this provider got."""
        got = _of_request(initiator_id, provider_name, response_id) | {"response_id": response_id}
        async with self._database.query(USAGE_SECONDS):
            first = await self._collection.find_one(got, _OF_FIRST, sort=[("started_at", ASCENDING)]) or {}
            told = await self._collection.find_one({**got, "token_usages.0": {"$exists": True}}, {"_id": True})
        is_awaited = first.get("status") == Status.IN_FLIGHT
        session, model, tags = first.get("client_session_id"), first.get("model"), first.get("tags", {})
        return ResponseUsage(session, model, tags, told is not None, is_awaited)

    async def note_files(self, initiator_id: UUID, provider_name: str, batch_id: str, files: Sequence[str]) -> None:
        """Note the files of a batch that a call of this user to this provider has made. Again is harmless."""
        made = _of_request(initiator_id, provider_name, batch_id) | _MAKES_BATCH
        noted = {"request_ids": {"$each": list(map(in_any_case, files))}}
        async with self._database.within(USAGE_SECONDS):
            await self._collection.update_many(made, {"$addToSet": noted})

    async def batch_of_file(self, initiator_id: UUID, provider_name: str, file_id: str) -> str | None:
        """The batch of this user whose output a file is; None where none is noted."""
        made = _of_request(initiator_id, provider_name, file_id) | _MAKES_BATCH
        async with self._database.within(USAGE_SECONDS):
            document = await self._collection.find_one(made, {"response_id": True})
        return None if document is None else document.get("response_id")

    async def ended_ones(self, ids: Sequence[UUID]) -> set[UUID]:
        """Which of some interceptions have ended, other than presumably, as far as it is written."""
        found = {"_id": {"$in": list(ids)}, "ended_at": {"$exists": True}, "presumed": {"$exists": False}}
        async with self._database.query():
            documents = await self._collection.find(found, {"_id": True}).to_list(None)
        return {document["_id"] for document in documents}

    async def _counted_by_rollups(
        self, selection: Selection, session: Session, limit: int, cursor: Position | None, offset: int
    ) -> tuple[int, Rows] | None:
        """Count by the rollups, and read where they say that the page is; None if they do not say."""
        ranges = await counted_ranges(self._database, selection, session)
        if ranges is None:
            return None
        location = ranges.at_offset(offset, limit) if cursor is None else ranges.behind(cursor.at, limit)
        if location is None:
            return ranges.total, Rows(self._collection)
        near = selection.within(location.start, location.end)
        index = await index_of_page(self._database, near, location, limit, session)
        return ranges.total, await self._documents(near, index, limit, cursor, location.skip, session=session)

    async def _documents(
        self,
        selection: Selection,
        index: Keys,
        limit: int,
        cursor: Position | None,
        skip: int,
        *,
        session: Session | None = None,
    ) -> Rows:
        wanted, order = _behind(selection, cursor), INTERCEPTIONS.order
        found = self._raw.find(wanted, HIDDEN_FIELDS, sort=order, hint=index, skip=skip, limit=limit, session=session)
        return await Rows(self._collection).read(found, limit)


def _of_request(initiator_id: UUID, provider_name: str, request_id: str) -> dict[str, Any]:
    return {"request_ids": in_any_case(request_id), "initiator_id": initiator_id, "provider_name": provider_name}


def _behind(selection: Selection, cursor: Position | None) -> dict[str, Any]:
    """Return what finds those of a selection that come behind an interception."""
    if cursor is None:
        return selection.filter
    until = selection.within(EARLIEST, min(cursor.at + _MILLISECOND, LATEST))
    return {**until.filter, "$nor": [{"started_at": cursor.at, "_id": {"$gte": cursor.id}}]}
