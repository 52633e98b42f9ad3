"""The groups with the slowest calls are found without the percentiles of all groups."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from storage.aggregation.histograms import LAST_BUCKET, histogram, quantiles
from storage.queries.grouped.slowest import first_of

TOOK = st.lists(st.integers(0, LAST_BUCKET) | st.sampled_from((3, 4)), max_size=30).map(histogram)


@given(st.dictionaries(st.tuples(st.sampled_from("abcdefgh")), TOOK), st.integers(0, 5), st.integers(1, 5))
def test_the_first_are_those_of_all_sorted(durations, offset, limit):
    slowest = {key: (quantiles(took, (0.95,)) or [0.0])[0] for key, took in durations.items()}
    expected = sorted(slowest, key=lambda key: (-slowest[key], str(key)))
    assert first_of(durations, offset, limit) == expected[offset : offset + limit]
