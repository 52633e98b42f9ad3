"""Results of a batch that cannot be read or recorded. Those that can be: `tests/sdk/test_anthropic_messages.py`."""

import gzip
import json

import pytest

from intercept.dialects import batch_lines
from limits.limit import LimitKind
from storage.mongo.database import DatabaseUnavailableError
from tests.bridge import until
from tests.fake_upstream import CLOSE
from tests.handlers.dataplane.test_call_usage import used

PATH = "/api/v2/aibridge/anthropic/v1/messages/batches/msgbatch_1/results"
KEY = "sk-anthropic-provider-key"


def line(name, **message):
    told = {"id": f"msg_{name}", "model": "m", "usage": {"input_tokens": 3, "output_tokens": 4}} | message
    return json.dumps({"custom_id": name, "result": {"type": "succeeded", "message": told}}).encode() + b"\n"


async def fetch(running, body, status=200, headers=""):
    """Fetch the results with an own key, for which every batch may be read; they come unchanged."""
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/x-jsonl\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    running.upstream.scripts = [(head.encode() + body,)]
    response = await running.request("GET", PATH, running.own_key)
    assert (response.status, response.body, response.whole) == (status, body, True)
    await until(lambda: running.bridge.lifecycle.in_flight == 0)


async def unavailable(*_):
    raise DatabaseUnavailableError("MongoDB is unavailable: gone")


@pytest.mark.bridge(user_token_limit=1_000)
@pytest.mark.expects_log("1 results of a batch are too long to read")
async def test_results_are_recorded_as_far_as_they_came_and_others_passed_on(running, monkeypatch):
    # what is no results or compressed is passed on and not recorded
    await fetch(running, line("a"), status=404)
    stored = gzip.compress(b"\n" + line("a"), 0, mtime=0)  # which has the line in it as it is
    await fetch(running, stored, headers="Content-Encoding: gzip\r\n")
    await running.ended(0)
    await running.afresh()
    # results before the response broke off are recorded
    head = "HTTP/1.1 200 X\r\nContent-Type: application/x-jsonl\r\nContent-Length: 1000\r\n\r\n"
    running.upstream.scripts = [(head.encode() + line("a") + line("b")[:-9], CLOSE)]
    response = await running.request("GET", PATH, running.own_key)
    assert (response.status, response.whole) == (200, False)
    (recorded,) = await running.ended(1)
    assert recorded["token_usages"][0]["output_tokens"] == 4
    await running.afresh()
    # and the one that was cut is once the bridge has fetched the results again, and both are charged
    before = await used(running, LimitKind.TOKENS)
    whole = line("c") + line("d")
    told = b"HTTP/1.1 200 X\r\nContent-Type: application/x-jsonl\r\nContent-Length: %d\r\n\r\n" % len(whole)
    running.upstream.scripts = [(told + whole[:-9], CLOSE), (told + whole,)]
    response = await running.request("GET", PATH, running.own_key)
    assert (response.body, response.whole) == (whole[:-9], False)
    assert len(await running.ended(2)) == 2
    assert await used(running, LimitKind.TOKENS) == before + 14
    await running.afresh()
    # a result that is too long is passed on and the others are recorded without keys
    monkeypatch.setattr(batch_lines, "MAX_LINE_BYTES", 1000)
    await fetch(running, line("a", text="x" * 1000) + line("b", id=KEY, model=f"m {KEY}"))
    (recorded,) = await running.ended(1)
    told = (recorded["model"], recorded["token_usages"][0]["provider_response_id"])
    assert told == ("m [scrubbed]", "[scrubbed]")


@pytest.mark.bridge(user_token_limit=1_000)
@pytest.mark.expects_log("results of a batch cannot be recorded now; they are when it is fetched again: 2")
async def test_results_that_could_not_be_recorded_are_when_they_are_fetched_again(running, monkeypatch):
    usage = {"input_tokens": 3, "output_tokens": 4}
    body = line("a") + line("b", usage={**usage, "iterations": [{"type": "compaction", "input_tokens": 100}]})
    with monkeypatch.context() as patch:
        patch.setattr(running.bridge.recorder, "start", unavailable)
        await fetch(running, body)
    await running.ended(0)
    monkeypatch.setattr(running.bridge.interceptions, "ended_ones", unavailable)
    await fetch(running, body)
    recorded = await running.ended(2)
    await fetch(running, body)
    assert await running.ended(2) == recorded
    assert await used(running, LimitKind.TOKENS) == 114
