import json
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest
from selenium.webdriver.common.keys import Keys

from handlers.api.sign_in.sign_in import CODE_OVER
from handlers.base import UNRECOGNISED
from tests.dashboard.conftest import API
from tests.dashboard.test_governance_views import is_for_everybody
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
    assert page.texts(".me .who") == [f"Signed in as {name} member"]
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


def begin(site, name="login on laptop"):
    body = urlencode({"client_name": name}).encode()
    with urlopen(Request(f"{site.url}{API}/device/code", body)) as response:
        return json.load(response)


@pytest.fixture
def fetch(site, page):
    def fetch(codes):
        form = {"grant_type": "urn:ietf:params:oauth:grant-type:device_code", "device_code": codes["device_code"]}
        with urlopen(Request(f"{site.url}{API}/device/token", urlencode(form).encode())) as response:
            return json.load(response)["access_token"]

    return fetch


def test_a_program_gets_a_token_of_who_allows_it_and_none_of_who_refuses(page, site, fetch, axe):
    name, token = site.user()
    page.refused.append("404")
    page.open("device", token)
    page.find(".device input").send_keys("BBBB-BBBB")
    page.click("button", "Continue")
    assert page.find("[role=alert]").text == "There is no such code; it may have expired, or was answered."
    page.go(f"device/{begin(site)['user_code']}")
    page.click("button", "Continue")
    page.click("button", "Refuse")
    page.find("h2", "Refused")
    codes = begin(site, "<b>laptop</b>")
    page.go(f"device/{codes['user_code']}")
    page.find(".device input")
    assert page.axe(axe) == []
    page.click("button", "Continue")
    page.find("button", "Allow")
    is_for_everybody(page, axe)
    assert page.find(".code").text == codes["user_code"]
    assert page.find(".device b").text == "<b>laptop</b>"
    page.click("button", "Allow")
    page.find("h2", "Allowed")
    assert site.get(fetch(codes), "users/me")["username"] == name


def rows(page):
    return page.texts(".sign-in b")


def test_everybody_sees_where_they_are_signed_in_and_ends_each_of_them(page, site):
    _, token = site.user()
    page.session(token)  # another browser
    page.open("tokens", token)
    page.until(lambda: rows(page) == ["test this browser", "test"], "both were to be in the list")
    first, second = site.get(token, "users/me/sessions")["results"]
    assert [first["user_agent"], second["user_agent"]] == ["test", "test"]
    page.click(".sign-in:nth-child(2) [aria-label='Sign out test']")
    page.find("dialog", "That browser is signed out within seconds.")
    page.click("dialog button", "Sign out")
    page.until(lambda: rows(page) == ["test this browser"], "one was to be gone")
    assert [one["id"] for one in site.get(token, "users/me/sessions")["results"]] == [first["id"]]
    page.click("[aria-label='Sign out test']")
    page.find("dialog", "That is this browser.")
    page.click("dialog button", "Sign out")
    page.find(".gate form")
    assert site.get(token, "users/me/sessions")["results"] == []
