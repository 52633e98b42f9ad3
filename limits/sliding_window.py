"""How many requests a key may start in any window of time, exactly.

Every admission is kept for one window, so that no window, wherever it begins, ever holds more than the limit; a counter
per fixed interval would let twice as many through around its edge. Times are whole nanoseconds of a monotonic clock:
there is no rounding, and waiting for `retry_after_ns` is enough.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from heapq import nsmallest
from itertools import islice
from typing import NamedTuple

KEYS_LOOKED_AT = 1000
"""Among how many keys the busiest are looked for, so that looking makes nobody wait."""


class Decision(NamedTuple):
    """What a request was told.

    Attributes:
        admitted: Whether it may start. A refused request counts nowhere.
        limit: Requests per window.
        remaining: How many more would be admitted now.
        retry_after_ns: Nanoseconds until the next request would be admitted, 0 while some remain.
        reset_ns: Nanoseconds until the window is empty again, 0 when it is.
    """

    admitted: bool
    limit: int
    remaining: int
    retry_after_ns: int
    reset_ns: int


class SlidingWindow:
    """Admits at most `limit` requests of a key in every half-open window of `window_ns` nanoseconds.

    Keeps at most `limit` times for each key that was admitted within the last window and forgets the others on the way,
    in amortised constant time.
    """

    def __init__(self, limit: int, window_ns: int, now_ns: Callable[[], int]) -> None:
        if limit < 1 or window_ns < 1:
            raise ValueError(f"a limit and a window of at least 1 are needed, not {limit} and {window_ns}")
        self.limit = limit
        self._window_ns = window_ns
        self._now_ns = now_ns
        # Never empty, oldest admission first; the keys in the order of their newest admission.
        self._admissions: OrderedDict[str, deque[int]] = OrderedDict()

    def __len__(self) -> int:
        """How many keys are kept."""
        return len(self._admissions)

    def admit(self, key: str) -> Decision:
        """Decide on a request and count it if it may start."""
        now = self._now_ns()
        admissions = self._in_window(key, now)
        admitted = len(admissions) < self.limit
        if admitted:
            admissions.append(now)
            self._admissions[key] = admissions
            self._admissions.move_to_end(key)
        return self._decision(admissions, now, admitted=admitted)

    def check(self, key: str) -> Decision:
        """Say what a request would be told, without counting it."""
        now = self._now_ns()
        admissions = self._in_window(key, now)
        return self._decision(admissions, now, admitted=len(admissions) < self.limit)

    def busiest(self, most: int) -> dict[str, Decision]:
        """What `check` says of the `most` keys that have the least left, that one first.

        Looks at the `KEYS_LOOKED_AT` keys that were admitted last.
        """
        lately = list(islice(reversed(self._admissions), KEYS_LOOKED_AT))
        used = {key: decision for key in lately if (decision := self.check(key)).remaining < self.limit}
        return dict(nsmallest(most, used.items(), key=lambda item: item[1].remaining))

    def _in_window(self, key: str, now: int) -> deque[int]:
        gone = now - self._window_ns
        while self._admissions and next(iter(self._admissions.values()))[-1] <= gone:
            self._admissions.popitem(last=False)
        admissions = self._admissions.get(key) or deque()
        while admissions and admissions[0] <= gone:
            admissions.popleft()
        return admissions

    def _decision(self, admissions: deque[int], now: int, *, admitted: bool) -> Decision:
        remaining = self.limit - len(admissions)
        return Decision(
            admitted=admitted,
            limit=self.limit,
            remaining=remaining,
            retry_after_ns=0 if remaining else admissions[0] + self._window_ns - now,
            reset_ns=admissions[-1] + self._window_ns - now if admissions else 0,
        )
