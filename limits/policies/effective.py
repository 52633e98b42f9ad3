"""All policies in memory, and what holds for one caller: those of everyone, of their groups, of the user and of the token."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from msgspec import UNSET, structs

from intercept.recording import strictest
from limits.limit import BudgetPeriod, Limit, LimitKind, Of
from limits.policies.compiled import Applied, CompiledPolicy, Level, Patterns, PolicyHolder
from limits.policies.managed_settings import settings_of, with_models
from limits.policies.policy import ANY_TEXT, AnyPolicy, Pattern

_ALL_DAYS: Final = 210
"""A multiple of the days of each period, to compare budgets of different ones."""

_DAYS: Final = {BudgetPeriod.DAY: 1, BudgetPeriod.WEEK: 7, BudgetPeriod.MONTH: 30, BudgetPeriod.TOTAL: _ALL_DAYS}


class Caller(NamedTuple):
    """Whose request it is: the ids of the user, of their groups, of the token, and of the tokens that it is bound by."""

    user: str
    token: str
    groups: tuple[str, ...] = ()
    bound_by: tuple[str, ...] = ()


class ModelRefusal(NamedTuple):
    """The policy that a call breaks, and the broken rule in words, as in `group research allows claude-*`."""

    source: PolicyHolder
    rule: str


class Effective:
    """The policies that hold for a caller. Small, because a process keeps it for thousands of callers.

    Args:
        policies: The policies that apply, the widest first.

    Attributes:
        max_tokens: The most output tokens that a request may allow, and who says so; None is any number.
        denies_own_key: Who forbids a key of the user's own; None if nobody does.
        denies_unpriced: Who forbids models without a known price; None if nobody does.
        managed_settings: What Claude Code gets as its managed settings; None if no policy says anything.
        recording: What is kept of texts in records; None if that is everything.
    """

    __slots__ = (
        "_after",
        "_before",
        "_user",
        "denies_own_key",
        "denies_unpriced",
        "managed_settings",
        "max_tokens",
        "policies",
        "recording",
    )

    def __init__(self, policies: Sequence[CompiledPolicy], user: str) -> None:
        self.policies = tuple(policies)
        self._user = user
        with_maximum = [one.max_tokens for one in policies if one.max_tokens is not None]
        self.max_tokens = min(with_maximum, key=lambda most: most.maximum, default=None)
        self.denies_own_key = next((one.source for one in policies if one.policy.byok == "deny"), None)
        self.denies_unpriced = next(
            (one.source for one in policies if one.policy.models and one.policy.models.unpriced == "deny"), None
        )
        self.managed_settings = settings_of(policies)
        recordings = [one.policy.recording for one in policies]
        self.recording = strictest(one.recording for one in recordings if one is not UNSET)
        holding = dict.fromkeys(one.limit for one in self.applied() if one.replaced_by is None)  # equal ones count once
        self._before = tuple(limit for limit in holding if not limit.reserve)
        self._after = tuple(limit for limit in holding if limit.reserve)

    def applied(self) -> list[Applied]:
        """Every limit of the policies, also those that others replace."""
        return list(_with_replaced([limit for one in self.policies for limit in one.limits_of(self._user)]))

    def before_body(self, *, pays: bool) -> tuple[Limit, ...]:
        """The limits that can be decided before the body is read; no budget where the client pays the provider itself."""
        return _without_budgets(self._before) if pays else self._before

    def after_body(self, *, pays: bool) -> tuple[Limit, ...]:
        """The limits that reserve what the body may use."""
        return _without_budgets(self._after) if pays else self._after

    def source_of(self, limit: Limit) -> PolicyHolder | None:
        """Whose policy a limit is from, the widest of several; None if it is from none."""
        return next((one.source for one in self.applied() if one.limit == limit and one.replaced_by is None), None)

    def refuse_model(
        self, provider: str, model: str, has_price: Callable[[], bool] = lambda: True
    ) -> ModelRefusal | None:
        """Which rule a model breaks, None if it may be used. The model is named as the client names it.

        `has_price` says whether a call of it has a price, or costs the bridge nothing; only asked where that matters.
        """
        provider, model = provider.lower(), model.lower()
        for one in self.policies:
            if one.deny is not None and (pattern := one.deny.find(provider, model)) is not None:
                return _denied(one.source, pattern)
        for one in self.policies:
            if one.allow is not None and one.allow.find(provider, model) is None:
                return _not_allowed(one.source, one.allow)
        if (source := self.denies_unpriced) is not None and not has_price():
            return ModelRefusal(source, f"{source} denies models without a known price")
        return None

    def managed_settings_at(self, provider: str) -> dict[str, Any] | None:
        """The managed settings of Claude Code that signed in below a provider; None if no policy says anything.

        Where a policy allows models by their whole names alone, they have those that may be used.
        """
        allowed = (one.allow.whole_names() for one in self.policies if one.allow is not None)
        names = [name for name in next(filter(None, allowed), []) if self.refuse_model(provider, name) is None]
        return None if self.managed_settings is None else with_models(self.managed_settings, names)

    def refuse_unread(self, provider: str) -> ModelRefusal | None:
        """Which rule a call may break whose models are not read; None if every model of the provider may be used."""
        provider = provider.lower()
        for one in self.policies:
            if one.deny is not None and (pattern := one.deny.find_of(provider)) is not None:
                return _denied(one.source, pattern)
            if one.allow is not None and one.allow.find(provider, ANY_TEXT) is None:
                return _not_allowed(one.source, one.allow)
        return None


def _denied(source: PolicyHolder, pattern: Pattern) -> ModelRefusal:
    return ModelRefusal(source, f"{source} denies {pattern}")


def _not_allowed(source: PolicyHolder, allowed: Patterns) -> ModelRefusal:
    return ModelRefusal(source, f"{source} allows {allowed}")


def _without_budgets(limits: tuple[Limit, ...]) -> tuple[Limit, ...]:
    return tuple([limit for limit in limits if limit.kind is not LimitKind.BUDGET])


def _with_replaced(applied: Sequence[Applied]) -> Iterator[Applied]:
    """Leave one budget of each member: the user's own, else the largest of a group's, else that of everyone.

    Budgets that only count are left or replaced among themselves, so that a trial changes nothing.
    """
    chosen: dict[bool, Applied] = {}
    for shadow in (False, True):
        budgets = [one for one in applied if _is_members_budget(one) and one.limit.shadow is shadow]
        if budgets:
            chosen[shadow] = max(budgets, key=_precedence)
    for one in applied:
        winner = chosen.get(one.limit.shadow)
        if winner is None or one is winner or not _is_members_budget(one):
            yield one
        else:
            yield structs.replace(one, replaced_by=winner.source)


def _is_members_budget(applied: Applied) -> bool:
    return applied.limit.kind is LimitKind.BUDGET and applied.limit.of is Of.USER


def _precedence(applied: Applied) -> tuple[int, int]:
    level = (Level.EVERYONE, Level.GROUP, Level.USER).index(applied.source.level)
    return level, applied.limit.maximum * _ALL_DAYS // _DAYS[applied.limit.period]


MAX_CALLERS: Final = 10_000
"""Callers whose policies are kept worked out."""


class PolicyBook:
    """The policies by level and key, and what holds for each caller, worked out once.

    Args:
        zone: The time zone in which budget periods begin.
    """

    def __init__(self, zone: str = "UTC") -> None:
        self._zone = zone
        self._policies: dict[Level, dict[str, CompiledPolicy]] = {level: {} for level in Level}
        self._effective: dict[Caller, Effective] = {}

    def __len__(self) -> int:
        """How many policies there are."""
        return sum(map(len, self._policies.values()))

    def __iter__(self) -> Iterator[tuple[PolicyHolder, AnyPolicy]]:
        """Every policy, the widest first."""
        for policies in self._policies.values():
            for one in policies.values():
                yield one.source, one.policy

    def shared_limits(self) -> Iterator[Applied]:
        """The limits that count together whoever calls: of everyone, groups and tokens."""
        for policies in self._policies.values():
            for one in policies.values():
                yield from (limit for limit in one.limits_of("") if limit.limit.of is not Of.USER)

    def put(self, source: PolicyHolder, policy: AnyPolicy) -> None:
        """Add a policy; it replaces the one with the same source."""
        self._policies[source.level][source.key] = self._compile(source, policy)
        self._effective.clear()

    def remove(self, level: Level, key: str) -> None:
        """Remove the policy of a source."""
        self._policies[level].pop(key, None)
        self._effective.clear()

    def find(self, caller: Caller, user_name: str = "") -> Effective | None:
        """What holds for a caller; None if nothing is restricted."""
        if not len(self):
            return None
        effective = self._effective.get(caller)
        if effective is None:
            effective = Effective(list(self._policies_of(caller, user_name)), caller.user)
            if len(self._effective) >= MAX_CALLERS:
                self._effective.clear()
            self._effective[caller] = effective
        return effective if effective.policies else None

    def _policies_of(self, caller: Caller, user_name: str) -> Iterator[CompiledPolicy]:
        wanted = [
            (Level.EVERYONE, ""),
            *((Level.GROUP, group) for group in sorted(caller.groups)),
            (Level.USER, caller.user),
            *((Level.TOKEN, token) for token in (*caller.bound_by, caller.token)),
        ]
        for level, key in wanted:
            found = self._policies[level].get(key)
            if found is not None:
                renamed = level is Level.USER and user_name not in {"", found.source.name}
                yield self._compile(found.source._replace(name=user_name), found.policy) if renamed else found

    def _compile(self, source: PolicyHolder, policy: AnyPolicy) -> CompiledPolicy:
        return CompiledPolicy(source, policy, self._zone)
