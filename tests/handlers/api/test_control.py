"""The control plane as such: who may ask, with which methods, and what it says when it cannot answer."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from storage.mongo.database import DatabaseUnavailableError

LIST = "/api/v2/aibridge/interceptions"


@pytest.mark.gen_test
async def test_an_answer_is_for_one_caller_as_is_its_head_and_other_methods_are_refused(running, monkeypatch):
    # an answer is for one caller and is not to be kept
    for headers, status in ((running.headers, 200), ({}, 401)):
        response = await running.request("GET", LIST, headers)
        assert (response.status, response.header("Cache-Control"), response.header("Etag")) == (
            status,
            "no-store" if status == 200 else None,
            None,
        )
        assert response.header("Content-Type") == "application/json"
    await running.afresh()
    # the head of a resource is that of its answer
    whole = await running.request("GET", LIST, running.headers)
    head = await running.request("HEAD", LIST, running.headers)
    assert (head.status, head.header("Content-Length")) == (200, str(len(whole.body)))
    assert (await running.request("HEAD", LIST, {})).status == 401
    assert (await running.request("GET", LIST, running.headers)).body == whole.body
    await running.afresh()
    # a method that is not served is refused and those that are named
    for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"):
        for path, headers in ((LIST, running.headers), ("/healthz", {}), ("/readyz", {}), ("/metrics", {})):
            response = await running.request(method, path, headers, b"{}")
            assert (response.status, response.header("Allow"), json.loads(response.body)) == (
                405,
                "GET, HEAD",
                {"message": "Method Not Allowed"},
            ), (method, path)
    await running.afresh()

    # while the database is unavailable it says when to ask again
    async def away(*_, **__):
        raise DatabaseUnavailableError("MongoDB is unavailable: mongodb.internal:27017: connection refused")

    monkeypatch.setattr(running.bridge.interceptions, "page", away)
    response = await running.request("GET", LIST, running.headers)
    assert (response.status, response.header("Retry-After"), json.loads(response.body)) == (
        503,
        "1",
        {"message": "The database cannot be reached at the moment. Please try again later."},
    )


@pytest.mark.bridge(max_concurrency=1, rate_limit=1, rate_window=timedelta(hours=1), user_max_concurrency=1)
@pytest.mark.gen_test
async def test_overload_protection_does_not_concern_it(running):
    assert await running.bridge.overload.acquire_slot()
    assert [(await running.get(LIST))[0] for _ in range(3)] == [200, 200, 200]
