"""What groups add up to, and which of them come first. Pure: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec
from msgspec import Struct

from storage.derived.histograms import quantiles
from storage.derived.rollup import TOKENS, Totals, add
from storage.queries.questions.question import Counted, Order, Question

Key: TypeAlias = tuple[Any, ...]
"""The values that a group has in common."""

MAX_POINTS: Final = 10_000
"""Most buckets of all groups of one answer."""

COUNTED: Final = {Counted.CALLS: "interceptions", Counted.REFUSALS: "refusals", Counted.SESSIONS: "sessions"}
"""The total that says how many there are."""

_NEEDED: Final[Mapping[Order, tuple[str, ...]]] = {
    Order.CALLS: (),
    Order.COST: ("cost",),
    Order.TOKENS: TOKENS,
    Order.FAILED: ("failed",),
    Order.P95: ("durations",),
    Order.CACHE: ("cache_read_input_tokens", "cache_write_input_tokens", "input_tokens"),
    Order.CHANGE: ("cost",),
}


class UnsupportedOrderError(ValueError):
    """What is added up cannot be sorted by this. Its text names both."""


class TooMuchError(Exception):
    """An answer would take longer than its bound, or is more than is read.

    Attributes:
        calls: How many calls there are in the time range, as far as these are counted.
        seconds: The bound.
    """

    def __init__(self, calls: int = 0, seconds: float = 0.0) -> None:
        super().__init__(calls, seconds)
        self.calls = calls
        self.seconds = seconds


class TooManyPointsError(Exception):
    """More buckets of groups are requested than `MAX_POINTS`."""


class NotRecordedError(Exception):
    """Some of the calls are not recorded any more.

    Attributes:
        since: The first day of which all are.
    """

    def __init__(self, since: datetime) -> None:
        super().__init__(since)
        self.since = since


class AnswerGroup(Struct):
    """What a group adds up to, the same over time by the start of a bucket, and both of the time range before.

    `points_before` is known of all as one alone.
    """

    key: Key
    total: Totals
    points: dict[datetime, Totals]
    previous: Totals | None = None
    points_before: dict[datetime, Totals] = msgspec.field(default_factory=dict)

    def add(self, other: AnswerGroup, sign: int = 1) -> None:
        """Add another group to this one, or take it away with the sign -1."""
        add(self.total, other.total, sign)
        for at, point in other.points.items():
            add(self.points.setdefault(at, {}), point, sign)


class AnswerRow(NamedTuple):
    """What a group adds up to in a bucket of time, which begins `at`."""

    at: datetime
    key: Key
    totals: Totals


class Answer(Struct):
    """What was found.

    Attributes:
        count: How many groups there are.
        groups: Those that were requested, in their order.
        total: All of it as one, each document once.
        counted_until: Until when all calls that ended are in the figures; None where that is unknown, or records were read.
        recorded_since: Where records that would be needed are gone: since when all are there.
    """

    count: int
    groups: list[AnswerGroup]
    total: AnswerGroup
    counted_until: datetime | None = None
    recorded_since: datetime | None = None

    @property
    def others(self) -> AnswerGroup:
        """What is in none of the groups, where nothing is in two of them."""
        rest = AnswerGroup((), {}, {})
        rest.add(self.total)
        for group in self.groups:
            rest.add(group, -1)
        rest.points = {at: point for at, point in rest.points.items() if any(point.values())}
        return rest


def check_order(question: Question, names: Iterable[str]) -> None:
    """Raise UnsupportedOrderError where groups that have these figures cannot be sorted as is requested."""
    if question.order is not Order.CHANGE and not set(_NEEDED[question.order]) <= set(names):
        raise UnsupportedOrderError(f"{question.of} cannot be sorted by {question.order}")


def ranked_by(question: Question) -> tuple[str, ...]:
    """Return the figures that are needed to sort groups, the number of what is counted first."""
    return (COUNTED[question.of], *_NEEDED[question.order])


def page(question: Question, now: Mapping[Key, Totals], before: Mapping[Key, Totals]) -> list[Key]:
    """Return the requested groups in order, given the totals of all, and for the change those of the time range before."""
    end = question.offset + question.limit
    match question.order:
        case Order.P95:
            slowest = {key: (quantiles(one.get("durations", 0), (0.95,)) or [0.0])[0] for key, one in now.items()}
            ranked = sorted(now, key=lambda key: (-slowest[key], str(key)))
        case Order.CACHE:
            ranked = _by_cache(now)
        case Order.CHANGE:
            ranked = _by_change(now, before, COUNTED[question.of])
        case order:
            names = _NEEDED[order] or (COUNTED[question.of],)
            most = {key: sum(totals.get(name, 0) for name in names) for key, totals in now.items()}
            ranked = sorted(now, key=lambda key: (-most[key], least_first(key)))
    return ranked[question.offset : end]


def least_first(key: Key) -> list[tuple[bool, Any]]:
    """What groups are sorted by as MongoDB sorts: nothing comes before anything."""
    return [(value is not None, value) for value in key]


def _by_cache(groups: Mapping[Key, Totals]) -> list[Key]:
    """Sort groups by the share of their input that was read from the cache, the highest first.

    Of equal ones that with the most input comes first. Those without input come last.
    """

    def place(key: Key) -> tuple[Any, ...]:
        read, *others = (groups[key].get(name, 0) for name in _NEEDED[Order.CACHE])
        tokens = read + sum(others)
        return (1, 0, 0) if tokens == 0 else (0, -read / tokens, -tokens)

    return sorted(groups, key=lambda key: (*place(key), least_first(key)))


def _by_change(now: Mapping[Key, Totals], before: Mapping[Key, Totals], counted: str) -> list[Key]:
    """Sort groups by how much more they are than before, as a share of that, the largest growth first.

    What is compared is the cost, or the number where nothing of now costs anything. First come the groups that had nothing
    before, those with the most first; last those that have nothing now either.
    """
    figure = "cost" if any(totals.get("cost") for totals in now.values()) else counted

    def place(key: Key) -> tuple[Any, ...]:
        mine, earlier = now[key].get(figure, 0), before.get(key, {}).get(figure, 0)
        if earlier:
            return 1, -mine / earlier, -mine
        return (0, -mine, 0) if mine else (2, 0, 0)

    return sorted(now, key=lambda key: (*place(key), least_first(key)))
