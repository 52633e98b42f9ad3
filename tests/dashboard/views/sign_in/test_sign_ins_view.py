from storage.accounts.identities import Role


def rows(page):
    return page.texts(".sign-in b")


def test_everybody_sees_where_they_are_signed_in_and_ends_each_of_them(page, site):
    _, token = site.user()
    page.open("tokens", token)  # a program signed in for it
    page.find(".sign-in")
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


def test_a_session_that_is_ended_elsewhere_signs_the_page_out(page, site):
    _, token = site.user()
    page.open("tokens", token)
    (session,) = site.get(token, "users/me/sessions")["results"]
    page.find(".sign-in")
    page.refused.append("401")
    site.send(token, "DELETE", f"users/me/sessions/{session['id']}")
    page.open("interceptions")
    page.find(".gate form")


def test_an_owner_signs_somebody_else_out(page, site):
    name, member = site.user()
    _, owner = site.user(role=Role.OWNER)
    page.open("tokens", member)
    page.find(".sign-in")
    page.forget()
    page.open(f"users/{name}", owner)
    page.click("[aria-label='Sign out test']")
    page.click("dialog button", "Sign out")
    page.until(lambda: rows(page) == [], "nothing was to be left")
    assert site.get(member, "users/me/sessions")["results"] == []
    page.open("audit")
    page.find(".entry .what", f"ended a session of {name}")
