from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.accounts import groups as groups_module
from storage.accounts.audit import Author
from storage.accounts.groups import Groups
from storage.accounts.identities import (
    Identities,
    IdentityConflictError,
    InvalidTokenError,
    Role,
    UnknownIdentityError,
)
from storage.accounts.users import ChangedMeanwhileError, Group, IdentityError, checked_group_name
from storage.queries.accounts.audit import audit_page
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


@pytest.mark.gen_test
async def test_a_group_is_found_by_its_name_in_any_case_and_by_its_id(groups):
    group = await groups.add("Research", display_name="R & D")
    assert group == Group(id=group.id, name="Research", display_name="R & D", created_at=NOON)
    for reference in ("research", "RESEARCH", str(group.id), str(group.id).upper()):
        assert await groups.find(reference) == group
        assert await groups.existing(reference) == (group, 0)
    assert await groups.by_id([group.id, group.id]) == {group.id: group}
    assert await groups.by_id([]) == {}
    for reference in ("nobody", "re\u00adsearch", "11111111-1111-4111-8111-111111111111"):
        assert await groups.find(reference) is None
    assert (await groups.add("ops")).display_name == "ops"


@pytest.mark.gen_test
async def test_a_name_of_a_group_is_given_once_whatever_its_case(groups):
    await groups.add("research")
    with pytest.raises(IdentityConflictError, match=r'^a group named "research" exists already$'):
        await groups.add("RESEARCH")
    await groups.add("ops")
    with pytest.raises(IdentityConflictError, match=r'^a group named "research" exists already$'):
        await groups.change("ops", name="Research")
    assert (await groups.change("ops", name="OPS")).name == "OPS"


