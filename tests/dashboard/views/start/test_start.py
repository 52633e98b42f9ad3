import tomllib
from contextlib import suppress
from datetime import UTC, datetime

import pytest

from storage.accounts.users import IdentityConflictError, Role
from storage.demo.store import DemoStore
from tests.dashboard.test_governance_views import is_for_everybody
from tests.docs.pages import page as document
from tests.polling import poll


def snippets(page):
    return [one.text for one in page.all(".snippet pre")]


def test_snippets_are_those_of_the_documents_for_the_configured_providers(page, site):
    page.open("connect", site.user()[1])
    page.find(".snippet")
    assert page.texts("[aria-label=Provider] option") == ["anthropic (no key)", "demo (needs no key)"]
    assert page.find("[aria-label=Provider]").get_attribute("value") == "demo"
    page.find(".prose p", "The built-in demo responds")
    page.choose("Provider", "anthropic (no key)")
    page.find(".prose .failure", "The bridge has no key for anthropic")
    assert f"{site.url}/api/v2/aibridge/anthropic" in snippets(page)[0]
    page.click("[aria-label=Client] button", "Codex")
    page.shows("[aria-label=Provider] option", ["openai (no key)", "demo (needs no key)"])
    documents = document("README.md").replace("http://127.0.0.1:4001", site.url)
    documents += document("docs/using.md").replace("https://aibridge.example.com", site.url)
    for client, provider in (("claude-code", "anthropic"), ("codex", "openai")):
        page.go(f"connect?client={client}&provider={provider}")
        page.find(".snippet pre", f"{site.url}/api/v2/aibridge/{provider}")
        for snippet in snippets(page):
            if "AIBRIDGE_TOKEN=" not in snippet:
                assert snippet in documents
    page.go("connect?client=codex&provider=openai")
    assert "base_url" in page.find(".snippet pre", "/openai/v1").text
    page.choose("Provider", "demo (needs no key)")
    assert page.address == "connect?client=codex&provider=demo"
    config = tomllib.loads(page.find(".snippet pre", "base_url").text)
    assert config["model_providers"]["aibridge"]["base_url"] == f"{site.url}/api/v2/aibridge/demo/v1"
    assert config["model"] == "demo"
    for client in ("OpenAI SDK", "Anthropic SDK"):
        page.click("[aria-label=Client] button", client)
        compile(page.find(".snippet pre").text, client, "exec")


def test_a_token_is_created_filled_in_and_tried_and_its_first_call_arrives(page, site, axe):
    _, token = site.user()
    page.open("connect?client=curl", token)
    page.click("button", "Create a token and fill it in")
    secret = page.find(".created code").text
    assert f"Bearer {secret}" in page.find(".snippet pre").text
    assert secret not in page.browser.current_url
    page.find("[role=status]", "Waiting for the first call")
    site.refused(secret)
    page.find("p.failure[role=alert]", "The bridge refused one: Unknown route.")
    page.click(".try-it button", "Send")
    page.find(".said-by-model", "demo")
    page.find("[role=status] a", "demo, ")
    assert page.axe(axe) == []
    page.browser.execute_script("real = fetch; fetch = () => Promise.reject(new TypeError('It broke off'))")
    page.click(".try-it button", "Send")
    page.find(".failure", "It broke off")
    page.click("button", "Sign out")
    page.find(".failure", "The server cannot be reached.")
    page.browser.execute_script("fetch = real")
    page.click("[role=status] a", "demo, ")
    page.find(".detail .facts")
    tokens = [one["name"] for one in site.get(token, "users/me/tokens")["results"]]
    assert "curl" in tokens
    page.open("connect?client=curl", token)
    page.find(".snippet pre", "Bearer TOKEN")
    assert secret not in page.browser.page_source


NOTE = ".demo-note"


@pytest.fixture
def owner(site):
    return site.user(role=Role.OWNER)[1]


def store_of(site):
    return DemoStore(site.connect(), now=lambda: datetime.now(UTC), days=2)


@pytest.fixture
def filled(site):
    async def fill():
        store, begun = store_of(site), None
        while begun is None:
            with suppress(IdentityConflictError):  # another test's one is being removed
                begun = await store.begin()
        assert await store.fill(begun)

    async def remove():
        await store_of(site).clear()

    site.run(fill())
    yield
    site.run(remove())


def test_an_owner_fills_in_a_demo_company_and_removes_it(page, site, owner, axe):
    page.open("overview?from=2020-01-01T00:00:00Z&to=2020-01-02T00:00:00Z", owner)
    page.click(".empty a", "fill in a demo company")
    page.click(".demo-card button", "Fill it in")
    page.find(".demo-card .track")
    assert page.axe(axe) == []  # once: it goes on meanwhile
    poll(lambda: site.get(owner, "demo-company")["calls"])
    page.click(".demo-card button", "Remove it")
    page.find(".demo-card button", "Fill it in")
    assert page.all(NOTE) == []


def test_every_view_of_the_demo_company_says_that_it_is_one(page, site, owner, axe, filled):
    page.open("demo", owner)
    page.click(".demo-card a", "Look around")
    page.find(NOTE, "A demo company is shown.")
    page.find("main.overview .charts, main.overview figure")
    assert page.texts(".me .who") == ["Signed in as grace@example.com auditor"]
    for view in ("explore", "interceptions", "sessions", "limits", "providers", "users", "policies", "nowhere"):
        page.go(view)
        page.find(f"main.{view} {NOTE}")
    page.go("users")
    page.find("main.users", "ada@example.com")
    page.go("interceptions")
    page.find(".rows a.row")
    is_for_everybody(page, axe)
    page.click(f"{NOTE} a", "Back to your own calls")
    page.find("main.overview")
    page.gone(NOTE)
