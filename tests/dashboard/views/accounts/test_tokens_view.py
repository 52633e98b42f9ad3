from selenium.webdriver.common.keys import Keys

from storage.accounts.users import Role


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
    page.find(".form input").send_keys("too late")
    site.send(site.user(role=Role.OWNER)[1], "DELETE", f"users/{name}")
    # Wherever the focus is: what the page asks by itself may have been refused before.
    page.type(Keys.ENTER)
    page.find("#token")
