"""Who spent most, on what, and what it was last month: in at most three clicks."""

import csv
import io
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote_plus
from urllib.request import Request, urlopen

import pytest
from bson import ObjectId

from storage.accounts.users import Role
from tests.polling import poll

TAGS = {"user_id": "u-42"}
PAGE = 50  # how many groups the table has at first


@pytest.fixture(scope="module")
def company(site):
    """An owner, and a user who calls more than everybody: last month, and now more of it."""
    _, owner = site.user(role=Role.OWNER)
    name, token = site.user()
    for number in range(3):
        site.call(token, "write a long text " * 200, model="demo" if number else "demo-large", metadata=TAGS)
    site.call(token, model="demo-error", metadata=TAGS)
    site.counted(token, 4)
    now = datetime.now(UTC)
    days = (now - now.replace(day=1)).days + 15

    async def repeat():
        database = site.connect()
        cells = await database.rollups.find({"bucket": {"$in": ["hour", "day"]}}).to_list(None)
        before = timedelta(days=days)
        await database.rollups.insert_many({**cell, "_id": ObjectId(), "at": cell["at"] - before} for cell in cells)

    site.run(repeat())
    return owner, name, token


def test_who_spent_most_this_week_and_on_what_is_one_click(page, site, company):
    owner, name, _ = company
    ended = site.get(owner, "interceptions", limit=1, q="-status:in_flight range:today")["count"]
    poll(lambda: site.get(owner, "stats", range="today")["total"]["interceptions"] >= ended)
    page.open("overview", owner)
    page.click("nav a", "Explore")
    page.find(".groups tbody tr")
    week = {"from": (datetime.now(UTC) - timedelta(days=7)).isoformat(), "bucket": "all"}
    response = site.get(owner, "stats", group_by="user,model", order_by="cost", limit=PAGE, **week)
    rows = [(one["group"]["user"]["username"], one["group"]["model"]) for one in response["groups"]]
    cells = [cell.removesuffix(" ↗") for cell in page.texts(".groups tbody td:nth-child(-n+2)")]
    table = list(zip(cells[::2], cells[1::2], strict=True))
    assert [row for row in table if row[0] == name] == [row for row in rows if row[0] == name]
    costs = [cell.rpartition("$")[2] for cell in page.texts(".groups tbody td:nth-child(6)") if "$" in cell]
    assert costs == sorted(costs, key=float, reverse=True)
    page.until(lambda: page.all(".charts.one canvas"), "the chart was to be drawn")
    page.click(".groups tbody td a", name)
    page.find("a.row")
    assert f"user:{name}" in unquote_plus(page.address)
    page.click("a.row")
    page.find(".facts", "Tag user_idu-42")
    page.browser.back()
    page.browser.back()
    page.find(".groups tbody tr")
    hold = "const ask = fetch; const held = new Promise((go) => { release = go }); fetch = (...all) => held.then(() => ask(...all))"
    page.browser.execute_script(hold)
    page.click(".groups th button", "Calls")
    assert "order=calls" in page.address
    assert page.texts(".groups th[aria-sort=descending]") == ["Cost ↓"]  # as the rows are until others have come
    page.browser.execute_script("release()")
    page.find(".groups th[aria-sort=descending]", "Calls")
    page.find("input[type=search]").send_keys("model:demo-error\n")
    page.until(lambda: set(page.texts(".groups tbody td:nth-child(2)")) == {"demo-error ↗"}, "the filter was to hold")
    assert [text[:-1] for text in page.texts(".chip")] == ["model:demo-error"]
    page.click(".chip button")
    page.until(lambda: len(page.all(".groups tbody tr")) > 1, "the filter was to go")
    page.find("input.as").send_keys("anthropic/claude-haiku-4-5\n")
    page.find(".groups th", "On claude-haiku-4-5")
    assert all(cell.startswith("$") for cell in page.texts(".groups td:last-child"))


def test_last_month_for_finance_is_three_clicks(page, site, company):
    owner, name, token = company
    page.open("overview", owner)
    page.click("nav a", "Explore")
    page.find("h1", "Explore")  # the range is chosen in either view
    page.choose("Time range", "Last month")
    first = (datetime.now(UTC).replace(day=1) - timedelta(days=1)).replace(day=1)
    page.find(".range-text", f"{first:1 %b} 00:00 to")
    page.until(lambda: "new" in page.texts(".groups td:nth-child(7)"), "nothing was to be before last month")
    page.until(lambda: "The bars are whole" not in page.text(), "a month has whole days")
    address = page.find("a", "CSV").get_attribute("href")
    with urlopen(Request(address, headers={"Authorization": f"Bearer {owner}"})) as response:
        rows = list(csv.DictReader(io.StringIO(response.read().decode(), newline="")))
    theirs = [row for row in rows if row["user.username"] == name]  # others may have called two months ago
    assert sum(int(row["interceptions"]) for row in theirs) == 4
    assert [row["previous.interceptions"] for row in theirs] == ["0"] * len(theirs)
    assert not {"prompt", "user_prompts"} & set(rows[0])
    page.open("explore", token)
    page.find(".groups tbody tr")
    assert "User" not in page.texts(".groups th")
    page.choose("Group by", "Tag user_id")
    page.find(".groups tbody td a", "u-42")
    assert page.address.startswith("explore?by=tag.user_id")
