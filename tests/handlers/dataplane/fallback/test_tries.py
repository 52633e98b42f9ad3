"""A provider that cannot answer: others that it names are asked, before the client has a byte. Each try is recorded."""

import asyncio
import json
from datetime import timedelta

import pytest

from settings import ProviderSettings
from tests.fake_upstream import CLOSE, RESET, FakeUpstream
from tests.handlers.conversations import MESSAGES
from upstream.providers.presets import ProviderType

PATH = "/api/v2/aibridge/anthropic/v1/messages"
HEAD = "HTTP/1.1 %d X\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n%s"
REQUEST = json.dumps(MESSAGES.request).encode()
NAMES = ("anthropic", "spare", "last")


def reply(status, body="{}", headers=""):
    return (HEAD % (status, headers, len(body), body)).encode()


LIMITED = reply(429, '{"first":1}', "Retry-After: 7\r\n")
OK = reply(200, MESSAGES.body.decode())


@pytest.fixture
def others(io_loop):
    """Two more upstreams."""
    started = [io_loop.run_sync(FakeUpstream().start) for _ in range(2)]
    yield started
    for one in started:
        io_loop.run_sync(one.stop)


@pytest.fixture
def bridge_settings(bridge_settings, others):
    """The provider anthropic, and two of the same type that stand in for it; `weights` are those of the three."""
    given = dict(bridge_settings)
    weights = given.pop("weights", (0, 0, 0))
    further = tuple(
        ProviderSettings(name, ProviderType.ANTHROPIC, one.url, (f"sk-of-{name}-0123456789",), "keys", weight=weight)
        for name, one, weight in zip(NAMES[1:], others, weights[1:], strict=True)
    )
    fallback = {
        "anthropic_fallback": NAMES[1:],
        "anthropic_weight": weights[0],
        "anthropic_key": ("sk-first-0123456789",),
    }
    return fallback | {"further_providers": further} | given


@pytest.fixture
def upstreams(running, others):
    """The three upstreams, in the order in which they are asked."""
    return [running.upstream, *others]


@pytest.fixture
def again(running, upstreams):
    """Begin another case with this bridge and its upstreams."""

    async def again():
        await running.afresh()
        for one in upstreams:
            one.forget()

    return again


def play(upstreams, *responses):
    for upstream, steps in zip(upstreams, responses, strict=False):
        upstream.scripts = [steps if isinstance(steps, tuple) else (steps,)]


async def send(running, body=REQUEST, headers=None, path=PATH):
    return await running.request("POST", path, running.headers | (headers or {}), body)


async def recorded(running):
    (one,) = await running.ended(1)
    return one


def tries(one):
    return [(each["provider_name"], each["status"], each["error"] and each["error"]["type"]) for each in one["tries"]]


async def test_after_a_429_5xx_or_no_answer_the_next_provider_gets_the_same_bytes(running, upstreams, again):
    # after a 429 or 5xx the next provider answers
    for calls, status in enumerate((429, 500, 502, 503, 504, 529), start=1):
        play(upstreams, reply(status), OK)
        response = await send(running)
        assert (response.status, response.body) == (200, MESSAGES.body), status
        assert response.header("X-AI-Bridge-Provider") == "spare", status
        one, *_ = await running.ended(calls)
        assert (one["provider_name"], one["requested_provider_name"]) == ("spare", "anthropic"), status
        assert (one["end_reason"], one["credential_hint"]) == ("completed", "sk-o...6789"), status
        assert tries(one) == [("anthropic", status, None), ("spare", 200, None)]
        assert one["tries"][0]["credential_hint"] == "sk...89", status
    await again()
    # each provider gets the same bytes with its own key
    play(upstreams, LIMITED, reply(503), OK)
    body = b' {"model":"claude-sonnet-4-5",\n"max_tokens":5,"messages":[{"role":"user","content":"\xc3\xa9"}]}\n'
    await send(running, body)
    sent = [upstream.requests[0] for upstream in upstreams]
    assert [(one.target, one.body) for one in sent] == [("/v1/messages", body)] * 3
    assert [one.header("x-api-key") for one in sent] == [
        ["sk-first-0123456789"],
        ["sk-of-spare-0123456789"],
        ["sk-of-last-0123456789"],
    ]
    await running.ended(1)
    await again()
    # who cannot be reached is followed by the next
    cases = {"reset": RESET, "closed": CLOSE, "not HTTP": b"nonsense\r\n\r\n"}
    for calls, (case, failure) in enumerate(cases.items(), start=1):
        play(upstreams, failure, OK)
        assert (await send(running)).status == 200, case
        one, *_ = await running.ended(calls)
        assert tries(one) == [("anthropic", None, "upstream_unreachable"), ("spare", 200, None)], case


