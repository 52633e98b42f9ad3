from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intercept.catalog import ANTHROPIC, BEDROCK, GEMINI, OPENAI
from tests.cases import for_each
from upstream.credentials.access import credential_hint
from upstream.providers.presets import ProviderType
from upstream.providers.provider import MAX_WEIGHT, Provider, find_fault, find_order, without_credentials
from upstream.routes import Route


@for_each(
    ("type_", "base_url", "path", "query", "url"),
    ("openai", "http://h/deep/v1/", "/v1/models/a%2Fb", "x=1&y", "http://h/deep/v1/models/a%2Fb?x=1&y"),
    ("anthropic", "http://h/api/", "/api/event_logging/batch", "", "http://h/api/api/event_logging/batch"),
    ("demo", "http://127.0.0.1:1/", "/v1/responses", "", "http://127.0.0.1:1/v1/responses"),
    ("anthropic", "http://h/", "/v1/models", "limit=9&key=secret", "http://h/v1/models?limit=9"),
    ("azure", "http://h/", "/v1/responses", "", "http://h/openai/v1/responses"),
    (
        "azure",
        "http://h/",
        "/openai/deployments/d/chat/completions",
        "api-version=2024-10-21",
        "http://h/openai/deployments/d/chat/completions?api-version=2024-10-21",
    ),
    ("foundry", "http://h/anthropic/", "/v1/messages", "", "http://h/anthropic/v1/messages"),
    ("openrouter", "https://openrouter.ai/api/v1/", "/v1/messages", "", "https://openrouter.ai/api/v1/messages"),
    ("copilot", "http://h/", "/v1/messages", "", "http://h/v1/messages"),
    ("copilot", "http://h/", "/v1/chat/completions", "", "http://h/chat/completions"),
    ("bedrock", "http://h/", "/model/a%2Fb:0/invoke", "", "http://h/model/a%2Fb:0/invoke"),
    ("bedrock-mantle", "http://h/", "/v1/messages", "beta=true", "http://h/anthropic/v1/messages?beta=true"),
    ("bedrock-mantle", "http://h/", "/anthropic/v1/messages", "", "http://h/anthropic/v1/messages"),
    ("chatgpt", "http://h/codex/", "/v1/responses", "", "http://h/codex/responses"),
    ("vertex", "http://h/", "/projects/p/x", "", "http://h/v1/projects/p/x"),
    ("vertex", "http://h/", "/v1beta1/publishers/google/x", "", "http://h/v1beta1/publishers/google/x"),
)
def test_the_upstream_url_keeps_path_and_query_as_sent(type_, base_url, path, query, url):
    assert Provider("p", ProviderType(type_), base_url).url(path, query) == url


@for_each(
    ("type_", "path", "dialect"),
    *(("openai", path, OPENAI) for path in ("/v1/messages/batches", "/v1/files")),
    *(("anthropic", path, ANTHROPIC) for path in ("/v1/messages", "/v1/files")),
    *(("demo", path, ANTHROPIC) for path in ("/v1/messages/batches", "/messages", "/v1/v1/messages", "/api/x")),
    *(("demo", path, OPENAI) for path in ("/v1/files", "/")),
    *(("bedrock", path, BEDROCK) for path in ("/model/m/invoke", "/")),
    *(("bedrock-mantle", path, ANTHROPIC) for path in ("/v1/messages", "/anthropic/v1/messages")),
    ("bedrock-mantle", "/v1/models", OPENAI),
    ("claude-aws", "/", ANTHROPIC),
)
def test_a_provider_refuses_in_its_own_dialect_and_others_in_that_of_the_path(type_, path, dialect):
    assert Provider("p", ProviderType(type_), "http://h/").dialect_of(path) is dialect


class NoAuthorizer:
    """In the place of one, where it is not asked."""


def test_a_path_leads_to_the_own_project_and_names_it_where_no_key_does():
    own = Provider("v", ProviderType.VERTEX, "http://h/", project="p", region="r", authorizer=NoAuthorizer())
    express = Provider("e", ProviderType.VERTEX, "http://h/", keys=("k",))
    model = "/publishers/google/models/m:generateContent"

    def fault(provider, path):
        return provider.find_fault(provider.find_routes(path)[0], path)

    inside, outside = f"/projects/p/locations/r{model}", f"/v1/projects/q/locations/r{model}"
    assert [fault(own, path) for path in (inside, outside, f"/v1{model}")] == [
        "",
        "the provider v serves the project p only",
        "the provider v needs the project and the location in the path; give them to your client",
    ]
    assert [fault(express, path) for path in (inside, outside, model)] == ["", "", ""]
    assert express.dialect_of(f"/v1{model}x") is GEMINI


@for_each(
    ("query", "sent"),
    ("key=AIza&alt=sse", "alt=sse"),
    ("alt=sse&key=AIza", "alt=sse"),
    ("access_token=ya29", ""),
    ("KEY=a&%6bey=b&k%65y=c&Access_Token=d&x=1", "x=1"),
    ("keyword=a&monkey=b&api-version=2024-10-21", "keyword=a&monkey=b&api-version=2024-10-21"),
    ("a=%41&&b", "a=%41&&b"),
    ("$key=a&%24Key=b&$access_token=c&alt=sse", "alt=sse"),
    ("X-Amz-Signature=a&X-Amz-Credential=b&X-Amz-Security-Token=c&a=1", "a=1"),
)
def test_a_credential_in_the_query_stays_here_and_all_else_goes_as_it_is(query, sent):
    assert without_credentials(query) == sent


