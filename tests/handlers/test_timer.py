"""Where the time of a call goes: told to the client, in the metrics and in the record."""

import asyncio
import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.timer import ADMISSION, RECORDING, UPSTREAM, RequestTimer
from intercept.times import format_time
from tests.fake_upstream import RESET
from tests.handlers.conversations import CHAT, MESSAGES

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
LIMITED = b"HTTP/1.1 429 X\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


class Clock:
    """Stands still unless it is moved."""

    def __init__(self):
        self.seconds = 1000.0

    def __call__(self):
        return self.seconds


def timings(response):
    """The milliseconds in the header of a response, by name in their order."""
    parts = [re.fullmatch(r"(\w+);dur=(\d+\.\d{3})", part) for part in response.header("Server-Timing").split(", ")]
    return {part[1]: float(part[2]) for part in parts}


async def send(running, method="POST", path=None, headers=None, body=None):
    client = await running.client()
    body = CHAT.request_body(stream=False) if body is None and method == "POST" else body or b""
    return await client.request(method, path or running.path(CHAT), headers or running.headers, body)


def heads(running):
    """How many answers of each provider began."""
    return {
        sample.labels["provider"]: sample.value
        for family in running.bridge.metrics.registry.collect()
        for sample in family.samples
        if sample.name == "coder_aibridged_upstream_head_seconds_count"
    }


@given(st.lists(st.tuples(st.sampled_from([None, ADMISSION, RECORDING, UPSTREAM]), st.integers(0, 1000))))
def test_whatever_the_order_all_time_is_in_one_phase(steps):
    clock = Clock()
    timer = RequestTimer(clock)
    timer.enter(None)
    for phase, seconds in steps:
        timer.enter(phase)
        clock.seconds += seconds
        assert timer.enter(None) == seconds
    expected = {}
    for phase, seconds in steps:
        expected[phase] = expected.get(phase, 0) + seconds
    expected.pop(None, None)
    assert timer.seconds == expected


async def test_the_time_until_the_head_is_the_providers_and_the_body_is_in_none(running):
    clock, head, rest = asyncio.get_running_loop().time, asyncio.Event(), asyncio.Event()
    running.upstream.play(head, OK[:-2], rest, OK[-2:])
    client = await running.client()
    sent = clock()
    await client.send("POST", running.path(CHAT), running.headers, CHAT.request_body(stream=False))
    await running.upstream.request()
    requested = clock()
    await running.get("/api/v2/aibridge/interceptions")
    at_least = (clock() - requested) * 1000
    head.set()
    response = await client.head()
    answered = clock()
    rest.set()
    await client.rest(response)
    times = timings(response)
    assert list(times) == ["auth", "admission", "record", "upstream", "dns", "connect"]
    assert times["upstream"] > max(at_least, times["dns"] + times["connect"])
    assert sum(list(times.values())[:4]) <= (answered - sent) * 1000
    (recorded,) = await running.ended(1)
    made = recorded["connecting"]
    assert (made.keys(), made["tls_ms"]) == ({"dns_ms", "connect_ms", "tls_ms"}, None)
    assert [made["dns_ms"], made["connect_ms"]] == [times["dns"], times["connect"]]
    assert recorded["started_at"] <= recorded["upstream_asked_at"] < recorded["first_byte_at"] <= recorded["ended_at"]
    assert heads(running) == {"openai": 1}


async def test_a_connection_that_was_there_takes_no_time_to_make(running):
    running.upstream.play(OK)
    await send(running)
    assert list(timings(await send(running))) == ["auth", "admission", "record", "upstream"]
    last, first = await running.ended(2)
    assert last["connecting"] is None
    assert first["connecting"] is not None


@pytest.mark.bridge(max_body_bytes=1000, rate_limit=9, rate_window=timedelta(hours=1))
async def test_a_refusal_tells_what_is_known_by_then(running):
    admitted = ["auth", "admission"]
    for status, names, request in [
        (401, admitted, {"headers": {"X-Api-Key": "nobody's"}}),
        (404, admitted, {"path": "/api/v2/aibridge/openai/v1/audio"}),
        (413, admitted, {"body": b"x" * 1001}),
        (400, admitted, {"body": b"{}"}),
        (400, admitted, {"path": "/api/v2/aibridge/no-key/v1/messages"}),
        (502, [*admitted, "record", "upstream"], {}),
    ]:
        running.upstream.scripts[:] = [(RESET,)]
        response = await send(running, **request)
        assert (response.status, list(timings(response))) == (status, names)
    (recorded,) = await running.ended(1)
    assert recorded["upstream_asked_at"] is not None
    assert heads(running) == {}
    running.bridge.lifecycle.draining = True
    assert list(timings(await send(running))) == ["admission"]
    running.bridge.lifecycle.draining = False


@pytest.mark.bridge(
    circuit_breaker_enabled=True, circuit_breaker_failure_threshold=1, circuit_breaker_timeout=timedelta(hours=1)
)
async def test_a_provider_that_was_not_asked_took_no_time(running):
    running.upstream.play(RESET)
    await send(running)
    response = await send(running)
    assert (response.status, list(timings(response))) == (503, ["auth", "admission", "record"])
    rejected, failed = await running.ended(2)
    assert (rejected["end_reason"], rejected["upstream_asked_at"]) == ("circuit_open", None)
    assert failed["started_at"] <= failed["upstream_asked_at"] <= failed["ended_at"]


@pytest.mark.bridge(anthropic_key=("sk-first-key-0123456789", "sk-second-key-012345678"))
async def test_both_tries_count_as_the_providers_time_and_the_last_is_recorded(running):
    first, second = asyncio.Event(), asyncio.Event()
    running.upstream.play(first, LIMITED)
    running.upstream.play(second, OK)
    clock = asyncio.get_running_loop().time
    asking = asyncio.create_task(send(running, path=running.path(MESSAGES), body=MESSAGES.request_body(stream=False)))
    at_least, answered_at = 0, []
    for number, gate in enumerate((first, second)):
        await running.upstream.request(number)
        requested = clock()
        await running.get("/api/v2/aibridge/interceptions")
        at_least += (clock() - requested) * 1000
        answered_at.append(format_time(running.bridge.now()))
        gate.set()
    assert timings(await asking)["upstream"] > at_least
    (recorded,) = await running.ended(1)
    assert answered_at[0] <= recorded["upstream_asked_at"] <= answered_at[1]
    assert heads(running) == {"anthropic": 2}