@pytest.mark.bridge(anthropic_base_url="http://127.0.0.1:9/")
async def test_who_takes_no_connection_is_asked_twice_and_then_followed(running, upstreams):
    play(upstreams[1:], OK)
    assert (await send(running)).status == 200
    unreachable = ("anthropic", None, "upstream_unreachable")
    assert tries(await recorded(running)) == [unreachable, unreachable, ("spare", 200, None)]


@pytest.mark.expects_log("provider key refused")
async def test_other_refusals_of_the_first_provider_are_the_answer(running, upstreams, log_watch):
    for calls, status in enumerate((400, 404, 401), start=1):
        play(upstreams, reply(status, '{"first":1}'), OK)
        response = await send(running)
        got = (response.status, response.body, response.header("X-AI-Bridge-Provider"))
        assert got == (status, b'{"first":1}', None)
        one, *_ = await running.ended(calls)
        assert one["tries"] == [], status
        assert not upstreams[1].requests, status
        assert len(log_watch.lines) == (status == 401), status


@pytest.mark.expects_log("provider key refused")
async def test_what_is_told_where_no_provider_succeeds_is_the_first_answer_or_failure(running, upstreams, again):
    # without a success the first answer stands
    for calls, later in enumerate((reply(404), reply(503), LIMITED, RESET, reply(400)), start=1):
        play(upstreams, LIMITED, later, reply(500))
        response = await send(running)
        first = (response.status, response.body, response.header("Retry-After"))
        assert first == (429, b'{"first":1}', "7"), later
        assert response.header("X-AI-Bridge-Provider") is None, later
        one, *_ = await running.ended(calls)
        refused = (one["provider_name"], one["upstream_status"], one["credential_hint"])
        assert refused == ("anthropic", 429, "sk...89"), later
        assert len(one["tries"]) == 3, later
    await again()
    # where the first gave no answer that of the next is told
    play(upstreams, RESET, reply(503, '{"spare":1}'), RESET)
    response = await send(running)
    assert (response.status, response.body) == (503, b'{"spare":1}')
    one = await recorded(running)
    assert (one["provider_name"], one["end_reason"]) == ("spare", "upstream_error")
    await again()
    # where nobody answers the failure of the first is told
    play(upstreams, RESET, RESET, RESET)
    response = await send(running)
    assert (response.status, json.loads(response.body)["error"]["message"]) == (
        502,
        "anthropic: the provider closed the connection before its response was complete.",
    )
    one = await recorded(running)
    assert (one["provider_name"], one["end_reason"], len(one["tries"])) == ("anthropic", "upstream_unreachable", 3)
    await again()
    # a refusal of another provider is not told where the first gave no answer
    for calls, (later, told) in enumerate(((RESET, 502), (reply(404), 502), (LIMITED, 429)), start=1):
        play(upstreams, RESET, reply((404, 401, 400)[calls - 1]), later)
        assert (await send(running)).status == told, later
        one, *_ = await running.ended(calls)
        assert one["provider_name"] == ("last" if told == 429 else "anthropic"), later
        assert len(one["tries"]) == 3, later


@pytest.mark.bridge(
    circuit_breaker_enabled=True, circuit_breaker_failure_threshold=1, circuit_breaker_timeout=timedelta(hours=1)
)
async def test_a_provider_with_an_open_circuit_is_left_out(running, upstreams):
    play(upstreams, reply(503), OK)
    for _ in range(2):
        assert (await send(running)).status == 200
    assert [len(upstream.requests) for upstream in upstreams] == [1, 2, 0]
    last, first = await running.ended(2)
    assert tries(first) == [("anthropic", 503, None), ("spare", 200, None)]
    assert tries(last) == [("anthropic", None, "circuit_open"), ("spare", 200, None)]
    states = {key.provider: state.value for key, state in running.bridge.breakers.states().items()}
    assert states == {"anthropic": "open", "spare": "closed"}


