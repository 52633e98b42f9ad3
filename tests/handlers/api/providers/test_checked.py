"""The check of a provider says in words what is wrong."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.handlers.api.providers.test_managed import ENCRYPTION_KEY, KEYS, east, send
from upstream.providers import provider_check

NO_LIST = "what is there answers 200, but not with a list of models: check the base URL"

sealed = pytest.mark.bridge(encryption_keys=(ENCRYPTION_KEY,))


def response(status, body=b"{}", kind="application/json"):
    head = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


MODELS = response(200, json.dumps({"object": "list", "data": [{"id": "a"}, {"id": "b"}]}).encode())


async def check(running, name="east"):
    return await send(running, "POST", f"/{name}/check")


def result(hint, message, status, *, ok, models=None):
    return {"hint": hint, "ok": ok, "status": status, "message": message, "models": models}


@sealed
@pytest.mark.gen_test
async def test_each_key_is_asked_with_and_has_what_the_provider_said(running):
    await send(running, "POST", "", east(running, keys=KEYS))
    running.upstream.play(MODELS)
    running.upstream.play(response(401))
    assert await check(running) == (
        200,
        {
            "ok": False,
            "results": [
                result("sk-e...1111", "reached; it lists 2 models", 200, ok=True, models=2),
                result("sk-e...2222", "the provider refuses the key (401)", 401, ok=False),
            ],
        },
    )
    sent = [(one.method, one.target, one.header("Authorization")) for one in running.upstream.requests]
    assert sent == [("GET", "/v1/models", [f"Bearer {key}"]) for key in KEYS]


@pytest.mark.gen_test
async def test_what_a_provider_answers_is_said_in_words_and_of_a_silent_one_that_it_is(running, monkeypatch):
    # what a provider answers is said in words
    await send(running, "POST", "", east(running))
    for reply, ok, message in (
        (MODELS, True, "reached; it lists 2 models"),
        (response(200, b"[]"), True, "reached; it lists 0 models"),
        (response(200, b'{"a":1}'), True, "reached"),
        (response(200, b"<html>", "text/html"), False, NO_LIST),
        (response(200, b""), False, NO_LIST),
        (response(200, b"[" * 100_000), False, NO_LIST),
        (response(200, b'{"data": ["caf\xe9"]}'), False, NO_LIST),
        (response(301), False, "the provider redirects (301): give the base URL that it leads to"),
        (response(400), False, "the provider answers 400 to the question for its models"),
        (response(401), False, "reached, but it wants a key (401): give it one"),
        (response(403), False, "reached; the key may not list the models (403)"),
        (
            response(404),
            False,
            "nothing is found there (404): check the base URL, such as https://api.openai.com/v1/",
        ),
        (response(429), True, "reached; a rate limit of the provider holds the key back (429)"),
        (response(500), False, "the provider answers 500 to the question for its models"),
    ):
        running.upstream.scripts = [[reply]]
        status, checked = await check(running)
        said = (status, checked["ok"], [one["message"] for one in checked["results"]])
        assert said == (200, ok, [message]), reply
    await running.afresh()
    # a vendor whose users bring their keys is well when it wants one
    running.upstream.play(response(401))
    _, checked = await check(running, "no-key")
    message = "reached; it wants a credential, which each user brings"
    assert checked == {"ok": True, "results": [result("", message, 401, ok=True)]}
    assert running.upstream.requests[-1].header("anthropic-version") == ["2023-06-01"]
    await running.afresh()
    # a provider that is not there cannot be checked
    assert await check(running, "west") == (404, {"message": "There is no provider named west."})
    assert await send(running, "GET", "/east/check") == (405, {"message": "Method Not Allowed"})
    await running.afresh()
    # a silent provider is given up on
    monkeypatch.setattr(provider_check, "CHECK_SECONDS", 0.05)
    await send(running, "POST", "", east(running))
    _, checked = await check(running)
    assert checked == {"ok": False, "results": [result("", "the provider did not answer within 10 s", None, ok=False)]}


@pytest.mark.gen_test
async def test_why_a_provider_is_not_reached_is_said_in_words(running):
    for name, base_url, message in (
        ("east", "http://nobody.invalid/v1", "no connection to the provider: its name is not found"),
        ("west", "http://127.0.0.1:1/v1", "no connection to the provider: it refused the connection"),
    ):
        await send(running, "POST", "", {"name": name, "type": "openai", "base_url": base_url})
        _, checked = await check(running, name)
        assert checked == {"ok": False, "results": [result("", message, None, ok=False)]}, base_url


@pytest.mark.bridge(egress_hosts="example.com, localhost")
@pytest.mark.gen_test
async def test_only_hosts_that_are_named_are_connected_to(running):
    refused = "no connection to the provider: its host is not in egress-hosts"
    for base_url, message in (
        ("http://127.0.0.1:1/v1", refused),
        ("https://example.com.attacker.invalid/v1", refused),
        ("http://localhost:1/v1", "no connection to the provider: it refused the connection"),
    ):
        await send(running, "POST", "", {"name": "east", "type": "openai", "base_url": base_url})
        _, checked = await check(running)
        assert checked == {"ok": False, "results": [result("", message, None, ok=False)]}, base_url
        await send(running, "DELETE", "/east")


@pytest.mark.gen_test
async def test_a_provider_that_speaks_no_tls_is_named_for_it(running):
    async def refuse(reader, writer):
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        await send(running, "POST", "", {"name": "east", "type": "openai", "base_url": f"https://127.0.0.1:{port}/v1"})
        _, checked = await check(running)
    message = "no connection to the provider: it does not speak TLS"
    assert checked == {"ok": False, "results": [result("", message, None, ok=False)]}
