"""Policies in the database: their owners, their changes, and the audit trail of these."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from limits.policies.policy import Budget, Limits, Policy, SharedLimits, SharedPolicy
from limits.policies.sources import Level, Source
from storage.accounts.audit import COMMAND_LINE, Author
from storage.accounts.groups import Groups
from storage.accounts.identities import Identities, Role, UnknownIdentityError
from storage.accounts.users import ChangedMeanwhileError, IdentityConflictError
from storage.policies.documents import KeptPolicy, document_of
from storage.policies.followed import FollowedPolicies
from storage.policies.store import NO_VERSION, PolicyStore
from storage.queries.accounts.audit import audit_page

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


class Store(PolicyStore):
    """One with its users and groups, that keeps what it told of."""

    def __init__(self, database):
        self.told = []
        self.at = NOW
        self.accounts = Identities(database, now=lambda: self.at, monotonic=lambda: 0.0)
        self.groups = Groups(database, self.accounts, now=lambda: self.at)
        super().__init__(database, self.accounts, self.groups, now=lambda: self.at, on_change=self.told.append)


@pytest.fixture
def store(database):
    return Store(database)


async def trail(database):
    """What was done to policies, oldest first."""
    entries = reversed(await audit_page(database, limit=100))
    return [
        (
            entry["action"],
            entry["actor"]["username"],
            entry["subject"] and entry["subject"]["username"],
            entry["detail"],
        )
        for entry in entries
        if entry["action"].startswith("policy")
    ]


@pytest.mark.gen_test
async def test_each_level_has_policies_of_its_own_found_by_name_and_id(store):
    ada = await store.accounts.add_user("ada", role=Role.MEMBER)
    research = await store.groups.add("research")
    token, _ = await store.accounts.create_token("ada")
    everyone = Source(Level.EVERYONE)
    group = Source(Level.GROUP, str(research.id), "research")
    user = Source(Level.USER, str(ada.id), "ada")
    key = Source(Level.TOKEN, token.id, token.id)
    references = [
        (everyone, "", SharedPolicy),
        (group, "RESEARCH", SharedPolicy),
        (group, str(research.id), SharedPolicy),
        (user, "ADA", Policy),
        (user, str(ada.id), Policy),
        (key, token.id, Policy),
    ]
    for source, reference, kind in references:
        assert await store.get(source.level, reference) == KeptPolicy(source, kind(), NO_VERSION)
    for source, reference, kind in references:
        await store.change(source.level, reference, lambda _, kind=kind, name=reference: kind(max_tokens=1 + len(name)))
        found = await store.get(source.level, reference)
        assert found == KeptPolicy(source, kind(max_tokens=1 + len(reference)), found.version, NOW)
        assert store.told[-1] == found


@pytest.mark.gen_test
async def test_of_whom_there_is_not_there_is_no_policy(store, database):
    for level, reference, why in (
        (Level.GROUP, "nobody", 'there is no group named "nobody"'),
        (Level.GROUP, "everyone", '"everyone" is built in and has all users: it is no group to be listed or changed'),
        (Level.USER, "nobody", 'there is no user named "nobody"'),
        (Level.TOKEN, "nobody", 'no token with the id "nobody" (the part before the hyphen)'),
    ):
        for attempt in (store.get(level, reference), store.change(level, reference, lambda policy: policy)):
            with pytest.raises(UnknownIdentityError) as caught:
                await attempt
            assert str(caught.value) == why
    assert store.told == []
    assert await database.policies.count_documents({}) == 0


@pytest.mark.gen_test
async def test_a_revoked_token_gets_no_policy_and_the_one_it_has_can_be_removed(store):
    await store.accounts.add_user("ada", role=Role.MEMBER)
    token, _ = await store.accounts.create_token("ada")
    await store.change(Level.TOKEN, token.id, lambda _: Policy(max_tokens=1))
    await store.accounts.revoke_token(token.id)
    assert (await store.get(Level.TOKEN, token.id)).policy == Policy(max_tokens=1)
    await store.change(Level.TOKEN, token.id, lambda _: Policy())
    with pytest.raises(UnknownIdentityError):
        await store.get(Level.TOKEN, token.id)
    with pytest.raises(UnknownIdentityError):
        await store.change(Level.TOKEN, token.id, lambda _: Policy(max_tokens=1))


@pytest.mark.gen_test
async def test_a_policy_follows_the_name_of_its_group(store, database):
    group = await store.groups.add("research")
    await store.change(Level.GROUP, "research", lambda _: SharedPolicy(max_tokens=1))
    followed = FollowedPolicies(database, now=lambda: NOW)
    await followed.followed.refresh()
    await store.groups.change("research", name="science")
    science = Source(Level.GROUP, str(group.id), "science")
    assert (await store.get(Level.GROUP, "science")).source == science
    assert [one.source for one in (await store.page(limit=9, offset=0))[1]] == [science]
    await followed.followed.refresh()
    assert [source for source, _ in followed.book] == [science]


@pytest.mark.gen_test
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


@pytest.mark.gen_test
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


@pytest.mark.gen_test
async def test_each_change_is_in_the_audit_trail_with_the_policy_before_and_after(store, database):
    ada = await store.accounts.add_user("ada", role=Role.OWNER)
    token, _ = await store.accounts.create_token("ada")
    author = Author(ada)
    budget = Policy(limits=Limits(budget=Budget("0.50", "day")))
    await store.change(Level.TOKEN, token.id, lambda _: budget, author=author)
    store.at += SECOND
    await store.change(Level.TOKEN, token.id, lambda _: Policy(), author=author)
    store.at += SECOND
    await store.change(Level.EVERYONE, "", lambda _: SharedPolicy(byok="deny"))
    name, said = f"token {token.id}", '{"limits":{"budget":{"usd":"0.50","period":"day"}}}'
    assert await trail(database) == [
        ("policy.changed", "ada", "ada", {"policy": name, "policy_before": "{}", "policy_after": said}),
        ("policy.removed", "ada", "ada", {"policy": name, "policy_before": said, "policy_after": "{}"}),
        (
            *("policy.changed", COMMAND_LINE.name, None),
            {"policy": "everyone", "policy_before": "{}", "policy_after": '{"byok":"deny"}'},
        ),
    ]


@pytest.mark.gen_test
async def test_a_change_that_changes_nothing_leaves_the_version_and_no_trace(store, database):
    assert await store.change(Level.EVERYONE, "", lambda _: SharedPolicy()) == await store.get(Level.EVERYONE)
    assert await database.policies.count_documents({}) == 0
    first = await store.change(Level.EVERYONE, "", lambda _: SharedPolicy(max_tokens=1))
    assert await store.change(Level.EVERYONE, "", lambda policy: policy) == first
    assert len(await trail(database)) == 1


@pytest.mark.gen_test
async def test_what_makes_the_policy_may_refuse(store, database):
    def refuse(_):
        raise LookupError("no")

    with pytest.raises(LookupError, match="no"):
        await store.change(Level.EVERYONE, "", refuse)
    assert (await database.policies.count_documents({}), store.told, await trail(database)) == (0, [], [])


@pytest.mark.gen_test
async def test_a_removed_policy_keeps_its_document_so_no_version_comes_twice(store, database):
    versions = {NO_VERSION}
    for policy in (SharedPolicy(max_tokens=1), SharedPolicy(), SharedPolicy(max_tokens=1), SharedPolicy()):
        kept = await store.change(Level.EVERYONE, "", lambda _, made=policy: made)
        assert await store.get(Level.EVERYONE) == kept == KeptPolicy(Source(Level.EVERYONE), policy, kept.version, NOW)
        versions.add(kept.version)
    assert len(versions) == 5
    assert await database.policies.find_one() == document_of(kept)


@pytest.mark.gen_test
async def test_policies_that_say_something_are_listed_page_by_page(store):
    assert await store.page(limit=2, offset=0) == (0, [])
    for name in ("ada", "bob", "carl"):
        await store.accounts.add_user(name, role=Role.MEMBER)
        await store.change(Level.USER, name, lambda _: Policy(max_tokens=1))
    await store.change(Level.USER, "bob", lambda _: Policy())
    await store.change(Level.EVERYONE, "", lambda _: SharedPolicy(max_tokens=2))
    everyone = await store.get(Level.EVERYONE)
    users = [await store.get(Level.USER, name) for name in ("ada", "carl")]
    users.sort(key=lambda kept: kept.source.key)
    assert await store.page(limit=2, offset=0) == (3, [everyone, users[0]])
    assert await store.page(limit=2, offset=2) == (3, [users[1]])
    assert await store.page(limit=2, offset=4) == (3, [])


@pytest.mark.gen_test
async def test_the_same_money_in_another_form_is_no_change(store):
    text, number = (
        SharedPolicy(limits=SharedLimits(together=Limits(budget=Budget(usd, "day")))) for usd in ("5.00", 5)
    )
    kept = await store.change(Level.EVERYONE, "", lambda _: text)
    assert (await store.change(Level.EVERYONE, "", lambda _: number)).version == kept.version


@pytest.mark.gen_test
async def test_a_policy_that_cannot_be_read_is_listed_replaced_and_removed(store, database):
    group = await store.groups.add("research")
    await store.change(Level.GROUP, "research", lambda _: SharedPolicy(max_tokens=5))
    await store.change(Level.EVERYONE, "", lambda _: SharedPolicy(max_tokens=7))
    path = f"groups/{group.id}"
    await database.policies.update_one({"_id": path}, {"$set": {"policy": {"quota": 5}}})
    other = {"_id": "planets/x", "level": "planet", "name": 7, "version": 1, "changed_at": None, "policy": {"a": 1}}
    await database.policies.insert_one(other)
    count, listed = await store.page(limit=10, offset=0)
    assert (count, [kept.unreadable for kept in listed]) == (
        3,
        [
            "",
            "quota: unknown field; allowed are models, limits, max_tokens, byok, recording",
            "'planet' is not a valid Level",
        ],
    )
    assert [kept.source.name for kept in listed] == ["", "research", "planets/x"]
    with pytest.raises(IdentityConflictError, match=r"^the policy of group research cannot be read by this version, "):
        await store.get(Level.GROUP, "research")
    with pytest.raises(IdentityConflictError, match=r"replace it as a whole, or remove it$"):
        await store.change(Level.GROUP, "research", lambda _: SharedPolicy(), uses_present=True)
    store.at += SECOND
    await store.change(Level.GROUP, "research", lambda _: SharedPolicy(max_tokens=9))
    assert (await store.get(Level.GROUP, "research")).policy == SharedPolicy(max_tokens=9)
    assert (await trail(database))[-1][3][
        "policy_before"
    ] == "unreadable: quota: unknown field; allowed are models, limits, max_tokens, byok, recording"
    await database.policies.update_one({"_id": path}, {"$set": {"policy": {"quota": 5}}})
    await store.change(Level.GROUP, "research", lambda policy: type(policy)())
    assert (await store.get(Level.GROUP, "research")).policy == SharedPolicy()


@pytest.mark.parametrize("known", [False, True], ids=["the first policy", "a later one"])
@pytest.mark.gen_test
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
