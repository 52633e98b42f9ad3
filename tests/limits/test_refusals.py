import logging
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limits.protection.throttle import LINE_NS
from limits.refusals import RefusalLog
from tests.limits.clock import SECOND, Clock


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def said(caplog):
    caplog.set_level(logging.INFO, "limits.refusals")
    return lambda: caplog.messages


def test_every_refusal_is_counted_and_passed_on(clock):
    passed_on = []
    refusals = RefusalLog(clock, passed_on.append)
    for limit in ("rate", "concurrency", "rate"):
        refusals.note(limit)
    assert (refusals.total, passed_on) == ({"rate": 2, "concurrency": 1}, ["rate", "concurrency", "rate"])


def test_the_first_is_logged_at_once_and_the_others_with_the_next_line_that_is_due(clock, said):
    refusals = RefusalLog(clock, lambda _: None)
    for step in (0, SECOND, LINE_NS - SECOND - 1, 1, 0):
        clock.advance(step)
        refusals.note("rate")
    assert said() == [
        "requests refused: limit=rate new=1 total=1",
        "requests refused: limit=rate new=3 total=4",
    ]


def test_each_limit_has_lines_of_its_own(clock, said):
    refusals = RefusalLog(clock, lambda _: None)
    refusals.note("rate")
    refusals.note("concurrency")
    assert said() == [
        "requests refused: limit=rate new=1 total=1",
        "requests refused: limit=concurrency new=1 total=1",
    ]


@given(st.lists(st.integers(0, 2 * LINE_NS), min_size=1, max_size=50))
def test_no_ten_seconds_have_two_lines_and_no_refusal_is_told_twice(steps):
    clock = Clock()
    said = []
    logger = logging.getLogger("limits.refusals")
    watch = logging.Handler()
    watch.emit = lambda record: said.append((clock.now_ns, *record.args[1:]))
    logger.addHandler(watch)
    level = logger.level
    logger.setLevel(logging.INFO)
    try:
        refusals = RefusalLog(clock, lambda _: None)
        for step in steps:
            clock.advance(step)
            refusals.note("rate")
    finally:
        logger.setLevel(level)
        logger.removeHandler(watch)
    assert all(later[0] - earlier[0] >= LINE_NS for earlier, later in pairwise(said))
    assert sum(new for _, new, _ in said) == said[-1][2] <= refusals.total["rate"]
