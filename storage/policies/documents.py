"""A policy as a document, and its subject. Pure: no I/O, no clock.

```
{_id: "groups/6c1f..", schema_version: 1, level: "group", key: "6c1f..", name: "research",
 version: "9f8e..", changed_at: .., policy: {limits: {together: {budget: {usd: "500.00", period: "month"}}}}}
```

A policy that was removed keeps its document, with nothing in `policy`: so whoever follows changes sees it, and no version
comes twice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from msgspec import Struct

from limits.policies.compiled import Level, PolicyHolder
from limits.policies.policy import AnyPolicy, Policy, SharedPolicy
from limits.policies.reading import fields_of, read_policy
from storage.accounts.users import IdentityConflictError

_PATHS: Final = {Level.EVERYONE: "everyone", Level.GROUP: "groups", Level.USER: "users", Level.TOKEN: "tokens"}

_SETTINGS: Final = "managed_settings"


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
        if _SETTINGS in fields:
            fields = {**fields, _SETTINGS: json.loads(fields[_SETTINGS])}
        policy = read_policy(fields, kind_of(source.level))
        return KeptPolicy(source, policy, document["version"], document["changed_at"])
    except (KeyError, TypeError, ValueError) as error:
        message = f"the policy {document['_id']} cannot be read by this version: {error}"
        raise UnreadablePolicyError(f"{message}; change it by the version that wrote it") from error


def _stored(policy: AnyPolicy) -> dict[str, Any]:
    """Its fields, with settings, which have any names, as text."""
    fields = fields_of(policy)
    if _SETTINGS in fields:
        fields[_SETTINGS] = json.dumps(fields[_SETTINGS], sort_keys=True)
    return fields
