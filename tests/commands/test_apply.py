"""`apply` on a real database, and the file that it reads."""

import json
import re
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commands.apply_file import InvalidFileError, Wanted, read
from tests.answering import Answer, AnsweringServer
from tests.cases import for_each
from tests.command_line import refused

THERE = """
users:
  - {username: ada, role: owner, groups: [ops]}
  - {username: bob, role: member}
groups: [{name: research}, {name: ops}]
policies: {groups/ops: {max_tokens: 5}}
"""

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
    file = tmp_path / "file.yaml"
    file.write_text(FILE)
    difference = [
        "+ group research",
        "+ group ops",
        "+ user ada (role: owner, groups: research)",
        "+ user bob (role: member, groups: research, ops)",
        "+ policy groups/research",
        "+ policy users/bob",
    ]
    assert output("apply", str(file), "--dry-run").splitlines() == difference
    assert json.loads(output("users", "list", "-o", "json"))["results"] == []
    assert output("apply", str(file)).splitlines() == difference
    bob = json.loads(output("users", "list", "-o", "json"))["results"][1]
    groups = [group["name"] for group in bob["groups"]]
    assert (bob["name"], bob["role"], groups) == ("Bob", "member", ["ops", "research"])
    budget = {"usd": 50.0, "period": "month"}
    assert json.loads(output("policies", "show", "groups/research")) == {"limits": {"together": {"budget": budget}}}
    assert output("apply", str(file)) == "Nothing is different.\n"
    file.write_text("policies: {users/bob: {}, users/ada: {}}")
    assert output("apply", str(file)) == "- policy users/bob\n"
    assert output("apply", str(file)) == "Nothing is different.\n"
    file.write_text(
        json.dumps({"users": [{"username": "ada", "role": "owner", "groups": []}], "policies": {}, "groups": []})
    )
    assert output("apply", str(file), "--remove").splitlines() == [
        "- policy groups/research",
        "- ada in group research",
        "- user bob",
        "- group ops",
        "- group research",
    ]
    assert [user["username"] for user in json.loads(output("users", "list", "-o", "json"))["results"]] == ["ada"]
    assert (
        json.loads(output("groups", "list", "-o", "json"))["results"]
        == json.loads(output("policies", "list", "-o", "json"))["results"]
        == []
    )


def test_a_file_with_a_mistake_at_its_end_changes_nothing(output, run, tmp_path):
    file = tmp_path / "file.yaml"
    file.write_text(FILE + "  users/carl: {}\n")
    message = "Error: nothing was changed: policies.users/carl: there is no such user\n"
    assert refused(run("apply", str(file))) == (1, message)
    file.write_text(FILE + "  everyone: {max_tokens: x}\n")
    assert refused(run("apply", str(file)))[0] == 1
    assert (
        json.loads(output("users", "list", "-o", "json"))["results"]
        == json.loads(output("groups", "list", "-o", "json"))["results"]
        == []
    )


def test_a_server_that_fails_while_policies_are_read_is_told_of_no_change(run, tmp_path):
    methods = []

    def fail(asked):
        """Have a policy of ada, and be unable to read it."""
        methods.append(asked.method)
        path = asked.path.partition("?")[0]
        if path.endswith("/policies/users/ada"):
            return Answer(503, {"message": "The database is unavailable."})
        listed = [{"path": "users/ada", "level": "user", "name": "ada"}] if path.endswith("/policies") else []
        return Answer(200, [] if path.endswith("/configured") else {"results": listed, "count": len(listed)})

    file = tmp_path / "file.yaml"
    file.write_text("policies: {everyone: {max_tokens: 5}}")
    with closing(AnsweringServer(fail)) as server:
        assert refused(run("apply", str(file), "--url", server.url, AIBRIDGE_TOKEN="t" * 43)) == (
            1,
            "Error: The database is unavailable.\n",
        )
    assert set(methods) == {"GET"}


def test_the_only_owner_may_be_replaced_in_one_go(output, tmp_path):
    file = tmp_path / "file.yaml"
    file.write_text(THERE)
    output("apply", str(file))
    file.write_text("users: [{username: ada, role: member}, {username: bob, role: owner}]")
    assert output("apply", str(file)).splitlines() == [
        "~ user bob (role: 'member' -> 'owner')",
        "~ user ada (role: 'owner' -> 'member')",
    ]


