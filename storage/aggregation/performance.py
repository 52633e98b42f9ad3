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

FIELDS = (
    *("provider_name", "model", "streaming", "status", "end_reason", "upstream_status"),
    *("started_at", "upstream_asked_at", "first_byte_at", "ended_at"),
    *("token_usages.output_tokens", "tries.provider_name", "tries.status", "tries.error.type"),
)
"""What is needed of a call."""


class Performance(Struct):
    """What the calls of one provider add up to. Times are in milliseconds, of each call where it is known.

    Attributes:
        calls: Which it answered, or was asked last.
        requests: How often it was asked, also for calls that another provider answered.
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

    def add(self, call: Mapping[str, Any]) -> None:
        """Add a call that it answered."""
        self.calls += 1
        self.models[call["model"]] += 1
        started, ended = call["started_at"], call["ended_at"]
        asked, first = call.get("upstream_asked_at"), call.get("first_byte_at")
        if asked is not None:
            self.bridge_ms.append(_ms(started, asked))
        if asked is not None and first is not None:
            self.provider_ms.append(_ms(asked, first))
        is_whole = call["streaming"] and call["status"] == Status.COMPLETED.value
        tokens = sum(int(usage.get("output_tokens") or 0) for usage in call.get("token_usages", ()))
        if is_whole and tokens and first is not None:
            self.streamed_tokens += tokens
            self.streamed_ms += _ms(first, ended)

    def count(self, status: int | None) -> None:
        """Count that it was asked, and the status of its response."""
        self.requests += 1
        self.rate_limited += status == RATE_LIMITED


def add_call(found: dict[str, Performance], call: Mapping[str, Any]) -> None:
    """Add a call that has ended to what is found of each provider."""
    found.setdefault(call["provider_name"], Performance()).add(call)
    for name, status in _requests(call):
        found.setdefault(name, Performance()).count(status)


class Health(Struct):
    """Whether a provider did its work: by requests that it answered, and those that it failed.

    A response that began and broke off is failed, and so is a 5xx. Refusals (4xx) are answers. What a client or a server
    broke off says nothing.

    Attributes:
        answered_at: When the latest call started of those that it answered.
        failed_at: The same of those that it failed.
        failed: How many requests it failed.
    """

    answered_at: datetime | None = None
    failed_at: datetime | None = None
    failed: int = 0

    def add(self, at: datetime, *, failed: bool) -> None:
        """Add a request of a call that started then."""
        if failed:
            self.failed += 1
            self.failed_at = at if self.failed_at is None else max(self.failed_at, at)
        else:
            self.answered_at = at if self.answered_at is None else max(self.answered_at, at)

    @property
    def is_up(self) -> bool | None:
        """Whether the latest request was answered; None where none tells."""
        if self.answered_at is None or self.failed_at is None:
            return None if self.answered_at is self.failed_at else self.failed_at is None
        return self.answered_at > self.failed_at


class ModelUse(Struct):
    """What the calls of one model of a provider add up to, and whether it did its work."""

    performance: Performance = field(default_factory=Performance)
    health: Health = field(default_factory=Health)


def add_call_of(provider: str, found: dict[str, ModelUse], call: Mapping[str, Any]) -> None:
    """Add a call that has ended to what is found of each model of one provider, if that one was asked."""
    requests = [status for name, status in _requests(call) if name == provider]
    is_last = call["provider_name"] == provider
    if not requests and not is_last:
        return
    use = found.setdefault(call["model"], ModelUse())
    for status in requests:
        use.performance.count(status)
    if is_last:
        use.performance.add(call)
    for failed in _outcomes(provider, call):
        use.health.add(call["started_at"], failed=failed)


def _outcomes(provider: str, call: Mapping[str, Any]) -> Iterable[bool]:
    """Of each request to a provider that says something of it: whether it failed."""
    for one in call.get("tries", ()):
        if one["provider_name"] == provider and provider != call["provider_name"]:
            if (one.get("error") or {}).get("type") in _FAILED:
                yield True
            elif one["status"] is not None:
                yield one["status"] >= _SERVER_ERROR
    if call["provider_name"] == provider:
        status, reason = call.get("upstream_status"), call.get("end_reason")
        if reason in _FAILED:
            yield True
        elif status is not None:
            yield status >= _SERVER_ERROR


def _requests(call: Mapping[str, Any]) -> Iterable[tuple[str, int | None]]:
    """Each time that a provider was asked for a call, and the status of its response."""
    if tries := call.get("tries"):
        return [(one["provider_name"], one["status"]) for one in tries]
    return [(call["provider_name"], call.get("upstream_status"))]


def _ms(since: datetime, until: datetime) -> float:
    return max((until - since).total_seconds() * 1000, 0.0)
