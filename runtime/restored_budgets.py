"""Budgets that are new, and all after a restart: reads from the records what was spent in the current period."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from msgspec import structs

from intercept.ids import format_id
from limits.authority import Authority
from limits.calendar import bounds_of, from_ns, to_ns
from limits.limit import UNLIMITED, BudgetPeriod, micro_dollars_of
from limits.policies.compiled import PolicyHolder, budget_limit
from limits.policies.policy import Budget
from limits.request_limits import Client, RequestLimits
from resources.fields import word
from storage.accounts.identities import Identities
from storage.mongo.database import Database
from storage.policies.budgets import budgets_of, spend_by_key
from storage.policies.followed import FollowedPolicies, PoliciesUnknownError
from storage.queries.money import spend_by_token
from storage.queries.questions.questions import Questions

UNRESTORED = "budgets do not count what was spent before the start"


@dataclass
class RestoredBudgets:
    """Increases the count of each budget to what was recorded, as soon as the database has answered.

    Ended calls that are not recorded yet are missing in it. A group has what its current members have spent.

    Attributes:
        database: Where calls are recorded.
        limits: Say whether each user has a budget by the settings.
        policies: Says which budgets there are.
        identities: Say who is in which group.
        authority: Who counts.
        zone: The time zone in which periods begin.
        now: The wall clock, in UTC.
    """

    database: Database
    limits: RequestLimits
    policies: FollowedPolicies
    identities: Identities
    authority: Authority
    zone: str
    now: Callable[[], datetime]
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _restored: frozenset[tuple[PolicyHolder | None, str, BudgetPeriod]] = frozenset()

    def __post_init__(self) -> None:
        """Follow the policies."""
        self.policies.on_change = self._changed.set

    async def run(self) -> None:
        """Restore budgets that are new, until cancelled or `restore` raises."""
        while True:
            self._changed.clear()
            await self.restore()
            await self._changed.wait()

    async def restore(self) -> None:
        """Restore the budgets that were not there before.

        Raises:
            DatabaseRefusalError: MongoDB refuses; a job tries again after a pause.
        """
        settings = self.limits.settings
        budgets: set[tuple[PolicyHolder | None, str, BudgetPeriod]] = set()
        if settings.user_budget:
            budgets.add((None, "", settings.budget_period))
        with suppress(PoliciesUnknownError):
            budgets |= {(source, part, one.calendar) for source, part, one in budgets_of(self.policies.book)}
        while new := budgets - self._restored:
            await self.database.health.wait_until_back()
            with self.database.health.tolerate(UNRESTORED):
                for period in sorted({period for _, _, period in new}):
                    await self._restore(period, {(source, part) for source, part, one in new if one is period})
                self._restored |= new
        self._restored &= budgets

    async def _restore(self, period: BudgetPeriod, new: Collection[tuple[PolicyHolder | None, str]]) -> None:
        begin = bounds_of(period, self.zone, to_ns(self.now())).begin_ns
        spend = await spend_by_token(Questions(self.database), from_ns(begin), self.now())
        if (None, "") in new:
            self._restore_users(spend, begin)
        of_policies = [(source, part) for source, part in new if source is not None]
        users = await self.identities.users_by_id({user for user, _ in spend})
        binding = await self.identities.binding_of({token for _, token in spend})
        budget = Budget(0, word(period))
        for (of, key), usd in spend_by_key(spend, users, of_policies, binding).items():
            limit = structs.replace(budget_limit(budget, of, key, self.zone), maximum=UNLIMITED)
            self.authority.restore(limit, micro_dollars_of(usd), begin)

    def _restore_users(self, spend: Mapping[tuple[UUID, str], Decimal], begin: int) -> None:
        """Restore the budget that each user has by the settings."""
        spent: defaultdict[UUID, Decimal] = defaultdict(Decimal)
        for (user, _), usd in spend.items():
            spent[user] += usd
        for user, usd in spent.items():
            for limit in self.limits.budgets_of(Client("", format_id(user))):
                self.authority.restore(limit, micro_dollars_of(usd), begin)
