"""`GET /api/v2/aibridge/sessions`, newest first, `/sessions/{id}` and its `/timeline`: calls that belong together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from handlers.api.choices import choice, refuse
from handlers.api.pagination import limit_of, parse_page, uuid_of
from handlers.api.recorded.pages import PageHandler, around_list
from handlers.problems import Problem
from intercept.ids import format_id
from intercept.times import format_time
from resources.recorded import sessions as resources
from resources.recorded.sessions import SessionDetail, SessionList, ThreadPage
from resources.recorded.timelines import Timeline
from storage.accounts.events import Way
from storage.queries.sessions.session_list import OF_SEVERAL, Order
from storage.queries.sessions.sessions import Thread
from storage.queries.sessions.timelines import neighbours_of, refusals_of, session_calls

PARAMETERS = ("q", "limit", "several", "order_by", "after_session_id", "offset")
DETAIL_PARAMETERS = ("limit", "after_thread_id")
DEFAULT_THREADS, MAX_THREADS = 10, 50
UNKNOWN_SESSION = "There is no session with this id that you may see."


class SessionsHandler(PageHandler):
    """The list of sessions."""

    unknown_cursor = "after_session_id", "no session with this id that you may see"

    async def respond(self) -> None:
        """Respond with `{"count": n, "results": [..], "next_after_session_id": id}`; `count` is all that may be seen."""
        values = self.parameters(*PARAMETERS)
        page = parse_page(values, after="after_session_id")
        order, several = _order_and_filter(values)
        found = await self.session_search(values.get("q", ""))
        count, rows = await self.bridge.sessions.page(
            found.conditions | several, visible_to=self.visible_to, order=order, **page._asdict()
        )
        await self.write_page(lambda last: SessionList(count, [], last, found.is_exact), rows, self.session_resource_of)


def _order_and_filter(values: Mapping[str, str]) -> tuple[Order, dict[str, Any]]:
    """Read what to sort by, by default the start, and the filter of sessions with several calls, where only these are wanted.

    Raises:
        ValidationProblem: With every parameter that is wrong.
    """
    problems: list[tuple[str, str]] = []
    order = choice(Order, "order_by", values, problems) or Order.STARTED
    several = values.get("several", "")
    if several not in {"", "true", "false"}:
        problems.append(("several", "must be true or false"))
    refuse(problems)
    return order, dict(OF_SEVERAL) if several == "true" else {}


class OneSessionHandler(PageHandler):
    """Something of one session."""

    way = Way.SESSION

    async def find_session(self) -> dict[str, Any]:
        """Return the document of the session in the path.

        Raises:
            Problem: 404, it is unknown or not to be seen by the caller, who cannot tell which.
        """
        try:
            session = await self.bridge.sessions.find(UUID(self.path_args[0]), visible_to=self.visible_to)
        except ValueError:
            session = None
        if session is None:
            raise Problem(404, UNKNOWN_SESSION)
        return session


class TimelineHandler(OneSessionHandler):
    """The time axis of a session. It has no texts."""

    async def respond(self) -> None:
        """Respond with all calls of the session in short, with what happened beside them."""
        self.parameters()
        session = await self.find_session()
        database = self.bridge.database
        calls, more = await session_calls(database, session["_id"])
        tokens = sorted({call["api_key_id"] for call in calls})
        of = session["initiator_id"], tokens, session["started_at"], session["last_active_at"]
        refusals = await refusals_of(database, *of)
        neighbours = await neighbours_of(database, session)
        users = await self.bridge.identities.users_by_id([session["initiator_id"]])
        self.write_json(Timeline.of(calls, more, refusals, users, neighbours))


class SessionHandler(OneSessionHandler):
    """One session, with a page of its threads."""

    unknown_cursor = "after_thread_id", "no thread with this id in the session"

    async def respond(self) -> None:
        """Respond with the session."""
        values = self.parameters(*DETAIL_PARAMETERS)
        most, after_id = limit_of(values, MAX_THREADS, DEFAULT_THREADS), uuid_of(values, "after_thread_id")
        session = await self.find_session()
        self.read_detail = (("session_id", format_id(session["_id"])),)
        threads, more = await self.bridge.sessions.threads(session["_id"], limit=most, after_id=after_id)
        initiators = await self.bridge.identities.users_by_id([session["initiator_id"]])
        self.set_header("Content-Type", "application/json")
        head, tail = around_list(
            SessionDetail.with_threads(self.session_resource_of(session, initiators), ThreadPage([], more))
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
        await self.write_rows(thread.interceptions, self.resource_of)
        await self.write_piece(tail)
