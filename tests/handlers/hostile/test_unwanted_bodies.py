"""Requests are answered before their body is read where nobody wants it, and no body is waited for without end."""

import json

import pytest
from tornado.web import RequestHandler

from handlers.application import BridgeApplication
from handlers.base import BridgeHandler
from http1.request_cycle import MAX_UNWANTED_BYTES
from tests.bridge import until

API = "/api/v2/aibridge/"
ANSWERED = [
    ("GET", "/healthz", 200),
    ("HEAD", "/healthz", 200),
    ("GET", "/readyz", 200),
    ("GET", "/metrics", 200),
    ("GET", "/openapi.json", 200),
    ("GET", "/", 200),
    ("GET", "/dashboard/js/main.js", 200),
    ("GET", "/nowhere", 404),
    ("POST", "/nowhere", 404),
    ("POST", "/healthz", 405),
    ("GET", API + "interceptions", 200),
    ("GET", API + "interceptions/export", 200),
    ("GET", API + "interceptions/nothing", 404),
    ("GET", API + "sessions", 200),
    ("GET", API + "models", 200),
    ("GET", API + "stats", 200),
    ("GET", API + "limits", 200),
    ("GET", API + "audit", 200),
    ("GET", API + "users", 200),
    ("GET", API + "users/me", 200),
    ("GET", API + "users/me/tokens", 200),
    ("DELETE", API + "users/nobody", 404),
    ("DELETE", API + "users/me/session", 204),
    ("HEAD", API + "openai/", 200),
]


def head(running, method, path, *lines):
    every = [f"{method} {path} HTTP/1.1", "Host: b", f"X-Api-Key: {running.token}", *lines, "", ""]
    return "\r\n".join(every).encode()


async def test_a_body_that_nobody_wants_is_not_waited_for_and_passed_over_if_small(running):
    # an answer that needs no body waits for none
    for method, path, status in ANSWERED:
        client = await running.client()
        await client.send_raw(head(running, method, path, "Content-Length: 1"))
        response = await client.head()
        assert (response.status, response.header("Connection")) == (status, "close"), (method, path)
    await running.afresh()
    # a small body that nobody wants is passed over and the connection stays
    client = await running.client()
    for _ in range(2):
        response = await client.request("GET", API + "users/me", running.headers, b"x" * MAX_UNWANTED_BYTES)
        assert (response.status, response.header("Connection")) == (200, None)
    await running.afresh()
    # every handler says which of its methods take a body
    application = BridgeApplication(running.bridge)
    classes = {rule.target for rule in application.wildcard_router.rules}
    assert all(issubclass(one, BridgeHandler) and one is not RequestHandler for one in classes)


async def test_a_body_of_more_than_a_few_kilobytes_is_refused_where_none_is_wanted(running):
    large = MAX_UNWANTED_BYTES + 1
    message = f"The request cannot be read: its body is larger than {MAX_UNWANTED_BYTES} bytes."
    for path in ("/readyz", API + "interceptions", API + "users"):
        for case, sent in {
            "declared": head(running, "GET", path, f"Content-Length: {large}"),
            "in chunks": head(running, "GET", path, "Transfer-Encoding: chunked") + b"%x\r\n" % large + b"x" * large,
        }.items():
            client = await running.client()
            await client.send_raw(sent)
            response = await client.rest(await client.head())
            assert (response.status, json.loads(response.body)) == (413, {"message": message}), (path, case)
            assert response.header("Connection") == "close", (path, case)


async def test_a_body_that_never_comes_is_not_waited_for_without_end(running, http_server):
    http_server.options.body_seconds = 0.05
    for method, path in (("POST", API + "users"), ("PATCH", API + "users/grace")):
        client = await running.client()
        await client.send_raw(head(running, method, path, "Content-Type: application/json", "Content-Length: 1"))
        response = await client.rest(await client.head())
        message = "The request cannot be read: its body did not come whole within 0.05 seconds."
        assert (response.status, json.loads(response.body)) == (408, {"message": message})


async def test_a_stranger_who_signs_in_has_less_time_for_the_body(running, monkeypatch):
    monkeypatch.setattr(BridgeHandler, "BODY_SECONDS", 0.05)
    client = await running.client()
    await client.send_raw(head(running, "POST", API + "users/me/session", "Content-Length: 1"))
    assert (await client.head()).status == 408


@pytest.mark.bridge(max_concurrency=1)
async def test_a_stranger_who_asks_whether_a_provider_is_there_holds_no_slot(running):
    slot = await running.bridge.overload.acquire_slot()
    client = await running.client()
    await client.send_raw(b"HEAD /api/v2/aibridge/openai/ HTTP/1.1\r\nHost: b\r\nContent-Length: 99999999\r\n\r\n")
    assert (await client.head()).status == 413
    await client.closed()
    client = await running.client()
    assert (await client.request("HEAD", API + "openai/", {})).status == 200
    assert running.bridge.overload.holding == 1
    slot.release()
    await until(lambda: running.bridge.lifecycle.in_flight == 0)
