from urllib.parse import quote, unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from intercept.catalog import CHAT_COMPLETIONS, OPENAI, RERANK
from tests.cases import for_each
from upstream.providers.presets import ProviderType
from upstream.providers.provider import Provider
from upstream.routes import (
    ANTHROPIC_ROUTES,
    AZURE_ROUTES,
    BEDROCK_ROUTES,
    CHATGPT_ROUTES,
    COPILOT_ROUTES,
    GEMINI_ROUTES,
    MANTLE_ROUTES,
    OPENAI_ROUTES,
    Audience,
    ExtraRoute,
    Route,
    find_fault,
    find_routes,
    parse_routes,
)

ARN = "arn:aws:bedrock:us-east-1:123456789012:inference-profile%2Fus.anthropic.claude-sonnet-4-5-20250929-v1:0"
DEPLOYMENT = "/openai/deployments/my-gpt"


def serving(routes, method, path):
    return next((route for route in find_routes(routes, path) if method in route.methods), None)


@for_each(
    ("routes", "method", "path", "pattern", "api"),
    (OPENAI_ROUTES, "POST", "/v1/chat/completions", "/v1/chat/completions", "chat_completions"),
    (ANTHROPIC_ROUTES, "POST", "/v1/messages", "/v1/messages", "messages"),
    (OPENAI_ROUTES, "GET", "/v1/models", "/v1/models", None),
    (OPENAI_ROUTES, "GET", "/v1/models/org/model", "/v1/models/*", None),
    (OPENAI_ROUTES, "POST", "/v1/responses/resp_1/cancel", "/v1/responses/{id}/cancel", None),
    (ANTHROPIC_ROUTES, "POST", "/v1/messages/count_tokens", "/v1/messages/count_tokens", "messages_count_tokens"),
    (AZURE_ROUTES, "POST", "/openai/v1/responses", "/v1/responses", "responses"),
    (AZURE_ROUTES, "GET", "/openai/responses/resp_1", "/openai/responses/{id}", None),
    (AZURE_ROUTES, "POST", f"{DEPLOYMENT}/embeddings", "/openai/deployments/{deployment}/embeddings", "embeddings"),
    (ANTHROPIC_ROUTES, "GET", "/v1/messages/batches/b/results", "/v1/messages/batches/{id}/results", None),
    (OPENAI_ROUTES, "POST", "/v1/uploads/u/complete", "/v1/uploads/{id}/complete", "upload_completions"),
    (COPILOT_ROUTES, "POST", "/chat/completions", "/chat/completions", "chat_completions"),
    (COPILOT_ROUTES, "POST", "/v1/chat/completions", "/chat/completions", "chat_completions"),
    (CHATGPT_ROUTES, "POST", "/v1/responses", "/v1/responses", "responses"),
    (BEDROCK_ROUTES, "POST", "/model/anthropic.claude-v2:1/invoke", "/model/{model}/invoke", "invoke"),
    (BEDROCK_ROUTES, "POST", f"/model/{ARN}/converse-stream", "/model/{model}/converse-stream", "converse"),
    (BEDROCK_ROUTES, "POST", f"/model/{ARN}/count-tokens", "/model/{model}/count-tokens", "messages_count_tokens"),
    (GEMINI_ROUTES, "GET", "/v1beta/models/gemini-3", "/{version}/models/{id}", None),
    (MANTLE_ROUTES, "POST", "/anthropic/v1/messages", "/v1/messages", "messages"),
)
def test_a_listed_path_is_served(routes, method, path, pattern, api):
    route = serving(routes, method, path)
    assert (route.pattern, route.api and route.api.name) == (pattern, api)


