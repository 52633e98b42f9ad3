"""Who may use how much: groups, policies, prices, webhooks, and how near somebody is to their limits."""

import json
from contextlib import closing
from urllib.request import Request, urlopen
from uuid import uuid4

import pytest
from selenium.webdriver.common.keys import Keys

from storage.accounts.users import Role
from tests.answering import Answer, AnsweringServer
from tests.dashboard.conftest import API
from tests.dashboard.page import PHONE
from tests.polling import poll

DESK = (1440, 900)


def put(site, token, path, body):
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    with urlopen(Request(f"{site.url}{API}/{path}", json.dumps(body).encode(), headers, method="PUT")) as response:
        return json.loads(response.read() or b"null")


def is_for_everybody(page, axe):
    """On a phone in dark, and on a desk in light: no colour is of one size alone."""
    for size, scheme in ((PHONE, "dark"), (DESK, "light")):
        page.resize(size)
        page.prefer(scheme)
        assert page.axe(axe) == []
        assert page.browser.execute_script("return document.documentElement.scrollWidth") == size[0]


@pytest.fixture
def owner(site):
    return site.user(role=Role.OWNER)[1]


@pytest.fixture
def group(site, owner):
    name = f"lab-{uuid4().hex[:8]}"
    site.send(owner, "POST", "groups", name=name)
    return name


def test_a_member_sees_by_one_click_how_near_they_are_to_each_limit(page, site, owner, axe):
    name, member = site.user()
    put(site, owner, f"policies/users/{name}", {"limits": {"rate": {"requests": 2, "window": "1h"}, "concurrency": 3}})
    site.calls(member, 3)
    poll(lambda: site.get(member, "refusals")["count"])
    page.resize(DESK)
    page.open("overview", member)
    page.click("nav a", "My usage")
    gauge = page.find(".gauges li", "2 of 2").text.splitlines()
    assert gauge[:2] == ["Calls in 1h", "2 of 2"]
    assert gauge[2].startswith(f"policy of user {name}. Free at ")
    assert page.find(".gauges li", "Calls at a time").text.splitlines()[1] == "0 of 3"
    assert page.find(".limit .bad", "1 call refused")
    page.find(".reasons li", "Policy: rate limited")
    page.find(".card", "What else holds")
    page.find(".readers", "Calls are kept for 60 days.")
    page.find(".readers", "Nobody else has read them within a year.")
    assert page.axe(axe) == []
    page.go("limits")
    page.find(".gauges li", "Calls in 1h")
    page.go("usage/somebody")
    assert page.find(".empty").text.splitlines()[0] == "Not for your role"
    page.open("limits", owner)
    page.click(".gauge a", name)
    page.find(".toolbar", f"What {name} has used")
    page.find(".gauges li", "Calls in 1h")
    page.go("usage?range=24h")
    page.click(".limit a", "Refused calls")
    page.find(".empty")  # this owner had none
    assert page.address == "refusals?q=user%3Ame&range=24h"


def test_an_owner_sets_a_policy_of_a_group_and_its_member_sees_it(page, site, owner, group, axe):
    name, member = site.user()
    page.resize(DESK)
    page.open(f"groups/{group}", owner)
    page.find(".detail .token-list input").send_keys(name, Keys.ENTER)
    page.find(".token b", name)
    page.until(lambda: page.texts(f".row[data-name='{group}'] span")[1] == "1 member", "the list was to know")
    page.click(".detail a", "Policy")
    page.find(".policy textarea")
    page.click(".field", "Models allowed")
    page.type("demo")
    page.click("fieldset:last-of-type .field", "Budget in US dollars")
    page.type("0")
    page.choose("a period of", "a month", "fieldset:last-of-type")
    page.click(".policy summary", "What is kept of texts")
    page.choose("Responses", "redacted", ".policy details")
    page.click(".policy .field", "Days for responses, if fewer")
    page.type("7")
    page.click(".policy button", "Save")
    page.find("[role=status]", "limits.together.budget.usd: 0 refuses every call that the bridge would pay for")
    assert site.get(owner, f"policies/groups/{group}") == {
        "models": {"allow": ["demo"]},
        "limits": {"together": {"budget": {"usd": "0", "period": "month"}}},
        "recording": {"responses": "redacted", "responses_retention": 7},
    }
    is_for_everybody(page, axe)
    put(site, owner, f"policies/groups/{group}", {"byok": "deny"})
    page.refused.extend(("412", "400"))
    page.click(".policy .field", "Most output tokens")
    page.type("many")
    page.click(".policy button", "Save")
    page.find("[role=alert]", "was changed meanwhile; read it again")
    page.click("[role=alert] button", "Load it again")
    own_key = ".policy .field:has(option[value=deny]) select"
    page.until(lambda: page.find(own_key).get_property("value") == "deny", "the newer one was to be shown")
    page.click(".policy .field", "Most output tokens")
    page.type("many")
    page.click(".policy button", "Save")
    page.find("[role=alert] li", "max_tokens")
    put(site, owner, f"policies/groups/{group}", {"byok": "deny", "max_tokens": 9})
    page.click(".policy button", "Remove")
    page.click("dialog button", "Remove")
    page.click("dialog [role=alert] button", "Load it again")
    page.gone("dialog")
    text = "return document.querySelector('textarea.policy-text')?.value ?? ''"
    page.until(lambda: '"max_tokens": 9' in page.browser.execute_script(text), "the newer one was to be shown")
    page.go(f"policies/users%2F{name}")
    page.find(".detail section", f"group {group}")
    page.open("usage", member)
    page.find(".facts", f"denied policy of group {group}")


