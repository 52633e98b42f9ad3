"""A policy as a document, and its subject. Pure: no I/O, no clock.

```
{_id: "groups/6c1f..", schema_version: 1, level: "group", key: "6c1f..", name: "research",
 version: "9f8e..", changed_at: .., policy: {limits: {together: {budget: {micro_dollars: 500000000, period: "month"}}}}}
```

A policy that was removed keeps its document, with nothing in `policy`: so whoever follows changes sees it, and no version
comes twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from msgspec import Struct

from limits.policies.compiled import Level, PolicyHolder
from limits.policies.policy import AnyPolicy, Budget, Policy, SharedPolicy
from limits.policies.reading import fields_of, read_policy
from storage.accounts.users import IdentityConflictError

_PATHS: Final = {Level.EVERYONE: "everyone", Level.GROUP: "groups", Level.USER: "users", Level.TOKEN: "tokens"}

_SETTINGS: Final = "managed_settings"
_MICRO_DOLLARS: Final = 1_000_000
_CENTS: Final = 2
"""Digits after the point that an amount of dollars has at least."""


class KeptPolicy(Struct, frozen=True):
    """A stored policy. `version` differs after each change; `changed_at` is None if there never was one."""

    source: PolicyHolder
    policy: AnyPolicy
    version: str
    changed_at: datetime | None = None


def kind_of(level: Level) -> type[AnyPolicy]:
    """The shape of the policies of a level."""
    return SharedPolicy if level in (Level.EVERYONE, Level.GROUP) else Policy


def path_of(level: Level, key: str) -> str:
    """Where a policy is: `everyone`, `groups/ID`, `users/ID`, `tokens/ID`."""
    return f"{_PATHS[level]}/{key}" if key else _PATHS[level]


def level_of(path: str) -> tuple[Level, str]:
    """The level of a path, and what follows it: the name or id of a group or user, or the id of a token.

    Raises:
        ValueError: It is no such path.
    """
    name, slash, reference = path.partition("/")
    level = next((level for level, word in _PATHS.items() if word == name), None)
    if level is None or bool(reference) is (level is Level.EVERYONE) or bool(slash) is not bool(reference):
        raise ValueError(f"{path!r} is not the path of a policy")
    return level, reference


def document_of(kept: KeptPolicy) -> dict[str, Any]:
    """Make the document of a policy."""
    source = kept.source
    return {
        "_id": path_of(source.level, source.key),
        "schema_version": 1,
        "level": source.level.value,
        "key": source.key,
        "name": source.name,
        "version": kept.version,
        "changed_at": kept.changed_at,
        "policy": _stored(kept.policy),
    }


class UnreadablePolicyError(IdentityConflictError):
    """A document says what this version of the bridge does not know."""


def read_document(document: Mapping[str, Any]) -> KeptPolicy:
    """Read the document of a policy.

    Raises:
        UnreadablePolicyError: A later version, or something else, has written it.
    """
    try:
        source = PolicyHolder(Level(document["level"]), document["key"], document["name"])
        fields = document["policy"]
        if isinstance(fields, Mapping):
            settings = {_SETTINGS: json.loads(fields[_SETTINGS])} if _SETTINGS in fields else {}
            fields = _replaced(fields, "micro_dollars", "usd", format_usd) | settings
        policy = read_policy(fields, kind_of(source.level))
        return KeptPolicy(source, policy, document["version"], document["changed_at"])
    except (KeyError, TypeError, ValueError) as error:
        message = f"the policy {document['_id']} cannot be read by this version: {error}"
        raise UnreadablePolicyError(f"{message}; change it by the version that wrote it") from error


def is_same(one: AnyPolicy, other: AnyPolicy) -> bool:
    """Whether two policies say the same: money may be text or a number."""
    return _stored(one) == _stored(other)


def _stored(policy: AnyPolicy) -> dict[str, Any]:
    """Its fields with micro-dollars for dollars, which MongoDB keeps exactly, and settings, with any names, as text."""
    fields = fields_of(policy)
    settings = {_SETTINGS: json.dumps(fields.pop(_SETTINGS), sort_keys=True)} if _SETTINGS in fields else {}
    return _replaced(fields, "usd", "micro_dollars", lambda usd: Budget(usd, "day").micro_dollars) | settings


def _replaced(fields: Mapping[str, Any], old: str, new: str, convert: Callable[[Any], Any]) -> dict[str, Any]:
    """Replace each field of a name, also in objects, by one of another name."""
    made: dict[str, Any] = {}
    for name, value in fields.items():
        if name == old:
            made[new] = convert(value)
        else:
            made[name] = _replaced(value, old, new, convert) if isinstance(value, Mapping) else value
    return made


def format_usd(micro_dollars: int) -> str:
    """An amount of money as text, as in `50.00`; in full where it is not of whole cents."""
    whole, rest = divmod(int(micro_dollars), _MICRO_DOLLARS)
    digits = f"{rest:06d}"
    return f"{whole}.{digits[:_CENTS]}{digits[_CENTS:].rstrip('0')}"
