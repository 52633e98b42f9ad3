"""The bar above lists and figures: one range and filters as chips, the same in every view."""

from datetime import UTC, datetime, timedelta
from urllib.error import HTTPError
from urllib.parse import unquote_plus

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from storage.accounts.users import Role
from tests.dashboard.test_governance_views import is_for_everybody
from tests.polling import poll


def chips(page):
    return [text[:-1] for text in page.texts(".chip")]


def test_the_range_of_a_list_is_relative_or_days_that_are_chosen_by_hand(page, site):
    _, token = site.user()
    new = site.call(token, "New")
    site.recorded(token, 1)
    day = datetime.now(UTC) - timedelta(days=40)
    day_ago = datetime.now(UTC) - timedelta(hours=25)
    site.repeat(new, {"started_at": day_ago, "prompt": "Old"}, {"started_at": day, "prompt": "Oldest"})
    page.open("interceptions?q=model%3Ademo&tz=UTC", token)
    page.choose("Time range", "Last 24 hours")
    page.shows("a.row .prompt", ["New"])
    assert page.address == "interceptions?q=model%3Ademo&range=24h&tz=UTC"
    assert chips(page) == ["model:demo"]
    page.click("a.row")
    page.find(".detail .facts")
    assert page.address == f"interceptions/{new}?q=model%3Ademo&range=24h&tz=UTC"
    page.type(Keys.ESCAPE)
    page.choose("Time range", "Between days")
    page.shows("a.row .prompt", ["New", "Old"])
    for label in ("First day", "Last day"):
        page.browser.execute_script(
            """const field = document.querySelector(`[aria-label="${arguments[0]}"]`)
            field.value = arguments[1]
            field.dispatchEvent(new Event("change", {bubbles: true}))""",
            label,
            f"{day:%Y-%m-%d}",
        )
        page.until(lambda: f"{day:%Y-%m-%d}" in unquote_plus(page.address), "the day was to be in the address")
    page.shows("a.row .prompt", ["Oldest"])
    page.go(f"interceptions?range={day:%Y-%m-%d}..{day:%Y-%m-%d}&tz=Asia/Tokyo")
    page.choose("Time range", "UTC")
    page.until(lambda: page.address.endswith("tz=UTC"), "the zone was to be in the address")
    assert f"range={day:%Y-%m-%d}..{day:%Y-%m-%d}&tz=UTC" in unquote_plus(page.address)
    page.click("[aria-label='List'] button", "Refused")
    assert f"{day:%Y-%m-%d}" in unquote_plus(page.address)
    page.click("button", "Clear")
    page.until(lambda: page.address == "refusals", "the search was to be empty")


def test_filters_are_chips_that_are_chosen_or_typed_and_a_click_or_a_key_takes_away(page, site):
    _, token = site.user()
    site.call(token, "Hello", model="a model: with spaces")
    site.call(token, "Hello", model="demo-error")
    site.counted(token, 2)  # the names to choose from are derived
    page.open("interceptions", token)
    page.find("#q").send_keys('status:failed "Hello"', Keys.ENTER)
    page.until(lambda: chips(page) == ["status:failed", '"Hello"'], "two chips")
    page.choose("Model", "demo-error")
    page.until(lambda: chips(page)[2:] == ["model:demo-error"], "a third one")
    page.shows("a.row .model", ["demo-error"])
    page.find("#q").send_keys(Keys.BACKSPACE)
    page.until(lambda: page.find("#q").get_attribute("value") == "model:demo-error", "it was to be text again")
    page.find("#q").send_keys(Keys.ENTER)
    page.until(lambda: len(chips(page)) == 3, "it was to be a chip again")
    page.browser.execute_script("document.querySelectorAll('.chip button')[2].focus()")
    page.type(Keys.ENTER)
    page.until(lambda: chips(page) == ["status:failed", '"Hello"'], "a key was to remove it")
    page.until(lambda: page.focused() in {"Add a filter", "q"}, "the focus was to go back to the field")
    page.click(".chip button")
    page.until(lambda: chips(page) == ['"Hello"'], "a click was to remove it")
    page.shows("a.row .model", ["demo-error", "a model: with spaces"])
    page.choose("Model", "a model: with spaces")
    page.shows("a.row .model", ["a model: with spaces"])
    assert chips(page) == ['"Hello"', 'model:"a model: with spaces"']
    page.choose("Status", "Failed")
    assert page.find(".empty h2").text == "Nothing matches"
    page.click(".empty a", "Show all")
    page.shows("a.row .model", ["demo-error", "a model: with spaces"])


