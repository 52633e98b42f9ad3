import json
import re

import pytest

MOMENT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


def test_groups_are_added_filled_listed_and_removed(output):
    for name in ("ada", "bob"):
        output("users", "add", name)
    assert output("groups", "add", "research", "--display-name", "R & D") == "Added the group research.\n"
    output("groups", "add", "ops")
    assert output("groups", "add-member", "Research", "ada", "bob") == "In the group research: ada, bob.\n"
    heading, ops, research = output("groups", "list").splitlines()
    assert heading.split() == ["NAME", "DISPLAY", "NAME", "MEMBERS", "CREATED", "ID"]
    assert re.fullmatch(rf"ops       ops           0        {MOMENT}  [0-9a-f-]{{36}}", ops)
    assert re.fullmatch(rf"research  R & D         2        {MOMENT}  [0-9a-f-]{{36}}", research)
    members = [line.split()[0] for line in output("groups", "members", "research").splitlines()]
    assert members == ["NAME", "ada", "bob"]
    assert output("groups", "remove-member", "research", "ada") == "Not in the group research: ada.\n"
    (member,) = json.loads(output("groups", "members", "research", "--json"))
    (_, group) = json.loads(output("groups", "list", "--json"))
    assert (member["username"], list(member)) == ("bob", ["id", "username", "name", "role", "created_at"])
    assert {**group, "id": "", "created_at": ""} == {
        "id": "",
        "name": "research",
        "display_name": "R & D",
        "created_at": "",
        "members": 1,
    }
    assert output("groups", "remove", "research") == "Removed the group research.\n"
    assert [one["name"] for one in json.loads(output("groups", "list", "--json"))] == ["ops"]


@pytest.fixture
def ops(output):
    """Reads the members of a group, in which there is nobody."""
    output("users", "add", "ada")
    output("groups", "add", "ops")
    return lambda: json.loads(output("groups", "members", "ops", "--json"))
