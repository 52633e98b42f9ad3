"""`GET /api/v2/aibridge/interceptions` and `/interceptions/{id}`: the recorded calls, newest first, and one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from handlers.api.pagination import parse_page
from handlers.api.recorded.pages import PageHandler
from handlers.api.recorded.visibility import VisibilityHandler
from handlers.problems import Problem
from intercept.ids import format_id
from resources.recorded.interceptions import InterceptionList
from storage.accounts.events import Way
from storage.search.find import Found, is_for_index
from storage.search.reading import Query

PARAMETERS = ("q", "limit", "after_id", "offset")
UNKNOWN_CURSOR = "after_id", "no interception with this id that you may see"
UNKNOWN_INTERCEPTION = "There is no interception with this id that you may see."


class InterceptionsHandler(PageHandler):
    """The list of interceptions."""

    unknown_cursor = UNKNOWN_CURSOR
    _query: Query | None = None

    async def respond(self) -> None:
        """Respond with `{"count": n, "results": [..], "next_after_id": id}`; `count` is all that the caller may see."""
        values = self.parameters(*PARAMETERS)
        paging = parse_page(values)._asdict()
        query = await self.query(values.get("q", ""))
        if found := await self._found(query, paging):
            await self._write(query, found)
            return
        count, rows = await self.bridge.interceptions.page(query.conditions, visible_to=self.visible_to, **paging)
        await self.write_page(lambda last: InterceptionList(count, [], last), rows, self.resource_of)

    async def _found(self, query: Query, paging: Mapping[str, Any]) -> Found | None:
        """What the search index finds; None where it is not needed."""
        if query.search.texts is None and not is_for_index(query):
            return None
        return await self.bridge.search.page(query, **paging)

    async def _write(self, query: Query, found: Found) -> None:
        if query.search.texts is not None:
            self._query, self.way = query, Way.SEARCH
        await self.write_page(
            lambda last: InterceptionList(found.count, [], last or found.next_after, found.is_exact),
            found.rows,
            self.resource_of,
        )

    async def complete(self, documents: Sequence[Mapping[str, Any]], rows: Sequence[Any]) -> None:
        """Add what matches to rows, as far as there is time for it."""
        if self._query is not None:
            found = await self.bridge.search.matches(self._query, documents)
            for row, matches in zip(rows, found, strict=False):
                row.matches = matches


class InterceptionHandler(VisibilityHandler):
    """One interception, in flight or ended."""

    way = Way.DETAIL

    async def respond(self) -> None:
        """Respond with the interception."""
        self.parameters()
        try:
            id_ = UUID(self.path_args[0])
        except ValueError:
            document = None
        else:
            document = await self.bridge.interception_reader.find(id_, visible_to=self.visible_to)
        if document is None:
            raise Problem(404, UNKNOWN_INTERCEPTION)
        self.read_detail = (("interception_id", format_id(document["_id"])),)
        initiators = await self.bridge.identities.users_by_id([document["initiator_id"]])
        self.write_json(self.resource_of(document, initiators))
