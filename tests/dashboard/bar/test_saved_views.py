"""Views under a name: saved where one is, found in a menu, shared, changed and removed."""

from __future__ import annotations

from urllib.parse import unquote_plus

from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from storage.accounts.identities import Role
from storage.accounts.views.documents import Page as SavedPage
from tests.dashboard.test_governance_views import DESK, is_for_everybody
from tests.dashboard.test_looks import VIEWS, name_of


def save(page, name, *, shared=False):
    page.click(".saved button", "Save view")
    field = page.find("dialog input[type=text]")
    assert page.focused() in {"Name", ""}
    field.send_keys(name)
    if shared:
        page.click("dialog input[type=checkbox]")
    page.click("dialog button", "Save")
    page.gone("dialog")
    page.find(".saved [role=status]", f"Saved as “{name}”.")


def test_a_view_is_saved_with_its_relative_range_and_opened_by_a_colleague(page, site, axe):
    name, token = site.user()
    _, owner = site.user(role=Role.OWNER)
    site.call(token, model="demo")
    site.counted(token, 1)
    page.open("explore", owner)
    page.choose("Time range", "Last month")
    page.choose("Group by", "Client")
    page.find("input[type=search]").send_keys(f"user:{name}\n")
    page.find(".chip", name)
    save(page, f"Month of {name}", shared=True)
    (view,) = [one for one in site.get(owner, "views")["results"] if name in one["name"]]
    assert (view["page"], view["shared"]) == ("explore", True)
    assert view["query"] == {"range": "last-month", "by": "client,model", "q": f"user:{name}"}
    page.open("interceptions", token)
    page.click(".menu button", "Saved views")
    page.find(".menu-list a", f"Month of {name}")
    assert page.all(".menu-list li button") == []
    is_for_everybody(page, axe)
    page.type(Keys.ESCAPE)
    page.until(lambda: not page.find(".menu").find_elements(By.CSS_SELECTOR, "li"), "the menu was to close")
    assert page.focused() == "Saved views"
    page.type(Keys.ENTER)
    page.click(".menu-list a", f"Month of {name}")
    assert unquote_plus(page.address) == f"explore?q=user:{name}&range=last-month&by=client,model"
    page.find(".chip", name)
    site.send(owner, "DELETE", f"views/{view['id']}")


def test_one_renames_moves_and_removes_a_view_and_is_told_what_is_wrong(page, site, axe):
    name, token = site.user()
    page.resize(DESK)
    page.open("sessions?order=cost", token)
    save(page, "mine")
    page.click(".saved button", "Save view")
    page.find("dialog input[type=text]").send_keys("Mine")
    page.refused.append("409")
    page.click("dialog button", "Save")
    page.find("dialog .failure", f'A view of {name} named "Mine" exists already.')
    is_for_everybody(page, axe)
    page.type(Keys.ESCAPE)
    page.gone("dialog")
    page.go("errors?q=http%3A429")
    page.click(".menu button", "Saved views")
    page.find(".menu-list button", "Change")
    page.hold("/views/")
    page.click(".menu-list button", "Change")
    page.find("dialog input[type=text][readonly]")
    assert not page.find("dialog input[type=checkbox]").is_enabled()
    page.release()
    page.until(lambda: page.find("dialog button.primary").is_enabled(), "the view was to be read")
    page.overwrite("dialog input[type=text]:not([readonly])", "Too many")
    page.click("dialog .tick", "Let it open what is shown now")
    page.find("dialog p", "Opens Errors, q http:429.")
    page.click("dialog button", "Save")
    page.release(1)
    page.find(".menu-list a[aria-current]", "Too many")
    (view,) = [one for one in site.get(token, "views")["results"] if one["owner"]["username"] == name]
    assert (view["name"], view["page"], view["query"]) == ("Too many", "errors", {"q": "http:429"})
    page.click(".menu-list button", "Remove")
    page.click("dialog button", "Remove")
    page.release(2)
    page.find(".saved [role=status]", "Removed “Too many”.")
    assert name not in [one["owner"]["username"] for one in site.get(token, "views")["results"]]


def test_every_view_has_the_menu_and_one_of_a_user_or_a_provider_opens_theirs(page, site):
    name, token = site.user()
    own, auditor = site.user(role=Role.AUDITOR)
    site.call(token, model="demo")
    page.open("connect", auditor)
    page.find(".snippet")
    for address in (f"usage/{name}?range=last-week", "providers/demo?range=24h", f"users/{name}?sort=cost"):
        page.go(address)
        save(page, f"{own} {address}"[:60])
    page.go("overview")
    page.click(".menu button", "Saved views")
    page.click(".menu-list a", f"{own} usage/{name}")
    page.find("[role=status] b", name)
    assert page.address == f"usage/{name}?range=last-week"
    page.click(".menu button", "Saved views")
    page.find(".menu-list a[aria-current]", f"{own} usage/{name}")
    page.click(".menu-list a", f"{own} providers/demo")
    page.find("aside.detail h2", "demo")
    assert page.address == "providers/demo?range=24h"
    page.click(".menu button", "Saved views")
    page.click(".menu-list a", f"{own} users/{name}")
    page.find("aside.detail h2", name)
    assert page.address == f"users/{name}?sort=cost"
    assert set(SavedPage) <= set(map(name_of, VIEWS))  # test_looks.py finds the menu in each of these
