"""A policy as it is applied: whom it is of, which models its patterns mean, and its limits, compiled once for all callers."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from enum import StrEnum, auto
from typing import Final, NamedTuple

from msgspec import UNSET, Struct
from msgspec.structs import replace

from intercept.refusals import Rule
from limits.limit import Limit, LimitKind, Of
from limits.policies.policy import (
    AnyPolicy,
    Budget,
    Concurrency,
    ModelPattern,
    Models,
    Pattern,
    Policy,
    PolicyLimits,
    SharedLimits,
    glob,
    window_ns,
)


class Level(StrEnum):
    """Whom a policy is of, the widest first."""

    EVERYONE = auto()
    GROUP = auto()
    USER = auto()
    TOKEN = auto()


class PolicyHolder(NamedTuple):
    """Whose policy it is: `key` is the id of the group, user or token, `name` what people call it."""

    level: Level
    key: str = ""
    name: str = ""

    def __str__(self) -> str:
        """In words: `everyone`, `group research`."""
        return f"{self.level} {self.name}" if self.name else str(self.level)


MAX_NAMED: Final = 10
"""Patterns that the message of a refusal names."""


class Patterns:
    """A list of patterns. Case makes no difference: a provider may take a name in any case."""

    __slots__ = ("_globs", "patterns")

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        self.patterns = tuple(patterns)
        self._globs = tuple(
            (None, glob(one)) if isinstance(one, str) else (glob(one.provider), glob(one.model)) for one in patterns
        )

    def find(self, provider: str, model: str) -> Pattern | None:
        """The first pattern that means a model of a provider, both in lower case; None if none does."""
        for pattern, (providers, models) in zip(self.patterns, self._globs, strict=True):
            if models.match(model) and (providers is None or providers.match(provider)):
                return pattern
        return None

    def find_of(self, provider: str) -> Pattern | None:
        """The first pattern that means some model of a provider in lower case; None if none does."""
        for pattern, (providers, _) in zip(self.patterns, self._globs, strict=True):
            if providers is None or providers.match(provider):
                return pattern
        return None

    def whole_names(self) -> list[str]:
        """The models, where each is named without `*`; empty where one is not."""
        names = [one if isinstance(one, str) else one.model for one in self.patterns]
        return [] if any("*" in name for name in names) else names

    def __str__(self) -> str:
        """In words: some of the patterns."""
        named = ", ".join(map(str, self.patterns[:MAX_NAMED]))
        more = len(self.patterns) - MAX_NAMED
        return f"{named} and {more} more" if more > 0 else named


def unknown_providers(models: Models, names: Collection[str]) -> Iterator[str]:
    """The fields with a provider that is none of these names, such as `allow[0].provider`: such a pattern matches nothing."""
    for field, patterns in (("allow", models.allow or []), ("deny", models.deny or [])):
        for number, pattern in enumerate(patterns):
            if isinstance(pattern, ModelPattern):
                providers = glob(pattern.provider)
                if not any(providers.match(name.lower()) for name in names):
                    yield f"{field}[{number}].provider"


_ANY_MEMBER: Final = ""
"""The key of a limit of each member, before it is known who that is."""


class MaxTokens(NamedTuple):
    """The maximum of `max_tokens` in a request, and the policy with it."""

    maximum: int
    source: PolicyHolder


class Applied(Struct, frozen=True, gc=False):
    """A limit, and the policy that has it.

    Attributes:
        part: `each_member`, `together`, or empty if the policy has only one part.
        replaced_by: What holds instead of it, for a budget of each member; None if it holds.
    """

    source: PolicyHolder
    limit: Limit
    part: str = ""
    replaced_by: PolicyHolder | None = None


class CompiledPolicy:
    """A policy as it is applied.

    Args:
        zone: The time zone in which budget periods begin.

    Attributes:
        allow: The models that it allows; None if it does not say.
        deny: The models that it denies; None if it denies none.
        max_tokens: The most output tokens that a request may allow; None is any number.
    """

    __slots__ = ("_limits", "allow", "deny", "max_tokens", "policy", "source")

    def __init__(self, source: PolicyHolder, policy: AnyPolicy, zone: str = "UTC") -> None:
        self.source = source
        self.policy = policy
        models = policy.models or None
        self.allow = Patterns(models.allow) if models and models.allow else None
        self.deny = Patterns(models.deny) if models and models.deny else None
        self.max_tokens = None if policy.max_tokens is UNSET else MaxTokens(policy.max_tokens, source)
        self._limits = tuple(_limits_of(source, policy, zone))

    def limits_of(self, user: str) -> Iterator[Applied]:
        """Its limits for a user, with the user's id in those of each member."""
        for one in self._limits:
            if one.limit.key == _ANY_MEMBER:
                yield replace(one, limit=replace(one.limit, key=member_key(user)))
            else:
                yield one


def member_key(user: str) -> str:
    """What limits of a user are counted under."""
    return f"member:{user}"


def token_key(token: str) -> str:
    """What limits of a token are counted under."""
    return f"key:{token}"


def group_key(group: str) -> str:
    """What limits of a group together are counted under."""
    return f"group:{group}"


def _limits_of(source: PolicyHolder, policy: AnyPolicy, zone: str) -> Iterator[Applied]:
    if isinstance(policy, Policy):
        if policy.limits is UNSET:
            return
        of, key = (Of.USER, member_key(source.key)) if source.level is Level.USER else (Of.TOKEN, token_key(source.key))
        parts = [("", policy.limits, of, key)]
    else:
        shared = policy.limits or SharedLimits()
        parts = [
            ("each_member", shared.each_member or PolicyLimits(), Of.USER, _ANY_MEMBER),
            ("together", shared.together or PolicyLimits(), Of.GROUP, group_key(source.key or Level.EVERYONE)),
        ]
    for part, limits, of, key in parts:
        for limit in _make_limits(limits, of, key, zone):
            yield Applied(source, limit, part)


def _make_limits(limits: PolicyLimits, of: Of, key: str, zone: str) -> Iterator[Limit]:
    if limits.concurrency is not UNSET:
        slots = limits.concurrency
        slots = slots if isinstance(slots, Concurrency) else Concurrency(slots)
        yield Limit(LimitKind.CONCURRENCY, Rule.POLICY_CONCURRENCY, of, key, slots.requests, shadow=slots.shadow)
    if limits.rate is not UNSET:
        rate = limits.rate
        window = window_ns(rate.window)
        yield Limit(LimitKind.RATE, Rule.POLICY_RATE, of, key, rate.requests, window, shadow=rate.shadow)
    if limits.tokens is not UNSET:
        tokens = limits.tokens
        window = window_ns(tokens.window)
        yield Limit(LimitKind.TOKENS, Rule.POLICY_TOKENS, of, key, tokens.count, window, shadow=tokens.shadow)
    if limits.budget is not UNSET:
        yield budget_limit(limits.budget, of, key, zone)


def budget_limit(budget: Budget, of: Of, key: str, zone: str) -> Limit:
    """The limit of a budget."""
    return Limit(
        *(LimitKind.BUDGET, Rule.POLICY_BUDGET, of, key, budget.micro_dollars),
        period=budget.calendar,
        zone=zone,
        reserve=budget.reserve,
        shadow=budget.shadow,
    )
