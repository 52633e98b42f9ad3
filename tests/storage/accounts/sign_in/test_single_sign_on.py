from __future__ import annotations

import asyncio

import pytest

from runtime.process import now
from storage.accounts import groups as groups_module
from storage.accounts.groups import Groups
from storage.accounts.identities import Identities
from storage.accounts.sign_in import single_sign_on
from storage.accounts.sign_in.single_sign_on import Claimed, PersonRefusedError, Refused, SingleSignOn
from storage.accounts.users import Role

ISSUER = "https://id.example"


def claimed(subject="s-1", username="grace@example.com", **more):
    return Claimed(issuer=ISSUER, subject=subject, username=username, display_name="Grace", **more)


@pytest.fixture
def identities(database):
    return Identities(database, now=now, monotonic=lambda: 0.0)


@pytest.fixture
def groups(database, identities):
    return Groups(database, identities, now=now)


@pytest.fixture
def make(database, identities, groups):
    return lambda **options: SingleSignOn(database, identities, groups, now=now, **options)


async def refusal(admission, why):
    with pytest.raises(PersonRefusedError) as caught:
        await admission
    assert caught.value.why is why


@pytest.mark.gen_test
async def test_a_person_becomes_a_user_once(make, identities):
    first = await make().admit(claimed())
    again = await make().admit(claimed(username="another@example.com"))
    assert (first.username, first.display_name, first.role) == ("grace@example.com", "Grace", Role.MEMBER)
    assert again == first
    assert await identities.list_users() == [first]


@pytest.mark.gen_test
async def test_a_person_in_two_tabs_at_once_becomes_one_user(make, identities):
    users = await asyncio.gather(*(make().admit(claimed()) for _ in range(4)))
    assert len({user.id for user in users}) == 1
    assert len(await identities.list_users()) == 1


@pytest.mark.gen_test
async def test_two_persons_of_one_name_are_not_one_user(make):
    await make().admit(claimed())
    await refusal(make().admit(claimed("s-2")), Refused.NAME_TAKEN)
    await refusal(make(links_users=True).admit(claimed("s-2", "GRACE@example.com")), Refused.NAME_TAKEN)


@pytest.mark.gen_test
async def test_the_same_subject_of_another_issuer_is_somebody_else(make):
    first = await make().admit(claimed())
    other = Claimed(issuer="https://other.example", subject="s-1", username="hopper", display_name="")
    second = await make().admit(other)
    assert second.id != first.id
    assert second.display_name == "hopper"


@pytest.mark.gen_test
async def test_a_name_that_is_not_allowed_is_refused(make):
    why = {}
    for username in ("", "a b", "me", "3dc9afb2-d8d4-49f1-9cf7-ad523218a70b", "x" * 129, "groups/x"):
        why[username] = None
        try:
            await make().admit(claimed(username=username))
        except PersonRefusedError as error:
            why[username] = error.why
    assert why == dict.fromkeys(why, Refused.NAME_NOT_ALLOWED)


@pytest.mark.gen_test
async def test_a_display_name_that_is_not_allowed_is_left_out(make):
    person = Claimed(issuer=ISSUER, subject="s", username="grace", display_name="sk-ant-api03-" + "x" * 95)
    assert (await make().admit(person)).display_name == "grace"


@pytest.mark.gen_test
async def test_a_removed_user_stays_out_until_an_owner_adds_them_again(make, identities):
    await make().admit(claimed())
    await identities.remove_user("grace@example.com")
    await refusal(make(links_users=True).admit(claimed()), Refused.REMOVED)
    added = await identities.add_user("grace@example.com", role=Role.AUDITOR)
    await refusal(make().admit(claimed()), Refused.NAME_TAKEN)
    linked = await make(links_users=True).admit(claimed())
    assert (linked.id, linked.role) == (added.id, Role.AUDITOR)


