from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intercept.apis import Dialect
from upstream.routes import ANTHROPIC_ROUTES, OPENAI_ROUTES, find_route, guess_dialect


@pytest.mark.parametrize(
    ("routes", "method", "path", "pattern", "api"),
    [
        (OPENAI_ROUTES, "POST", "/v1/chat/completions", "/v1/chat/completions", "chat_completions"),
        (OPENAI_ROUTES, "POST", "/v1/responses", "/v1/responses", "responses"),
        (ANTHROPIC_ROUTES, "POST", "/v1/messages", "/v1/messages", "messages"),
        (OPENAI_ROUTES, "GET", "/v1/models", "/v1/models", None),
        (OPENAI_ROUTES, "GET", "/v1/models/org%2Fmodel", "/v1/models/*", None),
        (OPENAI_ROUTES, "DELETE", "/v1/responses/resp_1", "/v1/responses/*", None),
        (OPENAI_ROUTES, "POST", "/v1/conversations/c/items", "/v1/conversations/*", None),
        (OPENAI_ROUTES, "POST", "/v1/embeddings", "/v1/embeddings", None),
        (ANTHROPIC_ROUTES, "POST", "/v1/messages/count_tokens", "/v1/messages/count_tokens", None),
        (ANTHROPIC_ROUTES, "POST", "/api/event_logging/batch", "/api/event_logging/*", None),
    ],
)
def test_a_listed_path_is_served(routes, method, path, pattern, api):
    route = find_route(routes, method, path)
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
        (OPENAI_ROUTES, "GET", "/v1/organization/admin_api_keys"),
        (ANTHROPIC_ROUTES, "POST", "/v1/embeddings"),
        (ANTHROPIC_ROUTES, "GET", "/"),
    ],
)
def test_anything_else_is_not_served(routes, method, path):
    assert find_route(routes, method, path) is None


@pytest.mark.parametrize(
    "path",
    [
        "/v1/models/../organization",
        "/v1/models/..",
        "/v1/models/./x",
        "/v1/models/%2e%2e/organization",
        "/v1/models/..%2Forganization",
        "/v1/models/%252e%252e%252forganization",
        "/v1/models/..\\organization",
        "/v1/models/..%5corganization",
    ],
)
def test_a_path_that_climbs_is_not_served(path):
    assert find_route(OPENAI_ROUTES, "GET", path) is None


@given(
    st.text(alphabet="/.%2eEfF5cC\\a", max_size=40)
    | st.lists(st.sampled_from([*"/.%\\a", "2e", "25", "5C", "2F"])).map("".join)
)
def test_a_path_is_served_unless_it_is_one_that_climbs_or_decodes_to_one(rest):
    path = "/v1/models/" + rest
    meant = [path, unquote(path), unquote(unquote(path))]
    climbs = any({".", ".."} & {*one.replace("\\", "/").split("/")} for one in meant)
    assert (find_route(OPENAI_ROUTES, "GET", path) is None) == (climbs or not rest)


def test_an_unserved_path_is_refused_in_the_dialect_it_looks_like():
    assert guess_dialect("/v1/messages/batches") is Dialect.ANTHROPIC
    assert guess_dialect("/v1/files") is Dialect.OPENAI
