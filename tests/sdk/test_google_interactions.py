"""Interactions of the `google-genai` package through the bridge: calls, streams, and what runs in the background."""

import json
from dataclasses import replace

import pytest

from limits.policies.compiled import Level, PolicyHolder
from limits.policies.policy import Models, SharedPolicy
from settings import ProviderSettings
from storage.policies.documents import KeptPolicy
from tests.intercept.dialects.gemini.test_interactions import EVENTS, WHOLE, sse
from tests.sdk.libraries import genai, interactions_errors
from tests.sdk.wiring import stream, whole
from upstream.providers.presets import ProviderType

pytestmark = [
    pytest.mark.night,
    pytest.mark.bridge(
        further_providers=(ProviderSettings("gemini", ProviderType.GEMINI, "", ("AIza-of-the-bridge",)),)
    ),
    pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession"),
]
TOKENS = {"input_tokens": 34, "output_tokens": 12, "cache_read_input_tokens": 20, "cache_write_input_tokens": None}
QUEUED = {"id": "v1_a", "agent": "deep-research", "status": "in_progress"}


@pytest.fixture
def client(io_loop, running):
    """The SDK, told of the bridge in the way that its documents say."""
    providers = running.bridge.providers
    providers["gemini"] = replace(providers["gemini"], base_url=running.upstream.url)
    url = f"http://127.0.0.1:{running.port}/api/v2/aibridge/gemini"
    options = genai.types.HttpOptions(base_url=url, retry_options=genai.types.HttpRetryOptions(attempts=1))
    client = genai.Client(api_key=running.token, http_options=options)
    yield client.aio
    io_loop.run_sync(client.aio.aclose)


def recorded_as(call):
    """What of a record is the same however the response came."""
    return (
        [one["prompt"] for one in call["user_prompts"]],
        [one["content"] for one in call["model_thoughts"]],
        [(one["tool"], json.loads(one["input"])) for one in call["tool_usages"]],
        call["end_reason"],
    )


@pytest.mark.gen_test
async def test_a_call_and_a_stream_are_recorded_with_thoughts_calls_and_tokens(running, client):
    running.upstream.play(*whole(WHOLE))
    answer = await client.interactions.create(model="gemini-3", input="Hello", store=False)
    assert (answer.id, answer.status, answer.steps[3].name) == ("v1_a", "requires_action", "weather")
    body = sse(*EVENTS)
    running.upstream.scripts[:] = [stream([body[:200], body[200:]])]
    events = [event async for event in await client.interactions.create(model="gemini-3", input="Hello", stream=True)]
    assert [event.event_type for event in events] == [event["event_type"] for event in EVENTS]
    first, second = running.upstream.requests
    assert (first.target, first.header("X-Goog-Api-Key")) == ("/v1/interactions", ["AIza-of-the-bridge"])
    assert json.loads(second.body) == {"model": "gemini-3", "input": "Hello", "stream": True}
    streamed, blocking = await running.ended(2)
    assert (
        recorded_as(streamed)
        == recorded_as(blocking)
        == (
            ["Hello"],
            ["I look it up."],
            [("weather", {"city": "Zürich"})],
            "completed",
        )
    )
    assert running.tokens(streamed) == running.tokens(blocking) == TOKENS
    assert [one["client"] for one in (streamed, blocking)] == ["Google Gen AI SDK"] * 2


@pytest.mark.gen_test
async def test_an_agent_in_the_background_is_recorded_once_when_it_has_ended(running, client):
    running.upstream.play(*whole(QUEUED))
    begun = await client.interactions.create(agent="deep-research", input="Compare", background=True)
    await running.ended(1)
    done = WHOLE | {"model": None, "status": "completed"}
    running.upstream.scripts[:] = [whole(QUEUED), whole(done), whole(done)]
    states = [(await client.interactions.get(begun.id)).status for _ in range(3)]
    assert states == ["in_progress", "completed", "completed"]
    fetched, created = await running.ended(2)
    assert [one["model"] for one in (fetched, created)] == ["deep-research"] * 2
    assert ((created["token_usages"]), running.tokens(fetched)) == ([], TOKENS)


@pytest.mark.gen_test
async def test_a_policy_of_models_holds_for_agents_and_for_their_models(running, client):
    policy = SharedPolicy(models=Models(allow=["gemini-3", "deep-*"]))
    running.bridge.policies.put(KeptPolicy(PolicyHolder(Level.EVERYONE), policy, "1"))
    large = "x" * 400_000
    for text in ("Hello", large):
        for asked in (
            {"model": "gemini-4"},
            {"agent": "antigravity-1"},
            {"agent": "deep-1", "agent_config": {"type": "antigravity", "model": "gemini-4"}},
        ):
            with pytest.raises(interactions_errors.PermissionDeniedError, match="may not be used here"):
                await client.interactions.create(input=text, **asked)
    assert running.upstream.requests == []
    running.upstream.play(*whole(WHOLE))
    config = {"type": "antigravity", "model": "gemini-3"}
    assert (await client.interactions.create(agent="deep-1", agent_config=config, input=large)).id == "v1_a"
    await running.ended(1)
