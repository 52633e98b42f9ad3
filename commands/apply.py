"""`apply`: users, groups, policies and providers as a file says, by the operations of the API."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

import click
import msgspec
from msgspec import UNSET, structs

from commands.apply_file import FIELDS_OF_FILES, InvalidFileError, Wanted, read_file
from commands.calling import Done, Given, OpenParts, RefusedError, do, server_options
from handlers.operations.catalogue import BY_PATH
from limits.policies.compiled import Level
from limits.policies.reading import fields_of, notes_on, read_policy
from settings import SettingsCommand, declared
from settings.declarations import DATABASE
from storage.accounts.users import Role
from storage.policies.documents import level_of, path_of
from storage.providers.documents import WAYS
from upstream.credentials.access import LONG_SECRET, credential_hint
from upstream.providers.presets import PRESETS, ProviderType

PAGE = 1000
"""Items that are asked for at once."""

Call = Callable[..., Awaitable[Any]]
Body = dict[str, Any]
Compare = Callable[[Body, Mapping[str, Any]], tuple[list[str], Body]]


SECRETS = frozenset({*FIELDS_OF_FILES.values(), "keys"})
"""The fields of a provider that are not shown, neither by the API nor here."""


class There(NamedTuple):
    """What there is, as the API shows it: by name in lower case, and policies by path with the name."""

    users: Mapping[str, dict[str, Any]]
    groups: Mapping[str, dict[str, Any]]
    policies: Mapping[str, dict[str, Any]]
    providers: Mapping[str, dict[str, Any]]


class Step(NamedTuple):
    """A change: what is said of it, and the operation that makes it."""

    text: str
    method: str
    path: str
    parts: Mapping[str, str] = {}
    body: Any = None


def apply_command(open_parts: OpenParts) -> click.Command:
    """Make the command. `open_parts` opens what changes of providers need beside the database."""

    @click.command("apply", cls=SettingsCommand, params=[*declared(DATABASE), *server_options()])
    @click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
    @click.option("--dry-run", is_flag=True, help="Only print the difference.")
    @click.option("--remove", "removes", is_flag=True, help="Remove what is missing in the sections of FILE.")
    def apply(file: Path, dry_run: bool, removes: bool, url: str | None, token_file: Path | None) -> None:
        """Make users, groups, policies and providers as a file says, so that they can live in version control.

        FILE is YAML or JSON; - is the standard input.

        The file is checked as a whole before anything is changed. Again, it changes nothing more.
        """
        try:
            wanted = read_file(file)

            async def work(done: Done) -> None:
                async def call(
                    method: str,
                    path: str,
                    parts: Mapping[str, str] = {},
                    body: Any = None,
                    query: Mapping[str, str] = {},
                ) -> Any:
                    answered = await done(BY_PATH[path][method], Given(parts, query, msgspec.json.encode(body)))
                    return msgspec.json.decode(answered.content) if answered.content else None

                await _apply(wanted, call, dry_run=dry_run, removes=removes)

            do(work, url, token_file, open_parts=open_parts)
        except InvalidFileError as error:
            raise click.ClickException(f"nothing was changed: {error}") from error

    return apply


async def _apply(wanted: Wanted, call: Call, *, dry_run: bool, removes: bool) -> None:
    configured = await call("GET", "providers/configured")
    there = await _read_there(wanted, call, configured)
    steps = _steps(wanted, there, removes=removes)
    for step in steps:
        if not dry_run:
            await call(step.method, step.path, step.parts, step.body)
        if step.text:
            click.echo(step.text)
    if not steps:
        click.echo("Nothing is different.")
    names = {one["name"] for one in (*configured, *there.providers.values())} | {ProviderType.DEMO.value}
    names |= {one.name for one in wanted.providers or ()}
    for path, policy in (wanted.policies or {}).items():
        for note in notes_on(policy, names):
            click.echo(f"Note: {path}: {note}", err=True)


# What there is.


async def _read_there(wanted: Wanted, call: Call, configured: Iterable[Mapping[str, Any]]) -> There:
    users = {one["username"].lower(): one for one in await _all(call, "users")}
    groups = {one["name"].lower(): one for one in await _all(call, "groups")}
    need_policies = wanted.policies is not None or wanted.groups is not None
    policies = {one["path"]: one for one in await _all(call, "policies")} if need_policies else {}
    for path in wanted.policies or ():
        if path.startswith("tokens/") and path not in policies:
            await _policy(call, path)
    for path, one in [*policies.items()] if wanted.policies is not None else ():
        try:
            one["policy"] = await _policy(call, path)
        except InvalidFileError:
            del policies[path]  # of a user or token that is gone: it has no effect
    own = [one["name"] for one in configured if one["source"] == "database"] if wanted.providers is not None else []
    providers = {name: await call("GET", "providers/{name}", {"name": name}) for name in own}
    return There(users, groups, policies, providers)


async def _all(call: Call, path: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        page = await call("GET", path, query={"limit": str(PAGE), "offset": str(len(found))})
        found += page["results"]
        if not page["results"] or len(found) >= page["count"]:
            return found


async def _policy(call: Call, path: str) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = await call("GET", *_operation_on(path))
    except RefusedError as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
        raise InvalidFileError(f"policies.{path}: {error.message}") from error
    return answer


def _operation_on(path: str) -> tuple[str, dict[str, str]]:
    """The path of the operations on a policy, and the parts of that."""
    kind, _, reference = path.partition("/")
    part = kind.removesuffix("s")
    return (f"policies/{kind}/{{{part}}}", {part: reference}) if reference else (f"policies/{kind}", {})


# The difference.


def _changes_of(body: Body, old: Mapping[str, Any]) -> tuple[list[str], Body]:
    """What is different, for people and for the operation that changes it."""
    changes = {field: value for field, value in body.items() if value != old.get(field)}
    return [f"{field}: {old.get(field)!r} -> {value!r}" for field, value in changes.items()], changes


def _changes_of_provider(body: Body, old: Mapping[str, Any]) -> tuple[list[str], Body]:
    """What is different of a provider, for people and for the operation that changes it.

    What the API does not show enough of to tell that it is the same is given again.
    """
    preset, keys = PRESETS[ProviderType(body["type"])], body.get("keys", [])
    usual = {"base_url": preset.url_in(body["region"]), "credential": preset.credential.value}
    shown = {field: body[field] or usual.get(field, body[field]) for field in (body.keys() & old.keys()) - SECRETS}
    texts, changes = _changes_of({field: shown[field] for field in body if field in shown}, old)
    changes = {field: body[field] for field in changes}
    for name in FIELDS_OF_FILES.values():
        text, has = body.get(name, ""), old.get(name) or old.get(f"has_{name}")
        is_same = name == "aws_access_key" and text.partition(":")[0] == has
        if (text and not is_same) or (has and not text):
            changes[name] = text
            texts.append(f"{name}: {'given again' if has and text else 'new' if text else 'none'}")
    is_known = all(len(key) >= LONG_SECRET for key in keys)
    if not is_known or [credential_hint(key) for key in keys] != [key["hint"] for key in old["keys"]]:
        texts.append(f"keys: {len(old['keys'])} -> {len(keys)}")
        changes["keys"] = keys
    elif keys and changes.keys() & WAYS:
        changes["keys"] = keys
    return texts, changes


class Section(NamedTuple):
    """A section of the file, and what there is of it.

    Attributes:
        noun: What people call one.
        path: The path of the list.
        part: The part of the path of one that names it.
        key: The field with its name.
        bodies: The fields of what the file names, by name; None if the section is missing.
        there: What there is, by name in lower case.
        said: What else is said of one that is added.
        compare: Finds what is different.
    """

    noun: str
    path: str
    part: str
    key: str
    bodies: Mapping[str, Body] | None
    there: Mapping[str, dict[str, Any]]
    said: Mapping[str, str] = {}
    compare: Compare = _changes_of

    def names(self, *, removes: bool) -> set[str]:
        """The names that there will be, in lower case."""
        stay = () if removes and self.bodies is not None else self.there
        return {*stay, *(name.lower() for name in self.bodies or ())}

    def changed(self) -> list[Step]:
        """The steps that add and change. Fields that are not wanted stay."""
        steps = []
        for name, body in (self.bodies or {}).items():
            old = self.there.get(name.lower())
            if old is None:
                text = f"+ {self.noun} {name}{self.said.get(name, '')}"
                steps.append(Step(text, "POST", self.path, {}, {self.key: name} | body))
                continue
            texts, changes = self.compare(body, old)
            if texts:
                text = f"~ {self.noun} {old[self.key]} ({', '.join(texts)})"
                steps.append(Step(text, "PATCH", *self._one(old[self.key]), changes))
        return steps

    def gone(self, *, removes: bool) -> list[Step]:
        """The steps that remove what the file does not name."""
        names = [one[self.key] for name, one in self.there.items() if name not in self.names(removes=removes)]
        return [Step(f"- {self.noun} {name}", "DELETE", *self._one(name)) for name in names]

    def _one(self, name: str) -> tuple[str, dict[str, str]]:
        """The path of the operations on one, and the parts of that."""
        return f"{self.path}/{{{self.part}}}", {self.part: name}


def _groups(wanted: Wanted, there: There) -> Section:
    bodies: dict[str, Body] = {
        one.name: {} if one.display_name is UNSET else {"display_name": one.display_name or one.name}
        for one in wanted.groups or ()
    }
    return Section("group", "groups", "group", "name", None if wanted.groups is None else bodies, there.groups)


def _users(wanted: Wanted, there: There) -> Section:
    bodies: dict[str, Body] = {}
    said = {}
    for one in wanted.users or ():
        bodies[one.username] = {"role": one.role.value}
        if one.name is not UNSET:
            bodies[one.username]["name"] = one.name or one.username
        groups = f", groups: {', '.join(one.groups)}" if one.groups else ""
        said[one.username] = f" (role: {one.role.value}{groups})"
    return Section("user", "users", "name", "username", None if wanted.users is None else bodies, there.users, said)


def _providers(wanted: Wanted, there: There) -> Section:
    bodies: dict[str, Body] = {}
    said = {}
    for one in wanted.providers or ():
        keys = [key.text for key in one.new_keys]
        bodies[one.name] = structs.asdict(one.spec) | {"fallback": list(one.fallback)} | one.secrets
        bodies[one.name] |= {"keys": keys} if keys else {}
        said[one.name] = f" (type: {one.type}{f', keys: {len(keys)}' if keys else ''})"
    own = None if wanted.providers is None else bodies
    return Section("provider", "providers", "name", "name", own, there.providers, said, _changes_of_provider)


def _steps(wanted: Wanted, there: There, *, removes: bool) -> list[Step]:
    """The steps, in order.

    Raises:
        InvalidFileError: The file names an unknown group, user or token, or leaves no owner.
    """
    groups, users, providers = _groups(wanted, there), _users(wanted, there), _providers(wanted, there)
    after = {Level.GROUP: groups.names(removes=removes), Level.USER: users.names(removes=removes)}
    memberships = [*_memberships(wanted, there, after[Level.GROUP])]
    roles = {name: one["role"] for name, one in there.users.items()}
    has_owner = Role.OWNER.value in roles.values()
    roles |= {name.lower(): body["role"] for name, body in (users.bodies or {}).items()}
    if has_owner and Role.OWNER.value not in {roles[name] for name in after[Level.USER]}:
        raise InvalidFileError("users: there would be no owner any more")
    cleared, policies = _policies(wanted, there, after, removes=removes)
    gone_groups = groups.gone(removes=removes)
    for name in (step.parts["group"] for step in gone_groups):
        if f"groups/{there.groups[name.lower()]['id']}" in there.policies.keys() - cleared.keys():
            raise InvalidFileError(f"groups: {name} has a policy, so it cannot be removed: remove that too")
    # So that there always is an owner, and those that others fall back to.
    owners_first = sorted(users.changed(), key=lambda step: step.body.get("role") != Role.OWNER.value)
    fallbacks_first = sorted(providers.changed(), key=lambda step: bool(step.body.get("fallback")))
    changed = [*cleared.values(), *groups.changed(), *owners_first, *memberships]
    changed += [*providers.gone(removes=removes), *fallbacks_first, *policies]
    return [*changed, *users.gone(removes=removes), *gone_groups]


def _memberships(wanted: Wanted, there: There, names: Collection[str]) -> Iterator[Step]:
    path = "groups/{group}/members/{user}"
    for number, one in enumerate(wanted.users or ()):
        old = there.users.get(one.username.lower(), {})
        name = old.get("username", one.username)
        before = {group["name"].lower(): group["name"] for group in old.get("groups", ())}
        after = {group.lower(): group for group in one.groups or ()}
        for at, group in enumerate(after):
            if group not in names:
                raise InvalidFileError(f"users[{number}].groups[{at}]: there is no group named {after[group]}")
        gone = [group for key, group in before.items() if one.groups is not None and key not in after]
        new = [group for key, group in after.items() if key not in before]
        yield from (Step(f"- {name} in group {it}", "DELETE", path, {"group": it, "user": name}) for it in gone)
        said = f"+ {name} in group " if old else ""  # of a new user it is said with them
        yield from (Step(said and said + it, "PUT", path, {"group": it, "user": name}) for it in new)


def _policies(
    wanted: Wanted, there: There, after: Mapping[Level, Collection[str]], *, removes: bool
) -> tuple[dict[str, Step], list[Step]]:
    """The steps that remove policies, by their paths, and those that set one."""
    if wanted.policies is None:
        return {}, []
    kinds = {Level.GROUP: there.groups, Level.USER: there.users}
    ids = {
        path_of(level, name): path_of(level, one["id"]) for level, found in kinds.items() for name, one in found.items()
    }
    known, cleared, steps = dict(there.policies), {}, []
    for path, policy in wanted.policies.items():
        level, name = level_of(path)[0], path.partition("/")[2].lower()
        if level in after:  # tokens were looked for
            known_ids = [one["id"] for called, one in kinds[level].items() if called in after[level]]
            if name not in {*after[level], *known_ids}:
                raise InvalidFileError(f"policies.{path}: there is no such {level}")
        at = ids.get(path.lower(), path)
        old, kind = known.pop(at, None), type(policy)
        if old is not None and policy == kind():
            cleared[at] = Step(f"- policy {path}", "DELETE", *_operation_on(at))
        elif policy != kind() and not (old and "policy" in old and read_policy(old["policy"], kind) == policy):
            text = f"{'~' if old else '+'} policy {path}"
            steps.append(Step(text, "PUT", *_operation_on(at), fields_of(policy)))
    for at, old in known.items() if removes else ():
        text = f"- policy {path_of(Level(old['level']), old['name'])}"
        cleared[at] = Step(text, "DELETE", *_operation_on(at))
    return cleared, steps
