"""Which past calls say the words of a search, a day at a time."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from storage.queries.filters.grouped.groups import NoFinderError
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
        return FoundCalls(bytes([number]) * 16 + bytes([100 + number]) * 16, (1, 9), number)


@pytest.mark.gen_test
async def test_each_day_is_searched_by_itself_and_the_last_one_may_be_shorter(database):
    finder, end = Finder(), NOON + 2.5 * DAY
    days = [(*times, set(found.each), *found[1:]) async for *times, found in said_calls(database, finder, NOON, end)]
    ranges = [(NOON, NOON + DAY), (NOON + DAY, NOON + 2 * DAY), (NOON + 2 * DAY, end)]
    assert finder.ranges == ranges
    assert days == [
        (*one, {bytes([number]) * 16, bytes([100 + number]) * 16}, (1, 9), number)
        for number, one in enumerate(ranges, 1)
    ]


@pytest.mark.gen_test
async def test_without_snapshots_nothing_is_found(database, monkeypatch):
    @asynccontextmanager
    async def none():
        yield None

    monkeypatch.setattr(database, "snapshot", none)
    with pytest.raises(NoFinderError):
        [one async for one in said_calls(database, Finder(), NOON, NOON + DAY)]
