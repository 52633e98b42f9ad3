from hypothesis import given
from hypothesis import strategies as st

from storage.recording.figures import FIGURES
from storage.search.entries import Entry
from storage.search.segments import Segment, Source, build, choose_merge, merge
from tests.storage.search_checks import entries_of

DIGESTS = [0, 1, 2**63, 2**64 - 1, 0xDEAD_BEEF_0000_0000, 0xDEAD_BEEF_0000_0001]
entries = st.lists(
    st.builds(
        Entry,
        at=st.integers(0, 5),
        id=st.binary(min_size=16, max_size=16),
        digests=st.frozensets(st.sampled_from(DIGESTS), max_size=4),
        figures=st.tuples(*[st.none() | st.sampled_from([0.0, 0.5, 1e9])] * len(FIGURES)),
    ),
    min_size=1,
    max_size=12,
    unique_by=lambda entry: entry.id,
)


def in_order(some):
    return sorted(some, key=lambda entry: (entry.at, entry.id))


@given(entries)
def test_a_segment_has_the_entries_that_it_was_built_of(some):
    assert entries_of(*build(7, some)) == in_order(some)


@given(st.lists(entries, min_size=1, max_size=3), st.data())
def test_a_merged_segment_has_what_is_not_gone(several, data):
    sources, kept = [], []
    for number, some in enumerate(several):
        segment, parts = build(number, some)
        gone = data.draw(st.sets(st.integers(0, len(some) - 1)))
        sources.append(Source(Segment(**{**fields(segment), "gone": tuple(gone)}), parts))
        kept += [entry for place, entry in enumerate(in_order(some)) if place not in gone]
    made = merge(9, sources)
    assert (made is None) == (not kept)
    if made is not None:
        assert made[0].number == 9
        assert entries_of(*made) == in_order(kept)


def fields(segment):
    return {name: getattr(segment, name) for name in segment.__struct_fields__}


def segment(number, calls):
    return Segment(number=number, calls=calls, bits=0, first=0, last=0)


def test_the_oldest_of_a_level_are_merged_when_there_are_enough():
    small = [segment(number, 10) for number in (5, 4, 3, 2, 1)]
    assert choose_merge(small, 6) == []
    assert [one.number for one in choose_merge(small, 5)] == [1, 2, 3, 4, 5]
    assert [one.number for one in choose_merge([*small, segment(6, 10)], 5)] == [1, 2, 3, 4, 5]
    assert choose_merge([segment(number, 16_000) for number in range(9)], 5) == []


def test_no_merged_segment_has_too_many_calls():
    chosen = choose_merge([segment(number, 4_000) for number in range(8)], 8)
    assert [one.number for one in chosen] == [0, 1, 2, 3]
