"""Values of groups in memory. Pure: no I/O, no clock."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock
from typing import Any, Final, TypeAlias

from storage.queries.filters.grouped.groups import Key

MAX_SIZE: Final = 40_000
"""The maximum size of the cache, in groups: about 8 MB, and 14 MB with histograms."""

KEY_SIZE: Final = 4
"""A key needs about as much memory as so many groups. It counts also if no group belongs to it."""

Groups: TypeAlias = dict[Key, Any]
"""The value of each group; the largest comes first."""


class GroupCache:
    """Values of groups by versions of ranges, the most recently used. Threads may share it."""

    def __init__(self) -> None:
        self._held: OrderedDict[Hashable, Groups] = OrderedDict()
        self._keys: dict[Key, Key] = {}
        self._size = 0
        self._lock = Lock()

    @property
    def size(self) -> int:
        """How much memory it needs, in groups."""
        return self._size

    def get(self, cache_key: Hashable) -> Groups | None:
        """Return cached groups, which must not be changed."""
        with self._lock:
            if (held := self._held.get(cache_key)) is not None:
                self._held.move_to_end(cache_key)
            return held

    def add(self, cache_key: Hashable, groups: Groups) -> None:
        """Cache groups, whose values must not be changed afterwards.

        A group has the same key wherever it is cached: Python's garbage collector, which stops everything meanwhile, looks at
        each object.
        """
        with self._lock:
            if (held := self._held.pop(cache_key, None)) is not None:
                self._size -= _size(held)
            if _size(groups) > MAX_SIZE:
                return
            self._held[cache_key] = held = self._with_shared_keys(groups)
            self._size += _size(held)
            while self._size > MAX_SIZE:
                self._size -= _size(self._held.popitem(last=False)[1])

    def _with_shared_keys(self, groups: Groups) -> Groups:
        if any(isinstance(value, bool) for key in groups for value in key):
            return groups  # True equals 1
        if len(self._keys) > MAX_SIZE:
            self._keys.clear()
        share = self._keys.setdefault
        return {share(key, key): most for key, most in groups.items()}


def _size(groups: Groups) -> int:
    return KEY_SIZE + len(groups)
