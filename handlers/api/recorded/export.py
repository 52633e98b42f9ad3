"""`GET /api/v2/aibridge/interceptions/export`: everything that matches a search, as one download."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from typing import Any, TypeAlias

from tornado.iostream import StreamClosedError

from handlers.api.pagination import INVALID, limit_of, uuid_of
from handlers.api.recorded.interceptions import UNKNOWN_CURSOR
from handlers.api.recorded.watched import WatchedHandler
from handlers.problems import Problem, ValidationProblem
from resources.recorded.export_formats import FORMATS, Format
from storage.accounts.events import Way
from storage.queries.interception_reader import TooManyExportsError
from storage.search.reading import Query

PARAMETERS = ("format", "q", "after_id", "limit")
TOO_MANY = "The maximum number of exports is reached. Please try again later."
MAX_ROWS = 2**31 - 1
# Interceptions that are written before other requests run: about two milliseconds' work.
CHUNK = 25

Pages: TypeAlias = AsyncGenerator[list[dict[str, Any]], None]


class ExportHandler(WatchedHandler):
    """A download, newest first.

    The next page is read when the client has read the one before; only one is in memory.
    """

    way = Way.EXPORT
    unknown_cursor = UNKNOWN_CURSOR

    async def respond(self) -> None:
        """Respond with a line for each interception. If something fails half way, the connection is closed."""
        values = self.parameters(*PARAMETERS)
        name = values.get("format") or next(iter(FORMATS))
        if name not in FORMATS:
            raise ValidationProblem(INVALID, validations=[("format", f"must be one of {', '.join(FORMATS)}")])
        search = {"after_id": uuid_of(values, "after_id"), "limit": limit_of(values, MAX_ROWS, None)}
        query = await self.query(values.get("q", ""))
        self.set_header("Content-Type", FORMATS[name].content_type)
        self.set_header("Content-Disposition", f'attachment; filename="interceptions.{name}"')
        if self.request.method == "HEAD":
            await self.flush()
            return
        self.begin_export()
        with suppress(StreamClosedError):
            await self._export(FORMATS[name], self._pages(query, search))

    def _pages(self, query: Query, search: Mapping[str, Any]) -> Pages:
        if query.search.texts is not None:
            return self.bridge.search.pages(query, **search)
        return self.bridge.interception_reader.pages(query.conditions, visible_to=self.visible_to, **search)

    async def _export(self, written: Format, reading: Pages) -> None:
        self.write(written.head)
        try:
            async with aclosing(reading) as pages, self.watched():
                async for page in pages:
                    users = await self.bridge.identities.users_by_id({document["initiator_id"] for document in page})
                    for start in range(0, len(page), CHUNK):
                        chunk = page[start : start + CHUNK]
                        interceptions = [self.resource_of(document, users) for document in chunk]
                        self.write(written.rows(self.bridge.secrets.hide(interceptions)))
                        await self.send()
        except TooManyExportsError as error:
            raise Problem(503, TOO_MANY, {"Retry-After": "5"}) from error
