"""Calls of a segment by their positions."""

import hypothesis.strategies as st
from hypothesis import given
from msgspec.structs import replace

from storage.recording.figures import FIGURES
from storage.search.conditions import flags
from storage.search.entries import Entry
from storage.search.positions import Key, newest, started_within, without_gone
from storage.search.segments import TIMES, build

entries = st.dictionaries(st.binary(min_size=16, max_size=16), st.integers(0, 20), min_size=1, max_size=12).map(
    lambda times: [Entry(at, id_, frozenset({1}), (None,) * len(FIGURES)) for id_, at in times.items()]
)


@given(entries, st.data())
def test_the_newest_behind_a_call_are_those_of_the_sorted_list(made, data):
    _, parts = build(1, made)
    keys = sorted((Key(one.at, one.id) for one in made), reverse=True)
    found = bytes(data.draw(st.lists(st.integers(0, 1), min_size=len(made), max_size=len(made))))
    before = data.draw(st.none() | st.sampled_from(keys))
    number = data.draw(st.integers(1, 12))
    chosen = [key for key, flag in zip(keys, reversed(found), strict=True) if flag and (before is None or key < before)]
    assert newest(parts, found, number, before) == chosen[:number]


@given(entries, st.integers(0, 20), st.integers(0, 20), st.data())
def test_calls_of_a_time_range_that_are_not_gone_are_told(made, start, end, data):
    segment, parts = build(1, made)
    gone = data.draw(st.sets(st.integers(0, len(made) - 1)))
    ordered = sorted((one.at, one.id) for one in made)
    calls = without_gone(replace(segment, gone=tuple(gone)))
    calls &= started_within(segment, parts[TIMES], start, end)
    expected = bytes(start <= at < end and place not in gone for place, (at, _) in enumerate(ordered))
    assert flags(calls, len(made)) == expected
