"""`GET /api/v2/aibridge/sessions` and `/sessions/{id}`: calls that belong together, newest first, and one such set."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from handlers.api.pages import PageHandler, around_list
from handlers.api.pagination import INVALID, parse_page, single_values, uuid_of, whole_number
from handlers.api.visibility import INVALID_SEARCH, parsed_search
from handlers.problems import Problem, ValidationProblem
from intercept.ids import format_id
from intercept.times import format_time
from resources.recorded import sessions as resources
from resources.recorded.sessions import SessionDetail, SessionList, ThreadPage
from storage.accounts.events import Way
from storage.queries.filters.interceptions import InvalidSearchError
from storage.queries.paging import UnknownCursorError
from storage.queries.sessions import Order, Thread, session_filter

PARAMETERS = ("q", "limit", "order_by", "after_session_id", "offset")
DETAIL_PARAMETERS = ("limit", "after_thread_id")
DEFAULT_THREADS, MAX_THREADS = 10, 50
THREADS_ALLOWED = f"Pagination limit must be in range (0, {MAX_THREADS}]"
UNKNOWN_CURSOR = "no session with this id that you may see"
UNKNOWN_THREAD = "no thread with this id in the session"
UNKNOWN_SESSION = "There is no session with this id that you may see."


class SessionsHandler(PageHandler):
    """The list of sessions."""

    async def respond(self) -> None:
        """Answer `{"count": n, "results": [..], "next_after_session_id": id}`; `count` is all that match and may be seen.

        Raises:
            ValidationProblem: a parameter cannot be used.
        """
        values = single_values(self.request.query_arguments, PARAMETERS)
        page = parse_page(values, after="after_session_id")
        search = await self.resolved(parsed_search(values.get("q", ""), self.bridge.now()))
        order = _order(values.get("order_by", ""))
        try:
            conditions = session_filter(search, initiator_id=await self.initiator_of(search))
        except InvalidSearchError as error:
            raise ValidationProblem(INVALID_SEARCH, validations=error.validations) from error
        try:
            count, rows = await self.bridge.sessions.page(
                conditions,
                visible_to=self.visible_to,
                limit=page.limit,
                after_id=page.after_id,
                offset=page.offset,
                order=order,
            )
        except UnknownCursorError as error:
            raise ValidationProblem(INVALID, validations=[("after_session_id", UNKNOWN_CURSOR)]) from error
        await self.write_page(lambda last: SessionList(count, [], last), rows, self.shown_session)


def _order(name: str) -> Order:
    """Read what to sort by, the start where nothing is said.

    Raises:
        ValidationProblem: there is no such order.
    """
    try:
        return Order(name or Order.STARTED)
    except ValueError as error:
        allowed = ", ".join(Order)
        raise ValidationProblem(INVALID, validations=[("order_by", f"must be one of {allowed}")]) from error


class SessionHandler(PageHandler):
    """One session, with a page of its threads."""

    way = Way.SESSION

    async def respond(self) -> None:
        """Answer the session.

        Raises:
            Problem: 404, it is unknown or not to be seen by the caller, who cannot tell which.
            ValidationProblem: a parameter cannot be used.
        """
        values = single_values(self.request.query_arguments, DETAIL_PARAMETERS)
        limit, after = values.get("limit"), values.get("after_thread_id")
        most = whole_number(limit, 1, MAX_THREADS, "limit", THREADS_ALLOWED) if limit else DEFAULT_THREADS
        after_id = uuid_of(after, "after_thread_id") if after else None
        session = await self._session()
        self.read_detail = (("session_id", format_id(session["_id"])),)
        try:
            threads, more = await self.bridge.sessions.threads(session["_id"], limit=most, after_id=after_id)
        except UnknownCursorError as error:
            raise ValidationProblem(INVALID, validations=[("after_thread_id", UNKNOWN_THREAD)]) from error
        initiators = await self.bridge.identities.users_by_id([session["initiator_id"]])
        self.set_header("Content-Type", "application/json")
        head, tail = around_list(
            SessionDetail.with_threads(self.shown_session(session, initiators), ThreadPage([], more))
        )
        await self.write_piece(head)
        for number, thread in enumerate(threads):
            await self.write_piece(b"," * bool(number))
            await self._write_thread(thread)
        await self.write_piece(tail)

    async def _write_thread(self, thread: Thread) -> None:
        first = next(iter(thread.interceptions))
        times = format_time(first["started_at"]), format_time(thread.last_active_at)
        head, tail = around_list(resources.Thread(first["_id"], *times, thread.more, []))
        await self.write_piece(head)
        await self.write_rows(thread.interceptions, self.shown_interception)
        await self.write_piece(tail)

    async def _session(self) -> dict[str, Any]:
        try:
            session = await self.bridge.sessions.find(UUID(self.path_args[0]), visible_to=self.visible_to)
        except ValueError:
            session = None
        if session is None:
            raise Problem(404, UNKNOWN_SESSION)
        return session
