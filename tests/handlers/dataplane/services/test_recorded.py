"""No call leaves unrecorded, every start gets exactly one end, and records are lines of the log too."""

import asyncio
import json
import logging
from dataclasses import replace

import pytest

import handlers.dataplane.call
from handlers.dataplane.call import record_log
from intercept.recording import Keep
from limits.limit import LimitKind
from limits.policies.policy import RecordingRules, SharedPolicy
from settings import RecordPolicy
from storage.recording.operations import RecordAction, RecordOperation
from storage.recording.outbox import outbox
from storage.recording.outbox.spool import read_frames
from tests.bridge import until
from tests.handlers.conversations import MESSAGES, RESPONSES
from tests.handlers.dataplane.test_call_usage import used
from tests.handlers.dataplane.test_policies import hold
from upstream.demo.scripted import LAST_CHUNK as LAST
from upstream.demo.scripted import chunk

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


async def documents(running):
    return await running.bridge.database.interceptions.find().to_list(None)


async def begin(running, gate):
    """Make a call, and wait until the upstream has its request."""
    running.upstream.play(gate, OK)
    client = await running.client()
    await client.send("POST", running.path(MESSAGES), running.headers, MESSAGES.request_body(stream=True))
    await running.upstream.request()
    return client


async def test_a_start_is_on_disk_before_the_upstream_is_asked_and_ends_if_its_client_left(
    running, data_dir, monkeypatch
):
    # the start is on disk before the upstream is asked
    monkeypatch.setattr(outbox, "START_SECONDS", 60)  # so long it stays there
    gate = asyncio.Event()
    client = await begin(running, gate)
    (log,) = (data_dir / "spool").glob("*.journal")
    (record,) = read_frames(log.read_bytes())
    operation = RecordOperation.decode(record)
    assert (operation.action, operation._fields["status"], operation._fields["model"]) == (
        RecordAction.START,
        "in_flight",
        "m",
    )
    gate.set()
    response = await client.rest(await client.head())
    (recorded,) = await running.ended(1)
    assert recorded["id"] == response.header("X-AI-Bridge-Interception-Id") == str(operation.id)
    assert log.read_bytes() == b""
    await running.afresh()
    # a client that leaves while its start is written leaves one ended record
    real, begun = running.bridge.recorder.start, asyncio.Event()

    async def start(interception):
        begun.set()
        await real(interception)

    monkeypatch.setattr(running.bridge.recorder, "start", start)
    running.upstream.play(OK)
    client = await running.client()
    await client.send("POST", running.path(MESSAGES), running.headers, MESSAGES.request_body(stream=True))
    await begun.wait()
    client.reset()
    await until(lambda: running.bridge.lifecycle.in_flight == 0)
    (recorded,) = await running.ended(1)
    assert (recorded["status"], recorded["end_reason"]) == ("failed", "client_disconnected")
    assert await running.bridge.database.interceptions.count_documents({}) == 1


@pytest.mark.bridge(record_policy=RecordPolicy.STRICT)
async def test_under_strict_the_start_is_in_the_database_before_the_upstream_is_asked(running):
    gate = asyncio.Event()
    client = await begin(running, gate)
    (document,) = await documents(running)
    assert (document["status"], document["model"], "ended_at" in document) == ("in_flight", "m", False)
    gate.set()
    response = await client.rest(await client.head())
    (recorded,) = await running.ended(1)
    assert recorded["id"] == response.header("X-AI-Bridge-Interception-Id") == str(document["_id"])


# In the background, and without an id.
BACKGROUND = replace(
    RESPONSES,
    request=RESPONSES.request | {"background": True},
    stream=b'data: {"type": "response.in_progress", "response": {"usage": {"input_tokens": 5, "output_tokens": 1}}}\n\n'
    + RESPONSES.stream.replace(b'"id": "resp_1"', b'"id": null'),
)


@pytest.mark.parametrize(("conversation", "charged"), [(MESSAGES, [9, 10]), (BACKGROUND, [6, 7])])
@pytest.mark.bridge(user_token_limit=1_000_000)
async def test_what_a_long_stream_has_used_is_written_down_and_charged_while_it_lasts(
    running, monkeypatch, conversation, charged
):
    monkeypatch.setattr(handlers.dataplane.call, "CHECKPOINT_SECONDS", 0)
    first = conversation.stream[: conversation.stream.index(b"\n\n") + 2]
    gate = asyncio.Event()
    running.upstream.play(STREAM, chunk(first), gate, chunk(conversation.stream[len(first) :]) + LAST)
    client, response = await running.begin(conversation, stream=True)
    assert await client.piece(response) == first
    assert await running.bridge.recorder.flush(5)
    (document,) = await documents(running)
    (usage,) = document["token_usages"]
    assert (document["status"], usage["source"], usage["input_tokens"], usage["output_tokens"]) == (
        "in_flight",
        "partial",
        5,
        1,
    )
    so_far = await used(running, LimitKind.TOKENS)
    gate.set()
    assert (await client.rest(response)).body == conversation.stream
    (recorded,) = await running.ended(1)
    assert [so_far, await used(running, LimitKind.TOKENS)] == charged
    assert (recorded["token_usages"][0]["source"], running.tokens(recorded)) == ("provider", conversation.tokens)


KEY = "sk-ant-api03-abcdefghijklmnop"


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO, record_log.name)
    return lambda: [json.loads(record.getMessage()) for record in caplog.records if record.name == record_log.name]


async def call(running, prompt=f"My key is {KEY}."):
    running.upstream.play(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nrequest-id: req_1\r\nContent-Length: %d\r\n\r\n%s"
        % (len(MESSAGES.body), MESSAGES.body)
    )
    request = MESSAGES.request | {"messages": [{"role": "user", "content": prompt}]}
    await running.request("POST", running.path(MESSAGES), running.headers, json.dumps(request).encode())
    return (await running.ended(1))[0]


@pytest.mark.bridge(structured_logging=True)
async def test_each_record_is_one_json_line_without_credentials(running, lines):
    recorded = await call(running)
    written = lines()
    assert [line["record"] for line in written] == [
        "interception_started",
        "user_prompt",
        "token_usage",
        "interception_ended",
    ]
    started, prompt, usage, ended = written
    assert {line["interception_id"] for line in written} == {recorded["id"]}
    assert (started["model"], started["initiator_id"]) == ("m", str(running.identity.user.id))
    assert prompt["prompt"] == "My key is [scrubbed]."
    assert (usage["input_tokens"], usage["output_tokens"]) == (5, 2)
    assert (ended["end_reason"], ended["status"], ended["upstream_request_id"]) == ("completed", "completed", "req_1")


async def test_nothing_is_written_while_it_is_off(running, lines):
    await call(running)
    assert lines() == []


@pytest.mark.bridge(structured_logging=True)
@pytest.mark.parametrize(("keep", "text"), [(Keep.FULL, "Grüße"), (Keep.REDACTED, "")])
async def test_a_response_that_is_recorded_in_full_is_a_line_too(running, lines, keep, text):
    hold(running, SharedPolicy(recording=RecordingRules(responses=keep)))
    await call(running)
    (line,) = [line for line in lines() if line["record"] == "model_response"]
    assert (line["text"], line["truncated"]) == (text, not text)
