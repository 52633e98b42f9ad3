"""Light and dark, wide and narrow, for everybody."""

import re
from urllib.parse import quote
from uuid import uuid4

import pytest

from storage.accounts.users import Role
from tests.dashboard.page import COLOURS, PHONE, WIDE
from tests.dashboard.test_governance_views import is_for_everybody
from tests.dashboard.views.calls.test_interceptions_view import READ_FILE
from tests.polling import poll
from tests.server_process import ROOT

LONG = "x" * 300
REGISTRY = (ROOT / "dashboard/js/frame/registry.js").read_text()
SAVED = re.findall(r'view: "(\w+)".*saved: true', REGISTRY)
# Lists are of one's own, without the rows of other tests: axe looks at each.
VIEWS = {
    "overview?by=user&range=7d&q=user:me": ".charts canvas",
    "explore?q=user:me": ".groups tbody tr",
    "demo": "main button",
    "interceptions?q=user:me": "a.row",
    "interceptions/{id}?q=user:me": ".detail .facts",
    "sessions?q=user:me": "a.session",
    "sessions/{session}": ".thread",
    "limits": ".limit",
    "providers": ".row",
    "providers/openai": ".detail .facts",
    "users": ".row",
    "users/{name}": ".token",
    "usage": ".gauges",
    "groups/{group}": ".detail .token",
    "policies/groups%2F{group}": ".policy textarea",
    "budgets": "td .track",
    "prices": ".recosts form",
    "bill": ".form.across",
    "webhooks/{webhook}": ".switches",
    "audit?user={name}": ".entry",
    "refusals?q=user:me": ".refusal",
    "errors?q=user:me": ".error",
    "tokens": ".token",
    "connect?client=codex": ".snippet",
    "nowhere": ".empty",
}


def name_of(view):
    """The list or the page that it is, or shows a group beside."""
    return view.partition("?")[0].removesuffix("/{group}")


# What reaches out of the screen, but for what can be scrolled or is cut on purpose.
TOO_WIDE = """
    const kept = (one) => one && (/auto|scroll|hidden/.test(getComputedStyle(one).overflowX) || kept(one.parentElement))
    return [...document.querySelectorAll("main *")]
        .filter((one) => one.getBoundingClientRect().right > innerWidth + 1 && !kept(one.parentElement))
        .map((one) => one.outerHTML.slice(0, 200))"""
# Ways to views that a finger may miss, or that are not all on the screen.
HARD_TO_TOUCH = """
    return [...document.querySelectorAll(".top nav :is(a, button)")].filter((one) => one.checkVisibility())
        .filter((one) => {
            const {height, left, right} = one.getBoundingClientRect()
            return height < 44 || left < 0 || right > innerWidth
        })
        .map((one) => one.textContent)"""
# Views that show the name of who made a call, or of whom they are.
WITH_NAME = {
    "overview?by=user&range=7d&q=user:me",
    "interceptions?q=user:me",
    "budgets",
    "limits",
    "users/{name}",
    "audit?user={name}",
}
BACKGROUND = "return getComputedStyle(document.body).backgroundColor"
LIGHT, DARK = "rgb(246, 246, 243)", "rgb(19, 20, 21)"


@pytest.fixture(scope="module")
def scene(site):
    """An owner of the longest name with a call that has all there is, and a word that is too long for any line."""
    name, owner = site.user(role=Role.OWNER, name=f"{uuid4().hex}@{'w' * 95}")
    thinking = {"type": "enabled", "budget_tokens": 1024}
    site.send(owner, "PATCH", f"users/{name}", name="W" * 128)
    site.send(owner, "POST", "users/me/tokens", name="W" * 128)
    budget = {"usd": "10", "period": "day"}
    site.send(owner, "PUT", f"policies/users/{name}", limits={"budget": budget})
    ids = {
        "name": quote(name, safe=""),
        "id": site.call(
            owner, f"read_file {LONG}", tools=[READ_FILE], thinking=thinking, model="m" * 200, session=name
        ),
    }
    site.call(owner, model="demo-error", session=name)
    site.refused(owner)
    site.counted(owner, 2)
    sessions = poll(lambda: site.get(owner, "sessions", q=f"user:{name}")["results"])
    group = f"{'W' * 100}-{uuid4().hex[:8]}"
    site.send(owner, "POST", "groups", name=group)
    site.send(owner, "PUT", f"groups/{group}/members/{name}")
    webhook = site.send(owner, "POST", "webhooks", url=f"https://hooks.invalid/{LONG}", types=[])
    return owner, ids | {"session": sessions[0]["id"], "group": group, "webhook": webhook["id"]}