@for_each(
    ("routes", "method", "path"),
    *((OPENAI_ROUTES, "GET", path) for path in ("/v1/chat/completions", "/v1/models/", "/v1Xmodels")),
    *((OPENAI_ROUTES, "GET", path) for path in ("/v1/organization/admin_api_keys", "/v1/responses/resp_1/other")),
    *((OPENAI_ROUTES, "POST", f"/v1/{end}") for end in ("messages", "chat/completions/", "responses/resp_1")),
    (OPENAI_ROUTES, "DELETE", "/v1/models/ft:gpt-4o:org"),
    (ANTHROPIC_ROUTES, "POST", "/v1/embeddings"),
    (AZURE_ROUTES, "POST", "/openai/deployments/a/b/chat/completions"),
    (AZURE_ROUTES, "POST", "/openai/openai/v1/responses"),
    (COPILOT_ROUTES, "POST", "/v1/v1/chat/completions"),
    (CHATGPT_ROUTES, "GET", "/v1/responses/resp_1"),
    (BEDROCK_ROUTES, "POST", "/model/arn:aws:bedrock:us-east-1:1:inference-profile/us.x/invoke"),
    (BEDROCK_ROUTES, "POST", "/model//invoke"),
    (BEDROCK_ROUTES, "POST", "/guardrail/g/version/1/apply"),
    (MANTLE_ROUTES, "POST", "/openai/v1/messages"),
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


@for_each(
    "end", *["gpt-5", "ft:gpt-4o:org::abc", "org%2Fmodel", "gr%C3%BC%C3%9Fe", "a%20b", "a+b,c=d", "...", ".hidden"]
)
def test_a_whole_path_has_no_fault(end):
    assert find_fault(f"/v1/models/{end}") == ""


FAULTS = {
    "an empty segment": ("//v1/models", "/v1//models", "/v1/models/"),
    "a segment `.` or `..`": ("/v1/models/../x",),
    "characters that are not allowed there": (
        *("/v1/models/..;/x", "/v1/models/a;b", "/v1/models/a#b", "/v1/models/a\\..\\b", "/v1/models/a%2"),
        *("/v1/models/\xe9", "/v1/models/%2e%2e;"),
    ),
    "percent-encoded characters that are not allowed there": (
        *("/v1/models/%00", "/v1/models/%2e%2e%3b", "/v1/models/%0d%0aX", "/v1/models/%252e%252e"),
    ),
    "an encoded segment that is empty, `.` or `..`": ("/v1/models/%2e%2e/x", "/v1/models/..%2Fx", "/v1/models/a%2F"),
    "percent-encoded bytes that are not UTF-8": ("/v1/models/%FF",),
}


@for_each(("path", "fault"), *((path, fault) for fault, paths in FAULTS.items() for path in paths))
def test_a_path_that_might_mean_another_one_is_told_why_it_is_not_served(path, fault):
    assert find_fault(path) == fault


@given(st.text(alphabet="/.%2eEfF5cC\\a;#0", max_size=30))
@example("/%2E%2E")
def test_whoever_decodes_a_served_path_finds_the_same_segments(rest):
    path = "/v1/" + rest
    if find_fault(path):
        return
    decoded = unquote(path, errors="strict")
    assert unquote(decoded) == decoded
    assert not {"", ".", ".."} & {*decoded.split("/")[1:]}
    assert not set("\\;#?%\0") & set(decoded)


@given(st.lists(st.text(min_size=1), min_size=1, max_size=4))
@example(["org/model"])
@example(["org/", "a//b"])
def test_names_without_odd_characters_are_served_when_they_are_encoded(names):
    unfit = any(set(name) & set("%;\\#?\x7f") or min(name) < " " for name in names)
    odd = unfit or any({"", ".", ".."} & {*name.split("/")} for name in names)  # a name may have a slash: `org/model`
    surrogates = any("\ud800" <= character <= "\udfff" for name in names for character in name)
    if not surrogates:
        assert bool(find_fault("/" + "/".join(quote(name, safe="") for name in names))) is odd


def test_routes_are_read_one_after_the_other():
    text = "GET /v1/vector_stores/*,  POST /v1/score=rerank , POST /v1/{model}/chat=chat-completions"
    assert parse_routes(text) == (
        ExtraRoute("GET", "/v1/vector_stores/*", None),
        ExtraRoute("POST", "/v1/score", RERANK),
        ExtraRoute("POST", "/v1/{model}/chat", CHAT_COMPLETIONS),
    )
    assert parse_routes(" ") == ()


@for_each(
    "text",
    *("/v1/vector_stores", "GET v1/files", "GET /", "GET /*", "GET /{id}", "GET /v1//files", "GET /v1/../x"),
    "GET /v1/*/x",
    *("GET /v1/vector_stores=rerank", "POST /v1/x=nothing", "POST /v1/x=", "POST /{id}/x", "GET /v1/{other}"),
    *("GET /v1/{id}/{id}", "TRACE /v1/x", "get /v1/x", "GET /v1/x,", "GET /v1/%2e", "GET /v1/x?y=1", "GET /a.*/(b)"),
)
def test_other_texts_are_not_allowed(text):
    with pytest.raises(ValueError, match=r"no (method|route)"):
        parse_routes(text)


@given(st.text(alphabet="GETPOS /v1x*{}id=.,%", max_size=30))
def test_a_route_that_is_allowed_begins_with_a_segment_of_its_own(text):
    try:
        routes = parse_routes(text)
    except ValueError:
        return
    for route in routes:
        assert route.pattern[1].isalnum()
        assert not route.of(OPENAI).matches("/other/path")


def test_they_are_served_beside_those_of_the_type_which_stay_as_they_are():
    added = tuple(one.of(OPENAI) for one in parse_routes("GET /v1/vector_stores, GET /v1/conversations/{id}"))
    provider = Provider("p", ProviderType.OPENAI, "http://p/v1/", extra_routes=added)
    assert provider.find_routes("/v1/vector_stores") == [added[0]]
    assert provider.find_routes("/v1/conversations/c")[0].audience is Audience.OWN_KEY
    assert provider.find_routes("/v1/other") == []
