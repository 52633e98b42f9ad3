from hypothesis import given
from hypothesis import strategies as st

from limits.protection.overload import SLOW_SECONDS, ArrivingBodies

SLOW_NS = SLOW_SECONDS * 1e9


class Request:
    def give_way(self):
        return ()


class Clock:
    now = 0

    def __call__(self):
        return self.now


def test_the_body_that_has_waited_longest_of_who_has_most_gives_way_once_it_is_slow():
    clock = Clock()
    bodies, first, second, other = ArrivingBodies(clock), Request(), Request(), Request()
    bodies.enter("ada", first)
    bodies.enter("grace", other)
    clock.now = 1
    bodies.enter("ada", second)
    clock.now = SLOW_NS - 1
    assert bodies.find_slow("eve") is None
    clock.now = SLOW_NS
    assert bodies.find_slow("eve") is first
    assert bodies.find_slow("grace") is first
    assert bodies.find_slow("ada") is None
    bodies.leave("ada", first)
    clock.now = SLOW_NS + 1
    assert (bodies.find_slow("eve"), bodies.find_slow("ada")) == (second, None)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3), st.booleans())))
def test_nothing_is_kept_of_requests_that_wait_no_more(steps):
    bodies, requests = ArrivingBodies(Clock()), [Request() for _ in range(4)]
    for user, number, enters in steps:
        (bodies.enter if enters else bodies.leave)(user, requests[number])
    for user in "abc":
        for request in requests:
            bodies.leave(user, request)
    assert len(bodies) == 0
