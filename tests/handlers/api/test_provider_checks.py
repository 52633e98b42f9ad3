"""The check of a provider says in words what is wrong; and what reaches it: certificates, proxies, keys of AWS."""

import base64
import json
import ssl

import pytest

from storage.providers.documents import PROXY_GIVEN_AGAIN
from tests.fake_upstream import FakeUpstream
from tests.handlers.api.test_providers import ENCRYPTION_KEY, KEYS, east, send
from tests.upstream.throwaway_ca import authority, server_tls  # noqa: F401 - fixtures
from upstream.connections.network import Proxy
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


@pytest.mark.bridge(egress_hosts="example.com, localhost")
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


PROVIDERS = "/api/v2/aibridge/providers"
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
CHAT = b'{"model": "m", "messages": []}'
AWS = "AKIAIOSFODNN7EXAMPLE:wJalrXUtnFEMI/K7MDENG"
KEY_ID = AWS.partition(":")[0]


async def manage(running, method, path="", **body):
    headers = running.headers | {"Content-Type": "application/json"}
    response = await running.request(method, PROVIDERS + path, headers, json.dumps(body).encode())
    return response.status, json.loads(response.body)


async def call(running):
    response = await running.request("POST", "/api/v2/aibridge/east/v1/chat/completions", running.headers, CHAT)
    return response.status


@pytest.fixture
def tls_upstream(io_loop, authority, server_tls):  # noqa: F811 - the fixtures
    """An upstream that asks for a certificate of its authority."""
    server_tls.verify_mode = ssl.CERT_REQUIRED
    server_tls.load_verify_locations(authority / "ca.pem")
    upstream = io_loop.run_sync(lambda: FakeUpstream().start(server_tls))
    upstream.play(OK)
    yield upstream
    io_loop.run_sync(upstream.stop)


@sealed
async def test_a_provider_is_reached_with_its_own_authorities_and_certificate(running, tls_upstream, authority):  # noqa: F811
    base = {"name": "east", "type": "openai", "base_url": tls_upstream.url + "v1"}
    await manage(running, "POST", **base)
    assert await call(running) == 502
    status, resource = await manage(running, "PATCH", "/east", ca_certificates=(authority / "ca.pem").read_text())
    assert (status, resource["has_ca_certificates"], resource["has_client_certificate"]) == (200, True, False)
    assert await call(running) == 502
    certificate = (authority / "server.pem").read_text()
    status, resource = await manage(running, "PATCH", "/east", client_certificate=certificate)
    assert (status, resource["has_client_certificate"]) == (200, True)
    assert await call(running) == 200
    assert "PRIVATE KEY" not in json.dumps(resource)
    await running.ended(3)


@sealed
async def test_a_provider_has_its_own_proxy_whose_password_nobody_sees(running):
    fields = {"proxy_url": "http://proxy.example:3128", "proxy_credentials": "ada:p@ss/word-secret"}
    status, resource = await manage(
        running, "POST", name="east", type="openai", base_url="https://e.example/v1", **fields
    )
    assert (status, resource["proxy_url"]) == (201, "http://proxy.example:3128")
    expected = base64.b64encode(b"ada:p@ss/word-secret").decode()
    assert running.bridge.providers["east"].network.proxy == Proxy("proxy.example", 3128, f"Basic {expected}")
    assert "word-secret" not in json.dumps(resource)
    assert running.bridge.secrets.hide("p@ss/word-secret") == "[scrubbed]"
    other = {"proxy_url": "http://other.example:3128"}
    status, refused = await manage(running, "PATCH", "/east", **other)
    assert (status, refused["validations"]) == (400, [{"field": "proxy_credentials", "detail": PROXY_GIVEN_AGAIN}])
    assert (await manage(running, "PATCH", "/east", **other, proxy_credentials="eve:x"))[0] == 200
    assert running.bridge.providers["east"].network.proxy.host == "other.example"
    assert (await manage(running, "PATCH", "/east", proxy_url=""))[0] == 200
    assert running.bridge.providers["east"].network.proxy is None


@sealed
async def test_an_access_key_of_aws_signs(running):
    fields = {"region": "us-east-1", "base_url": running.upstream.url, "aws_access_key": AWS}
    status, resource = await manage(running, "POST", name="aws", type="bedrock", **fields)
    assert (status, resource["aws_access_key"], resource["key_state"]) == (201, KEY_ID, "key")
    running.upstream.play(OK)
    await running.request("POST", "/api/v2/aibridge/aws/model/m/converse", running.headers, b'{"messages": []}')
    (signature,) = running.upstream.requests[0].header("Authorization")
    assert signature.startswith(f"AWS4-HMAC-SHA256 Credential={KEY_ID}/")
    await running.ended(1)


@sealed
async def test_what_cannot_be_used_is_refused_in_its_own_name(running):
    for fields, field, said in (
        ({"proxy_url": "http://u:p@proxy.example:1"}, "proxy_url", "must have no user and no password in it"),
        ({"proxy_url": "socks5://x:1"}, "proxy_url", "must be http://HOST:PORT"),
        ({"proxy_credentials": "ada:x"}, "proxy_credentials", "are for a proxy_url, and there is none"),
        ({"proxy_url": "none", "proxy_credentials": "ada:x"}, "proxy_credentials", "are for a proxy_url"),
        ({"proxy_credentials": "ada"}, "proxy_credentials", "must be USER:PASSWORD"),
        ({"ca_certificates": "nothing"}, "ca_certificates", "must be certificates in PEM"),
        ({"ca_certificates": "x" * 25_000}, "ca_certificates", "must be certificates in PEM"),
        ({"client_certificate": "nothing"}, "client_certificate", "must be a certificate with its key in PEM"),
        ({"aws_access_key": "short"}, "aws_access_key", "must be "),
        ({"aws_access_key": AWS}, "aws_access_key", "is for requests that are signed: those of the types bedrock"),
    ):
        status, refused = await manage(running, "POST", name="east", type="openai", **fields)
        assert status == 400, fields
        (problem,) = refused["validations"]
        assert problem["field"] == field, fields
        assert problem["detail"].startswith(said), fields
