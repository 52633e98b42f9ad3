import tomllib

import pytest

from tests.pages import page as document


@pytest.fixture
def connect(page, site):
    _, token = site.user()
    page.open("connect", token)
    page.find(".snippet")
    return page


def snippets(page):
    return [one.text for one in page.all(".snippet pre")]


def test_the_snippets_are_those_of_the_readme_with_this_servers_address(connect, site):
    readme = document("README.md").replace("http://127.0.0.1:4001", site.url)
    for client in connect.texts("[aria-label=Client] button"):
        connect.click("[aria-label=Client] button", client)
        for snippet in snippets(connect):
            if client not in {"curl", "OpenAI SDK", "Anthropic SDK"} and "AIBRIDGE_TOKEN=" not in snippet:
                assert snippet in readme
            assert "TOKEN" in snippet or "env_key" in snippet


def test_another_provider_is_chosen(connect, site):
    _, token = site.user()
    site.call(token)
    site.counted(token, 1)
    connect.open("connect?client=codex", token)
    connect.choose("Provider", "demo")
    assert connect.address == "connect?client=codex&provider=demo"
    config = connect.find(".snippet pre", "base_url").text
    assert tomllib.loads(config)["model_providers"]["aibridge"]["base_url"] == f"{site.url}/api/v2/aibridge/demo/v1"


def test_the_lines_of_python_are_python(connect):
    for client in ("OpenAI SDK", "Anthropic SDK"):
        connect.click("[aria-label=Client] button", client)
        compile(connect.find(".snippet pre").text, client, "exec")
