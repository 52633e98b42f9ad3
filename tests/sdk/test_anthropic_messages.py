"""The `anthropic` package's counts of tokens and batches through the bridge; its messages: `test_conversations.py`."""

import json

from tests.sdk.wiring import essence, record, tokens, whole

HELLO = [{"role": "user", "content": "Hello"}]
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m-2026",
    "content": [{"type": "text", "text": "Grüße"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 26, "cache_creation_input_tokens": 5, "cache_read_input_tokens": 64, "output_tokens": 20},
}


async def test_counting_tokens_is_recorded_without_a_cost(running, anthropic):
    running.upstream.play(*whole({"input_tokens": 95}))
    count = await anthropic.messages.count_tokens(model="m", messages=HELLO)
    assert count.to_dict() == {"input_tokens": 95}
    assert running.upstream.requests[0].target == "/v1/messages/count_tokens"
    (recorded,) = await running.ended(1)
    assert essence(recorded) == record("anthropic")
    assert recorded["cost"] is None


BATCH = {
    "id": "msgbatch_1",
    "type": "message_batch",
    "processing_status": "in_progress",
    "request_counts": {"canceled": 0, "errored": 0, "expired": 0, "processing": 1, "succeeded": 0},
    "created_at": "2026-11-26T10:00:00Z",
    "expires_at": "2026-11-27T10:00:00Z",
}


def _results(*named):
    lines = [
        {"custom_id": name, "result": {"type": "succeeded", "message": MESSAGE | {"id": f"msg_{name}", "model": model}}}
        for name, model in named
    ]
    lines.append({"custom_id": "bad", "result": {"type": "expired"}})
    body = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-jsonl\r\nContent-Length: %d\r\n\r\n" % len(body)
    return head, body


async def test_the_results_of_a_batch_are_recorded_once_each(running, anthropic):
    ended = BATCH | {"processing_status": "ended"}
    url = f"http://127.0.0.1:{running.port}/api/v2/aibridge/anthropic/v1/messages/batches/msgbatch_1/results"
    running.upstream.play(*whole(BATCH))
    one = {"custom_id": "a", "params": {"model": "m", "max_tokens": 9, "messages": HELLO}}
    await anthropic.messages.batches.create(requests=[one])
    await running.ended(1)
    for names in ([("a", "m")], [("a", "m"), ("b", "n")], [("b", "n"), ("a", "m")]):
        running.upstream.scripts.clear()
        running.upstream.play(*whole(ended | {"results_url": url}))
        running.upstream.play(*_results(*names))
        results = await anthropic.messages.batches.results("msgbatch_1")
        assert [one.custom_id async for one in results] == [*(name for name, _ in names), "bad"]
        await running.bridge.recorder.flush(5)
    *recorded, created = await running.ended(3)
    assert (created["model"], created["token_usages"]) == ("default", [])
    assert sorted(
        (one["model"], one["status"], one["client_session_id"], one["token_usages"][0]["provider_response_id"])
        for one in recorded
    ) == [("m", "completed", "msgbatch_1", "msg_a"), ("n", "completed", "msgbatch_1", "msg_b")]
    assert all(essence(one)["token_usages"] == [tokens(26, 20, read=64, write=5)] for one in recorded)
