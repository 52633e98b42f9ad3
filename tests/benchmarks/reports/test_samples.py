import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.reports.samples import Summary, percentile, short, slope, summary, with_range
from tests.cases import for_each

values = st.lists(st.integers(-(10**6), 10**6), min_size=1, max_size=200).map(sorted)


@given(values, st.integers(1, 100))
def test_a_percentile_is_the_smallest_value_that_covers_its_share(ordered, percent):
    found = percentile(ordered, percent)
    assert sum(value <= found for value in ordered) * 100 >= percent * len(ordered)
    assert sum(value < found for value in ordered) * 100 < percent * len(ordered)


def test_a_summary_is_the_median_the_least_and_the_most():
    assert summary([3.0, 1.0, 2.0]) == Summary(2.0, 1.0, 3.0)
    assert summary([3.0, 1.0, 2.0]).less(1.0) == Summary(1.0, 0.0, 2.0)


@for_each(
    ("value", "text"),
    [
        (0, "0.000"),
        (0.12345, "0.123"),
        (-0.5, "-0.500"),
        (0.9999, "1.00"),
        (1.234, "1.23"),
        (9.999, "10.0"),
        (12.34, "12.3"),
        (99.96, "100"),
        (1234.5, "1,234"),
    ],
)
def test_a_figure_is_shown_with_three_digits_or_all_whole_ones(value, text):
    assert short(value) == text


def test_a_range_is_shown_where_there_is_one():
    assert with_range(Summary(2.0, 1.0, 3.0)) == "2.00 (1.00 to 3.00)"
    assert with_range(Summary(2.0, 2.0, 2.0)) == "2.00"


@given(st.integers(-100, 100), st.integers(-100, 100), st.integers(2, 50))
def test_the_slope_of_a_line_is_its_own(growth, start, number):
    assert slope([(x, start + growth * x) for x in range(number)]) == pytest.approx(growth)


def test_one_point_has_no_slope():
    assert slope([]) == 0
    assert slope([(1, 5)]) == 0
    assert slope([(1, 5), (1, 7)]) == 0
