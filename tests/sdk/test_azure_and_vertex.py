"""The vendors' clients for other clouds, each with a token of the bridge in the place of its key."""

import json
from dataclasses import replace

import pytest
from google.oauth2.credentials import Credentials

from settings import ProviderSettings
from tests.intercept.dialects.gemini.test_generate_content import WHOLE
from tests.sdk.libraries import anthropic_sdk, genai, openai_sdk
from tests.sdk.test_anthropic_messages import MESSAGE
from tests.sdk.wiring import stream, whole
from upstream.credentials.access import Credential
from upstream.credentials.bearer_tokens import BearerAuthorizer, BearerToken
from upstream.providers.presets import ProviderType

pytestmark = [
    pytest.mark.night,
    pytest.mark.bridge(
        further_providers=(
            ProviderSettings("azure", ProviderType.AZURE, "", ("azure-key",)),
            ProviderSettings("foundry", ProviderType.FOUNDRY, "", ("foundry-key",)),
            ProviderSettings("vertex", ProviderType.VERTEX, "", project="mine", region="us-east5"),
            ProviderSettings(
                "express",
                ProviderType.VERTEX,
                "",
                ("express-key",),
                region="global",
                credential=Credential.X_GOOG_API_KEY,
            ),
        )
    ),
    pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession"),
]
NAMES = ("Authorization", "Api-Key", "X-Api-Key", "X-Goog-Api-Key")
HELLO = [{"role": "user", "content": "Hello"}]
USAGE = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
CHUNKS = (
    {"id": "", "object": "", "created": 0, "model": "", "choices": [], "prompt_filter_results": []},
    {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o", "choices": [{"index": 0, "delta": {"content": "Hi"}}]},
    {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o", "choices": [], "usage": USAGE},
)  # fmt: skip


@pytest.fixture
def clouds(running):
    """The providers at the scripted upstream; that of Google with a token."""
    providers = running.bridge.providers
    for name in ("azure", "foundry", "vertex", "express"):
        providers[name] = replace(providers[name], base_url=running.upstream.url, keyless=False)
    authorizer = BearerAuthorizer(lambda: BearerToken("ya29.token", 2e9), lambda: 1e9)
    providers["vertex"] = replace(providers["vertex"], authorizer=authorizer)
    return running


def address(running, provider):
    return f"http://127.0.0.1:{running.port}/api/v2/aibridge/{provider}"


def sent(running):
    (request,) = running.upstream.requests
    return request.target, [(name, value) for name in NAMES for value in request.header(name)]


async def test_azure_openai_calls_a_deployment(clouds):
    events = [b"data: " + json.dumps(each).encode() + b"\n\n" for each in CHUNKS]
    clouds.upstream.play(*stream([*events, b"data: [DONE]\n\n"]))
    async with openai_sdk.AsyncAzureOpenAI(
        azure_endpoint=address(clouds, "azure"), api_version="2024-10-21", api_key=clouds.token, max_retries=0
    ) as client:
        response = await client.chat.completions.create(model="my-gpt", messages=HELLO, stream=True)
        texts = [choice.delta.content async for chunk in response for choice in chunk.choices]
    assert texts == ["Hi", None]
    target = "/openai/deployments/my-gpt/chat/completions?api-version=2024-10-21"
    assert sent(clouds) == (target, [("Api-Key", "azure-key")])
    (recorded,) = await clouds.ended(1)
    assert (recorded["model"], recorded["client"], recorded["end_reason"]) == (
        "my-gpt",
        "Azure OpenAI SDK (Python)",
        "completed",
    )
    assert clouds.tokens(recorded)["output_tokens"] == 1


async def test_anthropics_client_for_vertex(clouds):
    clouds.upstream.play(*whole(MESSAGE))
    async with anthropic_sdk.AsyncAnthropicVertex(
        base_url=address(clouds, "vertex"),
        project_id="mine",
        region="us-east5",
        access_token=clouds.token,
        max_retries=0,
    ) as client:
        await client.messages.create(model="claude-sonnet-4@20250514", max_tokens=10, messages=HELLO)
    target = "/v1/projects/mine/locations/us-east5/publishers/anthropic/models/claude-sonnet-4@20250514:rawPredict"
    assert sent(clouds) == (target, [("Authorization", "Bearer ya29.token")])
    (recorded,) = await clouds.ended(1)
    assert (recorded["model"], recorded["client"]) == ("claude-sonnet-4@20250514", "Anthropic SDK (Vertex)")


def google_client(clouds):
    return genai.Client(
        vertexai=True,
        project="mine",
        location="us-east5",
        credentials=Credentials(clouds.token),
        http_options=genai.types.HttpOptions(base_url=address(clouds, "vertex")),
    )


async def test_googles_client_for_vertex(clouds):
    clouds.upstream.play(*whole(WHOLE))
    client = google_client(clouds).aio
    await client.models.generate_content(model="gemini-3-pro", contents="Hello")
    await client.aclose()
    target, credentials = sent(clouds)
    assert target.endswith("/projects/mine/locations/us-east5/publishers/google/models/gemini-3-pro:generateContent")
    assert credentials == [("Authorization", "Bearer ya29.token")]
    (recorded,) = await clouds.ended(1)
    assert (recorded["model"], recorded["end_reason"]) == ("gemini-3-pro", "completed")


async def test_openais_client_calls_models_of_vertex(clouds):
    answer = {"id": "c", "object": "chat.completion", "created": 1, "model": "google/gemini-2.5-flash", "usage": USAGE}
    clouds.upstream.play(
        *whole(answer | {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}}]})
    )
    base_url = address(clouds, "vertex") + "/v1/projects/mine/locations/us-east5/endpoints/openapi"
    async with openai_sdk.AsyncOpenAI(base_url=base_url, api_key=clouds.token, max_retries=0) as client:
        await client.chat.completions.create(model="google/gemini-2.5-flash", messages=HELLO)
    target = "/v1/projects/mine/locations/us-east5/endpoints/openapi/chat/completions"
    assert sent(clouds) == (target, [("Authorization", "Bearer ya29.token")])
    (recorded,) = await clouds.ended(1)
    assert (recorded["model"], recorded["cost"]["usd"]) == ("gemini-2.5-flash", 0.0000034)


async def test_googles_client_in_express_mode_names_no_project(clouds):
    clouds.upstream.play(*whole(WHOLE))
    options = genai.types.HttpOptions(base_url=address(clouds, "express"))
    client = genai.Client(vertexai=True, api_key=clouds.token, http_options=options).aio
    await client.models.generate_content(model="gemini-3-pro", contents="Hello")
    await client.aclose()
    target, credentials = sent(clouds)
    assert target.endswith("/publishers/google/models/gemini-3-pro:generateContent")
    assert (target.startswith("/v1"), credentials) == (True, [("X-Goog-Api-Key", "express-key")])
    (recorded,) = await clouds.ended(1)
    assert (recorded["model"], recorded["end_reason"]) == ("gemini-3-pro", "completed")
