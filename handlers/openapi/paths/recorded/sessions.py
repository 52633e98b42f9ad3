"""Sessions: calls that belong together, and their threads."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from msgspec import Meta

from handlers.api.recorded.sessions import DEFAULT_THREADS, MAX_THREADS, UNKNOWN_SESSION
from handlers.openapi.errors import WORDS, problem
from handlers.openapi.methods import get
from handlers.openapi.parts import Described, in_path, json_response, query
from handlers.openapi.paths.recorded.interceptions import LIMIT, OFFSET
from resources.recorded.sessions import SessionDetail, SessionList
from resources.recorded.timelines import Timeline
from storage.queries.sessions.session_list import Order

SEARCH = query(
    "q",
    str,
    "A search, as for interceptions, without `request_id`; `status` is `failed` where a call of the session failed, else `completed`. "
    "Words, and keys that only calls have, find sessions with a call of which all of them are true.",
    example="user:me model:gpt-5",
)
AFTER = query(
    "after_session_id", UUID, "Start after this one: the last of the previous page. Not together with `offset`."
)
ORDER = query(
    "order_by",
    Order,
    "The sort order, largest first; `lost` is the cost of broken prompt caches.",
    default=Order.STARTED,
)
AFTER_THREAD = query("after_thread_id", UUID, "Start after this thread: the last of the previous page.")
THREADS = query(
    "limit", Annotated[int, Meta(ge=1, le=MAX_THREADS)], "The maximum number of threads.", default=DEFAULT_THREADS
)

SEVERAL = query("several", bool, "Whether to leave out sessions with a single call.", default=False)
_ID = in_path("id", UUID, "The id of the session.")
_UNKNOWN = problem("There is no such session that the caller may see.", UNKNOWN_SESSION)

PATHS: dict[str, Described] = {
    "/api/v2/aibridge/sessions": get(
        "listSessions",
        "Sessions: calls that belong together",
        "Newest first, or in another order.",
        parameters=(SEARCH, LIMIT, SEVERAL, ORDER, AFTER, OFFSET),
        responses={"200": json_response("A page.", SessionList)} | WORDS,
    ),
    "/api/v2/aibridge/sessions/{id}": get(
        "getSession",
        "One session, with its threads",
        "A session appears when its first call has ended.",
        parameters=(_ID, THREADS, AFTER_THREAD),
        responses={"200": json_response("The session.", SessionDetail), "404": _UNKNOWN},
    ),
    "/api/v2/aibridge/sessions/{id}/timeline": get(
        "getTimeline",
        "The timeline of a session",
        "Its calls, the tools of its agents and their results, loops, and refusals in this time.",
        parameters=(_ID,),
        responses={"200": json_response("The time axis.", Timeline), "404": _UNKNOWN},
    ),
}
