from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limits.calendar import bounds_of, time_zone
from limits.limit import NEVER_NS, PERIODS, BudgetPeriod
from tests.cases import for_each

ZONES = ("UTC", "Europe/Berlin", "America/Sao_Paulo", "Asia/Kathmandu", "Pacific/Apia", "Australia/Lord_Howe")


def instant(*date, zone="UTC"):
    return int(datetime(*date, tzinfo=ZoneInfo(zone)).timestamp()) * 10**9


@for_each(
    ("period", "zone", "now", "begin", "end"),
    (BudgetPeriod.DAY, "UTC", (2026, 3, 14, 23, 59, 59), (2026, 3, 14), (2026, 3, 15)),
    (BudgetPeriod.WEEK, "UTC", (2026, 3, 15), (2026, 3, 9), (2026, 3, 16)),
    (BudgetPeriod.WEEK, "UTC", (2026, 3, 16), (2026, 3, 16), (2026, 3, 23)),
    (BudgetPeriod.MONTH, "UTC", (2026, 12, 31), (2026, 12, 1), (2027, 1, 1)),
    (BudgetPeriod.MONTH, "UTC", (2028, 2, 29), (2028, 2, 1), (2028, 3, 1)),
    (BudgetPeriod.DAY, "Europe/Berlin", (2026, 3, 28, 23), (2026, 3, 28, 23), (2026, 3, 29, 22)),
    (BudgetPeriod.DAY, "Europe/Berlin", (2026, 10, 25, 12), (2026, 10, 24, 22), (2026, 10, 25, 23)),
    (BudgetPeriod.DAY, "America/Sao_Paulo", (2018, 11, 4, 12), (2018, 11, 4, 3), (2018, 11, 5, 2)),
)
def test_a_period_begins_at_midnight_of_its_zone(period, zone, now, begin, end):
    assert bounds_of(period, zone, instant(*now)) == (instant(*begin), instant(*end))


@given(
    now=st.datetimes(datetime(2000, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    period=st.sampled_from(list(PERIODS)),
    zone=st.sampled_from(ZONES),
)
def test_periods_follow_one_another_without_a_gap(now, period, zone):
    now_ns = int(now.timestamp() * 10**6) * 1000
    begin, end = bounds_of(period, zone, now_ns)
    assert begin <= now_ns < end
    assert bounds_of(period, zone, end).begin_ns == end
    assert bounds_of(period, zone, begin - 1).end_ns == begin


def test_all_time_has_no_end():
    assert bounds_of(BudgetPeriod.TOTAL, "UTC", instant(2026, 12, 3)) == (0, NEVER_NS)


@for_each("name", "Mars/Olympus", "", "/etc/passwd", "../x", "Europe", "\0")
def test_a_name_that_is_no_time_zone_is_refused(name):
    with pytest.raises(ValueError, match="there is no time zone"):
        time_zone(name)
