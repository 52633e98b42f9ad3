import asyncio
import json
from datetime import timedelta
from email.utils import parsedate_to_datetime
from ipaddress import ip_network

import pytest

from handlers.api.sign_in.sign_in import CODE_OVER, FOREIGN, NOT_JSON, TOKEN_OFF, SmallBodyHandler
from handlers.base import IDENTITIES_UNAVAILABLE, SESSION_ENDED, UNIDENTIFIED, UNRECOGNISED
from handlers.operations.handler import PROXY_REFUSED
from runtime.process import now
from storage.accounts.audit import COMMAND_LINE
from storage.accounts.sign_in.single_sign_on import Refused
from storage.accounts.token_texts import digest, split_token
from storage.accounts.users import Role
from tests.handlers.conversations import MESSAGES

PATH = "/api/v2/aibridge/users/me/session"
LIST = "/api/v2/aibridge/interceptions"
JSON = {"Content-Type": "application/json"}
UNKNOWN = "abcdefghij-0123456789abcdefghijkl"
SET = "aibridge_session={}; HttpOnly; Path=/; SameSite=Strict"
SET_BY_TLS = "__Host-aibridge_session={}; HttpOnly; Path=/; SameSite=Strict; Secure"
OWN_PAGE = {"Sec-Fetch-Site": "same-origin"}


async def sign_in(running, token, headers=JSON):
    return await running.request("POST", PATH, headers, json.dumps({"token": token}).encode())


async def sign_out(running, headers):
    return await running.request("DELETE", PATH, headers)


def message(response):
    return response.status, json.loads(response.body)["message"]


def session_in(response):
    name, _, value = response.header("Set-Cookie").partition(";")[0].partition("=")
    assert split_token(value)
    return name, value


async def status_with(running, cookie):
    return (await running.get(LIST, {"Cookie": cookie}))[0]


async def test_a_session_is_a_cookie_is_no_token_and_ends_with_sign_out_or_the_next(running):
    # who signs in gets a session in a cookie and not the token
    response = await sign_in(running, f" {running.token}\n")
    assert (response.status, bytes(response.body)) == (204, b"")
    name, session = session_in(response)
    assert response.header("Set-Cookie") == SET.format(session)
    assert response.header("Cache-Control") == "no-store"
    assert await status_with(running, f"{name}={session}") == 200
    (kept,) = await running.bridge.database.sign_in_sessions.find().to_list(None)
    assert session.partition("-")[2] not in str(kept)
    assert (kept["_id"], kept["secret_sha256"]) == (session[:10], digest(session.partition("-")[2]))
    await running.afresh("sign_in_sessions")
    # neither is a token a session nor a session a token
    name, session = session_in(await sign_in(running, running.token))
    for _ in range(2):  # the second time from memory
        for cookie in (f"{name}={running.token}", f"coder_session_token={running.token}"):
            assert await status_with(running, cookie) == 401
        assert await status_with(running, f"{name}={session}") == 200
        for header in ("Coder-Session-Token", "X-Api-Key", "X-Coder-AI-Governance-Token"):
            assert (await running.get(LIST, {header: session}))[0] == 401
        assert (await running.get(LIST, {"Authorization": f"Bearer {session}"}))[0] == 401
    assert (await sign_in(running, session)).status == 401
    await running.afresh("sign_in_sessions")
    # signing out ends the session and takes both cookies away
    name, session = session_in(await sign_in(running, running.token))
    cookie = {"Cookie": f"{name}={session}"}
    assert await status_with(running, f"{name}={session}") == 200
    response = await sign_out(running, cookie)
    assert (response.status, bytes(response.body)) == (204, b"")
    cleared = [value.split("; ") for header, value in response.headers if header == "Set-Cookie"]
    assert [(name, rest) for name, _, *rest in cleared] == [
        ('aibridge_session=""', ["HttpOnly", "Path=/", "SameSite=Strict"]),
        ('__Host-aibridge_session=""', ["HttpOnly", "Path=/", "SameSite=Strict", "Secure"]),
    ]
    assert all(parsedate_to_datetime(expires.removeprefix("expires=")) < now() for _, expires, *_ in cleared)
    status, body = await running.get(LIST, cookie)
    assert (status, body) == (401, {"message": SESSION_ENDED})
    assert await running.bridge.database.sign_in_sessions.count_documents({}) == 0
    assert (await running.get(LIST))[0] == 200
    assert (await sign_out(running, cookie)).status == 204
    await running.afresh("sign_in_sessions")
    # signing in again ends the session before
    first = await running.signed_in()
    assert (await sign_in(running, running.token, JSON | first)).status == 204
    assert (await running.get(LIST, first))[0] == 401
    assert await running.bridge.database.sign_in_sessions.count_documents({}) == 1
    await running.afresh("sign_in_sessions")
    # a cookie lets no other sites page in
    cookie = await running.signed_in()
    for site in ("same-site", "cross-site"):
        assert (await running.get(LIST, cookie | {"Sec-Fetch-Site": site}))[0] == 401, site


