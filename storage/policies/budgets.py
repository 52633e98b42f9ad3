"""The budgets of policies, and what was spent of each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from uuid import UUID

from msgspec import UNSET

from intercept.ids import format_id
from limits.limit import Of
from limits.policies.compiled import Level, PolicyHolder, group_key, member_key, token_key
from limits.policies.policy import AnyPolicy, Budget, Policy
from storage.accounts.users import User


def budgets_of(policies: Iterable[tuple[PolicyHolder, AnyPolicy]]) -> Iterator[tuple[PolicyHolder, str, Budget]]:
    """Every budget of policies, with whose it is and in which part."""
    for source, policy in policies:
        if policy.limits is UNSET:
            continue
        if isinstance(policy, Policy):
            parts = [("", policy.limits)]
        else:
            shared = policy.limits
            parts = [
                (name, one) for name, one in (("each_member", shared.each_member), ("together", shared.together)) if one
            ]
        for name, limits in parts:
            if limits.budget is not UNSET:
                yield source, name, limits.budget


def spend_by_key(
    spend: Mapping[tuple[UUID, str], Decimal],
    users: Mapping[UUID, User],
    wanted: Collection[tuple[PolicyHolder, str]],
    binding: Mapping[str, Sequence[str]],
) -> Mapping[tuple[Of, str], Decimal]:
    """What was spent, by what the limits of policies count it under. Of members all who spent something are there.

    Args:
        spend: In dollars, by user and token.
        users: Those users.
        wanted: Whose budgets, and of which part.
        binding: The tokens by which others are bound.
    """
    levels = {source.level for source, part in wanted if part != "together"}
    groups = {source.key for source, part in wanted if part == "together"}
    of_members = bool(levels - {Level.TOKEN})
    spent: defaultdict[tuple[Of, str], Decimal] = defaultdict(Decimal)
    for (user_id, token), usd in spend.items():
        keys = []
        if of_members:
            keys.append((Of.USER, member_key(format_id(user_id))))
        if Level.TOKEN in levels:
            keys += [(Of.TOKEN, token_key(one)) for one in (token, *binding.get(token, ()))]
        if "" in groups:
            keys.append((Of.GROUP, group_key(Level.EVERYONE)))
        user = users.get(user_id)
        own = set(map(format_id, user.group_ids)) if user else set()
        keys += [(Of.GROUP, group_key(group)) for group in own & groups]
        for key in keys:
            spent[key] += usd
    return spent
