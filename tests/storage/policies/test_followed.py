"""What a process has of policies, while others change them."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

import pytest

from limits.policies.effective import Level, Source
from limits.policies.policy import Budget, Limits, Policy, SharedPolicy
from storage.accounts.groups import Groups
from storage.accounts.identities import Identities, Role
from storage.accounts.users import ChangedMeanwhileError
from storage.policies.documents import KeptPolicy, document_of, read_document
from storage.policies.followed import FollowedPolicies, PoliciesUnknownError
from storage.policies.store import PolicyStore
from tests.storage.live.test_change_stream import single_server

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def now():
    return NOW


class Changes:
    """Waits until something was read or changed."""

    def __init__(self):
        self.event = asyncio.Event()

    def __call__(self):
        self.event.set()

    async def until(self, condition):
        while not condition():
            await self.event.wait()
            self.event.clear()


def store(database, **options):
    accounts = Identities(database, now=now, monotonic=lambda: 0.0)
    return PolicyStore(database, accounts, Groups(database, accounts, now=now), now=now, **options)


@asynccontextmanager
async def following(database, **options):
    changes = Changes()
    policies = FollowedPolicies(database, now=now, on_change=changes, **options)
    task = asyncio.create_task(policies.follow())
    try:
        yield policies, changes
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def held(policies):
    with suppress(PoliciesUnknownError):
        return [(str(source), policy.max_tokens) for source, policy in policies.book]
    return None


async def change_elsewhere(database, policies, changes):
    """Another process sets a policy, changes it and removes it; each is seen here."""
    others = store(database)
    await changes.until(lambda: held(policies) == [])
    for maximum in (5, 6):
        await others.change(Level.EVERYONE, "", lambda _, most=maximum: SharedPolicy(max_tokens=most))
        await changes.until(lambda most=maximum: held(policies) == [("everyone", most)])
    await others.change(Level.EVERYONE, "", lambda _: SharedPolicy())
    await changes.until(lambda: held(policies) == [])
    assert policies.problem == ""


@pytest.mark.gen_test
async def test_what_another_process_changes_holds_here(database):
    async with following(database) as (policies, changes):
        await change_elsewhere(database, policies, changes)


@pytest.mark.gen_test(timeout=60)
async def test_on_a_single_server_changes_are_looked_for(tmp_path):
    folder = tmp_path / "db"
    folder.mkdir()
    async with (
        single_server(folder) as database,
        following(database, pause=lambda _: asyncio.sleep(0.01)) as (policies, changes),
    ):
        await change_elsewhere(database, policies, changes)


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
    await policies.read()
    assert list(policies.book) == [(kept.source, Policy(max_tokens=3, limits=Limits(budget=Budget("0.50", "day"))))]


@pytest.mark.expects_log(r"the policy users/1 cannot be read by this version")
@pytest.mark.gen_test
async def test_a_policy_of_a_later_version_has_no_effect_and_that_is_said(database):
    document = document_of(KeptPolicy(Source(Level.USER, "1", "ada"), Policy(max_tokens=1), "v"))
    await database.policies.insert_one(document | {"policy": {"moon": True}})
    await database.policies.insert_one(document_of(KeptPolicy(Source(Level.EVERYONE), SharedPolicy(max_tokens=2), "v")))
    policies = FollowedPolicies(database, now=now)
    await policies.read()
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
