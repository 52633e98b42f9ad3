"""Each type of provider is asked at its own address, with its own credential and nothing of the client's."""

import json
from dataclasses import replace
from time import time

import pytest

from intercept import catalog
from limits.policies.policy import Models, SharedPolicy
from settings import ProviderSettings
from tests.handlers.conversations import CHAT, MESSAGES, RESPONSES
from tests.handlers.dataplane.test_policies import hold
from tests.upstream.credentials.entra_endpoint import entra  # noqa: F401 - a fixture
from upstream.credentials.access import Credential
from upstream.credentials.bearer_tokens import BearerAuthorizer, azure_fetcher
from upstream.providers.presets import PRESETS, ProviderType
from upstream.routes import parse_routes

KEY = "sk-of-the-bridge"
BRIDGE = "/api/v2/aibridge"
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
CREDENTIALS = ("Authorization", "X-Api-Key", "Api-Key", "X-Goog-Api-Key")
CLASSIC = "/openai/deployments/my-gpt/chat/completions?api-version=2024-10-21"


@pytest.fixture
def bridge_settings(bridge_settings):
    """A provider of each type, named like it, whose paths the scripted upstream is to see."""
    made = tuple(
        ProviderSettings(kind, kind, "", () if preset.is_own_key_only else (KEY,))
        for kind, preset in PRESETS.items()
        if kind not in (ProviderType.OPENAI, ProviderType.ANTHROPIC, ProviderType.DEMO)
    )
    return {"further_providers": made} | bridge_settings


@pytest.fixture
def types(running):
    """The same, at the address of the scripted upstream."""
    for provider in list(running.bridge.providers.values()):
        address = running.upstream.url + ("v1/" if provider.type is ProviderType.OPENAI else "base/")
        running.bridge.providers[provider.name] = replace(
            provider, base_url=address, keyless=provider.credential is Credential.NONE
        )
    return running


def credentials(request):
    return [(name, value) for name in CREDENTIALS for value in request.header(name)]


async def test_a_call_goes_to_the_path_and_with_the_credential_of_its_type(types):
    types.upstream.play(OK)
    client = await types.client()
    token = {"Api-Key": types.token, "X-Goog-Api-Key": types.token, "Content-Type": "application/json"}
    for calls, (path, conversation, target, credential) in enumerate(
        (
            ("/azure/v1/responses", RESPONSES, "/openai/v1/responses", ("Api-Key", KEY)),
            ("/azure/openai/v1/responses", RESPONSES, "/openai/v1/responses", ("Api-Key", KEY)),
            (f"/azure{CLASSIC}", CHAT, CLASSIC, ("Api-Key", KEY)),
            ("/foundry/v1/messages?beta=true", MESSAGES, "/v1/messages?beta=true", ("X-Api-Key", KEY)),
            ("/openrouter/v1/messages", MESSAGES, "/messages", ("Authorization", f"Bearer {KEY}")),
        ),
        start=1,
    ):
        sent = conversation.request_body(stream=False)
        response = await client.request("POST", BRIDGE + path, token, sent)
        assert len(types.upstream.requests) == calls, path
        request = types.upstream.requests[-1]
        assert (response.status, request.target, request.body) == (200, "/base" + target, sent), path
        assert credentials(request) == [credential], path
        recorded, *_ = await types.ended(calls)
        named = (recorded["provider"], recorded["model"])
        assert named == (path.split("/")[1], "my-gpt" if "my-gpt" in path else json.loads(sent)["model"]), path


