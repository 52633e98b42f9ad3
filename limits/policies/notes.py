"""Warnings about a valid policy that may not be intended."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

from msgspec import UNSET

from intercept.recording import KINDS, Keep
from limits.policies.patterns import unknown_providers
from limits.policies.policy import AnyPolicy, Concurrency, Limits, SharedLimits

NO_BUDGET: Final = "0 refuses every call that the bridge would pay for"
NEEDS_KEY: Final = "a server without encryption-keys keeps nothing instead of a hash"
NO_PROVIDER: Final = "it matches nothing, unless a server has a provider of this name; known here are {}"
NOTHING_ADMITTED: Final = "0 refuses every call"


def notes_on(policy: AnyPolicy, providers: Collection[str] | None = None) -> list[str]:
    """What is to be said: which limits refuse everything, as in `limits.together.budget: 0 refuses ..`, what needs keys.

    Args:
        policy: Of what.
        providers: The names of those that are known where not all need be; then also which patterns mean none of them.
    """
    return [*_notes_on_models(policy, providers), *_notes_on_limits(policy), *_notes_on_recording(policy)]


def _notes_on_models(policy: AnyPolicy, providers: Collection[str] | None) -> list[str]:
    if policy.models is UNSET or providers is None:
        return []
    said = NO_PROVIDER.format(", ".join(sorted(providers)))
    return [f"models.{field}: {said}" for field in unknown_providers(policy.models, providers)]


def _notes_on_recording(policy: AnyPolicy) -> list[str]:
    recording = policy.recording
    if recording is UNSET:
        return []
    return [f"recording.{name}: {NEEDS_KEY}" for name in KINDS if getattr(recording, name) is Keep.HASHED]


def _notes_on_limits(policy: AnyPolicy) -> list[str]:
    limits = policy.limits
    if limits is UNSET:
        return []
    if isinstance(limits, SharedLimits):
        parts = [("limits.each_member", limits.each_member), ("limits.together", limits.together)]
    else:
        parts = [("limits", limits)]
    return [f"{name}.{note}" for name, part in parts if part is not UNSET for note in _notes(part)]


def _notes(limits: Limits) -> Iterator[str]:
    slots = limits.concurrency
    if slots is not UNSET and (slots.requests if isinstance(slots, Concurrency) else slots) == 0:
        yield f"concurrency: {NOTHING_ADMITTED}"
    if limits.rate is not UNSET and not limits.rate.requests:
        yield f"rate.requests: {NOTHING_ADMITTED}"
    if limits.tokens is not UNSET and not limits.tokens.count:
        yield f"tokens.count: {NOTHING_ADMITTED}"
    if limits.budget is not UNSET and not limits.budget.micro_dollars:
        yield f"budget.usd: {NO_BUDGET}"
