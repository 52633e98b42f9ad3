import asyncio

import pytest

from runtime.process import now
from storage.accounts.groups import Groups
from storage.accounts.identities import Identities
from storage.accounts.sign_in.single_sign_on import Claimed, SingleSignOn
from storage.accounts.users import Role

ISSUER = "https://id.example"


def claimed(subject="s-1", username="grace@example.com", **more):
    return Claimed(issuer=ISSUER, subject=subject, username=username, name="Grace", **more)


@pytest.fixture
def identities(database):
    return Identities(database, now=now, monotonic=lambda: 0.0)


@pytest.fixture
def groups(database, identities):
    return Groups(database, identities, now=now)


@pytest.fixture
def make(database, identities, groups):
    return lambda **options: SingleSignOn(database, identities, groups, now=now, **options)


async def test_a_person_in_two_tabs_at_once_becomes_one_user(make, identities):
    users = await asyncio.gather(*(make().admit(claimed()) for _ in range(4)))
    assert len({user.id for user in users}) == 1
    assert len(await identities.list_users()) == 1


async def test_the_same_subject_of_another_issuer_is_somebody_else(make):
    first = await make().admit(claimed())
    other = Claimed(issuer="https://other.example", subject="s-1", username="hopper", name="")
    second = await make().admit(other)
    assert second.id != first.id
    assert second.name == "hopper"


async def test_two_owners_who_lose_the_role_at_once_are_not_both_without_it(make, database, expected_logs):
    expected_logs.append("stays the only owner")
    people = [claimed(f"s-{number}", f"user-{number}", role=Role.OWNER) for number in range(2)]
    for person in people:
        await make().admit(person)
    await asyncio.gather(*(make().admit(claimed(one.subject, one.username, role=Role.MEMBER)) for one in people))
    assert await database.users.count_documents({"role": "owner"}) == 1


async def test_groups_are_made_once_however_many_claim_them(make, groups):
    people = [claimed(f"s-{number}", f"user-{number}", groups=("new", "not allowed")) for number in range(4)]
    users = await asyncio.gather(*(make(makes_groups=True).admit(person) for person in people))
    count, (found,) = await groups.page(limit=10, offset=0)
    assert (count, found[1]) == (1, 4)
    assert {user.group_ids for user in users} == {(found[0].id,)}