@pytest.mark.gen_test
async def test_of_groups_with_one_name_that_are_added_at_once_one_is_added(groups):
    outcomes = await asyncio.gather(*(groups.add("research") for _ in range(5)), return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Group", *["IdentityConflictError"] * 4]
    assert (await groups.page(limit=0, offset=0))[0] == 1


@pytest.mark.gen_test
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


@given(st.text())
def test_a_name_of_a_group_stays_as_it_is_or_is_refused(name):
    try:
        assert checked_group_name(name) == name
    except IdentityError:
        return
    assert name.isascii()
    assert name.lower() != "everyone"


@pytest.mark.gen_test
async def test_who_is_in_a_group_is_known_with_their_token(groups, identities):
    await identities.add_user("ada", role=Role.OWNER)
    _, text = await identities.create_token("ada")
    research, ops = await groups.add("research"), await groups.add("ops")
    assert (await identities.authenticate(text)).user.group_ids == ()
    assert await groups.add_members("research", ["ADA"]) == research
    await groups.add_members("ops", ["ada"])
    assert (await identities.authenticate(text)).user.group_ids == (research.id, ops.id)
    await groups.remove_members("research", ["ada"])
    assert (await identities.authenticate(text)).user.group_ids == (ops.id,)
    await groups.remove("ops")
    assert (await identities.authenticate(text)).user.group_ids == ()


@pytest.mark.gen_test
async def test_members_are_listed_by_name_without_removed_users(groups, identities):
    for username in ("Zoe", "ada", "bob", "gone"):
        await identities.add_user(username, role=Role.MEMBER)
    await groups.add("research")
    await groups.add("empty")
    await groups.add_members("research", ["Zoe", "bob", "ada", "gone", "ada"])
    await identities.remove_user("gone")
    everybody = await identities.list_users()
    assert [user.username for user in everybody] == ["ada", "bob", "Zoe"]
    assert await groups.members_page("research", limit=0, offset=0) == (3, everybody)
    assert await groups.members_page("research", limit=1, offset=1) == (3, everybody[1:2])
    assert await groups.members_page("empty", limit=10, offset=0) == (0, [])
    count, listed = await groups.page(limit=0, offset=0)
    assert (count, [(group.name, members) for group, members in listed]) == (2, [("empty", 0), ("research", 3)])
    assert [group.name for group, _ in (await groups.page(limit=1, offset=1))[1]] == ["research"]


@pytest.mark.gen_test
async def test_all_members_are_added_or_none(groups, identities, database):
    await identities.add_user("ada", role=Role.MEMBER)
    await groups.add("research")
    before = await trail(database)
    with pytest.raises(UnknownIdentityError, match=r'^there is no user named "nobody"$'):
        await groups.add_members("research", ["ada", "nobody"])
    assert await groups.members_page("research", limit=0, offset=0) == (0, [])
    assert await trail(database) == before


@pytest.mark.gen_test
async def test_a_user_is_in_a_bounded_number_of_groups(groups, identities, database, monkeypatch):
    monkeypatch.setattr(groups_module, "MAX_GROUPS_OF_USER", 5)
    ada = await identities.add_user("ada", role=Role.MEMBER)
    many = [(await groups.add(f"group-{number}")).id for number in range(6)]
    await database.users.update_one({"_id": ada.id}, {"$set": {"group_ids": many[1:]}})
    await groups.add_members("group-1", ["ada"])  # they are in it
    with pytest.raises(IdentityConflictError, match=r'^"ada" is in 5 groups, the maximum$'):
        await groups.add_members("group-0", ["ada"])


@pytest.mark.gen_test
async def test_a_removed_group_leaves_its_members_frees_its_name_and_keeps_its_own(groups, identities, database):
    for username in ("ada", "gone"):
        await identities.add_user(username, role=Role.MEMBER)
    first = await groups.add("research")
    await groups.add_members("research", ["ada", "gone"])
    await identities.remove_user("gone")
    assert await groups.remove("research") == first
    removed = {"group_id": first.id, "group": "research", "members": 1, "revoked_tokens": 0}
    assert ("group.removed", None, removed) in await trail(database)
    assert (await identities.find_user("ada")).group_ids == ()
    with pytest.raises(UnknownIdentityError, match=r'^there is no group named "research"$'):
        await groups.remove("research")
    again = await groups.add("research")
    assert await groups.by_id([first.id, again.id]) == {first.id: first, again.id: again}


@pytest.mark.gen_test
async def test_the_built_in_group_is_not_to_be_listed_or_changed(groups, identities):
    await identities.add_user("ada", role=Role.MEMBER)
    for attempt in (
        groups.existing("everyone"),
        groups.members_page("Everyone", limit=0, offset=0),
        groups.change("everyone", display_name="all"),
        groups.remove("everyone"),
        groups.add_members("everyone", ["ada"]),
        groups.remove_members("everyone", ["ada"]),
    ):
        with pytest.raises(UnknownIdentityError, match=r'^"everyone" is built in and has all users'):
            await attempt


@pytest.mark.gen_test
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


@pytest.mark.gen_test
async def test_who_changed_a_group_is_in_the_audit_trail(groups, identities, database):
    ada = await identities.add_user("ada", role=Role.OWNER)
    await groups.add("research", author=Author(ada, "203.0.113.9", "tokenOfAda"))
    (entry, *_) = [one for one in await audit_page(database, limit=10) if one["action"] == "group.added"]
    assert (entry["actor"], entry["client_ip"]) == (
        {"id": ada.id, "username": "ada", "token_id": "tokenOfAda"},
        "203.0.113.9",
    )


@pytest.mark.gen_test
async def test_of_two_who_change_one_version_of_a_group_the_second_is_told(groups):
    version = (await groups.add("research")).version
    changed = await groups.change("research", display_name="one", versions=[version])
    for attempt in (
        groups.change("research", display_name="two", versions=[version]),
        groups.remove("research", versions=[version]),
    ):
        with pytest.raises(ChangedMeanwhileError, match=r'^the group "research" was changed meanwhile; read it again$'):
            await attempt
    assert await groups.find("research") == changed
    assert (await groups.change("research", display_name="two", versions=["x", changed.version])).display_name == "two"


@pytest.mark.gen_test
async def test_of_changes_of_one_version_at_once_one_is_made(groups):
    version = (await groups.add("research")).version
    changes = [groups.change("research", display_name=str(number), versions=[version]) for number in range(4)]
    outcomes = await asyncio.gather(*changes, return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["ChangedMeanwhileError"] * 3 + ["Group"]


@pytest.mark.gen_test
async def test_a_group_that_is_removed_while_it_gets_a_member_has_none(groups, identities, database):
    for number in range(5):
        await identities.add_user(f"user-{number}", role=Role.MEMBER)
        await groups.add(f"group-{number}")
        adding = groups.add_members(f"group-{number}", [f"user-{number}"])
        await asyncio.gather(adding, groups.remove(f"group-{number}"), return_exceptions=True)
        assert (await identities.find_user(f"user-{number}")).group_ids == ()


@pytest.mark.gen_test
async def test_a_group_with_a_policy_is_not_removed(groups, database):
    group = await groups.add("research")
    kept = {"_id": f"groups/{group.id}"}
    await database.policies.insert_one(kept | {"policy": {"max_parallel": 1}})
    with pytest.raises(IdentityConflictError, match=r'^the group "research" has a policy: remove that first$'):
        await groups.remove("research")
    assert await groups.find("research") == group
    await database.policies.update_one(kept, {"$set": {"policy": {}}})  # as it is kept once it was removed
    assert await groups.remove("research") == group
    assert await groups.find("research") is None


@pytest.mark.gen_test
async def test_the_tokens_of_a_removed_group_are_revoked(groups, identities, database):
    group = await groups.add("ci")
    token, text = await identities.create_token("groups/ci")
    assert (await identities.authenticate(text)).user.group_ids == (group.id,)
    await groups.remove("ci")
    with pytest.raises(InvalidTokenError):
        await identities.authenticate(text)
    with pytest.raises(UnknownIdentityError, match=r'^there is no group named "ci"$'):
        await identities.create_token("groups/ci")
    of = {"group_id": group.id, "group": "ci"}
    removed = [entry for entry in await trail(database) if entry[0] == "group.removed"]
    assert removed == [("group.removed", None, of | {"members": 0, "revoked_tokens": 1})]
    assert (await database.tokens.find_one({"_id": token.id}))["revoked_at"] == NOON


@pytest.mark.gen_test
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
