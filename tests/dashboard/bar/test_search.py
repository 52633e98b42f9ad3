"""What people come with a question for, and find with one search or three clicks."""

from urllib.error import HTTPError

import pytest

from storage.accounts.identities import Role


def test_a_pasted_password_is_found_by_a_word_and_a_leaked_token_is_revoked(page, site, axe):
    name, token = site.user()
    _, owner = site.user(role=Role.OWNER)
    pasted = site.call(token, f"My password for {name} is hunter2, log in please")
    site.call(token, f"Say hello to {name}")
    site.recorded(token, 2)
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


def test_a_pasted_id_opens_its_call_but_nothing_elsewhere_when_it_is_found_late(page, site):
    _, token = site.user()
    id_ = site.call(token, "Hello")
    site.call(token, "Another")
    site.recorded(token, 2)
    page.open("connect", token)
    page.find(".who")
    for view in ("overview", "sessions"):
        page.go(view)
        page.find(f"main.{view} #q").send_keys(f"{id_}\n")
        page.until(lambda: f"interceptions/{id_}" in page.address, "the call is open")
    page.go("interceptions")
    page.find("a.row")
    page.hold(f"q={id_}")
    page.find("#q").send_keys(f"{id_}\n")
    page.click("nav a", "Sessions")
    page.find("main.sessions .saved")
    page.release()
    assert page.address == "sessions"


def test_the_search_completes_names_that_occur(page, site):
    name, token = site.user()
    _, owner = site.user(role=Role.OWNER)
    site.call(token, "Hello", metadata={"team": name})
    site.recorded(token, 1)
    page.open("explore", owner)
    options = "return [...document.querySelectorAll('#completions option')].map((one) => one.value)"
    for typed, completed in (
        (f"user:{name[:-2]}", f"user:{name}"),
        ("tag:te", "tag:team="),
        ("model:dem", "model:demo"),
    ):
        page.overwrite("#q", typed)
        page.until(
            lambda wanted=completed: wanted in page.browser.execute_script(options), f"{completed} was to be offered"
        )


def test_why_calls_failed_is_one_view_with_what_was_refused(page, site):
    _, token = site.user()
    failed = site.call(token, "Hello", model="demo-error")
    site.recorded(token, 1)
    site.refused(token)
    page.open("interceptions", token)
    page.click("[aria-label='List'] button", "Errors")
    page.shows(".rows .refusal a:not(.what a)", ["1 call", "1 call"])
    said = " ".join(page.texts(".rows .refusal .what"))
    assert "Unknown route The provider has no such route." in said
    assert "The provider" in said
    page.click(".rows .refusal a:not(.what a)[href*='status%3Afailed']")
    page.until(lambda: page.find("a.row").get_attribute("data-id") == failed, "the call is listed")
