"""Spend limits in the shape of Anthropic's Admin API, below a provider where Claude Code signs in."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Final
from uuid import UUID

from handlers.api.policies import effective_of, store_of
from handlers.bridge import Bridge
from handlers.operations.handler import OperationHandler
from handlers.operations.operation import AUDITORS, OWNERS, Ask, Operation, by_path, operation, operations_of
from handlers.operations.query import Limit, Query
from handlers.problems import Problem, ValidationProblem, problem_body
from intercept.catalog import ANTHROPIC
from intercept.ids import format_id
from limits.calendar import bounds_of, from_ns, to_ns
from limits.limit import PERIODS, BudgetPeriod, LimitKind, Of
from limits.policies.compiled import Applied, Level
from limits.policies.policy import AnyPolicy, Budget
from limits.policies.reading import fields_of, merge, read_policy
from resources.bodies import InvalidBodyError
from resources.fields import doc
from resources.spend_limits import (
    SCOPES,
    DeletedSpendLimit,
    EffectiveSpendLimit,
    EffectiveSpendLimits,
    NewSpendLimit,
    Period,
    ScopeType,
    SpendLimit,
    SpendLimitEvent,
    SpendLimitEvents,
    SpendLimits,
    budget_of,
    source_of,
)
from storage.accounts.events import Action
from storage.accounts.users import User
from storage.policies.documents import KeptPolicy, kind_of, path_of
from storage.queries.accounts import AuditQuery, audit_page
from storage.queries.money import spend_by_token

PATH: Final = "v1/organizations/spend_limits"
MAX_USERS: Final = 100
"""Users that a question may name."""

MAX_ENTRIES: Final = 10_000
"""Changes of policies that are looked through for those of spend limits."""

AT_ONCE: Final = 100
"""Users, and entries of the audit trail, that are read before others may run."""

_WORDS: Final[dict[Period, BudgetPeriod]] = {word: period for period, word in PERIODS.items()}

NOT_FOUND = "There is no spend limit with this id."
NO_CURSOR = "is no id of a spend limit"
ONE_CURSOR = "cannot be used together with before_id"
NOT_A_PAGE = "must be next_page of the page before"
ONE_PERIOD = "the {} has a {} limit, and may have only one: delete it first"


class SpendLimitQuery(Query, frozen=True):
    """The parameters of a list of spend limits: a page, and whose they are."""

    limit: Limit = 20
    after_id: Annotated[str, doc("Those behind this one.")] = ""
    before_id: Annotated[str, doc("Those before this one.")] = ""
    scope_type: ScopeType | None = None

    def check(self, now: datetime) -> list[tuple[str, str]]:  # noqa: ARG002 - as others do
        """Find cursors that are none."""
        problems = [
            (name, NO_CURSOR) for name in ("after_id", "before_id") if (of := getattr(self, name)) and not source_of(of)
        ]
        return problems + ([("after_id", ONE_CURSOR)] if self.after_id and self.before_id else [])


def _path(id_: str) -> str:
    return path_of(*found) if (found := source_of(id_)) else ""


@operation("POST", PATH, OWNERS, tag="policies", example={"scope": {"type": "organization"}, "amount": "5000"})
async def set_spend_limit(ask: Ask, body: NewSpendLimit) -> SpendLimit:
    """Set a spend limit.

    It is the budget in the policy of a user, or of each member in that of a group or of everyone.
    """
    level, cents = SCOPES[body.scope.type], int(body.amount)
    budget = {"usd": f"{Decimal(cents) / 100:f}", "period": _WORDS[body.period].value, "shadow": None}

    def change(before: Budget | None) -> dict[str, Any]:
        period = PERIODS.get(before.calendar, "total") if before else body.period
        if period != body.period:
            raise InvalidBodyError([("period", ONE_PERIOD.format(body.scope.type, period))])
        return budget

    kept = await _change(ask, level, body.scope.user_id or body.scope.rbac_group_id or "", change)
    if (limit := SpendLimit.of(kept)) is None:
        raise Problem(404, NOT_FOUND)
    return limit


@operation("GET", PATH, AUDITORS, tag="policies")
async def list_spend_limits(ask: Ask, query: SpendLimitQuery) -> SpendLimits:
    """List spend limits.

    By their ids.
    """
    levels = [level for word, level in SCOPES.items() if query.scope_type in {None, word}]
    found = await store_of(ask.bridge).with_budgets(
        levels, limit=query.limit + 1, after=_path(query.after_id), before=_path(query.before_id)
    )
    has_more = len(found) > query.limit
    found = found[-query.limit :] if query.before_id else found[: query.limit]
    data = [limit for one in found if (limit := SpendLimit.of(one)) is not None]
    first_id, last_id = (data[0].id, data[-1].id) if data else (None, None)
    return SpendLimits(data, has_more, first_id, last_id)


@operation("GET", f"{PATH}/{{id}}", AUDITORS, tag="policies")
async def get_spend_limit(ask: Ask, id_: str) -> SpendLimit:
    """Read a spend limit."""
    found = source_of(id_)
    limit = None if found is None else SpendLimit.of(await store_of(ask.bridge).get(*found))
    if limit is None:
        raise Problem(404, NOT_FOUND)
    return limit


@operation("DELETE", f"{PATH}/{{id}}", OWNERS, tag="policies")
async def delete_spend_limit(ask: Ask, id_: str) -> DeletedSpendLimit:
    """Delete a spend limit.

    What else the policy says stays.
    """

    def change(before: Budget | None) -> None:
        if before is None:
            raise Problem(404, NOT_FOUND)

    if (found := source_of(id_)) is None:
        raise Problem(404, NOT_FOUND)
    await _change(ask, *found, change)
    return DeletedSpendLimit(id_)


async def _change(
    ask: Ask, level: Level, reference: str, make: Callable[[Budget | None], dict[str, Any] | None]
) -> KeptPolicy:
    """Change the budget of a policy to what `make` returns of the current one; None removes it."""

    def change(policy: AnyPolicy) -> AnyPolicy:
        budget: dict[str, Any] = {"budget": make(budget_of(level, policy))}
        limits = budget if level is Level.USER else {"each_member": budget}
        return read_policy(_without_empty(merge(fields_of(policy), {"limits": limits})), kind_of(level))

    return await store_of(ask.bridge).change(level, reference, change, author=ask.author)


def _without_empty(fields: dict[str, Any]) -> dict[str, Any]:
    """A policy without limits that say nothing."""
    limits = {name: one for name, one in fields["limits"].items() if one != {}}
    return {name: limits if name == "limits" else one for name, one in fields.items() if name != "limits" or limits}


class EffectiveQuery(Query, frozen=True, rename={"user_ids": "user_ids[]", "period": "period[]"}):
    """The parameters of a list of what users may spend: who they are, and for which periods."""

    user_ids: Annotated[tuple[str, ...], doc(f"By id or name, at most {MAX_USERS}; without it all.")] = ()
    period: Annotated[tuple[Period, ...], doc("Without it all.")] = ()
    limit: Annotated[Limit, doc("How many users.")] = 20
    page: Annotated[str, doc("`next_page` of the page before.")] = ""

    def check(self, now: datetime) -> list[tuple[str, str]]:  # noqa: ARG002 - as others do
        """Find what is wrong with several together."""
        problems = []
        if len(self.user_ids) > MAX_USERS:
            problems.append(("user_ids[]", f"must be at most {MAX_USERS}"))
        if self.page and not re.fullmatch("[0-9]{1,9}", self.page):
            problems.append(("page", NOT_A_PAGE))
        return problems


@operation("GET", f"{PATH}/effective", AUDITORS, tag="policies")
async def list_effective_spend_limits(ask: Ask, query: EffectiveQuery) -> EffectiveSpendLimits:
    """List what users may spend.

    By name and period: whose limit holds, and what is spent. A user without a limit of the period has null.
    """
    bridge = ask.bridge
    wanted = {one.lower() for one in query.user_ids}
    users = [
        one
        for one in await bridge.identities.list_users()
        if not wanted or not wanted.isdisjoint((format_id(one.id), one.username.lower()))
    ]
    spent = {period: await _spent(bridge, _WORDS[period]) for period in query.period or tuple(_WORDS)}
    start = int(query.page or 0)
    end = start + query.limit
    data: list[EffectiveSpendLimit] = []
    for number, user in enumerate(users[start:end]):
        if number % AT_ONCE == 0:
            await asyncio.sleep(0)
        holding = _holding(bridge, user)
        data += [EffectiveSpendLimit.of(user, holding, one, spent[one].get(user.id, Decimal(0))) for one in spent]
    return EffectiveSpendLimits(data, str(end) if end < len(users) else None)


def _holding(bridge: Bridge, user: User) -> Applied | None:
    """The budget of a policy that holds for a user by themselves."""
    effective = effective_of(bridge, user)
    return next(
        (
            one
            for one in (effective.applied() if effective else ())
            if one.limit.kind is LimitKind.BUDGET and one.limit.of is Of.USER
            if one.replaced_by is None and not one.limit.shadow
        ),
        None,
    )


async def _spent(bridge: Bridge, period: BudgetPeriod) -> dict[Any, Decimal]:
    """What each user has spent in a period, in US dollars."""
    begin, end = map(from_ns, bounds_of(period, bridge.settings.budget_timezone, to_ns(bridge.now())))
    spent: dict[Any, Decimal] = {}
    for (user, _), usd in (await spend_by_token(bridge.questions, begin, end)).items():
        spent[user] = spent.get(user, Decimal(0)) + usd
    return spent


class SpendLimitEventQuery(Query, frozen=True):
    """The parameters of a list of changes of spend limits: a page."""

    limit: Limit = 100
    after_id: Annotated[UUID | None, doc("Those before this one.")] = None


@operation("GET", f"{PATH}/audit", AUDITORS, tag="policies")
async def list_spend_limit_events(ask: Ask, query: SpendLimitEventQuery) -> SpendLimitEvents:
    """List changes of spend limits.

    Newest first, among the latest changes of policies.
    """
    wanted = AuditQuery(actions=(Action.POLICY_CHANGED, Action.POLICY_REMOVED))
    found: list[SpendLimitEvent] = []
    after_id = query.after_id
    for _ in range(MAX_ENTRIES // AT_ONCE):
        entries = await audit_page(ask.bridge.database, wanted, limit=AT_ONCE, after_id=after_id)
        found += [event for one in entries if (event := SpendLimitEvent.of(one)) is not None]
        if len(found) > query.limit or len(entries) < AT_ONCE:
            break
        after_id = entries[-1]["_id"]
    return SpendLimitEvents(found[: query.limit], len(found) > query.limit)


BY_PATH: Final = by_path(operations_of([sys.modules[__name__]]))


class SpendLimitsHandler(OperationHandler):
    """Runs these operations; errors are in Anthropic's dialect."""

    def set_default_headers(self) -> None:
        """Name the request, as Anthropic does."""
        if request_id := getattr(self, "request_id", ""):
            self.set_header(ANTHROPIC.request_id_header, request_id)

    async def prepare(self) -> None:
        """Name the request in the response, whatever comes of it, and begin as each operation does."""
        self.set_default_headers()
        await super().prepare()

    def error_body(self, problem: Problem) -> bytes:
        """Say what is wrong in one message."""
        message = problem.message
        if isinstance(problem, ValidationProblem):
            message = "; ".join(": ".join(one) for one in problem.validations) or problem.detail or message
        return problem_body(ANTHROPIC, problem.status, message, self.request_id)


def find_operations(path: str) -> tuple[Mapping[str, Operation], list[bytes]] | None:
    """Find the operations of a path below a provider, and the parts of it that they are given; None if it is another one."""
    path = path.removeprefix("/")
    if path in BY_PATH:
        return BY_PATH[path], []
    parent, _, id_ = path.rpartition("/")
    return (BY_PATH[f"{PATH}/{{id}}"], [id_.encode()]) if parent == PATH and id_ else None
