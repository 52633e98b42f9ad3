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
        """Cache groups, which must not be changed afterwards."""
        with self._lock:
            if (held := self._held.pop(cache_key, None)) is not None:
                self._size -= _size(held)
            self._held[cache_key] = groups
            self._size += _size(groups)
            while self._size > MAX_SIZE:
                self._size -= _size(self._held.popitem(last=False)[1])


def _size(groups: Groups) -> int:
    return KEY_SIZE + len(groups)
