"""What the bridge knows to be secret is in no record, log line or export, though a provider or a client repeats it."""

import json
import logging

import pytest

from handlers.dataplane.call import record_log
from tests.handlers.conversations import MESSAGES

KEY = "plain/Provider+key=0123456789"  # no vendor's prefix
OWN_KEY = "plain-key-of-the-client"
HEAD = b"HTTP/1.1 %d X\r\nContent-Type: %s\r\nrequest-id: %s\r\nContent-Length: %d\r\n\r\n"
EXPORT = "/api/v2/aibridge/interceptions/export?format="


def response(status, kind, body, request_id=b"r"):
    return HEAD % (status, kind, request_id, len(body)) + body


def events(*pieces):
    """A stream in which the model thinks, and calls a tool, with texts that come in pieces."""
    blocks = (
        ("thinking", {"type": "thinking", "thinking": ""}, "thinking_delta", "thinking"),
        ("tool", {"type": "tool_use", "id": "t", "name": "Bash", "input": {}}, "input_json_delta", "partial_json"),
    )
    data = [{"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 1}}}]
    for index, (_, block, kind, name) in enumerate(blocks):
        data.append({"type": "content_block_start", "index": index, "content_block": block})
        data += [{"type": "content_block_delta", "index": index, "delta": {"type": kind, name: one}} for one in pieces]
        data.append({"type": "content_block_stop", "index": index})
    return b"".join(f"event: {one['type']}\ndata: {json.dumps(one)}\n\n".encode() for one in data)


async def call(running, prompt, headers=None):
    request = MESSAGES.request | {"messages": [{"role": "user", "content": prompt}]}
    path = running.path(MESSAGES)
    return await running.request("POST", path, headers or running.headers, json.dumps(request).encode())


async def stored(running):
    """Everything that the database has, as text, but for digests of tokens."""
    names = await running.bridge.database.interceptions.database.list_collection_names()
    collections = [running.bridge.database.interceptions.database[name] for name in names if name != "tokens"]
    return "".join([str(await collection.find().to_list(None)) for collection in collections])


async def exported(running, form):
    return (await running.request("GET", EXPORT + form, running.headers)).body.decode()


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO, record_log.name)
    return lambda: "".join(record.getMessage() for record in caplog.records)


@pytest.mark.expects_log(r"WARNING handlers.key_health: provider key refused: provider=anthropic key=plai...6789 ")
@pytest.mark.bridge(anthropic_key=(KEY,), structured_logging=True)
async def test_a_key_that_a_provider_repeats_is_relayed_and_nowhere_kept(running, lines):
    error = json.dumps({"type": "error", "error": {"type": KEY, "message": f"Wrong key {KEY}."}}).encode()
    refused = response(401, b"application/json", error, KEY.encode())
    called = response(200, b"text/event-stream", events('{"key": "pla', "in/Provider+ke", 'y=0123456789"}'))
    running.upstream.play(refused)
    running.upstream.play(called)
    assert (await call(running, f"Is it {KEY}?")).body == error
    assert (await call(running, f"Is it {KEY}?")).status == 200
    second, first = await running.ended(2)
    assert first["error"] == {"type": "[scrubbed]", "message": "Wrong key [scrubbed]."}
    assert first["api_key_id"] == running.token.partition("-")[0]
    assert first["upstream_request_id"] == "[scrubbed]"
    assert first["user_prompts"][0]["prompt"] == "Is it [scrubbed]?"
    assert second["tool_usages"][0]["input"] == '{"key": "[scrubbed]"}'
    assert second["model_thoughts"][0]["content"] == '{"key": "[scrubbed]"}'
    for kept in (await stored(running), lines(), await exported(running, "csv"), await exported(running, "ndjson")):
        assert KEY not in kept
        assert "[scrubbed]" in kept


@pytest.mark.bridge(anthropic_key=(KEY,))
async def test_a_key_of_the_bridge_is_hidden_where_a_stream_breaks_off_and_in_exports(running):
    # a key that a stream breaks off in is not kept up to there
    running.upstream.play(response(200, b"text/event-stream", events('{"key": "pla', "in/Provider+ke")))
    await call(running, "Hello")
    (recorded,) = await running.ended(1)
    assert recorded["tool_usages"][0]["input"] == '{"key": "[scrubbed]'
    await running.afresh()
    # an export hides what was recorded before a key was known
    running.upstream.play(response(200, b"application/json", MESSAGES.body))
    await call(running, "Hello")
    await running.ended(1)
    await running.bridge.database.interceptions.update_one({}, {"$set": {"user_agent": KEY}})
    assert json.loads(await exported(running, "ndjson"))["user_agent"] == "[scrubbed]"


async def test_no_token_or_key_that_is_known_is_kept_of_a_request(running):
    # neither the token nor an own key of a request is kept
    running.upstream.play(response(200, b"application/json", MESSAGES.body))
    headers = {
        "X-Coder-AI-Governance-Token": running.token,
        "X-Api-Key": OWN_KEY,
        "User-Agent": f"agent {running.token}",
        "Content-Type": "application/json",
    }
    await call(running, f"I have {running.token} and {OWN_KEY}.", headers)
    (recorded,) = await running.ended(1)
    token_id, _, secret = running.token.partition("-")
    assert recorded["user_prompts"][0]["prompt"] == f"I have {token_id}-[scrubbed] and [scrubbed]."
    assert recorded["user_agent"] == f"agent {token_id}-[scrubbed]"
    assert recorded["api_key_id"] == token_id
    kept = await stored(running)
    assert secret not in kept
    assert OWN_KEY not in kept
    await running.afresh()
    # a token of somebody else is not kept either
    await running.user("eve")
    _, token = await running.bridge.identities.create_token("eve")
    running.upstream.play(response(200, b"application/json", MESSAGES.body))
    await call(running, f"I found {token}.")
    (recorded,) = await running.ended(1)
    assert recorded["user_prompts"][0]["prompt"] == f"I found {token.partition('-')[0]}-[scrubbed]."
