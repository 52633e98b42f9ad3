"""What people come with a question for, and find with one search or three clicks."""

from storage.accounts.identities import Role


def test_the_call_in_which_somebody_pasted_a_password_is_found_by_a_word(page, site, axe):
    name, token = site.user()
    _, owner = site.user(role=Role.OWNER)
    pasted = site.call(token, f"My password for {name} is hunter2, log in please")
    site.call(token, f"Say hello to {name}")
    site.recorded(token, 2)
    page.open("interceptions", owner)
    page.find("#q").send_keys(f"password {name}\n")
    page.shows("a.row .place mark", ["password"])
    assert page.find("a.row").get_attribute("data-id") == pasted
    assert page.find("[role=status]").text == "1 call found"
    assert page.axe(axe) == []
