"""`GET /api/v2/aibridge/errors`: why calls failed and were refused, grouped."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial

from msgspec.structs import replace

from handlers.api.choices import refuse, time_range
from handlers.api.pagination import Page, parse_page
from handlers.api.recorded.progress import ProgressHandler
from intercept.records import Status
from intercept.times import format_time
from resources.ranges import zone_of
from resources.recorded.errors import ErrorKind, ErrorList, named
from storage.accounts.events import Way
from storage.queries.errors import read_errors
from storage.queries.filters.keys import Term
from storage.queries.filters.search_language import Search, refusals_of
from storage.queries.questions.question import Question
from storage.queries.questions.reading import OnProgress
from storage.search.find import FoundIds
from storage.search.reading import Query

USUAL_SPAN = timedelta(days=7)
MAX_SAYING = 5_000
"""How many of the latest failed calls that say the words of a search are put into groups."""

_MILLISECOND = timedelta(milliseconds=1)


class ErrorsHandler(ProgressHandler):
    """The groups of errors of a time range."""

    way = Way.LIST
    read_per_second = 30_000

    async def respond(self) -> None:
        """Respond with the groups, the most frequent first."""
        values = self.parameters("from", "to", "range", "tz", "q", "provider", "limit", "offset")
        page = parse_page(values)
        start, end = read_range(values, self.bridge.now())
        query = await self.query(values.get("q", ""))
        search = narrowed(query.search, values.get("provider", ""), start, end)
        query = query._replace(search=search, conditions=search.filter())
        found = None if search.texts is None else await self.bridge.search.latest(query, MAX_SAYING)
        await self.write_with_progress(partial(self._errors, query, found, (start, end), page=page))

    async def _errors(
        self,
        query: Query,
        found: FoundIds | None,
        within: tuple[datetime, datetime],
        on_progress: OnProgress,
        seconds: float | None,
        *,
        page: Page,
    ) -> ErrorList:
        """Read the groups; `found` are the calls that say the words of the query, None if it has none."""
        calls, refusals = query.conditions, refusals_of(query.search)
        if found is not None:
            calls, refusals = {**calls, "_id": {"$in": found.ids}}, None  # no words are kept of what was refused
        groups, is_cut = await read_errors(
            self.bridge.questions,
            Question(*within, calls, visible_to=self.visible_to),
            refusals,
            texts=self.shows_texts,
            on_progress=on_progress,
            seconds=seconds,
        )
        page_groups = groups[page.offset : page.offset + page.limit]
        ids = {user for group in page_groups for user in (*named(group), group.example_user) if user is not None}
        users = await self.bridge.identities.users_by_id(ids)
        for group in page_groups:
            if group.message and group.example_user is not None:
                self.note_read(group.example_user, users)
        return ErrorList(
            from_=format_time(within[0]),
            to=format_time(within[1]),
            count=len(groups),
            calls=sum(group.calls for group in groups),
            is_complete=not is_cut and (found is None or found.is_exact),
            results=[ErrorKind.of(group, users, within[1]) for group in page_groups],
        )


def read_range(values: Mapping[str, str], now: datetime) -> tuple[datetime, datetime]:
    """Read the time range, the last seven days without one.

    Raises:
        ValidationProblem: it is none; every parameter that is wrong is named.
    """
    problems: list[tuple[str, str]] = []
    zone = zone_of(values.get("tz") or "UTC", problems)
    start, end, _ = time_range(values, problems, zone=zone, now=now, usual=lambda to: to - USUAL_SPAN)
    refuse(problems)
    return start, end


def narrowed(search: Search, provider: str, start: datetime, end: datetime) -> Search:
    """Return the search within the range, for failed calls, and for a provider if one is given."""
    return replace(
        search,
        started_after=max(start, search.started_after or start),
        started_before=min(end - _MILLISECOND, search.started_before or end),
        terms=(
            *search.terms,
            *([] if search.asks_for("status") else [Term("status", (Status.FAILED,))]),
            *([Term("provider_name", (provider,))] if provider else []),
        ),
    )
