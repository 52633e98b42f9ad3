from uuid import uuid4

from selenium.webdriver.common.keys import Keys

from storage.accounts.users import Role
from tests.dashboard.test_governance_views import is_for_everybody


def new_name():
    return f"new-{uuid4().hex[:10]}"


def row_of(page, name):
    return page.texts(f".row[data-name='{name}'] > *")


def test_a_user_is_added_in_three_clicks_by_a_name_that_can_be_changed_and_removed(page, site, axe):
    _, owner = site.user(role=Role.OWNER)
    name = new_name()
    taken, _ = site.user()
    page.refused.extend(("400", "409"))
    page.open("overview", owner)
    page.click("nav a", "People")  # the first
    page.click("button", "Add a user")  # the second
    page.find("dialog input").send_keys("no spaces", Keys.ENTER)
    assert page.find("dialog [role=alert] li").text == (
        'username: the username "no spaces" is not allowed: it has 1 to 128 characters of A-Z a-z 0-9 . _ + - @, at least one a letter or digit'
    )
    page.overwrite("dialog input", taken, Keys.ENTER)
    assert page.find("dialog [role=alert]", "exists").text == f'A user named "{taken}" exists already.'
    assert page.find("dialog select").get_property("value") == "member"
    is_for_everybody(page, axe)
    page.overwrite("dialog input", name)
    page.type(Keys.TAB, "Grace H.")
    page.choose("Role", "Auditor: sees everybody's", "dialog")
    page.click("dialog button", "Add")  # the third
    page.gone("dialog")
    page.until(lambda: page.address == f"users/{name}", "the new user was to be shown")
    assert page.find(".detail h2", "Grace H.").text == "Grace H."
    added = [f"Grace H. {name}", "auditor", "no token"]
    page.until(lambda: row_of(page, name)[:3] == added, "they were to be in the list")
    page.find(".token-list input").send_keys("laptop", Keys.ENTER)
    token = page.find(".created code").text
    page.until(lambda: row_of(page, name)[2] == "1 token", "the list was to know of the token")
    assert not page.find(".detail .primary", "Save").is_enabled()
    page.overwrite(".detail .form input", "Ada L.")
    page.choose("Role", "Owner: sees everybody's and changes users", ".detail")
    page.click(".detail button", "Save")
    page.find("[role=status]", "Saved")
    page.until(lambda: row_of(page, name)[:2] == [f"Ada L. {name}", "owner"], "the list was to know of it")
    me = site.get(token, "users/me")
    assert (me["username"], me["name"], me["role"]) == (name, "Ada L.", "owner")
    page.click("button", "Remove this user")
    assert page.find("dialog h2").text == f"Remove {name}?"
    assert page.find("dialog p").text == (
        "1 token will stop working. Records of their calls stay, and the username becomes free. This cannot be undone."
    )
    assert page.focused() == "Cancel"
    page.type(Keys.ESCAPE)
    page.gone("dialog")
    assert page.focused() == "Remove this user"
    assert site.get(token, "users/me")["username"] == name
    page.type(Keys.ENTER)
    page.click("dialog button", "Remove")
    page.gone("dialog")
    page.until(lambda: not row_of(page, name), "they were to go")
    assert page.address == "users"
    page.refused.append("404")
    page.go(f"usage/{name}")
    page.click(".empty a", "calls")
    page.find(".empty", "Nothing matches")  # they made none


def test_a_reader_sees_who_there_is_no_tokens_of_others_and_calls_without_texts(page, site):
    name, reader = site.user(role=Role.READER)
    other, member = site.user()
    site.call(member)
    site.counted(member, 1)
    _, owner = site.user(role=Role.OWNER)
    site.send(owner, "PUT", f"policies/users/{other}", limits={"budget": {"usd": "10", "period": "day"}})
    page.open("users", reader)
    heads = ["User", "Role", "Tokens", "Cost", "Budget", "Calls", "Tokens used", "Failed", "Used"]
    page.shows(".list .head span", heads)
    page.until(lambda: row_of(page, other)[5:6] == ["1"], "their call was to be in the table")
    page.until(lambda: row_of(page, other)[4].endswith(" of $10.00"), "their budget was to be in the table")
    page.go(f"users/{other}")
    assert page.find(".detail p.quiet", "Only owners").text == "Only owners may change users."
    assert page.texts(".detail h3") == []
    assert page.texts(".toolbar a") == []
    assert "Providers" not in page.texts("nav[aria-label=Views] a")
    page.go(f"users/{name}")
    page.shows(".detail h3", ["Tokens", "Signed in"])
    page.go("bill")
    assert page.find(".empty").text.splitlines()[0] == "Not for your role"
    page.go(f"interceptions?q=user:{other}")
    assert page.find("a.row .prompt").text == "not for your role"
    page.click("a.row")
    assert page.find(".said-by.user p").text == "Not for your role."
