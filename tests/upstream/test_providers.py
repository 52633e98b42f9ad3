from __future__ import annotations

import pytest

from intercept.apis import Dialect
from upstream.providers import Provider, ProviderType, credential_header, credential_hint


@pytest.mark.parametrize(
    ("type_", "base_url", "path", "query", "url"),
    [
        (
            "openai",
            "https://api.openai.com/v1/",
            "/v1/chat/completions",
            "",
            "https://api.openai.com/v1/chat/completions",
        ),
        ("openai", "http://h/deep/v1/", "/v1/models/a%2Fb", "x=1&y", "http://h/deep/v1/models/a%2Fb?x=1&y"),
        (
            "anthropic",
            "https://api.anthropic.com/",
            "/v1/messages",
            "beta=true",
            "https://api.anthropic.com/v1/messages?beta=true",
        ),
        ("anthropic", "http://h/api/", "/api/event_logging/batch", "", "http://h/api/api/event_logging/batch"),
        ("demo", "http://127.0.0.1:1/", "/v1/responses", "", "http://127.0.0.1:1/v1/responses"),
    ],
)
def test_the_upstream_url_keeps_path_and_query_as_sent(type_, base_url, path, query, url):
    assert Provider("p", ProviderType(type_), base_url).url(path, query) == url


def test_the_demo_provider_serves_both_dialects():
    demo = Provider("demo", ProviderType.DEMO, "http://127.0.0.1:1/")
    assert [route.dialect for route in demo.find_routes("/v1/chat/completions")] == [Dialect.OPENAI]
    assert [route.dialect for route in demo.find_routes("/v1/messages")] == [Dialect.ANTHROPIC]


def test_a_provider_refuses_in_its_own_dialect_and_the_demo_in_that_of_the_path():
    for path in ("/v1/messages/batches", "/messages", "/v1/v1/messages", "/api/x", "/v1/files", "/"):
        guessed = Dialect.ANTHROPIC if "messages" in path or "api" in path else Dialect.OPENAI
        for kind, dialect in (("openai", Dialect.OPENAI), ("anthropic", Dialect.ANTHROPIC), ("demo", guessed)):
            assert Provider("p", ProviderType(kind), "http://h/").dialect_of(path) is dialect


def test_each_dialect_has_its_credential_header():
    assert credential_header(Dialect.OPENAI, "k") == ("Authorization", "Bearer k")
    assert credential_header(Dialect.ANTHROPIC, "k") == ("X-Api-Key", "k")


@pytest.mark.parametrize(
    ("secret", "hint"),
    [
        ("sk-ant-0123456789abcd", "sk-a...abcd"),
        ("0123456789abcdefghij", "0123...ghij"),
        ("0123456789abcdefghi", "01...hi"),
        ("0123456789", "01...89"),
        ("012345678", "0...8"),
        ("01234", "0...4"),
        ("0123", "..."),
        ("", "..."),
    ],
)
def test_a_hint_shows_less_of_a_shorter_secret(secret, hint):
    assert credential_hint(secret) == hint


def test_a_provider_never_shows_its_keys():
    assert "sk-secret" not in repr(Provider("p", ProviderType.OPENAI, "http://h/v1/", keys=("sk-secret",)))
