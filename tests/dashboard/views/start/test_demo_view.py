"""A company to look around in, in a real browser."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

import pytest

from storage.accounts.users import IdentityConflictError, Role
from storage.demo.store import DemoStore
from tests.dashboard.test_governance_views import is_for_everybody
from tests.polling import poll

NOTE = ".demo-note"


@pytest.fixture
def owner(site):
    return site.user(role=Role.OWNER)[1]


def store_of(site):
    return DemoStore(site.connect(), now=lambda: datetime.now(UTC), days=2)


@pytest.fixture
def filled(site):
    async def fill():
        store, begun = store_of(site), None
        while begun is None:
            with suppress(IdentityConflictError):  # another test's one is being removed
                begun = await store.begin()
        assert await store.fill(begun)

    async def remove():
        await store_of(site).clear()

    site.run(fill())
    yield
    site.run(remove())


def test_an_owner_fills_in_a_demo_company_and_removes_it(page, site, owner, axe):
    page.open("overview?from=2020-01-01T00:00:00Z&to=2020-01-02T00:00:00Z", owner)
    page.click(".empty a", "fill in a demo company")
    page.click(".demo-card button", "Fill it in")
    page.find(".demo-card .track")
    assert page.axe(axe) == []  # once: it goes on meanwhile
    poll(lambda: site.get(owner, "demo-company")["calls"])
    page.click(".demo-card button", "Remove it")
    page.find(".demo-card button", "Fill it in")
    assert page.all(NOTE) == []


def test_every_view_of_the_demo_company_says_that_it_is_one(page, site, owner, axe, filled):
    page.open("demo", owner)
    page.click(".demo-card a", "Look around")
    page.find(NOTE, "A demo company is shown.")
    page.find("main.overview .charts, main.overview figure")
    assert page.texts(".who") == ["Signed in as grace@example.com auditor"]
    for view in ("explore", "interceptions", "sessions", "limits", "providers", "users", "policies", "nowhere"):
        page.go(view)
        page.find(f"main.{view} {NOTE}")
    page.go("users")
    page.find("main.users", "ada@example.com")
    page.go("interceptions")
    page.find(".rows a.row")
    is_for_everybody(page, axe)
    page.click(f"{NOTE} a", "Back to your own calls")
    page.find("main.overview")
    page.gone(NOTE)