def save(page, name, *, shared=False):
    page.click(".saved button")
    page.click(".menu button", "Save what is shown")
    field = page.find("dialog input[type=text]")
    assert page.focused() in {"Name", ""}
    field.send_keys(name)
    if shared:
        page.choose("Who finds it", "Everybody; each sees in it what they may see anyway", "dialog")
    page.click("dialog button", "Save")
    page.gone("dialog")
    page.find(".saved [role=status]", f"Saved as “{name}”.")


def test_a_view_is_saved_with_its_relative_range_and_opened_by_a_colleague(page, site, axe):
    name, token = site.user()
    _, owner = site.user(role=Role.OWNER)
    site.call(token, model="demo")
    site.counted(token, 1)
    page.open("explore", owner)
    page.choose("Time range", "Last month")
    page.choose("Group by", "Client")
    page.find("input[type=search]").send_keys(f"user:{name}\n")
    page.find(".chip", name)
    save(page, f"Month of {name}", shared=True)
    (view,) = [one for one in site.get(owner, "views")["results"] if name in one["name"]]
    assert (view["page"], view["shared"]) == ("explore", True)
    assert view["query"] == {"range": "last-month", "by": "client,model", "q": f"user:{name}"}
    page.open("interceptions", token)
    page.click(".saved button")
    page.find(".menu a", f"Month of {name}")
    assert page.all(".menu li button") == []
    is_for_everybody(page, axe)
    page.type(Keys.ESCAPE)
    page.until(lambda: not page.find("body").find_element(By.CSS_SELECTOR, ".menu").is_displayed(), "it was to close")
    assert page.focused() == "Saved views"
    page.type(Keys.ENTER)
    page.click(".menu a", f"Month of {name}")
    assert unquote_plus(page.address) == f"explore?q=user:{name}&range=last-month&by=client,model"
    page.find(".chip", name)
    site.send(owner, "DELETE", f"views/{view['id']}")


def test_a_pasted_password_is_found_by_a_word_and_a_leaked_token_is_revoked(page, site, axe):
    name, token = site.user()
    _, owner = site.user(role=Role.OWNER)
    pasted = site.call(token, f"My password for {name} is hunter2, log in please")
    site.call(token, f"Say hello to {name}")
    site.recorded(token, 2)
    poll(lambda: site.get(owner, "interceptions", q=f"password {name}")["count"])
    page.open("interceptions", owner)
    page.find("#q").send_keys(f"password {name}\n")
    page.shows("a.row .place mark", ["password"])
    assert page.find("a.row").get_attribute("data-name") == pasted
    assert page.find(".toolbar [role=status]").text == "1 call found"
    assert page.axe(axe) == []
    page.overwrite("#q", f"{token}\n")
    assert page.find(".found-token [role=status]").text.startswith(
        f"This is a token without a name ({token[:10]}) of {name}."
    )
    assert page.axe(axe) == []
    page.click(".found-token button", "Revoke")
    page.click("dialog button", "Revoke")
    page.find(".found-token b", "It was revoked")
    with pytest.raises(HTTPError, match="401"):
        site.get(token, "users/me")
    assert page.find("#q").get_attribute("value") == ""
    kept = page.browser.execute_script("return JSON.stringify([location.href, {...localStorage}, {...sessionStorage}])")
    assert token[11:] not in kept
    assert token[11:] not in page.find("body").get_attribute("innerHTML")
    (first, one), (last, another) = site.user(), site.user()
    page.hold("tokens/lookup")
    page.find("#q").send_keys(f"{one}\n", f"{another}\n")
    page.release(1)
    page.find(".found-token [role=status]", last)
    page.release(0)
    assert page.find(".found-token [role=status]", last)
    assert first not in page.text()
