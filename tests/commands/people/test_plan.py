"""The plan of `people apply`, made without a database."""

import re
from uuid import UUID

import pytest

from commands.people.plan import There, plan
from commands.people.reading import InvalidPeopleError, read_people
from limits.policies.policy import Policy, SharedPolicy
from limits.policies.sources import Level, PolicyHolder
from storage.accounts.users import Group, Role, User
from storage.policies.documents import KeptPolicy
from tests.cases import for_each
from tests.storage.records import NOON

RESEARCH = Group(id=UUID(int=1), name="research", display_name="research", created_at=NOON)
OPS = Group(id=UUID(int=2), name="ops", display_name="Ops", created_at=NOON)
ADA = User(id=UUID(int=3), username="ada", name="Ada", role=Role.OWNER, created_at=NOON, group_ids=(OPS.id,))
BOB = User(id=UUID(int=4), username="bob", name="bob", role=Role.MEMBER, created_at=NOON)
OF_OPS = KeptPolicy(PolicyHolder(Level.GROUP, str(OPS.id), "ops"), SharedPolicy(max_tokens=5), "1")
OF_GONE = KeptPolicy(PolicyHolder(Level.USER, str(UUID(int=9)), "gone"), Policy(max_tokens=5), "1")
THERE = There([ADA, BOB], [RESEARCH, OPS], [OF_OPS, OF_GONE], frozenset({"abcdefghij"}))


@for_each(
    ("file", "removes", "wrong"),
    [
        (
            "users: [{username: a, role: owner, groups: [moon]}]",
            False,
            "users[0].groups[0]: there is no group named moon",
        ),
        (
            "users: [{username: a, role: owner, groups: [ops]}]\ngroups: []",
            True,
            "users[0].groups[0]: there is no group ",
        ),
        ("policies: {groups/moon: {}}", False, "policies.groups/moon: there is no such group"),
        ("policies: {users/moon: {}}", False, "policies.users/moon: there is no such user"),
        (
            "users: [{username: ada, role: owner}]\npolicies: {users/bob: {}}",
            True,
            "policies.users/bob: there is no such user",
        ),
        ("policies: {tokens/moon: {}}", False, "policies.tokens/moon: there is no such token"),
        ("users: [{username: ada, role: member}]", False, "users: there would be no owner any more"),
        ("users: [{username: bob, role: member}]", True, "users: there would be no owner any more"),
        ("groups: [{name: research}]", True, "groups: ops has a policy, so it cannot be removed: remove that too"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_changed(file, removes, wrong):
    with pytest.raises(InvalidPeopleError, match=f"^{re.escape(wrong)}"):
        plan(read_people(file.encode()), THERE, removes=removes)
