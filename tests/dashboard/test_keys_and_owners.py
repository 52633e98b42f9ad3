"""What needs a server with keys of providers, or with users who are known: one for all of this module."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from selenium.webdriver.common.keys import Keys

from intercept.records import TokenUsage
from storage.accounts.identities import Role
from storage.accounts.user_accounts import LAST_OWNER
from storage.costs.prices import Prices
from tests.dashboard.serving import API, serving
from tests.dashboard.views.accounts.test_users_view import open_user
from tests.docs.pages import page as document
from tests.polling import poll


class Provider(BaseHTTPRequestHandler):
    """Answers every call with the status that the test wants."""

    status = 401

    def do_GET(self):
        self.send_response(self.status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def provider():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def site(databases, run_apart, tmp_path_factory, provider):
    settings = {
        "CODER_AIBRIDGE_ANTHROPIC_KEY": "sk-ant-x",
        "CODER_AIBRIDGE_OPENAI_BASE_URL": f"http://127.0.0.1:{provider.server_port}/v1/",
        "CODER_AIBRIDGE_OPENAI_KEY": "sk-proj-0123456789-wxyz",
    }
    with serving(databases, run_apart, tmp_path_factory.mktemp("site"), **settings) as site:
        yield site


def list_models(site, token):
    request = Request(f"{site.url}{API}/openai/v1/models", headers={"Authorization": f"Bearer {token}"})
    try:
        with urlopen(request) as response:
            return json.load(response)
    except HTTPError as error:
        error.close()
        return error.code


def test_a_refused_key_is_told_on_every_view_until_it_is_accepted(page, site, monkeypatch):
    _, token = site.user()
    assert [list_models(site, token) for _ in range(2)] == [401, 401]
    page.open("overview", token)
    for view in ("overview", "interceptions", "connect"):
        page.go(view)
        said = page.find(".refused-key").text
        assert said.startswith("openai: key sk-p…wxyz refused (401) since ")
        assert said.endswith("; 2 calls. Setting: openai-key")
    monkeypatch.setattr(Provider, "status", 200)
    assert list_models(site, token) == {}
    poll(lambda: site.get(token, "providers/configured")[0]["keys"][0]["refused"] is None)
    page.open("overview", token)
    page.find("h1", "Overview")
    page.gone(".refused-key")


def test_a_provider_with_a_key_is_shown_with_a_model_that_has_a_price(page, site):
    page.open("connect?client=anthropic", site.user()[1])
    page.find(".prose p", "The bridge has a key for anthropic.")
    claude = page.find(".snippet pre", "anthropic").text.split('model="')[1].split('"')[0]
    page.click("[aria-label=Client] button", "curl")
    page.shows("[aria-label=Provider] option", ["openai (has a key)"])
    gpt = page.find(".snippet pre", "curl").text.split('"model": "')[1].split('"')[0]
    prices = Prices({name: (name, "") for name in ("anthropic", "openai")})
    for name, model in (("anthropic", claude), ("openai", gpt)):
        assert prices.cost(name, model, [TokenUsage(provider_response_id="", input_tokens=1)], datetime.now(UTC))
        assert f'model="{model}"' in document("README.md")


def test_the_last_owner_is_told_what_to_do_and_who_is_far_down_the_list_stays_on_show(page, site):
    name, owner = site.user(role=Role.OWNER)
    site.users(f"number-{number}" for number in range(100))  # as many as are on a page
    site.user(name="zoe")
    open_user(page, owner, "zoe")
    assert page.texts(".toolbar [role=status]") == [f"{site.get(owner, 'users')['count']} users"]
    assert page.texts(".detail h2") == ["zoe"]
    page.find(".token-list input").send_keys("laptop", Keys.ENTER)
    secret = page.find(".created code").text
    page.find(".detail .form input").send_keys(" L.")
    page.click(".detail button", "Save")
    page.find("[role=status]", "Saved")
    assert page.find(".created code").text == secret
    page.find(".detail h2", "zoe L.")
    page.refused.append("409")
    page.go(f"users/{name}")
    page.find(".detail h2", name)
    page.choose("Role", "Member: sees their own calls", ".detail")
    page.click(".detail button", "Save")
    page.click("dialog button", "Give it up")
    assert page.find("dialog [role=alert]").text == f'"{name}" {LAST_OWNER}.'
