"""How a provider and its models fare: what all their calls add up to, and whether the latest requests were answered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Annotated, Any, Final, Self

from msgspec import Meta, Struct, field, structs

from intercept.times import format_time
from limits.protection.circuit_breaker import CircuitState
from resources.fields import Count, Time, doc, of_fields
from resources.providers import ConfiguredProvider, ProviderKey
from resources.recorded.statistics import GroupTotals
from storage.queries.found import Attempts, LatestAttempts
from storage.queries.questions.groups import Answer
from storage.queries.questions.question import Counted, Question
from upstream.providers.provider import Availability

MAX_MODELS: Final = 50
"""Models that are named, those with most calls."""

_NONE: Final = Attempts()


class Up(StrEnum):
    """Whether a provider works, by its latest request. `UNKNOWN` without any."""

    UP = "up"
    DOWN = "down"
    UNKNOWN = "unknown"

    @classmethod
    def of(cls, attempts: Attempts, circuit: CircuitState | None) -> Self:
        """Make it; an open circuit means down."""
        if circuit is CircuitState.OPEN:
            return cls("down")
        return cls({True: "up", False: "down", None: "unknown"}[attempts.is_up])


class ModelUsage(Struct):
    """How a model of a provider fares."""

    model: str
    up: Up
    circuit: Annotated[
        CircuitState | None, doc("The worst of its circuits in the process that answers; null without any.")
    ]
    requests: Annotated[Count, doc("The latest requests to it, also for calls that another provider answered.")]
    failed: Annotated[Count, doc("Those without a response, with an incomplete response, or with 5xx.")]
    rate_limited: Annotated[Count, doc("Those that it answered with 429.")]
    answered_at: Annotated[Time | None, doc("The start of the latest call that it answered.")]
    failed_at: Annotated[Time | None, doc("The start of the latest call that it failed.")]
    total: Annotated[GroupTotals, doc("The totals of all its calls in the time range.")]

    @classmethod
    def of(cls, model: str, attempts: Attempts, circuit: CircuitState | None, total: Mapping[str, Any]) -> Self:
        """Show the latest requests for a model, and what its calls add up to."""
        return of_fields(
            cls,
            structs.asdict(attempts),
            model=model,
            up=Up.of(attempts, circuit),
            circuit=circuit,
            total=GroupTotals.of(Counted.CALLS, total),
        )


class ProviderUsage(Struct):
    """How a provider and each of its models fare in a time range."""

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
            "The latest requests are those of calls that started then or later: `from`, or later where these are too many."
        ),
    ]
    total: Annotated[GroupTotals, doc("The totals of all its calls in the time range.")]
    models: Annotated[list[ModelUsage], Meta(description="By number of calls, most first.", max_length=MAX_MODELS)]

    @classmethod
    def of(
        cls,
        listed: ConfiguredProvider,
        latest: LatestAttempts,
        circuits: Mapping[str, CircuitState] | None,
        question: Question,
        answer: Answer,
    ) -> Self:
        """Show the latest requests and the calls by model; `circuits` are the worst of each, None where none are kept."""
        attempts, all_attempts = latest.of(listed.name), Attempts()
        for one in attempts.values():
            all_attempts.add(one)
        totals = {group.key[0]: group.total for group in answer.groups}
        calls = {model: total["interceptions"] for model, total in totals.items()}
        models = sorted(
            totals.keys() | attempts.keys(),
            key=lambda model: (-calls.get(model, 0), -attempts.get(model, _NONE).requests, model),
        )
        return cls(
            listed.name,
            listed.state,
            Up.of(all_attempts, None),
            None if circuits is None else worst_of(circuits.values()),
            listed.keys,
            from_=format_time(question.start),
            to=format_time(question.end),
            since=format_time(latest.since),
            total=GroupTotals.of(Counted.CALLS, answer.total.total),
            models=[
                ModelUsage.of(
                    model,
                    attempts.get(model, _NONE),
                    None if circuits is None else circuits.get(model, CircuitState.CLOSED),
                    totals.get(model, {}),
                )
                for model in models[:MAX_MODELS]
            ],
        )


def worst_of(states: Iterable[CircuitState]) -> CircuitState:
    """The worst of some states; closed without any."""
    found = set(states)
    return next((one for one in (CircuitState.OPEN, CircuitState.HALF_OPEN) if one in found), CircuitState.CLOSED)
