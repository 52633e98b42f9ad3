from urllib.parse import unquote_plus

import pytest
from selenium.webdriver.common.keys import Keys

from storage.accounts.users import Role
from tests.polling import poll


@pytest.fixture(scope="module")
def refused(site):
    """A member of whom three calls were refused within a minute; their name and token."""
    while True:
        name, token = site.user()
        site.refused(token, 3)
        if site.get(token, "refusals")["count"] == 1:  # else a minute began between them
            return name, token


def test_calls_lead_to_the_refused_ones_with_their_reason_that_narrows_them(page, site, refused):
    name, token = refused
    page.open("interceptions", token)
    page.click("[aria-label='List'] button", "Refused")
    row = page.find(".refusal", "Unknown route").text
    request_id = site.get(token, "refusals")["results"][0]["request_ids"][0]
    for said in (
        "route not supported: GET /v1/nowhere",
        "demo/v1/nowhere",
        request_id,
        "2 more within the minute",
        "404",
        name,
        f"token {token[:10]}",
    ):
        assert said in row
    assert page.address == "refusals"
    assert page.browser.title == "Refused calls · AI Bridge"
    assert page.find("nav [aria-current]").text == "Calls"
    page.click("[aria-label='List'] button", "Calls")
    page.until(lambda: page.address == "interceptions", "the way back was to lead to the calls")
    page.find("#q").send_keys(request_id.upper(), Keys.ENTER)
    page.find(".refusal", "Unknown route")
    assert page.address == f"refusals?q={request_id.upper()}"
    page.go("refusals")
    page.choose("Reason", "Token rate limited")
    page.find(".empty h2", "Nothing matches")
    assert unquote_plus(page.address) == "refusals?q=rule:rate"
    page.click(".empty a", "Show all")
    page.find(".refusal", "Unknown route")
    _, owner = site.user(role=Role.OWNER)
    only_counts = {"rate": {"requests": 0, "window": "1h", "shadow": True}}
    site.send(owner, "PUT", f"policies/users/{name}", limits=only_counts)
    poll(lambda: site.calls(token, 1) or site.get(token, "refusals")["count"] > 1)
    page.go("overview")
    page.go("refusals")
    row = page.find(".refusal", "Policy: rate limited").text
    assert "This limit only counts, and refused nothing." in row
    assert "would be 429" in row
    site.send(owner, "PUT", f"policies/users/{name}", models={"allow": ["nothing-else"]})
    site.call(token)
    poll(lambda: site.get(token, "refusals", q="rule:model_not_allowed")["count"])
    page.go("usage")
    page.go("refusals")
    row = page.find(".refusal", "Model not allowed").text
    assert "nothing-else" in row
    page.click(".refusal a", "what you may use")
    page.find(".facts dd", "nothing-else")
    page.open("refusals?q=rule:model_not_allowed", owner)
    page.click(".refusal a", f"policy of user {name}")
    page.find(".detail h2", name)
    assert page.address == f"policies/users%2F{name}"
