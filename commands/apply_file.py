"""The file of `apply`, YAML or JSON, read and checked as a whole. A missing section changes nothing.

Shape:
    users:     [{username, role, name?, groups?: [name, ..]}, ..]
    groups:    [{name, display_name?}, ..]
    policies:  {everyone | groups/NAME | users/NAME | tokens/ID: policy, ..}
    providers: [{name, type, .., key_files?: [path, ..]}, ..]
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TypeVar

import click
import msgspec
import yaml

from commands.operations import OF_FILES
from commands.providers import read_keys, read_text
from intercept.formats.json_text import decode_unique
from limits.policies.policy import AnyPolicy
from limits.policies.reading import InvalidPolicyError, read_policy
from resources.accounts import NewGroup, NewUser
from resources.bodies import Body, InvalidBodyError, OtherReaders
from resources.providers import NewProvider, check_provider
from storage.accounts.groups import MAX_GROUPS_OF_USER
from storage.accounts.users import checked_group_name
from storage.policies.documents import kind_of, level_of
from upstream.providers.presets import ProviderType
from upstream.providers.provider import find_fault

MAX_FILE_BYTES = 16 * 1024 * 1024

SECTIONS = ("users", "groups", "policies", "providers")
PATHS = "must be everyone, groups/GROUP, users/USER or tokens/TOKEN"

FIELDS_OF_FILES = {flag[2:].replace("-", "_"): field for field, flag in OF_FILES.items() if field != "keys"}
"""By the field that names a file, the field of a provider that gets its content."""

B = TypeVar("B", bound=Body)


class InvalidFileError(ValueError):
    """The file cannot be applied. The text names the field and the error."""


def _group_names(given: Any) -> tuple[str, ...]:
    if not isinstance(given, list) or not all(isinstance(name, str) for name in given):
        raise ValueError("must be a list of texts")
    if len(given) > MAX_GROUPS_OF_USER:
        raise ValueError(f"a user may be in at most {MAX_GROUPS_OF_USER} groups")
    names = tuple([checked_group_name(name) for name in given])
    if twice := _twice(names):
        raise ValueError(f"{twice} is there twice")
    return names


class PlannedUser(NewUser):
    """A user in a file, with the names of all their groups; None means that the file does not say."""

    groups: tuple[str, ...] | None = None

    other_readers: ClassVar[OtherReaders] = {"groups": _group_names}


class Wanted(NamedTuple):
    """The content of a file. A missing section is None: then nothing of it is changed."""

    users: tuple[PlannedUser, ...] | None = None
    groups: tuple[NewGroup, ...] | None = None
    policies: Mapping[str, AnyPolicy] | None = None
    providers: tuple[NewProvider, ...] | None = None


def read_file(path: Path) -> Wanted:
    """Read a file, JSON where it begins with `{`, else YAML, and the files that it names; `-` is standard input.

    Raises:
        InvalidFileError: It cannot be used.
        click.ClickException: It, or a file that it names, cannot be read.
    """
    try:
        with click.open_file(str(path), "rb") as file:
            data: bytes = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise click.ClickException(f"{path} cannot be read: {error.strerror}") from error
    return read(data, path.parent)


def read(data: bytes, folder: Path) -> Wanted:
    """Read the content of a file that is in `folder`; raises as `read_file`."""
    if len(data) > MAX_FILE_BYTES:
        raise InvalidFileError(f"has more than {MAX_FILE_BYTES >> 20} MiB")
    given = _object("", _decoded(data))
    for name in given:
        if name not in SECTIONS:
            raise InvalidFileError(f"{name}: unknown field; allowed are {', '.join(SECTIONS)}")
    users, groups, policies, providers = (given.get(name) for name in SECTIONS)
    made = Wanted(
        None if users is None else tuple(_each("users", users, PlannedUser)),
        None if groups is None else tuple(_each("groups", groups, NewGroup)),
        None if policies is None else _policies_of(_object("policies", policies)),
        None if providers is None else tuple(_providers_of(providers, folder)),
    )
    _once("users", (user.username for user in made.users or ()))
    _once("groups", (group.name for group in made.groups or ()))
    _once("providers", (one.name for one in made.providers or ()))
    types = {one.name: ProviderType(one.type) for one in made.providers or ()}
    for number, one in enumerate(made.providers or ()):
        here = [name for name in one.fallback if name in types]  # others may be of the server's environment
        if fault := find_fault(one.name, types[one.name], here, types):
            raise InvalidFileError(f"providers[{number}].fallback: {fault}")
    return made


def _decoded(data: bytes) -> Any:
    try:
        return decode_unique(data) if data.lstrip()[:1] == b"{" else yaml.load(data, _Loader)  # noqa: S506 - it is safe
    except (msgspec.DecodeError, yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise InvalidFileError(" ".join(str(error).split())) from error


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """Refuses aliases, because a few can expand to very much, and duplicate keys, because one would be lost."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Read a value."""
        if self.check_event(yaml.AliasEvent):
            raise ValueError(f"line {self.peek_event().start_mark.line + 1}: an alias (*name) is not allowed")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        """Make an object."""
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise ValueError(f"line {key.start_mark.line + 1}: {key.value} is there twice")
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def _each(section: str, given: Any, kind: type[B]) -> Iterator[B]:
    """Read the items of a section."""
    for at, one in enumerate(_list(section, given)):
        yield _read_body(f"{section}[{at}]", one, kind)


