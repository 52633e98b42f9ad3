import pytest
from selenium.webdriver.common.keys import Keys

from handlers.api.sign_in.sign_in import CODE_OVER
from handlers.base import UNRECOGNISED
from version import VERSION

UNKNOWN = "abcdefghij-0123456789abcdefghijkl"


@pytest.fixture(autouse=True)
def not_signed_in(page):
    page.refused.append("401")


def is_focused(page):
    page.until(
        lambda: page.browser.execute_script("return document.activeElement.id") == "token", "it was to be focused"
    )


def fill_in(page, token):
    is_focused(page)
    page.find("#token").send_keys(token)
    page.click("button", "Sign in")


def test_a_token_signs_in_and_out_again_and_also_when_a_session_is_over(page, site):
    name, token = site.user()
    page.open()
    fill_in(page, UNKNOWN)
    assert page.find("[role=alert]").text == UNRECOGNISED
    assert page.browser.get_cookies() == []
    assert page.find("#token").get_attribute("value") == UNKNOWN
    page.overwrite("#token", token, Keys.ENTER)
    page.find(".who")
    assert page.find("footer").text.partition(" · ")[0] == f"AI Bridge {VERSION}"
    assert page.texts(".who") == [f"Signed in as {name} member"]
    assert page.browser.title == "Overview · AI Bridge"
    assert page.browser.execute_script("return document.cookie") == ""
    (cookie,) = page.browser.get_cookies()
    assert (cookie["name"], cookie["httpOnly"], cookie["sameSite"]) == ("aibridge_session", True, "Strict")
    page.click("button", "Sign out")
    is_focused(page)
    assert page.browser.get_cookies() == []
    page.open("interceptions?q=model%3Ademo", UNKNOWN)  # of a session that is over
    fill_in(page, token)
    page.find(".chip", "model:demo")


def test_the_link_of_the_first_start_signs_in_once_and_does_not_stay_in_the_address(page, site):
    page.browser.get(site.link)
    assert page.find(".who").text.endswith("demo owner")
    assert page.address == "overview"
    page.click("button", "Sign out")
    page.find("#token")
    page.browser.get("about:blank")
    page.browser.get(site.link)
    assert page.find("[role=alert]").text == CODE_OVER
    assert page.address == "overview"
    name, token = site.user()
    fill_in(page, token)
    page.find(".who", " member")
    page.browser.get("about:blank")
    page.browser.get(f"{site.url}/#/sign-in/{UNKNOWN}")  # of no use to whoever is signed in already
    assert page.find(".who").text.endswith(f"{name} member")
    assert page.address == "overview"
