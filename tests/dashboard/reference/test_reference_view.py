"""The API as a page, and the keys."""

from tests.dashboard.page import PHONE


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


def test_the_documents_are_read_on_a_desk_and_on_a_phone(page, axe):
    page.browser.get(f"{page.url}/help")
    page.click("nav a", "Operations")
    page.find("h1", "Operations")
    page.click("article a", "Limits")
    page.find("h1", "Limits")
    assert page.axe_in_light_and_dark(axe) == []
    page.resize(PHONE)
    assert page.browser.execute_script("return document.documentElement.scrollWidth") == PHONE[0]
