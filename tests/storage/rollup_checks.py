"""Calls for rollups, and their expected totals, computed call by call."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from intercept.records import EndReason, ProviderError, Reading, TokenUsage, ToolUsage
from storage.derived.histograms import GROWTH, LAST_BUCKET, histogram, unpack
from storage.derived.rollup import DIMENSIONS, HISTOGRAMS, MONEY, NO_GROUP, PLAIN, TOKENS, Breakdown, Bucket, add
from storage.prices.pricing import MAX_TOKENS, PRECISION, Cost, InputRates
from storage.recording.documents import ended_document, start_document
from storage.recording.figures import figures_of
from storage.recording.operations import PRESUMED, RecordAction, RecordOperation
from storage.recording.outbox.writer import write_batch
from tests.storage.records import ADA, INSTANCE, ending, interception

NAMES = tuple(dict.fromkeys(name for names in DIMENSIONS.values() for name in names))

MIDNIGHT = datetime(2099, 3, 1, tzinfo=UTC)


RATES = InputRates(Decimal("3e-7"), Decimal("1e-8"), Decimal("4e-7"))


def bucket_index(milliseconds: float) -> int:
    """Return the bucket of a time in a histogram: the least power of `GROWTH` that is not less, at most `LAST_BUCKET`."""
    if milliseconds <= 1:
        return 0
    return min(math.ceil(math.log(milliseconds) / math.log(GROWTH)), LAST_BUCKET)


@dataclass(frozen=True)
class Call:
    """A call by its number, that started that many seconds after midnight."""

    number: int
    second: float = 0
    initiator: UUID = ADA.id
    model: str = "gpt-5"
    provider_name: str = "openai"
    client: str = "Codex"
    token: str = "abcdefghij"
    groups: tuple[UUID, ...] = ()
    tools: tuple[str, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()

    @property
    def id(self):
        return UUID(int=self.number)

    @property
    def started_at(self):
        return MIDNIGHT + timedelta(seconds=self.second)

    @property
    def document(self):
        record = interception(
            id=self.id,
            initiator_id=self.initiator,
            provider_name=self.provider_name,
            model=self.model,
            client=self.client,
            started_at=self.started_at,
            api_key_id=self.token,
            group_ids=self.groups,
            tags=dict(self.tags),
        )
        return start_document(record, instance_id=INSTANCE)

    @property
    def start(self):
        return RecordOperation.of(RecordAction.START, self.id, self.document)

    def checkpoint(self, tokens):
        fields = self._ending(tokens)
        kept = {name: fields[name] for name in ("token_usages", "cost")}
        return RecordOperation.of(RecordAction.CHECKPOINT, self.id, kept)

    def presumed_end(self):
        fields = self._ending(None, end_reason=EndReason.SERVER_CRASHED)
        times = ("upstream_asked_at", "first_byte_at", "ended_at")
        kept = {name: fields[name] for name in ("schema_version", "status", "end_reason", *times)}
        document = {**self.document, **kept, **PRESUMED}
        return RecordOperation.of(RecordAction.PRESUMED_END, self.id, document | figures_of(document))

    def end(self, tokens=7, **changes):
        return RecordOperation.of(RecordAction.END, self.id, self._ending(tokens, **changes))

    def _ending(
        self, tokens, *, took=2, first_byte=1, end_reason=EndReason.COMPLETED, priced=True, cached=0, served_by=""
    ):
        usage = TokenUsage(
            provider_response_id="r", input_tokens=tokens, output_tokens=1, cache_read_input_tokens=cached
        )
        record = ending(
            interception_id=self.id,
            end_reason=end_reason,
            provider=served_by and "azure",
            provider_name=served_by,
            ended_at=self.started_at + timedelta(seconds=took),
            first_byte_at=None if first_byte is None else self.started_at + timedelta(seconds=first_byte),
            upstream_status=200 if end_reason is EndReason.COMPLETED else 529,
            error=None if end_reason is EndReason.COMPLETED else ProviderError(type="overloaded_error", message="Busy"),
            reading=Reading(
                token_usages=() if tokens is None else (usage,),
                tool_usages=tuple(
                    ToolUsage(provider_response_id="r", provider_tool_call_id="t", tool=tool, input="{}")
                    for tool in self.tools
                ),
            ),
        )
        cost = (
            Cost(Decimal(tokens).scaleb(-6).quantize(PRECISION), "table 1", RATES if tokens % 5 == 0 else None)
            if priced and tokens is not None
            else None
        )
        return ended_document(self.document, record, cost=cost)


async def write(database, *operations):
    if operations:
        assert await write_batch(database, operations, seconds=10) == []


def comparable(value):
    return tuple(value) if isinstance(value, list) else value


def totals_of(document):
    totals = {name: document[name] for name in PLAIN if name in document}
    totals |= {f"ends.{reason}": number for reason, number in document.get("ends", {}).items()}
    totals |= {name: unpack(document[name]) for name in HISTOGRAMS if name in document}
    return totals | {name: document[name].to_decimal() for name in MONEY if name in document}


async def read_rollups(database):
    found = {}
    async for document in database.rollups.find({"level": {"$exists": True}}):
        about = tuple(comparable(document.get(name)) for name in ("level", "bucket", "at", *NAMES))
        assert about not in found
        found[about] = {name: value for name, value in totals_of(document).items() if value}
    return {about: totals for about, totals in found.items() if totals}


def belongs_to(document, breakdown):
    """What a call has in common with others of each rollup of a breakdown that it is in."""
    error = document.get("error") or {}
    common = {
        **document,
        "group_ids": tuple(document.get("group_ids", ())),
        "upstream_status": document.get("upstream_status"),
        "error_type": error.get("type"),
    }
    names = DIMENSIONS[breakdown]
    owns = [{}]
    if "group_id" in names:
        owns = [{"group_id": group} for group in common["group_ids"] or (NO_GROUP,)]
    if "tool" in names:
        owns = [{"tool": tool} for tool in {one["tool"] for one in document.get("tool_usages", ())} or {None}]
    if "tag" in names:
        owns = [{"tag": tag, "tag_value": value} for tag, value in document.get("tags", {}).items()]
    for own in owns:
        values = common | own
        yield tuple(values[name] if name in names else None for name in NAMES)


async def expected(database):
    sums = {}
    async for document in database.interceptions.find({"status": {"$ne": "in_flight"}}):
        totals = totals_of_call(document)
        for breakdown in Breakdown:
            for named in belongs_to(document, breakdown):
                for bucket in Bucket:
                    at = bucket.floor(document["started_at"])
                    add(sums.setdefault((breakdown.value, bucket.value, at, *named), {}), totals)
    return {about: {name: value for name, value in sum_.items() if value} for about, sum_ in sums.items()}


def totals_of_call(document):
    usages = document.get("token_usages", ())
    tokens = {name: min(sum(usage[name] or 0 for usage in usages), MAX_TOKENS) for name in TOKENS}
    cost = document.get("cost")
    completed = document["status"] == "completed"
    took = {
        "durations": document["ended_at"],
        "first_bytes": document.get("first_byte_at"),
        "bridges": document.get("upstream_asked_at"),
    }
    histograms = {
        name: histogram([bucket_index((until - document["started_at"]) / timedelta(milliseconds=1))])
        for name, until in took.items()
        if until is not None
    }
    is_whole = document["streaming"] and document["end_reason"] == "completed" and document.get("first_byte_at")
    if is_whole and tokens["output_tokens"]:
        streamed = (document["ended_at"] - document["first_byte_at"]) // timedelta(milliseconds=1)
        if streamed > 0:
            histograms["speeds"] = histogram([bucket_index(tokens["output_tokens"] * 1000 // streamed)])
    rates = {name: Decimal(usd) for name, usd in (cost or {}).get("rates", {}).items()}
    loss = document.get("cache_loss", {})
    return {
        "interceptions": 1,
        "completed": int(completed),
        "failed": int(not completed),
        f"ends.{document['end_reason']}": 1,
        **tokens,
        "priced": int(cost is not None),
        "unpriced": int(cost is None and any(tokens.values())),
        "no_usage": int(not usages),
        "cost": cost["usd"].to_decimal() if cost else Decimal(0),
        "lost_tokens": loss.get("lost_tokens", 0),
        "lost": loss["lost"].to_decimal() if loss.get("lost") else Decimal(0),
        **(kinds_of(cost["usd"].to_decimal(), rates, tokens) if rates else {}),
        **histograms,
    }


def kinds_of(usd, rates, tokens):
    read = tokens["cache_read_input_tokens"]
    kinds = {
        "input_cost": tokens["input_tokens"] * rates["input"],
        "read_cost": read * rates["read"],
        "written_cost": tokens["cache_write_input_tokens"] * rates["written"],
    }
    return {**kinds, "output_cost": usd - sum(kinds.values()), "saved": read * (rates["input"] - rates["read"])}


async def has_counted_all(database):
    assert await read_rollups(database) == await expected(database)
