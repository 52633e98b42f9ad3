"""The policies in a process, while others change them."""

from contextlib import suppress
from datetime import UTC, datetime

import pytest

from limits.policies.compiled import Level, PolicyHolder
from limits.policies.policy import Policy, SharedPolicy
from storage.accounts.groups import Groups
from storage.accounts.identities import Identities
from storage.policies.documents import KeptPolicy, UnreadablePolicyError, document_of
from storage.policies.followed import FollowedPolicies, PoliciesUnknownError
from storage.policies.store import PolicyStore

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def now():
    return NOW


def store(database, **options):
    accounts = Identities(database, now=now, monotonic=lambda: 0.0)
    return PolicyStore(database, accounts, Groups(database, accounts, now=now), now=now, **options)


def held(policies):
    with suppress(PoliciesUnknownError):
        return [(str(source), policy.max_tokens) for source, policy in policies.book]
    return None


async def test_while_changes_cannot_be_followed_the_last_known_policies_hold(database):
    policies = FollowedPolicies(database, now=now)
    await store(database).change(Level.EVERYONE, "", saying(5))
    await policies.followed.refresh()
    database.health.lose("gone")
    await policies.followed.try_refresh()
    lost = "not followed since 2026-11-24T12:00:00.000Z: the last known ones hold"
    assert (held(policies), policies.problem) == ([("everyone", 5)], lost)


@pytest.mark.expects_log(r"the policy users/1 cannot be read by this version: moon: unknown field")
async def test_while_a_policy_cannot_be_read_the_last_known_ones_hold_and_none_before_them(database):
    await store(database).change(Level.EVERYONE, "", saying(5))
    known, new = FollowedPolicies(database, now=now), FollowedPolicies(database, now=now)
    await known.followed.refresh()
    document = document_of(KeptPolicy(PolicyHolder(Level.USER, "1", "ada"), Policy(max_tokens=1), "v"))
    await database.policies.insert_one(document | {"policy": {"moon": True}})
    await store(database).change(Level.EVERYONE, "", saying(7))
    for policies in (known, new):
        await policies.followed.try_refresh()
    lost = "not followed since 2026-11-24T12:00:00.000Z: the last known ones hold"
    assert (held(known), known.problem) == ([("everyone", 5)], lost)
    assert held(new) is None
    unreadable = "the policy users/1 cannot be read by this version: moon: unknown"
    assert new.problem.startswith(f"not read yet: nothing is admitted; {unreadable}")
    with pytest.raises(UnreadablePolicyError, match=unreadable):
        await store(database).page(limit=10, offset=0)
    await database.policies.delete_one({"_id": "users/1"})
    for policies in (known, new):
        await policies.followed.try_refresh()
        assert (held(policies), policies.problem) == ([("everyone", 7)], "")


def saying(maximum):
    return lambda _: SharedPolicy(max_tokens=maximum)
