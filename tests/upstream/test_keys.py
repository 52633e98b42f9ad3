from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upstream.keys import KeyPool, KeysAsideError, retry_after_seconds


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_the_first_key_is_used_until_it_is_refused_and_again_afterwards(clock):
    pool = KeyPool(("a", "b"), clock)
    assert pool.pick() == "a"
    assert pool.answered("a", 429, 7.0)
    assert pool.pick() == "b"
    clock.now += 6.999
    assert pool.pick() == "b"
    clock.now += 0.001
    assert pool.pick() == "a"


@pytest.mark.parametrize(
    ("status", "retry_after", "seconds"),
    [(429, None, 60), (429, 0.0, 0), (429, 5.0, 5), (429, 1e9, 3600), (429, -3.0, 0), (401, None, 60), (401, 5.0, 60)],
)
def test_a_refused_key_is_left_alone_for_as_long_as_it_was_said(clock, status, retry_after, seconds):
    pool = KeyPool(("a",), clock)
    assert pool.answered("a", status, retry_after)
    if seconds:
        with pytest.raises(KeysAsideError) as aside:
            pool.pick()
        assert aside.value.retry_after_s == seconds
    clock.now += seconds
    assert pool.pick() == "a"


@pytest.mark.parametrize("status", [200, 400, 403, 500, 529])
def test_any_other_answer_is_no_fault_of_the_key(clock, status):
    pool = KeyPool(("a", "b"), clock)
    assert not pool.answered("a", status, 5.0)
    assert pool.pick() == "a"


def test_with_every_key_aside_the_shortest_wait_is_told(clock):
    pool = KeyPool(("a", "b", "c"), clock)
    for key, wait in (("a", 9.0), ("b", 3.0), ("c", 5.0)):
        assert pool.answered(key, 429, wait)
    with pytest.raises(KeysAsideError) as aside:
        pool.pick()
    assert aside.value.retry_after_s == 3.0


def test_a_request_tries_no_key_twice(clock):
    pool = KeyPool(("a", "b"), clock)
    pool.answered("a", 429, 0.0)
    assert pool.pick() == "a"
    assert pool.pick({"a"}) == "b"
    with pytest.raises(KeysAsideError) as aside:
        pool.pick({"a", "b"})
    assert aside.value.retry_after_s == 0


def wait(pool):
    """How long the pool says to wait for a key."""
    try:
        pool.pick()
    except KeysAsideError as aside:
        return aside.retry_after_s
    return 0.0


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([200, 401, 429]), st.integers(0, 100)), max_size=30))
def test_waiting_as_long_as_told_always_gives_a_key(answers):
    clock = Clock()
    pool = KeyPool(("a", "b", "c"), clock)
    for key, status, seconds in answers:
        pool.answered(key, status, float(seconds))
        clock.now += wait(pool)
        assert pool.pick() in "abc"
        clock.now += seconds // 10


@pytest.mark.parametrize(
    ("milliseconds", "seconds", "told"),
    [
        ("", "", None),
        ("", "7", 7.0),
        ("1500", "7", 1.5),
        ("x", "7", 7.0),
        ("", "soon", None),
        ("", "-1", None),
        ("", "Thu, 01 Jan 1970 00:01:40 GMT", 60.0),
        ("", "Thu, 01 Jan 1970 00:00:01 GMT", 0.0),
        ("", "9" * 500, 999_999_999_999.0),
    ],
)
def test_what_the_provider_says_is_read(milliseconds, seconds, told):
    assert retry_after_seconds(milliseconds, seconds, now=40.0) == told


@given(st.text(), st.text())
def test_any_text_is_read_or_not(milliseconds, seconds):
    told = retry_after_seconds(milliseconds, seconds, now=0.0)
    assert told is None or told >= 0
