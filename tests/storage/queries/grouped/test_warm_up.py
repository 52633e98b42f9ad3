"""The first queries after a start are already in memory."""

from __future__ import annotations

from datetime import timedelta

import pytest

from storage.mongo.errors import DatabaseUnavailableError
from storage.queries.filters.grouped.calendar import Period
from storage.queries.filters.grouped.groups import TooMuchError
from storage.queries.grouped import warm_up as warm_up_module
from storage.queries.grouped.grouped import Grouped
from storage.queries.grouped.warm_up import FIRST_SECONDS, SECONDS, first_queries, warm_up
from tests.storage.queries.grouped.test_ranking import fill, profiled, stages
from tests.storage.rollup_checks import MIDNIGHT

__all__ = ["fill"]
NOW = MIDNIGHT + timedelta(days=10)
QUERIES = first_queries(NOW)


class NotedQueries:
    """Takes the place of groups; notes the queries, and fails as it is told."""

    def __init__(self, calls=1_000_000, failure=None):
        self.queries = []
        self._calls, self._failure = calls, failure

    async def counted(self, query):
        return self._calls

    async def read(self, query, *, seconds):
        assert seconds == SECONDS
        self.queries.append(query)
        if self._failure is not None:
            raise self._failure


async def pauses_of(grouped):
    pauses = []

    async def pause(seconds):
        pauses.append(seconds)

    await warm_up(grouped, now=lambda: NOW, pause=pause)
    return pauses


def test_the_table_is_asked_and_then_the_chart():
    table, chart = first_queries(NOW + timedelta(minutes=1))
    assert {(one.start, one.end) for one in (table, chart)} == {
        (NOW + timedelta(hours=1, days=-30), NOW + timedelta(hours=1))
    }
    assert (table.compare, table.period, chart.compare, chart.period) == (
        *(True, Period.ALL),
        *(False, Period.DAY),
    )


@pytest.mark.gen_test
async def test_what_was_asked_is_answered_without_grouping_anything_in_the_database(filled, monkeypatch):
    monkeypatch.setattr(warm_up_module, "MIN_CALLS", 16)
    grouped = Grouped(filled)
    await pauses_of(grouped)
    for one, is_warm in ((grouped, True), (Grouped(filled), False)):
        for query in (QUERIES[0], QUERIES[-1]):
            async with profiled(filled) as found:
                response = await one.read(query)
            # Beside the versions of days, which are one stage.
            assert any(len(stages(each)) > 1 for each in found) != is_warm
            assert response.total.total["interceptions"] == 16
            assert [group.total["interceptions"] for group in response.groups] == [4, 4, 4, 4]


@pytest.mark.gen_test
async def test_with_few_calls_nothing_is_asked(filled):
    grouped = Grouped(filled)
    async with profiled(filled) as found:
        assert await pauses_of(grouped) == [FIRST_SECONDS]
    assert len(found) == 1  # to count the calls


@pytest.mark.gen_test
async def test_there_is_a_pause_before_all_questions():
    grouped = NotedQueries()
    assert await pauses_of(grouped) == [FIRST_SECONDS]
    assert grouped.queries == QUERIES


@pytest.mark.parametrize("failure", [DatabaseUnavailableError("lost"), TooMuchError(1)])
@pytest.mark.gen_test
async def test_it_is_given_up_where_it_takes_too_long(failure):
    grouped = NotedQueries(failure=failure)
    await pauses_of(grouped)
    assert len(grouped.queries) == 1
