"""Calls for sessions, and the expected sessions, computed call by call."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from uuid import UUID, uuid5

from intercept.records import Conversation, EndReason, Reading, TokenUsage, ToolResult, ToolUsage, UserPrompt
from storage.derived.rollup import TOKENS
from storage.prices.pricing import Cost
from storage.recording.documents import ended_document, start_document
from storage.recording.operations import PRESUMED, RecordAction, RecordOperation
from storage.recording.outbox.writer import write_batch
from tests.storage.records import ADA, INSTANCE, NOON, ending, interception


@dataclass(frozen=True)
class Call:
    """A call by its number, that started that many seconds after noon, and calls a tool; one with a root answers that one's.

    It may answer and issue other tool calls; `results` are those of calls before. `says` and `repeats` are its
    conversation's key and that of the call it goes on with; `responds` and `previous` are ids of responses.
    """

    number: int
    session: str | None = None
    root: int | None = None
    initiator: UUID = ADA.id
    model: str = "gpt-5"
    client: str = "Codex"
    prompt: str | None = "Hello"
    synthetic: bool = False
    second: float | None = None
    answers: str | None = None
    issues: tuple[str, ...] = ()
    results: tuple[ToolResult, ...] = ()
    says: bytes | None = None
    repeats: bytes | None = None
    responds: str = ""
    previous: str | None = None

    @property
    def id(self):
        return UUID(int=self.number)

    @property
    def started_at(self):
        return NOON + timedelta(seconds=self.number if self.second is None else self.second)

    @property
    def document(self):
        record = interception(
            id=self.id,
            initiator_id=self.initiator,
            model=self.model,
            client=self.client,
            client_session_id=self.session,
            started_at=self.started_at,
            user_prompt=None if self.prompt is None else UserPrompt(prompt=self.prompt, synthetic=self.synthetic),
            answered_tool_call_id=self.answers if self.root is None else f"call_{self.root}",
            conversation=Conversation(key=self.says, continues=self.repeats),
            previous_response_id=self.previous,
            tool_results=self.results,
        )
        return start_document(record, instance_id=INSTANCE)

    @property
    def start(self):
        return RecordOperation.of(RecordAction.START, self.id, self.document)

    def presumed_end(self):
        fields = {**self._ending(3, took=1, end_reason=EndReason.SERVER_CRASHED), **PRESUMED}
        return RecordOperation.of(RecordAction.PRESUMED_END, self.id, fields)

    def end(self, tokens=7, **changes):
        return RecordOperation.of(RecordAction.END, self.id, self._ending(tokens, **changes))

    def _ending(self, tokens, *, took=2, end_reason=EndReason.COMPLETED, priced=True):
        usage = TokenUsage(provider_response_id="r", input_tokens=tokens, output_tokens=1, cache_read_input_tokens=0)
        tools = tuple(
            ToolUsage(provider_response_id="r", provider_tool_call_id=id_, tool="ls", input="{}")
            for id_ in self.issues or (f"call_{self.number}",)
        )
        record = ending(
            interception_id=self.id,
            end_reason=end_reason,
            ended_at=self.started_at + timedelta(seconds=took),
            reading=Reading(
                response_id=self.responds,
                token_usages=() if tokens is None else (usage,),
                tool_usages=tools,
                complete=True,
            ),
        )
        cost = Cost(Decimal(tokens).scaleb(-6), "table 1") if priced and tokens is not None else None
        return ended_document(self.document, record, cost=cost)


async def write(database, *operations):
    for operation in operations:
        assert await write_batch(database, [operation], seconds=10) == []


async def keep(database, *calls):
    """Write calls from their start to their end at once."""
    assert await write_batch(database, [call.end() for call in calls], seconds=10) == []


async def read_sessions(database):
    found = database.sessions.find()
    usd = ("cost", "saved", "lost", "retry_cost")
    return {one["_id"]: one | {name: one[name].to_decimal() for name in usd} async for one in found}


async def expected(database):
    of_session = {}
    async for call in database.interceptions.find({"status": {"$ne": "in_flight"}}).sort("_id"):
        named = call["client_session_id"] and uuid5(call["initiator_id"], call["client_session_id"])
        of_session.setdefault(named or call.get("root_id") or call["_id"], []).append(call)
    return {id_: _session(id_, calls) for id_, calls in of_session.items()}


def _session(id_, calls):
    first = min(calls, key=lambda call: (call["started_at"], call["client"]))
    prompts = [
        (call["started_at"], prompt["prompt"])
        for call in calls
        for prompt in call["user_prompts"]
        if not prompt["metadata"].get("synthetic")
    ]
    first_prompt_at, first_prompt = min(prompts, default=(None, None))
    last_prompt_at, last_prompt = max(prompts, default=(None, None))
    tokens = [{name: sum(usage[name] or 0 for usage in call["token_usages"]) for name in TOKENS} for call in calls]
    costs = [call["cost"] for call in calls]
    unpriced = [cost is None and any(used.values()) for cost, used in zip(costs, tokens, strict=True)]
    name = first["client_session_id"]
    return {
        "_id": id_,
        "initiator_id": first["initiator_id"],
        "client_session_id": name,
        "session_ids": [*filter(None, [name]), str(id_)],
        "client": first["client"],
        "providers": sorted({call["provider"] for call in calls}),
        "provider_names": sorted({call["provider_name"] for call in calls}),
        "models": sorted({call["model"] for call in calls}),
        "started_at": first["started_at"],
        "last_active_at": max(call["ended_at"] for call in calls),
        "interceptions": len(calls),
        "failures": sum(call["status"] == "failed" for call in calls),
        "threads": sum("root_id" not in call for call in calls),
        **{name: sum(used[name] for used in tokens) for name in TOKENS},
        "priced": sum(cost is not None for cost in costs),
        "unpriced": sum(unpriced),
        "no_usage": sum(not call["token_usages"] for call in calls),
        "lost_tokens": 0,
        "cost": sum((cost["usd"].to_decimal() for cost in costs if cost), Decimal()),
        "saved": Decimal(),
        "lost": Decimal(),
        "retries": 0,
        "retry_cost": Decimal(),
        "first_prompt_at": first_prompt_at,
        "first_prompt": first_prompt,
        "last_prompt_at": last_prompt_at,
        "last_prompt": last_prompt,
    }


async def has_grouped_all(database):
    """Whether each session is what its interceptions add up to, and each of these knows it."""
    assert await read_sessions(database) == await expected(database)
    async for call in database.interceptions.find({"status": {"$ne": "in_flight"}}):
        named = call["client_session_id"] and uuid5(call["initiator_id"], call["client_session_id"])
        assert call["session_id"] == (named or call.get("root_id") or call["_id"])
