"""What holds for one caller: the policies of everyone, of the caller's groups, of the user and of the token, together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum, auto
from typing import Final, NamedTuple

from msgspec import UNSET, Struct, UnsetType

from intercept.recording import strictest
from intercept.refusals import Rule
from limits.limit import Kind, Limit, Of, Period
from limits.policies.globs import ANY_TEXT
from limits.policies.patterns import Patterns
from limits.policies.policy import AnyPolicy, Budget, Concurrency, Limits, Policy, window_ns

_DAYS: Final = {Period.DAY: 1, Period.WEEK: 7, Period.MONTH: 30}
_ALL_DAYS: Final = 210
"""A multiple of the days of each period, to compare budgets of different ones."""


class Level(StrEnum):
    """Whom a policy is of, the widest first."""

    EVERYONE = auto()
    GROUP = auto()
    USER = auto()
    TOKEN = auto()


class Source(NamedTuple):
    """Whose policy it is: `key` is the id of the group, user or token, `name` what people call it."""

    level: Level
    key: str = ""
    name: str = ""

    def __str__(self) -> str:
        """As people are told: `everyone`, `group research`."""
        return f"{self.level} {self.name}" if self.name else str(self.level)


class Caller(NamedTuple):
    """Whose request it is: the ids of the user, of their groups, and of the token."""

    user: str
    token: str
    groups: tuple[str, ...] = ()


class _Models(NamedTuple):
    source: Source
    allow: Patterns | None
    deny: Patterns | None


class Refused(NamedTuple):
    """Whose policy a call breaks, and in words which rule of it, as in `group research allows claude-*`."""

    source: Source
    rule: str


class MaxTokens(NamedTuple):
    """The most tokens that a request may ask for, and whose policy says so."""

    maximum: int
    source: Source


class Applied(Struct, frozen=True, gc=False):
    """A limit, and whose policy it is from.

    Attributes:
        source: Whose policy.
        limit: The limit.
        part: `each_member`, `together`, or empty where a policy has one part.
        replaced_by: What holds instead of it, for a budget of each member; None if it holds.
    """

    source: Source
    limit: Limit
    part: str = ""
    replaced_by: Source | None = None


class Effective:
    """What holds for a caller.

    Args:
        sources: The policies that apply, the widest first.
        caller: Whose request it is.
        zone: The time zone in which budget periods begin.

    Attributes:
        policies: What was given.
        applied: Every limit of them, also those that others replace.
        max_tokens: The most that a request may ask for, and who says so; None is any number.
        denies_own_key: Who forbids a key of the user's own; None if nobody does.
        denies_unpriced: Who forbids models without a known price; None if nobody does.
        recording: What is kept of texts in records; None if that is everything.
    """

    __slots__ = (
        "_after", "_after_paying", "_before", "_before_paying", "_models", "applied", "denies_own_key", "denies_unpriced", "max_tokens",
        "policies", "recording",
    )  # fmt: skip

    def __init__(self, sources: Sequence[tuple[Source, AnyPolicy]], caller: Caller, zone: str = "UTC") -> None:
        self.policies = tuple(sources)
        self.applied = tuple(_with_replaced(list(_limits_of(sources, caller, zone))))
        self._models = tuple(_models_of(sources))
        asked = [MaxTokens(policy.max_tokens, source) for source, policy in sources if policy.max_tokens is not UNSET]
        self.max_tokens = min(asked, key=lambda one: one[0], default=None)
        self.denies_own_key = next((source for source, policy in sources if policy.byok == "deny"), None)
        self.denies_unpriced = next(
            (source for source, policy in sources if policy.models and policy.models.unpriced == "deny"), None
        )
        self.recording = strictest(one.recording.recording for _, one in sources if one.recording is not UNSET)
        holding = [one.limit for one in self.applied if one.replaced_by is None]
        self._before = tuple(limit for limit in holding if not limit.reserve)
        self._after = tuple(limit for limit in holding if limit.reserve)
        self._before_paying = tuple(limit for limit in self._before if limit.kind is not Kind.BUDGET)
        self._after_paying = tuple(limit for limit in self._after if limit.kind is not Kind.BUDGET)

    def before_body(self, *, pays: bool) -> tuple[Limit, ...]:
        """The limits that can be decided before the body is read; no budget where the client pays the provider itself."""
        return self._before_paying if pays else self._before

    def after_body(self, *, pays: bool) -> tuple[Limit, ...]:
        """The limits that reserve what the body asks for."""
        return self._after_paying if pays else self._after

    def source_of(self, limit: Limit) -> Source | None:
        """Whose policy a limit is from; None if it is from none."""
        return next((one.source for one in self.applied if one.limit == limit and one.replaced_by is None), None)

    def refuse_model(self, provider: str, model: str, has_price: Callable[[], bool] = lambda: True) -> Refused | None:
        """Which rule a model breaks; None if it may be used.

        Args:
            provider: The provider's name.
            model: The model, as the client names it.
            has_price: Says whether a call of it has a price, or costs the bridge nothing; only asked where that matters.
        """
        if (refused := self._refuse_by_name(provider, model)) is not None:
            return refused
        if (source := self.denies_unpriced) is not None and not has_price():
            return Refused(source, f"{source} denies models without a known price")
        return None

    def refuse_unread(self, provider: str) -> Refused | None:
        """Which rule a call may break whose models are not read; None if every model of the provider may be used."""
        provider = provider.lower()
        for source, allow, deny in self._models:
            if deny is not None and (pattern := deny.find_of(provider)) is not None:
                return Refused(source, f"{source} denies {pattern}")
            if allow is not None and allow.find(provider, ANY_TEXT) is None:
                return Refused(source, f"{source} allows {allow}")
        return None

    def _refuse_by_name(self, provider: str, model: str) -> Refused | None:
        if not self._models:
            return None
        provider, model = provider.lower(), model.lower()
        for source, _, deny in self._models:
            if deny is not None and (pattern := deny.find(provider, model)) is not None:
                return Refused(source, f"{source} denies {pattern}")
        for source, allow, _ in self._models:
            if allow is not None and allow.find(provider, model) is None:
                return Refused(source, f"{source} allows {allow}")
        return None


def _models_of(sources: Iterable[tuple[Source, AnyPolicy]]) -> Iterator[_Models]:
    for source, policy in sources:
        if policy.models is not UNSET:
            allow, deny = policy.models.allow, policy.models.deny
            yield _Models(source, Patterns(allow) if allow else None, Patterns(deny) if deny else None)


def _limits_of(sources: Iterable[tuple[Source, AnyPolicy]], caller: Caller, zone: str) -> Iterator[Applied]:
    member = f"member:{caller.user}"
    for source, policy in sources:
        if policy.limits is UNSET:
            continue
        if isinstance(policy, Policy):
            of, key = (Of.USER, member) if source.level is Level.USER else (Of.TOKEN, f"key:{caller.token}")
            parts: list[tuple[str, Limits | UnsetType, Of, str]] = [("", policy.limits, of, key)]
        else:
            shared, group = policy.limits, f"group:{source.key or Level.EVERYONE}"
            parts = [
                ("each_member", shared.each_member, Of.USER, member),
                ("together", shared.together, Of.GROUP, group),
            ]
        for part, limits, of, key in parts:
            if limits is not UNSET:
                for limit in _make_limits(limits, of, key, zone):
                    yield Applied(source, limit, part)


def _make_limits(limits: Limits, of: Of, key: str, zone: str) -> Iterator[Limit]:
    if limits.concurrency is not UNSET:
        slots = limits.concurrency
        slots = slots if isinstance(slots, Concurrency) else Concurrency(slots)
        yield Limit(Kind.CONCURRENCY, Rule.POLICY_CONCURRENCY, of, key, slots.requests, shadow=slots.shadow)
    if limits.rate is not UNSET:
        rate = limits.rate
        window = window_ns(rate.window)
        yield Limit(Kind.RATE, Rule.POLICY_RATE, of, key, rate.requests, window, shadow=rate.shadow)
    if limits.tokens is not UNSET:
        tokens = limits.tokens
        window = window_ns(tokens.window)
        yield Limit(Kind.TOKENS, Rule.POLICY_TOKENS, of, key, tokens.count, window, shadow=tokens.shadow)
    if limits.budget is not UNSET:
        yield budget_limit(limits.budget, of, key, zone)


def budget_limit(budget: Budget, of: Of, key: str, zone: str) -> Limit:
    """The limit of a budget."""
    return Limit(
        *(Kind.BUDGET, Rule.POLICY_BUDGET, of, key, budget.micro_dollars),
        period=budget.calendar,
        zone=zone,
        reserve=budget.reserve,
        shadow=budget.shadow,
    )


def _with_replaced(applied: Sequence[Applied]) -> Iterator[Applied]:
    """Of the budgets of each member leave one: the user's own, else the largest of a group's, else that of everyone.

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
            yield Applied(one.source, one.limit, one.part, winner.source)


def _is_members_budget(applied: Applied) -> bool:
    return applied.limit.kind is Kind.BUDGET and applied.limit.of is Of.USER


def _precedence(applied: Applied) -> tuple[int, int]:
    level = (Level.EVERYONE, Level.GROUP, Level.USER).index(applied.source.level)
    return level, applied.limit.maximum * _ALL_DAYS // _DAYS[applied.limit.period]
