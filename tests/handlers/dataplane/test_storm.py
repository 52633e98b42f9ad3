"""Many requests at once, of every fate: nothing stays held, and every start has exactly one end."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from random import Random

import pytest

from intercept.dialects.readers import StreamReader
from tests.bridge import until
from tests.examples import examples
from tests.fake_upstream import CLOSE, RESET
from tests.handlers.conversations import ALL

REQUESTS = examples(100, 300)
UNKNOWN = "abcdefghij-0123456789abcdefghijkl"
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
JSON = b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
ERROR = b'{"error":{"type":"invalid_request_error","message":"No."}}'

FATES = ("complete", "leave", "leave in request", "silent", "cut", "error", "reader", "refused", "passthrough")
INJECTED_FAULT = b": sabotage\n\n"


@dataclass
class Fate:
    """What becomes of one request: what it sends, what the upstream plays, and after how many turns its client leaves."""

    path: str
    headers: dict[str, str]
    body: bytes
    script: list
    sent: int | None = None
    max_events: int | None = None


def pieces(random, data):
    """Cut at random places, in chunks."""
    cuts = sorted(random.sample(range(1, len(data)), random.randrange(1, 8)))
    return [
        b"%x\r\n%s\r\n" % (end - start, data[start:end])
        for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)
    ]


def fate(random, running):
    conversation = random.choice(ALL)
    streaming = random.random() < 0.7
    if streaming:
        whole = [STREAM, *pieces(random, conversation.stream), b"0\r\n\r\n"]
    else:
        whole = [JSON % (200, len(conversation.body), conversation.body)]
    cut = random.randrange(len(whole))
    drawn = Fate(running.path(conversation), dict(running.headers), conversation.request_body(stream=streaming), whole)
    match random.choice(FATES):
        case "leave":
            drawn.max_events = random.randrange(60)
        case "leave in request":
            drawn.sent, drawn.max_events = random.randrange(600), random.randrange(20)
        case "silent":
            drawn.script, drawn.max_events = (
                [*whole[:cut], asyncio.Event()],
                random.choice((random.randrange(20, 200), None)),
            )
        case "reader" if streaming:
            drawn.script = [STREAM, b"%x\r\n%s\r\n" % (len(INJECTED_FAULT), INJECTED_FAULT), *whole[1:]]
        case "cut":
            drawn.script = [*whole[:cut], random.choice((RESET, CLOSE))]
        case "error":
            drawn.script = [JSON % (random.choice((400, 404, 500)), len(ERROR), ERROR)]
        case "refused":
            refuse(random, drawn)
        case "passthrough":
            drawn.path = "/api/v2/aibridge/openai/v1/responses/input_tokens"
    return drawn


def refuse(random, drawn):
    match random.choice(("token", "body", "route", "model")):
        case "token":
            drawn.headers["Authorization"] = f"Bearer {UNKNOWN}"
        case "body":
            drawn.body = drawn.body[:-2]
        case "route":
            drawn.path += "/nowhere"
        case "model":
            drawn.body = b"{}"


async def live(running, number, drawn):
    """Send the request and take the response, or leave."""
    client = await running.client()
    lines = [f"{name}: {value}" for name, value in (drawn.headers | {"X-Number": str(number)}).items()]
    head = "\r\n".join([f"POST {drawn.path} HTTP/1.1", "Host: b", *lines, f"Content-Length: {len(drawn.body)}", "", ""])
    answering = asyncio.create_task(answered(client, (head.encode() + drawn.body)[: drawn.sent]))
    if drawn.max_events is None:
        return await answering
    for _ in range(drawn.max_events):
        await asyncio.sleep(0)
    client.reset()
    return await answering


async def answered(client, request):
    with suppress(ConnectionError, asyncio.IncompleteReadError):
        await client.send_raw(request)
        response = await client.rest(await client.head())
        return response.status
    return None


@pytest.mark.parametrize("seed", range(examples(1, 10)))
@pytest.mark.bridge(max_concurrency=120, user_max_concurrency=90, upstream_idle_timeout=timedelta(seconds=0.5))
@pytest.mark.expects_log("ERROR handlers.dataplane.call: a reader failed and was dropped: ")
@pytest.mark.gen_test(timeout=60)
async def test_after_any_storm_nothing_is_held_and_every_start_has_one_end(running, monkeypatch, seed):
    random = Random(seed)
    fates = [fate(random, running) for _ in range(REQUESTS)]
    bridge, upstream = running.bridge, running.upstream
    starts, ends = Counter(), Counter()
    start, end, feed = bridge.recorder.start, bridge.recorder.end, StreamReader.feed

    async def counted_start(interception):
        starts[interception.id] += 1
        await start(interception)

    def counted_end(interception, ending):
        ends[ending.interception_id] += 1
        end(interception, ending)

    def fallible_feed(reader, data):
        assert INJECTED_FAULT not in data
        feed(reader, data)

    def script_of(request):
        upstream.requests.append(request)
        return fates[int(request.header("X-Number")[0])].script

    monkeypatch.setattr(bridge.recorder, "start", counted_start)
    monkeypatch.setattr(bridge.recorder, "end", counted_end)
    monkeypatch.setattr(upstream, "script_of", script_of)
    monkeypatch.setattr(StreamReader, "feed", fallible_feed)

    statuses = Counter(await asyncio.gather(*(live(running, number, drawn) for number, drawn in enumerate(fates))))

    await until(lambda: bridge.lifecycle.in_flight == 0)
    often = {200, 400, 401, 404, 500, 502, None}
    assert often | {405, 429, 503, 504} >= set(statuses) >= often  # how many are refused is a matter of speed
    assert (bridge.overload.holding, len(bridge.overload.authority.limiter)) == (0, 0)
    assert sum(starts.values()) == len(starts) > REQUESTS / 10
    assert ends == starts
    assert await bridge.recorder.flush(10)
    documents = await bridge.database.interceptions.find().to_list(None)
    assert {document["_id"] for document in documents} == set(starts)
    assert {document["status"] for document in documents} == {"completed", "failed"}
    in_flight, total = (
        sum(
            sample.value
            for family in bridge.metrics.registry.collect()
            for sample in family.samples
            if sample.name == name
        )
        for name in ("coder_aibridged_interceptions_inflight", "coder_aibridged_interceptions_total")
    )
    assert in_flight == 0
    assert total <= len(starts)
    await until(lambda: all(request.closed.is_set() for request in upstream.requests if silent(fates, request)))


def silent(fates, request):
    return isinstance(fates[int(request.header("X-Number")[0])].script[-1], asyncio.Event)
