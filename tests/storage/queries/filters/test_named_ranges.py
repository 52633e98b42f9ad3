from datetime import UTC, datetime, timedelta

import pytest

from storage.queries.filters.named_ranges import named_range, read_zone
from tests.cases import for_each

NOW = datetime(2026, 3, 30, 9, 12, 1, 234_000, tzinfo=UTC)  # a Monday, the day after clocks were changed in Europe


@for_each(
    ("name", "zone", "start", "end"),
    ("today", "Europe/Berlin", "2026-03-29T22:00", None),
    ("yesterday", "Europe/Berlin", "2026-03-28T23:00", "2026-03-29T22:00"),
    ("this-week", "UTC", "2026-03-30T00:00", None),
    ("last-week", "Europe/Berlin", "2026-03-22T23:00", "2026-03-29T22:00"),
    ("this-month", "America/New_York", "2026-03-01T05:00", None),
    ("last-month", "UTC", "2026-02-01T00:00", "2026-03-01T00:00"),
    ("this-quarter", "Europe/Berlin", "2025-12-31T23:00", None),
    ("last-quarter", "UTC", "2025-10-01T00:00", "2026-01-01T00:00"),
    ("2025-10-26..2025-10-26", "Europe/Berlin", "2025-10-25T22:00", "2025-10-26T23:00"),
    ("2026-01-01..2026-12-31", "Asia/Kolkata", "2025-12-31T18:30", "2026-12-31T18:30"),
)
def test_a_named_range_is_that_of_the_zone(name, zone, start, end):
    found = named_range(name, read_zone(zone), NOW)
    assert [at and at.isoformat()[:16] for at in found[:2]] == [start, end]
    assert not found.is_length


@for_each(("name", "length"), ("1h", timedelta(hours=1)), ("24h", timedelta(days=1)), ("90d", timedelta(days=90)))
def test_a_length_of_time_ends_now(name, length):
    assert named_range(name, read_zone("Asia/Kolkata"), NOW) == (NOW - length, None, True)


@for_each(
    "name",
    *("", "now", "this", "this-day", "last-day", "this-year", "next-week", "Today", "0d", "1w", "-1d", "999999h"),
    *("2026-11-30..2026-11-01", "2026-11-31..2026-12-01", "2026-11-01", "2026-11-01..", "0001-01-01..9999-12-31"),
)
def test_a_name_that_is_none_is_told_what_it_may_be(name):
    with pytest.raises(ValueError, match="must be one of today, yesterday, this-week"):
        named_range(name, read_zone("Europe/Berlin"), datetime(2026, 3, 30, tzinfo=UTC))


def test_a_zone_is_one_of_iana():
    with pytest.raises(ValueError, match=r'must be the name of a time zone of IANA, like "Europe/Berlin"'):
        read_zone("Nowhere/Else")
