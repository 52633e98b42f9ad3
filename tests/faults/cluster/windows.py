"""What a limit admitted, as clients and the provider saw it, on one clock. Pure.

When a request was admitted nobody outside knows: after its client sent it, and before the provider received it. A request
that did both within a window was admitted within it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import NamedTuple


class Span(NamedTuple):
    begin: float
    end: float

    def touches(self, other: Span) -> bool:
        return self.begin <= other.end and other.begin <= self.end


class Count(NamedTuple):
    """So many in a window that ends then."""

    number: int
    end: float


def admitted(requests: Iterable[Span], window: float) -> list[Count]:
    """For each request, from sent to received: how many were certainly admitted in the window that ends when it was received.

    The window is half-open: without its beginning.
    """
    by_end = sorted(requests, key=lambda one: one.end)
    counts, first = [], 0
    for last, one in enumerate(by_end):
        while by_end[first].end <= one.end - window:
            first += 1
        number = sum(other.begin > one.end - window for other in by_end[first : last + 1])
        counts.append(Count(number, one.end))
    return counts


def most_admitted(requests: Iterable[Span], window: float, decisions: Iterable[Span]) -> list[Count]:
    """For each decision, from asked to told: how many of the requests may have been admitted in the window that it ended.

    That are those that were sent before it was told and received after the window of its beginning began: at least as many
    as were admitted.
    """
    all_ = list(requests)
    begins, ends = sorted(one.begin for one in all_), sorted(one.end for one in all_)
    return [Count(bisect_right(begins, one.end) - bisect_right(ends, one.begin - window), one.end) for one in decisions]


def at_once(requests: Iterable[Span]) -> list[Count]:
    """How many ran at the same time, at each begin. What ends when another begins does not run any more."""
    changes = sorted((time, change) for one in requests for time, change in ((one.begin, 1), (one.end, -1)))
    counts, running = [], 0
    for time, change in changes:
        running += change
        if change > 0:
            counts.append(Count(running, time))
    return counts


def exceeding(counts: Iterable[Count], limit: int) -> list[Count]:
    return [count for count in counts if count.number > limit]
