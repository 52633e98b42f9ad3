"""Sessions: calls that belong together, and their threads."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from msgspec import Meta, Struct, structs

from handlers.api.sessions import DEFAULT_THREADS, MAX_THREADS, UNKNOWN_SESSION
from handlers.openapi.errors import ALWAYS, problem
from handlers.openapi.operations import JSON, Count, Described, Time, answer, body, get, in_path, query
from handlers.openapi.paths.interceptions import LIMIT, OFFSET
from handlers.openapi.records import EXAMPLE as INTERCEPTION
from handlers.openapi.records import Initiator, Interception

TAG = "sessions"


class TokenCounts(Struct):
    """Sums of the four disjoint counts of tokens."""

    input_tokens: Count
    output_tokens: Count
    cache_read_input_tokens: Count
    cache_write_input_tokens: Count


class Session(Struct):
    """Calls of one user that belong together: by the client's own session, or by what they answer."""

    id: UUID
    initiator: Initiator
    client_session_id: str | None
    client: str | None
    providers: list[str]
    provider_names: list[str]
    models: list[str]
    started_at: Time
    last_active_at: Time
    interceptions: Count
    failures: Count
    threads: Count
    token_usage: TokenCounts
    cost_usd: Annotated[float | None, Meta(description="The sum of what has a price; null where nothing has.")]
    unpriced: Annotated[Count, Meta(description="Calls that used tokens and have no price.")]
    no_usage: Annotated[Count, Meta(description="Calls that ended without a report of tokens.")]
    last_prompt: Annotated[str | None, Meta(description="Of the latest call that has one, cut.")]


class SessionList(Struct):
    """A page of sessions, newest first."""

    count: Count
    results: list[Session]
    next_after_session_id: Annotated[
        UUID | None,
        Meta(description="The `after_session_id` to go on with, where the page was cut at 8 MiB; else null."),
    ] = None


class Thread(Struct):
    """A call and those that answer its tool calls."""

    id: Annotated[UUID, Meta(description="The id of its first interception.")]
    started_at: Time
    last_active_at: Time
    more_interceptions: Annotated[bool, Meta(description="Whether there are more than are shown.")]
    interceptions: Annotated[list[Interception], Meta(description="Oldest first.")]


class ThreadPage(Struct):
    """Threads, oldest first."""

    results: list[Thread]
    more: Annotated[bool, Meta(description="Whether there are more behind them.")]


class SessionDetail(Session):
    """A session with a page of its threads."""

    thread_page: ThreadPage


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
    cost_usd=0.001377,
    unpriced=0,
    no_usage=0,
    last_prompt="Hello! What are you?",
)
_THREAD = Thread(
    id=INTERCEPTION.id,
    started_at=INTERCEPTION.started_at,
    last_active_at="2026-11-24T23:50:40.437Z",
    interceptions=[INTERCEPTION],
    more_interceptions=False,
)
_DETAIL = SessionDetail(**structs.asdict(_SESSION), thread_page=ThreadPage([_THREAD], more=False))

SEARCH = query(
    "q",
    str,
    "A search, as for interceptions, without `request_id`; `status` is `failed` where a call of the session failed, else `completed`.",
    example="initiator:me model:gpt-5",
)
AFTER = query("after_session_id", UUID, "Begin behind this one, the last of the page before. Not with `offset`.")
AFTER_THREAD = query("after_thread_id", UUID, "Begin behind this thread, the last of the page before.")
THREADS = query(
    "limit", Annotated[int, Meta(ge=1, le=MAX_THREADS)], "How many threads at most.", default=DEFAULT_THREADS
)

PATHS: dict[str, Described] = {
    "/api/v2/aibridge/sessions": get(
        "listSessions",
        "Calls that belong together",
        "Newest first.",
        tag=TAG,
        parameters=(SEARCH, LIMIT, AFTER, OFFSET),
        answers={"200": answer("A page of them.", {JSON: body(SessionList, page=SessionList(1, [_SESSION]))})} | ALWAYS,
    ),
    "/api/v2/aibridge/sessions/{id}": get(
        "getSession",
        "One session, with its threads",
        "A session is there once a call of it has ended.",
        tag=TAG,
        parameters=(in_path("id", UUID, "The id of the session."), THREADS, AFTER_THREAD),
        answers={"200": answer("The session.", {JSON: body(SessionDetail, session=_DETAIL)})}
        | ALWAYS
        | {"404": problem("There is none, or none that the caller may see.", UNKNOWN_SESSION)},
    ),
}
