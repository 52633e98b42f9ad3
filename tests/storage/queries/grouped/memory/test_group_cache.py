"""The cached groups are bounded, and so are their keys."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.queries.grouped.memory import group_cache
from storage.queries.grouped.memory.digests import digest_of
from storage.queries.grouped.memory.group_cache import GroupCache

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


def test_the_digest_of_many_conditions_is_as_long_as_that_of_one_and_another():
    users = [UUID(int=number) for number in range(10_000)]
    few, many = digest_of({"model": "m", "initiator_id": users[0]}), digest_of({"initiator_id": {"$in": users}})
    assert len(few) == len(many) == 16
    assert few == digest_of({"initiator_id": users[0], "model": "m"})
    assert len({few, many, digest_of({"initiator_id": {"$in": users[1:]}}), digest_of({})}) == 4
