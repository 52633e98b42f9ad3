"""What `people apply` has to do: the difference between a file and the database. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import Enum, auto
from typing import Any

from msgspec import UNSET, Struct

from commands.people.reading import InvalidPeopleError, People, PlannedUser
from limits.policies.sources import Level
from storage.accounts.users import Group, Role, User
from storage.policies.documents import KeptPolicy, is_same, kind_of, path_of


class What(Enum):
    """What a step does, in the order in which they are done."""

    REMOVE_POLICY = auto()
    ADD_GROUP = auto()
    CHANGE_GROUP = auto()
    ADD_USER = auto()
    CHANGE_USER = auto()
    LEAVE = auto()
    JOIN = auto()
    SET_POLICY = auto()
    REMOVE_USER = auto()
    REMOVE_GROUP = auto()


class Step(Struct, frozen=True):
    """A change: `name` is of a user, a group, or where a policy is; `given` is what the change needs."""

    what: What
    name: str
    text: str
    given: Any = None


class There(Struct, frozen=True):
    """What the database has."""

    users: Sequence[User]
    groups: Sequence[Group]
    policies: Sequence[KeptPolicy]
    token_ids: frozenset[str] = frozenset()


def plan(wanted: People, there: There, *, removes: bool) -> list[Step]:
    """Return the steps, in order; none if the database matches the file.

    Items missing in a section of the file are removed only if `removes` says so.

    Raises:
        InvalidPeopleError: The file names an unknown group, user or token, or leaves no owner.
    """
    steps = sorted(
        [
            *_groups(wanted, there, removes=removes),
            *_users(wanted, there, removes=removes),
            *_policies(wanted, there, removes=removes),
        ],
        key=lambda step: step.what.value,
    )
    _check_owners(wanted, there, steps)
    _check_removed_groups(there, steps)
    return steps


def _groups(wanted: People, there: There, *, removes: bool) -> Iterator[Step]:
    if wanted.groups is None:
        return
    known = {group.name.lower(): group for group in there.groups}
    for one in wanted.groups:
        old = known.pop(one.name.lower(), None)
        if old is None:
            yield Step(What.ADD_GROUP, one.name, f"+ group {one.name}", one)
        elif one.display_name is not UNSET and (display_name := one.display_name or old.name) != old.display_name:
            text = f"~ group {old.name} (display_name: {old.display_name!r} -> {display_name!r})"
            yield Step(What.CHANGE_GROUP, old.name, text, display_name)
    if removes:
        for old in known.values():
            yield Step(What.REMOVE_GROUP, old.name, f"- group {old.name}")


def _users(wanted: People, there: There, *, removes: bool) -> Iterator[Step]:
    if wanted.users is None:
        return
    group_names = {group.id: group.name for group in there.groups}
    known = {user.username.lower(): user for user in there.users}
    groups = _names_of_groups(wanted, there, removes=removes)
    for number, one in enumerate(wanted.users):
        for at, name in enumerate(one.groups or ()):
            if name.lower() not in groups:
                raise InvalidPeopleError(f"users[{number}].groups[{at}]: there is no group named {name}")
        old = known.pop(one.username.lower(), None)
        if old is None:
            within = f", groups: {', '.join(one.groups)}" if one.groups else ""
            yield Step(What.ADD_USER, one.username, f"+ user {one.username} (role: {one.role}{within})", one)
            present: set[str] = set()
        else:
            if changes := dict(_changes(one, old)):
                texts = [f"{name}: {before!r} -> {after!r}" for name, (before, after) in changes.items()]
                changed = {name: after for name, (_, after) in changes.items()}
                yield Step(What.CHANGE_USER, old.username, f"~ user {old.username} ({', '.join(texts)})", changed)
            present = {group_names[id_] for id_ in old.group_ids if id_ in group_names}
        if one.groups is not None:
            yield from _memberships(one, old, present)
    if removes:
        for old in known.values():
            yield Step(What.REMOVE_USER, old.username, f"- user {old.username}")


def _changes(one: PlannedUser, old: User) -> Iterator[tuple[str, tuple[str, str]]]:
    if one.role is not old.role:
        yield "role", (old.role.value, one.role.value)
    if one.name is not UNSET and (one.name or old.username) != old.name:
        yield "name", (old.name, one.name or old.username)


def _memberships(one: PlannedUser, old: User | None, present: Iterable[str]) -> Iterator[Step]:
    name = old.username if old else one.username
    before = {group.lower(): group for group in present}
    after = {group.lower(): group for group in one.groups or ()}
    for key, group in after.items():
        if key not in before:  # of a new user it is said with them
            yield Step(What.JOIN, name, f"+ {name} in group {group}" if old else "", group)
    for key, group in before.items():
        if key not in after:
            yield Step(What.LEAVE, name, f"- {name} in group {group}", group)


def _policies(wanted: People, there: There, *, removes: bool) -> Iterator[Step]:
    if wanted.policies is None:
        return
    keys = _keys(there)
    known = {path_of(kept.source.level, kept.source.key): kept for kept in there.policies}
    for (level, reference), policy in wanted.policies.items():
        where = path_of(level, reference)
        _check_subject(wanted, there, level, reference, where, removes=removes)
        key = keys.get((level, reference.lower()), reference)
        old = known.pop(path_of(level, key), None)
        if old is None or old.unreadable or not is_same(old.policy, policy):
            empty = policy == kind_of(level)()
            if old is None and empty:
                continue
            sign = "+" if old is None else "-" if empty else "~"
            # Existing items are found by id, because their names may change.
            path = path_of(level, key)
            yield Step(What.REMOVE_POLICY if empty else What.SET_POLICY, path, f"{sign} policy {where}", policy)
    if removes:
        subjects = {str(one.id) for one in there.users} | {str(one.id) for one in there.groups} | there.token_ids | {""}
        for path, kept in known.items():
            if kept.source.key not in subjects:
                continue  # of a user or token that is gone: it has no effect
            source = path_of(kept.source.level, kept.source.name)
            yield Step(What.REMOVE_POLICY, path, f"- policy {source}", kind_of(kept.source.level)())


def _keys(there: There) -> dict[tuple[Level, str], str]:
    """The ids of groups and users by their names in lower case."""
    groups = {(Level.GROUP, group.name.lower()): str(group.id) for group in there.groups}
    return groups | {(Level.USER, user.username.lower()): str(user.id) for user in there.users}


def _check_subject(wanted: People, there: There, level: Level, reference: str, where: str, *, removes: bool) -> None:
    name = reference.lower()
    match level:
        case Level.EVERYONE:
            return
        case Level.GROUP:
            found = name in _names_of_groups(wanted, there, removes=removes) or name in {
                str(one.id) for one in there.groups
            }
        case Level.USER:
            stay = () if removes and wanted.users is not None else there.users
            names = {user.username.lower() for user in stay} | {user.username.lower() for user in wanted.users or ()}
            found = name in names | {str(one.id) for one in stay}
        case Level.TOKEN:
            found = reference in there.token_ids
    if not found:
        raise InvalidPeopleError(f"policies.{where}: there is no such {level}")


def _names_of_groups(wanted: People, there: There, *, removes: bool) -> set[str]:
    """The names of the groups that there will be, in lower case."""
    stay = () if removes and wanted.groups is not None else there.groups
    return {group.name.lower() for group in stay} | {group.name.lower() for group in wanted.groups or ()}


def _check_removed_groups(there: There, steps: Sequence[Step]) -> None:
    cleared = {step.name for step in steps if step.what is What.REMOVE_POLICY}
    kept = {one.source.key for one in there.policies if path_of(one.source.level, one.source.key) not in cleared}
    ids = {group.name: str(group.id) for group in there.groups}
    for step in steps:
        if step.what is What.REMOVE_GROUP and ids[step.name] in kept:
            raise InvalidPeopleError(f"groups: {step.name} has a policy, so it cannot be removed: remove that too")


def _check_owners(wanted: People, there: There, steps: Iterable[Step]) -> None:
    roles: dict[str, Role] = {user.username.lower(): user.role for user in there.users}
    had_owner = Role.OWNER in roles.values()
    for step in steps:
        if step.what is What.REMOVE_USER:
            del roles[step.name.lower()]
    roles |= {user.username.lower(): user.role for user in wanted.users or ()}
    if had_owner and Role.OWNER not in roles.values():
        raise InvalidPeopleError("users: there would be no owner any more")
