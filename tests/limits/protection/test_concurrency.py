from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from limits.protection.concurrency import (
    DEFAULT_REQUESTS,
    MIN_REQUESTS,
    ConcurrencyLimit,
    UserShares,
)
from tests.cases import for_each


@given(
    limit=st.integers(1, 3),
    moves=st.lists(st.tuples(st.sampled_from("ab"), st.one_of(st.none(), st.integers(0, 50))), max_size=60),
    order=st.randoms(use_true_random=False),
)
def test_every_order_of_taking_and_giving_back_ends_at_zero(limit, moves, order):
    slots = ConcurrencyLimit(limit)
    taken: list = []
    held = {"a": 0, "b": 0}
    released = set()
    for key, index in moves:
        if index is None:
            slot = slots.acquire(key)
            assert (slot is None) == (held[key] == limit)
            if slot is not None:
                taken.append((key, slot))
                held[key] += 1
        elif taken:
            chosen = index % len(taken)
            owner, slot = taken[chosen]
            slot.release()
            held[owner] -= chosen not in released
            released.add(chosen)
        assert len(slots) == sum(number > 0 for number in held.values())
    order.shuffle(taken)
    for _, slot in taken:
        slot.release()
    assert len(slots) == 0


def taken(limit):
    """How many slots a user gets until one is refused."""
    slots = []
    while slot := limit.acquire("ada"):
        slots.append(slot)
    return len(slots)


@for_each(
    ("user_max_concurrency", "requests"),
    (0, DEFAULT_REQUESTS),
    (1, MIN_REQUESTS),
    (MIN_REQUESTS, MIN_REQUESTS),
    (100, 100),
)
def test_requests_follow_the_users_concurrency_but_a_dashboard_always_fits(user_max_concurrency, requests):
    assert taken(UserShares(user_max_concurrency).requests) == requests
