"""Sessions: calls that belong together, newest first; one of them with its threads, and its time axis."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Annotated, Any, Final
from uuid import UUID

from msgspec import Meta, structs

from handlers.api.recorded.interceptions import around_list, page_of, rows_of
from handlers.api.recorded.visibility import NOT_FOR_READERS, Sight
from handlers.operations.operation import Ask, Download, Pieces, operation
from handlers.operations.query import Paged, Query
from handlers.problems import Problem, sentence
from intercept.ids import format_id
from intercept.times import format_time
from resources.fields import doc
from resources.recorded import sessions as resources
from resources.recorded.client_reports import ClientSaid
from resources.recorded.export_formats import CSV_TYPE
from resources.recorded.failures import RecordedRefusal
from resources.recorded.interceptions import session_without_texts
from resources.recorded.sessions import CSV_HEAD, SessionDetail, SessionList, ThreadPage, Timeline, csv_rows
from storage.accounts.events import Way
from storage.derived.sessions.loops import find_loops
from storage.queries.sessions import (
    SessionOrder,
    SessionThread,
    client_events_of,
    neighbours_of,
    refusals_beside,
    session_calls,
)

MAX_THREADS: Final = 50
EXPORT_PAGE: Final = 500
UNKNOWN_SESSION = "there is no session with this id that you may see"

Id = Annotated[UUID, doc("The id of the session.")]


class SessionQuery(Paged, frozen=True):
    """Which sessions, and in which order."""

    q: Annotated[
        str,
        Meta(
            description="A search, as for interceptions, without `request_id`; `status` is `failed` where a call of the "
            "session failed, else `completed`. Words, and keys that only calls have, find sessions with a call of which all "
            "of them are true.",
            examples=["user:me model:gpt-5"],
        ),
    ] = ""
    order_by: Annotated[
        SessionOrder, doc("The sort order, largest first; `lost` is the cost of broken prompt caches.")
    ] = SessionOrder.STARTED
    after_session_id: Annotated[
        UUID | None, doc("Start after this one: the last of the previous page. Not together with `offset`.")
    ] = None


class SessionExportQuery(Query, frozen=True):
    """Which sessions are exported, and in which order."""

    q: Annotated[str, doc("A search, as for the list.")] = ""
    order_by: Annotated[SessionOrder, doc("The sort order, as for the list.")] = SessionOrder.STARTED


class ThreadQuery(Query, frozen=True):
    """Which threads of a session."""

    limit: Annotated[int, Meta(ge=1, le=MAX_THREADS, description="The maximum number of threads.")] = 10
    after_thread_id: Annotated[UUID | None, doc("Start after this thread: the last of the previous page.")] = None


@operation("GET", "sessions", raises={403: NOT_FOR_READERS})
async def list_sessions(ask: Ask, query: SessionQuery) -> Pieces[SessionList]:
    """List sessions.

    Calls that belong together, two or more, newest first, or in another order.
    """
    sight = Sight(ask)
    found = await sight.session_search(query.q)
    count, rows = await ask.bridge.sessions.page(
        found.conditions,
        visible_to=ask.visible_to,
        order=query.order_by,
        limit=query.limit,
        after_id=query.after_session_id,
        offset=query.offset,
    )
    pieces = page_of(ask, lambda last: SessionList(count, [], last, found.is_exact), rows, sight.session_resource_of)
    return Pieces(pieces)


@operation("GET", "sessions/export", shares=True, media=("text/csv",), raises={403: NOT_FOR_READERS})
async def export_sessions(ask: Ask, query: SessionExportQuery) -> Download:
    """Export all sessions that match, as CSV without prompts."""
    found = await Sight(ask).session_search(query.q)
    return Download(CSV_TYPE, "sessions.csv", _exported(ask, query.order_by, found.conditions))


async def _exported(ask: Ask, order: SessionOrder, conditions: Mapping[str, Any]) -> AsyncGenerator[bytes, None]:
    """Write page after page. The next one is read when the client has read the one before."""
    yield CSV_HEAD
    after = None
    while True:
        _, rows = await ask.bridge.sessions.page(
            conditions, visible_to=ask.visible_to, order=order, limit=EXPORT_PAGE, after_id=after
        )
        documents = list(rows)
        if not documents:
            return
        users = await ask.bridge.identities.users_by_id({document["initiator_id"] for document in documents})
        yield csv_rows(resources.Session.of(session_without_texts(document), users) for document in documents)
        after = documents[-1]["_id"]


async def _find(ask: Ask, id_: UUID) -> dict[str, Any]:
    """Find the document of a session.

    Raises:
        Problem: 404, it is unknown or not to be seen by the caller, who cannot tell which.
    """
    session = await ask.bridge.sessions.find(id_, visible_to=ask.visible_to)
    if session is None:
        raise Problem(404, sentence(UNKNOWN_SESSION))
    return session


@operation("GET", "sessions/{id}", unknown=UNKNOWN_SESSION)
async def get_session(ask: Ask, id_: Id, query: ThreadQuery) -> Pieces[SessionDetail]:
    """Read a session, with its threads.

    A session appears when its first call has ended.
    """
    session = await _find(ask, id_)
    threads, more = await ask.bridge.sessions.threads(session["_id"], limit=query.limit, after_id=query.after_thread_id)
    return Pieces(_with_threads(ask, session, threads, more))


async def _with_threads(
    ask: Ask, session: Mapping[str, Any], threads: Sequence[SessionThread], more: bool
) -> AsyncGenerator[bytes, None]:
    sight = Sight(ask, Way.SESSION, (("session_id", format_id(session["_id"])),))
    initiators = await ask.bridge.identities.users_by_id([session["initiator_id"]])
    shown = sight.session_resource_of(session, initiators)
    head, tail = around_list(SessionDetail(**structs.asdict(shown), thread_page=ThreadPage([], more)))
    yield head
    for number, thread in enumerate(threads):
        first = next(iter(thread.interceptions))
        times = format_time(first["started_at"]), format_time(thread.last_active_at)
        begin, end = around_list(resources.Thread(first["_id"], *times, thread.more, []))
        yield b"," * bool(number) + begin
        async for piece, _ in rows_of(ask, thread.interceptions, sight.resource_of):
            yield piece
        yield end
    yield tail


@operation("GET", "sessions/{id}/timeline", unknown=UNKNOWN_SESSION)
async def get_timeline(ask: Ask, id_: Id) -> Timeline:
    """Read the timeline of a session.

    Its calls, the tools of its agents and their results, loops, refusals in this time, and what the client says of it. It has
    no texts.
    """
    session = await _find(ask, id_)
    database = ask.bridge.database
    calls, more = await session_calls(database, session["_id"])
    tokens = sorted({call["api_key_id"] for call in calls})
    of = session["initiator_id"], tokens, session["started_at"], session["last_active_at"]
    refusals = await refusals_beside(database, *of)
    earlier, later = await neighbours_of(database, session)
    said = ClientSaid(*await client_events_of(database, session))
    users = await ask.bridge.identities.users_by_id([session["initiator_id"]])
    return Timeline(
        calls=[resources.TimelineCall.of(call, said) for call in calls],
        more=more,
        tools=resources.tool_figures(calls),
        loops=[
            resources.Loop(one.tool, one.agent_id, len(one.interception_ids), list(one.interception_ids))
            for one in find_loops(calls)
        ],
        refusals=[RecordedRefusal.of(row, users) for row in refusals],
        earlier_session_id=earlier,
        later_session_id=later,
        client_report=said.report,
    )
