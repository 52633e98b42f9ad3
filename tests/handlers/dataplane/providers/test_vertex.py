"""Calls by Vertex AI: with the bridge's token of Google's, to its own project and region, in both dialects."""

import json
from dataclasses import replace

import pytest

from settings import ProviderSettings
from tests.handlers.conversations import MESSAGES
from upstream.credentials.bearer_tokens import NO_TOKEN, BearerAuthorizer, BearerToken
from upstream.providers.presets import ProviderType

pytestmark = pytest.mark.bridge(
    further_providers=(ProviderSettings("vertex", ProviderType.VERTEX, "", project="mine", region="us-central1"),)
)
OWN = "/projects/mine/locations/us-central1/publishers"
GEMINI = f"{OWN}/google/models/gemini-3:generateContent"
CLAUDE = f"{OWN}/anthropic/models/claude-sonnet-4@20250514"
BODY = b'{"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}'
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


def expired():
    raise OSError("the key was deleted")


@pytest.fixture
def vertex(running):
    """The provider with a token, at the scripted upstream."""
    providers = running.bridge.providers
    authorizer = BearerAuthorizer(lambda: BearerToken("ya29.token", 2e9), lambda: 1e9)
    providers["vertex"] = replace(
        providers["vertex"], base_url=running.upstream.url, keyless=False, authorizer=authorizer
    )
    return running


async def call(running, path, body=BODY, headers=None):
    return await running.request("POST", f"/api/v2/aibridge/vertex{path}", headers or running.headers, body)


async def test_a_call_goes_with_the_bridges_token_or_an_own_one_by_the_model_of_its_path(vertex):
    # a call goes with the bridges token and the version that it came with
    vertex.upstream.play(OK)
    billed = vertex.headers | {"X-Goog-User-Project": "somebody-pays"}
    for calls, (version, sent) in enumerate({"": "/v1", "/v1": "/v1", "/v1beta1": "/v1beta1"}.items(), start=1):
        response = await call(vertex, version + GEMINI, headers=billed)
        assert len(vertex.upstream.requests) == calls, version
        request = vertex.upstream.requests[-1]
        assert (response.status, request.target, request.body) == (200, sent + GEMINI, BODY), version
        credential = (request.header("Authorization"), request.header("X-Goog-User-Project"))
        assert credential == (["Bearer ya29.token"], []), version
        recorded, *_ = await vertex.ended(calls)
        assert (recorded["provider"], recorded["model"], recorded["credential_kind"]) == (
            "vertex",
            "gemini-3",
            "centralized",
        ), version
    await vertex.afresh()
    # a call of anthropics is recorded by the model of the path
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n" % len(MESSAGES.stream)
    message = {"messages": [{"role": "user", "content": "Hello"}], "anthropic_version": "vertex-2023-10-16"}
    for calls, (method, reply, streaming) in enumerate(
        (("rawPredict", OK, False), ("streamRawPredict", head + MESSAGES.stream, True)), start=1
    ):
        vertex.upstream.scripts = [[reply]]
        response = await call(vertex, f"{CLAUDE}:{method}", json.dumps(message).encode())
        recorded, *_ = await vertex.ended(calls)
        got = (response.status, recorded["model"], recorded["streaming"])
        assert got == (200, "claude-sonnet-4@20250514", streaming), method
        assert [one["prompt"] for one in recorded["user_prompts"]] == ["Hello"], method
        assert recorded["end_reason"] == "completed", method
    await vertex.afresh()
    # tokens are counted by the path that has no model
    vertex.upstream.play(OK)
    response = await call(vertex, f"{OWN}/anthropic/models/count-tokens:rawPredict", b'{"model": "claude"}')
    (recorded,) = await vertex.ended(1)
    assert (response.status, recorded["model"], recorded["end_reason"]) == (200, "claude", "completed")
    await vertex.afresh()
    # a users own token goes in its place
    vertex.upstream.play(OK)
    own = {"X-Coder-AI-Governance-Token": vertex.token, "Authorization": "Bearer ya29.own"}
    await call(vertex, GEMINI, headers=own)
    (request,) = vertex.upstream.requests
    assert request.header("Authorization") == ["Bearer ya29.own"]


async def test_a_path_that_leads_out_of_the_project_or_the_region_is_refused(vertex):
    words = {404: "NOT_FOUND", 400: "INVALID_ARGUMENT"}
    place = "route not supported: the provider vertex serves the location us-central1 only."
    for path, status, message in (
        (
            GEMINI.replace("mine", "another"),
            404,
            "route not supported: the provider vertex serves the project mine only.",
        ),
        (GEMINI.replace("us-central1", "eu-west1"), 404, place),
        (GEMINI.replace("us-central1", "%65u"), 404, place),
        (
            "/v1/publishers/google/models/gemini-3:generateContent",
            404,
            "route not supported: the provider vertex needs the project and the location in the path; give them to your client.",
        ),
        (
            GEMINI.replace("mine", "mine/../another"),
            400,
            "The path cannot be served: it has a segment `.` or `..`.",
        ),
        (
            GEMINI.replace("us-central1", "us-central1%2f..%2fother"),
            400,
            "The path cannot be served: it has an encoded segment that is empty, `.` or `..`.",
        ),
    ):
        response = await call(vertex, path)
        error = json.loads(response.body)["error"]
        assert (response.status, error["status"], error["message"]) == (status, words[status], message), path
    assert vertex.upstream.requests == []


@pytest.mark.parametrize("path", [GEMINI, f"{CLAUDE}:rawPredict"])
@pytest.mark.expects_log(r"no credential: OSError: the key was deleted")
async def test_a_credential_that_has_ended_is_an_error_in_the_dialect_and_recorded(vertex, path):
    providers = vertex.bridge.providers
    providers["vertex"] = replace(providers["vertex"], authorizer=BearerAuthorizer(expired, lambda: 1e9))
    response = await call(vertex, path)
    error = json.loads(response.body)["error"]
    assert (response.status, error["message"]) == (502, f"vertex: {NO_TOKEN}.")
    assert error.get("status", error.get("type")) == ("UNAVAILABLE" if path is GEMINI else "api_error")
    (recorded,) = await vertex.ended(1)
    assert (recorded["end_reason"], vertex.upstream.requests) == ("upstream_unreachable", [])
