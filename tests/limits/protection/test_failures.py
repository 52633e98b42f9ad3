import pytest

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


def test_many_addresses_together_are_bounded(clock):
    failures = Failures(30, clock)
    for number in range(3 * MAX_FAILURES):
        failures.count(str(number))
    assert waits(failures, "nobody") == MINUTE
