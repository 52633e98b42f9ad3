from limits.protection.throttle import LINE_NS, Throttle
from tests.limits.clock import Clock


def test_the_first_is_due_at_once_and_the_next_ones_together():
    clock = Clock()
    throttle = Throttle(clock)
    due = []
    for step in (0, 1, LINE_NS - 2, 1, 0):
        clock.advance(step)
        due.append(throttle.count("a"))
    assert due == [(1, 1), None, None, (3, 4), None]


def test_each_key_has_lines_of_its_own():
    throttle = Throttle(Clock())
    assert [throttle.count(key) for key in ("a", "b", "a")] == [(1, 1), (1, 1), None]