async def test_what_is_no_token_or_comes_from_elsewhere_signs_nobody_in(running):
    # over tls the cookie is one that no other host can set
    for scheme, cookie in (("http", SET), ("https", SET_BY_TLS)):
        response = await sign_in(running, running.token, JSON | OWN_PAGE | {"Origin": f"{scheme}://bridge"})
        assert response.header("Set-Cookie") == cookie.format(session_in(response)[1])
    await running.afresh()
    # a token that is none sets no cookie
    for token in (UNKNOWN, "", "nonsense", "a" * 1000):
        response = await sign_in(running, token)
        assert (*message(response), response.header("Set-Cookie")) == (401, UNRECOGNISED, None), token
    await running.afresh()
    # what a form of another site could send is not taken
    client = await running.client()
    for headers, body, status in (
        ({}, b'{"token": "x"}', 415),
        ({"Content-Type": "text/plain"}, b'{"token": "x"}', 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, b"token=x", 415),
        (JSON, b"", 400),
        (JSON, b"\xff", 400),
        (JSON, b'"x"', 400),
        (JSON, b'{"token": 1}', 400),
        (JSON, b'{"token": null}', 400),
        (JSON, b'{"x": ' + b"[" * 4000, 400),
    ):
        response = await client.request("POST", PATH, headers, body)
        assert message(response) == (status, NOT_JSON), (headers, body)
    await running.afresh()
    # the media type may have parameters
    response = await sign_in(running, running.token, {"Content-Type": "Application/JSON; charset=utf-8"})
    assert response.status == 204
    await running.afresh()
    # another sites page can sign nobody in or out
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
        for response in (await sign_in(running, running.token, JSON | headers), await sign_out(running, headers)):
            assert (*message(response), response.header("Set-Cookie")) == (403, FOREIGN, None), headers
    await running.afresh()
    # a large body is refused before it is read
    client = await running.client()
    await client.send_raw(
        f"POST {PATH} HTTP/1.1\r\nHost: bridge\r\nContent-Type: application/json\r\n"
        f"Content-Length: {SmallBodyHandler.MAX_BODY_BYTES + 1}\r\n\r\n".encode()
    )
    response = await client.rest(await client.head())
    assert (response.status, json.loads(response.body)) == (
        413,
        {"message": f"The request cannot be read: its body is larger than {SmallBodyHandler.MAX_BODY_BYTES} bytes."},
    )
    assert await client.at_end() == b""


