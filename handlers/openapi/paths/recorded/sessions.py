"""Sessions: calls that belong together, and their threads."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from msgspec import Meta

from handlers.api.recorded.sessions import DEFAULT_THREADS, MAX_THREADS, UNKNOWN_SESSION
from handlers.openapi.errors import WORDS, problem
from handlers.openapi.example import EXAMPLE as INTERCEPTION
from handlers.openapi.methods import get
from handlers.openapi.operations import Described, in_path, json_response, query
from handlers.openapi.paths.recorded.interceptions import LIMIT, OFFSET
from resources.fields import TokenCounts
from resources.recorded.parts import ToolResult
from resources.recorded.prompt_cache import Cache
from resources.recorded.sessions import Retries, Session, SessionDetail, SessionList, Thread, ThreadPage
from resources.recorded.timelines import Timeline, TimelineCall, ToolCall, ToolFigures
from storage.queries.sessions.session_list import Order

_TOKENS = TokenCounts(13, 89, 13, 0)
_SESSION = Session(
    id=UUID("e7f1a8b2-5b0e-5a35-9d43-3c8f5d0b7a11"),
    initiator=INTERCEPTION.initiator,
    client_session_id=INTERCEPTION.client_session_id,
    client=INTERCEPTION.client,
    providers=["anthropic"],
    provider_names=["anthropic"],
    models=["claude-sonnet-4-5"],
    started_at=INTERCEPTION.started_at,
    last_active_at="2026-11-24T23:50:40.437Z",
    interceptions=1,
    failures=0,
    threads=1,
    token_usage=_TOKENS,
    cache=Cache(13, 0, 13, 0.5, 0.0000351, 0, 0.0),
    retries=Retries(0, 1.0, 0.0),
    cost_usd=0.001377,
    unpriced=0,
    no_usage=0,
    first_prompt="Hello! What are you?",
    last_prompt="Hello! What are you?",
)
_THREAD = Thread(
    id=INTERCEPTION.id,
    started_at=INTERCEPTION.started_at,
    last_active_at="2026-11-24T23:50:40.437Z",
    interceptions=[INTERCEPTION],
    more_interceptions=False,
)
_DETAIL = SessionDetail.with_threads(_SESSION, ThreadPage([_THREAD], more=False))

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
_TIMELINE = Timeline(
    calls=[
        TimelineCall(
            id=INTERCEPTION.id,
            agent_id=None,
            parent_agent_id=None,
            agent_type=None,
            model=INTERCEPTION.model,
            provider_name=INTERCEPTION.provider_name,
            status=INTERCEPTION.status,
            end_reason=INTERCEPTION.end_reason,
            started_at=INTERCEPTION.started_at,
            first_byte_at=INTERCEPTION.first_byte_at,
            ended_at=INTERCEPTION.ended_at,
            cost_usd=0.001377,
            attempt=0,
            retry_of=None,
            tools=[ToolCall("Bash", ToolResult(bytes=1204, is_error=False))],
        )
    ],
    more=False,
    tools=[ToolFigures("Bash", calls=1, results=1, errors=0, bytes=1204)],
    loops=[],
    refusals=[],
    earlier_session_id=None,
    later_session_id=None,
)
_ID = in_path("id", UUID, "The id of the session.")
_UNKNOWN = problem("There is no such session that the caller may see.", UNKNOWN_SESSION)

PATHS: dict[str, Described] = {
    "/api/v2/aibridge/sessions": get(
        "listSessions",
        "Sessions: calls that belong together",
        "Newest first, or in another order.",
        parameters=(SEARCH, LIMIT, SEVERAL, ORDER, AFTER, OFFSET),
        responses={"200": json_response("A page.", page=SessionList(1, [_SESSION]))} | WORDS,
    ),
    "/api/v2/aibridge/sessions/{id}": get(
        "getSession",
        "One session, with its threads",
        "A session appears when its first call has ended.",
        parameters=(_ID, THREADS, AFTER_THREAD),
        responses={"200": json_response("The session.", session=_DETAIL), "404": _UNKNOWN},
    ),
    "/api/v2/aibridge/sessions/{id}/timeline": get(
        "getTimeline",
        "The timeline of a session",
        "Its calls, the tools of its agents and their results, loops, and refusals in this time.",
        parameters=(_ID,),
        responses={"200": json_response("The time axis.", timeline=_TIMELINE), "404": _UNKNOWN},
    ),
}
