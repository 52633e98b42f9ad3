"""The policies in a process, while others change them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime

import pytest

from limits.policies.effective import Caller
from limits.policies.policy import Budget, Limits, Policy, SharedPolicy
from limits.policies.sources import Level, Source
from storage.accounts.groups import Groups
from storage.accounts.identities import Identities, Identity, Role
from storage.accounts.users import ChangedMeanwhileError
from storage.mongo.followed import count_change
from storage.policies import followed
from storage.policies.documents import KeptPolicy, document_of, read_document
from storage.policies.followed import FollowedPolicies, PoliciesUnknownError, caller_of
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


@pytest.mark.expects_log(r"the policy everyone cannot be read by this version")
@pytest.mark.gen_test
async def test_what_another_process_changes_holds_here(database):
    others, policies = store(database), FollowedPolicies(database, now=now)
    await policies.followed.refresh()
    assert held(policies) == []
    for maximum in (5, 6):
        await others.change(Level.EVERYONE, "", saying(maximum))
        await policies.followed.refresh()
        assert held(policies) == [("everyone", maximum)]

    async def change_as_a_later_version(session):
        changes = {"policy": {"moon": True}, "version": "later"}
        await database.policies.update_one({"_id": "everyone"}, {"$set": changes}, session=session)
        await count_change(database, "policies", session)

    for _ in range(2):  # the log says so once
        await database.together(change_as_a_later_version)
        await policies.followed.refresh()
        unreadable = "without effect, as this version cannot read them: everyone"
        assert (held(policies), policies.problem) == ([], unreadable)
    policies.put(await others.change(Level.EVERYONE, "", saying(7)))
    assert (held(policies), policies.problem) == ([("everyone", 7)], "")
    await others.change(Level.EVERYONE, "", lambda _: SharedPolicy())
    await policies.followed.refresh()
    assert (held(policies), policies.problem) == ([], "")


@pytest.mark.gen_test
async def test_while_changes_cannot_be_followed_the_last_known_policies_hold(database):
    policies = FollowedPolicies(database, now=now)
    await store(database).change(Level.EVERYONE, "", saying(5))
    await policies.followed.refresh()
    database.health.lose("gone")
    await policies.followed.try_refresh()
    lost = "not followed since 2026-11-24T12:00:00.000Z: the last known ones hold"
    assert (held(policies), policies.problem) == ([("everyone", 5)], lost)


@pytest.mark.expects_log(r"the policy users/1 cannot be read by this version, and has no effect: 'level'")
@pytest.mark.gen_test
async def test_a_document_of_something_else_ends_nothing(database):
    await database.policies.insert_one({"_id": "users/1"})
    await store(database).change(Level.EVERYONE, "", saying(5))
    policies = FollowedPolicies(database, now=now)
    await policies.followed.refresh()
    assert held(policies) == [("everyone", 5)]
    assert policies.problem == "without effect, as this version cannot read them: users/1"


@pytest.mark.gen_test
async def test_what_is_there_at_the_start_is_read(database):
    accounts = Identities(database, now=now, monotonic=lambda: 0.0)
    user = await accounts.add_user("ada", role=Role.MEMBER)
    kept = await store(database).change(
        Level.USER, "ADA", lambda _: Policy(max_tokens=3, limits=Limits(budget=Budget("0.5", "day")))
    )
    assert (kept.source, kept.changed_at) == (Source(Level.USER, str(user.id), "ada"), NOW)
    policies = FollowedPolicies(database, now=now)
    with pytest.raises(PoliciesUnknownError):
        policies.book  # noqa: B018 - it raises
    assert policies.problem == "not read yet: nothing is admitted"
    await policies.followed.refresh()
    assert list(policies.book) == [(kept.source, Policy(max_tokens=3, limits=Limits(budget=Budget("0.50", "day"))))]


@pytest.mark.expects_log(r"the policy users/1 cannot be read by this version")
@pytest.mark.gen_test
async def test_a_policy_of_a_later_version_has_no_effect_and_that_is_said(database):
    document = document_of(KeptPolicy(Source(Level.USER, "1", "ada"), Policy(max_tokens=1), "v"))
    await database.policies.insert_one(document | {"policy": {"moon": True}})
    await database.policies.insert_one(document_of(KeptPolicy(Source(Level.EVERYONE), SharedPolicy(max_tokens=2), "v")))
    policies = FollowedPolicies(database, now=now)
    await policies.followed.refresh()
    assert (held(policies), policies.problem) == (
        [("everyone", 2)],
        "without effect, as this version cannot read them: users/1",
    )


@pytest.mark.gen_test
async def test_of_two_who_change_the_same_one_may(database):
    policies = store(database)
    first = await policies.change(Level.EVERYONE, "", lambda _: SharedPolicy(max_tokens=1), versions={"0"})
    with pytest.raises(ChangedMeanwhileError):
        await policies.change(Level.EVERYONE, "", lambda _: SharedPolicy(max_tokens=2), versions={"0"})
    assert await policies.get(Level.EVERYONE) == first
    both = await asyncio.gather(
        *(policies.change(Level.EVERYONE, "", lambda p, n=n: replaced(p, n), versions={first.version}) for n in (3, 4)),
        return_exceptions=True,
    )
    assert sorted(isinstance(one, ChangedMeanwhileError) for one in both) == [False, True]


def replaced(policy, maximum):
    assert policy == SharedPolicy(max_tokens=1)
    return SharedPolicy(max_tokens=maximum)


def test_a_document_is_read_as_it_was_written():
    policy = Policy(limits=Limits(budget=Budget("1234.500001", "week", shadow=True)), byok="allow")
    kept = KeptPolicy(Source(Level.TOKEN, "t", "t"), policy, "v", NOW)
    assert read_document(document_of(kept)) == kept


def saying(maximum):
    return lambda _: SharedPolicy(max_tokens=maximum)


@pytest.mark.gen_test
async def test_while_many_policies_are_read_others_run(database, monkeypatch):
    monkeypatch.setattr(followed, "PAUSE_EVERY", 10)
    kept = [KeptPolicy(Source(Level.USER, f"{n:02}", f"u{n:02}"), Policy(max_tokens=n), "v") for n in range(1, 26)]
    await database.policies.insert_many([document_of(one) for one in kept])
    policies = FollowedPolicies(database, now=now)
    await policies.followed.refresh()
    assert sorted(policies.book) == [(one.source, one.policy) for one in kept]


@pytest.mark.gen_test
async def test_what_this_process_changes_holds_at_once_here_if_the_policies_were_read(database):
    result = []
    policies = FollowedPolicies(database, now=now, on_change=lambda: result.append(held(policies)))
    own = store(database, on_change=policies.put)
    await own.change(Level.EVERYONE, "", saying(5))
    assert (held(policies), result) == (None, [])
    await policies.followed.refresh()
    await own.change(Level.EVERYONE, "", saying(6))
    await own.change(Level.EVERYONE, "", lambda _: SharedPolicy())
    assert result == [[("everyone", 5)], [("everyone", 6)], []]


@pytest.mark.gen_test
async def test_what_holds_for_a_caller_is_of_everyone_their_groups_them_and_the_token(database):
    accounts = Identities(database, now=now, monotonic=lambda: 0.0)
    groups = Groups(database, accounts, now=now)
    await accounts.add_user("ada", role=Role.MEMBER)
    research = await groups.add("research")
    await groups.add_members("research", ["ada"])
    ada = await accounts.find_user("ada")
    token, _ = await accounts.create_token("ada")
    identity = Identity(user=ada, token_id=token.id)
    assert caller_of(identity) == Caller(str(ada.id), token.id, (str(research.id),))
    policies = FollowedPolicies(database, now=now)
    with pytest.raises(PoliciesUnknownError):
        policies.find(identity)
    await policies.followed.refresh()
    assert policies.find(identity) is None
    own = store(database, on_change=policies.put)
    await own.change(Level.TOKEN, token.id, lambda _: Policy(max_tokens=1))
    await own.change(Level.USER, "ada", lambda _: Policy(max_tokens=2))
    await own.change(Level.GROUP, "research", saying(3))
    await own.change(Level.EVERYONE, "", saying(4))
    assert [(one.source, one.policy) for one in policies.find(identity).policies] == [
        (Source(Level.EVERYONE), SharedPolicy(max_tokens=4)),
        (Source(Level.GROUP, str(research.id), "research"), SharedPolicy(max_tokens=3)),
        (Source(Level.USER, str(ada.id), "ada"), Policy(max_tokens=2)),
        (Source(Level.TOKEN, token.id, token.id), Policy(max_tokens=1)),
    ]
