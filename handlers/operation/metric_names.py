"""Names that clients choose, as values of labels: the busiest are shown, bounded in number; the others are `other`."""

from __future__ import annotations

OTHER = "other"
# How much busier a name has to be than the least busy one whose place it takes: two that are alike do not take turns.
MARGIN = 2


class BoundedNames:
    """Decides which names have a time series of their own. Bounded in memory, and in the series that it ever makes.

    A name has a place while one is free. Then one that is used more takes the place of the least used one, whose series
    stands still from then on: a counter never goes back, and is continued when the name has a place again. So in every
    worker, and each worker decides for itself. Uses are counted for twice as many names as have a place, as in
    "space-saving" (Metwally, Agrawal and El Abbadi, 2005), and halved now and then, so that what is no longer used goes.

    Args:
        limit: Names that have a place at a time; at least 1.
        ever: Names that may have had one, which are series that are kept.
        halved_after: Uses after which all counts are halved.
    """

    def __init__(self, limit: int, ever: int, halved_after: int) -> None:
        self._limit = limit
        self._max_ever = ever
        self._halved_after = halved_after
        self._shown: set[str] = set()
        self._ever: set[str] = set()
        self._uses: dict[str, int] = {}
        self._counted = 0

    def __call__(self, name: str) -> str:
        """The label value for a name, which takes a place that is free."""
        if name in self._shown or (len(self._shown) < self._limit and self._show(name)):
            return name
        return OTHER

    def used(self, name: str) -> None:
        """Count a use, which may earn the name a place."""
        if name not in self._uses and len(self._uses) >= 2 * self._limit:
            self._uses[name] = self._uses.pop(min(self._uses.keys() - self._shown, key=self._uses_of))
        self._uses[name] = uses = self._uses_of(name) + 1
        if name not in self._shown and len(self._shown) >= self._limit:
            least = min(self._shown, key=self._uses_of)
            if uses > MARGIN * self._uses_of(least) and self._show(name):
                self._shown.remove(least)
        self._counted += 1
        if self._counted >= self._halved_after:
            self._counted = 0
            self._uses = {name: uses // 2 for name, uses in self._uses.items() if uses > 1}

    def _show(self, name: str) -> bool:
        if name not in self._ever and len(self._ever) >= self._max_ever:
            return False
        self._shown.add(name)
        self._ever.add(name)
        return True

    def _uses_of(self, name: str) -> int:
        return self._uses.get(name, 0)
