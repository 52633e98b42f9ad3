"""Signing in at the certified provider of npm, as a browser does."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass
from ipaddress import ip_network
from urllib.parse import parse_qs, urlencode, urlsplit
from urllib.request import urlopen
from uuid import uuid4

import pytest

from handlers.api.sign_in.devices import GRANT_TYPE
from handlers.api.sign_in.sign_in import SIGN_OUT_HEADER
from handlers.api.sign_in.single_sign_on import BEGIN, CALLBACK, NO_PROVIDER
from storage.accounts.audit import COMMAND_LINE
from storage.accounts.users import Role
from tests.bridge import Running
from tests.openid_provider.process import CLIENT_ID, CLIENT_SECRET, OpenIDProviderProcess

API = "/api/v2/aibridge"


@pytest.fixture
def bridge_settings(bridge_settings, openid_provider):
    return {
        "oidc_issuer_url": openid_provider.issuer,
        "oidc_client_id": CLIENT_ID,
        "oidc_client_secret": CLIENT_SECRET,
    } | bridge_settings


@dataclass
class Browser:
    """A browser that begins a sign-in and comes back from the provider."""

    running: Running
    provider: OpenIDProviderProcess
    cookies: dict

    async def get(self, path, headers=()):
        cookie = (
            {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())} if self.cookies else {}
        )
        response = await self.running.request("GET", path, cookie | dict(headers))
        for name, value in response.headers:
            if name == "Set-Cookie":
                key, _, rest = value.partition("=")
                kept = rest.partition(";")[0]
                self.cookies.pop(key, None)
                if kept != '""':
                    self.cookies[key] = kept
        return response

    async def begin(self, query="", headers=()):
        response = await self.get(BEGIN + query, headers)
        assert response.status == 303
        return response.header("Location")

    async def sign_in(self, login, query="", headers=()):
        back = urlsplit(self.provider.sign_in(await self.begin(query, headers), login))
        return await self.get(f"{back.path}?{back.query}", headers)

    async def me(self):
        response = await self.get(f"{API}/users/me", {"Sec-Fetch-Site": "same-origin"})
        return response.status, json.loads(response.body)


@pytest.fixture
def browser(running, openid_provider):
    return Browser(running, openid_provider, {})


@pytest.fixture
def person(openid_provider):
    """Somebody whom the provider knows since this test."""

    def know(**claims):
        name = claims.pop("login", f"p{uuid4().hex[:12]}")
        known = {"email": f"{name}@example.com", "email_verified": True, "name": "Grace H."} | claims
        openid_provider.know(**{name: known})
        return name

    return know


def where(response):
    return response.status, response.header("Location")


async def audited(running):
    trail = await running.bridge.database.audit.find({"actor.username": "single sign-on"}).sort("at").to_list(None)
    return [(one["action"], one["subject"] and one["subject"]["username"], one["detail"]) for one in trail]


async def test_who_signs_in_is_a_member_with_a_session_that_ends_with_sign_out(
    browser, running, person, openid_provider
):
    # who signs in first becomes a member with a session
    login = person()
    response = await browser.sign_in(login, "?view=interceptions%3Fq%3Dmodel%253Ademo")
    assert where(response) == (303, "/#/interceptions?q=model%3Ademo")
    status, me = await browser.me()
    assert (status, me["username"], me["name"], me["role"]) == (200, f"{login}@example.com", "Grace H.", "member")
    (session,) = (await running.get(f"{API}/users/{me['id']}/sessions"))[1]["results"]
    assert (session["token_id"], session["method"], session["client_ip"]) == (None, "openid", "127.0.0.1")
    issuer = openid_provider.issuer
    assert await audited(running) == [
        ("user.added", me["username"], {"role": "member", "name": "Grace H.", "issuer": issuer})
    ]
    assert list(browser.cookies) == ["aibridge_session"]
    await running.afresh("sign_in_sessions")
    browser.cookies = {}
    # who comes again is the same user whatever their name is now
    login = person()
    await browser.sign_in(login)
    _, first = await browser.me()
    person(login=login, email="another@example.com")
    assert where(await browser.sign_in(login)) == (303, "/#/")
    assert (await browser.me())[1]["id"] == first["id"]
    assert await running.bridge.database.users.count_documents({"openid": {"$exists": True}}) == 1
    assert await running.bridge.database.sign_in_sessions.count_documents({}) == 1  # the one before was replaced
    await running.afresh("sign_in_sessions")
    browser.cookies = {}
    # signing out ends a session without a token
    await browser.sign_in(person())
    cookie = {"Cookie": f"aibridge_session={browser.cookies['aibridge_session']}", "Sec-Fetch-Site": "same-origin"}
    assert (await running.request("DELETE", f"{API}/users/me/session", cookie)).status == 204
    assert (await running.get(f"{API}/users/me", cookie))[0] == 401
    assert await running.bridge.database.sign_in_sessions.count_documents({}) == 0


async def test_a_session_without_a_token_does_what_others_do_and_ends_with_its_user(browser, running, person):
    # a session without a token makes tokens and reads policies
    await browser.sign_in(person())
    headers = {"Cookie": f"aibridge_session={browser.cookies['aibridge_session']}", "Sec-Fetch-Site": "same-origin"}
    made = await running.request(
        "POST", f"{API}/users/me/tokens", headers | {"Content-Type": "application/json"}, b'{"name": "laptop"}'
    )
    assert made.status == 201
    token = json.loads(made.body)["token"]
    assert (await running.get(f"{API}/users/me", {"Authorization": f"Bearer {token}"}))[0] == 200
    for path in ("users/me/tokens", "users/me/policy", "stats", "interceptions"):
        assert (await running.get(f"{API}/{path}", headers))[0] == 200, path
    await running.afresh("sign_in_sessions")
    browser.cookies = {}
    # a session ends with its user
    login = person()
    await browser.sign_in(login)
    await running.bridge.identities.remove_user(f"{login}@example.com")
    assert (await browser.me())[0] == 401
    assert where(await browser.sign_in(login)) == (303, "/#/sign-in-refused/removed")
    await running.afresh("sign_in_sessions")
    browser.cookies = {}
    # without the setting nobody is and no id token is kept
    await browser.sign_in(person())
    (session,) = await running.bridge.database.sign_in_sessions.find().to_list(None)
    assert "id_token" not in session
    assert await sign_out(browser, running) is None


async def test_how_a_sign_in_begins_and_where_a_browser_is_sent(browser, openid_provider, running, person):
    # the request to the provider has pkce state and nonce
    url = urlsplit(await browser.begin())
    requested = {name: value for name, (value,) in parse_qs(url.query).items()}
    assert f"{url.scheme}://{url.netloc}{url.path}" == f"{openid_provider.issuer}/auth"
    assert {name: requested.pop(name) for name in ("response_type", "client_id", "redirect_uri", "scope")} == {
        "response_type": "code",
        "client_id": CLIENT_ID,
        "redirect_uri": f"http://bridge{CALLBACK}",
        "scope": "openid profile email",
    }
    assert requested.pop("code_challenge_method") == "S256"
    assert sorted(requested) == ["code_challenge", "nonce", "state"]
    assert all(re.fullmatch("[A-Za-z0-9_-]{43}", value) for value in requested.values())
    again = parse_qs(urlsplit(await browser.begin()).query)
    assert all(again[name] != [value] for name, value in requested.items())
    await running.afresh("sign_in_sessions")
    browser.cookies = {}
    # who leaves the provider without signing in is told so
    assert where(await browser.sign_in("")) == (303, "/#/sign-in-refused/cancelled")
    assert browser.cookies == {}
    await running.afresh("sign_in_sessions")
    browser.cookies = {}
    # how one may sign in is told to anybody
    assert await running.get(f"{API}/sign-in", {}) == (
        200,
        {"token": True, "openid": {"name": "127.0.0.1", "path": BEGIN}},
    )
    await running.afresh("sign_in_sessions")
    browser.cookies = {}
    # whatever view is wanted the browser stays on this server
    somebody = person()
    evil = ("//evil.example", "x\r\nSet-Cookie:a=b", "a" * 513)
    for view in evil:
        response = await browser.sign_in(somebody, "?" + urlencode({"view": view}))
        assert response.status == 303, view
        assert response.header("Location").startswith("/#/"), view
        assert len(response.header("Location")) < 600, view


@pytest.mark.bridge(trusted_proxies=(ip_network("127.0.0.0/8"),))
async def test_over_tls_every_cookie_is_one_that_no_other_host_can_set(browser, person):
    by_tls = {"X-Forwarded-Proto": "https"}
    response = await browser.get(BEGIN, by_tls)
    (flow,) = [value for name, value in response.headers if name == "Set-Cookie"]
    assert re.sub("=[^;]+", "=..", flow, count=1) == (
        "__Host-aibridge_sign_in=..; HttpOnly; Max-Age=600; Path=/; SameSite=Lax; Secure"
    )
    assert where(await browser.sign_in(person(), headers=by_tls)) == (303, "/#/")
    assert list(browser.cookies) == ["__Host-aibridge_session"]


async def test_an_answer_of_the_provider_is_good_once_unchanged_and_for_an_allowed_name(
    browser, running, person, openid_provider
):
    # an answer that was changed signs nobody in
    somebody = person()
    for change, why in (
        (("state=", "state=x"), "ended"),
        (("code=", "code=x"), "provider"),
        (("code=", "kode="), "provider"),
        (("iss=http", "iss=https"), "provider"),
        (("iss=", "is="), "provider"),
        (("state=", "code=2&state="), "ended"),
    ):
        back = urlsplit(browser.provider.sign_in(await browser.begin(), somebody))
        assert change[0] in back.query
        response = await browser.get(f"{back.path}?{back.query.replace(*change)}")
        assert where(response) == (303, f"/#/sign-in-refused/{why}"), change
        assert await running.bridge.database.sign_in_sessions.count_documents({}) == 0, change
    await running.afresh("sign_in_sessions")
    browser.cookies = {}
    # an answer is good once and in one browser
    back = urlsplit(openid_provider.sign_in(await browser.begin(), person()))
    path = f"{back.path}?{back.query}"
    other = Browser(running, openid_provider, {})
    assert where(await other.get(path)) == (303, "/#/sign-in-refused/ended")
    await other.begin()
    assert where(await other.get(path)) == (303, "/#/sign-in-refused/ended")
    kept = dict(browser.cookies)
    assert where(await browser.get(path)) == (303, "/#/")
    browser.cookies = kept
    assert where(await browser.get(path)) == (303, "/#/sign-in-refused/provider")
    assert await running.bridge.database.sign_in_sessions.count_documents({}) == 1
    await running.afresh("sign_in_sessions")
    browser.cookies = {}
    # a user who was there before is taken by nobody else
    login = person()
    await running.bridge.identities.add_user(f"{login}@EXAMPLE.com", role=Role.OWNER)
    assert where(await browser.sign_in(login)) == (303, "/#/sign-in-refused/name_taken")
    await running.afresh("sign_in_sessions")
    browser.cookies = {}
    # a name that cannot be one is refused
    for claims, why in (
        ({"email": "a b@example.com"}, "name_not_allowed"),
        ({"email": "me"}, "name_not_allowed"),
        ({"email": ""}, "not_allowed"),
        ({"email_verified": False}, "not_allowed"),
        ({"email_verified": "false"}, "not_allowed"),
        ({"email_verified": None}, "not_allowed"),
    ):
        assert where(await browser.sign_in(person(**claims))) == (303, f"/#/sign-in-refused/{why}"), claims


@pytest.mark.bridge(authentication_failure_limit=2)
async def test_an_address_that_fails_too_often_waits_and_no_other_page_can_make_it_fail(browser, running, person):
    for number, headers in enumerate(({}, {"Sec-Fetch-Site": "cross-site"}) * 2):
        image = await running.request("GET", f"{CALLBACK}?code=x{number}&state=y", headers)
        assert where(image) == (303, "/#/sign-in-refused/ended")
        form = await running.request(
            "POST",
            f"{API}/device/token",
            {"Origin": "https://evil.example", "Content-Type": "application/x-www-form-urlencoded"},
            urlencode({"grant_type": GRANT_TYPE, "device_code": f"guess{number}"}).encode(),
        )
        assert (form.status, json.loads(form.body)["error"]) == (400, "expired_token")
    for why in ("not_allowed", "not_allowed", "too_many"):
        unverified = person(email_verified=False)
        assert where(await browser.sign_in(unverified)) == (303, f"/#/sign-in-refused/{why}")


@pytest.mark.bridge(oidc_link_users=True)
async def test_users_are_linked_by_name_where_that_is_set(browser, running, person):
    # where users are linked one who was there before is who has the name
    login = person()
    user = await running.bridge.identities.add_user(f"{login}@example.com", role=Role.AUDITOR)
    assert where(await browser.sign_in(login)) == (303, "/#/")
    assert (await browser.me())[1]["id"] == str(user.id)
    impostor = person(email=f"{login}@example.com")
    assert where(await browser.sign_in(impostor)) == (303, "/#/sign-in-refused/name_taken")
    await running.afresh("sign_in_sessions")
    browser.cookies = {}
    # a removed user whom an owner adds again gets in again
    login, identities = person(), running.bridge.identities
    await browser.sign_in(login)
    await identities.remove_user(f"{login}@example.com", author=COMMAND_LINE)
    await identities.add_user(f"{login}@example.com", role=Role.MEMBER)
    assert where(await browser.sign_in(login)) == (303, "/#/")


@pytest.mark.bridge(oidc_allowed_domains=("example.com",))
async def test_only_allowed_domains_get_in(browser, running, person):
    assert where(await browser.sign_in(person())) == (303, "/#/")
    for email in ("x@example.com.evil.example", "example.com", "x@sub.example.com"):
        assert where(await browser.sign_in(person(email=email))) == (303, "/#/sign-in-refused/not_allowed")


async def groups_of(running, name):
    person = (await running.get(f"{API}/users/{name}"))[1]
    return sorted(group["name"] for group in person["groups"])


@pytest.mark.bridge(oidc_group_claim="groups")
async def test_groups_follow_the_claim_and_leave_other_memberships_alone(browser, running, person):
    groups = running.bridge.groups
    for name in ("research", "staff", "by-hand", "both"):
        await groups.add(name)
    login = person(groups=["Research", "/staff", "unknown", "everyone", "both"])
    name = f"{login}@example.com"
    await browser.sign_in(login)
    assert await groups_of(running, name) == ["both", "research", "staff"]
    await groups.add_members("by-hand", [name])
    person(login=login, groups=["staff"])
    await browser.sign_in(login)
    assert await groups_of(running, name) == ["by-hand", "staff"]
    person(login=login)
    await browser.sign_in(login)
    assert await groups_of(running, name) == ["by-hand"]
    changes = [(action, detail["group"]) for action, _, detail in await audited(running) if "member" in action]
    assert sorted(changes) == sorted(
        [
            *(("group.member_added", group) for group in ("both", "research", "staff")),
            *(("group.member_removed", group) for group in ("both", "research", "staff")),
        ]
    )


@pytest.mark.bridge(oidc_group_claim="groups", oidc_create_groups=True)
async def test_groups_are_made_where_that_is_wanted(browser, running, person):
    login = person(groups=["new-one", "New-One", "not allowed", "everyone"])
    await browser.sign_in(login)
    assert await groups_of(running, f"{login}@example.com") == ["new-one"]
    assert (await running.get(f"{API}/groups"))[1]["count"] == 1


@pytest.mark.bridge(
    oidc_group_claim="groups", oidc_role_mapping=(("admins", "owner"), ("security", "auditor"), ("bi", "reader"))
)
async def test_roles_follow_the_claim_and_the_first_of_the_mapping_counts(browser, running, person):
    login = person(groups=["security", "admins"])
    for groups, role in (
        (["security", "admins"], "owner"),
        (["security"], "auditor"),
        (["bi"], "reader"),
        ([], "member"),
    ):
        person(login=login, groups=groups)
        await browser.sign_in(login)
        assert (await browser.me())[1]["role"] == role


@pytest.mark.bridge(oidc_group_claim="groups", oidc_role_mapping=(("admins", "owner"),))
@pytest.mark.expects_log("stays the only owner")
async def test_the_only_owner_stays_one_whatever_the_claims_say(browser, running, person):
    login = person(groups=["admins"])
    await browser.sign_in(login)
    await running.bridge.identities.remove_user("ada")
    person(login=login, groups=[])
    await browser.sign_in(login)
    assert (await browser.me())[1]["role"] == "owner"


class TestWithoutAProvider:
    @pytest.fixture
    def bridge_settings(self):
        return {}

    async def test_there_is_nothing_to_begin(self, running):
        assert await running.get(f"{API}/sign-in", {}) == (200, {"token": True, "openid": None})
        for path in (BEGIN, CALLBACK):
            assert await running.get(path, {}) == (404, {"message": NO_PROVIDER})


class TestWithAnUnavailableProvider:
    @pytest.fixture
    def bridge_settings(self):
        return {"oidc_issuer_url": "http://127.0.0.1:9", "oidc_client_id": CLIENT_ID}

    @pytest.mark.expects_log("WARNING .* sign-in refused: reason=unavailable")
    async def test_who_wants_to_sign_in_is_told_so(self, running, browser):
        assert where(await browser.get(BEGIN)) == (303, "/#/sign-in-refused/unavailable")


def fetch(url):
    with urlopen(url) as response:
        return response.status, response.read()


async def sign_out(browser, running):
    cookie = {"Cookie": f"aibridge_session={browser.cookies['aibridge_session']}", "Sec-Fetch-Site": "same-origin"}
    response = await running.request("DELETE", f"{API}/users/me/session", cookie)
    assert response.status == 204
    return response.header(SIGN_OUT_HEADER)


@pytest.mark.bridge(oidc_sign_out=True)
async def test_who_signs_out_is_led_to_the_provider_which_knows_them_and_the_way_back(
    browser, running, person, openid_provider
):
    await browser.sign_in(person())
    (session,) = await running.bridge.database.sign_in_sessions.find().to_list(None)
    url = urlsplit(await sign_out(browser, running))
    assert f"{url.scheme}://{url.netloc}" == openid_provider.issuer
    requested = parse_qs(url.query)
    assert requested == {
        "id_token_hint": [session["id_token"]],
        "client_id": [CLIENT_ID],
        "post_logout_redirect_uri": ["http://bridge/"],
    }
    status, page = await asyncio.to_thread(fetch, url.geturl())  # the provider takes it, and asks whether to sign out
    assert (status, b"logout" in page) == (200, True)
