"""What calls add up to that says how a provider fares. Pure: no I/O, no clock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from msgspec import Struct, field

from intercept.records import EndReason, Status

RATE_LIMITED = 429
_SERVER_ERROR = 500
_FAILED = frozenset(
    {
        *(EndReason.UPSTREAM_UNREACHABLE, EndReason.UPSTREAM_TIMEOUT, EndReason.UPSTREAM_TRUNCATED),
        *(EndReason.UPSTREAM_STREAM_ERROR,),
    }
)

_TRIES = {
    "$map": {
        "input": {"$ifNull": ["$tries", []]},
        "as": "one",
        "in": {"provider_name": "$$one.provider_name", "status": "$$one.status", "error": "$$one.error.type"},
    }
}
_TOKENS = {"$sum": "$token_usages.output_tokens"}
_IS_WHOLE_STREAM = {
    "$and": ["$streaming", {"$eq": ["$status", Status.COMPLETED.value]}, {"$gt": [_TOKENS, 0]}, "$first_byte_at"]
}
_ALIKE = ("provider_name", "model", "end_reason", "upstream_status")

ALIKE: tuple[dict[str, Any], ...] = (
    {
        "$project": {
            **dict.fromkeys((*_ALIKE, "started_at"), True),
            "tries": _TRIES,
            "bridge_ms": {"$subtract": ["$upstream_asked_at", "$started_at"]},
            "provider_ms": {"$subtract": ["$first_byte_at", "$upstream_asked_at"]},
            "streamed_tokens": {"$cond": [_IS_WHOLE_STREAM, _TOKENS, 0]},
            "streamed_ms": {"$cond": [_IS_WHOLE_STREAM, {"$subtract": ["$ended_at", "$first_byte_at"]}, 0]},
        }
    },
    {
        "$group": {
            "_id": {**{name: f"${name}" for name in _ALIKE}, "tries": "$tries"},
            "calls": {"$sum": 1},
            "first_at": {"$min": "$started_at"},
            "latest_at": {"$max": "$started_at"},
            "bridge_ms": {"$push": "$bridge_ms"},
            "provider_ms": {"$push": "$provider_ms"},
            "streamed_tokens": {"$sum": "$streamed_tokens"},
            "streamed_ms": {"$sum": {"$max": ["$streamed_ms", 0]}},
        }
    },
    {"$sort": {"latest_at": -1, "_id": 1}},
)
"""Has MongoDB put calls together that went alike, the latest first: reading each here takes ten times as long."""


class Performance(Struct):
    """The totals of the calls to one provider. Times are in milliseconds, of each call where it is known.

    Attributes:
        calls: Which it answered, or that tried it last.
        requests: How many requests it got, also for calls that another provider answered.
        rate_limited: How many of these it answered with 429.
        models: How many of its calls each model had.
        bridge_ms: From the start of a call to the last request to the provider.
        provider_ms: From that request to the first byte of the response.
        streamed_tokens: Output of whole streams.
        streamed_ms: How long those streamed, from their first byte.
    """

    calls: int = 0
    requests: int = 0
    rate_limited: int = 0
    models: Counter[str] = field(default_factory=Counter)
    bridge_ms: list[float] = field(default_factory=list)
    provider_ms: list[float] = field(default_factory=list)
    streamed_tokens: int = 0
    streamed_ms: float = 0.0

    def add(self, calls: Mapping[str, Any]) -> None:
        """Add calls that it answered, which went alike."""
        self.calls += calls["calls"]
        self.models[calls["_id"]["model"]] += calls["calls"]
        self.bridge_ms += _waits(calls["bridge_ms"])
        self.provider_ms += _waits(calls["provider_ms"])
        self.streamed_tokens += calls["streamed_tokens"]
        self.streamed_ms += calls["streamed_ms"]

    def count(self, status: int | None, requests: int) -> None:
        """Count the requests to it, and the status of their responses."""
        self.requests += requests
        self.rate_limited += requests * (status == RATE_LIMITED)


def add_calls(found: dict[str, Performance], calls: Mapping[str, Any]) -> None:
    """Add calls that have ended, and went alike, to what is found of each provider."""
    found.setdefault(calls["_id"]["provider_name"], Performance()).add(calls)
    for name, status in _requests(calls["_id"]):
        found.setdefault(name, Performance()).count(status, calls["calls"])


class Health(Struct):
    """Whether a provider did its work: by requests that it answered, and those that it failed.

    A response that began and broke off is failed, and so is a 5xx. Refusals (4xx) count as answered. What a client or a server
    broke off says nothing.

    Attributes:
        answered_at: When the latest call started of those that it answered.
        failed_at: The same of those that it failed.
        failed: How many requests it failed.
    """

    answered_at: datetime | None = None
    failed_at: datetime | None = None
    failed: int = 0

    def add(self, at: datetime, requests: int, *, failed: bool) -> None:
        """Add requests of calls; the latest started then."""
        if failed:
            self.failed += requests
            self.failed_at = at if self.failed_at is None else max(self.failed_at, at)
        else:
            self.answered_at = at if self.answered_at is None else max(self.answered_at, at)

    @property
    def is_up(self) -> bool | None:
        """Whether the latest request was answered; None without requests."""
        if self.answered_at is None or self.failed_at is None:
            return None if self.answered_at is self.failed_at else self.failed_at is None
        return self.answered_at > self.failed_at


class ModelUse(Struct):
    """What the calls of one model of a provider add up to, and whether it did its work."""

    performance: Performance = field(default_factory=Performance)
    health: Health = field(default_factory=Health)


def add_calls_of(provider: str, found: dict[str, ModelUse], calls: Mapping[str, Any]) -> None:
    """Add calls that have ended, and went alike, to what is found of each model of one provider, if that one was tried."""
    of, number = calls["_id"], calls["calls"]
    requests = [status for name, status in _requests(of) if name == provider]
    is_last = of["provider_name"] == provider
    if not requests and not is_last:
        return
    use = found.setdefault(of["model"], ModelUse())
    for status in requests:
        use.performance.count(status, number)
    if is_last:
        use.performance.add(calls)
    for failed in _outcomes(provider, of):
        use.health.add(calls["latest_at"], number, failed=failed)


def _outcomes(provider: str, of: Mapping[str, Any]) -> Iterable[bool]:
    """Of each request to a provider that says something of it: whether it failed."""
    for one in of["tries"]:
        if one["provider_name"] == provider and provider != of["provider_name"]:
            if one.get("error") in _FAILED:
                yield True
            elif one.get("status") is not None:
                yield one["status"] >= _SERVER_ERROR
    if of["provider_name"] == provider:
        status, reason = of.get("upstream_status"), of.get("end_reason")
        if reason in _FAILED:
            yield True
        elif status is not None:
            yield status >= _SERVER_ERROR


def _requests(of: Mapping[str, Any]) -> Iterable[tuple[str, int | None]]:
    """Each try of a call at a provider, and the status of the response."""
    if of["tries"]:
        return [(one["provider_name"], one.get("status")) for one in of["tries"]]
    return [(of["provider_name"], of.get("upstream_status"))]


def _waits(found: Iterable[int | None]) -> list[float]:
    return [float(max(wait, 0)) for wait in found if wait is not None]
