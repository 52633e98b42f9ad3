import asyncio

import pytest

from storage.accounts import groups as groups_module
from storage.accounts.groups import Groups
from storage.accounts.identities import Identities
from storage.accounts.users import IdentityConflictError, IdentityError, Role, UnknownIdentityError
from storage.queries.accounts import audit_page
from tests.storage.records import NOON


@pytest.fixture
def identities(database):
    return Identities(database, now=lambda: NOON, monotonic=lambda: 0.0)


@pytest.fixture
def groups(database, identities):
    return Groups(database, identities, now=lambda: NOON)


async def trail(database):
    """What was done to groups, oldest first: action, subject and detail."""
    entries = reversed(await audit_page(database, limit=100))
    return [
        (entry["action"], (entry["subject"] or {}).get("username"), entry["detail"])
        for entry in entries
        if entry["action"].startswith("group")
    ]


async def test_a_group_with_a_bad_name_is_not_added(groups):
    for name, why in {
        "": "it has 1 to 128 characters",
        "a b": "it has 1 to 128 characters",
        "x" * 129: "it has 1 to 128 characters",
        "Everyone": "that group is built in, and has all users",
        "5696ce06-dafb-46d9-abac-4ba68b2ecaee": "it means the group with that id",
        "abcdefghij-0123456789abcdefghijkl": "it looks like a token or a key",
    }.items():
        with pytest.raises(IdentityError) as caught:
            await groups.add(name)
        assert why in str(caught.value), name
    assert await groups.page(limit=0, offset=0) == (0, [])


async def test_a_user_is_in_a_bounded_number_of_groups(groups, identities, database, monkeypatch):
    monkeypatch.setattr(groups_module, "MAX_GROUPS_OF_USER", 5)
    ada = await identities.add_user("ada", role=Role.MEMBER)
    many = [(await groups.add(f"group-{number}")).id for number in range(6)]
    await database.users.update_one({"_id": ada.id}, {"$set": {"group_ids": many[1:]}})
    await groups.add_members("group-1", ["ada"])  # they are in it
    with pytest.raises(IdentityConflictError, match=r'^"ada" is in 5 groups, the maximum$'):
        await groups.add_members("group-0", ["ada"])


async def test_each_change_of_a_group_is_in_the_audit_trail_once(groups, identities, database):
    await identities.add_user("ada", role=Role.MEMBER)
    group = await groups.add("lab")
    await groups.change("lab", name="research", display_name="Research")
    await groups.change("research", name="research")
    for _ in range(2):
        await groups.add_members("research", ["ada"])
    for _ in range(2):
        await groups.remove_members("research", ["ada"])
    await groups.add_members("research", ["ada"])
    await groups.remove("research")
    of = {"group_id": group.id, "group": "research"}
    assert sorted(await trail(database), key=str) == sorted(
        [
            ("group.added", None, of | {"group": "lab", "name": "lab"}),
            ("group.changed", None, of | {"group_before": "lab", "name": "Research", "name_before": "lab"}),
            ("group.member_added", "ada", of),
            ("group.member_removed", "ada", of),
            ("group.member_added", "ada", of),
            ("group.removed", None, of | {"members": 1, "revoked_tokens": 0}),
        ],
        key=str,
    )


async def test_of_changes_of_one_version_at_once_one_is_made(groups):
    version = (await groups.add("research")).version
    changes = [groups.change("research", display_name=str(number), versions=[version]) for number in range(4)]
    outcomes = await asyncio.gather(*changes, return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["ChangedMeanwhileError"] * 3 + ["Group"]


async def test_a_group_that_is_removed_while_it_gets_a_member_has_none(groups, identities, database):
    for number in range(5):
        await identities.add_user(f"user-{number}", role=Role.MEMBER)
        await groups.add(f"group-{number}")
        adding = groups.add_members(f"group-{number}", [f"user-{number}"])
        await asyncio.gather(adding, groups.remove(f"group-{number}"), return_exceptions=True)
        assert (await identities.find_user(f"user-{number}")).group_ids == ()


async def test_a_token_that_is_made_while_its_owner_is_removed_is_none(groups, identities, database):
    await identities.add_user("ada", role=Role.MEMBER)
    await groups.add("ci")
    for name, remove in (("ada", lambda: identities.remove_user("ada")), ("groups/ci", lambda: groups.remove("ci"))):
        removals = [remove]

        async def remove_meanwhile(session, removals=removals):
            await database.users.find_one({}, session=session)  # what it sees from now on is as of this moment
            if removals:
                await removals.pop()()

        with pytest.raises(UnknownIdentityError):
            await identities.create_token(name, first=remove_meanwhile)
    assert await database.tokens.count_documents({}) == 0
