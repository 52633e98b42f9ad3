"""The API as a page, and the keys."""

from selenium.webdriver import ActionChains
from selenium.webdriver.common.keys import Keys

from tests.dashboard.page import PHONE


def press(page, *keys):
    actions = ActionChains(page.browser)
    for key in keys:
        actions.send_keys(key)
    actions.perform()


def test_the_api_is_shown_and_can_be_asked(page, site, axe):
    name, token = site.user()
    page.sign_in(token)
    page.browser.get(f"{page.url}/docs#getMe")
    described = page.browser.execute_async_script(
        "const done = arguments[0]; fetch('openapi.json').then((answer) => answer.json()).then(done)"
    )
    page.find("#getMe[open]")
    operations = [
        one.get("operationId", f"{method}:{path}")
        for path, item in described["paths"].items()
        for method, one in item.items()
        if "tags" in one
    ]
    ids = page.browser.execute_script("return [...document.querySelectorAll('.operation')].map(({id}) => id)")
    assert sorted(ids) == sorted(operations)
    page.click("#getMe .try button", "Send")
    page.find("#getMe .try [role=status]", "200 after")
    page.find("#getMe pre", name)
    page.find("input[type=search]").send_keys("patch webhooks")
    page.until(lambda: len(page.all(".operation")) == 1, "one operation was to be left")
    page.click(".operation summary code", "/webhooks/")
    page.find(".operation .fields")
    assert page.axe_in_light_and_dark(axe) == []
    page.resize(PHONE)
    assert page.browser.execute_script("return document.documentElement.scrollWidth") == PHONE[0]


def test_a_chart_is_used_by_keys_which_a_question_mark_shows_and_g_goes_to_a_view(page, site, axe):
    _, token = site.user()
    site.call(token)
    site.counted(token, 1)
    page.open("overview?range=1h", token)
    chart = page.find(".chart [role=slider]")
    page.find(".chart canvas")
    press(page, "?")
    page.find("dialog kbd", "Home")
    assert page.axe(axe) == []
    press(page, Keys.ESCAPE)
    page.gone("dialog[open]")
    page.browser.execute_script("arguments[0].focus()", chart)
    press(page, Keys.END)
    page.until(
        lambda: "Completed" in page.find(".chart [role=slider]").get_attribute("aria-valuetext"), "a bar was to be read"
    )
    bars = int(chart.get_attribute("aria-valuemax"))
    page.until(lambda: int(chart.get_attribute("aria-valuenow")) == bars, "the last bar was to be read")
    ActionChains(page.browser).key_down(Keys.SHIFT).send_keys(Keys.LEFT, Keys.LEFT).key_up(Keys.SHIFT).perform()
    page.until(lambda: int(chart.get_attribute("aria-valuenow")) == bars - 2, "two bars to the left were to be read")
    press(page, Keys.ENTER)
    page.until(lambda: page.address.startswith("overview?from="), "the range was to be shown")
    press(page, "g", "s")
    page.until(lambda: page.address.startswith("sessions"), "g s was to lead to the sessions")
    press(page, "g", "j", "o")  # no view has j, and after it o is a key as any other
    assert page.address.startswith("sessions")
    page.find("#q").send_keys("g")
    page.browser.execute_script("document.activeElement.blur()")
    press(page, "o")  # a text that ends with g is no first key
    assert page.address.startswith("sessions")
