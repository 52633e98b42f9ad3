"""The cached groups are bounded, and so are their keys."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.queries.grouped.memory import group_cache
from storage.queries.grouped.memory.group_cache import GroupCache
from storage.queries.grouped.memory.versions import digest_of

additions = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=15)


@given(additions, st.integers(0, 20))
def test_keys_without_groups_are_bounded_as_well(added, most):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(group_cache, "MAX_SIZE", most)
        cache, latest = GroupCache(), {}
        for name, number in added:
            latest[name] = {(index,): number for index in range(number)}
            cache.add(name, latest[name])
            held = {one: groups for one in latest if (groups := cache.get(one)) is not None}
            assert held.items() <= latest.items()
            assert (name in held) == (group_cache.KEY_SIZE + number <= most)
            assert cache.size == sum(group_cache.KEY_SIZE + len(groups) for groups in held.values()) <= most


def test_a_group_has_one_key_in_memory_wherever_it_is_cached():
    cache = GroupCache()
    for name in "ab":
        cache.add(name, {(UUID(int=1), "m"): 1, (UUID(int=2), "m"): 2})
    assert cache.get("a") == cache.get("b") == {(UUID(int=1), "m"): 1, (UUID(int=2), "m"): 2}
    assert list(map(id, cache.get("a"))) == list(map(id, cache.get("b")))


@given(st.lists(st.lists(st.sampled_from([(True,), (1,), (False,), (0,), (None,)]), max_size=3), max_size=6))
def test_keys_stay_what_they_are_although_true_equals_one(added):
    cache = GroupCache()
    for name, keys in enumerate(added):
        groups = dict.fromkeys(keys, 1)
        cache.add(name, groups)
        assert repr(cache.get(name)) == repr(groups)


def test_keys_that_are_no_longer_needed_are_dropped(monkeypatch):
    monkeypatch.setattr(group_cache, "MAX_SIZE", 10)
    cache = GroupCache()
    for number in range(30):
        cache.add(number, {(number, one): 1 for one in range(4)})
        assert len(cache._keys) <= 10 + 4
    cache.add("large", {(one,): 1 for one in range(11)})
    assert (cache.get("large"), len(cache._keys) <= 14) == (None, True)


def test_the_digest_of_many_conditions_is_as_long_as_that_of_one_and_another():
    users = [UUID(int=number) for number in range(10_000)]
    few, many = digest_of({"model": "m", "initiator_id": users[0]}), digest_of({"initiator_id": {"$in": users}})
    assert len(few) == len(many) == 16
    assert few == digest_of({"initiator_id": users[0], "model": "m"})
    assert len({few, many, digest_of({"initiator_id": {"$in": users[1:]}}), digest_of({})}) == 4
