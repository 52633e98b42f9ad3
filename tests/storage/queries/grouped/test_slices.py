from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from storage.queries.grouped.slices import SLICE_CALLS, cut

START = datetime(2026, 3, 1, 0, 30, tzinfo=UTC)
END = START + timedelta(hours=10)


def hour(number):
    return START + timedelta(hours=number, minutes=-30)


@given(st.dictionaries(st.integers(0, 10), st.integers(0, 2 * SLICE_CALLS)))
def test_slices_cover_the_range_and_all_calls_once(hours):
    found = list(cut(START, END, [(hour(number), hours[number]) for number in sorted(hours)], SLICE_CALLS))
    assert [one.start for one in found[1:]] == [one.end for one in found[:-1]]
    assert (found[0].start, found[-1].end) == (START, END)
    assert sum(one.calls for one in found) == sum(hours.values())
    assert all(one.start < one.end for one in found)
