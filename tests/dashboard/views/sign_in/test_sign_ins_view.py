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
