from __future__ import annotations

import asyncio

import pytest

from handlers.lifecycle import Lifecycle
from intercept.records import EndReason


class Request:
    def __init__(self, lifecycle):
        self.lifecycle = lifecycle
        self.reasons = []

    def stop(self, reason):
        self.reasons.append(reason)
        self.lifecycle.leave(self)


@pytest.mark.gen_test
async def test_an_idle_server_drains_at_once():
    lifecycle = Lifecycle()
    assert await lifecycle.drain(60) == 0
    assert lifecycle.draining


@pytest.mark.gen_test
async def test_draining_waits_for_what_is_under_way():
    lifecycle = Lifecycle()
    request = Request(lifecycle)
    lifecycle.enter(request)
    draining = asyncio.create_task(lifecycle.drain(60))
    await asyncio.sleep(0)
    assert (lifecycle.draining, draining.done(), lifecycle.in_flight) == (True, False, 1)
    lifecycle.leave(request)
    assert await draining == 0
    assert request.reasons == []


@pytest.mark.gen_test
async def test_what_outlasts_the_drain_is_stopped_for_that_reason():
    lifecycle = Lifecycle()
    requests = [Request(lifecycle) for _ in range(3)]
    for request in requests:
        lifecycle.enter(request)
    assert await lifecycle.drain(0) == 3
    assert [request.reasons for request in requests] == [[EndReason.SERVER_SHUTDOWN]] * 3
    assert lifecycle.in_flight == 0


@pytest.mark.gen_test
async def test_leaving_twice_or_without_entering_is_harmless():
    lifecycle = Lifecycle()
    request = Request(lifecycle)
    lifecycle.leave(request)
    lifecycle.enter(request)
    lifecycle.leave(request)
    lifecycle.leave(request)
    assert lifecycle.in_flight == 0


@pytest.mark.gen_test
async def test_what_would_never_end_by_itself_is_ended_first_and_the_rest_is_waited_for():
    lifecycle = Lifecycle()
    long_lived, request = Request(lifecycle), Request(lifecycle)
    lifecycle.enter(long_lived, long_lived=True)
    lifecycle.enter(request)
    draining = asyncio.create_task(lifecycle.drain(60))
    await asyncio.sleep(0)
    assert (long_lived.reasons, request.reasons) == ([EndReason.SERVER_SHUTDOWN], [])
    assert (lifecycle.in_flight, lifecycle.streams_closed) == (1, True)
    lifecycle.leave(request)
    assert await draining == 0


@pytest.mark.gen_test
async def test_what_would_never_end_is_dismissed_without_a_drain_too():
    lifecycle = Lifecycle()
    over, long_lived = Request(lifecycle), Request(lifecycle)
    lifecycle.enter(over, long_lived=True)
    lifecycle.leave(over)
    lifecycle.enter(long_lived, long_lived=True)
    lifecycle.close_streams()
    assert (over.reasons, long_lived.reasons) == ([], [EndReason.SERVER_SHUTDOWN])
    assert (lifecycle.draining, lifecycle.streams_closed, lifecycle.in_flight) == (False, True, 0)
