"""Views under a name: saved where one is, found in a menu, shared, changed and removed."""

from __future__ import annotations

from urllib.parse import unquote_plus

from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from storage.accounts.users import Role
from tests.dashboard.test_governance_views import is_for_everybody


def save(page, name, *, shared=False):
    page.click(".saved button")
    page.click(".menu button", "Save what is shown")
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
    page.click(".saved button")
    page.find(".menu a", f"Month of {name}")
    assert page.all(".menu li button") == []
    is_for_everybody(page, axe)
    page.type(Keys.ESCAPE)
    page.until(lambda: not page.find("body").find_element(By.CSS_SELECTOR, ".menu").is_displayed(), "it was to close")
    assert page.focused() == "Saved views"
    page.type(Keys.ENTER)
    page.click(".menu a", f"Month of {name}")
    assert unquote_plus(page.address) == f"explore?q=user:{name}&range=last-month&by=client,model"
    page.find(".chip", name)
    site.send(owner, "DELETE", f"views/{view['id']}")