def test_an_owner_sets_what_claude_code_is_managed_by_in_fields_and_as_json(page, site, owner, axe):
    name, member = site.user()
    page.resize(DESK)
    page.open(f"policies/users%2F{name}", owner)
    page.click(".policy summary", "As JSON")
    page.overwrite("textarea.policy-text", '{"managed_settings": {"permissions": {"deny": ["Read(.env)"]}}')
    page.find(".policy [role=alert]", "This is no JSON object.")
    page.find("textarea.policy-text").send_keys("}")
    page.gone(".policy [role=alert]")
    page.click(".policy summary", "Managed settings of Claude Code")
    page.click(".policy .field", "Tools denied")
    page.type(Keys.CONTROL, Keys.END, Keys.NULL, Keys.ENTER, "WebFetch")
    page.click(".policy .field", "Telemetry to")
    page.type("https://c.example")
    page.click(".policy button", "Save")
    telemetry = {"CLAUDE_CODE_ENABLE_TELEMETRY": "1", "OTEL_METRICS_EXPORTER": "otlp", "OTEL_LOGS_EXPORTER": "otlp"}
    managed = {
        "permissions": {"deny": ["Read(.env)", "WebFetch"]},
        "env": telemetry | {"OTEL_EXPORTER_OTLP_ENDPOINT": "https://c.example"},
    }
    poll(lambda: site.get(owner, f"policies/users/{name}") == {"managed_settings": managed})
    is_for_everybody(page, axe)
    page.open("usage", member)
    page.click(".card summary", "What Claude Code gets")
    page.find(".card pre", "https://c.example")


def test_whose_budget_is_used_up_and_until_when_is_a_click(page, site, owner, group):
    put(site, owner, f"policies/groups/{group}", {"limits": {"together": {"budget": {"usd": "0", "period": "month"}}}})
    poll(lambda: group in [one["name"] for one in site.get(owner, "budgets")["results"]])
    page.open("overview", owner)
    page.click("nav a", "Spend")
    assert ", until 1 " in page.find("tbody tr", f"Group {group}").text


def test_an_owner_gives_a_model_a_price_of_its_own_and_prices_past_calls_again(page, site, owner, axe):
    page.resize(DESK)
    page.refused.append("400")
    site.calls(owner, 1)
    site.counted(owner, 1)
    page.open("prices", owner)
    page.find("tbody tr", "demo, made up")
    page.click("button", "Add a price")
    page.find("dialog input")
    page.type("nobody", Keys.TAB, "mine-*", Keys.TAB, "two", Keys.TAB, "3.5")
    is_for_everybody(page, axe)
    page.click("dialog button", "Save")
    assert page.find("dialog [role=alert] li").text.startswith("input: ")
    page.click("dialog .field", "Input")
    page.type(Keys.END, Keys.BACKSPACE * 3, "2.5")
    page.click("dialog button", "Save")
    page.gone("dialog")
    row = page.find("tbody tr", "mine-*").text
    assert row.startswith("nobody mine-*")
    page.find(".toolbar b", "no provider has a name like this now")
    page.find(".recosts input").send_keys("2026-01-01", Keys.ENTER)
    page.find(".recosts li", "2026-01-01 to")
    page.find(".recosts li [role=meter]")
    assert page.axe(axe) == []  # once, for the job waits but so long
    page.click(".recosts li button", "Cancel")
    page.find(".recosts li .role", "cancelled")
    page.click("button", "Remove")
    page.click("dialog button", "Remove")
    page.gone("tbody tr")


@pytest.fixture
def received():
    """What a webhook was told, in a list, and its address."""
    bodies = []

    def take(asked):
        bodies.append(json.loads(asked.body))
        return Answer(204)

    with closing(AnsweringServer(take)) as server:
        yield bodies, f"{server.url}/"


def test_an_owner_adds_a_webhook_switches_its_types_and_tests_it(page, site, owner, received, axe):
    page.resize(DESK)
    page.open("webhooks", owner)
    page.click("button", "Add a webhook")
    page.find("dialog input")
    page.type(received[1], Keys.TAB, "On call", Keys.ENTER)
    assert page.find(".created code").text.startswith("whsec_")
    page.click(".created button", "Done")
    id_ = page.address.partition("/")[2]
    page.click(".switches label", "provider.circuit_open")
    page.until(
        lambda: "provider.circuit_open" not in site.get(owner, f"webhooks/{id_}")["types"], "it was to be switched off"
    )
    page.click("button", "Send a test")
    page.find(".detail .rows b", "webhook.test delivered")
    assert "webhook.test" in [body["type"] for body in received[0]]
    page.find(".row", "delivered just now")
    is_for_everybody(page, axe)
    page.refused.append("404")  # its deliveries may be asked for as it goes
    page.click("button", "Remove this webhook")
    page.click("dialog button", "Remove")
    page.gone(f"[data-name='{id_}']")