@pytest.mark.gen_test
async def test_roles_are_set_and_the_only_owner_stays_one(make, expected_logs):
    assert (await make().admit(claimed(role=Role.OWNER))).role is Role.OWNER
    assert (await make().admit(claimed())).role is Role.OWNER
    expected_logs.append("grace@example.com stays the only owner")
    assert (await make().admit(claimed(role=Role.MEMBER))).role is Role.OWNER
    await make().admit(claimed("s-2", "ada", role=Role.OWNER))
    assert (await make().admit(claimed(role=Role.READER))).role is Role.READER


@pytest.mark.gen_test
async def test_two_owners_who_lose_the_role_at_once_are_not_both_without_it(make, database, expected_logs):
    expected_logs.append("stays the only owner")
    people = [claimed(f"s-{number}", f"user-{number}", role=Role.OWNER) for number in range(2)]
    for person in people:
        await make().admit(person)
    await asyncio.gather(*(make().admit(claimed(one.subject, one.username, role=Role.MEMBER)) for one in people))
    assert await database.users.count_documents({"role": "owner"}) == 1


@pytest.mark.gen_test
async def test_groups_that_were_claimed_are_left_and_others_kept(make, groups):
    ids = {name: (await groups.add(name)).id for name in ("a", "b", "c")}
    assert (await make().admit(claimed(groups=("A", "b", "nowhere")))).group_ids == (ids["a"], ids["b"])
    await groups.add_members("c", ["grace@example.com"])
    assert (await make().admit(claimed(groups=("b", "c")))).group_ids == (ids["b"], ids["c"])
    assert (await make().admit(claimed())).group_ids == (ids["b"], ids["c"])
    assert (await make().admit(claimed(groups=()))).group_ids == (ids["c"],)


@pytest.mark.gen_test
async def test_a_user_joins_no_more_groups_than_are_allowed(make, monkeypatch):
    for module in (groups_module, single_sign_on):
        monkeypatch.setattr(module, "MAX_GROUPS_OF_USER", 5)
    names = tuple(f"group-{number}" for number in range(10))
    user = await make(makes_groups=True).admit(claimed(groups=names))
    assert len(user.group_ids) == 5


@pytest.mark.gen_test
async def test_groups_are_made_once_however_many_claim_them(make, groups):
    people = [claimed(f"s-{number}", f"user-{number}", groups=("new", "not allowed")) for number in range(4)]
    users = await asyncio.gather(*(make(makes_groups=True).admit(person) for person in people))
    count, (found,) = await groups.page(limit=10, offset=0)
    assert (count, found[1]) == (1, 4)
    assert {user.group_ids for user in users} == {(found[0].id,)}


@pytest.mark.gen_test
async def test_a_group_that_is_removed_meanwhile_is_not_joined(make, groups, monkeypatch):
    group = await groups.add("gone")
    admission = make()
    named = admission._named

    async def remove_after(names):
        found = await named(names)
        await groups.remove("gone")
        return found

    monkeypatch.setattr(admission, "_named", remove_after)
    assert group.id not in (await admission.admit(claimed(groups=("gone",)))).group_ids


@pytest.mark.gen_test
async def test_the_index_finds_a_person_among_many(database):
    plan = await database.users.find({"openid.issuer": ISSUER, "openid.subject": "s"}).explain()
    assert '"by_subject"' in str(plan).replace("'", '"')


@pytest.mark.gen_test
async def test_whom_a_proxy_names_is_made_once_and_changed_never(make, identities):
    users = await asyncio.gather(*(make().admit_named("grace") for _ in range(4)))
    assert {user.role for user in users} == {Role.MEMBER}
    assert len({user.id for user in users}) == 1
    await identities.change_user("grace", role=Role.AUDITOR)
    assert (await make().admit_named("GRACE")).role is Role.AUDITOR


@pytest.mark.gen_test
async def test_whom_a_proxy_names_and_an_owner_removed_stays_out(make, identities):
    await make().admit_named("grace")
    await identities.remove_user("grace")
    await refusal(make().admit_named("Grace"), Refused.REMOVED)
    await refusal(make().admit_named("a b"), Refused.NAME_NOT_ALLOWED)
    again = await identities.add_user("grace", role=Role.MEMBER)
    assert await make().admit_named("grace") == again
