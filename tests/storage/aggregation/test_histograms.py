from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.aggregation.histograms import (
    GROWTH,
    LAST_BUCKET,
    histogram,
    longest,
    pack,
    quantiles,
    unpack,
)
from tests.cases import for_each
from tests.storage.rollup_checks import bucket_index

histograms = st.lists(st.integers(0, LAST_BUCKET), max_size=50).map(histogram)


@for_each(
    ("milliseconds", "bucket"),
    [(-5, 0), (0, 0), (1, 0), (1.1, 1), (1.11, 2), (2, 8), (1_000, 73), (60_000, 116), (10**8, 194), (10**12, 200)],
)
def test_a_time_has_its_place_in_a_histogram(milliseconds, bucket):
    assert bucket_index(milliseconds) == bucket


def test_a_histogram_goes_on_for_two_days():
    assert math.floor(GROWTH**LAST_BUCKET / 3_600_000) == 52


@for_each(
    ("buckets", "packed"),
    [
        ([], b"\x00"),
        ([0], b"\x00\x01"),
        ([73] * 300, b"\x49\x2c\x01"),
        ([7, 7, 8], b"\x07\x02\x00\x00\x00\x01"),
        ([200], b"\xc8\x01"),
    ],
)
def test_the_database_has_a_histogram_like_this(buckets, packed):
    assert pack(histogram(buckets)) == packed
    assert unpack(packed) == histogram(buckets)


@given(histograms)
def test_a_histogram_is_the_same_after_the_database_had_it(one):
    assert unpack(pack(one)) == one


@given(histograms, histograms)
def test_histograms_are_added_and_taken_away(one, other):
    assert quantiles(one + other, [0, 0.5, 1]) == quantiles(other + one, [0, 0.5, 1])
    assert unpack(pack(one + other)) - other == one


def test_a_place_has_room_for_many_calls():
    many = (2**32 - 1) * histogram([72]) + histogram([73])
    assert quantiles(unpack(pack(many)), [0.5, 1]) == [
        pytest.approx(GROWTH**72 / 1.05, abs=0.05),
        pytest.approx(GROWTH**73 / 1.05, abs=0.05),
    ]


def test_there_is_no_quantile_of_nothing():
    assert quantiles(0, [0.5]) is None


@given(st.lists(st.integers(1, 10**8), min_size=1, max_size=50))
def test_a_quantile_is_right_within_five_percent(times):
    shares = [0, 0.01, 0.5, 0.5, 0.95, 0.99, 1]
    true = [sorted(times)[max(math.ceil(share * len(times)), 1) - 1] for share in shares]
    assert quantiles(histogram(map(bucket_index, times)), shares) == pytest.approx(true, rel=0.05)


@given(histograms)
def test_no_quantile_is_beyond_the_longest_call(one):
    assert [longest(one)] == (quantiles(one, (1.0,)) or [0.0])