async def test_a_deployment_is_the_model_and_what_holds_for_it_holds_whatever_a_body_names(types):
    # a deployment names the model where the body does not
    types.upstream.play(OK)
    client = await types.client()
    body = b'{"messages": [{"role": "user", "content": "Hello"}]}'
    response = await client.request("POST", f"{BRIDGE}/azure{CLASSIC}", types.headers, body)
    (recorded,) = await types.ended(1)
    assert (response.status, recorded["model"]) == (200, "my-gpt")
    await types.afresh()
    # a token in the query is refused and another credential there stays here
    types.upstream.play(OK)
    client = await types.client()
    path = f"{BRIDGE}/azure/v1/models?api-version=1"
    refused = await client.request("GET", f"{path}&key={types.token}", types.headers)
    response = await client.request("GET", f"{path}&key=AIzaSecret&access_token=ya29", types.headers)
    (request,) = types.upstream.requests
    assert (refused.status, response.status, request.target) == (400, 200, "/base/openai/v1/models?api-version=1")
    await types.afresh()
    # a path without websockets refuses them and other paths are unchanged
    statuses = {
        "/copilot/responses": 426,
        "/bedrock-mantle/openai/v1/responses": 426,
        "/vllm/v1/realtime": 426,
        "/azure/openai/v1/chat/completions": 405,
        "/azure/openai/v1/nothing/realtime": 404,
        "/azure/openai/v1/../v1/responses": 400,
    }

    async def send(path):
        client = await types.client()
        return (await client.request("GET", BRIDGE + path, types.headers | {"Upgrade": "websocket"})).status

    assert {path: await send(path) for path in statuses} == statuses
    assert types.upstream.requests == []
    await types.afresh()
    # a policy holds for a deployment whatever model the body names
    types.upstream.play(OK)
    client, body = await types.client(), b'{"model": "gpt-5-mini", "messages": []}'
    for models, refused in (
        (Models(allow=["gpt-5-mini"]), "everyone allows gpt-5-mini"),
        (Models(deny=["my-*"]), "everyone denies my-*"),
        (Models(allow=["gpt-5-mini", "my-gpt"]), None),
    ):
        hold(types, SharedPolicy(models=models))
        response = await client.request("POST", f"{BRIDGE}/azure{CLASSIC}", types.headers, body)
        message = f'The model "my-gpt" of azure may not be used here: {refused}.' if refused else None
        assert (response.status, json.loads(response.body).get("message")) == (403 if refused else 200, message), models
    assert len(types.upstream.requests) == 1
    (recorded,) = await types.ended(1)
    assert recorded["model"] == "my-gpt"
    await types.afresh()
    # a deployment that has a price is the model and costs that whatever model the body names
    hold(types, SharedPolicy(models=Models(deny=["gpt-5-nano"])))
    used = b'{"usage": {"prompt_tokens": 1000000, "completion_tokens": 0}}'
    types.upstream.play(OK.replace(b": 2\r\n\r\n{}", b": %d\r\n\r\n%b" % (len(used), used)))
    path = f"{BRIDGE}/azure{CLASSIC.replace('my-gpt', 'gpt-5')}"
    for named, status in ((b"gpt-5-mini", 200), (b"gpt-5", 200), (b"gpt-5-nano", 403)):
        response = await types.request("POST", path, types.headers, body.replace(b"gpt-5-mini", named))
        assert response.status == status, named
    calls = await types.ended(2)
    assert [(one["model"], one["cost"]["usd"]) for one in calls] == 2 * [("gpt-5", calls[0]["cost"]["usd"])]
    assert float(calls[0]["cost"]["usd"]) > 1


async def test_a_deployment_without_a_price_costs_what_the_model_of_the_response_does(types):
    body = b'{"model": "gpt-5-mini", "messages": []}'
    said = b'{"model":"gpt-4o-2024-08-06","usage":{"prompt_tokens":1000000,"completion_tokens":100000},"choices":[]}'
    streamed = b'data: {"id":"","model":"","choices":[]}\n\ndata: %b\n\ndata: [DONE]\n\n' % said
    for kind, answer in ((b"application/json", said), (b"text/event-stream", streamed)):
        head = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n" % (kind, len(answer))
        types.upstream.play(head + answer)
        for named in (b"gpt-4o", b"gpt-4.1-nano", b"zzz"):
            asked = body.replace(b"gpt-5-mini", named).replace(b"}", b', "stream": true}')
            await types.request("POST", f"{BRIDGE}/azure{CLASSIC}", types.headers, asked)
        calls = await types.ended(3)
        assert {(one["model"], one["cost"]["usd"]) for one in calls} == {("my-gpt", 3.5)}, kind
        assert {one["token_usages"][0]["model"] for one in calls} == {"gpt-4o-2024-08-06"}
        await types.afresh()


