"""How a provider fares, by the latest calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Self

from msgspec import Meta, Struct

from resources.fields import Count
from storage.aggregation.performance import Performance

MAX_MODELS = 50
"""Models that are named, those with most calls."""

Milliseconds = Annotated[float, Meta(ge=0)]


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
        p50, p95 = (round(ordered[min(int(share * len(ordered)), len(ordered) - 1)], 1) for share in (0.5, 0.95))
        return cls(p50, p95)


class ProviderPerformance(Struct):
    """What the latest calls say of a provider."""

    name: str
    calls: Annotated[Count, Meta(description="Calls that it answered, or was asked last.")]
    requests: Annotated[
        Count, Meta(description="How often it was asked, also for calls that another provider answered then.")
    ]
    rate_limited: Annotated[Count, Meta(description="How many of these requests it answered with 429.")]
    models: Annotated[
        list[str], Meta(description="The models of its calls, those with most first.", max_length=MAX_MODELS)
    ]
    bridge_ms: Annotated[Wait | None, Meta(description="From the start of a call to the request to the provider.")]
    provider_ms: Annotated[Wait | None, Meta(description="From that request to the first byte of the response.")]
    tokens_per_second: Annotated[
        float | None,
        Meta(description="Output tokens of whole streams, by the time from their first byte to their end."),
    ]

    @classmethod
    def of(cls, name: str, found: Performance | None) -> Self:
        """Show what was found of a provider; None is nothing."""
        one = found or Performance()
        rate = round(one.streamed_tokens / one.streamed_ms * 1000, 1) if one.streamed_ms else None
        models = [model for model, _ in one.models.most_common(MAX_MODELS)]
        waits = Wait.of(one.bridge_ms), Wait.of(one.provider_ms)
        return cls(name, one.calls, one.requests, one.rate_limited, models, *waits, rate)
