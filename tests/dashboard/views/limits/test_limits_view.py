import re
from concurrent.futures import ThreadPoolExecutor

from selenium.webdriver import ActionChains
from selenium.webdriver.common.keys import Keys

from storage.accounts.identities import Role


def test_a_request_under_way_is_on_a_gauge_and_in_the_table_until_it_ends(page, site, held):
    _, owner = site.user(role=Role.OWNER)
    name, token = site.user()
    for _ in range(5):  # gauges are of those who have least left, and others use this server too
        site.call(token, "Hello")
    page.open("limits", owner)
    page.find(".limit h2", "Requests at a time")
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(site.ask, token, held.name, "Take your time")
        said = page.find("tbody tr", name).text
        held.let_go()
        call.result()
    assert said.endswith(f"{name} {held.name} /v1/chat/completions held")
    page.until(lambda: name not in " ".join(page.texts("td")), "it was to end")
    page.find(f".gauge a[href='#/usage/{name}']")  # of the token that was used


def test_the_gauges_say_how_much_is_left(page, site):
    _, auditor = site.user(role=Role.AUDITOR)
    site.calls(auditor, 10)
    page.open("limits", auditor)
    page.find(".limit .gauge", auditor[:10])
    meter = page.find(f"[role=meter][aria-label='{auditor[:10]}']")
    assert (meter.get_attribute("aria-valuenow"), meter.get_attribute("aria-valuemax")) == ("10", "1000")
    assert page.texts(".limit h2") == [
        "Requests at a time",
        "Requests at a time, by user",
        "Requests started, by token",
        "Requests started, by user",
        "Tokens used, by user",
        "Budget, by user",
    ]


def test_refusals_say_since_when_they_are_counted(page, site):
    _, owner = site.user(role=Role.OWNER)
    since = site.get(owner, "limits")["refused_since"]
    clock = page.browser.execute_script("return new Date(arguments[0]).toLocaleTimeString('en-GB')", since)
    page.open("limits", owner)
    page.find(".limit", f"Nothing refused since {clock}")


def test_sliders_tell_what_other_limits_would_have_refused(page, site, axe):
    _, owner = site.user(role=Role.OWNER)
    name, token = site.user()
    site.calls(token, 9)
    site.recorded(token, 9)
    page.open("limits", owner)
    slider = page.find(".sliders input")
    page.browser.execute_script("arguments[0].focus()", page.all(".sliders input")[1])
    ActionChains(page.browser).send_keys(Keys.RIGHT).perform()
    page.find(".what-if td", name)
    row = next(one for one in page.all(".what-if tbody tr") if name in one.text).text
    assert row.startswith(f"{name} requests a minute of each user 9 8 ")
    assert slider.get_attribute("aria-valuetext") == "off"
    page.click(".what-if summary")
    page.find(".what-if .when li", " requests a minute of each user, free again after ")
    refused = int(re.search(r"calls (\d+) would", page.find(".what-if").text)[1])
    assert len(page.texts(".what-if .when li")) == min(refused, 100)
    assert page.axe(axe) == []
