from __future__ import annotations

from intercept.catalog import OPENAI
from tests.cases import for_each
from upstream.routes.route import Audience, Route, find_routes
from upstream.routes.route_tables import (
    ANTHROPIC_ROUTES,
    AZURE_ROUTES,
    BEDROCK_ROUTES,
    CHATGPT_ROUTES,
    COPILOT_ROUTES,
    GEMINI_ROUTES,
    MANTLE_ROUTES,
    OPENAI_ROUTES,
)

ARN = "arn:aws:bedrock:us-east-1:123456789012:inference-profile%2Fus.anthropic.claude-sonnet-4-5-20250929-v1:0"
DEPLOYMENT = "/openai/deployments/my-gpt"


def serving(routes, method, path):
    return next((route for route in find_routes(routes, path) if method in route.methods), None)


@for_each(
    ("routes", "method", "path", "pattern", "api"),
    [
        (OPENAI_ROUTES, "POST", "/v1/chat/completions", "/v1/chat/completions", "chat_completions"),
        (OPENAI_ROUTES, "POST", "/v1/responses/compact", "/v1/responses/compact", "responses"),
        (ANTHROPIC_ROUTES, "POST", "/v1/messages", "/v1/messages", "messages"),
        (OPENAI_ROUTES, "GET", "/v1/models", "/v1/models", None),
        (OPENAI_ROUTES, "GET", "/v1/models/org/model", "/v1/models/*", None),
        (OPENAI_ROUTES, "POST", "/v1/responses/resp_1/cancel", "/v1/responses/{id}/cancel", None),
        (ANTHROPIC_ROUTES, "POST", "/v1/messages/count_tokens", "/v1/messages/count_tokens", "messages_count_tokens"),
        (AZURE_ROUTES, "POST", "/v1/chat/completions", "/v1/chat/completions", "chat_completions"),
        (AZURE_ROUTES, "POST", "/openai/v1/responses", "/v1/responses", "responses"),
        (AZURE_ROUTES, "GET", "/openai/responses/resp_1", "/openai/responses/{id}", None),
        (AZURE_ROUTES, "POST", f"{DEPLOYMENT}/embeddings", "/openai/deployments/{deployment}/embeddings", "embeddings"),
        (ANTHROPIC_ROUTES, "GET", "/v1/messages/batches/b/results", "/v1/messages/batches/{id}/results", None),
        (OPENAI_ROUTES, "POST", "/v1/uploads/u/complete", "/v1/uploads/{id}/complete", "upload_completions"),
        (AZURE_ROUTES, "GET", "/openai/v1/batches/b", "/v1/batches/{id}", None),
        (AZURE_ROUTES, "POST", f"{DEPLOYMENT}/audio/speech", "/openai/deployments/{deployment}/audio/speech", "speech"),
        (COPILOT_ROUTES, "POST", "/chat/completions", "/chat/completions", "chat_completions"),
        (COPILOT_ROUTES, "POST", "/v1/chat/completions", "/chat/completions", "chat_completions"),
        (CHATGPT_ROUTES, "POST", "/v1/responses", "/v1/responses", "responses"),
        (BEDROCK_ROUTES, "POST", "/model/anthropic.claude-v2:1/invoke", "/model/{model}/invoke", "invoke"),
        (BEDROCK_ROUTES, "POST", f"/model/{ARN}/converse-stream", "/model/{model}/converse-stream", "converse"),
        (BEDROCK_ROUTES, "POST", f"/model/{ARN}/count-tokens", "/model/{model}/count-tokens", "messages_count_tokens"),
        (GEMINI_ROUTES, "GET", "/v1beta/models/gemini-3", "/{version}/models/{id}", None),
        (MANTLE_ROUTES, "POST", "/anthropic/v1/messages", "/v1/messages", "messages"),
        (MANTLE_ROUTES, "POST", "/openai/v1/responses", "/v1/responses", "responses"),
    ],
)
def test_a_listed_path_is_served(routes, method, path, pattern, api):
    route = serving(routes, method, path)
    assert (route.pattern, route.api and route.api.name) == (pattern, api)


