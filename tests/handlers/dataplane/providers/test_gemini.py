"""Calls by Google's API: where a token may stand, what the path says, and how the bridge refuses."""

import json
from dataclasses import replace

import pytest

from settings import ProviderSettings
from tests.intercept.dialects.gemini.test_generate_content import ARRAY, TOKENS
from upstream.providers.presets import ProviderType

KEY = "AIza-of-the-bridge"
pytestmark = pytest.mark.bridge(
    further_providers=(ProviderSettings("gemini", ProviderType.GEMINI, "", (KEY, "AIza-the-second")),)
)
BRIDGE = "/api/v2/aibridge/gemini"
CALL = f"{BRIDGE}/v1beta/models/gemini-3:generateContent"
BODY = b'{"contents": [{"parts": [{"text": "Hello"}]}]}'
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
NAMES = ("Authorization", "X-Api-Key", "Api-Key", "X-Goog-Api-Key")


@pytest.fixture
def gemini(running):
    providers = running.bridge.providers
    providers["gemini"] = replace(providers["gemini"], base_url=running.upstream.url)
    return running


def seen(request):
    return request.target, [(name, value) for name in NAMES for value in request.header(name)]


async def test_a_token_or_key_stands_where_googles_clients_put_it_and_goes_as_a_header(gemini):
    # a token lets in wherever googles clients put it and stays here
    gemini.upstream.play(OK)
    client = await gemini.client()
    token = gemini.token
    for calls, (headers, query) in enumerate(
        (
            ({"X-Goog-Api-Key": token}, "?alt=json"),
            ({"Api-Key": token}, "?alt=json"),
            ({"Authorization": f"Bearer {token}", "X-Goog-Api-Key": token}, "?alt=json"),
            ({}, f"?key={token}&alt=json"),
        ),
        start=1,
    ):
        response = await client.request("POST", CALL + query, headers, BODY)
        request, case = gemini.upstream.requests[-1], (*headers, query)
        assert (response.status, request.body, len(gemini.upstream.requests)) == (200, BODY, calls), case
        sent = ("/v1beta/models/gemini-3:generateContent?alt=json", [("X-Goog-Api-Key", KEY)])
        assert seen(request) == sent, case
        recorded = json.dumps(await gemini.ended(calls))
        assert token.partition("-")[2] not in recorded, case
    await gemini.afresh()
    # a key of the clients own in the query goes as a header
    gemini.upstream.play(OK)
    client = await gemini.client()
    governance = {"X-Coder-AI-Governance-Token": gemini.token}
    response = await client.request("POST", f"{CALL}?key=AIza-of-the-client&alt=json", governance, BODY)
    (request,) = gemini.upstream.requests
    assert response.status == 200
    assert seen(request) == (
        "/v1beta/models/gemini-3:generateContent?alt=json",
        [("X-Goog-Api-Key", "AIza-of-the-client")],
    )
    (recorded,) = await gemini.ended(1)
    assert recorded["credential_kind"] == "byok"
    await gemini.afresh()
    # a token in another parameter does not go upstream
    gemini.upstream.play(OK)
    client = await gemini.client()
    for query in ("?other={}", "?key=AIza&q={}"):
        response = await client.request("POST", CALL + query.format(gemini.token), gemini.headers, BODY)
        assert (response.status, gemini.upstream.requests) == (400, []), query
    await client.request("POST", f"{CALL}?key=x&access_token={gemini.token}", gemini.headers, BODY)
    assert [seen(request)[0] for request in gemini.upstream.requests] == ["/v1beta/models/gemini-3:generateContent"]
    await gemini.afresh()
    # what is read, without a record, cannot be made a call that generates
    gemini.upstream.play(OK)
    headers = gemini.headers | {"X-HTTP-Method-Override": "POST", "X-Goog-FieldMask": "candidates"}
    response = await client.request("GET", f"{CALL}?%24httpMethod=POST&fields=candidates&alt=sse", headers, BODY)
    (request,) = gemini.upstream.requests
    left = [request.header(name) for name in ("X-HTTP-Method-Override", "X-Goog-FieldMask")]
    assert (response.status, request.method, left) == (200, "GET", [[], []])
    assert request.target == "/v1beta/models/gemini-3:generateContent?alt=sse"


