"""The memory is bounded, and knows the latest version alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from storage.queries.grouped.memory.cache import VersionedCache

additions = st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from((b"1", b"2")), st.integers(1, 5)), max_size=15)


@given(additions, st.integers(0, 12))
def test_what_is_known_is_the_latest_of_its_version_and_bounded(added, most):
    cache, latest = VersionedCache(most), {}
    for number, (key, version, size) in enumerate(added):
        cache.add(key, version, number, size)
        latest[key] = version, number, size
        other = b"2" if version == b"1" else b"1"
        assert (cache.get(key, version), cache.get(key, other)) == (number if size <= most else None, None)
        known = {one: value for one, (of, value, _) in latest.items() if cache.get(one, of) is not None}
        assert all(cache.get(one, latest[one][0]) == value for one, value in known.items())
        assert cache.size == sum(latest[one][2] for one in known) <= most


def test_what_was_not_used_for_the_longest_time_is_dropped_first():
    cache = VersionedCache(2)
    cache.add("a", b"1", "A", 1)
    cache.add("b", b"1", "B", 1)
    assert cache.get("a", b"1") == "A"
    cache.add("c", b"1", "C", 1)
    assert [cache.get(key, b"1") for key in "abc"] == ["A", None, "C"]