def test_people_are_changed_and_what_refuses_everything_is_said(output, run, tmp_path):
    file = tmp_path / "file.yaml"
    file.write_text(FILE)
    output("apply", str(file))
    changed = FILE.replace("concurrency: 3", "concurrency: 0").replace("display_name: Research", "display_name: Lab")
    file.write_text(changed.replace("role: member", "role: reader"))
    result = run("apply", str(file))
    assert (result.exit_code, result.stdout.splitlines(), result.stderr) == (
        0,
        [
            "~ group research (display_name: 'Research' -> 'Lab')",
            "~ user bob (role: 'member' -> 'reader')",
            "~ policy users/bob",
        ],
        "Note: users/bob: limits.concurrency: 0 refuses every call\n",
    )
    bob = json.loads(output("users", "list", "-o", "json"))["results"][1]
    assert bob["role"] == "reader"


REFUSED = [
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
    ("policies: {tokens/moon: {}}", False, "policies.tokens/moon: "),
    ("users: [{username: ada, role: member}]", False, "users: there would be no owner any more"),
    ("users: [{username: bob, role: member}]", True, "users: there would be no owner any more"),
    ("groups: [{name: research}]", True, "groups: ops has a policy, so it cannot be removed: remove that too"),
]


def test_what_cannot_be_is_said_before_anything_is_changed(run, output, tmp_path):
    path = tmp_path / "there.yaml"
    path.write_text(THERE)
    output("apply", str(path))
    before = [output(one, "list", "-o", "json") for one in ("users", "groups", "policies")]
    for file, removes, wrong in REFUSED:
        path.write_text(file)
        code, said = refused(run("apply", str(path), *["--remove"] * removes))
        assert (code, said[: len(wrong) + 28]) == (1, f"Error: nothing was changed: {wrong}")
    assert [output(one, "list", "-o", "json") for one in ("users", "groups", "policies")] == before


@for_each(
    ("text", "wrong"),
    ("", "the file: must be an object"),
    ("- a", "the file: must be an object"),
    ("people: []", "people: unknown field; allowed are users, groups, policies, providers"),
    ("users: {}", "users: must be a list"),
    ("users: [ada]", "users[0]: must be an object"),
    ("users: [{username: ada}]", "users[0].role: is required"),
    ("users: [{role: owner}]", "users[0].username: is required"),
    ("users: [{username: ada, role: king}]", "users[0].role: must be one of owner, auditor, reader, member"),
    ("users: [{username: 7, role: owner}]", "users[0].username: must be text"),
    ("users: [{username: ada, role: owner, age: 7}]", "users[0].age: unknown field; allowed are username, "),
    ("users: [{username: me, role: owner}]", 'users[0].username: the username "me" is not allowed'),
    ("users: [{username: ada, role: owner}, {username: ADA, role: owner}]", "users: ADA is there twice"),
    ("users: [{username: ada, role: owner, groups: [a, A]}]", "users[0].groups: A is there twice"),
    ("users: [{username: ada, role: owner, groups: [everyone]}]", "users[0].groups: the name "),
    ("groups: [{name: a}, {name: a}]", "groups: a is there twice"),
    ("groups: [{name: a b}]", 'groups[0].name: the name "a b" of a group is not allowed'),
    ("policies: {moon/x: {}}", "policies.moon/x: must be everyone, groups/GROUP, users/USER or tokens/TOKEN"),
    ("policies: {everyone: {max_tokens: 0}}", "policies.everyone.max_tokens: must be a whole number, 1 or more"),
    ("policies: {everyone: 7}", "policies.everyone: must be an object"),
    ("policies: {groups/a: {}, groups/A: {}}", "policies: groups/A is there twice"),
    ("users: &a []\ngroups: *a", "line 2: an alias (*name) is not allowed"),
    ("users: []\nusers: []", "line 2: users is there twice"),
    ('{"policies": {"everyone": {"models": {"deny": [], "deny": []}}}}', "deny is there twice"),
    ("users: [", "while parsing a flow node"),
    ("{", "Input data was truncated"),
    ('{"users": 7}', "users: must be a list"),
    ("7: a", "the file: must be an object"),
    ("!!python/object:os.system {}", "could not determine a constructor for the tag"),
)
def test_what_is_wrong_is_named(text, wrong):
    with pytest.raises(InvalidFileError, match=f"^{re.escape(wrong)}"):
        read(text.encode(), Path())


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_whatever_is_in_a_file_it_is_read_or_refused(data):
    with suppress(InvalidFileError):
        assert isinstance(read(data, Path()), Wanted)
