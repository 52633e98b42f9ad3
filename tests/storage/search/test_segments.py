from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from storage.mongo.codec import read_ms
from storage.search.segments import FIGURES, SearchEntry, build, entries_of

entries = st.lists(
    st.builds(
        SearchEntry,
        at=st.integers(0, 5),
        id=st.binary(min_size=16, max_size=16),
        digests=st.frozensets(st.sampled_from(["AAAAAAAA", "AAAAAAAB", "12345678", "--------"]), max_size=4),
        figures=st.tuples(*[st.none() | st.sampled_from([0.0, 0.5, 1e9])] * len(FIGURES)),
    ),
    min_size=1,
    max_size=12,
    unique_by=lambda entry: entry.id,
)


@given(entries, st.data())
def test_a_segment_has_the_entries_that_it_was_built_of_in_the_order_of_their_starts(some, data):
    segment, fields = build(7, some)
    ordered = sorted(some, key=lambda entry: (entry.at, entry.id))
    assert entries_of(segment, fields) == ordered
    assert (segment.calls, segment.first, segment.last) == (len(some), *map(read_ms, (ordered[0].at, ordered[-1].at)))
    assert segment.digests == sum(len(entry.digests) for entry in some)
    gone = data.draw(st.sets(st.integers(0, len(some) - 1)))
    kept = [entry for place, entry in enumerate(ordered) if place not in gone]
    assert entries_of(replace(segment, gone=tuple(gone)), fields) == kept
