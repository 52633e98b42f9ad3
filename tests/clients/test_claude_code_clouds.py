"""Claude Code as it speaks to Bedrock, Mantle, Vertex AI and Foundry, with a token of the bridge."""

import json
from dataclasses import replace

import pytest

from settings import ProviderSettings
from tests.clients.answers import message_of_text, used
from tests.clients.command_line_client import ANSWER, PROMPT, program
from tests.intercept.formats.event_streams import chunk
from tests.sdk.bedrock import event_stream
from tests.sdk.wiring import stream, typed_events
from upstream.credentials.bearer_tokens import BearerAuthorizer, BearerToken
from upstream.providers.presets import ProviderType

pytestmark = pytest.mark.night

BEDROCK_MODEL = "us.anthropic.claude-opus-4-8"
VERTEX_MODEL = "claude-opus-4-8"
VERTEX = f"/v1/projects/mine/locations/us-east5/publishers/anthropic/models/{VERTEX_MODEL}:streamRawPredict"


def bedrock_events():
    """The response as Bedrock frames it."""
    return event_stream(map(chunk, message_of_text()))


def sse_events():
    return stream(typed_events(message_of_text()))


MODES = {
    "bedrock": (
        {"CLAUDE_CODE_USE_BEDROCK": "1", "AWS_REGION": "us-east-1"},
        ("ANTHROPIC_BEDROCK_BASE_URL", "", "AWS_BEARER_TOKEN_BEDROCK"),
        BEDROCK_MODEL,
        bedrock_events,
        (f"/model/{BEDROCK_MODEL}/invoke-with-response-stream", "Authorization", "Bearer bedrock-key"),
    ),
    "mantle": (
        {"CLAUDE_CODE_USE_MANTLE": "1", "CLAUDE_CODE_SKIP_MANTLE_AUTH": "1", "AWS_REGION": "us-east-1"},
        ("ANTHROPIC_BEDROCK_MANTLE_BASE_URL", "", "ANTHROPIC_AUTH_TOKEN"),
        "anthropic.claude-opus-4-8",
        sse_events,
        ("/anthropic/v1/messages?beta=true", "Authorization", "Bearer mantle-key"),
    ),
    "vertex": (
        {
            "CLAUDE_CODE_USE_VERTEX": "1",
            "CLAUDE_CODE_SKIP_VERTEX_AUTH": "1",
            "ANTHROPIC_VERTEX_PROJECT_ID": "mine",
            "CLOUD_ML_REGION": "us-east5",
        },
        ("ANTHROPIC_VERTEX_BASE_URL", "/v1", "ANTHROPIC_AUTH_TOKEN"),
        VERTEX_MODEL,
        sse_events,
        (VERTEX, "Authorization", "Bearer ya29.token"),
    ),
    "foundry": (
        {"CLAUDE_CODE_USE_FOUNDRY": "1"},
        ("ANTHROPIC_FOUNDRY_BASE_URL", "", "ANTHROPIC_FOUNDRY_API_KEY"),
        "claude-opus-4-8",
        sse_events,
        ("/v1/messages?beta=true", "X-Api-Key", "foundry-key"),
    ),
}


@pytest.fixture
def clouds(running):
    """The providers at the scripted upstream; that of Google with a token."""
    providers = running.bridge.providers
    for name in MODES:
        providers[name] = replace(providers[name], base_url=running.upstream.url, keyless=False)
    authorizer = BearerAuthorizer(lambda: BearerToken("ya29.token", 2e9), lambda: 1e9)
    providers["vertex"] = replace(providers["vertex"], authorizer=authorizer)
    return running


@pytest.mark.bridge(
    further_providers=(
        ProviderSettings("bedrock", ProviderType.BEDROCK, "", ("bedrock-key",), region="us-east-1"),
        ProviderSettings("mantle", ProviderType.BEDROCK_MANTLE, "", ("mantle-key",), region="us-east-1"),
        ProviderSettings("vertex", ProviderType.VERTEX, "", project="mine", region="us-east5"),
        ProviderSettings("foundry", ProviderType.FOUNDRY, "", ("foundry-key",)),
    )
)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.gen_test(timeout=90)
async def test_claude_code_streams_an_answer_as_on_the_cloud(clouds, client, url, mode):
    environ, (base_url, ending, token), model, script, (target, header, key) = MODES[mode]
    clouds.upstream.play(*script())
    output = await client.run(
        *(program("@anthropic-ai", "claude-code-*/claude"), "-p", PROMPT, "--model", model),
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1",
        **(environ | {base_url: f"{url}/{mode}{ending}", token: clouds.token}),
    )
    assert output == f"{ANSWER}\n"
    requests = clouds.upstream.requests  # at Bedrock it first asks which of its models are there, a token each
    (request,) = [one for one in requests if one.target == target]
    assert request.header(header) == [key]
    assert PROMPT in json.dumps(json.loads(request.body)["messages"])
    assert clouds.token not in str(requests)
    (recorded,) = [one for one in await clouds.ended(len(requests)) if one["model"] == model]
    assert (recorded["provider_name"], recorded["client"]) == (mode, "Claude Code")
    assert (recorded["end_reason"], recorded["streaming"]) == ("completed", True)
    assert clouds.tokens(recorded) == used(20, write=3)
