"""Routes that an operator adds, through the whole bridge."""

import json
from dataclasses import replace

import pytest

from intercept import catalog
from upstream.routes import parse_routes

OBJECT = b'{"results":[],"usage":{"total_tokens":5}}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(OBJECT), OBJECT)
OPENAI = "/api/v2/aibridge/openai"


@pytest.fixture
def routes(running):
    added = parse_routes("GET /v1/vector_stores, POST /v1/score=rerank, POST /v1/run/{model}=embeddings")
    providers = running.bridge.providers
    providers["openai"] = replace(providers["openai"], extra_routes=tuple(route.of(catalog.OPENAI) for route in added))


@pytest.mark.usefixtures("routes")
@pytest.mark.gen_test
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
