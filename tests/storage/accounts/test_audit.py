from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial

import pytest
from pymongo.errors import WriteError

from storage.accounts.audit import COMMAND_LINE, Author
from storage.accounts.identities import Identities, IdentityConflictError, Role
from storage.accounts.users import LastOwnerError
from storage.queries.accounts.audit import audit_page
from tests.storage.records import NOON


@pytest.fixture
def identities(database):
    return Identities(database, now=lambda: NOON, monotonic=lambda: 0.0)


@pytest.fixture
def audit(database):
    return partial(audit_page, database)


def without_ids(entries):
    return [{key: value for key, value in entry.items() if key not in {"_id", "schema_version"}} for entry in entries]


async def kinds(audit):
    """What was done, in no order: all of it was done at the same moment."""
    return sorted(entry["action"] for entry in await audit(limit=100))


@pytest.mark.gen_test
async def test_a_change_by_the_command_line_has_nobody_as_its_actor(identities, audit):
    ada = await identities.add_user("ada", role=Role.OWNER)
    assert without_ids(await audit(limit=10)) == [
        {
            "at": NOON,
            "actor": {"id": None, "username": COMMAND_LINE.name},
            "action": "user.added",
            "subject": {"id": ada.id, "username": "ada"},
            "detail": {"role": "owner", "name": "ada"},
            "client_ip": None,
        }
    ]


@pytest.mark.gen_test
async def test_each_change_is_an_entry_and_none_has_the_secret(identities, audit, database):
    await identities.add_user("ada", role=Role.MEMBER)
    await identities.change_user("ada", role=Role.AUDITOR)
    token, text = await identities.create_token("ada", name="laptop", expires_at=NOON + timedelta(days=1))
    await identities.revoke_token(token.id)
    await identities.remove_user("ada")
    assert await kinds(audit) == ["token.created", "token.revoked", "user.added", "user.changed", "user.removed"]
    assert text[11:] not in repr([entry async for entry in database.audit.find()])


@pytest.mark.gen_test
async def test_a_change_that_cannot_be_noted_is_not_made(identities, database):
    ada = await identities.add_user("ada", role=Role.AUDITOR)
    token, _ = await identities.create_token("ada")
    await database._database.command("collMod", "audit", validator={"action": "nothing"})
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


@pytest.mark.gen_test
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


@pytest.mark.gen_test
async def test_of_many_who_add_one_name_at_once_one_does(identities, database):
    outcomes = await asyncio.gather(
        *(identities.add_user("ada", role=Role.MEMBER) for _ in range(10)), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes].count(IdentityConflictError) == 9
    assert await database.audit.count_documents({}) == 1
