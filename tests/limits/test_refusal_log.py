import logging

import pytest

from limits.refusal_log import LINE_NS, RefusalLog
from tests.limits.clock import SECOND, Clock


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def said(caplog):
    caplog.set_level(logging.INFO, "limits.refusal_log")
    return lambda: caplog.messages


def test_the_first_is_logged_at_once_and_the_others_with_the_next_line_that_is_due(clock, said):
    refusals = RefusalLog(clock, lambda _: None)
    for step in (0, SECOND, LINE_NS - SECOND - 1, 1, 0):
        clock.advance(step)
        refusals.note("rate")
    assert said() == [
        "requests refused: limit=rate new=1 total=1",
        "requests refused: limit=rate new=3 total=4",
    ]
