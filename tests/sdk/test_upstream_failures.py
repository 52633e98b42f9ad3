"""Failures of the upstream reach the SDKs unchanged, and are recorded as such."""

import httpx2
import pytest

from tests.fake_upstream import CLOSE, RESET
from tests.sdk import test_anthropic_messages as messages
from tests.sdk.libraries import openai_sdk
from tests.sdk.openai import test_chat_completions as chat_completions
from tests.sdk.openai import test_responses as responses
from tests.sdk.wiring import data_events, stream, typed_events, whole

pytestmark = pytest.mark.night

ANTHROPIC_ERROR = {
    "type": "error",
    "error": {"type": "overloaded_error", "message": "Overloaded"},
    "request_id": "req_1",
}


async def collect(source, items):
    """Append what comes to `items`, so that it is there when the source raises."""
    async for item in source:
        items.append(item.to_dict())


@pytest.mark.gen_test
async def test_an_sdk_retries_what_the_upstream_refused_and_both_tries_are_recorded(running, wiring):
    running.upstream.play(*whole(ANTHROPIC_ERROR, 529, retry_after_ms="1"))
    running.upstream.play(*whole(messages.MESSAGE))
    message = await wiring.anthropic(max_retries=1).messages.create(**messages.REQUEST)
    assert message.to_dict() == messages.MESSAGE
    again, first = await running.ended(2)
    assert (first["end_reason"], first["upstream_status"]) == ("upstream_error", 529)
    assert first["error"] == {"type": "overloaded_error", "message": "Overloaded"}
    assert (again["end_reason"], again["upstream_status"]) == ("completed", 200)


@pytest.mark.parametrize("end", [RESET, CLOSE])
@pytest.mark.gen_test
async def test_a_stream_that_is_cut_is_an_error_and_never_a_short_success(running, openai, anthropic, end):
    running.upstream.play(*stream(data_events(chat_completions.CHUNKS)[:3], end))
    running.upstream.play(*stream(typed_events(responses.EVENTS)[:3], end))
    running.upstream.play(*stream(typed_events(messages.EVENTS)[:3], end))
    chunks = await openai.chat.completions.create(**chat_completions.REQUEST, stream=True)
    with pytest.raises(openai_sdk.APIConnectionError):
        await collect(chunks, [])
    events = await openai.responses.create(**responses.REQUEST, stream=True)
    with pytest.raises(openai_sdk.APIConnectionError):
        await collect(events, [])
    events = await anthropic.messages.create(**messages.REQUEST, stream=True)
    with pytest.raises(httpx2.RemoteProtocolError, match="peer closed connection"):  # this SDK leaves it as it is
        await collect(events, [])
    for recorded in await running.ended(3):
        assert (recorded["status"], recorded["end_reason"]) == ("failed", "upstream_truncated")