@for_each(
    ("query", "sent"),
    ("alt=sse&$fields=candidates", "alt=sse"),
    ("fields=candidates&%24FIELDS=error&f%69elds=a&prettyPrint=false&pageSize=9", "prettyPrint=false&pageSize=9"),
    ("alt=proto&$alt=media&%24alt=json%3Benum-encoding%3Dint&alt=", "%24alt=json%3Benum-encoding%3Dint"),
    ("callback=f&$callback=g&$ct=text/plain&$httpMethod=POST&$httpHeaders=A:b", ""),
    ("userProject=a&$userProject=b&oauth_token=c&$.xgafv=1", "$.xgafv=1"),
)
def test_what_hides_the_usage_or_does_another_request_does_not_go_to_google(query, sent):
    at_google = "https://generativelanguage.googleapis.com/v1beta/openai/"
    for type_, base_url in (("gemini", "http://h/"), ("vertex", "http://h/"), ("openai", at_google)):
        url = Provider("g", ProviderType(type_), base_url).url("/v1/models", query)
        assert url.partition("?")[2] == sent, type_
    assert Provider("o", ProviderType.OPENAI, "http://h/v1/").url("/v1/models", query) == f"http://h/v1/models?{query}"


def test_a_route_of_an_operators_own_has_any_format_of_googles():
    route = Route("/download/*", GEMINI, ("GET",))
    google = Provider("g", ProviderType.GEMINI, "http://h/", extra_routes=(route,))
    assert google.url("/download/a", "alt=media&fields=b") == "http://h/download/a?alt=media"
    assert google.url("/v1beta/models", "alt=media") == "http://h/v1beta/models"


@for_each(
    ("secret", "hint"),
    ("sk-ant-0123456789abcd", "sk-a...abcd"),
    ("0123456789abcdefghij", "0123...ghij"),
    ("0123456789abcdefghi", "01...hi"),
    ("0123456789", "01...89"),
    ("012345678", "0...8"),
    ("01234", "0...4"),
    ("0123", "..."),
    ("", "..."),
)
def test_a_hint_shows_less_of_a_shorter_secret(secret, hint):
    assert credential_hint(secret) == hint


def test_a_provider_never_shows_its_keys():
    assert "sk-secret" not in repr(Provider("p", ProviderType.OPENAI, "http://h/v1/", keys=("sk-secret",)))


NAMES = st.lists(st.text("abc-", min_size=1, max_size=8), min_size=1, max_size=6, unique=True)
WEIGHTS = NAMES.flatmap(lambda names: st.fixed_dictionaries({name: st.integers(0, MAX_WEIGHT) for name in names}))
SESSIONS = [f"session-{number}" for number in range(4000)]


@given(weights=WEIGHTS, session=st.text(max_size=40))
def test_without_a_weight_the_named_provider_and_its_order_stay(weights, session):
    named = next(iter(weights))
    assert find_order(weights | {named: 0}, session) == list(weights)


@given(weights=WEIGHTS, session=st.text(max_size=40))
def test_who_has_no_weight_comes_last_in_the_order_given(weights, session):
    weights[next(iter(weights))] = 1
    order = find_order(weights, session)
    without = [name for name in weights if not weights[name]]
    assert order[len(order) - len(without) :] == without


@given(weights=WEIGHTS, session=st.text(max_size=40))
def test_a_session_moves_only_if_its_own_provider_leaves(weights, session):
    weights[next(iter(weights))] = 1
    order = find_order(weights, session)
    for gone in order[1:]:
        rest = {name: weight for name, weight in weights.items() if name != gone}
        if rest[next(iter(rest))]:
            assert find_order(rest, session) == [name for name in order if name != gone]


@pytest.mark.parametrize(
    ("weights", "shares"), [((1, 1), (0.5, 0.5)), ((3, 1), (0.75, 0.25)), ((7, 2, 1), (0.7, 0.2, 0.1))]
)
def test_the_sessions_are_spread_as_the_weights_say(weights, shares):
    by_name = dict(zip("abc", weights, strict=False))
    first = Counter(find_order(by_name, session)[0] for session in SESSIONS)
    for name, share in zip(by_name, shares, strict=True):
        assert first[name] / len(SESSIONS) == pytest.approx(share, abs=0.03)


@for_each(
    ("type_", "other", "is_possible"),
    ("openai", "azure", True),
    ("azure", "openai", True),
    ("openai", "vllm", True),
    ("anthropic", "claude-aws", True),
    ("anthropic", "foundry", True),
    ("anthropic", "bedrock-mantle", True),
    ("anthropic", "openai", False),
    ("gemini", "vertex", False),
    ("anthropic", "bedrock", False),
    ("vertex", "vertex", True),
    ("bedrock", "bedrock", True),
    ("openai", "copilot", False),
    ("openai", "chatgpt", False),
)
def test_only_who_serves_a_route_of_another_may_stand_in_for_it(type_, other, is_possible):
    fault = find_fault("a", ProviderType(type_), ["b"], {"a": ProviderType(type_), "b": ProviderType(other)})
    assert (fault == "") is is_possible, fault


def test_what_is_wrong_with_others_is_said_in_words():
    types = {"a": ProviderType.OPENAI, "b": ProviderType.ANTHROPIC, "c": ProviderType.CHATGPT}
    faults = [find_fault("a", ProviderType.OPENAI, [name], types) for name in ("a", "x", "b", "c")]
    assert faults == [
        "a cannot stand in for itself",
        "there is no provider named x; there are b, c",
        "b is of the type anthropic, which has no route of the type openai: give providers of the same dialect",
        "c takes only the users' own keys, and those go to no other provider",
    ]
    assert find_fault("a", ProviderType.OPENAI, [], types) == ""
    assert find_fault("a", ProviderType.OPENAI, ["x"], {"a": ProviderType.OPENAI}).endswith("there are none")
