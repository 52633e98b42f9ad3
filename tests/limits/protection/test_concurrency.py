import pytest
from hypothesis import given
from hypothesis import strategies as st

from limits.protection.concurrency import ConcurrencyLimit


def test_slots_are_handed_out_up_to_the_limit():
    limit = ConcurrencyLimit(2)
    first = limit.acquire()
    assert first is not None
    assert limit.acquire() is not None
    assert limit.acquire() is None
    first.release()
    assert limit.acquire() is not None
    assert limit.in_use() == 2


def test_a_limit_of_zero_refuses_nobody_and_counts_all_the_same():
    limit = ConcurrencyLimit(0)
    slots = [limit.acquire() for _ in range(1000)]
    assert None not in slots
    assert limit.in_use() == 1000


def test_a_slot_given_back_twice_is_given_back_once():
    limit = ConcurrencyLimit(2)
    first, second = limit.acquire(), limit.acquire()
    first.release()
    first.release()
    assert limit.in_use() == 1
    second.release()
    assert limit.in_use() == 0


def test_keys_never_limit_one_another():
    limit = ConcurrencyLimit(1)
    assert limit.acquire("a") is not None
    assert limit.acquire("a") is None
    assert limit.acquire("b") is not None


def test_a_key_without_slots_takes_no_memory():
    limit = ConcurrencyLimit(1)
    slot = limit.acquire("a")
    assert limit.in_use("b") == 0
    assert len(limit) == 1
    slot.release()
    assert len(limit) == 0


def test_a_limit_is_full_for_a_key_whose_slots_are_all_taken():
    limit = ConcurrencyLimit(1)
    limit.acquire("a")
    assert (limit.is_full("a"), limit.is_full("b"), ConcurrencyLimit(0).is_full()) == (True, False, False)


def test_a_negative_limit_is_refused():
    with pytest.raises(ValueError, match="a limit of at least 0 is needed, not -1"):
        ConcurrencyLimit(-1)


@given(
    limit=st.integers(0, 3),
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
            assert (slot is None) == (limit > 0 and held[key] == limit)
            if slot is not None:
                taken.append((key, slot))
                held[key] += 1
        elif taken:
            chosen = index % len(taken)
            owner, slot = taken[chosen]
            slot.release()
            held[owner] -= chosen not in released
            released.add(chosen)
        assert (slots.in_use("a"), slots.in_use("b")) == (held["a"], held["b"])
    order.shuffle(taken)
    for _, slot in taken:
        slot.release()
    assert (slots.in_use("a"), slots.in_use("b"), len(slots)) == (0, 0, 0)
