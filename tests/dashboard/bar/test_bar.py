"""The bar above lists and figures: one range and filters as chips, the same in every view."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import unquote_plus

from selenium.webdriver.common.keys import Keys

from storage.accounts.identities import Role
from tests.dashboard.page import PHONE, WIDE

LISTS = ("interceptions", "sessions")
FIGURES = ("overview", "explore", "usage", "providers/demo")

FIGURE = ".tile dd:first-of-type"


def chips(page):
    return [text[:-1] for text in page.texts(".chip")]


def test_a_range_is_chosen_alike_in_every_view(page, site):
    _, token = site.user(role=Role.OWNER)
    last = datetime.now(UTC).replace(day=1) - timedelta(days=1)
    first = f"{last:%Y-%m}-01"
    page.open("connect", token)
    page.find(".who")
    for view in (*LISTS, *FIGURES):
        page.go(f"{view}?tz=UTC")
        page.gone(".loading")  # a user may have but so many requests at once
        page.choose("Time range", "Last month")
        address = f"{view}?range=last-month&tz=UTC"
        page.until(lambda address=address: page.address == address, "the range was to be in the address")
        page.gone(".loading")
        if view == LISTS[0]:  # what chooses days is the same in all of them
            page.choose("Time range", "Between days")
            page.until(lambda: page.find("[aria-label='First day']").get_attribute("value") == first, "its days")
            assert f"from={first}T00:00:00.000Z" in unquote_plus(page.address)
            page.choose("Time range", "Last 7 days")
            page.gone("[aria-label='First day']")
            assert page.address == f"{view}?range=7d&tz=UTC"
            page.gone(".loading")


def test_a_range_in_an_address_holds_until_another_is_chosen(page, site):
    _, token = site.user()
    site.call(token)
    site.recorded(token, 1)
    page.open("connect", token)
    page.find(".who")
    script = "return document.querySelector('[aria-label=\"Time range\"]')?.value"
    for view in ("interceptions", "errors"):
        page.go(f"{view}?range=24h")
        page.until(lambda: page.browser.execute_script(script) == "24h", "the range was to be chosen")
    year = datetime.now(UTC).year  # of another one the year would be told
    page.go(f"interceptions?from={year}-11-26T14:00:00Z&to={year}-11-26T15:00:00Z&tz=UTC")
    script = "return document.querySelector('[aria-label=\"Time range\"]').selectedOptions[0].text"
    page.find("[aria-label='First day']")
    assert page.browser.execute_script(script) == "26 Nov 14:00 to 26 Nov 15:00"
    wide = """
        const shown = document.querySelector("[aria-label='Time range']")
        const apart = shown.cloneNode(true)
        apart.value = shown.value
        apart.style = "position: absolute; max-width: none"
        const wanted = shown.parentNode.appendChild(apart).offsetWidth
        apart.remove()
        return shown.offsetWidth >= wanted"""
    assert page.browser.execute_script(wide)
    page.go("interceptions")
    page.find("#q").send_keys("half")
    page.choose("Status", "Failed")
    page.until(lambda: chips(page) == ["status:failed"], "it was to be a chip")
    page.find(".empty h2", "Nothing matches")
    assert page.find("#q").get_attribute("value") == "half"
    page.go("interceptions?q=started_before%3A%222026-01-01T00%3A00%3A00Z%22&range=24h")
    page.until(lambda: chips(page) == ['started_before:"2026-01-01T00:00:00Z"'], "the search was to be another")
    page.find(".empty h2", "Nothing matches")
    page.choose("Time range", "All time")
    page.find("a.row")
    assert page.address == "interceptions"
    timed = "interceptions?q=until%3A1m&from=2026-11-01T00%3A00%3A00Z&to=2026-11-02T00%3A00%3A00Z&tz="
    page.go(timed + "UTC")
    page.choose("Time zone", "Asia/Tokyo")
    page.until(lambda: "Tokyo" in page.address, "the zone was to be chosen")
    assert page.address.startswith("interceptions?q=until%3A1m&from=")
    page.go("interceptions")
    page.overwrite("#q", "since:24h", Keys.ENTER)
    page.until(lambda: page.address == "interceptions?range=24h", "it was to become the range")


def test_what_somebody_did_is_told_of_the_range_and_leads_to_their_calls(page, site):
    name, token = site.user()
    site.call(token)
    site.counted(token, 1)
    page.open("usage?tz=UTC", token)
    page.find(".limit h2", "Limits")
    gap = "const [h2, next] = document.querySelector('.limit').children; return next.getBoundingClientRect().top - h2.getBoundingClientRect().bottom"
    assert page.browser.execute_script(gap) < 20
    page.until(lambda: page.texts(FIGURE)[:2] == ["1", "0 %"], "the figures of the range")
    page.click(".tile a", "Calls")
    page.find("a.row")
    assert page.address == "interceptions?q=user%3Ame&range=24h&tz=UTC"
    page.browser.back()
    page.until(lambda: page.texts(FIGURE)[:1] == ["1"], "the figures again")
    page.choose("Time range", "Last month")
    page.until(lambda: page.texts(FIGURE)[:1] == ["0"], "the figures of the range")
    page.find(".limit p", "Nothing refused in this time")
    page.go("explore?range=today&tz=UTC&by=model")
    page.click(".groups tbody td a", "demo")
    page.find("a.row")
    assert page.address.startswith("interceptions?q=model%3Ademo&from=")
    assert chips(page) == ["model:demo"]
    assert page.find("[aria-label='First day']").get_attribute("value") == f"{datetime.now(UTC):%Y-%m-%d}"
    assert name in page.text()
    _, owner = site.user(role=Role.OWNER)
    page.open(f"usage/{name}?range=today&tz=UTC", owner)
    page.until(lambda: page.texts(FIGURE)[:1] == ["1"], "the figures of the range")
    page.choose("Time range", "Yesterday")
    page.until(lambda: page.address == f"usage/{name}?range=yesterday&tz=UTC", "the user was to stay")


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
    page.choose("Time zone", "Asia/Tokyo")
    page.until(lambda: "tz=Asia/Tokyo" in unquote_plus(page.address), "the zone was to be in the address")
    assert f"from={day - timedelta(days=1):%Y-%m-%d}T15:00:00.000Z&to={day:%Y-%m-%d}T15" in unquote_plus(page.address)
    page.click("[aria-label='List'] button", "Errors")
    assert f"{day:%Y-%m-%d}" in unquote_plus(page.address)
    page.click("button", "Clear")
    page.until(lambda: page.address == "errors", "the search was to be empty")


def test_filters_are_chips_that_are_chosen_or_typed_and_a_click_or_a_key_takes_away(page, site):
    _, token = site.user()
    site.call(token, "Hello", model="a model: with spaces")
    site.call(token, "Hello", model="demo-error")
    site.recorded(token, 2)
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


def test_the_bar_fits_a_phone(page, site, axe):
    _, token = site.user(role=Role.OWNER)
    page.open("connect", token)
    page.find(".who")
    for view in ("sessions", "explore", "overview"):
        page.go(f"{view}?q=status%3Afailed%20model%3A{'x' * 200}&from=2026-10-01T00:00:00Z&to=2026-10-04T00:00:00Z")
        page.find("[aria-label='Last day']")
        for size in (WIDE, PHONE):
            page.resize(size)
            assert page.browser.execute_script("return document.documentElement.scrollWidth") == size[0]
    assert page.axe(axe) == []
