from hypothesis import given
from hypothesis import strategies as st

from limits.protection.concurrency import ConcurrencyLimit


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
