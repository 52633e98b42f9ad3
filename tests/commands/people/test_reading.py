"""A file of people is read as a whole, or refused with what is wrong and where."""

import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commands.people.reading import InvalidPeopleError, People, read_people
from tests.cases import for_each


@for_each(
    ("text", "wrong"),
    [
        ("", "the file: must be an object"),
        ("- a", "the file: must be an object"),
        ("people: []", "people: unknown field; allowed are users, groups, policies"),
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
        ("users: [{username: ada, role: owner, groups: [everyone]}]", "users[0].groups[0]: the name "),
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
    ],
)
def test_what_is_wrong_is_named(text, wrong):
    with pytest.raises(InvalidPeopleError, match=f"^{re.escape(wrong)}"):
        read_people(text.encode())


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_whatever_is_in_a_file_it_is_read_or_refused(data):
    with suppress(InvalidPeopleError):
        assert isinstance(read_people(data), People)
