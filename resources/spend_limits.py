"""Spend limits in the shape of Anthropic's Admin API, made of policies, and their ids.

They are the budgets of policies that count each person: of a user, and `each_member` of a group or of everyone.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Final, Literal, Self

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from intercept.ids import format_id
from intercept.times import format_time
from limits.limit import PERIODS
from limits.policies.compiled import Applied, Level, PolicyHolder
from limits.policies.policy import AnyPolicy, Budget
from limits.policies.reading import InvalidPolicyError, read_policy
from resources.bodies import Body, OtherReaders, Readers, one_of
from resources.fields import Time, doc
from storage.accounts.users import User
from storage.policies.budgets import budgets_of
from storage.policies.documents import KeptPolicy, kind_of, level_of, path_of

MAX_CENTS: Final = 10**11
CURRENCY: Final = "USD"
_MICRO_DOLLARS_OF_CENT: Final = 10_000
_PREFIX: Final = "spl_"
SCOPES: Final = {"organization": Level.EVERYONE, "rbac_group": Level.GROUP, "user": Level.USER}
_IDS: Final = {"rbac_group": "rbac_group_id", "user": "user_id"}

NOT_CENTS = f'must be whole cents as text, from "0" to "{MAX_CENTS}"'
NOT_UNLIMITED = f"{NOT_CENTS}; null cannot be said here: delete the limit, or name a large amount to except someone from a wider one"
NOT_A_SCOPE = (
    'must be {"type": "user", "user_id": ..}, {"type": "rbac_group", "rbac_group_id": ..} or {"type": "organization"}'
)

Period = Literal["daily", "weekly", "monthly"]
ScopeType = Literal["user", "rbac_group", "organization"]


class SpendScope(Struct, omit_defaults=True):
    """Whose limit it is. Each person has it by themselves, also of a group and of the organization."""

    type: ScopeType
    user_id: Annotated[str | UnsetType, doc("A user; in a request also by name.")] = UNSET
    rbac_group_id: Annotated[str | UnsetType, doc("A group; in a request also by name.")] = UNSET

    @classmethod
    def of(cls, source: PolicyHolder) -> Self:
        """Make the scope of a policy, of whose it is."""
        word: Any = next(word for word, level in SCOPES.items() if level is source.level)
        return cls(word, **{_IDS[word]: source.key} if word in _IDS else {})


class SpendLimit(Struct):
    """A spend limit."""

    id: str
    created_at: Annotated[Time, doc("When the policy was changed last, as `updated_at`.")]
    updated_at: Time
    scope: SpendScope
    amount: Annotated[str, doc("Cents, rounded down.")]
    period: Period
    currency: str = CURRENCY
    type: str = "spend_limit"

    @classmethod
    def of(cls, kept: KeptPolicy) -> Self | None:
        """Make the spend limit of a policy; None if that has none."""
        budget = budget_of(kept.source.level, kept.policy)
        if budget is None or kept.changed_at is None or (period := PERIODS.get(budget.calendar)) is None:
            return None
        at = format_time(kept.changed_at)
        return cls(id_of(kept.source), at, at, SpendScope.of(kept.source), _cents(budget.micro_dollars), period)


class SpendLimits(Struct):
    """A page of spend limits."""

    data: list[SpendLimit]
    has_more: bool
    first_id: str | None
    last_id: str | None


class DeletedSpendLimit(Struct):
    """A spend limit that was deleted."""

    id: str
    type: str = "spend_limit_deleted"


def _read_scope(value: object) -> SpendScope:
    try:
        scope = msgspec.convert(value, SpendScope)
    except msgspec.ValidationError as error:
        raise ValueError(NOT_A_SCOPE) from error
    if {name for name in _IDS.values() if getattr(scope, name)} != {*filter(None, [_IDS.get(scope.type)])}:
        raise ValueError(NOT_A_SCOPE)
    return scope


def _read_cents(value: object) -> int:
    if value is None:
        raise ValueError(NOT_UNLIMITED)
    if not isinstance(value, str) or not (value.isascii() and value.isdecimal() and len(value) <= len(str(MAX_CENTS))):
        raise ValueError(NOT_CENTS)
    if int(value) > MAX_CENTS:
        raise ValueError(NOT_CENTS)
    return int(value)


class NewSpendLimit(Body):
    """A spend limit to set."""

    readers: ClassVar[Readers] = {"period": one_of(PERIODS.values()), "currency": one_of([CURRENCY])}
    other_readers: ClassVar[OtherReaders] = {"scope": _read_scope, "amount": _read_cents}

    scope: SpendScope
    amount: Annotated[str, Meta(pattern="^[0-9]+$", description="Cents.")]
    period: Period = "monthly"
    currency: Literal["USD"] = "USD"


def budget_of(level: Level, policy: AnyPolicy) -> Budget | None:
    """The budget of a policy that counts each person and refuses calls; None without one."""
    if level is Level.TOKEN:
        return None
    each = budgets_of([(PolicyHolder(level), policy)])
    return next((budget for _, part, budget in each if part != "together" and not budget.shadow), None)


def id_of(source: PolicyHolder) -> str:
    """The id of the spend limit of a policy: it says whose it is."""
    return _PREFIX + path_of(source.level, source.key).replace("/", "_")


def source_of(id_: str) -> tuple[Level, str] | None:
    """Whose the spend limit of an id is; None if it is none."""
    try:
        found = level_of(id_.removeprefix(_PREFIX).replace("_", "/", 1))
    except ValueError:
        return None
    return found if id_.startswith(_PREFIX) and found[0] is not Level.TOKEN else None


def _cents(micro_dollars: int | Decimal) -> str:
    return str(int(micro_dollars // _MICRO_DOLLARS_OF_CENT))


class SpendActor(Struct):
    """A user as Anthropic's Admin API shows one."""

    user_id: str
    name: str
    email_address: Annotated[str | None, doc("The username, if it is an address.")]
    deleted: bool = False
    type: str = "user_actor"

    @classmethod
    def of(cls, user: User) -> Self:
        """Show a user."""
        return cls(format_id(user.id), user.name, user.username if "@" in user.username else None)


