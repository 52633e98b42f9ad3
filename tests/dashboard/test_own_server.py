"""A server that has keys and a provider to sign in at: the bill, a refused key, and users whom no other test adds."""

import json
from base64 import b64encode
from contextlib import closing
from datetime import date
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest

from storage.accounts.users import Role
from tests.answering import Answer, AnsweringServer
from tests.dashboard.conftest import API, serving
from tests.dashboard.page import PHONE, Page
from tests.dashboard.test_governance_views import is_for_everybody
from tests.openid_provider.process import CALLBACK, CLIENT_ID, CLIENT_SECRET, OpenIDProviderProcess
from tests.polling import poll
from tests.ports import free_ports
from tests.upstream.reports.stand_in import ANTHROPIC_KEY, Entry, StandIn

HEAD = ["2026-09-01", "claude-haiku-5", "0", "8", "+8", "$0", "$0.01", "+$0.01", "differs"]
GRACE = {"email": "grace@example.com", "email_verified": True, "name": "Grace Hopper", "groups": ["research"]}


class Provider:
    """Answers every call with the status that the test wants."""

    def __init__(self):
        self.status = 401
        self._server = AnsweringServer(lambda _: Answer(self.status, {}))
        self.url, self.close = self._server.url, self._server.close


@pytest.fixture(scope="module")
def provider():
    with closing(Provider()) as provider:
        yield provider


def list_models(site, token):
    request = Request(f"{site.url}{API}/openai/v1/models", headers={"Authorization": f"Bearer {token}"})
    try:
        with urlopen(request) as response:
            return json.load(response)
    except HTTPError as error:
        error.close()
        return error.code


@pytest.fixture(scope="module")
def stand_in():
    """A provider that reports."""
    stand_in = StandIn()
    stand_in.start()
    yield stand_in
    stand_in.stop()


@pytest.fixture(scope="module")
def settings(provider, stand_in):
    """The address of the server, which the certified provider of npm has to know, and what else the server is told."""
    (port,) = free_ports(1)
    openid = OpenIDProviderProcess([f"http://127.0.0.1:{port}{CALLBACK}"], {"grace": GRACE})
    yield (
        f"127.0.0.1:{port}",
        {
            "ANTHROPIC_KEY": "sk-ant-x",
            "OPENAI_BASE_URL": f"{provider.url}/v1/",
            "OPENAI_KEY": "sk-proj-0123456789-wxyz",
            "RECONCILE_ANTHROPIC_URL": stand_in.url,
            "RECONCILE_ANTHROPIC_KEY": ANTHROPIC_KEY,
            "ENCRYPTION_KEYS": b64encode(bytes(32)).decode(),
            "OIDC_ISSUER_URL": openid.issuer,
            "OIDC_CLIENT_ID": CLIENT_ID,
            "OIDC_CLIENT_SECRET": CLIENT_SECRET,
            "OIDC_NAME": "Example ID",
            "OIDC_SIGN_OUT": "true",
        },
    )
    openid.close()


@pytest.fixture(scope="module")
def keyed(databases, run_apart, tmp_path_factory, settings):
    """A server with keys. A scripted provider checks one of them, and gives the reports that the server may read."""
    address, named = settings
    environment = {f"AIBRIDGE_{name}": value for name, value in named.items()}
    with serving(databases, run_apart, tmp_path_factory.mktemp("keyed"), address=address, **environment) as site:
        yield site


@pytest.fixture
def page(chromium, keyed):
    page = Page(chromium, keyed.url)
    page.forget()
    yield page
    assert page.complaints() == []


def test_an_owner_compares_with_the_bill_and_sees_why_it_differs(page, keyed, stand_in, axe):
    stand_in.entries = [Entry(date(2026, 9, 1), "claude-haiku-5", 4, 4, 0, 0, "0.01")]
    _, owner = keyed.user(role=Role.OWNER)
    page.open("prices", owner)
    page.click("[aria-label='List'] button", "Bill")
    page.find("h2", "Compare with the bill")
    page.go("bill?provider=anthropic&from=2026-09-01&to=2026-09-03")
    page.find(".toolbar", "0 rows agree, 1 differs, from 2026-09-01 until before 2026-09-03. Of $0.01")
    assert [one.get_attribute("value") for one in page.all("input[type=date]")] == ["2026-09-01", "2026-09-03"]
    assert page.texts(".bill tbody td") == [*HEAD, "calls past the bridge: none of this model is recorded on this day"]
    is_for_everybody(page, axe)
    script = """
        const created = URL.createObjectURL
        URL.createObjectURL = (blob) => { blob.text().then((text) => { window.saved = text }); return created.call(URL, blob) }"""
    page.browser.execute_script(script)
    page.click(".toolbar button", "CSV")
    saved = page.until(lambda: page.browser.execute_script("return window.saved"), "a file was to be made")
    assert saved.splitlines()[1].startswith('"2026-09-01","claude-haiku-5","0","8","8",')
    page.find(".bill tbody")
    stand_in.entries = []
    page.click("form button", "Compare")
    page.find(".toolbar", "Nothing is recorded or reported, from")
    page.refused = ["502", "400", "409"]
    stand_in.refusal = (403, {}, b"")
    page.click("form button", "Compare")
    said = page.find(".failure", "the key may not read reports").text
    assert urlsplit(stand_in.url).netloc in said
    assert ANTHROPIC_KEY not in said
    page.choose("Provider", "OpenAI")
    page.click("form button", "Compare")
    page.find(".failure", "reconcile-openai-key is not set")
    page.go("bill?provider=openai&to=2026-09-01&from=2026-09-02")
    page.find(".failure li", "must be after from")
    page.resize(PHONE)
    assert page.browser.execute_script("return document.documentElement.scrollWidth") == PHONE[0]


def test_a_refused_key_is_told_on_every_view_until_it_is_accepted(page, keyed, provider):
    _, token = keyed.user()
    assert [list_models(keyed, token) for _ in range(2)] == [401, 401]
    page.open("connect", token)
    for view in ("connect", "interceptions"):
        page.go(view)
        said = page.find(".failure").text
        assert said.startswith("openai: key sk-p…wxyz refused (401) since ")
        assert said.endswith("; 2 calls. Setting: openai-key")
    provider.status = 200
    assert list_models(keyed, token) == {}
    poll(lambda: not any(key["refused"] for one in keyed.get(token, "providers/configured") for key in one["keys"]))
    page.open("overview", token)
    page.find("h1", "Overview")
    page.gone(".failure")


def sign_in(page, login):
    page.click("a.primary", "Sign in with Example ID")
    page.find("input[name=login]").send_keys(login)
    page.click("button", "login")


def test_the_provider_signs_a_user_in_who_comes_back_to_the_view_that_was_wanted(page):
    page.refused.append("401")
    page.open("interceptions?q=model%3Ademo")
    sign_in(page, "grace")
    assert page.find(".who").text.endswith("grace@example.com member")
    page.find(".chip", "model:demo")
    (cookie,) = [one for one in page.browser.get_cookies() if one["name"].startswith("aibridge")]
    assert (cookie["name"], cookie["httpOnly"], cookie["sameSite"]) == ("aibridge_session", True, "Strict")
    page.go("tokens")
    page.find(".sign-in", "by single sign-on, signed in")
    page.click("button", "Sign out")
    page.click("button", "Yes, sign me out")  # as the provider asks
    page.click("a.primary", "Sign in with Example ID")
    page.find("input[name=login]")  # the provider does not know the browser any more
