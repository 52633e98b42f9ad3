"""Policies in the database: their owners, their changes, and the audit trail of these."""

import asyncio
from datetime import UTC, datetime

import pytest

from limits.policies.compiled import Level, PolicyHolder
from limits.policies.policy import Policy, SharedPolicy
from storage.accounts.groups import Groups
from storage.accounts.identities import Identities
from storage.accounts.users import ChangedMeanwhileError, Role
from storage.policies.documents import KeptPolicy, document_of
from storage.policies.followed import FollowedPolicies
from storage.policies.store import NO_VERSION, PolicyStore

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


class Store(PolicyStore):
    def __init__(self, database):
        self.told = []
        self.at = NOW
        self.accounts = Identities(database, now=lambda: self.at, monotonic=lambda: 0.0)
        self.groups = Groups(database, self.accounts, now=lambda: self.at)
        super().__init__(database, self.accounts, self.groups, now=lambda: self.at, on_change=self.told.append)


@pytest.fixture
def store(database):
    return Store(database)


async def test_who_is_removed_leaves_no_policy(store, database):
    await store.accounts.add_user("ada", role=Role.MEMBER)
    await store.accounts.add_user("bob", role=Role.MEMBER)
    await store.groups.add("ci")
    tokens = [(await store.accounts.create_token(name))[0].id for name in ("ada", "bob", "groups/ci")]
    subjects = [(Level.USER, "ada"), (Level.USER, "bob"), *((Level.TOKEN, id_) for id_ in tokens)]
    for level, reference in subjects:
        await store.change(level, reference, lambda _: Policy(max_tokens=1))
    followed = FollowedPolicies(database, now=lambda: NOW)
    await followed.followed.refresh()
    await store.accounts.remove_user("ada")
    await store.groups.remove("ci")
    left = {("bob", Level.USER), (tokens[1], Level.TOKEN)}
    count, listed = await store.page(limit=9, offset=0)
    assert (count, {(one.source.name, one.source.level) for one in listed}) == (2, left)
    await followed.followed.refresh()
    assert {(source.name, source.level) for source, _ in followed.book} == left


async def test_who_is_removed_while_they_get_a_policy_leaves_none(store):
    for number in range(3):
        name = f"x{number}"
        await store.accounts.add_user(name, role=Role.MEMBER)
        await store.groups.add(name)
        setting = store.change(Level.USER, name, lambda _: Policy(max_tokens=1))
        await asyncio.gather(setting, store.accounts.remove_user(name), return_exceptions=True)
        setting = store.change(Level.GROUP, name, lambda _: SharedPolicy(max_tokens=1))
        await asyncio.gather(setting, store.groups.remove(name), return_exceptions=True)
    _, groups = await store.groups.page(limit=0, offset=0)
    _, listed = await store.page(limit=9, offset=0)
    assert {one.source.name for one in listed} == {group.name for group, _ in groups}


async def test_a_removed_policy_keeps_its_document_so_no_version_comes_twice(store, database):
    versions = {NO_VERSION}
    for policy in (SharedPolicy(max_tokens=1), SharedPolicy(), SharedPolicy(max_tokens=1), SharedPolicy()):
        kept = await store.change(Level.EVERYONE, "", lambda _, made=policy: made)
        assert (
            await store.get(Level.EVERYONE)
            == kept
            == KeptPolicy(PolicyHolder(Level.EVERYONE), policy, kept.version, NOW)
        )
        versions.add(kept.version)
    assert len(versions) == 5
    assert await database.policies.find_one() == document_of(kept)


@pytest.mark.parametrize("known", [False, True], ids=["the first policy", "a later one"])
async def test_of_two_who_change_one_version_at_once_the_second_is_told(store, known):
    before = await store.change(Level.EVERYONE, "", lambda _: SharedPolicy(max_tokens=1)) if known else None
    version = before.version if before else NO_VERSION
    changes = (
        store.change(Level.EVERYONE, "", lambda _, most=most: SharedPolicy(max_tokens=most), versions=[version])
        for most in (2, 3)
    )
    told = await asyncio.gather(*changes, return_exceptions=True)
    (kept,) = [one for one in told if isinstance(one, KeptPolicy)]
    assert [type(one) for one in told if one is not kept] == [ChangedMeanwhileError]
    assert await store.get(Level.EVERYONE) == kept
