"""A file of people: users, groups and policies, in YAML or JSON, read and checked as a whole.

Shape:
    users:    [{username, role, name?, groups?: [name, ..]}, ..]
    groups:   [{name, display_name?}, ..]
    policies: {everyone | groups/NAME | users/NAME | tokens/ID: policy, ..}
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, TypeVar

import msgspec
from msgspec import Struct

from commands.people.yaml_text import read_yaml
from intercept.formats.json_text import decode_unique
from limits.policies.policy import AnyPolicy
from limits.policies.reading import InvalidPolicyError, read_policy
from limits.policies.sources import Level
from resources.accounts.groups import NewGroup
from resources.accounts.users import NewUser
from resources.bodies import Body, InvalidBodyError, OtherReaders
from storage.accounts.groups import MAX_GROUPS_OF_USER
from storage.accounts.users import IdentityError, checked_group_name
from storage.policies.documents import kind_of, level_of

MAX_FILE_BYTES = 16 * 1024 * 1024
"""Largest file."""

SECTIONS = ("users", "groups", "policies")
PATHS = "must be everyone, groups/GROUP, users/USER or tokens/TOKEN"

B = TypeVar("B", bound=Body)


class InvalidPeopleError(ValueError):
    """The file is invalid. The text names the field and the error."""


class PlannedUser(NewUser):
    """A user in a file, with the names of all their groups; None means that the file does not say."""

    groups: tuple[str, ...] | None = None

    other_readers: ClassVar[OtherReaders] = {"groups": lambda given: given}


class People(Struct, frozen=True):
    """The content of a file. A missing section is None: then nothing of it is changed."""

    users: tuple[PlannedUser, ...] | None = None
    groups: tuple[NewGroup, ...] | None = None
    policies: Mapping[tuple[Level, str], AnyPolicy] | None = None


def read_people(data: bytes) -> People:
    """Read a file: JSON where it begins with `{`, else YAML.

    Raises:
        InvalidPeopleError: It cannot be used.
    """
    if len(data) > MAX_FILE_BYTES:
        raise InvalidPeopleError(f"has more than {MAX_FILE_BYTES >> 20} MiB")
    given = _object("", _decoded(data))
    for name in given:
        if name not in SECTIONS:
            raise InvalidPeopleError(f"{name}: unknown field; allowed are {', '.join(SECTIONS)}")
    users, groups, policies = (given.get(name) for name in SECTIONS)
    made = People(
        None if users is None else tuple(_users(users)),
        None if groups is None else tuple(_each("groups", groups, NewGroup)),
        None if policies is None else _policies(_object("policies", policies)),
    )
    _once("users", (user.username for user in made.users or ()))
    _once("groups", (group.name for group in made.groups or ()))
    return made


def _decoded(data: bytes) -> Any:
    try:
        if data.lstrip()[:1] == b"{":
            return decode_unique(data)
        return read_yaml(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise InvalidPeopleError(" ".join(str(error).split())) from error


def _each(section: str, given: Any, kind: type[B]) -> Iterator[B]:
    """Read the items of a section as the API reads a body. What is null is not said."""
    for at, one in enumerate(_list(section, given)):
        where = f"{section}[{at}]"
        try:
            yield kind.of({name: value for name, value in _object(where, one).items() if value is not None})
        except InvalidBodyError as error:
            field, rule = error.problems[0]
            raise InvalidPeopleError(f"{where}.{field}: {rule}") from error


def _users(given: Any) -> Iterator[PlannedUser]:
    for at, user in enumerate(_each("users", given, PlannedUser)):
        if user.groups is not None:
            where = f"users[{at}].groups"
            user.groups = tuple(_group_names(where, _list(where, user.groups)))
            _once(where, user.groups)
            if len(user.groups) > MAX_GROUPS_OF_USER:
                raise InvalidPeopleError(f"{where}: a user may be in at most {MAX_GROUPS_OF_USER} groups")
        yield user


def _group_names(where: str, given: Iterable[Any]) -> Iterator[str]:
    for at, name in enumerate(given):
        if not isinstance(name, str):
            raise InvalidPeopleError(f"{where}[{at}]: must be text")
        try:
            yield checked_group_name(name)
        except IdentityError as error:
            raise InvalidPeopleError(f"{where}[{at}]: {error}") from error


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


def _object(where: str, given: Any) -> dict[str, Any]:
    if not isinstance(given, dict) or not all(isinstance(name, str) for name in given):
        raise InvalidPeopleError(f"{where or 'the file'}: must be an object")
    return given


def _list(where: str, given: Any) -> list[Any]:
    if not isinstance(given, list):
        raise InvalidPeopleError(f"{where}: must be a list")
    return given


def _once(where: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name.lower() in seen:
            raise InvalidPeopleError(f"{where}: {name} is there twice")
        seen.add(name.lower())
