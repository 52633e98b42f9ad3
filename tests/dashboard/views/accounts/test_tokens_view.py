from datetime import timedelta
from urllib.error import HTTPError

import pytest
from selenium.webdriver.common.keys import Keys

from runtime.process import now
from storage.accounts.identities import Identities, Role


def tokens(page):
    return page.texts(".token b")


def test_everybody_creates_copies_and_is_refused_tokens_until_they_are_removed(page, site):
    name, token = site.user()
    page.open("tokens", token)
    page.find(".token")
    page.find(".form input").send_keys("ci")
    page.choose("Expires after", "30 days")
    page.click("button", "Create token")
    secret = page.find(".created code").text
    assert page.focused() == "Copy it now: it will not be shown again"
    assert site.get(secret, "users/me")["username"] == name
    page.until(lambda: tokens(page) == ["ci", "a token without a name"], "it was to be in the list")
    created, _ = site.get(token, "users/me/tokens")["results"]
    assert secret.startswith(f"{created['id']}-")
    grant = {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"], "origin": site.url}
    page.browser.execute_cdp_cmd("Browser.grantPermissions", grant)
    page.click(".created button", "Copy")
    page.find(".created button", "Copied")
    assert page.browser.execute_script("return navigator.clipboard.readText()") == secret
    page.click(".created button", "Done")
    page.gone(".created")
    assert secret not in page.browser.page_source
    page.refused.append("400")
    page.find(".form input").send_keys("x" * 129, Keys.ENTER)
    page.find("[role=alert]")
    assert page.texts("[role=alert] li") == [
        "name: the token's name is not allowed: it has up to 128 printable characters"
    ]
    page.overwrite(".form input", "for ever")
    page.choose("Expires after", "Never")
    page.click("button", "Create token")
    page.find(".token b", "for ever")
    expiry = created["expires_at"]
    assert [one["expires_at"] for one in site.get(token, "users/me/tokens")["results"]] == [None, expiry, None]
    ends = [text.endswith(", never expires") for text in page.texts(".token .quiet")]
    assert ends == [True, False, True]
    page.refused.append("401")
    site.send(site.user(role=Role.OWNER)[1], "DELETE", f"users/{name}")
    page.find(".form input").send_keys("too late", Keys.ENTER)
    page.find("#token")


def test_no_token_outlives_that_of_its_maker_and_each_is_revoked_after_a_question(page, site):
    _, token = site.user()
    other = site.send(token, "POST", "users/me/tokens", name="old laptop")
    expiring = site.send(token, "POST", "users/me/tokens", name="short", expires="40d")
    page.open("tokens", expiring["token"])
    page.find(".token")
    offered = page.texts(".form option")
    assert offered[:2] == ["7 days", "30 days"]
    assert [text.startswith("With yours, ") for text in offered[2:]] == [True]
    assert "You may have 10 active tokens." in page.text()
    page.find(".form input").send_keys("child", Keys.ENTER)
    page.find(".token b", "child")
    assert site.get(token, "users/me/tokens")["results"][0]["expires_at"] == expiring["expires_at"]
    page.click("button[aria-label='Revoke old laptop']")
    assert page.find("dialog p").text == (
        f"Whatever uses {other['id']} is let in no more, within seconds. If it is the one that you signed in with, you are "
        "signed out. This cannot be undone."
    )
    page.click("dialog button", "Cancel")
    page.gone("dialog")
    assert site.get(other["token"], "users/me")
    page.click("button[aria-label='Revoke old laptop']")
    page.click("dialog button", "Revoke")
    page.gone("dialog")
    page.find(".token.over", "revoked")
    assert page.texts(".token button") == ["Revoke"] * 3
    with pytest.raises(HTTPError, match="401"):
        site.get(other["token"], "users/me")
    page.refused.append("401")
    page.click("button[aria-label='Revoke short']")
    page.click("dialog button", "Revoke")
    page.find("#token")


def test_tokens_are_reached_from_everywhere_and_lead_to_their_calls_unless_expired(page, site):
    name, token = site.user()

    async def expire():
        database = site.connect()
        past = Identities(database, now=lambda: now() - timedelta(days=2), monotonic=lambda: 0.0)
        await past.create_token(name, name="expired", expires_at=now() - timedelta(days=1))

    site.run(expire())
    site.calls(token, 2)
    site.counted(token, 2)
    page.open("connect", token)
    page.click(".prose a", "a token")
    page.find("h2", "Your tokens")
    page.until(lambda: page.browser.title == "Your tokens · AI Bridge", "the title was to be that of the view")
    page.go("interceptions")
    page.click(".me a", "Tokens")
    page.find("h2", "Your tokens")
    assert page.address == "tokens"
    page.go("tokens?range=24h")
    row = page.find(".token.over")
    assert row.text.splitlines()[0] == "expired"
    assert ", expired " in row.text
    assert page.texts(".token button") == ["Revoke"]
    page.click(".token .row-figures a", "2 calls")
    page.find("a.row")
    assert [text[:-1] for text in page.texts(".chip")] == [f"token:{token.partition('-')[0]}"]