def _read_body(where: str, given: Any, kind: type[B]) -> B:
    """Read an object as the API reads a body. What is null is not said."""
    try:
        return kind.of({name: value for name, value in _object(where, given).items() if value is not None})
    except InvalidBodyError as error:
        raise InvalidFileError("; ".join(f"{where}.{field}: {rule}" for field, rule in error.problems)) from error


def _policies_of(given: Mapping[str, Any]) -> dict[str, AnyPolicy]:
    made: dict[str, AnyPolicy] = {}
    for path, fields in given.items():
        where = f"policies.{path}"
        try:
            level, _ = level_of(path)
        except ValueError:
            raise InvalidFileError(f"{where}: {PATHS}") from None
        try:
            made[path] = read_policy(_object(where, fields), kind_of(level))
        except InvalidPolicyError as error:
            raise InvalidFileError(f"{where}.{error}" if error.field else f"{where}: {error}") from error
    _once("policies", made)
    return made


def _providers_of(given: Any, folder: Path) -> Iterator[NewProvider]:
    for at, fields in enumerate(_list("providers", given)):
        where = f"providers[{at}]"
        one = dict(_object(where, fields))
        if "keys" in one:
            raise InvalidFileError(
                f"{where}: keys do not belong into this file; name the files they are in as key_files"
            )
        files = one.pop("key_files", [])
        if not isinstance(files, list) or not all(isinstance(file, str) for file in files):
            raise InvalidFileError(f"{where}.key_files: must be an array of texts")
        one["keys"] = read_keys([folder / file for file in files])
        for field, content in FIELDS_OF_FILES.items():
            if content in one:
                raise InvalidFileError(f"{where}: {content} does not belong into this file; name its file as {field}")
            if not isinstance(named := one.pop(field, ""), str):
                raise InvalidFileError(f"{where}.{field}: must be text")
            one |= {content: read_text(folder / named)} if named else {}
        made = _read_body(where, one, NewProvider)
        secrets = [name for name, text in made.secrets.items() if text]
        for field, rule in check_provider(made.spec, len(made.new_keys), secrets):
            raise InvalidFileError(f"{where}.{field}: {rule}")
        yield made


def _object(where: str, given: Any) -> dict[str, Any]:
    if not isinstance(given, dict) or not all(isinstance(name, str) for name in given):
        raise InvalidFileError(f"{where or 'the file'}: must be an object")
    return given


def _list(where: str, given: Any) -> list[Any]:
    if not isinstance(given, list):
        raise InvalidFileError(f"{where}: must be a list")
    return given


def _once(where: str, names: Iterable[str]) -> None:
    if twice := _twice(names):
        raise InvalidFileError(f"{where}: {twice} is there twice")


def _twice(names: Iterable[str]) -> str:
    """The first name that was there before, or nothing."""
    seen: set[str] = set()
    for name in names:
        if name.lower() in seen:
            return name
        seen.add(name.lower())
    return ""
