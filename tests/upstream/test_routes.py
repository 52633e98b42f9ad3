from __future__ import annotations

import pytest

from upstream.routes import ANTHROPIC_ROUTES, OPENAI_ROUTES, Access, find_routes


def serving(routes, method, path):
    return next((route for route in find_routes(routes, path) if method in route.methods), None)


@pytest.mark.parametrize(
    ("routes", "method", "path", "pattern", "api"),
    [
        (OPENAI_ROUTES, "POST", "/v1/chat/completions", "/v1/chat/completions", "chat_completions"),
        (OPENAI_ROUTES, "POST", "/v1/responses", "/v1/responses", "responses"),
        (OPENAI_ROUTES, "POST", "/v1/responses/compact", "/v1/responses/compact", "responses"),
        (OPENAI_ROUTES, "POST", "/v1/responses/input_tokens", "/v1/responses/input_tokens", None),
        (ANTHROPIC_ROUTES, "POST", "/v1/messages", "/v1/messages", "messages"),
        (OPENAI_ROUTES, "GET", "/v1/models", "/v1/models", None),
        (OPENAI_ROUTES, "HEAD", "/v1/models", "/v1/models", None),
        (OPENAI_ROUTES, "GET", "/v1/models/org%2Fmodel", "/v1/models/*", None),
        (OPENAI_ROUTES, "GET", "/v1/models/org/model", "/v1/models/*", None),
        (OPENAI_ROUTES, "DELETE", "/v1/responses/resp_1", "/v1/responses/{id}", None),
        (OPENAI_ROUTES, "POST", "/v1/responses/resp_1/cancel", "/v1/responses/{id}/cancel", None),
        (OPENAI_ROUTES, "POST", "/v1/conversations/c/items", "/v1/conversations/{id}/items", None),
        (OPENAI_ROUTES, "POST", "/v1/embeddings", "/v1/embeddings", None),
        (ANTHROPIC_ROUTES, "POST", "/v1/messages/count_tokens", "/v1/messages/count_tokens", None),
        (ANTHROPIC_ROUTES, "POST", "/api/event_logging/batch", "/api/event_logging/*", None),
    ],
)
def test_a_listed_path_is_served(routes, method, path, pattern, api):
    route = serving(routes, method, path)
    assert (route.pattern, route.api and route.api.name) == (pattern, api)


@pytest.mark.parametrize(
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
    ],
)
def test_anything_else_is_not_served(routes, method, path):
    assert serving(routes, method, path) is None


def test_what_one_key_stores_for_all_is_not_for_everybody():
    stored = {route.pattern: route.access for route in OPENAI_ROUTES if "{id}" in route.pattern}
    assert {stored.pop(path) for path in list(stored) if path.startswith("/v1/responses/")} == {Access.OWN_RESPONSE}
    assert set(stored.values()) == {Access.OWN_KEY}
    (route,) = find_routes(OPENAI_ROUTES, "/v1/responses/resp%2D1/input_items")
    assert route.id_in("/v1/responses/resp%2D1/input_items") == "resp%2D1"
