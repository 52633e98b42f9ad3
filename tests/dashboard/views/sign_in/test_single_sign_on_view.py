"""Signing in at the certified provider of npm, in a browser."""

import pytest

from tests.dashboard.conftest import serving
from tests.dashboard.page import Page
from tests.dashboard.test_governance_views import is_for_everybody
from tests.openid_provider.process import CALLBACK, CLIENT_ID, CLIENT_SECRET, OpenIDProviderProcess
from tests.ports import free_ports

GRACE = {"email": "grace@example.com", "email_verified": True, "name": "Grace Hopper", "groups": ["research"]}


@pytest.fixture(scope="module")
def provider_and_site(databases, run_apart, tmp_path_factory):
    """The provider has to know where the bridge is, so the port of the bridge is chosen first."""
    (port,) = free_ports(1)
    provider = OpenIDProviderProcess([f"http://127.0.0.1:{port}{CALLBACK}"], {"grace": GRACE})
    try:
        settings = {
            "OIDC_ISSUER_URL": provider.issuer,
            "OIDC_CLIENT_ID": CLIENT_ID,
            "OIDC_CLIENT_SECRET": CLIENT_SECRET,
            "OIDC_NAME": "Example ID",
            "OIDC_SIGN_OUT": "true",
        }
        environment = {f"CODER_AIBRIDGE_{name}": value for name, value in settings.items()}
        folder = tmp_path_factory.mktemp("site")
        with serving(databases, run_apart, folder, address=f"127.0.0.1:{port}", **environment) as site:
            yield provider, site
    finally:
        provider.close()


@pytest.fixture
def page(chromium, provider_and_site):
    page = Page(chromium, provider_and_site[1].url)
    page.forget()
    page.refused.append("401")
    yield page
    assert page.complaints() == []


def sign_in(page, login):
    page.click("a.primary", "Sign in with Example ID")
    page.find("input[name=login]").send_keys(login)
    page.click("button", "login")


def test_the_provider_signs_a_user_in_who_comes_back_to_the_view_that_was_wanted(page):
    page.open("interceptions?q=model%3Ademo")
    sign_in(page, "grace")
    assert page.find(".who").text.endswith("grace@example.com member")
    page.find(".chip", "model:demo")
    (cookie,) = [one for one in page.browser.get_cookies() if one["name"].startswith("aibridge")]
    assert (cookie["name"], cookie["httpOnly"], cookie["sameSite"]) == ("aibridge_session", True, "Strict")
    page.go("tokens")
    page.find(".sign-in", "by single sign-on, signed in")
    page.click("button", "Sign out")
    page.click("button", "Yes, sign me out")  # as the provider asks
    page.click("a.primary", "Sign in with Example ID")
    page.find("input[name=login]")  # the provider does not know the browser any more


def test_who_leaves_the_provider_is_told_so_and_can_sign_in_with_a_token(page, provider_and_site, axe):
    page.open("sign-in-refused/Call%20this%20number")
    page.find("a.primary")
    assert page.all("[role=alert]") == []
    page.open("sign-in-refused/name_taken")
    page.find("a.primary")
    is_for_everybody(page, axe)
    sign_in(page, "")
    assert page.find("[role=alert]").text == "You did not sign in there."
    assert page.address == "overview"
    name, token = provider_and_site[1].user()
    page.find("#token").send_keys(token)
    page.click("button", "Sign in")
    assert page.find(".who").text.endswith(f"{name} member")
