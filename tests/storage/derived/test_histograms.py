import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.derived.histograms import (
    GROWTH,
    histogram,
    pack,
    quantiles,
    unpack,
)
from tests.storage.rollup_checks import bucket_index


def test_a_place_has_room_for_many_calls():
    many = (2**32 - 1) * histogram([72]) + histogram([73])
    assert quantiles(unpack(pack(many)), [0.5, 1]) == [
        pytest.approx(GROWTH**72 / 1.05, abs=0.05),
        pytest.approx(GROWTH**73 / 1.05, abs=0.05),
    ]


@given(st.lists(st.integers(1, 10**8), min_size=1, max_size=50))
def test_a_quantile_is_right_within_five_percent(times):
    shares = [0, 0.01, 0.5, 0.5, 0.95, 0.99, 1]
    true = [sorted(times)[max(math.ceil(share * len(times)), 1) - 1] for share in shares]
    assert quantiles(histogram(map(bucket_index, times)), shares) == pytest.approx(true, rel=0.05)
