"""Groups are sorted by the ratio of two sums, and by their slowest calls without the percentiles of all."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from storage.aggregation.histograms import LAST_BUCKET, histogram, quantiles
from storage.queries.grouped.sorting import by_cache, by_change, by_durations

TOOK = st.lists(st.integers(0, LAST_BUCKET) | st.sampled_from((3, 4)), max_size=30).map(histogram)
KEYS = st.tuples(st.sampled_from([None, *"abcdef"]))
AMOUNTS = st.sampled_from([0, 1, 2, 3, 10**15])
CACHED = st.dictionaries(KEYS, st.tuples(st.just(1), AMOUNTS, AMOUNTS, AMOUNTS))
CHANGED = st.dictionaries(KEYS, st.tuples(st.integers(1, 5), st.sampled_from([0, Decimal("0.1"), Decimal("0.3")])))


@given(CACHED)
def test_the_share_of_the_cache_falls_from_group_to_group(sums):
    ranked = by_cache(sums)
    assert sorted(ranked, key=str) == sorted(sums, key=str)
    shares = [Fraction(one[1], sum(one[1:])) if sum(one[1:]) else -1 for one in map(sums.get, ranked)]
    assert shares == sorted(shares, reverse=True)
    assert ranked == by_cache(dict(reversed(sums.items())))


@given(CHANGED, CHANGED)
def test_new_groups_come_first_and_the_growth_of_others_falls(now, before):
    ranked = by_change(now, before)
    assert sorted(ranked, key=str) == sorted(now, key=str)
    figure = 1 if any(one[1] for one in now.values()) else 0

    def growth(key):
        mine, earlier = (one[key][figure] if key in one else 0 for one in (now, before))
        return Fraction(mine) / Fraction(earlier) if earlier else Fraction(10**9) if mine else -1

    grown = [growth(key) for key in ranked]
    assert grown == sorted(grown, reverse=True)
    assert ranked == by_change(dict(reversed(now.items())), before)


def test_of_equal_groups_the_larger_comes_first_and_then_the_least_key():
    assert by_cache({("a",): (1, 1, 0, 1), ("b",): (1, 2, 0, 2), (None,): (1, 0, 0, 0)}) == [("b",), ("a",), (None,)]
    now = {("b",): (4,), ("a",): (4,), (None,): (4,), ("c",): (6,)}
    before = {("a",): (2,), ("b",): (2,), (None,): (2,), ("c",): (3,)}
    assert by_change(now, before) == [("c",), (None,), ("a",), ("b",)]


@given(st.dictionaries(st.tuples(st.sampled_from("abcdefgh")), TOOK), st.integers(0, 5), st.integers(1, 5))
def test_the_slowest_are_those_of_all_sorted(durations, offset, limit):
    slowest = {key: (quantiles(took, (0.95,)) or [0.0])[0] for key, took in durations.items()}
    expected = sorted(slowest, key=lambda key: (-slowest[key], str(key)))
    assert by_durations(durations, offset, limit) == expected[offset : offset + limit]