@pytest.mark.parametrize("name", ["copilot", "chatgpt"])
async def test_what_is_each_users_own_is_asked_with_their_own_credential_alone(types, name):
    types.upstream.play(OK)
    client = await types.client()
    path = f"{BRIDGE}/{name}/v1/responses"
    refused = await client.request("POST", path, types.headers, RESPONSES.request_body(stream=False))
    message = f"The provider {name} takes your own credential: send it, and the token in X-Coder-AI-Governance-Token."
    assert (refused.status, json.loads(refused.body)["message"]) == (400, message)
    own = {**types.own_key, "ChatGPT-Account-ID": "acct", "Content-Type": "application/json"}
    response = await client.request("POST", path, own, RESPONSES.request_body(stream=False))
    (request,) = types.upstream.requests
    assert (response.status, request.target, credentials(request)) == (
        200,
        "/base/responses",
        [("Authorization", "Bearer sk-own")],
    )
    assert request.header("ChatGPT-Account-ID") == ["acct"]


@pytest.mark.bridge(
    further_providers=(
        ProviderSettings("azure", ProviderType.AZURE, "", (KEY,), credential=Credential.BEARER),
        ProviderSettings("open", ProviderType.AZURE, "", (KEY,), credential=Credential.NONE),
    )
)
async def test_a_credential_that_is_set_goes_in_the_place_of_the_types(types):
    types.upstream.play(OK)
    client = await types.client()
    for name in ("azure", "open"):
        await client.request("GET", f"{BRIDGE}/{name}/v1/models", types.headers)
    assert list(map(credentials, types.upstream.requests)) == [[("Authorization", f"Bearer {KEY}")], []]


PATH = "/api/v2/aibridge/openai/v1/chat/completions"


@pytest.mark.bridge(openai_key=())
async def test_calls_go_out_with_a_token_and_are_recorded(running, entra):  # noqa: F811 - the fixture
    providers = dict(running.bridge.providers)
    authorizer = BearerAuthorizer(azure_fetcher(entra.environ()), time)
    providers["openai"] = replace(providers["openai"], keyless=False, authorizer=authorizer)
    running.bridge.routing.table = replace(running.bridge.routing.table, providers=providers)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(CHAT.body)
    running.upstream.play(head + CHAT.body)
    for _ in range(2):
        response = await running.request("POST", PATH, running.headers, CHAT.request_body(stream=False))
        assert (response.status, response.body) == (200, CHAT.body)
    assert [one.header("Authorization") for one in running.upstream.requests] == [["Bearer eyJ0.token.1"]] * 2
    assert len(entra.requests) == 1
    assert {one["credential_kind"] for one in await running.ended(2)} == {"centralized"}


OBJECT = b'{"results":[],"usage":{"total_tokens":5}}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(OBJECT), OBJECT)
OPENAI = "/api/v2/aibridge/openai"


@pytest.fixture
def routes(running):
    added = parse_routes("GET /v1/vector_stores, POST /v1/score=rerank, POST /v1/run/{model}=embeddings")
    providers = running.bridge.providers
    providers["openai"] = replace(providers["openai"], extra_routes=tuple(route.of(catalog.OPENAI) for route in added))


@pytest.mark.usefixtures("routes")
async def test_an_added_route_is_passed_on_or_recorded_like_the_api_that_it_names(running):
    # an added route is passed on and others are not
    running.upstream.play(ANSWER)
    response = await running.request("GET", f"{OPENAI}/v1/vector_stores?limit=2", running.headers)
    assert (response.status, bytes(response.body)) == (200, OBJECT)
    assert response.header("X-AI-Bridge-Interception-Id") is None
    response = await running.request("POST", f"{OPENAI}/v1/vector_stores", running.headers, b"{}")
    assert (response.status, response.header("Allow")) == (405, "GET")
    assert (await running.request("GET", f"{OPENAI}/v1/vector_stores/1", running.headers)).status == 404
    assert [one.target for one in running.upstream.requests] == ["/v1/vector_stores?limit=2"]
    await running.ended(0)
    await running.afresh()
    # an added route is recorded like the api that it names
    running.upstream.play(ANSWER)
    for calls, (path, body, model) in enumerate(
        (("/v1/score", {"model": "m", "query": "q"}, "m"), ("/v1/run/org%2Fm", {"text": "q"}, "org/m")), start=1
    ):
        sent = json.dumps(body).encode()
        response = await running.request("POST", OPENAI + path, running.headers, sent)
        assert (response.status, bytes(response.body), len(running.upstream.requests)) == (200, OBJECT, calls), path
        request = running.upstream.requests[-1]
        assert (request.target, request.body) == (path, sent)
        recorded, *_ = await running.ended(calls)
        assert (recorded["model"], recorded["end_reason"]) == (model, "completed"), path
        assert [one["input_tokens"] for one in recorded["token_usages"]] == [5], path
