"""Policies: which models may be used, and how much; what of it applies to whom, and how much is used.

Owners change them, auditors may read them, and all see what applies to themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated, Any, ClassVar, Final

from msgspec import UNSET

from handlers.api.accounts import GroupName, TokenId, UserName, UserOrMe
from handlers.bridge import Bridge
from handlers.limits_state import scope_of_limits, state_of_limits
from handlers.operations.operation import (
    AUDITORS,
    OWNERS,
    READERS,
    Ask,
    Noted,
    Operation,
    ReadBy,
    Tagged,
    Versions,
    operation,
)
from handlers.operations.query import INVALID, MAX_LIMIT, Paged, Query, Ranged, Timestamp
from handlers.problems import ValidationProblem
from intercept.ids import format_id
from intercept.times import format_time
from limits.limit import Limit, LimitState, Of
from limits.policies.compiled import Applied, Level, unknown_providers
from limits.policies.effective import Effective
from limits.policies.policy import AnyPolicy, Budget, Models, Policy, PolicyLimits, Rate, SharedLimits, SharedPolicy
from limits.policies.reading import InvalidPolicyError, fields_of, merge, notes_on, read_policy
from limits.request_limits import Client
from resources.bodies import read_fields
from resources.fields import Initiator, ListPage, doc
from resources.policies import (
    MAX_TOKENS,
    ActiveToken,
    Explanation,
    LimitRule,
    ListedPolicy,
    MaxTokensRule,
    ModelDecision,
    ModelRule,
    PolicySource,
    RecordingRule,
    UserUsage,
)
from resources.ranges import Problems
from resources.recorded.statistics import GroupTotals
from storage.accounts.users import Identity, Token, User
from storage.derived.rollup import Bucket
from storage.policies.documents import kind_of
from storage.policies.store import PolicyStore
from storage.queries.accounts import TokenDetails
from storage.queries.questions.question import Counted, Question

MAX_POLICY_BYTES: Final = 64 * 1024
UNKNOWN_PROVIDER = "there is no provider of this name, so it would match nothing; there are {}"

_SHARED = SharedPolicy(
    models=Models(allow=["claude-*"]),
    limits=SharedLimits(
        each_member=PolicyLimits(rate=Rate(60, "1m"), budget=Budget("50.00", "month")),
        together=PolicyLimits(concurrency=20, budget=Budget("1000.00", "month")),
    ),
)
_OWN = Policy(limits=PolicyLimits(budget=Budget("200.00", "month")), max_tokens=32000, byok="deny")


def store_of(bridge: Bridge) -> PolicyStore:
    """The policies of a bridge; changes hold in this process at once."""
    return PolicyStore(bridge.database, bridge.identities, bridge.groups, now=bridge.now, on_change=bridge.policies.put)


@operation("GET", "policies", AUDITORS)
async def list_policies(ask: Ask, query: Paged) -> ListPage[ListedPolicy]:
    """List policies.

    Whose there are.
    """
    count, policies = await store_of(ask.bridge).page(limit=query.limit, offset=query.offset)
    return ListPage(count, [ListedPolicy.of(one) for one in policies])


def _operations_on(level: Level, path: str, name: str, whose: str, **part: Any) -> list[Operation]:
    """Declare the operations on the policies of one level. `part` is the part of the path that says whose it is."""
    kind: Any = kind_of(level)

    async def read(ask: Ask, **of: str) -> Any:
        kept = await store_of(ask.bridge).get(level, next(iter(of.values()), ""))
        return Tagged(kept.policy, kept.version)

    async def replace(ask: Ask, body: Any, versions: Versions, **of: str) -> Any:
        return await _change(ask, level, of, versions, lambda _: body)

    async def merge_into(ask: Ask, body: Any, versions: Versions, **of: str) -> Any:
        return await _change(ask, level, of, versions, lambda fields: merge(fields, body))

    async def remove(ask: Ask, versions: Versions, **of: str) -> None:
        reference = next(iter(of.values()), "")
        await store_of(ask.bridge).change(
            level, reference, lambda policy: type(policy)(), versions=versions, author=ask.author
        )

    def declare(function: Any, verb: str, text: str, **hints: Any) -> Any:
        """Say of a function what is of this level: it is named and documented by that."""
        function.__name__, function.__doc__ = f"{verb}_{name}_policy", text.format(whose)
        function.__annotations__ = {"ask": Ask, "return": Noted[kind], **part, **hints}
        return function

    whole, patch = Annotated[Any, ReadBy(read_fields, kind)], Annotated[Any, ReadBy(read_fields, dict[str, Any])]
    changes: dict[str, Any] = {"tag": "policies", "max_body": MAX_POLICY_BYTES}
    return [
        operation("GET", path, AUDITORS, tag="policies")(declare(read, "get", _READ, **{"return": Tagged[kind]})),
        operation("PUT", path, OWNERS, example=_SHARED if kind is SharedPolicy else _OWN, **changes)(
            declare(replace, "set", _REPLACE, body=whole, versions=Versions)
        ),
        operation("PATCH", path, OWNERS, example=_PATCH, **changes)(
            declare(merge_into, "change", _CHANGE, body=patch, versions=Versions)
        ),
        operation("DELETE", path, OWNERS, tag="policies")(
            declare(remove, "remove", _REMOVE, versions=Versions, **{"return": type(None)})
        ),
    ]


_READ = "Read the policy of {}.\n\n`{{}}` where there is none."
_REPLACE = "Replace the policy of {}.\n\nIt acts on every server within 2 s."
_CHANGE = (
    "Change the policy of {}.\n\nA JSON merge patch (RFC 7396): fields that are not given stay, fields that are null are "
    "removed, at any depth."
)
_REMOVE = "Remove the policy of {}."
_PATCH = {"models": {"deny": ["*-preview"]}}

OPERATIONS = [
    *_operations_on(Level.EVERYONE, "policies/everyone", "everyones", "everyone"),
    *_operations_on(Level.GROUP, "policies/groups/{group}", "group", "a group", group=GroupName),
    *_operations_on(Level.USER, "policies/users/{user}", "user", "a user", user=UserName),
    *_operations_on(Level.TOKEN, "policies/tokens/{token}", "token", "a token", token=TokenId),
]


async def _change(
    ask: Ask,
    level: Level,
    of: Mapping[str, str],
    versions: Versions,
    make: Callable[[dict[str, Any]], dict[str, Any]],
) -> Noted[AnyPolicy]:
    def change(before: AnyPolicy) -> AnyPolicy:
        policy = read_policy(make(fields_of(before)), kind_of(level))
        if ask.knows_all_providers and policy.models:
            providers = ask.bridge.providers
            if field := next(unknown_providers(policy.models, providers), ""):
                raise InvalidPolicyError(f"models.{field}", UNKNOWN_PROVIDER.format(", ".join(sorted(providers))))
        return policy

    kept = await store_of(ask.bridge).change(
        level,
        next(iter(of.values()), ""),
        change,
        versions=versions,
        author=ask.author,
    )
    known = None if ask.knows_all_providers else ask.bridge.providers
    return Noted(kept.policy, kept.version, notes_on(kept.policy, known))


AppliedLimit = tuple[Limit, Applied | None]
"""A limit, and the policy that it is from; None where it is from the settings."""


async def find_user(bridge: Bridge, name: str, caller: User) -> User:
    """Find the user of a request. The caller with a service token, who is not in the database, is found too.

    Raises:
        UnknownIdentityError: There is no such user.
    """
    if caller.is_service and name == caller.username:
        return caller
    return await bridge.identities.existing(name)


def effective_of(bridge: Bridge, user: User, token: Token | None = None) -> Effective | None:
    """The policies that hold for calls of a user with a token.

    Raises:
        PoliciesUnknownError: They have not been read yet.
    """
    if token is None:
        return bridge.policies.find(Identity(user=user))
    return bridge.policies.find(Identity(user=user, token_id=token.id, bound_by=token.bound_by))


def limits_of_user(bridge: Bridge, user: User, effective: Effective | None) -> list[AppliedLimit]:
    """The limits of a user: of the settings, and all that `effective` has."""
    limits: list[AppliedLimit] = [(one, None) for one in _of_settings(bridge, user, "") if one.of is Of.USER]
    return limits + [(one.limit, one) for one in (effective.applied() if effective else ())]


def limits_of_token(bridge: Bridge, user: User, token: Token) -> list[AppliedLimit]:
    """The limits that one token of a user has alone.

    Raises:
        PoliciesUnknownError: The policies have not been read yet.
    """
    effective = effective_of(bridge, user, token)
    limits: list[AppliedLimit] = [(one, None) for one in _of_settings(bridge, user, token.id) if one.of is Of.TOKEN]
    return limits + [
        (one.limit, one) for one in (effective.applied() if effective else ()) if one.source.level is Level.TOKEN
    ]


async def states_of(
    bridge: Bridge, limits: Sequence[AppliedLimit]
) -> list[tuple[Limit, LimitState | None, Applied | None]]:
    """The state of each limit; None for one that another one replaces.

    Raises:
        DatabaseUnavailableError: The database is unavailable.
    """
    states = await bridge.overload.states([limit for limit, _ in limits])
    return [
        (limit, state if applied is None or applied.replaced_by is None else None, applied)
        for (limit, applied), state in zip(limits, states, strict=True)
    ]


def _of_settings(bridge: Bridge, user: User, token: str) -> Iterable[Limit]:
    client = Client(token, format_id(user.id))
    return [*bridge.overload.limits.of_client(client), *bridge.overload.limits.of_call(client)]


NO_PROVIDER = "there is no provider of this name"
NO_TOKEN = "the user has no token with this id"  # noqa: S105 - it is no password


class ExplanationQuery(Query, frozen=True):
    """For which calls."""

    model: Annotated[str, doc("Whether this model may be used.")] = ""
    provider: Annotated[str, doc("At this provider; without it at each provider.")] = ""
    token: Annotated[str, doc("With this token of the user, given by its id.")] = ""


@operation("GET", "users/{name}/policy", AUDITORS, own=True, tag="policies")
async def explain_policy(ask: Ask, name: UserOrMe, query: ExplanationQuery) -> Explanation:
    """Read the limits and rules of a user.

    Every rule, its source, how much is used, and when more is available.
    """
    bridge = ask.bridge
    if query.provider and query.provider not in bridge.providers:
        raise ValidationProblem(INVALID, validations=[("provider", NO_PROVIDER)])
    user = await find_user(bridge, name, ask.user)
    token = await _token(ask, user, query.token)
    effective = effective_of(bridge, user, token)
    limits = await states_of(bridge, limits_of_user(bridge, user, effective))
    now = bridge.now()
    providers = [query.provider] if query.provider else sorted(bridge.providers)
    policies = effective.policies if effective else ()
    maximum = effective.max_tokens if effective else None
    denied_by = effective.denies_own_key if effective else None
    desk = query.provider or next((one for one in providers if bridge.providers[one].serves_messages), "")
    return Explanation(
        user=Initiator.of_user(user),
        at=format_time(now),
        policies=[PolicySource.of(one.source) for one in policies],
        model=query.model or None,
        decisions=[_decide(bridge, effective, one, query.model, now) for one in providers] if query.model else [],
        models=[
            ModelRule(PolicySource.of(one.source), models.allow or None, models.deny or None, models.unpriced or None)
            for one in policies
            if (models := one.policy.models) is not UNSET
        ],
        max_tokens=MaxTokensRule(PolicySource.of(maximum.source), maximum.maximum) if maximum else None,
        own_key_denied_by=PolicySource.of(denied_by) if denied_by else None,
        recording=RecordingRule.of(effective),
        managed_settings=effective.managed_settings_at(desk) if effective else None,
        limits=[LimitRule.of_limit(limit, state, now, applied) for limit, state, applied in limits],
    )


def _decide(bridge: Bridge, effective: Effective | None, provider: str, model: str, now: datetime) -> ModelDecision:
    has_price = partial(bridge.pricing.has_price, provider, model, now)
    refused = effective.refuse_model(provider, model, has_price) if effective else None
    return ModelDecision(provider, refused is None, refused.rule if refused else None)


async def _token(ask: Ask, user: User, token: str) -> Token | None:
    if not token:
        return None
    for one in await ask.bridge.identities.list_tokens(user.username):
        if one.id == token:
            return one
    raise ValidationProblem(INVALID, validations=[("token", NO_TOKEN)])


_NEVER = datetime.min.replace(tzinfo=UTC)


class UsageQuery(Ranged, frozen=True):
    """A time range that is made larger to whole hours: without `from` 24 of them, without `to` until the present one ends."""

    span: ClassVar[timedelta] = timedelta(hours=24)

    from_: Annotated[
        Timestamp | None, doc("From then on, made earlier to a whole hour; without it 24 hours before `to`.")
    ] = None
    to: Annotated[
        Timestamp | None, doc("Until before then, made later to a whole hour; without it the end of the present hour.")
    ] = None

    def bounded(self, now: datetime, problems: Problems) -> tuple[datetime, datetime, bool]:
        """Return the range in whole hours. The hours of a length of time are the present one and those before."""
        hour = Bucket.HOUR
        latest = now if self.range_ else hour.floor(now) + hour.length
        start, end, is_length = super().bounded(latest, problems)
        return (hour.ceiling if is_length else hour.floor)(start), hour.ceiling(end), is_length


@operation("GET", "users/{name}/usage", READERS, own=True, tag="limits")
async def get_usage(ask: Ask, name: UserOrMe, query: UsageQuery) -> UserUsage:
    """Read the usage of a user.

    By limit what is used, what is left and when there will be more; their active tokens; and of a time range, what their
    calls add up to. Readers see no tokens of others.
    """
    bridge = ask.bridge
    start, end, _ = query.bounded(bridge.now(), [])
    user = await find_user(bridge, name, ask.user)
    spend = await bridge.people.spend_of(user)
    sees_tokens = ask.user.role.sees_everything or user.id == ask.user.id
    tokens = await _tokens(ask, user) if sees_tokens else []
    # A user has totals of hours and days, so that it takes no time to speak of.
    total = await bridge.questions.answer(Question(start, end, visible_to=user.id))
    own: list[AppliedLimit] = limits_of_user(bridge, user, effective_of(bridge, user))
    of_tokens = [limits_of_token(bridge, user, one.token) for one in tokens]
    states = await states_of(bridge, [*own, *(limit for limits in of_tokens for limit in limits)])
    now = bridge.now()
    rules = iter([LimitRule.of_limit(limit, state, now, applied) for limit, state, applied in states])
    return UserUsage(
        user=Initiator.of_user(user),
        at=format_time(now),
        from_=format_time(start),
        to=format_time(end),
        total=GroupTotals.of(Counted.CALLS, total.total.total),
        scope=scope_of_limits(bridge.cluster, bridge.workers),
        state=state_of_limits(bridge.cluster, bridge.workers),
        spend_usd=float(spend),
        limits=[next(rules) for _ in own],
        tokens=[
            ActiveToken.used(one.token, one.last_use, limits=[next(rules) for _ in limits])
            for one, limits in zip(tokens, of_tokens, strict=True)
        ]
        if sees_tokens
        else None,
    )


async def _tokens(ask: Ask, user: User) -> list[TokenDetails]:
    """The active tokens, those that were used last first; of many those among the newest."""
    bridge, now = ask.bridge, ask.bridge.now()
    if user.is_service:
        _, found = await bridge.tokens.search(ask.identity.token_id, limit=1, offset=0)
    else:
        _, found = await bridge.tokens.of_user(user.username, limit=MAX_LIMIT, offset=0)
    active = [
        one
        for one in found
        if one.token.revoked_at is None and (one.token.expires_at is None or one.token.expires_at > now)
    ]
    active.sort(key=lambda one: one.last_use.at if one.last_use else _NEVER, reverse=True)
    return active[:MAX_TOKENS]
