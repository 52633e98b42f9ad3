from __future__ import annotations

import json
from email.utils import parsedate_to_datetime
from ipaddress import ip_network

import pytest

from handlers.base import IDENTITIES_AWAY, UNRECOGNISED
from handlers.sign_in import FOREIGN, MAX_ATTEMPTS, MAX_BODY_BYTES, NOT_JSON, TOO_MANY
from tests.bridge import now

PATH = "/api/v2/aibridge/users/me/session"
LIST = "/api/v2/aibridge/interceptions"
JSON = {"Content-Type": "application/json"}
UNKNOWN = "abcdefghij-0123456789abcdefghijkl"
SET = "coder_session_token={}; HttpOnly; Path=/; SameSite=Strict"


async def sign_in(running, token, headers=JSON):
    client = await running.client()
    return await client.request("POST", PATH, headers, json.dumps({"token": token}).encode())


async def sign_out(running, headers):
    client = await running.client()
    return await client.request("DELETE", PATH, headers)


def message(answer):
    return answer.status, json.loads(answer.body)["message"]


@pytest.mark.gen_test
async def test_a_token_becomes_a_cookie_that_lets_its_user_in(running):
    answer = await sign_in(running, f" {running.token}\n")
    assert (answer.status, bytes(answer.body)) == (204, b"")
    assert answer.header("Set-Cookie") == SET.format(running.token)
    assert answer.header("Cache-Control") == "no-store"
    cookie = answer.header("Set-Cookie").partition(";")[0]
    assert (await running.get(LIST, {"Cookie": cookie}))[0] == 200


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.gen_test
async def test_the_cookie_is_for_tls_alone_when_the_page_came_by_tls(running, scheme):
    answer = await sign_in(
        running, running.token, JSON | {"Sec-Fetch-Site": "same-origin", "Origin": f"{scheme}://bridge"}
    )
    assert answer.header("Set-Cookie") == SET.format(running.token) + ("; Secure" if scheme == "https" else "")


@pytest.mark.parametrize(("scheme", "status"), [("http", 403), ("https", 204)])
@pytest.mark.bridge(trusted_proxies=(ip_network("127.0.0.0/8"),))
@pytest.mark.gen_test
async def test_behind_tls_the_page_of_the_same_host_without_tls_is_another_site(running, scheme, status):
    headers = JSON | {"X-Forwarded-Proto": "https", "Origin": f"{scheme}://bridge"}
    assert (await sign_in(running, running.token, headers)).status == status


@pytest.mark.parametrize("token", [UNKNOWN, "", "nonsense", "a" * 1000])
@pytest.mark.gen_test
async def test_a_token_that_is_none_sets_no_cookie(running, token):
    answer = await sign_in(running, token)
    assert message(answer) == (401, UNRECOGNISED)
    assert answer.header("Set-Cookie") is None


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({}, b'{"token": "x"}', 415),
        ({"Content-Type": "text/plain"}, b'{"token": "x"}', 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, b"token=x", 415),
        (JSON, b"", 400),
        (JSON, b"\xff", 400),
        (JSON, b'"x"', 400),
        (JSON, b'{"token": 1}', 400),
        (JSON, b'{"token": null}', 400),
    ],
)
@pytest.mark.gen_test
async def test_what_a_form_of_another_site_could_send_is_not_taken(running, headers, body, status):
    client = await running.client()
    assert message(await client.request("POST", PATH, headers, body)) == (status, NOT_JSON)


@pytest.mark.gen_test
async def test_the_media_type_may_have_parameters(running):
    answer = await sign_in(running, running.token, {"Content-Type": "Application/JSON; charset=utf-8"})
    assert answer.status == 204


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}])
@pytest.mark.gen_test
async def test_another_sites_page_can_sign_nobody_in_or_out(running, headers):
    for answer in (await sign_in(running, running.token, JSON | headers), await sign_out(running, headers)):
        assert message(answer) == (403, FOREIGN)
        assert answer.header("Set-Cookie") is None


@pytest.mark.gen_test
async def test_signing_out_takes_the_cookie_away(running):
    answer = await sign_out(running, {"Cookie": f"coder_session_token={running.token}"})
    assert (answer.status, bytes(answer.body)) == (204, b"")
    value, expires, *rest = answer.header("Set-Cookie").split("; ")
    assert (value, rest) == ('coder_session_token=""', ["HttpOnly", "Path=/", "SameSite=Strict"])
    assert parsedate_to_datetime(expires.removeprefix("expires=")) < now()


@pytest.mark.gen_test
async def test_an_address_has_so_many_attempts_in_a_minute(running):
    for _ in range(MAX_ATTEMPTS):
        assert (await sign_in(running, UNKNOWN)).status == 401
    refused = await sign_in(running, running.token)
    assert message(refused) == (429, TOO_MANY)
    assert 1 <= int(refused.header("Retry-After")) <= 60
    assert (await running.get(LIST))[0] == 200


@pytest.mark.gen_test
async def test_a_large_body_is_refused_before_it_is_read(running):
    client = await running.client()
    await client.send_raw(
        f"POST {PATH} HTTP/1.1\r\nHost: bridge\r\nContent-Type: application/json\r\n"
        f"Content-Length: {MAX_BODY_BYTES + 1}\r\n\r\n".encode()
    )
    answer = await client.rest(await client.head())
    assert (answer.status, json.loads(answer.body)) == (
        413,
        {"message": f"The request cannot be read: its body is larger than {MAX_BODY_BYTES} bytes."},
    )
    assert await client.at_end() == b""


class TestWithoutTheDatabase:
    @pytest.fixture
    def database(self, private_database):
        return private_database

    @pytest.mark.gen_test
    async def test_who_signs_in_is_told_to_wait(self, running, private_mongodb):
        private_mongodb.freeze()
        try:
            answer = await sign_in(running, running.token)
            assert message(answer) == (503, IDENTITIES_AWAY)
            assert answer.header("Retry-After") == "1"
        finally:
            private_mongodb.thaw()


@pytest.mark.parametrize("site", ["same-site", "cross-site"])
@pytest.mark.parametrize("path", [LIST, "/api/v2/aibridge/openai/v1/chat/completions"])
@pytest.mark.gen_test
async def test_a_cookie_lets_no_other_sites_page_in(running, path, site):
    """Pages on other ports of a host are of the same site: their requests have the cookie, `SameSite` or not."""
    cookie = {"Cookie": f"coder_session_token={running.token}", "Sec-Fetch-Site": site, "Content-Type": "text/plain"}
    client = await running.client()
    body = json.dumps({"model": "gpt-5", "messages": []}).encode()
    answer = await client.request("GET" if path == LIST else "POST", path, cookie, b"" if path == LIST else body)
    assert answer.status == 401
    assert running.upstream.requests == []
