"""The pings of the bridge, as the official SDKs take them: before and behind every event."""

from functools import partial

import pytest

from intercept.catalog import ANTHROPIC, OPENAI
from tests.sdk import test_anthropic_messages as messages
from tests.sdk.openai import test_chat_completions as chat
from tests.sdk.openai import test_responses as responses
from tests.sdk.wiring import data_events, stream, typed_events


def with_pings(dialect, events):
    ping = dialect.ping
    return stream([ping, *(event + ping for event in events)])


@pytest.mark.parametrize(
    ("api", "events", "encoded"),
    [
        (lambda sdk: partial(sdk.chat.completions.create, **chat.REQUEST), chat.CHUNKS[:-1], data_events),
        (lambda sdk: partial(sdk.responses.create, **responses.REQUEST), responses.EVENTS, typed_events),
    ],
    ids=["chat", "responses"],
)
@pytest.mark.gen_test
async def test_events_of_openai_are_read_without_them(running, openai, api, events, encoded):
    running.upstream.play(*with_pings(OPENAI, encoded(events)))
    received = await api(openai)(stream=True)
    assert [event.to_dict() async for event in received] == events
    await running.ended(1)


@pytest.mark.gen_test
async def test_messages_are_read_without_them(running, anthropic):
    running.upstream.play(*with_pings(ANTHROPIC, typed_events(messages.EVENTS)))
    received = await anthropic.messages.create(**messages.REQUEST, stream=True)
    assert [event.to_dict() async for event in received] == messages.EVENTS
    await running.ended(1)
