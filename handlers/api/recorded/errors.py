"""Why calls failed and were refused, grouped."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from msgspec import Meta
from msgspec.structs import replace

from handlers.api.recorded.progress import progress_to
from handlers.api.recorded.visibility import NOT_FOR_READERS, SearchText, Sight
from handlers.operations.operation import Ask, Report, operation
from handlers.operations.query import Limit, Offset, Ranged, Timestamp
from intercept.records import Status
from intercept.times import format_time
from resources.fields import doc
from resources.ranges import Problems
from resources.recorded.errors import ErrorKind, ErrorList, named
from storage.queries.errors import read_errors
from storage.queries.filters.keys import Term
from storage.queries.filters.search_language import Search, refusals_of
from storage.queries.questions.question import Question

READ_PER_SECOND = 30_000
MAX_SAYING = 5_000
"""How many of the latest failed calls that say the words of a search are put into groups."""

_MILLISECOND = timedelta(milliseconds=1)


class ErrorQuery(Ranged, frozen=True):
    """Which errors, of the last seven days without a range."""

    from_: Annotated[Timestamp | None, doc("The start of the range; without it seven days before its end.")] = None
    to: Annotated[Timestamp | None, doc("The end of the range, exclusive; without it now.")] = None
    q: SearchText = ""
    provider: Annotated[str, Meta(description="Only those of the provider with this name.", examples=["anthropic"])] = (
        ""
    )
    limit: Limit = 100
    offset: Offset = 0

    def check(self, now: datetime) -> Problems:
        """Find what is wrong with the range."""
        problems: Problems = []
        self.bounded(now, problems, _a_week_before)
        return problems


def _a_week_before(end: datetime) -> datetime:
    return end - timedelta(days=7)


@operation("GET", "errors", tag="refusals", raises={403: NOT_FOR_READERS})
async def list_errors(ask: Ask, query: ErrorQuery, report: Report) -> ErrorList:
    """List errors and refusals, by kind.

    Failed calls by provider, model, status, type and message, and refusals by provider, model, status and rule; the most
    frequent first. Refusals are left out where the search asks for what they do not have. With
    `Accept: application/x-ndjson` lines of progress come before the result, where there is much to read.
    """
    bridge, sight = ask.bridge, Sight(ask)
    start, end, _ = query.bounded(bridge.now(), [], _a_week_before)
    asked = await sight.query(query.q)
    search = narrowed(asked.search, query.provider, start, end)
    calls, refusals, found = search.filter(), refusals_of(search), None
    if search.texts is not None:
        found = await bridge.search.latest(asked._replace(search=search, conditions=calls), MAX_SAYING)
        calls, refusals = {**calls, "_id": {"$in": found.ids}}, None  # no words are kept of what was refused
    on_progress, seconds = progress_to(report, ask, READ_PER_SECOND)
    groups, is_cut = await read_errors(
        bridge.questions,
        Question(start, end, calls, visible_to=ask.visible_to),
        refusals,
        texts=sight.shows_texts,
        on_progress=on_progress,
        seconds=seconds,
    )
    page = groups[query.offset : query.offset + query.limit]
    ids = {user for group in page for user in (*named(group), group.example_user) if user is not None}
    users = await bridge.identities.users_by_id(ids)
    for group in page:
        if group.message and group.example_user is not None:
            sight.note_read(group.example_user, users)
    return ErrorList(
        from_=format_time(start),
        to=format_time(end),
        count=len(groups),
        calls=sum(group.calls for group in groups),
        is_complete=not is_cut and (found is None or found.is_exact),
        results=[ErrorKind.of(group, users, end) for group in page],
    )


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
