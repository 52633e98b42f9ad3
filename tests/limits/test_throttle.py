from limits.throttle import LINE_NS, Throttle
from tests.limits.clock import SECOND, Clock


def test_the_first_is_due_at_once_and_the_others_with_the_next_line_that_is():
    clock, said = Clock(), []
    throttle = Throttle(clock)
    for step in (0, SECOND, LINE_NS - SECOND - 1, 1, 0):
        clock.advance(step)
        said.append(throttle.count("rate"))
    assert said == [(1, 1), None, None, (3, 4), None]
