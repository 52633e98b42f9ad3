"""`people apply` on a real database."""

import json

from tests.command_line import refused

FILE = """
users:
  - {username: ada, role: owner, groups: [research]}
  - {username: bob, role: member, name: Bob, groups: [research, ops]}
groups:
  - {name: research, display_name: Research}
  - {name: ops}
policies:
  groups/research: {limits: {together: {budget: {usd: 50.00, period: month}}}}
  users/bob: {limits: {concurrency: 3}}
"""


def test_a_file_becomes_what_there_is_and_again_it_changes_nothing(output, run, tmp_path):
    file = tmp_path / "people.yaml"
    file.write_text(FILE)
    difference = [
        "+ group research",
        "+ group ops",
        "+ user ada (role: owner, groups: research)",
        "+ user bob (role: member, groups: research, ops)",
        "+ policy groups/research",
        "+ policy users/bob",
    ]
    assert output("people", "apply", str(file), "--dry-run").splitlines() == difference
    assert json.loads(output("users", "list", "--json"))["results"] == []
    assert output("people", "apply", str(file)).splitlines() == difference
    bob = json.loads(output("users", "list", "--json"))["results"][1]
    groups = [group["name"] for group in bob["groups"]]
    assert (bob["name"], bob["role"], groups) == ("Bob", "member", ["ops", "research"])
    budget = {"usd": "50.00", "period": "month"}
    assert json.loads(output("policies", "show", "groups/research")) == {"limits": {"together": {"budget": budget}}}
    assert output("people", "apply", str(file)) == "Nothing is different.\n"
    file.write_text(
        json.dumps({"users": [{"username": "ada", "role": "owner", "groups": []}], "policies": {}, "groups": []})
    )
    assert output("people", "apply", str(file), "--remove").splitlines() == [
        "- policy groups/research",
        "- policy users/bob",
        "- ada in group research",
        "- user bob",
        "- group ops",
        "- group research",
    ]
    assert [user["username"] for user in json.loads(output("users", "list", "--json"))["results"]] == ["ada"]
    assert (
        json.loads(output("groups", "list", "--json"))["results"]
        == json.loads(output("policies", "list", "--json"))["results"]
        == []
    )


def test_a_file_with_a_mistake_at_its_end_changes_nothing(output, run, tmp_path):
    file = tmp_path / "people.yaml"
    file.write_text(FILE + "  users/carl: {}\n")
    message = "Error: nothing was changed: policies.users/carl: there is no such user\n"
    assert refused(run("people", "apply", str(file))) == (1, message)
    file.write_text(FILE + "  everyone: {max_tokens: x}\n")
    assert refused(run("people", "apply", str(file)))[0] == 1
    assert (
        json.loads(output("users", "list", "--json"))["results"]
        == json.loads(output("groups", "list", "--json"))["results"]
        == []
    )


def test_people_are_changed_and_what_refuses_everything_is_said(output, run, tmp_path):
    file = tmp_path / "people.yaml"
    file.write_text(FILE)
    output("people", "apply", str(file))
    changed = FILE.replace("concurrency: 3", "concurrency: 0").replace("display_name: Research", "display_name: Lab")
    file.write_text(changed.replace("role: member", "role: reader"))
    result = run("people", "apply", str(file))
    assert (result.exit_code, result.stdout.splitlines(), result.stderr) == (
        0,
        [
            "~ group research (display_name: 'Research' -> 'Lab')",
            "~ user bob (role: 'member' -> 'reader')",
            "~ policy users/bob",
        ],
        "Note: user bob: limits.concurrency: 0 refuses every call\n",
    )
    bob = json.loads(output("users", "list", "--json"))["results"][1]
    assert bob["role"] == "reader"
