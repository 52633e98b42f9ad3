"""The documents as pages."""

from tests.dashboard.page import PHONE


def test_the_documents_are_read_on_a_desk_and_on_a_phone(page, axe):
    page.browser.get(f"{page.url}/help")
    page.click("nav a", "Operations")
    page.find("h1", "Operations")
    page.click("article a", "Limits")
    page.find("h1", "Limits")
    assert page.axe_in_light_and_dark(axe) == []
    page.resize(PHONE)
    assert page.browser.execute_script("return document.documentElement.scrollWidth") == PHONE[0]
    page.browser.get(f"{page.url}/help/reference")
    page.click("article a", "Webhooks")
    page.find("h3", "POST /api/v2/aibridge/webhooks")
    assert page.browser.execute_script("return document.documentElement.scrollWidth") == PHONE[0]
