"""The time axis of a session: its calls in short, the tools and loops of its agents, and what was refused meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Self
from uuid import UUID

from msgspec import Struct

from intercept.records import EndReason, Status
from resources.fields import Count, Time, doc, format_decimal, of_fields
from resources.recorded.parts import ToolResult
from resources.recorded.refusals import Refusal
from storage.accounts.users import User
from storage.derived.sessions.loops import Loop as FoundLoop
from storage.derived.sessions.loops import find_loops


class ToolCall(Struct):
    """A tool call, and how it ended."""

    tool: str
    result: Annotated[ToolResult | None, doc("Null while it is unknown.")]

    @classmethod
    def of(cls, usage: Mapping[str, Any]) -> Self:
        """Show an entry of `tool_usages`."""
        result = usage.get("result")
        return cls(usage["tool"], result and ToolResult.of(result))


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

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
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
            tools=[ToolCall.of(usage) for usage in get("tool_usages", ())],
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

    @classmethod
    def of(cls, loop: FoundLoop) -> Self:
        """Show a loop."""
        return cls(loop.tool, loop.agent_id, len(loop.interception_ids), list(loop.interception_ids))


class Timeline(Struct):
    """A session on a time axis."""

    calls: Annotated[list[TimelineCall], doc("Oldest first.")]
    more: Annotated[bool, doc("Whether there are more calls, which are not included here.")]
    tools: Annotated[list[ToolFigures], doc("Most called first.")]
    loops: Annotated[list[Loop], doc("In order of their start.")]
    refusals: Annotated[
        list[Refusal], doc("Refusals of the same tokens in this time, also from other sessions, oldest first.")
    ]
    earlier_session_id: Annotated[UUID | None, doc("The session of the same user before this one.")]
    later_session_id: Annotated[UUID | None, doc("The session of the same user after this one.")]

    @classmethod
    def of(
        cls,
        calls: Sequence[Mapping[str, Any]],
        more: bool,
        refusals: Iterable[Mapping[str, Any]],
        users: Mapping[UUID, User],
        neighbours: tuple[UUID | None, UUID | None],
    ) -> Self:
        """Make it of documents, oldest first. `users` has those that are known."""
        return cls(
            [TimelineCall.of(call) for call in calls],
            more,
            _tools(calls),
            [Loop.of(loop) for loop in find_loops(calls)],
            [Refusal.of(row, users) for row in refusals],
            *neighbours,
        )


def _tools(calls: Iterable[Mapping[str, Any]]) -> list[ToolFigures]:
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
