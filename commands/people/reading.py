"""A file of people: users, groups and policies, in YAML or JSON, read and checked as a whole.

Shape:
    users:    [{username, role, display_name?, cost_centre?, groups?: [name, ..]}, ..]
    groups:   [{name, display_name?}, ..]
    policies: {everyone | groups/NAME | users/NAME | tokens/ID: policy, ..}
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from commands.people.yaml_text import read_yaml
from intercept.formats.json_text import decode_unique
from limits.policies.policy import AnyPolicy
from limits.policies.reading import InvalidPolicyError, read_policy
from limits.policies.sources import Level
from storage.accounts.groups import MAX_GROUPS_OF_USER
from storage.accounts.users import IdentityError, Role, checked_group_name, checked_name, checked_username
from storage.policies.documents import kind_of, level_of

MAX_FILE_BYTES = 16 * 1024 * 1024
"""Largest file."""

SECTIONS = ("users", "groups", "policies")
PATHS = "must be everyone, groups/GROUP, users/USER or tokens/TOKEN"

T = TypeVar("T")


class InvalidPeopleError(ValueError):
    """The file is invalid. The text names the field and the error."""


class PlannedUser(Struct, frozen=True):
    """A user in a file. None means that the file does not say."""

    username: str
    role: Role
    display_name: str | None = None
    cost_centre: str | None = None
    groups: tuple[str, ...] | None = None


class PlannedGroup(Struct, frozen=True):
    """A group as a file has it."""

    name: str
    display_name: str | None = None


class People(Struct, frozen=True):
    """The content of a file. A missing section is None: then nothing of it is changed."""

    users: tuple[PlannedUser, ...] | None = None
    groups: tuple[PlannedGroup, ...] | None = None
    policies: Mapping[tuple[Level, str], AnyPolicy] | None = None


def read_people(data: bytes) -> People:
    """Read a file: JSON where it begins with `{`, else YAML.

    Raises:
        InvalidPeopleError: It cannot be used.
    """
    if len(data) > MAX_FILE_BYTES:
        raise InvalidPeopleError(f"has more than {MAX_FILE_BYTES >> 20} MiB")
    given = _object("", _decoded(data))
    _known("", given, SECTIONS)
    users, groups, policies = (given.get(name) for name in SECTIONS)
    made = People(
        None if users is None else tuple(_user(f"users[{at}]", one) for at, one in enumerate(_list("users", users))),
        None
        if groups is None
        else tuple(_group(f"groups[{at}]", one) for at, one in enumerate(_list("groups", groups))),
        None if policies is None else _policies(_object("policies", policies)),
    )
    _once("users", [user.username for user in made.users or ()])
    _once("groups", [group.name for group in made.groups or ()])
    return made


def _decoded(data: bytes) -> Any:
    try:
        if data.lstrip()[:1] == b"{":
            return decode_unique(data)
        return read_yaml(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise InvalidPeopleError(" ".join(str(error).split())) from error


def _user(where: str, given: Any) -> PlannedUser:
    fields = _object(where, given)
    _known(where, fields, PlannedUser.__struct_fields__)
    groups = fields.get("groups")
    if groups is not None:
        named = [
            _checked(f"{where}.groups[{at}]", checked_group_name, one)
            for at, one in enumerate(_list(f"{where}.groups", groups))
        ]
        _once(f"{where}.groups", named)
        if len(named) > MAX_GROUPS_OF_USER:
            raise InvalidPeopleError(f"{where}.groups: a user may be in at most {MAX_GROUPS_OF_USER} groups")
    return PlannedUser(
        _checked(f"{where}.username", checked_username, _required(where, fields, "username")),
        _checked(f"{where}.role", _role, _required(where, fields, "role")),
        _optional(where, fields, "display_name", "display name"),
        _optional(where, fields, "cost_centre", "cost centre"),
        None if groups is None else tuple(named),
    )


def _group(where: str, given: Any) -> PlannedGroup:
    fields = _object(where, given)
    _known(where, fields, PlannedGroup.__struct_fields__)
    name = _checked(f"{where}.name", checked_group_name, _required(where, fields, "name"))
    return PlannedGroup(name, _optional(where, fields, "display_name", "display name"))


def _policies(given: Mapping[str, Any]) -> dict[tuple[Level, str], AnyPolicy]:
    made: dict[tuple[Level, str], AnyPolicy] = {}
    for path, fields in given.items():
        where = f"policies.{path}"
        try:
            level, reference = level_of(path)
        except ValueError:
            raise InvalidPeopleError(f"{where}: {PATHS}") from None
        try:
            made[level, reference] = read_policy(_object(where, fields), kind_of(level))
        except InvalidPolicyError as error:
            raise InvalidPeopleError(f"{where}.{error}" if error.field else f"{where}: {error}") from error
    _once("policies", [f"{level}s/{reference}" for level, reference in made])
    return made


def _role(text: str) -> Role:
    try:
        return Role(text)
    except ValueError:
        raise ValueError(f"must be one of {', '.join(Role)}") from None


def _optional(where: str, fields: Mapping[str, Any], name: str, subject: str) -> str | None:
    if fields.get(name) is None:
        return None
    return _checked(f"{where}.{name}", lambda text: checked_name(subject, text), fields[name])


def _required(where: str, fields: Mapping[str, Any], name: str) -> Any:
    if name not in fields:
        raise InvalidPeopleError(f"{where}.{name}: is required")
    return fields[name]


def _checked(where: str, check: Callable[[str], T], given: Any) -> T:
    if not isinstance(given, str):
        raise InvalidPeopleError(f"{where}: must be text")
    try:
        return check(given)
    except (IdentityError, ValueError) as error:
        raise InvalidPeopleError(f"{where}: {error}") from error


def _object(where: str, given: Any) -> dict[str, Any]:
    if not isinstance(given, dict) or not all(isinstance(name, str) for name in given):
        raise InvalidPeopleError(f"{where or 'the file'}: must be an object")
    return given


def _list(where: str, given: Any) -> list[Any]:
    if not isinstance(given, list):
        raise InvalidPeopleError(f"{where}: must be a list")
    return given


def _known(where: str, fields: Mapping[str, Any], names: tuple[str, ...]) -> None:
    for name in fields:
        if name not in names:
            raise InvalidPeopleError(
                f"{where + '.' if where else ''}{name}: unknown field; allowed are {', '.join(names)}"
            )


def _once(where: str, names: list[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name.lower() in seen:
            raise InvalidPeopleError(f"{where}: {name} is there twice")
        seen.add(name.lower())