async def test_a_path_names_the_model_and_what_comes_passes_unchanged_and_is_recorded(gemini):
    # the path names the model however it is written and goes on as it came
    gemini.upstream.play(OK)
    client = await gemini.client()
    for calls, colon in enumerate((":", "%3A", "%3a"), start=1):
        path = f"/v1beta/models/gem%69ni-3{colon}generateContent"
        await client.request("POST", BRIDGE + path, gemini.headers, b'{"model": "another", "contents": []}')
        request, (recorded, *_) = gemini.upstream.requests[-1], await gemini.ended(calls)
        assert (request.target, recorded["model"], recorded["streaming"]) == (path, "gemini-3", False)
    assert len(gemini.upstream.requests) == 3
    await gemini.afresh()
    # a stream that is a json array passes unchanged and is recorded
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=UTF-8\r\nTransfer-Encoding: chunked\r\n\r\n"
    pieces = [ARRAY[at : at + 100] for at in range(0, len(ARRAY), 100)]
    gemini.upstream.play(head, *(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces), b"0\r\n\r\n")
    client = await gemini.client()
    path = f"{BRIDGE}/v1beta/models/gemini-3:streamGenerateContent"
    response = await client.request("POST", path, gemini.headers, BODY)
    assert (response.status, bytes(response.body), response.whole) == (200, ARRAY, True)
    (recorded,) = await gemini.ended(1)
    assert (recorded["streaming"], recorded["end_reason"]) == (True, "completed")
    assert gemini.tokens(recorded) == {**TOKENS, "cache_write_input_tokens": None}
    await gemini.afresh()
    # a bad request is not the keys fault and passes unchanged
    body = b'{"error": {"code": 400, "message": "contents is empty", "status": "INVALID_ARGUMENT"}}'
    gemini.upstream.play(b"HTTP/1.1 400 X\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    client = await gemini.client()
    response = await client.request("POST", CALL, gemini.headers, BODY)
    assert (response.status, bytes(response.body), len(gemini.upstream.requests)) == (400, body, 1)
    await gemini.afresh()
    # what is not served is refused in googles words
    for path, status, word in (
        ("/v1beta/models/gemini-3:deleteEverything", 405, "INVALID_ARGUMENT"),
        ("/v1beta/files", 404, "NOT_FOUND"),
        ("/v1beta/models/../files:generateContent", 400, "INVALID_ARGUMENT"),
        ("/v1beta/models/%2e%2e%2ffiles:generateContent", 400, "INVALID_ARGUMENT"),
        ("/v1beta/v1beta/models/gemini-3:generateContent", 404, "NOT_FOUND"),
        (f"/v1beta/models/{'m' * 2049}:generateContent", 400, "INVALID_ARGUMENT"),
    ):
        client = await gemini.client()
        response = await client.request("POST", BRIDGE + path, gemini.headers, BODY)
        error = json.loads(response.body)["error"]
        assert (response.status, error["code"], error["status"]) == (status, status, word), path
    assert gemini.upstream.requests == []


@pytest.mark.parametrize(
    ("status", "detail"),
    [
        pytest.param(
            400, {"reason": "API_KEY_INVALID"}, marks=pytest.mark.expects_log("provider key refused: provider=gemini")
        ),
        (429, {"retryDelay": "34s"}),
    ],
)
async def test_a_key_that_google_refuses_in_its_body_is_followed_by_the_next(gemini, status, detail):
    body = json.dumps({"error": {"code": status, "details": [detail]}}).encode()
    refusal = b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
    gemini.upstream.play(refusal + body)
    gemini.upstream.play(OK)
    client = await gemini.client()
    responses = [await client.request("POST", CALL, gemini.headers, BODY) for _ in range(2)]
    assert [response.status for response in responses] == [200, 200]
    sent = [request.header("X-Goog-Api-Key")[0] for request in gemini.upstream.requests]
    assert sent == [KEY, "AIza-the-second", "AIza-the-second"]


@pytest.mark.bridge(rate_limit=1)
async def test_a_refusal_by_a_limit_says_in_the_body_when_to_come_back(gemini):
    gemini.upstream.play(OK)
    client = await gemini.client()
    await client.request("POST", CALL, gemini.headers, BODY)
    response = await client.request("POST", CALL, gemini.headers, BODY)
    (info,) = json.loads(response.body)["error"]["details"]
    assert (response.status, info["@type"]) == (429, "type.googleapis.com/google.rpc.RetryInfo")
    assert float(info["retryDelay"].removesuffix("s")) == int(response.header("retry-after-ms")) / 1000