@pytest.mark.bridge(trusted_proxies=(ip_network("127.0.0.0/8"),))
async def test_behind_tls_cookies_and_pages_count_that_nobody_else_could_have_made(running):
    # over tls no cookie counts that another host could have set
    by_tls = {"X-Forwarded-Proto": "https"}
    response = await sign_in(running, running.token, JSON | by_tls)
    name, session = session_in(response)
    assert name == "__Host-aibridge_session"
    assert (await running.get(LIST, by_tls | {"Cookie": f"{name}={session}"}))[0] == 200
    assert (await running.get(LIST, by_tls | {"Cookie": f"aibridge_session={session}"}))[0] == 401
    assert (await running.get(LIST, {"Cookie": f"aibridge_session={session}"}))[0] == 200
    await running.afresh()
    # behind tls the page of the same host without tls is another site
    for scheme, status in (("http", 403), ("https", 204)):
        headers = JSON | {"X-Forwarded-Proto": "https", "Origin": f"{scheme}://bridge"}
        assert (await sign_in(running, running.token, headers)).status == status


@pytest.mark.bridge(authentication_failure_limit=2)
async def test_who_shares_an_address_with_a_guesser_still_signs_in(running):
    for status in (401, 401, 429, 429):
        assert (await sign_in(running, UNKNOWN)).status == status
    for _ in range(3):
        name, session = session_in(await sign_in(running, running.token))
        assert await status_with(running, f"{name}={session}") == 200
    assert await status_with(running, f"{name}={UNKNOWN}") == 429
    assert await status_with(running, f"{name}={running.token}") == 429


class TestWithoutTheDatabase:
    @pytest.fixture
    def database(self, private_database):
        return private_database

    async def test_who_signs_in_is_told_to_wait_and_who_signs_out_that_the_session_stays(
        self, running, private_mongodb
    ):
        cookie = await running.signed_in()
        private_mongodb.freeze()
        try:
            signed_in, response = await asyncio.gather(sign_in(running, running.token), sign_out(running, cookie))
            assert message(signed_in) == (503, IDENTITIES_UNAVAILABLE)
            assert signed_in.header("Retry-After") == "1"
            assert (*message(response), response.header("Set-Cookie")) == (503, IDENTITIES_UNAVAILABLE, None)
        finally:
            private_mongodb.thaw()


async def sign_in_with_code(running, code, headers=JSON):
    return await running.request("POST", PATH, headers, json.dumps({"code": code}).encode())


async def test_a_code_signs_in_once_and_as_long_as_its_token(running):
    # a code signs in once as its token does
    code = await running.bridge.sign_ins.create_code(running.identity)
    name, session = session_in(await sign_in_with_code(running, code))
    assert await status_with(running, f"{name}={session}") == 200
    again = await sign_in_with_code(running, code)
    assert (*message(again), again.header("Set-Cookie")) == (401, CODE_OVER, None)
    assert await status_with(running, f"{name}={code}") == 401
    assert (await running.get(LIST, {"Authorization": f"Bearer {code}"}))[0] == 401
    await running.afresh()
    # a code does not outlive its token and another sites page uses up none
    code = await running.bridge.sign_ins.create_code(running.identity)
    foreign = await sign_in_with_code(running, code, JSON | {"Sec-Fetch-Site": "cross-site"})
    assert message(foreign) == (403, FOREIGN)
    await running.bridge.identities.revoke_token(running.identity.token_id)
    assert message(await sign_in_with_code(running, code)) == (401, CODE_OVER)
    await running.afresh()
    # one signs in with a token or with a code
    for body in (b'{"token": "x", "code": "x"}', b"{}", b'{"token": "\xff"}', b'{"code": 1}'):
        assert message(await running.request("POST", PATH, JSON, body)) == (400, NOT_JSON), body


@pytest.mark.bridge(authentication_failure_limit=2)
async def test_codes_are_not_guessed_for_long(running):
    assert [(await sign_in_with_code(running, UNKNOWN)).status for _ in range(4)] == [401, 401, 429, 429]


