import re

from selenium.webdriver.common.keys import Keys

from storage.accounts.users import Role


def test_limits_lead_to_the_calls_under_way_and_show_what_was_refused_in_the_range(page, site):
    _, owner = site.user(role=Role.OWNER)
    name, token = site.user()
    for _ in range(5):  # gauges are of those who have least left, and others use this server too
        site.call(token, "Hello")
    page.open("limits", owner)
    page.find(".limit h2", "Requests started, by token")
    page.click(".range-text a", "Calls under way")
    page.find(".chip", "status:in_flight")
    page.go("limits")
    page.find(f".gauge a[href='#/usage/{name}']")  # of the token that was used
    site.refused(token, 2)
    page.go("limits?range=24h")
    page.find(".refused-in-range li", "Unknown route")
    page.choose("Time range", "Last quarter")
    page.find(".refused-in-range", "Nothing was refused")
    page.choose("Time range", "Last 24 hours")
    page.click(".refused-in-range a", "Unknown route")
    page.find("ol[aria-label='Refused calls, newest first'] li")
    assert [text[:-1] for text in page.texts(".chip")] == ["rule:unknown_route"]


def test_what_other_models_and_limits_would_have_refused_is_told_with_its_reason(page, site, axe):
    _, owner = site.user(role=Role.OWNER)
    name, token = site.user()
    for model in ("demo", "demo-large"):
        site.call(token, "apricot", model=model)
    site.calls(token, 7)
    site.recorded(token, 9)
    page.open("limits?range=24h", owner)
    page.click(".what-if .field", "Of calls that match")
    page.type(f"user:{name} apricot")
    page.click(".what-if .field", "Only these models")
    page.type("demo, other-*", Keys.ENTER)
    page.find(".what-if [role=status]", "Of 2 calls 1 would have been refused.")
    assert page.texts(".what-if tbody tr") == [f"{name}model not allowed21\u2013"]
    page.click(".what-if summary")
    page.find(".what-if .long li", "model not allowed: demo-large")
    page.go("connect")
    page.find(".snippet")
    page.go("limits")
    page.click(".what-if .field", "Requests a minute")
    page.type("1", Keys.ENTER)
    page.find(".what-if td", name)
    row = next(one for one in page.all(".what-if tbody tr") if name in one.text).text
    assert row.startswith(f"{name} requests a minute of each user 9 8 ")
    page.click(".what-if summary")
    page.find(".what-if .long li", " requests a minute of each user, free again after ")
    refused = int(re.search(r"calls (\d+) would", page.find(".what-if").text)[1])
    assert len(page.texts(".what-if .long li")) == min(refused, 100)
    assert page.axe(axe) == []