@pytest.mark.bridge(
    circuit_breaker_enabled=True, circuit_breaker_failure_threshold=1, circuit_breaker_timeout=timedelta(hours=1)
)
async def test_with_every_circuit_open_the_client_is_told_so(running, upstreams):
    play(upstreams, reply(503), reply(503), reply(503))
    assert (await send(running)).status == 503
    response = await send(running)
    assert (response.status, json.loads(response.body)["error"]["message"]) == (503, "circuit breaker is open")
    assert response.header("Retry-After") is not None
    assert [len(upstream.requests) for upstream in upstreams] == [1, 1, 1]
    last, _ = await running.ended(2)
    assert (last["end_reason"], tries(last)) == (
        "circuit_open",
        [(name, None, "circuit_open") for name in NAMES],
    )


@pytest.mark.bridge(anthropic_key=("sk-one-0123456789", "sk-two-0123456789"))
async def test_the_keys_of_a_provider_come_before_other_providers(running, upstreams):
    upstreams[0].play(LIMITED)
    play(upstreams[1:], OK)
    assert (await send(running)).status == 200
    one = await recorded(running)
    assert [(each["provider_name"], each["credential_hint"], each["status"]) for each in one["tries"]] == [
        ("anthropic", "sk...89", 429),
        ("anthropic", "sk...89", 429),
        ("spare", "sk-o...6789", 200),
    ]
    assert [request.header("x-api-key") for request in upstreams[0].requests] == [
        ["sk-one-0123456789"],
        ["sk-two-0123456789"],
    ]


@pytest.mark.bridge(anthropic_key=("sk-one-0123456789", "sk-two-0123456789"), anthropic_fallback=())
async def test_a_call_that_took_a_second_key_has_its_tries_too(running, upstreams):
    upstreams[0].play(LIMITED)
    upstreams[0].play(OK)
    assert (await send(running)).status == 200
    assert tries(await recorded(running)) == [("anthropic", 429, None), ("anthropic", 200, None)]


@pytest.mark.bridge(weights=(1, 1000, 0))
async def test_an_error_of_the_bridge_names_the_provider_that_it_is_about(running, upstreams):
    play(upstreams, RESET, RESET, RESET)
    response = await send(running)
    message = json.loads(response.body)["error"]["message"]
    assert message == "spare: the provider closed the connection before its response was complete."
    assert (response.status, response.header("X-AI-Bridge-Provider")) == (502, "spare")
    assert response.header("X-AI-Bridge-Interception-Id") == (await recorded(running))["id"]


async def test_each_move_is_counted_and_a_stream_or_client_that_breaks_off_ends_all(running, upstreams, again):
    # moves and calls in flight are counted by provider
    play(upstreams, LIMITED, OK)
    await send(running)
    await running.ended(1)
    _, text = running.bridge.metrics.exposition()
    lines = text.decode().splitlines()
    assert 'coder_aibridged_provider_fallbacks_total{next="spare",provider="anthropic"} 1.0' in lines
    in_flight = [line for line in lines if line.startswith("coder_aibridged_interceptions_inflight{")]
    assert {line.rpartition(" ")[2] for line in in_flight} == {"0.0"}
    assert any('provider="spare"' in line for line in in_flight)
    assert any(line.startswith("coder_aibridged_interceptions_total") and 'provider="spare"' in line for line in lines)
    await again()
    # a stream that breaks is not begun again
    begin = b'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1"}}\n\n'
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    play(upstreams, (head + b"%x\r\n%s\r\n" % (len(begin), begin), RESET), OK)
    client = await running.client()
    response = await client.request(
        "POST", PATH, running.headers, json.dumps(MESSAGES.request | {"stream": True}).encode()
    )
    assert begin in response.body
    assert not upstreams[1].requests
    assert (await recorded(running))["end_reason"] == "upstream_truncated"
    await again()
    # a client that leaves during the second try ends it
    never = asyncio.Event()
    play(upstreams, LIMITED, (never, OK))
    client = await running.client()
    asking = asyncio.ensure_future(client.request("POST", PATH, running.headers, REQUEST))
    request = await upstreams[1].request()
    asking.cancel()
    client.close()
    await request.closed.wait()
    one = await recorded(running)
    assert (one["end_reason"], one["provider_name"]) == ("client_disconnected", "spare")
    assert tries(one) == [("anthropic", 429, None), ("spare", None, None)]
