"""Names that clients choose, as values of labels: the busiest are shown, bounded in number; the others are `other`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from heapq import heappop, heappush, heapreplace

OTHER = "other"
# Uses of names after which older ones count half.
USES_HALVED_AFTER = 100_000
# How much busier a name has to be than the least busy one whose place it takes: two that are alike do not take turns.
MARGIN = 2


class BoundedNames:
    """Decides which names get their own time series. Bounded in memory and in the number of series.

    A name is active while there is room. After that, a name that is used more replaces the least used one. The series of a
    replaced name stands still: a counter never goes back, and continues when the name is active again. Each worker decides
    for itself. Uses are counted for twice as many names as are active, as in "space-saving" (Metwally, Agrawal and
    El Abbadi, 2005), and halved now and then, so that names that are no longer used go.

    Args:
        limit: Names that are active at a time; at least 1.
        ever: Names that may ever be active, each a series that is kept.
        halved_after: Uses after which all counts are halved.
    """

    def __init__(self, limit: int, ever: int, halved_after: int = USES_HALVED_AFTER) -> None:
        self._limit = limit
        self._max_ever = ever
        self._halved_after = halved_after
        self._ever: set[str] = set()
        self._uses: dict[str, int] = {}
        self._active = _LeastUsed(self._uses)
        self._others = _LeastUsed(self._uses)
        self._counted = 0

    def __call__(self, name: str) -> str:
        """The label value for a name, which becomes active if there is room."""
        if name in self._active.names or (len(self._active) < self._limit and self._activate(name)):
            return name
        return OTHER

    def used(self, name: str) -> None:
        """Count a use, which may make the name active."""
        uses = self._uses.get(name)
        if uses is None:
            uses = self._replaced_uses() if len(self._uses) >= 2 * self._limit else 0
            if name not in self._active.names:
                self._others.add(name)
        self._uses[name] = uses = uses + 1
        if name not in self._active.names and len(self._active) >= self._limit:
            least = self._active.first()
            if uses > MARGIN * self._uses.get(least, 0) and self._activate(name):
                self._active.remove(least)
                if least in self._uses:
                    self._others.add(least)
        self._counted += 1
        if self._counted >= self._halved_after:
            self._halve()

    def _replaced_uses(self) -> int:
        """Forget the least used name that is not active; its uses count for the one that takes its place."""
        least = self._others.first()
        self._others.remove(least)
        return self._uses.pop(least)

    def _halve(self) -> None:
        self._counted = 0
        halved = {name: uses // 2 for name, uses in self._uses.items() if uses > 1}
        self._uses.clear()
        self._uses |= halved
        self._active.renew(self._active)
        self._others.renew(name for name in self._others if name in halved)

    def _activate(self, name: str) -> bool:
        if name not in self._ever and len(self._ever) >= self._max_ever:
            return False
        self._others.remove(name)
        self._active.add(name)
        self._ever.add(name)
        return True


class _LeastUsed:
    """Names, of which the least used one is found without a look at each; of several the first in the order of text.

    A name may stand more than once in the heap, and with fewer uses than it has by now: that is put right when it comes
    to the top.

    Args:
        uses: How often each is used; none for those that are not there. Uses only grow, but for `renew`.

    Attributes:
        names: All of them.
    """

    def __init__(self, uses: Mapping[str, int]) -> None:
        self._uses = uses
        self.names: set[str] = set()
        self._heap: list[tuple[int, str]] = []

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def add(self, name: str) -> None:
        self.names.add(name)
        heappush(self._heap, (self._uses.get(name, 0), name))

    def remove(self, name: str) -> None:
        """Remove a name, if it is there."""
        self.names.discard(name)

    def first(self) -> str:
        """The least used name, of one or more."""
        while True:
            uses, name = self._heap[0]
            if name not in self.names:
                heappop(self._heap)
            elif uses != (now := self._uses.get(name, 0)):
                heapreplace(self._heap, (now, name))
            else:
                return name

    def renew(self, names: Iterable[str]) -> None:
        """Begin again with these names, after uses have become fewer."""
        self.names = set(names)
        self._heap = sorted((self._uses.get(name, 0), name) for name in self.names)
