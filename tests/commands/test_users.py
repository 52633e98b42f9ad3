import json
import re

from resources.accounts.users import ListedUser
from resources.shown import shown_fields
from tests.command_line import refused

MOMENT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


def test_a_user_is_added_listed_and_removed(output):
    assert output("users", "add", "ada") == "Added ada (member).\n"
    assert output("users", "add", "grace", "--role", "auditor", "--name", "Grace H.") == "Added grace (auditor).\n"
    output("groups", "add", "lab")
    output("groups", "add-member", "lab", "grace")
    assert output("users", "change", "grace", "--name", "Grace H.") == "Changed grace (auditor).\n"
    heading, ada, grace = output("users", "list").splitlines()
    assert heading.split() == [
        "NAME",
        "ROLE",
        "FULL",
        "NAME",
        "GROUPS",
        "LAST",
        "SEEN",
        "SPEND",
        "CREATED",
        "ID",
    ]
    assert re.fullmatch(rf"ada    member   ada                never      0.00   {MOMENT}  [0-9a-f-]{{36}}", ada)
    assert re.fullmatch(rf"grace  auditor  Grace H\.   lab     never      0.00   {MOMENT}  [0-9a-f-]{{36}}", grace)
    assert output("users", "remove", "ada") == "Removed ada and revoked their tokens.\n"
    (user,) = json.loads(output("users", "list", "--json"))
    assert (user["username"], user["name"], list(user)) == (
        "grace",
        "Grace H.",
        list(shown_fields(ListedUser).values()),
    )


def test_the_only_owner_stays_one_unless_it_is_confirmed_or_forced(run, output):
    output("users", "add", "ada", "--role", "owner")
    changes = ("users", "remove", "ada"), ("users", "change", "ada", "--role", "member")
    for change in changes:
        for typed in "", "n\n":
            code, said = refused(run(*change, typed=typed))
            assert code == 1
            assert said.startswith(
                '"ada" is the only owner; assign another owner first. Go on without an owner (--force'
            )
    assert [user["role"] for user in json.loads(output("users", "list", "--json"))] == ["owner"]
    assert run(*changes[1], typed="y\n").stdout == "Changed ada (member).\n"
    output("users", "change", "ada", "--role", "owner")
    assert output(*changes[0], "--force") == "Removed ada and revoked their tokens.\n"
