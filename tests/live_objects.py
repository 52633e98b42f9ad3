"""The objects that a process still holds, for tests that something is released."""

from __future__ import annotations

import gc
from typing import Generic, TypeVar

T = TypeVar("T")


class LiveObjects(Generic[T]):
    """The objects of some types that came to be since this was made.

    Other tests of the process may have left some. They are held here, so that no new one takes the place of one of them.
    """

    def __init__(self, *types: type[T]) -> None:
        self._types = types
        self._before = self._all()

    def __call__(self) -> list[T]:
        before = {id(one) for one in self._before}
        return [one for one in self._all() if id(one) not in before]

    def _all(self) -> list[T]:
        """By their own type: a proxy of an object that is gone can't be asked for its class."""
        return [one for one in gc.get_objects() if issubclass(type(one), self._types)]
