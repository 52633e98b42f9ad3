"""Records as log lines."""

from __future__ import annotations

import json
import logging

import pytest

from handlers.dataplane.call import record_log
from intercept.recording import Keep
from limits.policies.policy import RecordingRules, SharedPolicy
from tests.handlers.conversations import MESSAGES
from tests.handlers.dataplane.test_policies import hold

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
@pytest.mark.gen_test
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


@pytest.mark.gen_test
async def test_nothing_is_written_while_it_is_off(running, lines):
    await call(running)
    assert lines() == []


@pytest.mark.bridge(structured_logging=True)
@pytest.mark.parametrize(("keep", "text"), [(Keep.FULL, "Grüße"), (Keep.REDACTED, "")])
@pytest.mark.gen_test
async def test_a_response_that_is_recorded_in_full_is_a_line_too(running, lines, keep, text):
    hold(running, SharedPolicy(recording=RecordingRules(responses=keep)))
    await call(running)
    (line,) = [line for line in lines() if line["record"] == "model_response"]
    assert (line["text"], line["truncated"]) == (text, not text)
