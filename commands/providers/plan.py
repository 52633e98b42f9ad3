"""What `providers apply` has to do: the difference between a file and the database."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import msgspec
from msgspec import Struct, field, structs

from commands.providers.work import FIELDS_OF_FILES, MAX_FILE_BYTES, in_words, read_keys, read_text
from intercept.formats.json_text import decode_unique
from resources.bodies import InvalidBodyError
from resources.provider_bodies import NewProvider
from storage.providers.documents import GivenKey, KeptKey, NewKey, ProviderSpec, StoredProvider
from storage.providers.sealing import Sealer, SealError
from upstream.providers.fallback import find_fault
from upstream.providers.presets import ProviderType


class PlannedFile(Struct, frozen=True):
    """A provider as a file has it, with its keys as text."""

    spec: ProviderSpec
    keys: tuple[NewKey, ...]
    secrets: dict[str, str] = field(default_factory=dict)


class Step(Struct, frozen=True):
    """A change: `wanted` is the new state, None for a removal. `keys` is None if they stay."""

    name: str
    text: str
    wanted: PlannedFile | None
    is_new: bool = False
    changes: tuple[str, ...] = ()
    keys: list[GivenKey] | None = None
    secrets: dict[str, str] = field(default_factory=dict)


class _File(Struct, forbid_unknown_fields=True):
    providers: list[dict[str, Any]]


def read_file(path: Path) -> list[PlannedFile]:
    """Read a file of providers, and the files of their keys.

    Raises:
        click.ClickException: it cannot be read, or used; it is said which provider and field is wrong.
    """
    try:
        with click.open_file(str(path), "rb") as file:
            content: bytes = file.read(16 * MAX_FILE_BYTES)
        decoded = msgspec.convert(decode_unique(content), type=_File)
    except OSError as error:
        raise click.ClickException(f"{path} cannot be read: {error.strerror}") from error
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise click.ClickException(f"{path}: {error}") from error
    planned = [_read(path, number, one) for number, one in enumerate(decoded.providers)]
    names = [one.spec.name for one in planned]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise click.ClickException(f"{path}: the provider {twice} is there twice")
    types = {one.spec.name: ProviderType(one.spec.type) for one in planned}
    for number, one in enumerate(planned):
        here = [name for name in one.spec.fallback if name in types]  # others may be of the server's environment
        if fault := find_fault(one.spec.name, types[one.spec.name], here, types):
            raise click.ClickException(f"{path}: providers[{number}]: fallback: {fault}")
    return planned


def _read(path: Path, number: int, given: dict[str, Any]) -> PlannedFile:
    where = f"{path}: providers[{number}]"
    if "keys" in given:
        raise click.ClickException(
            f"{where}: keys do not belong into this file; name the files they are in as key_files"
        )
    files = given.pop("key_files", [])
    if not isinstance(files, list) or not all(isinstance(file, str) for file in files):
        raise click.ClickException(f"{where}: key_files: must be an array of texts")
    keys = read_keys([path.parent / file for file in files])
    for field_, content in FIELDS_OF_FILES.items():
        if content in given:
            raise click.ClickException(f"{where}: {content} does not belong into this file; name its file as {field_}")
        if isinstance(named := given.pop(field_, ""), str):
            given |= {content: read_text(path.parent / named)} if named else {}
        else:
            raise click.ClickException(f"{where}: {field_}: must be text")
    try:
        body = NewProvider.read(msgspec.json.encode({**given, "keys": keys}))
    except InvalidBodyError as error:
        raise click.ClickException(f"{where}: {in_words(error)}") from error
    return PlannedFile(body.spec, tuple(body.new_keys), body.secrets)


WITH_NEW_KEYS = frozenset({"base_url", "type", "credential", "region", "proxy_url", "ca_certificates"})
"""After a change of these, kept keys may be refused, see `storage.providers.documents`."""


def plan(wanted: Sequence[PlannedFile], stored: Sequence[StoredProvider], sealer: Sealer) -> list[Step]:
    """Return what has to be done, removals first. Nothing where the database is as the file says."""
    there = {one.spec.name: one for one in stored}
    named = {one.spec.name for one in wanted}
    steps = [Step(name, f"- {name}", None) for name in there if name not in named]
    for one in wanted:
        old = there.get(one.spec.name)
        step = _added(one) if old is None else _changed(one, old, sealer)
        if step is not None:
            steps.append(step)
    return steps


def _added(wanted: PlannedFile) -> Step:
    keys = f", keys: {len(wanted.keys)}" if wanted.keys else ""
    return Step(wanted.spec.name, f"+ {wanted.spec.name} (type: {wanted.spec.type}{keys})", wanted, is_new=True)


def _changed(wanted: PlannedFile, old: StoredProvider, sealer: Sealer) -> Step | None:
    before, after = structs.asdict(old.spec), structs.asdict(wanted.spec)
    changes = tuple(name for name in after if after[name] != before[name])
    keys = _keys(wanted, old, sealer)
    texts = [f"{name}: {before[name]!r} -> {after[name]!r}" for name in changes if name != "ca_certificates"]
    texts += ["ca_certificates: new" if after["ca_certificates"] else "ca_certificates: none"] * (
        "ca_certificates" in changes
    )
    if keys is not None:
        texts.append(f"keys: {len(old.keys)} -> {len(keys)}")
    secrets = _secrets(wanted, old, sealer)
    texts += [f"{name}: {'new' if text else 'none'}" for name, text in secrets.items()]
    if not texts:
        return None
    if wanted.keys and WITH_NEW_KEYS & set(changes):
        keys = list(wanted.keys)
    name = wanted.spec.name
    return Step(name, f"~ {name} ({', '.join(texts)})", wanted, changes=changes, keys=keys, secrets=secrets)


def _secrets(wanted: PlannedFile, old: StoredProvider, sealer: Sealer) -> dict[str, str]:
    """The secrets that are to be given, and empty those that are to go; none where they are as they should be."""
    there = {}
    for name, one in old.secrets.items():
        with suppress(SealError):
            there[name] = sealer.open_named(name, one.sealed, old.id)
    given = {name: text for name, text in wanted.secrets.items() if text and there.get(name) != text}
    if wanted.spec.proxy_url != old.spec.proxy_url and (again := wanted.secrets.get("proxy_credentials")):
        given["proxy_credentials"] = again
    return given | {name: "" for name in old.secrets if not wanted.secrets.get(name)}


def _keys(wanted: PlannedFile, old: StoredProvider, sealer: Sealer) -> list[GivenKey] | None:
    """The keys that a provider is to have, those that are there by their ids; None where they are as they should be."""
    there: dict[str, str] = {}
    for key in old.keys:
        try:
            there.setdefault(sealer.open(key.sealed, old.id), key.id)
        except SealError:
            continue
    given: list[GivenKey] = [KeptKey(there[key.text]) if key.text in there else key for key in wanted.keys]
    kept = [one.id for one in given if isinstance(one, KeptKey)]
    is_same = len(kept) == len(given) and kept == [key.id for key in old.keys]
    return None if is_same else given
