import asyncio
import json

from tests.cases import for_each
from tests.fake_upstream import CLOSE
from upstream.client import CredentialError
from upstream.providers.presets import ProviderType
from upstream.providers.provider import Provider
from upstream.providers.provider_check import MAX_LIST_BYTES, CheckResult, check_provider

KEYS = ("sk-east-key-number-one-1111", "sk-east-key-number-two-2222")
HINTS = ("sk-e...1111", "sk-e...2222")
TYPE = ProviderType.OPENAI_COMPATIBLE
NO_LIST = "what is there answers 200, but not with a list of models: check the base URL"


def response(status, body=b"{}"):
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (status, len(body)) + body


def models(count, member="data"):
    return response(200, json.dumps({member: [{"id": str(number)} for number in range(count)]}).encode())


def refused_by_google(reason):
    return response(400, json.dumps({"error": {"code": 400, "details": [{"reason": reason}]}}).encode())


class FixedAuthorizer:
    """Has a token, or says why there is none."""

    hint = "token"

    def __init__(self, failure=""):
        self.failure = failure
        self.requests = []

    async def authorize(self, method, url, headers, body):
        self.requests.append((method, url, list(headers), body))
        if self.failure:
            raise CredentialError(self.failure)
        return [("Authorization", "Bearer fetched")]


async def check(client, provider, type_=TYPE, **more):
    """The results for a provider of that type at the address of the scripted one."""
    return await check_provider(Provider("east", type_, provider.url, **more), client)


def sent(provider):
    """What was asked, without what the connection adds."""
    plain = {"host", "content-length"}
    return [
        (one.method, one.target, [pair for pair in one.headers if pair[0].lower() not in plain], one.body)
        for one in provider.requests
    ]


@for_each(
    ("type_", "target", "more"),
    ("anthropic", "/v1/models", [("anthropic-version", "2023-06-01"), ("X-Api-Key", KEYS[0])]),
    ("gemini", "/v1beta/models", [("X-Goog-Api-Key", KEYS[0])]),
    ("azure", "/openai/v1/models", [("Api-Key", KEYS[0])]),
    ("bedrock", "/", [("Authorization", f"Bearer {KEYS[0]}")]),
    ("openrouter", "/key", [("Authorization", f"Bearer {KEYS[0]}")]),
    ("foundry", "/", [("anthropic-version", "2023-06-01"), ("X-Api-Key", KEYS[0])]),
)
async def test_it_asks_in_the_way_of_the_type(provider, client, type_, target, more):
    provider.forget()
    provider.play(response(429))
    (result,) = await check(client, provider, ProviderType(type_), keys=KEYS[:1])
    assert (result.hint, result.is_well, result.status) == (HINTS[0], True, 429)
    assert sent(provider) == [("GET", target, [("Accept", "application/json"), *more], b"")]


async def test_an_authorizer_lets_the_question_have_its_credential(provider, client):
    provider.play(models(3))
    authorizer = FixedAuthorizer()
    results = await check(client, provider, ProviderType.CLAUDE_AWS, authorizer=authorizer)
    assert results == [CheckResult("", True, 200, "reached; it lists 3 models", 3)]
    requested = [("Accept", "application/json"), ("anthropic-version", "2023-06-01")]
    assert authorizer.requests == [("GET", provider.url + "v1/models", requested, b"")]
    assert sent(provider) == [("GET", "/v1/models", [*requested, ("Authorization", "Bearer fetched")], b"")]


async def test_a_credential_of_an_authorizer_that_is_refused_is_said_to_be(provider, client):
    provider.play(response(401))
    results = await check(client, provider, ProviderType.BEDROCK_MANTLE, authorizer=FixedAuthorizer())
    assert results == [CheckResult("", False, 401, "the provider refuses the key (401)")]


@for_each(
    ("reason", "message"),
    ("API_KEY_INVALID", "the provider refuses the key (400)"),
    ("INVALID_ARGUMENT", "the provider answers 400 to the question for its models"),
)
async def test_google_refuses_a_key_in_the_body(provider, client, reason, message):
    provider.forget()
    provider.play(refused_by_google(reason))
    results = await check(client, provider, ProviderType.GEMINI, keys=KEYS[:1])
    assert results == [CheckResult(HINTS[0], False, 400, message)]


@for_each(
    ("status", "is_well", "message"),
    (200, True, "reached (200); a provider of its type lists no models"),
    (401, False, "the provider refuses the key (401)"),
    (403, True, "reached; the key may not list the models (403)"),
    (404, True, "reached (404); a provider of its type lists no models"),
    (503, False, "reached (503); a provider of its type lists no models"),
)
async def test_of_a_type_that_lists_no_models_any_answer_is_good(provider, client, status, is_well, message):
    provider.forget()
    provider.play(response(status))
    results = await check(client, provider, ProviderType.VERTEX, keys=KEYS[:1])
    assert results == [CheckResult(HINTS[0], is_well, status, message)]
    assert provider.requests[0].target == "/"


@for_each(
    ("begins", "is_well", "message"),
    (b' {"data": [', True, "reached; it lists more models than are counted"),
    (b"[", True, "reached; it lists more models than are counted"),
    (b"<html>", False, NO_LIST),
)
async def test_a_list_without_end_is_read_to_a_bound(provider, client, begins, is_well, message):
    provider.forget()
    never = asyncio.Event()
    item = b'"a model with a name of some length", '
    body = begins + item * (2 * MAX_LIST_BYTES // len(item))
    provider.play(b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n" + body, never)
    assert await check(client, provider) == [CheckResult("", is_well, 200, message)]
    await provider.requests[0].closed.wait()


@for_each(
    ("status", "message"),
    (200, "the provider closed the connection before its response was complete"),
    (401, "the provider refuses the key (401)"),
)
async def test_a_list_that_is_cut_is_no_wrong_address(provider, client, status, message):
    provider.forget()
    provider.play(b'HTTP/1.1 %d X\r\nContent-Length: 99\r\n\r\n{"data": [' % status, CLOSE)
    results = await check(client, provider, keys=KEYS[:1])
    assert results == [CheckResult(HINTS[0], False, status, message)]
