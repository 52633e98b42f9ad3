"""What people come with a question for, and find with one search or three clicks."""

from urllib.error import HTTPError

import pytest

from storage.accounts.users import Role
from tests.polling import poll


def test_a_pasted_password_is_found_by_a_word_and_a_leaked_token_is_revoked(page, site, axe):
    name, token = site.user()
    _, owner = site.user(role=Role.OWNER)
    pasted = site.call(token, f"My password for {name} is hunter2, log in please")
    site.call(token, f"Say hello to {name}")
    site.recorded(token, 2)
    poll(lambda: site.get(owner, "interceptions", q=f"password {name}")["count"])
    page.open("interceptions", owner)
    page.find("#q").send_keys(f"password {name}\n")
    page.shows("a.row .place mark", ["password"])
    assert page.find("a.row").get_attribute("data-id") == pasted
    assert page.find(".toolbar [role=status]").text == "1 call found"
    assert page.axe(axe) == []
    page.overwrite("#q", f"{token}\n")
    assert page.find(".found-token [role=status]").text.startswith(
        f"This is a token without a name ({token[:10]}) of {name}."
    )
    assert page.axe(axe) == []
    page.click(".found-token button", "Revoke")
    page.click("dialog button", "Revoke")
    page.find(".found-token b", "It was revoked")
    with pytest.raises(HTTPError, match="401"):
        site.get(token, "users/me")
    assert page.find("#q").get_attribute("value") == ""
    kept = page.browser.execute_script("return JSON.stringify([location.href, {...localStorage}, {...sessionStorage}])")
    assert token[11:] not in kept
    assert token[11:] not in page.find("body").get_attribute("innerHTML")
    (first, one), (last, another) = site.user(), site.user()
    page.hold("tokens/lookup")
    page.find("#q").send_keys(f"{one}\n", f"{another}\n")
    page.release(1)
    page.find(".found-token [role=status]", last)
    page.release(0)
    assert page.find(".found-token [role=status]", last)
    assert first not in page.text()
