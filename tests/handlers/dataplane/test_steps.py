"""Requests that are under way together take their steps together. They may be stopped at each."""

import asyncio
from itertools import count, product
from types import SimpleNamespace

import pytest

from handlers.dataplane.proxy import MANY_REQUESTS, ProxyHandler
from handlers.lifecycle import SHUTTING_DOWN
from intercept.records import EndReason
from tests.bridge import until
from tests.handlers.conversations import MESSAGES

BEFORE_START, BEFORE_UPSTREAM, BEFORE_SETTLING, BEFORE_END = range(4)
JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
STREAM = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n"
)
ANSWERS = {
    False: (JSON % len(MESSAGES.body) + MESSAGES.body, MESSAGES.body),
    True: (STREAM % (len(MESSAGES.stream), MESSAGES.stream), MESSAGES.stream),
}
CASES = list(product((BEFORE_START, BEFORE_UPSTREAM, BEFORE_SETTLING, BEFORE_END), ANSWERS))
"""Each step, without and with streaming."""


@pytest.mark.parametrize(("in_flight", "waits"), [(1, False), (MANY_REQUESTS - 1, False), (MANY_REQUESTS, True)])
async def test_only_one_of_many_waits_for_the_others(in_flight, waits):
    handler = SimpleNamespace(bridge=SimpleNamespace(lifecycle=SimpleNamespace(in_flight=in_flight)))
    task = asyncio.create_task(ProxyHandler.in_step(handler))
    await asyncio.sleep(0)
    assert task.done() is not waits
    await task


@pytest.fixture
def stop_at(monkeypatch):
    """Do something at a step, and wait there to be cancelled."""

    def stop_at(step, how):
        steps = count()

        async def in_step(handler):
            if next(steps) == step:
                how(handler)
                await asyncio.Event().wait()

        monkeypatch.setattr(ProxyHandler, "in_step", in_step)

    return stop_at


async def test_a_client_that_leaves_at_a_step_has_what_it_had_been_sent(running, stop_at):
    calls = 0
    for step, streaming in CASES:
        before = len(running.upstream.requests)
        running.upstream.scripts = [[ANSWERS[streaming][0]]]
        stop_at(step, lambda handler: handler.cycle.abort())
        client = await running.client()
        await client.send("POST", running.path(MESSAGES), running.headers, MESSAGES.request_body(stream=streaming))
        await client.at_end()
        await until(lambda: running.bridge.lifecycle.in_flight == 0)
        calls += step > BEFORE_START
        recorded = (await running.ended(calls))[: step > BEFORE_START]
        expected = "client_disconnected" if step == BEFORE_UPSTREAM else "completed"
        assert [one["end_reason"] for one in recorded] == [expected] * len(recorded), (step, streaming)
        assert len(running.upstream.requests) - before == (step > BEFORE_UPSTREAM), (step, streaming)


async def test_a_server_that_stops_at_a_step_says_so_or_has_answered(running, stop_at):
    calls = 0
    for step, streaming in CASES:
        before = len(running.upstream.requests)
        response, body = ANSWERS[streaming]
        running.upstream.scripts = [[response]]
        stop_at(step, lambda handler: handler.stop(EndReason.SERVER_SHUTDOWN))
        request = MESSAGES.request_body(stream=streaming)
        got = await running.request("POST", running.path(MESSAGES), running.headers, request)
        calls += step > BEFORE_START
        recorded = (await running.ended(calls))[: step > BEFORE_START]
        if step > BEFORE_UPSTREAM:
            assert (got.status, bytes(got.body), got.whole) == (200, body, True), (step, streaming)
        else:
            assert (got.status, SHUTTING_DOWN in got.body.decode()) == (503, True), (step, streaming)
        expected = "server_shutdown" if step == BEFORE_UPSTREAM else "completed"
        assert [one["end_reason"] for one in recorded] == [expected] * len(recorded), (step, streaming)
        assert len(running.upstream.requests) - before == (step > BEFORE_UPSTREAM), (step, streaming)
