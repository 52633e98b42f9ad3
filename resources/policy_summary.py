"""What a policy says, in a line for people. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Final

from msgspec import UNSET, UnsetType, structs

from limits.policies.policy import (
    AnyPolicy,
    Concurrency,
    ModelPattern,
    Models,
    Pattern,
    PolicyLimits,
    RecordingRules,
    SharedLimits,
)

MAX_PATTERNS: Final = 3
"""Patterns of a list that are named; of others only how many they are."""

_CENTS: Final = 2


def summarize(policy: AnyPolicy) -> str:
    """Say what a policy restricts, as in `models claude-*; $50.00 a month, 60 calls in 1m`."""
    return "; ".join(_parts(policy))


def _parts(policy: AnyPolicy) -> Iterator[str]:
    if policy.models is not UNSET:
        yield from _models(policy.models)
    if isinstance(policy.limits, SharedLimits):
        for name, part in (("each", policy.limits.each_member), ("together", policy.limits.together)):
            if limits := _limits(part):
                yield f"{name} {limits}"
    elif limits := _limits(policy.limits):
        yield limits
    if policy.max_tokens is not UNSET:
        yield f"at most {policy.max_tokens:,} output tokens"
    if policy.byok == "deny":
        yield "no own keys"
    if policy.recording is not UNSET and (kept := _recording(policy.recording)):
        yield kept
    if policy.managed_settings is not UNSET:
        yield "managed settings"


def _models(models: Models) -> Iterator[str]:
    if models.allow:
        yield f"models {_patterns(models.allow)}"
    if models.deny:
        yield f"not {_patterns(models.deny)}"
    if models.unpriced == "deny":
        yield "no models without a price"


def _patterns(patterns: Sequence[Pattern]) -> str:
    named = [
        f"{one.model} of {one.provider}" if isinstance(one, ModelPattern) else one for one in patterns[:MAX_PATTERNS]
    ]
    more = len(patterns) - len(named)
    return ", ".join(named) + (f" and {more} more" if more else "")


def _limits(limits: PolicyLimits | UnsetType) -> str:
    return "" if limits is UNSET else ", ".join(_each_limit(limits))


def _each_limit(limits: PolicyLimits) -> Iterator[str]:
    if (budget := limits.budget) is not UNSET:
        of = "in total" if budget.period == "total" else f"a {budget.period}"
        yield f"${_money(budget.usd)} {of}{_shadow(budget.shadow)}"
    if (rate := limits.rate) is not UNSET:
        yield f"{_count(rate.requests, 'call')} in {rate.window}{_shadow(rate.shadow)}"
    if (tokens := limits.tokens) is not UNSET:
        yield f"{_count(tokens.count, 'token')} in {tokens.window}{_shadow(tokens.shadow)}"
    if (slots := limits.concurrency) is not UNSET:
        slots = slots if isinstance(slots, Concurrency) else Concurrency(slots)
        yield f"{_count(slots.requests, 'call')} at a time{_shadow(slots.shadow)}"


def _money(usd: str | float) -> str:
    """Two places, or as many as it has."""
    amount = Decimal(str(usd)).normalize()
    exponent = amount.as_tuple().exponent
    places = max(_CENTS, -exponent) if isinstance(exponent, int) else _CENTS
    return f"{amount:,.{places}f}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _shadow(shadow: bool) -> str:
    return " (shadow)" if shadow else ""


def _recording(rules: RecordingRules) -> str:
    said = [
        f"{name.replace('_', ' ')} {value} days" if "retention" in name else f"{name.replace('_', ' ')} {value}"
        for name, value in structs.asdict(rules).items()
        if value is not UNSET and name != "patterns"
    ]
    return ", ".join(said)
