"""The bar above lists and figures: one range and filters as chips, the same in every view."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import unquote_plus

from selenium.webdriver.common.keys import Keys


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
    page.click("[aria-label='List'] button", "Errors")
    assert f"{day:%Y-%m-%d}" in unquote_plus(page.address)
    page.click("button", "Clear")
    page.until(lambda: page.address == "errors", "the search was to be empty")


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
    page.click("button", "Show all")
    page.shows("a.row .model", ["demo-error", "a model: with spaces"])
