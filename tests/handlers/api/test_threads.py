"""An agent at work, through the whole bridge: each of its calls goes on with the one whose tool calls it answers."""

from __future__ import annotations

import json
from itertools import product
from uuid import UUID

import pytest

from tests.derived import derive

QUESTION = {"role": "user", "content": "What time is it?"}


def chat_completions(answered, issued):
    """Make a request that answers some tool calls, and a response that issues some: as one body and as events."""
    answers = [{"role": "tool", "tool_call_id": id_, "content": "noon"} for id_ in answered]
    function = {"name": "clock", "arguments": "{}"}
    calls = [{"index": n, "id": id_, "type": "function", "function": function} for n, id_ in enumerate(issued)]
    choice = {"index": 0, "finish_reason": "tool_calls" if issued else "stop"}
    body = {"id": "chatcmpl-1", "choices": [choice | {"message": {"role": "assistant", "tool_calls": calls}}]}
    events = [{"id": "chatcmpl-1", "choices": [choice | {"delta": {"role": "assistant", "tool_calls": calls}}]}]
    return {"messages": [QUESTION, *answers]}, body, events


def responses(answered, issued):
    answers = [{"type": "function_call_output", "call_id": id_, "output": "noon"} for id_ in answered]
    calls = [
        {"type": "function_call", "id": f"fc_{id_}", "call_id": id_, "name": "clock", "arguments": "{}"}
        for id_ in issued
    ]
    body = {"id": "resp_1", "object": "response", "status": "completed", "output": calls}
    done = [{"type": "response.output_item.done", "output_index": n, "item": call} for n, call in enumerate(calls)]
    return {"input": [QUESTION, *answers]}, body, [*done, {"type": "response.completed", "response": body}]


def messages(answered, issued):
    results = [{"type": "tool_result", "tool_use_id": id_, "content": "noon"} for id_ in answered]
    answers = [{"role": "user", "content": results}] if results else []
    calls = [{"type": "tool_use", "id": id_, "name": "clock", "input": {}} for id_ in issued]
    body = {"type": "message", "id": "msg_1", "role": "assistant", "content": calls}
    blocks = [{"type": "content_block_start", "index": n, "content_block": call} for n, call in enumerate(calls)]
    start = {"type": "message_start", "message": body | {"content": []}}
    return {"max_tokens": 9, "messages": [QUESTION, *answers]}, body, [start, *blocks, {"type": "message_stop"}]


APIS = [
    ("/openai/v1/chat/completions", chat_completions),
    ("/openai/v1/responses", responses),
    ("/anthropic/v1/messages", messages),
]


@pytest.fixture
def call(running):
    """Make a call that answers and issues tool calls, and wait until it is recorded; returns its id."""

    async def call(path, speak, *, stream, answered=(), issued=(), headers=None):
        request, body, events = speak(answered, issued)
        media_type, content = "application/json", json.dumps(body).encode()
        if stream:
            media_type = "text/event-stream"
            content = b"".join(b"data: %s\n\n" % json.dumps(event).encode() for event in events)
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {media_type}\r\nContent-Length: {len(content)}\r\n\r\n"
        running.upstream.scripts = [[head.encode() + content]]
        sent = json.dumps({"model": "m", "stream": stream} | request).encode()
        response = await running.request("POST", f"/api/v2/aibridge{path}", headers or running.headers, sent)
        assert (response.status, response.body) == (200, content)
        assert await running.bridge.recorder.flush(5)
        return UUID(response.header("X-AI-Bridge-Interception-Id"))

    return call


async def threads_of(running):
    """The parent and the root of each interception that has them."""
    linked = running.bridge.database.interceptions.find({"parent_id": {"$ne": None}})
    return {document["_id"]: (document["parent_id"], document["root_id"]) async for document in linked}


@pytest.mark.gen_test
async def test_the_calls_of_an_agent_of_one_user_are_one_thread(running, call):
    # the calls of an agent are one thread
    expected = {}
    for number, ((path, speak), stream) in enumerate(product(APIS, (True, False)), start=1):
        case, ids = (speak.__name__, stream), [f"call_{number}_{one}" for one in range(3)]
        requested = await call(path, speak, stream=stream, issued=ids[:2])
        answered = await call(path, speak, stream=stream, answered=ids[:2], issued=ids[2:])
        finished = await call(path, speak, stream=stream, answered=ids[2:])
        asked_anew = await call(path, speak, stream=stream)
        await derive(running.bridge.database)
        expected |= {answered: (requested, requested), finished: (answered, requested)}
        assert await threads_of(running) == expected, case
        recorded = {UUID(interception["id"]): interception for interception in await running.ended(4 * number)}
        assert list(recorded)[:4] == [asked_anew, finished, answered, requested], case
        assert {interception["end_reason"] for interception in recorded.values()} == {"completed"}, case
    await running.afresh()
    # a user does not join the thread of another
    path, speak = APIS[0]
    await call(path, speak, stream=False, issued=("call_1",))
    grace = await running.user("grace")
    await call(path, speak, stream=False, answered=("call_1",), headers=grace)
    await derive(running.bridge.database)
    assert await threads_of(running) == {}
