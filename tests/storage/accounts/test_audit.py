import asyncio
from functools import partial

import pytest
from pymongo.errors import WriteError

from storage.accounts.audit import Author
from storage.accounts.identities import Identities
from storage.accounts.users import LastOwnerError, Role
from storage.queries.accounts import audit_page
from tests.storage.records import NOON


@pytest.fixture
def identities(database):
    return Identities(database, now=lambda: NOON, monotonic=lambda: 0.0)


@pytest.fixture
def audit(database):
    return partial(audit_page, database)


async def test_a_change_that_cannot_be_noted_is_not_made(identities, database):
    ada = await identities.add_user("ada", role=Role.AUDITOR)
    token, _ = await identities.create_token("ada")
    await database.audit.database.command("collMod", "audit", validator={"action": "nothing"})
    for attempt in (
        identities.add_user("bob", role=Role.OWNER),
        identities.change_user("ada", role=Role.MEMBER),
        identities.create_token("ada"),
        identities.revoke_token(token.id),
        identities.remove_user("ada"),
    ):
        with pytest.raises(WriteError):
            await attempt
    assert await identities.list_users() == [ada]
    assert await identities.list_tokens("ada") == [token]


async def test_two_owners_who_remove_one_another_at_once_leave_one(identities, audit, database):
    elsewhere = Identities(database, now=lambda: NOON, monotonic=lambda: 0.0)
    for _ in range(5):
        ada, bob = [await identities.add_user(name, role=Role.OWNER) for name in ("ada", "bob")]
        outcomes = await asyncio.gather(
            identities.remove_user("bob", author=Author(ada, "192.0.2.1")),
            elsewhere.remove_user("ada", author=Author(bob, "192.0.2.2")),
            return_exceptions=True,
        )
        assert sorted(str(outcome) for outcome in outcomes if outcome) in (
            ['"ada" is the only owner; assign another owner first'],
            ['"bob" is the only owner; assign another owner first'],
        )
        assert {type(outcome) for outcome in outcomes} == {type(None), LastOwnerError}
        (left,) = await identities.list_users()
        await identities.remove_user(left.username, author=Author(force=True))
