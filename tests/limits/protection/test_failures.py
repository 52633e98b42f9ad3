import pytest
from hypothesis import given
from hypothesis import strategies as st

from limits.protection.failures import MAX_FAILURES, Failures
from tests.limits.clock import SECOND, Clock

MINUTE = 60 * SECOND


@pytest.fixture
def clock():
    return Clock()


def waits(failures, address="a"):
    return failures.wait_ns(lambda: address)


def test_an_address_may_fail_so_often_in_a_minute(clock):
    failures = Failures(2, clock)
    for _ in range(2):
        assert waits(failures) == 0
        failures.count("a")
        clock.advance(SECOND)
    assert waits(failures) == MINUTE - 2 * SECOND
    assert waits(failures, "b") == 0
    clock.advance(MINUTE - 2 * SECOND)
    assert waits(failures) == 0


def test_failing_on_makes_nobody_wait_longer(clock):
    failures = Failures(1, clock)
    failures.count("a")
    for _ in range(59):
        clock.advance(SECOND)
        failures.count("a")
    clock.advance(SECOND)
    assert waits(failures) == 0


def test_many_addresses_together_are_bounded_and_so_is_what_is_kept(clock):
    failures = Failures(30, clock)
    for number in range(3 * MAX_FAILURES):
        failures.count(str(number))
    assert waits(failures, "nobody") == MINUTE
    assert len(failures._window) == MAX_FAILURES + 1


def test_without_a_limit_nobody_waits(clock):
    failures = Failures(0, clock)
    for _ in range(2 * MAX_FAILURES):
        failures.count("a")
    assert waits(failures) == 0


def test_nobody_is_asked_for_an_address_while_nobody_fails(clock):
    assert Failures(1, clock).wait_ns(lambda: pytest.fail("asked")) == 0


@given(limit=st.integers(1, 4), steps=st.lists(st.integers(0, 40), max_size=30))
def test_no_minute_has_more_failures_than_the_limit(limit, steps):
    clock, counted = Clock(), []
    failures = Failures(limit, clock)
    for step in steps:
        clock.advance(step * SECOND)
        if not waits(failures):
            counted.append(clock.now_ns)
        failures.count("a")
    assert all(later - earlier >= MINUTE for earlier, later in zip(counted, counted[limit:], strict=False))
