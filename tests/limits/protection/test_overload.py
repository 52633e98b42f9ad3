from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limits.limit import NOTHING, Amounts, LimitState
from limits.protection.overload import OverloadedError
from limits.request_limits import Client
from tests.limits.at_once import at_once
from tests.limits.clock import SECOND, Clock
from tests.limits.protection.overload_protection import protection


@pytest.fixture
def clock():
    return Clock()


def count(overload, key="token", user="user"):
    return at_once(overload.count_request(Client(key, user)))


def used(overload):
    """What is used of each rule, by key."""
    return {(state.limit.rule.value, state.limit.key): state.used for state in at_once(overload.authority.usage(99))}


def test_everything_is_off_by_default_and_requests_are_counted_all_the_same():
    overload = protection()
    held = [at_once(overload.acquire_slot()) for _ in range(100)]
    assert (count(overload).states, overload.holding, used(overload)) == ((), 100, {})
    for one in held:
        one.release()
        one.release()
    assert overload.holding == 0


def test_nothing_is_charged_to_what_counts_nothing_of_the_kind(clock):
    overload = protection(rate_limit=1, user_token_limit=9, now_ns=clock)
    slot, held = at_once(overload.acquire_slot()), count(overload)
    assert (slot.charged, held.charged) == (False, True)
    slot.charge(Amounts(5))
    held.charge(Amounts(5), NOTHING)
    held.release()
    held.charge(Amounts(9))
    assert used(overload)["user_tokens", "user:user"] == 5


@given(
    limit=st.integers(1, 3),
    window=st.timedeltas(timedelta(microseconds=1), timedelta(days=2)),
    steps=st.lists(st.integers(0, 10**12), max_size=10),
)
def test_waiting_as_long_as_either_header_says_succeeds(limit, window, steps):
    clock = Clock()
    overload = protection(rate_limit=limit, rate_window=window, now_ns=clock)
    for header, unit in [("Retry-After", SECOND), ("retry-after-ms", 1_000_000)]:
        for step in [*steps, 0, 0, 0, 0]:
            clock.advance(step)
            try:
                count(overload)
            except OverloadedError as error:
                wait = int(error.headers[header])
                assert wait >= 1
                clock.advance(wait * unit)
                count(overload)


def test_what_is_used_is_told_by_limit_and_key_without_what_the_key_is_of(clock):
    overload = protection(
        max_concurrency=9, rate_limit=5, user_rate_limit=8, user_max_concurrency=7, user_token_limit=6, now_ns=clock
    )
    at_once(overload.acquire_slot())
    count(overload, "a").charge(Amounts(4))
    count(overload, "b")
    usage = at_once(overload.usage(1))
    assert usage.slots == 1
    assert [{key: state.used for key, state in of.items()} for of in usage[1:]] == [
        {"user": 2},
        {"b": 1},
        {"user": 2},
        {"user": 4},
        {},
    ]
    assert isinstance(usage.users["user"], LimitState)
