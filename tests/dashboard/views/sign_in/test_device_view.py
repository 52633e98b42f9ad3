"""Letting a program have a token."""

import json
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest

from tests.dashboard.conftest import API
from tests.dashboard.test_governance_views import is_for_everybody


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
    page.find("#user-code").send_keys("BBBB-BBBB")
    page.click("button", "Continue")
    assert page.find("[role=alert]").text == "There is no such code; it may have expired, or was answered."
    page.go(f"device/{begin(site)['user_code']}")
    page.click("button", "Continue")
    page.click("button", "Refuse")
    page.find("h2", "Refused")
    codes = begin(site, "<b>laptop</b>")
    page.go(f"device/{codes['user_code']}")
    page.find("#user-code")
    assert page.axe(axe) == []
    page.click("button", "Continue")
    page.find("button", "Allow")
    is_for_everybody(page, axe)
    assert page.find(".code").text == codes["user_code"]
    assert page.find(".device b").text == "<b>laptop</b>"
    page.click("button", "Allow")
    page.find("h2", "Allowed")
    assert site.get(fetch(codes), "users/me")["username"] == name
