"""The managed settings of Claude Code: those of several policies laid over one another, and their checksum."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any, Final

from msgspec import UNSET

from limits.policies.compiled import CompiledPolicy, Level

ANY: Final = "*"
"""Any one field of an object."""

UNITED: Final = (
    ("permissions", "deny"),
    ("deniedMcpServers",),
    ("blockedMarketplaces",),
    ("sandbox", "filesystem", "denyRead"),
    ("sandbox", "filesystem", "denyWrite"),
    ("sandbox", "network", "deniedDomains"),
    ("hooks", ANY),
)
"""The lists that have what each policy says. Another list, or a single value, is that of the narrowest policy."""

_ORDER: Final = {level: number for number, level in enumerate(Level)}


def settings_of(policies: Iterable[CompiledPolicy]) -> dict[str, Any] | None:
    """The settings of policies: of everyone, then of groups in order of their names, then of the user; None without any."""
    found = sorted(policies, key=lambda one: (_ORDER[one.source.level], one.source.name))
    merged: dict[str, Any] | None = None
    for one in found:
        if (settings := one.policy.managed_settings) is not UNSET:
            merged = lay_over(merged or {}, settings)
    return merged


def with_models(settings: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Settings with the only models that may be used, unless they say themselves which."""
    if not names or "availableModels" in settings:
        return dict(settings)
    # Without `exact` the client takes a name for the beginning of others.
    models = {"availableModels": list(names), "availableModelsMatch": "exact", "enforceAvailableModels": True}
    return models | dict(settings)


def lay_over(wide: Mapping[str, Any], narrow: Mapping[str, Any], path: tuple[str, ...] = ()) -> dict[str, Any]:
    """Lay narrower settings over wider ones: objects such as `env` are merged field by field, lists as `UNITED` says."""
    merged = dict(wide)
    for name, value in narrow.items():
        before, where = merged.get(name), (*path, name)
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            merged[name] = lay_over(before, value, where)
        elif isinstance(before, list) and isinstance(value, list) and _is_united(where):
            merged[name] = [*before, *(one for one in value if one not in before)]
        else:
            merged[name] = value
    return merged


def _is_united(path: tuple[str, ...]) -> bool:
    return path in UNITED or (*path[:-1], ANY) in UNITED


def checksum_of(settings: Mapping[str, Any]) -> str:
    """The checksum, as the client computes it."""
    text = json.dumps(settings, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"sha256:{sha256(text.encode()).hexdigest()}"
