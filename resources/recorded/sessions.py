"""Sessions: calls that belong together, and their threads.

Made of documents, see `storage.derived.sessions.session_documents`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final, Self
from uuid import UUID

from msgspec import Meta, Struct

from intercept.records import EndReason, Status
from resources.fields import Count, Initiator, Time, TokenCounts, doc, format_decimal, of_fields
from resources.recorded.client_reports import ClientReport, ClientSaid, ToolReport
from resources.recorded.export_formats import flat, write_csv
from resources.recorded.failures import RecordedRefusal
from resources.recorded.interceptions import Interception, RecordedToolResult
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
            cache=Cache.of(document),
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


def _row(session: Session | None) -> dict[str, object]:
    return {name: cell for name, cell in flat(Session, session) if name not in _PROMPTS}


_PROMPTS: Final = ("first_prompt", "last_prompt")
CSV_HEAD: Final = write_csv([_row(None)])
"""The names of the columns of sessions in CSV."""


def csv_rows(sessions: Iterable[Session]) -> bytes:
    """Write sessions as rows of CSV, without prompts."""
    return write_csv(_row(one).values() for one in sessions)


class ToolCall(Struct):
    """A tool call, and how it ended."""

    tool: str
    result: Annotated[RecordedToolResult | None, doc("Null while it is unknown.")]
    report: Annotated[ToolReport | None, doc("Null where the client says nothing.")] = None


class TimelineCall(Struct):
    """A call in short."""

    id: UUID
    agent_id: Annotated[str | None, doc("The sub-agent that made the call; null for the main agent.")]
    parent_agent_id: Annotated[str | None, doc("The agent that started this agent.")]
    agent_type: Annotated[str | None, doc("Its type, such as `Explore`, where the client says it.")]
    model: str
    provider_name: str
    status: Status
    end_reason: EndReason | None
    started_at: Time
    first_byte_at: Time | None
    ended_at: Time | None
    cost_usd: Annotated[float | None, doc("US dollars; null without a price.")]
    attempt: Annotated[Count, doc("The number of the client's try, from 0.")]
    retry_of: UUID | None
    tools: list[ToolCall]
    client_cost_usd: Annotated[float | None, doc("What the client takes it to cost, in its telemetry.")] = None

    @classmethod
    def of(cls, document: Mapping[str, Any], said: ClientSaid) -> Self:
        """Show a document in short."""
        get, agent = document.get, document.get("agent") or {}
        return of_fields(
            cls,
            {**dict.fromkeys(("end_reason", "first_byte_at", "ended_at", "retry_of")), **document},
            id=document["_id"],
            agent_id=agent.get("id"),
            parent_agent_id=agent.get("parent_id"),
            agent_type=(agent.get("hints") or {}).get("agent_type"),
            cost_usd=(cost := get("cost")) and format_decimal(cost["usd"]),
            attempt=int(get("attempt", get("retry_count", 0))),
            tools=[
                of_fields(
                    ToolCall, usage, above={"result": None}, report=said.tools.get(usage["provider_tool_call_id"])
                )
                for usage in get("tool_usages", ())
            ],
            client_cost_usd=said.costs.get(get("upstream_request_id") or ""),
        )


class ToolFigures(Struct):
    """How often a tool was called in a session, and how that ended."""

    tool: str
    calls: Count
    results: Annotated[Count, doc("The number of calls with a known result.")]
    errors: Annotated[Count, doc("The number of results that are marked as errors.")]
    bytes: Annotated[Count, doc("The total size of the results.")]


class Loop(Struct):
    """A tool that was called with the same arguments again and again."""

    tool: str
    agent_id: str | None
    times: Count
    interception_ids: Annotated[list[UUID], doc("The calls in it, oldest first.")]


class Timeline(Struct):
    """A session on a time axis."""

    calls: Annotated[list[TimelineCall], doc("Oldest first.")]
    more: Annotated[bool, doc("Whether there are more calls, which are not included here.")]
    tools: Annotated[list[ToolFigures], doc("Most called first.")]
    loops: Annotated[list[Loop], doc("In order of their start.")]
    refusals: Annotated[
        list[RecordedRefusal], doc("Refusals of the same tokens in this time, also from other sessions, oldest first.")
    ]
    earlier_session_id: Annotated[UUID | None, doc("The session of the same user before this one.")]
    later_session_id: Annotated[UUID | None, doc("The session of the same user after this one.")]
    client_report: Annotated[ClientReport | None, doc("What the client says; null where it says nothing.")]


def tool_figures(calls: Iterable[Mapping[str, Any]]) -> list[ToolFigures]:
    """Add up the tools of calls by their documents, most called first."""
    tools: dict[str, ToolFigures] = {}
    for call in calls:
        for usage in call.get("tool_usages", ()):
            one = tools.setdefault(usage["tool"], ToolFigures(usage["tool"], 0, 0, 0, 0))
            one.calls += 1
            if result := usage.get("result"):
                one.results += 1
                one.errors += bool(result["is_error"])
                one.bytes += int(result["bytes"])
    return sorted(tools.values(), key=lambda one: (-one.calls, one.tool))