class TestWithoutLocalSignIn:
    @pytest.fixture
    def bridge_settings(self):
        return {"local_sign_in": False, "oidc_issuer_url": "https://id.example", "oidc_client_id": "x"}

    async def test_tokens_call_and_do_not_sign_in(self, running):
        response = await sign_in(running, running.token)
        assert message(response) == (403, TOKEN_OFF)
        assert response.header("Set-Cookie") is None
        assert (await running.get(LIST))[0] == 200
        assert (await running.get("/api/v2/aibridge/sign-in", {}))[1]["token"] is False

    async def test_a_link_of_the_command_line_signs_in_once_all_the_same(self, running):
        code = await running.bridge.sign_ins.create_link("Ada")
        response = await running.request("POST", PATH, JSON, json.dumps({"code": code}).encode())
        assert response.status == 204
        name, session = session_in(response)
        assert (await running.get("/api/v2/aibridge/users/me", {"Cookie": f"{name}={session}"}))[1]["username"] == "ada"
        (listed,) = (await running.get("/api/v2/aibridge/users/me/sessions"))[1]["results"]
        assert (listed["token_id"], listed["method"]) == (None, "link")
        again = await running.request("POST", PATH, JSON, json.dumps({"code": code}).encode())
        assert message(again) == (401, CODE_OVER)
        (made,) = await running.bridge.database.audit.find({"action": "sign_in_link.created"}).to_list(None)
        assert (made["actor"]["username"], made["subject"]["username"]) == (COMMAND_LINE.name, "ada")

    async def test_a_link_of_a_removed_user_signs_nobody_in(self, running):
        await running.user("grace")
        code = await running.bridge.sign_ins.create_link("grace")
        await running.bridge.identities.remove_user("grace")
        response = await running.request("POST", PATH, JSON, json.dumps({"code": code}).encode())
        assert message(response) == (401, CODE_OVER)


USERS = "/api/v2/aibridge/users"
ME = f"{USERS}/me"
SESSIONS = f"{ME}/sessions"
HOUR = timedelta(hours=1)


async def send(running, method, path, headers):
    response = await running.request(method, path, headers)
    return response.status, json.loads(response.body or b"null")


async def listed(running, headers, path=SESSIONS):
    status, body = await running.get(path, headers)
    assert status == 200, body
    assert body["count"] == len(body["results"])
    return body["results"]


async def test_a_user_sees_their_sessions_and_one_that_is_ended_lets_nobody_in(running):
    # a user sees where they are signed in and which one this is
    first, second = await running.signed_in(), await running.signed_in()
    sessions = {one["id"]: one for one in await listed(running, first)}
    assert len(sessions) == 2
    here = sessions[first["Cookie"].partition("=")[2][:10]]
    assert here == {
        "id": here["id"],
        "token_id": running.identity.token_id,
        "method": "token",
        "created_at": here["created_at"],
        "last_used_at": here["created_at"],
        "expires_at": here["expires_at"],
        "client_ip": "127.0.0.1",
        "user_agent": "",
        "current": True,
    }
    assert [one["current"] for one in sessions.values()].count(True) == 1
    assert [one["current"] for one in await listed(running, running.headers)] == [False, False]
    assert {one["id"] for one in await listed(running, second)} == set(sessions)
    await running.afresh("sign_in_sessions")
    # what a browser says of itself is kept in bounds
    headers = {"Content-Type": "application/json", "User-Agent": f"Firefox\xad{running.token} " + "x" * 1000}
    body = json.dumps({"token": running.token}).encode()
    assert (await running.request("POST", f"{ME}/session", headers, body)).status == 204
    (session,) = await listed(running, running.headers)
    assert session["user_agent"] == "Firefox [scrubbed] " + "x" * 237
    await running.afresh("sign_in_sessions")
    # a session that is ended lets nobody in and is not listed
    here, there = await running.signed_in(), await running.signed_in()
    (id_,) = [one["id"] for one in await listed(running, here) if not one["current"]]
    assert await send(running, "DELETE", f"{SESSIONS}/{id_}", here) == (204, None)
    assert await running.get(ME, there) == (401, {"message": SESSION_ENDED})
    assert [one["current"] for one in await listed(running, here)] == [True]
    status, body = await send(running, "DELETE", f"{SESSIONS}/{id_}", here)
    assert (status, body) == (404, {"message": "There is no such session; it may have ended."})


