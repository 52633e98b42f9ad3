"""Values in memory that are valid for one version each (`storage.queries.grouped.memory.versions`). Pure: no I/O, no clock."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


class _Held(NamedTuple, Generic[T]):
    version: bytes
    value: T
    size: int


class VersionedCache(Generic[T]):
    """The most recently used values, as many as their sizes allow. None of them may be changed."""

    def __init__(self, max_size: int) -> None:
        self._max_size = max_size
        self._held: OrderedDict[Hashable, _Held[T]] = OrderedDict()
        self.size = 0

    def get(self, key: Hashable, version: bytes) -> T | None:
        """Return the value in this version."""
        held = self._held.get(key)
        if held is None or held.version != version:
            return None
        self._held.move_to_end(key)
        return held.value

    def add(self, key: Hashable, version: bytes, value: T, size: int) -> None:
        """Cache a value, in the place of that of another version."""
        if (held := self._held.pop(key, None)) is not None:
            self.size -= held.size
        if size > self._max_size:
            return
        self._held[key] = _Held(version, value, size)
        self.size += size
        while self.size > self._max_size:
            self.size -= self._held.popitem(last=False)[1].size
