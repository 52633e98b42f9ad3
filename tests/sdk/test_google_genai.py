"""The `google-genai` package through the bridge, with a token of it as the API key: content and interactions."""

import json
from dataclasses import replace

import pytest

from limits.policies.compiled import Level, PolicyHolder
from limits.policies.policy import Models, SharedPolicy
from settings import ProviderSettings
from storage.policies.documents import KeptPolicy
from tests.intercept.dialects.gemini.test_generate_content import CHUNKS, WHOLE
from tests.intercept.dialects.gemini.test_interactions import EVENTS, sse
from tests.intercept.dialects.gemini.test_interactions import WHOLE as INTERACTION
from tests.sdk.libraries import genai, interactions_errors
from tests.sdk.wiring import stream, whole
from upstream.providers.presets import ProviderType

pytestmark = [
    pytest.mark.bridge(
        further_providers=(ProviderSettings("gemini", ProviderType.GEMINI, "", ("AIza-of-the-bridge",)),)
    ),
    pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession"),
]
TOKENS = {"input_tokens": 20, "output_tokens": 819, "cache_read_input_tokens": 9, "cache_write_input_tokens": None}


@pytest.fixture
def client(io_loop, running):
    """The SDK, told of the bridge in the way that its documents say."""
    providers = running.bridge.providers
    providers["gemini"] = replace(providers["gemini"], base_url=running.upstream.url)
    url = f"http://127.0.0.1:{running.port}/api/v2/aibridge/gemini"
    client = genai.Client(
        api_key=running.token,
        http_options=genai.types.HttpOptions(base_url=url, retry_options=genai.types.HttpRetryOptions(attempts=1)),
    )
    yield client.aio
    io_loop.run_sync(client.aio.aclose)


def sent(running):
    """What the provider got: the target, the credentials, the body."""
    (request,) = running.upstream.requests
    names = ("X-Goog-Api-Key", "Authorization", "X-Api-Key")
    return request.target, [value for name in names for value in request.header(name)], json.loads(request.body)


async def test_a_blocking_call_is_recorded_with_thoughts_calls_and_tokens(running, client):
    running.upstream.play(*whole(WHOLE))
    response = await client.models.generate_content(model="gemini-3-pro", contents="Hello")
    assert response.candidates[0].content.parts[1].text == "Grüße 🐢"
    assert [call.name for call in response.function_calls or ()] == ["weather", "now"]
    target, credentials, body = sent(running)
    assert (target, credentials) == ("/v1/models/gemini-3-pro:generateContent", ["AIza-of-the-bridge"])
    assert body["contents"] == [{"parts": [{"text": "Hello"}], "role": "user"}]
    (recorded,) = await running.ended(1)
    assert (recorded["model"], recorded["provider"], recorded["end_reason"]) == ("gemini-3-pro", "gemini", "completed")
    assert recorded["client"] == "Google Gen AI SDK"
    assert [one["prompt"] for one in recorded["user_prompts"]] == ["Hello"]
    assert [one["content"] for one in recorded["model_thoughts"]] == ["I look it up.", "ended"]
    assert [(one["tool"], json.loads(one["input"] or "null")) for one in recorded["tool_usages"]] == [
        ("weather", {"city": "Zürich"}),
        ("now", None),
    ]
    assert running.tokens(recorded) == TOKENS


async def test_a_stream_is_recorded_like_the_call(running, client):
    running.upstream.play(*stream(b"data: " + json.dumps(each).encode() + b"\r\n\r\n" for each in CHUNKS))
    chunks = [
        chunk async for chunk in await client.models.generate_content_stream(model="gemini-3-pro", contents="Hello")
    ]
    assert [part.text for part in chunks[2].candidates[0].content.parts] == ["Grüße 🐢", "ended"]
    assert sent(running)[0] == "/v1/models/gemini-3-pro:streamGenerateContent?alt=sse"
    (recorded,) = await running.ended(1)
    assert (recorded["streaming"], recorded["end_reason"]) == (True, "completed")
    assert [one["tool"] for one in recorded["tool_usages"]] == ["weather", "now"]
    assert running.tokens(recorded) == TOKENS


async def test_counting_and_embedding_are_recorded(running, client):
    running.upstream.play(*whole({"totalTokens": 3}))
    running.upstream.play(*whole({"embeddings": [{"values": [0.5, 0.25]}]}))
    assert (await client.models.count_tokens(model="gemini-3-pro", contents="Hello")).total_tokens == 3
    embedded = await client.models.embed_content(model="gemini-embedding-001", contents="Hello")
    assert embedded.embeddings[0].values == [0.5, 0.25]
    recorded = await running.ended(2)
    assert [(one["model"], one["end_reason"], one["token_usages"]) for one in recorded] == [
        ("gemini-embedding-001", "completed", []),
        ("gemini-3-pro", "completed", []),
    ]


async def test_a_refusal_of_the_bridge_is_an_error_of_googles(running):
    url = f"http://127.0.0.1:{running.port}/api/v2/aibridge/gemini"
    client = genai.Client(api_key="no-token", http_options=genai.types.HttpOptions(base_url=url)).aio
    with pytest.raises(genai.errors.ClientError) as caught:
        await client.models.generate_content(model="gemini-3-pro", contents="Hello")
    assert (caught.value.code, caught.value.status) == (401, "UNAUTHENTICATED")
    await client.aclose()
    assert running.upstream.requests == []


OF_INTERACTION = {
    "input_tokens": 34,
    "output_tokens": 12,
    "cache_read_input_tokens": 20,
    "cache_write_input_tokens": None,
}
QUEUED = {"id": "v1_a", "agent": "deep-research", "status": "in_progress"}


def recorded_as(call):
    """The part of a record that is the same for a stream and for a body."""
    return (
        [one["prompt"] for one in call["user_prompts"]],
        [one["content"] for one in call["model_thoughts"]],
        [(one["tool"], json.loads(one["input"])) for one in call["tool_usages"]],
        call["end_reason"],
    )


@pytest.mark.night
async def test_a_call_and_a_stream_are_recorded_with_thoughts_calls_and_tokens(running, client):
    running.upstream.play(*whole(INTERACTION))
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
    assert running.tokens(streamed) == running.tokens(blocking) == OF_INTERACTION
    assert [one["client"] for one in (streamed, blocking)] == ["Google Gen AI SDK"] * 2


@pytest.mark.night
async def test_an_agent_in_the_background_is_recorded_once_when_it_has_ended(running, client):
    running.upstream.play(*whole(QUEUED))
    begun = await client.interactions.create(agent="deep-research", input="Compare", background=True)
    await running.ended(1)
    done = INTERACTION | {"model": None, "status": "completed"}
    running.upstream.scripts[:] = [whole(QUEUED), whole(done), whole(done)]
    states = [(await client.interactions.get(begun.id)).status for _ in range(3)]
    assert states == ["in_progress", "completed", "completed"]
    fetched, created = await running.ended(2)
    assert [one["model"] for one in (fetched, created)] == ["deep-research"] * 2
    assert ((created["token_usages"]), running.tokens(fetched)) == ([], OF_INTERACTION)


@pytest.mark.night
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
    running.upstream.play(*whole(INTERACTION))
    config = {"type": "antigravity", "model": "gemini-3"}
    assert (await client.interactions.create(agent="deep-1", agent_config=config, input=large)).id == "v1_a"
    await running.ended(1)
