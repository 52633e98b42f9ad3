"""All policies, in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from limits.policies.compiled import CompiledPolicy
from limits.policies.effective import Caller, Effective
from limits.policies.policy import AnyPolicy
from limits.policies.sources import Level, PolicyHolder

MAX_CALLERS: Final = 10_000
"""Callers whose policies are kept worked out."""


class PolicyBook:
    """The policies by level and key, and what holds for each caller, worked out once.

    Args:
        zone: The time zone in which budget periods begin.
    """

    def __init__(self, zone: str = "UTC") -> None:
        self._zone = zone
        self._policies: dict[Level, dict[str, CompiledPolicy]] = {level: {} for level in Level}
        self._effective: dict[Caller, Effective] = {}

    def __len__(self) -> int:
        """How many policies there are."""
        return sum(map(len, self._policies.values()))

    def __iter__(self) -> Iterator[tuple[PolicyHolder, AnyPolicy]]:
        """Every policy, the widest first."""
        for policies in self._policies.values():
            for one in policies.values():
                yield one.source, one.policy

    def put(self, source: PolicyHolder, policy: AnyPolicy) -> None:
        """Add a policy; it replaces the one with the same source."""
        self._policies[source.level][source.key] = self._compile(source, policy)
        self._effective.clear()

    def remove(self, level: Level, key: str) -> None:
        """Remove the policy of a source."""
        self._policies[level].pop(key, None)
        self._effective.clear()

    def find(self, caller: Caller, user_name: str = "") -> Effective | None:
        """What holds for a caller; None if nothing is restricted."""
        if not len(self):
            return None
        effective = self._effective.get(caller)
        if effective is None:
            effective = Effective(list(self._policies_of(caller, user_name)), caller.user)
            if len(self._effective) >= MAX_CALLERS:
                self._effective.clear()
            self._effective[caller] = effective
        return effective if effective.policies else None

    def _policies_of(self, caller: Caller, user_name: str) -> Iterator[CompiledPolicy]:
        wanted = [
            (Level.EVERYONE, ""),
            *((Level.GROUP, group) for group in sorted(caller.groups)),
            (Level.USER, caller.user),
            *((Level.TOKEN, token) for token in (*caller.bound_by, caller.token)),
        ]
        for level, key in wanted:
            found = self._policies[level].get(key)
            if found is not None:
                renamed = level is Level.USER and user_name not in {"", found.source.name}
                yield self._compile(found.source._replace(name=user_name), found.policy) if renamed else found

    def _compile(self, source: PolicyHolder, policy: AnyPolicy) -> CompiledPolicy:
        return CompiledPolicy(source, policy, self._zone)
