"""What a client says of its calls and tools in a session, beside what was recorded of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from msgspec import Struct, structs

from intercept.client_events import ClientEventName
from resources.fields import Count, Time, doc, of_fields
from resources.limits import MICRO_DOLLARS


class ToolReport(Struct):
    """What the client says of a tool call, in its telemetry. What it does not say is null."""

    decision: Annotated[str | None, doc("Whether it was to run, such as `accept` or `reject`.")] = None
    source: Annotated[str | None, doc("What decided, such as `config` or `user_reject`.")] = None
    succeeded: bool | None = None
    duration_ms: Annotated[Count | None, doc("How long it ran.")] = None


class Compaction(Struct):
    """A conversation that its client replaced by a summary of it. What the client does not say is null."""

    at: Time
    trigger: Annotated[str | None, doc("`auto` or `manual`.")] = None
    succeeded: bool | None = None
    tokens_before: Count | None = None
    tokens_after: Count | None = None
    duration_ms: Count | None = None


class ClientReport(Struct):
    """What the client says of a session, in its telemetry."""

    calls: Annotated[Count, doc("Calls of the model that were answered.")]
    cost_usd: Annotated[float | None, doc("What it takes them to cost; null where it does not say.")]
    compactions: Annotated[list[Compaction], doc("Oldest first.")]
    more: Annotated[bool, doc("Whether it says more, which is not included here.")]


class ClientSaid:
    """The events of a client, joined to what they are about.

    Attributes:
        costs: What calls cost, by the provider's id of the request, in US dollars.
        tools: What became of tool calls, by the provider's id of the call.
        report: All of it in short; None where it says nothing.
    """

    def __init__(self, events: Sequence[Mapping[str, Any]], more: bool) -> None:
        self.costs: dict[str, float] = {}
        self.tools: dict[str, ToolReport] = {}
        calls, micro_usd, compactions = 0, None, []
        for event in events:
            name, cost = event["name"], event.get("cost_micro_usd")
            if name == ClientEventName.API_REQUEST:
                calls += 1
                if cost is not None:
                    micro_usd = (micro_usd or 0) + cost
                    if "request_id" in event:
                        self.costs[event["request_id"]] = cost / MICRO_DOLLARS
            elif name == ClientEventName.COMPACTION:
                compactions.append(of_fields(Compaction, event))
            elif (id_ := event.get("tool_call_id")) is not None:
                before = self.tools.get(id_, ToolReport())
                self.tools[id_] = of_fields(ToolReport, {**structs.asdict(before), **event})
        cost_usd = None if micro_usd is None else micro_usd / MICRO_DOLLARS
        self.report = ClientReport(calls, cost_usd, compactions, more) if events else None
