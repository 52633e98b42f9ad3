"""How a provider fares, by the latest calls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from math import ceil
from typing import Annotated, Any, NamedTuple, Self

from msgspec import Meta, Struct, field, structs

from intercept.times import format_time
from limits.protection.circuit_breaker import State as CircuitState
from resources.fields import Count, Time, doc, of_fields
from resources.providers import ConfiguredProvider, ProviderKey
from resources.recorded.statistics import GroupTotals, Milliseconds
from storage.derived.performance import Health, ModelUse, Performance
from storage.queries.filters.grouped.dimensions import Subject
from upstream.providers.provider import Availability

MAX_MODELS = 50
"""Models that are named, those with most calls."""


class Wait(Struct):
    """Half of the calls waited at most `p50`, 95 of a hundred at most `p95`."""

    p50: Milliseconds
    p95: Milliseconds

    @classmethod
    def of(cls, waits: Sequence[float]) -> Self | None:
        """Read them from the waits of calls; None where there are none."""
        if not waits:
            return None
        ordered = sorted(waits)
        p50, p95 = (round(ordered[ceil(share * len(ordered)) - 1], 1) for share in (0.5, 0.95))
        return cls(p50, p95)


class ProviderPerformance(Struct):
    """What the latest calls say of a provider."""

    name: str
    calls: Annotated[Count, doc("Calls that it answered, or that tried it last.")]
    requests: Annotated[Count, doc("The number of requests to it, also for calls that another provider answered.")]
    rate_limited: Annotated[Count, doc("The number of these requests that got 429.")]
    models: Annotated[
        list[str], Meta(description="The models of its calls, the most frequent first.", max_length=MAX_MODELS)
    ]
    bridge_ms: Annotated[Wait | None, doc("From the start of a call to the request to the provider.")]
    provider_ms: Annotated[Wait | None, doc("From that request to the first byte of the response.")]
    tokens_per_second: Annotated[
        float | None, doc("Output tokens of whole streams, by the time from their first byte to their end.")
    ]

    @classmethod
    def of(cls, name: str, found: Performance | None) -> Self:
        """Show what was found of a provider; None is nothing."""
        one = found or Performance()
        rate = round(one.streamed_tokens / one.streamed_ms * 1000, 1) if one.streamed_ms else None
        models = [model for model, _ in one.models.most_common(MAX_MODELS)]
        waits = Wait.of(one.bridge_ms), Wait.of(one.provider_ms)
        return cls(name, one.calls, one.requests, one.rate_limited, models, *waits, rate)


class Up(StrEnum):
    """Whether a provider works, by its latest request. `UNKNOWN` without calls."""

    UP = "up"
    DOWN = "down"
    UNKNOWN = "unknown"

    @classmethod
    def of(cls, health: Health, circuit: CircuitState | None) -> Self:
        """Make it; an open circuit means down."""
        if circuit is CircuitState.OPEN:
            return cls("down")
        return cls({True: "up", False: "down", None: "unknown"}[health.is_up])


class UsedRange(NamedTuple):
    """The totals of all calls of a provider in [start, end), and by model; the latest ones started at `since` or later."""

    start: datetime
    end: datetime
    since: datetime
    total: Mapping[str, Any]
    totals: Mapping[str, Mapping[str, Any]]


class ModelPerformance(Struct):
    """What calls say of a model of a provider."""

    model: str
    up: Up
    circuit: Annotated[
        CircuitState | None, doc("The worst of its circuits in the process that answers; null without any.")
    ]
    calls: Count
    requests: Count
    failed: Annotated[Count, doc("Requests without a response, with an incomplete response, or with 5xx.")]
    rate_limited: Count
    rate_limited_share: Annotated[
        Annotated[float, Meta(ge=0, le=1)] | None, doc("The share of the requests; null without any.")
    ]
    bridge_ms: Wait | None
    provider_ms: Wait | None
    tokens_per_second: float | None
    answered_at: Annotated[Time | None, doc("The start of the latest call that it answered.")]
    failed_at: Annotated[Time | None, doc("The start of the latest call that it failed.")]
    total: Annotated[GroupTotals, doc("The totals of all its calls in the time range.")]

    @classmethod
    def of(cls, model: str, use: ModelUse, circuit: CircuitState | None, total: Mapping[str, Any]) -> Self:
        """Show what was found of a model, and what its calls add up to."""
        one, health = use.performance, use.health
        return of_fields(
            cls,
            structs.asdict(ProviderPerformance.of(model, one)) | structs.asdict(health),
            model=model,
            up=Up.of(health, circuit),
            circuit=circuit,
            rate_limited_share=round(one.rate_limited / one.requests, 4) if one.requests else None,
            total=GroupTotals.of(Subject.CALLS, total),
        )


class ProviderUsage(Struct):
    """How a provider and each of its models fare, by the latest calls, and what all calls of a time range add up to."""

    name: str
    state: Availability
    up: Up
    circuit: CircuitState | None
    keys: list[ProviderKey]
    from_: Annotated[Time, doc("The start of the time range.")] = field(name="from")
    to: Annotated[Time, doc("Its end, exclusive.")]
    since: Annotated[
        Time,
        doc(
            "The latest calls are those that started then or later: the same as `from`, or later where these are too many."
        ),
    ]
    total: Annotated[GroupTotals, doc("The totals of all its calls in the time range.")]
    models: Annotated[
        list[ModelPerformance], Meta(description="By number of calls, most first.", max_length=MAX_MODELS)
    ]

    @classmethod
    def of(
        cls,
        listed: ConfiguredProvider,
        found: Mapping[str, ModelUse],
        circuits: Mapping[str, CircuitState] | None,
        within: UsedRange,
    ) -> Self:
        """Show what was found; `circuits` are the worst of each model, None where there are none at all."""
        health = Health()
        for use in found.values():
            health.failed += use.health.failed
            for name in ("answered_at", "failed_at"):
                times = [at for one in (health, use.health) if (at := getattr(one, name)) is not None]
                setattr(health, name, max(times, default=None))
        worst = None if circuits is None else worst_of(circuits.values())
        uses = {model: ModelUse() for model in within.totals} | dict(found)
        calls = {model: total.get("interceptions", 0) for model, total in within.totals.items()}
        most = sorted(uses, key=lambda one: (-calls.get(one, 0), -uses[one].performance.requests, one))[:MAX_MODELS]
        models = [
            ModelPerformance.of(
                model,
                uses[model],
                None if circuits is None else circuits.get(model, CircuitState.CLOSED),
                within.totals.get(model, {}),
            )
            for model in most
        ]
        return cls(
            listed.name,
            listed.state,
            Up.of(health, None),
            worst,
            listed.keys,
            from_=format_time(within.start),
            to=format_time(within.end),
            since=format_time(within.since),
            total=GroupTotals.of(Subject.CALLS, within.total),
            models=models,
        )


def worst_of(states: Iterable[CircuitState]) -> CircuitState:
    """The worst of some states; closed without any."""
    found = set(states)
    return next((one for one in (CircuitState.OPEN, CircuitState.HALF_OPEN) if one in found), CircuitState.CLOSED)
