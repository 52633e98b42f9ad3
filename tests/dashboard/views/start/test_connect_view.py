import tomllib

from tests.docs.pages import page as document


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
