import re
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from selenium.webdriver.common.keys import Keys

from storage.accounts.users import Role
from tests.dashboard.page import WIDE
from tests.polling import poll


def new_name():
    return f"new-{uuid4().hex[:10]}"


def call_recorded(site, owner):
    """Call a model that nobody called before, and wait until what it adds up to is there; the model."""
    model = new_name()
    site.call(owner, model=model)
    poll(lambda: site.get(owner, "stats", q=f"model:{model}", bucket="all")["total"]["interceptions"])
    return model


def row_of(page, name):
    return page.texts(f".row[data-name='{name}'] > *")


@pytest.fixture
def owner(site):
    return site.user(role=Role.OWNER)[1]


def test_an_owner_adds_disables_enables_changes_checks_and_removes_a_provider(page, site, owner):
    provider = new_name()
    page.refused.append("400")
    page.open("providers", owner)
    page.click("button", "Add a provider")
    page.find("dialog input").send_keys("No Spaces", Keys.ENTER)
    said = page.find("dialog [role=alert] li").text
    assert said.startswith("name: must be lower-case letters and digits with single hyphens between")
    page.overwrite("dialog input", provider)
    page.choose("Type", "vLLM", "dialog")
    page.click("dialog button", "Add")
    page.gone("dialog")
    page.until(lambda: page.address == f"providers/{provider}", "the new provider was to be shown")
    page.until(lambda: row_of(page, provider)[:2] == [f"{provider} vllm", "ready"], "it was to be in the list")
    page.find(".detail dd", "http://127.0.0.1:8000/v1/")
    site.send(owner, "PATCH", f"providers/{provider}", base_url="http://127.0.0.1:1/v1")  # where nobody listens
    page.go("providers")
    page.go(f"providers/{provider}")
    page.find(".detail dd", "http://127.0.0.1:1/v1/")
    page.click(".detail button", "Disable")
    page.find(".detail button", "Enable")
    page.until(lambda: row_of(page, provider)[1] == "disabled", "the list was to know of it")
    assert site.get(owner, f"providers/{provider}")["disabled"] is True
    page.click(".detail button", "Enable")
    page.find(".detail button", "Disable")
    assert site.get(owner, f"providers/{provider}")["disabled"] is False
    page.find(".detail label", "If it cannot answer, ask")
    page.click(".detail label", "If it cannot answer, ask")
    page.type("openai")
    page.click(".detail label", "Weight")
    page.type(Keys.END, Keys.BACKSPACE, "3")
    page.click(".detail button", "Save")
    page.find(".detail dd", "openai")
    changed = site.get(owner, f"providers/{provider}")
    assert (changed["fallback"], changed["weight"]) == (["openai"], 3)
    page.click(".detail button", "Check now")
    assert page.find(".check .bad").text == "no connection to the provider: it refused the connection"
    page.click("button", "Remove this provider")
    assert page.find("dialog h2").text == f"Remove {provider}?"
    page.click("dialog button", "Remove")
    page.gone("dialog")
    page.until(lambda: not row_of(page, provider), "it was to go")
    assert page.address == "providers"


def test_each_model_says_how_it_fares_and_what_a_provider_did_in_a_range(page, site, owner, axe):
    model = call_recorded(site, owner)
    page.resize(WIDE)
    page.open("overview", owner)
    page.click("nav a", "Providers")
    page.click(".row[data-name='demo']")
    page.find(".detail p", "It is one of the server's environment, and is changed there.")
    assert page.texts(".detail form") == []
    row = page.find(".detail tbody tr", model)
    cells = page.texts(".detail tbody tr:last-child td")
    for wait in cells[3:5]:
        assert re.fullmatch(r"[\d.]+ m?s, p95 [\d.]+ m?s", wait)
    row.find_element("css selector", "a").click()
    page.until(lambda: len(page.texts(".rows > li")) == 1, "its call was to be listed")
    assert page.address == f"interceptions?q=provider_name%3Ademo+model%3A{model}&range=24h"
    page.go("providers/demo?range=today&tz=UTC")
    page.find(".detail section", "In this time")
    page.find(".detail tbody td", model)
    page.find(".toolbar p", f"calls of {datetime.now(UTC):%-d %b} 00:00 to ")
    assert page.axe(axe) == []
    page.choose("Time range", "Last month")
    page.until(lambda: page.address == "providers/demo?range=last-month&tz=UTC", "the range was to be in the address")
    page.until(lambda: model not in " ".join(page.texts(".detail td")), "nobody called that model then")
    page.until(lambda: f"calls of {datetime.now(UTC):%-d %b}" not in page.find(".toolbar p").text, "another range")
    page.click(".row[data-name='openai']")
    page.until(lambda: page.address == "providers/openai?range=last-month&tz=UTC", "the range was to stay")
    page.go(f"providers/demo?model={model}")
    page.find(".detail tr[aria-current]", model)
    page.click(".detail a", "How fast, and who called")
    page.find(".card h2", "How fast")
