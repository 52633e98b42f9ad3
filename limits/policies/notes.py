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

    With `providers`, the names of those that are known where not all need be, also which patterns mean none of them.
    """
    return list(_notes(policy, providers))


def _notes(policy: AnyPolicy, providers: Collection[str] | None) -> Iterator[str]:
    limits, recording = policy.limits, policy.recording
    if policy.models is not UNSET and providers is not None:
        said = NO_PROVIDER.format(", ".join(sorted(providers)))
        yield from (f"models.{field}: {said}" for field in unknown_providers(policy.models, providers))
    if isinstance(limits, SharedLimits):
        parts = [("limits.each_member", limits.each_member), ("limits.together", limits.together)]
    else:
        parts = [("limits", limits)]
    for name, part in parts:
        if part is not UNSET:
            yield from (f"{name}.{note}" for note in _notes_on_limits(part))
    if recording is not UNSET:
        yield from (f"recording.{name}: {NEEDS_KEY}" for name in KINDS if getattr(recording, name) is Keep.HASHED)


def _notes_on_limits(limits: Limits) -> Iterator[str]:
    slots = limits.concurrency
    if slots is not UNSET and (slots.requests if isinstance(slots, Concurrency) else slots) == 0:
        yield f"concurrency: {NOTHING_ADMITTED}"
    if limits.rate is not UNSET and not limits.rate.requests:
        yield f"rate.requests: {NOTHING_ADMITTED}"
    if limits.tokens is not UNSET and not limits.tokens.count:
        yield f"tokens.count: {NOTHING_ADMITTED}"
    if limits.budget is not UNSET and not limits.budget.micro_dollars:
        yield f"budget.usd: {NO_BUDGET}"
