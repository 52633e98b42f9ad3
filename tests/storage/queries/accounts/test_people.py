from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from storage.accounts.groups import Groups
from storage.accounts.identities import Identities, Role, UnknownIdentityError
from storage.accounts.tokens.uses import TokenUses
from storage.accounts.users import Person
from storage.aggregation.rollup_job import RollupJob
from storage.queries.accounts.people import People
from tests.storage.rollup_checks import MIDNIGHT, Call, write

NOW = MIDNIGHT + timedelta(days=20, hours=5)


@pytest.fixture
def identities(database):
    return Identities(database, now=lambda: NOW, monotonic=lambda: 0.0)


@pytest.fixture
def groups(database, identities):
    return Groups(database, identities, now=lambda: NOW)


@pytest.fixture
def uses(database):
    return TokenUses(database, now=lambda: NOW, monotonic=lambda: 0.0)


@pytest.fixture
def people(database, identities, groups, uses):
    return People(database, identities, groups, uses, now=lambda: NOW)


@pytest.mark.gen_test
async def test_a_person_has_groups_tokens_the_last_sight_of_them_and_their_spend(
    database, identities, groups, uses, people
):
    ada = await identities.add_user("ada", role=Role.MEMBER, cost_centre="4711")
    bob = await identities.add_user("bob", role=Role.MEMBER)
    _, text = await identities.create_token("ada")
    zoo, alpha = await groups.add("Zoo"), await groups.add("alpha")
    for group in ("Zoo", "alpha"):
        await groups.add_members(group, ["ada"])
    uses.note(await identities.authenticate(text), lambda: ("curl", ""))
    await uses.flush()
    day = 24 * 60 * 60
    seconds = (-1, 0, day, 19 * day)  # the first is of the month before
    calls = [Call(number, second, initiator=ada.id) for number, second in enumerate(seconds, start=1)]
    await write(database, *(call.start for call in calls))
    await write(database, *(call.end(tokens=10**call.number) for call in calls))
    assert await RollupJob(database, now=lambda: NOW).add_pending() == 4
    ada = await identities.find_user("ada")
    assert (ada.cost_centre, ada.group_ids) == ("4711", (zoo.id, alpha.id))
    found = Person(user=ada, groups=(alpha, zoo), active_tokens=1, last_seen_at=NOW, spend_usd=Decimal("0.0111"))
    nothing = Person(user=bob, groups=(), active_tokens=0, last_seen_at=None, spend_usd=Decimal(0))
    assert await people.page(limit=0, offset=0) == (2, [found, nothing])
    assert await people.page(limit=1, offset=1) == (2, [nothing])
    assert await people.find("ADA") == found
    assert await people.find(str(bob.id)) == nothing
    with pytest.raises(UnknownIdentityError, match=r'^there is no user named "nobody"$'):
        await people.find("nobody")
