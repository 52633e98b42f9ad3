from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from storage.queries.grouped.slices import SLICE_CALLS, Slice, cut
from tests.cases import for_each

START = datetime(2026, 3, 1, 0, 30, tzinfo=UTC)
END = START + timedelta(hours=10)


def hour(number):
    return START + timedelta(hours=number, minutes=-30)


@for_each(
    ("hours", "slices"),
    [
        ([], [(START, END, 0)]),
        ([(0, 5), (9, 7)], [(START, END, 12)]),
        ([(0, 9_000), (1, 1_000), (2, 1)], [(START, hour(2), 10_000), (hour(2), END, 1)]),
        ([(0, 50_000), (1, 50_000)], [(START, hour(1), 50_000), (hour(1), END, 50_000)]),
    ],
)
def test_a_range_is_cut_at_hours_once_enough_calls_are_in_a_slice(hours, slices):
    found = list(cut(START, END, [(hour(number), calls) for number, calls in hours], SLICE_CALLS))
    assert found == [Slice(*one) for one in slices]


@given(st.dictionaries(st.integers(0, 10), st.integers(0, 2 * SLICE_CALLS)))
def test_slices_cover_the_range_and_all_calls_once(hours):
    found = list(cut(START, END, [(hour(number), hours[number]) for number in sorted(hours)], SLICE_CALLS))
    assert [one.start for one in found[1:]] == [one.end for one in found[:-1]]
    assert (found[0].start, found[-1].end) == (START, END)
    assert sum(one.calls for one in found) == sum(hours.values())
    assert all(one.start < one.end for one in found)
