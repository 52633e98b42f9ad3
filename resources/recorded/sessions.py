"""Sessions: calls that belong together, and their threads.

Made of documents, see `storage.derived.sessions.session_documents`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final, Self
from uuid import UUID

from msgspec import Meta, Struct, structs

from resources.fields import Count, Initiator, Time, TokenCounts, doc, format_decimal, of_fields
from resources.recorded.export_formats import write_csv
from resources.recorded.interceptions import Interception
from resources.recorded.prompt_cache import Cache
from storage.accounts.users import User


class Retries(Struct):
    """Calls that repeat one that failed."""

    calls: Annotated[Count, doc("Calls that are not the first try.")]
    amplification: Annotated[float, Meta(ge=1, description="Calls for each intended one: 1 without retries.")]
    cost_usd: Annotated[float | None, doc("The cost of the earlier tries; null if nothing in the session has a price.")]

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """Take them out of a session."""
        calls, retries = int(document["interceptions"]), int(document["retries"])
        usd = format_decimal(document["retry_cost"]) if document["priced"] else None
        return cls(retries, round(calls / max(calls - retries, 1), 2), usd)


class Session(Struct):
    """Calls of one user that belong together: by the client's session id, or because one continues another."""

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
    cache: Cache
    retries: Retries
    cost_usd: Annotated[float | None, doc("The sum of all calls with a price; null if none has one.")]
    unpriced: Annotated[Count, doc("Calls that used tokens and have no price.")]
    no_usage: Annotated[Count, doc("Calls that ended without a report of tokens, except those that cost nothing.")]
    first_prompt: Annotated[
        str | None, doc("The prompt of the first call that has one, cut. Null for readers and for older sessions.")
    ]
    last_prompt: Annotated[str | None, doc("The prompt of the latest call that has one, cut. Null for readers.")]

    @classmethod
    def of(cls, document: Mapping[str, Any], users: Mapping[UUID, User]) -> Self:
        """Show a document. `users` has those that are known."""
        return of_fields(
            cls,
            document,
            id=document["_id"],
            initiator=Initiator.of(document["initiator_id"], users),
            token_usage=TokenCounts.of(document),
            cache=Cache.of_session(document),
            retries=Retries.of(document),
            first_prompt=document.get("first_prompt") or None,
            last_prompt=document.get("last_prompt") or None,
            cost_usd=format_decimal(document["cost"]) if document["priced"] else None,
            no_usage=int(document.get("no_usage", 0)),
        )


class SessionList(Struct):
    """A page of sessions, newest first."""

    count: Count
    results: list[Session]
    next_after_session_id: Annotated[
        UUID | None, doc("The `after_session_id` of the next page, if this page was cut at 8 MiB; else null.")
    ] = None
    count_is_exact: Annotated[
        bool,
        doc(
            "False where words or keys of calls match more than 10,000 calls (1,000 where the order of words matters): "
            "the sessions are those of the latest calls."
        ),
    ] = True


class Thread(Struct):
    """A call and those that answer its tool calls."""

    id: Annotated[UUID, doc("The id of its first interception.")]
    started_at: Time
    last_active_at: Time
    more_interceptions: Annotated[bool, doc("Whether there are more.")]
    interceptions: Annotated[list[Interception], doc("Oldest first.")]


class ThreadPage(Struct):
    """Threads, oldest first."""

    results: list[Thread]
    more: Annotated[bool, doc("Whether there are more after them.")]


class SessionDetail(Session):
    """A session with a page of its threads."""

    thread_page: ThreadPage

    @classmethod
    def with_threads(cls, session: Session, page: ThreadPage) -> Self:
        """Add a page of threads to a session."""
        return cls(**structs.asdict(session), thread_page=page)


_COLUMNS: Final[Mapping[str, Callable[[Session], object]]] = MappingProxyType(
    {
        "id": lambda one: str(one.id),
        "started_at": lambda one: one.started_at,
        "last_active_at": lambda one: one.last_active_at,
        "username": lambda one: one.initiator.username,
        "client": lambda one: one.client,
        "models": lambda one: " ".join(one.models),
        "calls": lambda one: one.interceptions,
        "failures": lambda one: one.failures,
        "retries": lambda one: one.retries.calls,
        "cache_rate": lambda one: one.cache.rate,
        "lost_usd": lambda one: one.cache.lost_usd,
        "cost_usd": lambda one: one.cost_usd,
    }
)

CSV_HEAD: Final = write_csv([_COLUMNS])
"""The names of the columns of sessions in CSV."""


def csv_rows(sessions: Iterable[Session]) -> bytes:
    """Write sessions as rows of CSV, without prompts."""
    return write_csv([value(one) for value in _COLUMNS.values()] for one in sessions)