class EffectiveSpendLimit(Struct):
    """What a user may spend in a period, and has spent."""

    scope: SpendScope
    groups: Annotated[list[str], doc("The ids of their groups.")]
    actor: SpendActor
    amount: Annotated[str | None, doc("Cents, rounded down; null without a limit.")]
    period: Period
    source: Annotated[SpendScope | None, doc("Whose limit holds.")]
    spend_limit_id: str | None
    period_to_date_spend: Annotated[str, doc("Cents, rounded down.")]
    currency: str = CURRENCY

    @classmethod
    def of(cls, user: User, holding: Applied | None, period: Period, spent: Decimal) -> Self:
        """Show what a user has spent in a period, and the budget that holds for them if it is of this period."""
        key = format_id(user.id)
        applies = holding if holding is not None and PERIODS.get(holding.limit.period) == period else None
        return cls(
            scope=SpendScope("user", user_id=key),
            groups=list(map(format_id, user.group_ids)),
            actor=SpendActor.of(user),
            amount=_cents(applies.limit.maximum) if applies else None,
            period=period,
            source=SpendScope.of(applies.source) if applies else None,
            spend_limit_id=id_of(applies.source) if applies else None,
            period_to_date_spend=_cents(spent * 1_000_000),
        )


class EffectiveSpendLimits(Struct):
    """A page of what users may spend."""

    data: list[EffectiveSpendLimit]
    next_page: str | None


class AuditedLimit(Struct):
    """A spend limit as a change found or left it."""

    scope: SpendScope
    amount: Annotated[str, doc("Cents, rounded down.")]
    period: Period
    currency: str = CURRENCY

    @classmethod
    def of(cls, source: PolicyHolder, text: str) -> Self | None:
        """Make the spend limit that the JSON of a policy says; None if that says none."""
        fields = msgspec.json.decode(text)
        try:
            policy = read_policy({"limits": fields["limits"]} if "limits" in fields else {}, kind_of(source.level))
        except InvalidPolicyError:  # of another version of the bridge
            return None
        budget = budget_of(source.level, policy)
        if budget is None or (period := PERIODS.get(budget.calendar)) is None:
            return None
        return cls(SpendScope.of(source), _cents(budget.micro_dollars), period)


class SpendLimitEvent(Struct):
    """A change of a spend limit, by whichever way the policy was changed."""

    id: str
    created_at: Time
    actor: Annotated[str, doc("The username, or `command line`.")]
    action: Literal["spend_limit.upsert", "spend_limit.delete"]
    target_id: str
    before: Annotated[AuditedLimit | None, doc("Null if there was none.")]
    after: Annotated[AuditedLimit | None, doc("Null if it was deleted.")]
    reason: None = None
    type: str = "audit_event"

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> Self | None:
        """Make the change of an entry of the audit trail; None if no spend limit was changed by it."""
        detail, subject = entry["detail"], entry["subject"] or {}
        level = Level(detail["policy"].partition(" ")[0])
        key = {Level.EVERYONE: "", Level.GROUP: detail.get("group_id"), Level.USER: subject.get("id")}.get(level)
        if key is None:
            return None
        source = PolicyHolder(level, str(key))
        before, after = [AuditedLimit.of(source, detail[name]) for name in ("policy_before", "policy_after")]
        if before == after:
            return None
        action: Any = "spend_limit.upsert" if after else "spend_limit.delete"
        at, actor = format_time(entry["at"]), entry["actor"]["username"]
        return cls(format_id(entry["_id"]), at, actor, action, id_of(source), before, after)


class SpendLimitEvents(Struct):
    """A page of changes, newest first."""

    data: list[SpendLimitEvent]
    has_more: bool
