"""The `openai` package's files and batches through the bridge: each user has their own, and the output tells what was used."""

import json

import pytest

from handlers.dataplane.services import ownership
from tests.bridge import until
from tests.sdk.libraries import openai_sdk
from tests.sdk.wiring import essence, record, tokens, whole

FILE = {
    "id": "file-in",
    "object": "file",
    "bytes": 120,
    "created_at": 1790000000,
    "filename": "requests.jsonl",
    "purpose": "batch",
    "status": "processed",
}
BATCH = {
    "id": "batch_1",
    "object": "batch",
    "endpoint": "/v1/chat/completions",
    "input_file_id": "file-in",
    "completion_window": "24h",
    "status": "validating",
    "created_at": 1790000000,
    "output_file_id": None,
    "error_file_id": None,
    "usage": {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0},
}
DONE = BATCH | {"status": "completed", "output_file_id": "file-out", "error_file_id": "file-err"}
REQUESTS = b'{"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {"model": "m"}}\n'


@pytest.fixture(autouse=True)
def no_wait(monkeypatch):
    monkeypatch.setattr(ownership, "WRITTEN_SECONDS", 0)


def _line(name, model, **usage):
    body = {"id": f"chatcmpl-{name}", "object": "chat.completion", "model": model, "usage": usage}
    response = {"status_code": 200, "request_id": f"req_{name}", "body": body}
    return json.dumps({"id": f"batch_req_{name}", "custom_id": name, "response": response, "error": None})


def _output(*names):
    lines = [_line(name, "m", prompt_tokens=9, completion_tokens=2) for name in names]
    body = "".join(line + "\n" for line in lines).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n" % len(body), body


async def _play(running, *steps):
    running.upstream.scripts.clear()
    running.upstream.play(*steps)


async def _make_batch(running, openai):
    await _play(running, *whole(FILE))
    uploaded = await openai.files.create(file=("requests.jsonl", REQUESTS), purpose="batch")
    assert uploaded.to_dict() == FILE
    await running.ended(1)
    await _play(running, *whole(BATCH))
    made = {"input_file_id": "file-in", "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    created = await openai.batches.create(**made)
    assert created.to_dict() == BATCH
    await running.ended(2)


async def _retrieve(running, openai, batch):
    """Ask for the batch; what the answer tells is noted when this returns."""
    await _play(running, *whole(batch))
    result = await openai.batches.retrieve("batch_1")
    await until(lambda: running.bridge.lifecycle.in_flight == 0)
    return result


async def test_the_output_of_a_batch_is_recorded_once_for_each_request(running, openai):
    await _make_batch(running, openai)
    assert (await _retrieve(running, openai, DONE)).output_file_id == "file-out"
    for names in (["a"], ["a", "b"], ["b", "a"]):
        await _play(running, *_output(*names))
        content = await openai.files.content("file-out")
        assert content.content == _output(*names)[1]
        await running.bridge.recorder.flush(5)
    *requests, created, uploaded = await running.ended(4)
    assert [essence(one) for one in (created, uploaded)] == [record("openai", model="default")] * 2
    assert [essence(one) for one in requests] == [record("openai", token_usages=[tokens(9, 2, read=None)])] * 2
    assert {one["client_session_id"] for one in requests} == {"batch_1"}
    ids = {one["token_usages"][0]["provider_response_id"] for one in requests}
    assert ids == {"chatcmpl-a", "chatcmpl-b"}


async def test_a_file_is_the_output_of_a_batch_once_the_batch_tells_so(running, openai):
    await _make_batch(running, openai)
    await _retrieve(running, openai, BATCH)
    with pytest.raises(openai_sdk.NotFoundError):
        await openai.files.content("file-out")
    await _retrieve(running, openai, DONE | {"id": "batch_other"})
    with pytest.raises(openai_sdk.NotFoundError):
        await openai.files.content("file-out")
    await _retrieve(running, openai, DONE)
    await _play(running, *_output("a"))
    await openai.files.content("file-out")
    assert len(await running.ended(3)) == 3
