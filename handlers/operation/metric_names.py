"""Names that clients choose, as values of labels: the busiest are shown, bounded in number; the others are `other`."""

from __future__ import annotations

OTHER = "other"
# How much busier a name has to be than the least busy one whose place it takes: two that are alike do not take turns.
MARGIN = 2


class BoundedNames:
    """Decides which names have a time series of their own. Bounded in memory, and in the series that it ever makes.

    A name is active while there is room. After that, a name that is used more replaces the least used one. The series of a
    replaced name stands still: a counter never goes back, and continues when the name is active again. Each worker decides
    for itself. Uses are counted for twice as many names as are active, as in "space-saving" (Metwally, Agrawal and
    El Abbadi, 2005), and halved now and then, so that names that are no longer used go.

    Args:
        limit: Names that are active at a time; at least 1.
        ever: Names that may ever be active, each a series that is kept.
        halved_after: Uses after which all counts are halved.
    """

    def __init__(self, limit: int, ever: int, halved_after: int) -> None:
        self._limit = limit
        self._max_ever = ever
        self._halved_after = halved_after
        self._active: set[str] = set()
        self._ever: set[str] = set()
        self._uses: dict[str, int] = {}
        self._counted = 0

    def __call__(self, name: str) -> str:
        """The label value for a name, which becomes active if there is room."""
        if name in self._active or (len(self._active) < self._limit and self._activate(name)):
            return name
        return OTHER

    def used(self, name: str) -> None:
        """Count a use, which may make the name active."""
        if name not in self._uses and len(self._uses) >= 2 * self._limit:
            self._uses[name] = self._uses.pop(min(self._uses.keys() - self._active, key=self._uses_of))
        self._uses[name] = uses = self._uses_of(name) + 1
        if name not in self._active and len(self._active) >= self._limit:
            least = min(self._active, key=self._uses_of)
            if uses > MARGIN * self._uses_of(least) and self._activate(name):
                self._active.remove(least)
        self._counted += 1
        if self._counted >= self._halved_after:
            self._counted = 0
            self._uses = {name: uses // 2 for name, uses in self._uses.items() if uses > 1}

    def _activate(self, name: str) -> bool:
        if name not in self._ever and len(self._ever) >= self._max_ever:
            return False
        self._active.add(name)
        self._ever.add(name)
        return True

    def _uses_of(self, name: str) -> int:
        return self._uses.get(name, 0)
