"""Users that a trusted proxy names in a header."""

from __future__ import annotations

import json
from ipaddress import ip_network

import pytest

from handlers.api.control import PROXY_REFUSED
from handlers.base import UNIDENTIFIED
from storage.accounts.audit import COMMAND_LINE
from storage.accounts.sign_in.single_sign_on import Refused
from storage.accounts.users import Role
from tests.handlers.conversations import MESSAGES

API = "/api/v2/aibridge"
ME = f"{API}/users/me"
HEADER = "Remote-User"
TRUSTED = (ip_network("127.0.0.0/8"),)
ELSEWHERE = (ip_network("192.0.2.0/24"),)
behind = pytest.mark.bridge(auth_proxy_header=HEADER, trusted_proxies=TRUSTED)


@behind
@pytest.mark.gen_test
async def test_whom_a_trusted_proxy_names_is_a_user_unless_the_name_cannot_be_one(running):
    # whom the proxy names is a user from then on
    status, me = await running.get(ME, {HEADER: "grace@example.com"})
    assert (status, me["username"], me["role"]) == (200, "grace@example.com", "member")
    assert (await running.get(ME, {HEADER: " GRACE@example.com "}))[1]["id"] == me["id"]
    trail = await running.bridge.database.audit.find({"action": "user.added"}).sort("at").to_list(None)
    assert [one["actor"]["username"] for one in trail] == [COMMAND_LINE.name, "single sign-on"]
    await running.afresh()
    # a user who was there before keeps their role
    await running.bridge.identities.add_user("boss", role=Role.OWNER)
    assert (await running.get(f"{API}/users", {HEADER: "boss"}))[0] == 200
    assert (await running.get(f"{API}/users", {HEADER: "grace"}))[0] == 403
    await running.afresh()
    # no page of another site gets in by the header
    for foreign in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
        assert (await running.get(ME, {HEADER: "ada"} | foreign))[0] == 401
    await running.afresh()
    # a header that comes twice or empty says nothing
    client = await running.client()
    await client.send_raw(f"GET {ME} HTTP/1.1\r\nHost: bridge\r\n{HEADER}: ada\r\n{HEADER}: grace\r\n\r\n".encode())
    response = await client.rest(await client.head())
    assert response.status == 401
    assert (await running.get(ME, {HEADER: " "}))[0] == 401
    await running.afresh()
    # a removed user and a name that is not allowed are refused
    assert (await running.get(ME, {HEADER: "grace"}))[0] == 200
    await running.bridge.identities.remove_user("grace")
    users = f"{API}/users"
    assert await running.get(users, {HEADER: "Grace"}) == (403, {"message": PROXY_REFUSED[Refused.REMOVED]})
    for name in ("a b", "ada, grace", "me", "groups/lab", "3dc9afb2-d8d4-49f1-9cf7-ad523218a70b"):
        assert await running.get(users, {HEADER: name}) == (403, {"message": PROXY_REFUSED[Refused.NAME_NOT_ALLOWED]})
    await running.bridge.identities.add_user("grace", role=Role.MEMBER)
    assert (await running.get(ME, {HEADER: "grace"}))[0] == 200


@pytest.mark.bridge(auth_proxy_header=HEADER, trusted_proxies=ELSEWHERE)
@pytest.mark.gen_test
async def test_the_header_of_anybody_else_says_nothing(running):
    assert await running.get(ME, {HEADER: "ada"}) == (401, {"message": UNIDENTIFIED})
    headers = {HEADER: "ada", "X-Forwarded-For": "192.0.2.1"}
    assert (await running.get(ME, headers))[0] == 401


@behind
@pytest.mark.gen_test
async def test_whom_a_proxy_names_has_tokens_for_calls_which_count_before_the_header(running):
    # a token counts before the header and the header before a session
    session = await running.signed_in()
    assert (await running.get(ME, running.headers | {HEADER: "grace"}))[1]["username"] == "ada"
    assert (await running.get(ME, session | {HEADER: "grace"}))[1]["username"] == "grace"
    assert (await running.get(ME, session))[1]["username"] == "ada"
    await running.afresh()
    # calls to providers need a token and the header does not reach them
    body = MESSAGES.request_body(stream=False)
    json_type = {"Content-Type": "application/json"}
    assert (await running.request("POST", running.path(MESSAGES), json_type | {HEADER: "ada"}, body)).status == 401
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(MESSAGES.body)
    for name in (HEADER, HEADER.upper(), HEADER.replace("-", "_")):
        running.upstream.play(head + MESSAGES.body)
        response = await running.request("POST", running.path(MESSAGES), running.headers | {name: "ada"}, body)
        assert response.status == 200
    seen = {name.lower() for request in running.upstream.requests for name, _ in request.headers}
    assert seen & {"remote-user", "remote_user"} == set()
    await running.afresh()
    # who is named makes tokens like everybody
    headers = {HEADER: "grace", "Content-Type": "application/json", "Sec-Fetch-Site": "same-origin"}
    made = await running.request("POST", f"{API}/users/me/tokens", headers, b"{}")
    assert made.status == 201
    token = json.loads(made.body)["token"]
    assert (await running.get(ME, {"Authorization": f"Bearer {token}"}))[1]["username"] == "grace"
