from __future__ import annotations

import pytest

from tests.bridge import until
from tests.upstream.connections.timer_loop import Loop
from upstream.connections.idle_timer import IdleTimer


@pytest.fixture
def loop(monkeypatch):
    loop = Loop()
    monkeypatch.setattr("asyncio.get_running_loop", lambda: loop)
    return loop


@pytest.fixture
def given_up():
    return []


@pytest.fixture
def idle_timer(loop, given_up):
    return IdleTimer(10, lambda: given_up.append(loop.now))


@pytest.mark.parametrize("before", [0, 3, 9.5, 10, 25])
def test_a_wait_is_given_up_when_its_time_is_over_whenever_it_began(loop, idle_timer, given_up, before):
    loop.pass_(before)
    with idle_timer:
        loop.pass_(9.9)
        assert given_up == []
        loop.pass_(0.1)
        assert given_up == [1000 + before + 10]
        loop.pass_(100)
    assert len(given_up) == 1


def test_many_waits_that_end_in_time_take_one_timer_and_are_not_given_up(loop, idle_timer, given_up):
    for _ in range(1000):
        with idle_timer:
            loop.pass_(0.7)
        loop.pass_(9)
        assert len(loop.timers) == 1
    assert given_up == []


def test_where_nobody_waits_there_is_no_timer_and_nothing_is_given_up(loop, idle_timer, given_up):
    assert loop.timers == []
    with idle_timer:
        loop.pass_(1)
    assert len(loop.timers) == 1
    loop.pass_(1000)
    assert (given_up, loop.timers) == ([], [])


def test_a_renewed_wait_restarts(loop, idle_timer, given_up):
    idle_timer.renew()
    with idle_timer:
        for _ in range(5):
            loop.pass_(9)
            idle_timer.renew()
        assert given_up == []
        loop.pass_(10)
        assert given_up == [1000 + 5 * 9 + 10]


def test_after_one_wait_was_given_up_the_next_one_is_bounded_too(loop, idle_timer, given_up):
    for _ in range(2):
        with idle_timer:
            loop.pass_(15)
    assert given_up == [1010, 1025]


@pytest.mark.parametrize("waited", [True, False])
def test_after_closing_nothing_is_watched(loop, idle_timer, given_up, waited):
    if waited:
        with idle_timer:
            loop.pass_(1)
    idle_timer.close()
    idle_timer.close()
    with idle_timer:
        loop.pass_(100)
    assert (given_up, loop.timers) == ([], [])


@pytest.mark.gen_test
async def test_it_runs_on_a_real_loop():
    given_up = []
    with IdleTimer(0.01, lambda: given_up.append(True)):
        await until(lambda: given_up)
