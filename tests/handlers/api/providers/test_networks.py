"""Proxies, authorities, certificates and access keys of providers in the database."""

from __future__ import annotations

import base64
import json
import ssl

import pytest

from storage.providers.documents import PROXY_GIVEN_AGAIN
from tests.fake_upstream import FakeUpstream
from tests.upstream.throwaway_ca import authority, server_tls  # noqa: F401 - fixtures
from upstream.connections.network import Proxy

PROVIDERS = "/api/v2/aibridge/providers"
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
CHAT = b'{"model": "m", "messages": []}'
sealed = pytest.mark.bridge(encryption_keys=(bytes(range(32)),))
AWS = "AKIAIOSFODNN7EXAMPLE:wJalrXUtnFEMI/K7MDENG"
KEY_ID = AWS.partition(":")[0]


async def send(running, method, path="", **body):
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
@pytest.mark.gen_test
async def test_a_provider_is_reached_with_its_own_authorities_and_certificate(running, tls_upstream, authority):  # noqa: F811
    base = {"name": "east", "type": "openai", "base_url": tls_upstream.url + "v1"}
    await send(running, "POST", **base)
    assert await call(running) == 502
    status, resource = await send(running, "PATCH", "/east", ca_certificates=(authority / "ca.pem").read_text())
    assert (status, resource["has_ca_certificates"], resource["has_client_certificate"]) == (200, True, False)
    assert await call(running) == 502
    certificate = (authority / "server.pem").read_text()
    status, resource = await send(running, "PATCH", "/east", client_certificate=certificate)
    assert (status, resource["has_client_certificate"]) == (200, True)
    assert await call(running) == 200
    assert "PRIVATE KEY" not in json.dumps(resource)
    await running.ended(3)


@sealed
@pytest.mark.gen_test
async def test_a_provider_has_its_own_proxy_whose_password_nobody_sees(running):
    fields = {"proxy_url": "http://proxy.example:3128", "proxy_credentials": "ada:p@ss/word-secret"}
    status, resource = await send(
        running, "POST", name="east", type="openai", base_url="https://e.example/v1", **fields
    )
    assert (status, resource["proxy_url"]) == (201, "http://proxy.example:3128")
    expected = base64.b64encode(b"ada:p@ss/word-secret").decode()
    assert running.bridge.providers["east"].network.proxy == Proxy("proxy.example", 3128, f"Basic {expected}")
    assert "word-secret" not in json.dumps(resource)
    assert running.bridge.secrets.hide("p@ss/word-secret") == "[scrubbed]"
    other = {"proxy_url": "http://other.example:3128"}
    status, refused = await send(running, "PATCH", "/east", **other)
    assert (status, refused["validations"]) == (400, [{"field": "proxy_credentials", "detail": PROXY_GIVEN_AGAIN}])
    assert (await send(running, "PATCH", "/east", **other, proxy_credentials="eve:x"))[0] == 200
    assert running.bridge.providers["east"].network.proxy.host == "other.example"
    assert (await send(running, "PATCH", "/east", proxy_url=""))[0] == 200
    assert running.bridge.providers["east"].network.proxy is None


@sealed
@pytest.mark.gen_test
async def test_an_access_key_of_aws_signs(running):
    fields = {"region": "us-east-1", "base_url": running.upstream.url, "aws_access_key": AWS}
    status, resource = await send(running, "POST", name="aws", type="bedrock", **fields)
    assert (status, resource["aws_access_key"], resource["key_state"]) == (201, KEY_ID, "key")
    running.upstream.play(OK)
    await running.request("POST", "/api/v2/aibridge/aws/model/m/converse", running.headers, b'{"messages": []}')
    (signature,) = running.upstream.requests[0].header("Authorization")
    assert signature.startswith(f"AWS4-HMAC-SHA256 Credential={KEY_ID}/")
    await running.ended(1)


@sealed
@pytest.mark.gen_test
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
        status, refused = await send(running, "POST", name="east", type="openai", **fields)
        assert status == 400, fields
        (problem,) = refused["validations"]
        assert problem["field"] == field, fields
        assert problem["detail"].startswith(said), fields
