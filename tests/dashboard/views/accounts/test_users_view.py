from urllib.parse import quote
from uuid import uuid4

from selenium.webdriver.common.keys import Keys

from storage.accounts.identities import Role
from storage.accounts.user_accounts import NOT_ONESELF
from tests.dashboard.test_governance_views import is_for_everybody
from tests.dashboard.views.calls.test_interceptions_view import MARKUP, RUN


def new_name():
    return f"new-{uuid4().hex[:10]}"


def open_user(page, token, name):
    page.open(f"users/{name}", token)
    page.find(".detail .token-list")


def row_of(page, name):
    return page.texts(f".user-row[data-name='{name}'] > *")


def test_a_user_is_added_in_three_clicks_by_a_name_that_can_be_changed_and_removed(page, site, axe):
    _, owner = site.user(role=Role.OWNER)
    name = new_name()
    taken, _ = site.user()
    page.refused.extend(("400", "409"))
    page.open("overview", owner)
    page.click("nav a", "Users")  # the first
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


def test_a_keyboard_is_enough_and_an_owner_removes_not_themselves_but_gives_it_up(page, site):
    name, owner = site.user(role=Role.OWNER)
    page.refused.extend(("404", "409"))
    page.open("users", owner)
    page.find(".user-row")
    page.type("j", "j", "k", Keys.ENTER)
    first = page.find(".user-row").get_attribute("data-name")
    page.find(".detail .token-list")
    assert page.address == f"users/{quote(first, safe='')}"
    page.click("button", "Remove this user")
    page.find("dialog")
    page.type("j", Keys.ESCAPE)
    page.gone("dialog")
    assert page.address == f"users/{quote(first, safe='')}"
    page.type(Keys.ESCAPE)
    page.gone(".detail")
    page.until(lambda: first in page.focused(), "the row was to have the focus again")
    for view in ("users", "usage"):
        page.go(f"{view}/{new_name()}")
        page.find(f"main.{view} .empty h2", "There is no such user")
    page.go(f"users/{name}")
    page.find(".detail h2", name)
    page.click("button", "Remove this user")
    page.click("dialog button", "Remove")
    assert page.find("dialog [role=alert]").text == f"{NOT_ONESELF.capitalize()}."
    page.click("dialog button", "Cancel")
    page.gone("dialog")
    page.choose("Role", "Member: sees their own calls", ".detail")
    page.click(".detail button", "Save")
    page.click("dialog button", "Give it up")
    assert page.find(".empty h2").text == "Not for your role"
    assert page.texts(".who") == [f"Signed in as {name} member"]
    of_users = "Only owners, auditors and readers may see users."
    of_trail = "Only owners and auditors may see the audit trail."
    for view, message in (("users", of_users), (f"users/{name}", of_users), ("audit", of_trail)):
        page.go(view)
        page.find(f"main.{view.partition('/')[0]} .empty p", message)
        assert page.find(".empty").text.splitlines() == ["Not for your role", message]
    for view in ("policies", "providers"):
        page.go(view)
        page.find(f"main.{view} .empty h2", "Not for your role")
    page.go("demo")
    page.find(".empty", "Only owners may see this.")
    assert "Providers" not in page.texts("nav a")


def test_an_auditor_sees_everybody_and_changes_nothing(page, site):
    name, auditor = site.user(role=Role.AUDITOR)
    other, _ = site.user()
    open_user(page, auditor, other)
    page.find(".token")
    assert page.find(".detail p.quiet", "Only owners").text == "Only owners may change users."
    assert page.all("main form, main .danger, main .primary") == []
    assert page.texts(".toolbar button") == []
    page.go(f"users/{name}")
    page.shows(".detail .token button", ["Revoke"])
    mary, _ = site.user(name="Mary.Shaw+test@Example.com")
    page.go(f"users/{mary.lower()}")  # a mail address in any case
    assert page.find("aside h2", mary).text == mary


