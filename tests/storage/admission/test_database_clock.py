"""The database's time without asking."""

import hypothesis.strategies as st
from hypothesis import given

from storage.admission.database_clock import MAX_AGE_NS, MAX_ROUND_TRIP_NS, DatabaseClock, DatabaseTime
from storage.admission.kinds.parameters import MS
from tests.limits.clock import SECOND, Clock

UNTIL_BOOT_MS = 9_000_000


def time_of(at, *, read_at, clock="a"):
    """What the database says that was asked then, and read its clock then."""
    return DatabaseTime(UNTIL_BOOT_MS + read_at // MS, clock, at)


@given(
    requested=st.integers(0, MAX_ROUND_TRIP_NS),
    answered=st.integers(0, MAX_ROUND_TRIP_NS),
    passed=st.integers(0, MAX_AGE_NS),
    pace=st.integers(-500, 500),
)
def test_the_time_is_known_to_as_long_as_the_answer_took(requested, answered, passed, pace):
    clock = Clock()
    began = clock()
    database = DatabaseClock(clock)
    clock.advance(min(requested, MAX_ROUND_TRIP_NS - answered))
    read_time = time_of(began, read_at=clock())
    clock.advance(answered)
    database.note(read_time)
    clock.advance(passed)
    read = database.read()
    since = clock() - began - min(requested, MAX_ROUND_TRIP_NS - answered)
    true = read_time.now * MS + since + since * pace // 1_000_000  # a clock that is slewed
    assert read.clock == "a"
    assert read.now * MS <= true + MS
    assert read.now * MS >= read_time.now * MS + passed - passed // 1_000 - MS
    assert read.at - began == (read.now - read_time.now) * MS
    assert true < (read.now + read.late) * MS <= true + requested + answered + MAX_AGE_NS // 500 + 2 * MS


def test_nothing_is_known_at_first_or_for_long():
    clock = Clock()
    database = DatabaseClock(clock)
    assert database.read() is None
    database.note(time_of(clock(), read_at=clock()))
    clock.advance(MAX_AGE_NS)
    assert database.read() is not None
    clock.advance(1)
    assert database.read() is None


def test_a_slow_answer_says_nothing_but_that_there_is_another_primary():
    clock = Clock()
    database = DatabaseClock(clock)
    database.note(time_of(clock(), read_at=clock()))
    first, sent_at = database.read(), clock()
    clock.advance(SECOND)
    database.note(time_of(sent_at, read_at=clock()))
    assert first.now < database.read().now <= first.now + 1_000
    database.note(time_of(sent_at, read_at=clock(), clock="b"))
    assert database.read() is None
