"""Tags from the header and the body of a call to its record, searches and statistics, and not to the provider."""

from __future__ import annotations

import json
from urllib.parse import urlencode

import pytest

from tests.derived import derive
from tests.handlers.conversations import CHAT

API = "/api/v2/aibridge"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


async def call(running, tags, metadata=None):
    running.upstream.scripts.clear()
    running.upstream.play(HEAD % len(CHAT.body) + CHAT.body)
    body = json.dumps(CHAT.request | ({"metadata": metadata} if metadata else {})).encode()
    headers = running.headers | ({"X-AIBridge-Tags": tags} if tags else {})
    response = await running.request("POST", running.path(CHAT), headers, body)
    assert await running.bridge.recorder.flush(5)
    return response


@pytest.mark.gen_test
async def test_tags_are_recorded_found_and_told_apart_if_they_are_a_list(running):
    # tags are recorded found and told apart and go no further
    responses = [
        await call(running, "project=apollo,env=ci", {"project": "zeus", "team": "core"}),
        await call(running, "project=zeus"),
        await call(running, ""),
    ]
    assert [response.status for response in responses] == [200, 200, 200]
    assert all(
        not any(name.lower().startswith("x-aibridge") for name, _ in request.headers)
        for request in running.upstream.requests
    )
    sent = json.loads(running.upstream.requests[0].body)
    assert sent["metadata"] == {"project": "zeus", "team": "core"}

    await derive(running.bridge.database, now=running.bridge.now)

    async def found(q):
        status, page = await running.get(f"{API}/interceptions?{urlencode({'q': q})}")
        assert status == 200, page
        return [one["tags"] for one in page["results"]]

    first, second = {"project": "apollo", "env": "ci", "team": "core"}, {"project": "zeus"}
    assert await found("") == [{}, second, first]
    assert await found("tag:project=apollo") == [first]
    assert await found("tag:Project=apollo tag:env=ci") == [first]
    assert await found("tag:project=apollo,project=zeus") == [second, first]
    assert await found("tag:env=ci,project=zeus") == [second, first]
    assert await found("-tag:project=apollo,env=ci") == [{}, second]
    status, result = await running.get(f"{API}/interceptions?q=tag:project")
    assert (status, result["validations"][0]["field"]) == (400, "tag")
    _, stats = await running.get(f"{API}/stats?group_by=tag.project")
    groups = {one["group"]["tag.project"]: one["total"]["interceptions"] for one in stats["groups"]}
    assert groups == {"apollo": 1, "zeus": 1, None: 1}
    await running.afresh()
    # a header that is no list of tags is refused before anything is taken
    response = await call(running, "project")
    assert response.status == 400
    assert b"X-AIBridge-Tags: 'project' is no tag" in response.body
    assert running.upstream.requests == []
    assert await running.bridge.database.interceptions.count_documents({}) == 0