@pytest.fixture
def show(page, scene):
    owner, ids = scene

    def show(view):
        page.open(view.format(**ids), owner)
        page.find(VIEWS[view])

    return show


def asks_nobody_else(page):
    script = """
        const names = performance.getEntriesByType("resource").map(({name}) => name)
        performance.clearResourceTimings()
        return names"""  # a page keeps but so many
    assert [name for name in page.browser.execute_script(script) if not name.startswith(f"{page.url}/")] == []


def is_as_wide_as_the_phone(page, view):
    script = f"return [document.documentElement.scrollWidth, (() => {{{TOO_WIDE}}})(), (() => {{{HARD_TO_TOUCH}}})()]"
    assert (view, *page.browser.execute_script(script)) == (view, PHONE[0], [], [])


# In each, one goes from view to view: a page that is loaded once takes half the time.
@pytest.mark.parametrize("views", [list(VIEWS)[first::2] for first in range(2)], ids=lambda views: views[0])
def test_views_fit_a_phone_and_everybody_can_use_them_in_light_and_dark(page, scene, axe, views):
    owner, ids = scene
    page.resize(PHONE)
    page.open("nowhere", owner)
    page.find(VIEWS["nowhere"])
    page.click(".more")
    page.click("#more a", "Audit")
    page.find("main.audit")
    page.click(".more")
    assert page.texts("#more :is(a, button)")[-2:] == ["Tokens", "Sign out"]
    is_as_wide_as_the_phone(page, "more")
    for view in views:
        page.go(view.format(**ids))
        page.find(VIEWS[view])
        if view in WITH_NAME:
            page.until(lambda: ids["name"][:8] in page.text(), "the name was to be shown")
        asks_nobody_else(page)
        is_as_wide_as_the_phone(page, view)
        page.prefer("dark")
        assert (view, page.axe(axe)) == (view, [])
        page.resize(WIDE)  # no colour is of one size alone
        page.prefer("light")
        if (name := name_of(view)) in SAVED:
            page.find(f"main.{name} .view-bar")
        assert (view, page.axe(axe)) == (view, [])
        page.resize(PHONE)
        is_as_wide_as_the_phone(page, view)


def test_frame_and_dialog_fit_a_long_name_and_everybody_can_use_them(page, show, axe):
    show("users/{name}")
    for width in (320, *PHONE[:1], 600, 900, 901, 1024, WIDE[0]):
        page.resize((width, PHONE[1]))
        reach = """
            const parts = [...document.querySelectorAll('.top > *, .me > *')]
            return [document.documentElement.scrollWidth, Math.max(...parts.map((one) => one.getBoundingClientRect().right))]"""
        wide, right = page.browser.execute_script(reach)
        assert wide == width
        assert right <= width
    page.click("button", "Remove this user")
    page.find("dialog")
    is_for_everybody(page, axe)


def test_a_fault_would_be_found_and_colours_are_the_systems_until_others_are_chosen(page, show, axe):
    show("connect?client=codex")
    page.browser.execute_script("document.querySelector('select').removeAttribute('aria-label')")
    page.browser.execute_script("document.querySelector('.prose p').style.color = '#ddd'")
    assert [fault.partition(":")[0] for fault in page.axe(axe)] == ["color-contrast", "select-name"]
    assert [fault.partition(":")[0] for fault in page.axe(axe, COLOURS)] == ["color-contrast"]
    assert page.browser.execute_script(BACKGROUND) == LIGHT
    page.prefer("dark")
    assert page.browser.execute_script(BACKGROUND) == DARK
    page.click(".theme")
    assert page.find(".theme").get_attribute("aria-label") == "Theme: light. Change to dark"
    assert page.browser.execute_script(BACKGROUND) == LIGHT
    page.browser.refresh()
    page.find(".theme")
    assert page.browser.execute_script(BACKGROUND) == LIGHT
    page.click(".theme")
    page.prefer("light")
    assert page.browser.execute_script(BACKGROUND) == DARK
    page.go("overview")
    page.find(".charts canvas")
    page.click(".theme")
    assert page.find(".theme").get_attribute("aria-label").startswith("Theme: system.")
    pixel = "return document.querySelector('canvas').toDataURL()"
    before = page.browser.execute_script(pixel)
    page.prefer("dark")
    page.until(lambda: page.browser.execute_script(pixel) != before, "the chart was to be redrawn")
