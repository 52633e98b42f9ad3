"""The table of all providers and their keys, replaced as a whole while the bridge runs.

A request takes its provider and its keys from one table, and keeps them if the table is replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from upstream.credentials.keys import KeyPool
from upstream.providers.provider import Provider


@dataclass(frozen=True)
class ProviderTable:
    """Providers and the pools of their keys, by name. It is not changed.

    Attributes:
        providers: In the order in which they are listed.
        key_pools: Of those that have keys.
        is_complete: Whether the providers of the database are known; without them a name may be that of one of these.
    """

    providers: Mapping[str, Provider]
    key_pools: Mapping[str, KeyPool]
    is_complete: bool = True


class Routing:
    """Holds the table that is in use.

    Args:
        fixed: The providers of the environment, which stay. They win by name.
        monotonic: A clock that never goes back, in seconds.
        now: The wall clock in UTC.

    Attributes:
        table: The one in use. It is replaced, never changed.
    """

    def __init__(
        self,
        fixed: Sequence[Provider],
        monotonic: Callable[[], float],
        now: Callable[[], datetime],
        *,
        is_complete: bool = True,
    ) -> None:
        self._fixed = tuple(fixed)
        self._monotonic = monotonic
        self._now = now
        self.table = ProviderTable({}, {})
        self.table = self._make(self._fixed, is_complete=is_complete)

    @property
    def fixed_names(self) -> frozenset[str]:
        """The names that providers of the database cannot have."""
        return frozenset(provider.name for provider in self._fixed)

    def replace(self, managed: Iterable[Provider]) -> ProviderTable:
        """Replace the table by one with the fixed providers and these, and return it.

        Cooldowns and refusals of keys stay if a provider has the same keys at the same address.
        """
        taken = self.fixed_names
        self.table = self._make((*self._fixed, *(one for one in managed if one.name not in taken)), is_complete=True)
        return self.table

    def _make(self, providers: Sequence[Provider], *, is_complete: bool) -> ProviderTable:
        by_name = {provider.name: provider for provider in providers}
        pools = {name: self._pool_of(provider) for name, provider in by_name.items() if provider.keys}
        return ProviderTable(by_name, pools, is_complete)

    def _pool_of(self, provider: Provider) -> KeyPool:
        before, pool = self.table.providers.get(provider.name), self.table.key_pools.get(provider.name)
        if pool is not None and before is not None and _is_same(before, provider):
            return pool
        return KeyPool(provider.keys, self._monotonic, self._now)


def _is_same(one: Provider, other: Provider) -> bool:
    return (one.keys, one.base_url, one.expects) == (other.keys, other.base_url, other.expects)
