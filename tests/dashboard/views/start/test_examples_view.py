"""An invented company, in a real browser."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from storage.accounts.identities import Role
from storage.examples.documents import ID
from tests.dashboard.test_governance_views import is_for_everybody
from tests.polling import poll


@pytest.fixture
def owner(site):
    return site.user(role=Role.OWNER)[1]


def test_an_owner_fills_in_an_invented_company_and_removes_it(page, site, owner, axe):
    page.open("overview?from=2020-01-01T00:00:00Z&to=2020-01-02T00:00:00Z", owner)
    page.click(".empty a", "fill in an invented company")
    page.click(".examples button", "Fill it in")
    page.find(".invented", "An invented company is being filled in.")
    poll(lambda: site.get(owner, "examples")["calls"])
    page.find(".invented .track")
    assert page.axe(axe) == []  # once: it goes on meanwhile
    page.click(".invented button", "Remove the invented company")
    poll(lambda: site.get(owner, "examples")["state"] == "none")
    page.gone(".invented")
    page.find(".examples button", "Fill it in")


def test_every_view_says_that_figures_are_invented(page, site, owner, axe):
    async def keep(document):
        database = site.connect()
        await database.examples.delete_many({})
        if document:
            await database.examples.insert_one(document)

    example = {"_id": ID, "state": "filled", "seed": 1, "total": 61, "days": 61, "calls": 20_000, "requested_at": None}
    site.run(keep(example | {"until": datetime.now(UTC), "requested_by": None}))
    try:
        page.open("nowhere", owner)
        for view in ("nowhere", "users"):
            page.go(view)
            page.find(".invented", "Figures of an invented company are shown.")
        is_for_everybody(page, axe)
        page.open("overview", site.user(role=Role.READER)[1])
        page.find(".invented")
        assert page.all(".invented button") == []
    finally:
        site.run(keep(None))