def test_a_reader_sees_who_there_is_no_tokens_of_others_and_calls_without_texts(page, site):
    name, reader = site.user(role=Role.READER)
    other, member = site.user()
    site.call(member)
    site.recorded(member, 1)
    page.open(f"users/{other}", reader)
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


def test_names_that_look_like_markup_stay_text(page, site):
    _, owner = site.user(role=Role.OWNER)
    named = []
    for markup in MARKUP:
        name, _ = site.user(name=f"a-{uuid4().hex}")  # on the first page, however many others there are
        site.send(owner, "PATCH", f"users/{name}", display_name=markup)
        named.append((markup, name, site.send(owner, "POST", f"users/{name}/tokens", name=markup)["id"]))
    page.open("users", owner)
    for markup, name, _ in named:
        row = " ".join(f"{markup} {name}".split())
        page.until(lambda name=name, row=row: row_of(page, name)[0] == row, "the list was to have the name")
        page.go(f"users/{name}")
        assert page.find(".detail h2", markup).text == markup
        page.find(".token b", markup)
        page.click(f".token button[aria-label={quoted(f'Revoke {markup}')}]")
        assert page.find("dialog h2").text == f"Revoke {markup}?"
        assert page.all(RUN) == []
        page.type(Keys.ESCAPE)
        page.gone("dialog")
    page.go("audit")
    for markup, _, id_ in named:
        page.find(".entry", id_)
        assert any(f"“{markup}” ({id_})" in text for text in page.texts(".entry .what"))
    assert page.all(RUN) == []


def quoted(text):
    """A text as a string of CSS."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def figures_of(page, name):
    """What stands beside a user, without when they were there last."""
    texts = page.texts(f"li:has(> .user-row[data-name='{name}']) .row-figures > *")
    return [text for text in texts if "used" not in text]


def test_figures_of_users_come_after_the_list_sort_it_and_lead_to_their_calls(page, site):
    _, owner = site.user(role=Role.OWNER)
    busy, token = site.user(name=f"z-{uuid4().hex}")
    idle, _ = site.user(name=f"a-{uuid4().hex}")
    for model in ("demo", "demo-error", "demo"):
        site.call(token, model=model)
    site.counted(token, 3)
    (total,) = (one["total"] for one in site.get(token, "stats", group_by="user", limit=1)["groups"])
    figures = ["3 calls", f"{total['tokens']} tokens", "1 call failed"]
    page.open("connect", owner)
    page.find(".who")
    page.hold("/stats?")
    page.browser.execute_script("location.hash = '#/users?range=24h&sort=calls'")
    page.find(f".user-row[data-name='{idle}']")
    assert figures_of(page, idle) == ["…"]
    page.release()
    page.until(lambda: [figures_of(page, busy)[at] for at in (0, 2, 3)] == figures, "figures were to come")
    in_order = "return [...document.querySelectorAll('.user-row')].map((one) => one.dataset.name)"
    names = page.browser.execute_script(in_order)
    assert names.index(busy) < names.index(idle)
    page.choose("Sort by name", "Sort by name")
    page.until(lambda: (names := page.browser.execute_script(in_order)).index(idle) < names.index(busy), "by name")
    page.click(f".user-row[data-name='{idle}']")
    page.find(".detail .token .row-figures", "…")
    page.release(1)
    page.find(".detail .token .row-figures", "no calls")
    assert page.address == f"users/{idle}?range=24h"
    page.go("users?range=last-quarter&sort=calls")
    page.release(2)
    page.until(lambda: figures_of(page, busy) == ["no calls"], "there was nobody then")
    page.choose("Time range", "Last 24 hours")
    page.release(3)
    page.click(f"li:has(> .user-row[data-name='{busy}']) .row-figures a", "1 call failed")
    page.find("a.row")
    assert [text[:-1] for text in page.texts(".chip")] == [f"user:{busy}", "status:failed"]