@for_each(
    ("routes", "method", "path"),
    [
        (OPENAI_ROUTES, "GET", "/v1/chat/completions"),
        (OPENAI_ROUTES, "GET", "/v1/responses"),
        (OPENAI_ROUTES, "POST", "/v1/messages"),
        (OPENAI_ROUTES, "POST", "/v1/chat/completions/"),
        (OPENAI_ROUTES, "GET", "/v1/models/"),
        (OPENAI_ROUTES, "GET", "/v1/modelsx"),
        (OPENAI_ROUTES, "GET", "/v1Xmodels"),
        (OPENAI_ROUTES, "GET", "/v1/organization/admin_api_keys"),
        (OPENAI_ROUTES, "DELETE", "/v1/models/ft:gpt-4o:org"),
        (OPENAI_ROUTES, "POST", "/v1/responses/resp_1"),
        (OPENAI_ROUTES, "PUT", "/v1/responses/resp_1"),
        (OPENAI_ROUTES, "GET", "/v1/responses/resp_1/other"),
        (OPENAI_ROUTES, "OPTIONS", "/v1/models"),
        (ANTHROPIC_ROUTES, "POST", "/v1/embeddings"),
        (ANTHROPIC_ROUTES, "GET", "/v1/messages/count_tokens"),
        (ANTHROPIC_ROUTES, "GET", "/"),
        (AZURE_ROUTES, "POST", "/openai/deployments/a/b/chat/completions"),
        (AZURE_ROUTES, "POST", "/openai/deployments"),
        (AZURE_ROUTES, "POST", "/openai/openai/v1/responses"),
        (COPILOT_ROUTES, "POST", "/v1/v1/chat/completions"),
        (CHATGPT_ROUTES, "GET", "/v1/responses/resp_1"),
        (BEDROCK_ROUTES, "POST", "/model/arn:aws:bedrock:us-east-1:1:inference-profile/us.x/invoke"),
        (BEDROCK_ROUTES, "POST", "/model//invoke"),
        (BEDROCK_ROUTES, "GET", "/model/m/invoke"),
        (BEDROCK_ROUTES, "POST", "/guardrail/g/version/1/apply"),
        (GEMINI_ROUTES, "GET", "/v1beta/models/gemini-3/operations"),
        (MANTLE_ROUTES, "POST", "/openai/v1/messages"),
    ],
)
def test_anything_else_is_not_served(routes, method, path):
    assert serving(routes, method, path) is None


def test_what_one_key_stores_for_all_is_not_for_everybody():
    stored = {route.pattern: route.audience for route in OPENAI_ROUTES if "{id}" in route.pattern}
    owned = ("/v1/responses/", "/v1/files/", "/v1/uploads/", "/v1/batches/")
    assert {stored.pop(path) for path in list(stored) if path.startswith(owned)} == {Audience.OWN_RESPONSE}
    assert set(stored.values()) == {Audience.OWN_KEY}
    (route,) = find_routes(OPENAI_ROUTES, "/v1/responses/resp%2D1/input_items")
    assert route.id_in("/v1/responses/resp%2D1/input_items") == "resp%2D1"


def test_what_stands_for_the_names_in_a_path_is_decoded():
    route = Route("/{version}/models/{model}:run", OPENAI, ("POST",))
    for path in ("/v1beta/models/ft%2Fa%3Ab:run", "/v1beta/models/ft%2Fa:b%3Arun", "/v1beta/models/ft%2Fa%3ab%3arun"):
        assert route.names_in(path) == {"version": "v1beta", "model": "ft/a:b"}
    for path in ("/v2/models/a:run", "/v1/models/:run", "/v1/models/a/b:run", "/v1/models/a:running", "/v1/models/run"):
        assert not route.matches(path)


def test_the_model_of_bedrock_and_whether_it_streams_stand_in_the_path():
    for end, streams in (("invoke", False), ("invoke-with-response-stream", True), ("converse-stream", True)):
        (route,) = find_routes(BEDROCK_ROUTES, f"/model/{ARN}/{end}")
        assert (route.names_in(f"/model/{ARN}/{end}"), route.streams) == ({"model": ARN.replace("%2F", "/")}, streams)


def test_a_prefix_may_stand_before_a_path_or_not():
    route = Route("/chat", OPENAI, ("POST",), prefix="/v1")
    assert [route.matches(path) for path in ("/chat", "/v1/chat", "/v1/v1/chat", "/v1chat")] == [
        True,
        True,
        False,
        False,
    ]
