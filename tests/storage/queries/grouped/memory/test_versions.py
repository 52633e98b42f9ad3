"""Ranges and conditions as caches name them."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from storage.aggregation.rollup import Bucket
from storage.queries.filters.time_ranges import TimeRange
from storage.queries.grouped.memory.versions import digest_of, parts
from tests.storage.rollup_checks import MIDNIGHT

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


def test_hours_are_cut_where_the_last_day_begins():
    days = TimeRange(Bucket.DAY, MIDNIGHT, MIDNIGHT + 2 * DAY)
    hours = TimeRange(Bucket.HOUR, MIDNIGHT - HOUR, MIDNIGHT + DAY + HOUR)
    whole = TimeRange(Bucket.HOUR, MIDNIGHT - HOUR, MIDNIGHT)
    assert list(parts([days, hours, whole])) == [
        days,
        hours._replace(end=MIDNIGHT + DAY),
        hours._replace(start=MIDNIGHT + DAY),
        whole,
    ]
    assert list(parts([])) == []


def test_the_digest_of_many_conditions_is_as_long_as_that_of_one_and_another():
    users = [UUID(int=number) for number in range(10_000)]
    few, many = digest_of({"model": "m", "initiator_id": users[0]}), digest_of({"initiator_id": {"$in": users}})
    assert len(few) == len(many) == 16
    assert few == digest_of({"initiator_id": users[0], "model": "m"})
    assert len({few, many, digest_of({"initiator_id": {"$in": users[1:]}}), digest_of({})}) == 4