async def test_only_owners_end_the_sessions_of_others_and_that_is_audited(running):
    member, auditor = await running.user("grace"), await running.user("audrey", Role.AUDITOR)
    cookie = await running.signed_in(member["Authorization"].removeprefix("Bearer "))
    path = f"{USERS}/grace/sessions"
    (session,) = await listed(running, auditor, path)
    assert await listed(running, running.headers, path) == [session]
    other = await running.user("mallory")
    assert (await send(running, "GET", path, other))[0] == 403
    for headers in (other, auditor):
        refused = await send(running, "DELETE", f"{path}/{session['id']}", headers)
        assert refused[0] == 403
    assert (await send(running, "DELETE", f"{SESSIONS}/{session['id']}", running.headers))[0] == 404
    assert (await send(running, "DELETE", f"{path}/{session['id']}", running.headers))[0] == 204
    assert (await running.get(ME, cookie))[0] == 401
    _, trail = await running.get("/api/v2/aibridge/audit?limit=1")
    (entry,) = trail["results"]
    assert (entry["action"], entry["actor"]["username"], entry["subject"]["username"]) == (
        "session.ended",
        "ada",
        "grace",
    )
    assert entry["detail"] == {"session_id": session["id"], "token_id": session["token_id"]}


async def test_a_session_ends_with_its_token_or_user_and_follows_its_role(running):
    # a session ends with its token
    _, text = await running.bridge.identities.create_token("ada")
    cookie, other = await running.signed_in(text), await running.signed_in()
    assert (await running.get(ME, cookie))[0] == 200
    await running.bridge.identities.revoke_token(text[:10])
    assert (await running.get(ME, cookie))[0] == 401
    assert [one["current"] for one in await listed(running, other)] == [True]
    await running.afresh("sign_in_sessions")
    # a session ends with its user
    member = await running.user("grace")
    cookie = await running.signed_in(member["Authorization"].removeprefix("Bearer "))
    assert (await running.get(ME, cookie))[0] == 200
    await running.bridge.identities.remove_user("grace")
    assert (await running.get(ME, cookie))[0] == 401
    assert await running.bridge.database.sign_in_sessions.count_documents({}) == 0
    await running.afresh("sign_in_sessions")
    # a changed role counts in a session at once
    await running.bridge.identities.add_user("grace", role=Role.OWNER)
    _, text = await running.bridge.identities.create_token("grace")
    cookie = await running.signed_in(text)
    assert (await running.get(USERS, cookie))[0] == 200
    await running.bridge.identities.change_user("grace", role=Role.MEMBER)
    assert (await running.get(USERS, cookie))[0] == 403
    await running.afresh("sign_in_sessions")
    # what a session changes is audited with the token it was made with
    cookie = await running.signed_in() | {"Content-Type": "application/json"}
    assert (await running.request("POST", f"{ME}/tokens", cookie, b"{}")).status == 201
    _, trail = await running.get("/api/v2/aibridge/audit?limit=1")
    assert trail["results"][0]["actor"]["token_id"] == running.identity.token_id


@pytest.mark.bridge(session_idle_timeout=HOUR, session_lifetime=2 * HOUR)
async def test_sessions_have_the_times_that_are_set(running):
    await running.signed_in()
    (session,) = await running.bridge.database.sign_in_sessions.find().to_list(None)
    assert session["expires_at"] == session["created_at"] + HOUR


API = "/api/v2/aibridge"
HEADER = "Remote-User"
TRUSTED = (ip_network("127.0.0.0/8"),)
ELSEWHERE = (ip_network("192.0.2.0/24"),)
behind = pytest.mark.bridge(auth_proxy_header=HEADER, trusted_proxies=TRUSTED)


@behind
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
async def test_the_header_of_anybody_else_says_nothing(running):
    assert await running.get(ME, {HEADER: "ada"}) == (401, {"message": UNIDENTIFIED})
    headers = {HEADER: "ada", "X-Forwarded-For": "192.0.2.1"}
    assert (await running.get(ME, headers))[0] == 401


@behind
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
