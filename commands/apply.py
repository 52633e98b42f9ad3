"""`apply`: users, groups, policies and providers as a file says, by the operations of the API."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
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
from resources.providers import NewProvider
from settings import SettingsCommand, declared
from settings.declarations import DATABASE
from storage.accounts.users import Role
from storage.policies.documents import is_same, level_of, path_of
from storage.providers.documents import SECRETS, WAYS
from upstream.credentials.access import credential_hint
from upstream.providers.presets import PRESETS, ProviderType

PAGE = 1000
"""Items that are asked for at once."""

LONG_KEY = 20
"""Characters of a key from which on its hint tells it from another one."""

Call = Callable[..., Awaitable[Any]]


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
                await _apply(wanted, _caller(done), dry_run=dry_run, removes=removes)

            do(work, url, token_file, open_parts=open_parts)
        except InvalidFileError as error:
            raise click.ClickException(f"nothing was changed: {error}") from error

    return apply


def _caller(done: Done) -> Call:
    """What has an operation done, and returns its answer."""

    async def call(
        method: str, path: str, parts: Mapping[str, str] = {}, body: Any = None, query: Mapping[str, str] = {}
    ) -> Any:
        answered = await done(BY_PATH[path][method], Given(parts, query, msgspec.json.encode(body)))
        return msgspec.json.decode(answered.content) if answered.content else None

    return call


async def _apply(wanted: Wanted, call: Call, *, dry_run: bool, removes: bool) -> None:
    configured = await call("GET", "providers/configured")
    there = await _read_there(wanted, call, configured)
    steps = [*_steps(wanted, there, removes=removes)]
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
    for path, one in [*policies.items()]:
        if "unreadable" in one or wanted.policies is None:
            continue
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


def _steps(wanted: Wanted, there: There, *, removes: bool) -> Iterator[Step]:
    """The steps, in order.

    Raises:
        InvalidFileError: The file names an unknown group, user or token, or leaves no owner.
    """
    cleared, policies = _policies(wanted, there, removes=removes)
    bodies: dict[str, dict[str, Any]] = {
        one.name: {} if one.display_name is UNSET else {"display_name": one.display_name or one.name}
        for one in wanted.groups or ()
    }
    groups, gone_groups = _differences("group", bodies, there.groups, removes=removes and wanted.groups is not None)
    users, gone_users = _users(wanted, there, removes=removes)
    _check_owners(wanted, there, gone_users)
    kept = there.policies.keys() - {path for path, _ in cleared}
    for step in gone_groups:
        if f"groups/{there.groups[step.parts['group'].lower()]['id']}" in kept:
            raise InvalidFileError(
                f"groups: {step.parts['group']} has a policy, so it cannot be removed: remove that too"
            )
    providers, gone_providers = _providers(wanted, there, removes=removes)
    yield from (step for _, step in cleared)
    yield from (*groups, *users, *gone_providers, *providers, *policies, *gone_users, *gone_groups)


def _differences(
    noun: str, wanted: Mapping[str, dict[str, Any]], there: Mapping[str, dict[str, Any]], *, removes: bool
) -> tuple[list[Step], list[Step]]:
    """The steps that add and change, and those that remove. Fields that are not wanted stay."""
    path, part = f"{noun}s", "group" if noun == "group" else "name"
    one_path, key = f"{path}/{{{part}}}", "username" if noun == "user" else "name"
    steps = []
    for name, body in wanted.items():
        old = there.get(name.lower())
        if old is None:
            said = f"role: {body['role']}" if "role" in body else ""
            said += f", groups: {', '.join(body['groups'])}" if body.get("groups") else ""
            given = {field: value for field, value in body.items() if field != "groups"}
            text = f"+ {noun} {name}{f' ({said})' if said else ''}"
            steps.append(Step(text, "POST", path, {}, {key: name} | given))
        elif changes := {field: value for field, value in body.items() if value != old.get(field)}:
            texts = ", ".join(f"{field}: {old.get(field)!r} -> {value!r}" for field, value in changes.items())
            steps.append(Step(f"~ {noun} {old[key]} ({texts})", "PATCH", one_path, {part: old[key]}, changes))
    names = {name.lower() for name in wanted}
    gone = [one[key] for name, one in there.items() if name not in names] if removes else []
    return steps, [Step(f"- {noun} {name}", "DELETE", one_path, {part: name}) for name in gone]


def _users(wanted: Wanted, there: There, *, removes: bool) -> tuple[list[Step], list[Step]]:
    names = _names_of_groups(wanted, there, removes=removes)
    bodies: dict[str, dict[str, Any]] = {}
    memberships: list[Step] = []
    for number, one in enumerate(wanted.users or ()):
        for at, name in enumerate(one.groups or ()):
            if name.lower() not in names:
                raise InvalidFileError(f"users[{number}].groups[{at}]: there is no group named {name}")
        body: dict[str, Any] = {"role": one.role.value}
        if one.name is not UNSET:
            body["name"] = one.name or one.username
        old = there.users.get(one.username.lower())
        if old is None:
            body["groups"] = one.groups or ()
        bodies[one.username] = body
        if one.groups is not None:
            memberships += _memberships(one.username, one.groups, old)
    steps, gone = _differences("user", bodies, there.users, removes=removes and wanted.users is not None)
    steps.sort(key=lambda step: step.body.get("role") != Role.OWNER.value)  # so that there always is one
    return [*steps, *memberships], gone


def _memberships(username: str, groups: Iterable[str], old: Mapping[str, Any] | None) -> Iterator[Step]:
    before = {group["name"].lower(): group["name"] for group in (old or {}).get("groups", ())}
    after = {group.lower(): group for group in groups}
    path, name = "groups/{group}/members/{user}", old["username"] if old else username
    for key, group in before.items():
        if key not in after:
            yield Step(f"- {name} in group {group}", "DELETE", path, {"group": group, "user": name})
    for key, group in after.items():
        if key not in before:  # of a new user it is said with them
            text = f"+ {name} in group {group}" if old else ""
            yield Step(text, "PUT", path, {"group": group, "user": name})


def _check_owners(wanted: Wanted, there: There, gone: Iterable[Step]) -> None:
    roles = {name: one["role"] for name, one in there.users.items()}
    had_owner = Role.OWNER.value in roles.values()
    for step in gone:
        del roles[step.parts["name"].lower()]
    roles |= {user.username.lower(): user.role.value for user in wanted.users or ()}
    if had_owner and Role.OWNER.value not in roles.values():
        raise InvalidFileError("users: there would be no owner any more")


def _names_of_groups(wanted: Wanted, there: There, *, removes: bool) -> set[str]:
    """The names of the groups that there will be, in lower case."""
    stay = () if removes and wanted.groups is not None else there.groups
    return {*stay} | {group.name.lower() for group in wanted.groups or ()}


def _policies(wanted: Wanted, there: There, *, removes: bool) -> tuple[list[tuple[str, Step]], list[Step]]:
    """The steps that remove policies, by their paths, and those that set one."""
    if wanted.policies is None:
        return [], []
    ids = {f"groups/{name}": f"groups/{one['id']}" for name, one in there.groups.items()}
    ids |= {f"users/{name}": f"users/{one['id']}" for name, one in there.users.items()}
    known, cleared, steps = dict(there.policies), [], []
    for path, policy in wanted.policies.items():
        _check_subject(wanted, there, path, removes=removes)
        at = ids.get(path.lower(), path)
        old, kind = known.pop(at, None), type(policy)
        if old is not None and policy == kind():
            cleared.append((at, Step(f"- policy {path}", "DELETE", *_operation_on(at))))
        elif policy != kind() and not (old and "policy" in old and is_same(read_policy(old["policy"], kind), policy)):
            text = f"{'~' if old else '+'} policy {path}"
            steps.append(Step(text, "PUT", *_operation_on(at), fields_of(policy)))
    for at, old in known.items() if removes else ():
        text = f"- policy {path_of(Level(old['level']), old['name'])}"
        cleared.append((at, Step(text, "DELETE", *_operation_on(at))))
    return cleared, steps


def _check_subject(wanted: Wanted, there: There, path: str, *, removes: bool) -> None:
    level, name = level_of(path)[0], path.partition("/")[2].lower()
    found = True  # tokens were looked for
    if level is Level.GROUP:
        names = _names_of_groups(wanted, there, removes=removes)
        found = name in names | {one["id"] for one in there.groups.values()}
    elif level is Level.USER:
        stay = {} if removes and wanted.users is not None else there.users
        names = {*stay} | {user.username.lower() for user in wanted.users or ()}
        found = name in names | {one["id"] for one in stay.values()}
    if not found:
        raise InvalidFileError(f"policies.{path}: there is no such {level}")


def _providers(wanted: Wanted, there: There, *, removes: bool) -> tuple[list[Step], list[Step]]:
    """The steps that add and change providers, and those that remove some."""
    steps = []
    for one in wanted.providers or ():
        old, keys = there.providers.get(one.name), [key.text for key in one.new_keys]
        body = structs.asdict(one.spec) | one.secrets | ({"keys": keys} if keys else {})
        if old is None:
            said = f"type: {one.type}" + (f", keys: {len(keys)}" if keys else "")
            steps.append(Step(f"+ provider {one.name} ({said})", "POST", "providers", {}, body))
        elif texts := (changes := _Changes.of(one, keys, old)).texts:
            text = f"~ provider {one.name} ({', '.join(texts)})"
            steps.append(Step(text, "PATCH", "providers/{name}", {"name": one.name}, changes.body))
    names = {one.name for one in wanted.providers or ()}
    gone = [name for name in there.providers if name not in names] if removes and wanted.providers is not None else []
    # Those that others fall back to come first.
    steps.sort(key=lambda step: bool(step.body.get("fallback")))
    return steps, [Step(f"- provider {name}", "DELETE", "providers/{name}", {"name": name}) for name in gone]


class _Changes(NamedTuple):
    """The changes of a provider: `body` for the operation that makes them, and `texts` for people."""

    texts: list[str]
    body: dict[str, Any]

    @classmethod
    def of(cls, one: NewProvider, keys: list[str], old: Mapping[str, Any]) -> _Changes:
        """Compare. What the API does not show enough of to tell that it is the same is given again."""
        preset = PRESETS[ProviderType(one.type)]
        body = structs.asdict(one.spec) | {"fallback": list(one.fallback)}
        usual = {"base_url": preset.url_in(one.region), "credential": preset.credential.value}
        shown = body | {field: body[field] or value for field, value in usual.items()}
        changed = [field for field, value in shown.items() if field in old and value != old[field]]
        texts = [f"{field}: {old[field]!r} -> {shown[field]!r}" for field in changed]
        changes = {field: body[field] for field in changed}
        has = {name: old.get(name) or old.get(f"has_{name}") for name in FIELDS_OF_FILES.values()}
        given = {name: one.secrets.get(name, "") for name in SECRETS} | {"ca_certificates": one.ca_certificates}
        for name, text in given.items():
            is_same = name == "aws_access_key" and text.partition(":")[0] == has[name]
            if (text and not is_same) or (has[name] and not text):
                changes[name] = text
                texts.append(f"{name}: {'given again' if has[name] and text else 'new' if text else 'none'}")
        is_known = all(len(key) >= LONG_KEY for key in keys)
        if not is_known or [credential_hint(key) for key in keys] != [key["hint"] for key in old["keys"]]:
            texts.append(f"keys: {len(old['keys'])} -> {len(keys)}")
            changes["keys"] = keys
        elif keys and changes.keys() & WAYS:
            changes["keys"] = keys
        return cls(texts, changes)
