"""Which past calls say the words of a search, a day at a time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from storage.queries.grouped.sources.found import FoundCalls
from storage.queries.said_calls import said_calls
from tests.storage.records import NOON

DAY = timedelta(days=1)


class Finder:
    """Finds two calls a day, named after the day."""

    def __init__(self):
        self.ranges = []

    async def __call__(self, rows, session, start, end):
        assert session is rows.session is not None
        self.ranges.append((start, end))
        number = len(self.ranges)
        return FoundCalls(bytes([number]) * 16 + bytes([100 + number]) * 16, number)


@pytest.mark.gen_test
async def test_each_day_with_calls_is_searched_by_itself_however_long_the_range_is(database):
    ever = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, tzinfo=UTC)
    finder = Finder()
    assert [one async for one in said_calls(database, finder, *ever)] == finder.ranges == []
    starts = [NOON, NOON + 0.9 * DAY, NOON + DAY, NOON + 700.5 * DAY]
    await database.interceptions.insert_many([{"_id": UUID(int=n), "started_at": at} for n, at in enumerate(starts)])
    first = [(NOON, NOON + DAY), (NOON + DAY, NOON + 2 * DAY)]
    for start, end, ranges in (
        (*ever, [*first, (NOON + 700.5 * DAY, NOON + 701.5 * DAY)]),
        (NOON, NOON + 1.5 * DAY, [first[0], (NOON + DAY, NOON + 1.5 * DAY)]),
        (NOON - DAY, NOON, []),
    ):
        finder = Finder()
        days = [
            (*times, set(found.each), *found[1:]) async for *times, found in said_calls(database, finder, start, end)
        ]
        assert finder.ranges == ranges
        assert days == [
            (*one, {bytes([number]) * 16, bytes([100 + number]) * 16}, number) for number, one in enumerate(ranges, 1)
        ]
