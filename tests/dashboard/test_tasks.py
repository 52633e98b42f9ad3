"""Questions that people come with, answered at the demo company in at most three clicks or one search.

Those that change something, and what a member asks of themselves, are beside the views: last month for finance, a price that
is missing, a pasted password, one's own limits and who reads one's prompts, a provider's key, the bill, and a guest for a week.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

import pytest
from selenium.webdriver.common.keys import Keys

from storage.accounts.users import Role
from storage.demo.store import DemoStore
from tests.cases import for_each
from tests.dashboard.conftest import Site

DAYS = 4
MOST_CLICKS = 3
NAV, PART = "nav a", "[aria-label='List'] button"


class Way:
    """The clicks and the search of somebody who looks for an answer."""

    def __init__(self, page):
        self._page = page
        self.clicks = 0
        self.searches = 0

    def click(self, css, text=""):
        self._page.click(css, text)
        self.clicks += 1
        return self

    def sees(self, css, text):
        self._page.find(css, text)
        return self

    def choose(self, label, option):
        self._page.choose(label, option)
        self.clicks += 1
        return self

    def search(self, text, css="#q"):
        self._page.click(css)
        self._page.type(text, Keys.ENTER)
        self.searches += 1
        return self


class Task(NamedTuple):
    """A question, the way to its answer, given ids that somebody was told of, and the element that has the answer."""

    question: str
    go: Callable[[Way, dict[str, str]], Way]
    css: str
    text: str = ""


TASKS = [
    Task(
        "Who spends most, on what?",
        lambda way, _: way.click(NAV, "Explore"),
        ".groups th[aria-sort=descending]",
        "Cost",
    ),
    Task(
        "Who spent most yesterday?",
        lambda way, _: way.click(NAV, "Explore").sees("h1", "Explore").choose("Time range", "Yesterday"),
        *(".groups td", "@example.com"),
    ),
    Task("Which team's budget will not last?", lambda way, _: way.click(NAV, "Spend"), "tr", "Group platform"),
    Task(
        "What does a model cost now?",
        lambda way, _: way.click(NAV, "Spend").click(PART, "Prices"),
        *("tr", "claude-opus-4-8"),
    ),
    Task(
        "Why do calls fail?",
        lambda way, _: way.click(NAV, "Errors"),
        *(".error", "trying again often helps"),
    ),
    Task("Why did this call fail?", lambda way, ids: way.click(NAV, "Calls").search(ids["failed"]), "a.row .failed"),
    Task(
        "Why was I refused?", lambda way, ids: way.click(NAV, "Calls").search(ids["refused"]), ".refusal a", "policy of"
    ),
    Task(
        "Which sessions broke the cache?",
        lambda way, _: way.click(NAV, "Sessions").choose("Newest first", "Most lost by the cache first"),
        *("a.session", "lost $"),
    ),
    Task("What did an agent do?", lambda way, _: way.click(NAV, "Sessions").click("a.session"), ".tools li"),
    Task(
        "Where did a session go wrong?",
        lambda way, _: way.click(NAV, "Sessions").choose("Status", "With failed calls").click("a.session"),
        ".step.failed",
    ),
    Task(
        "Is the provider slow?",
        lambda way, _: way.click(NAV, "Providers").click("a.row", "openai"),
        *(".detail", "gpt-5.5"),
    ),
    Task(
        "What would another model cost?",
        lambda way, _: way.click(NAV, "Explore").search("openai/gpt-5-mini", "input.as"),
        *(".groups th", "On gpt-5-mini"),
    ),
    Task(
        "Which calls touched a file?", lambda way, _: way.click(NAV, "Calls").search("list.py"), "a.row mark", "list.py"
    ),
]


@dataclass
class Company(Site):
    """The demo company of a server, as this owner looks at it."""

    owner: str = ""


@pytest.fixture(scope="module")
def company(site):
    """The demo company, filled in."""

    def store():
        return DemoStore(site.connect(), now=lambda: datetime.now(UTC), days=DAYS)

    async def fill():
        assert await store().fill(await store().begin())

    async def clear():
        await store().clear()

    _, owner = site.user(role=Role.OWNER)
    site.run(fill())
    yield Company(f"{site.url}/demo-company", site.run, site.databases, site.database, "", owner)
    site.run(clear())


@for_each("task", TASKS)
def test_a_question_is_answered_in_three_clicks_or_a_search(page, company, task):
    failed = company.get(company.owner, "interceptions", q="status:failed", limit=1)["results"][0]
    refused = next(one for one in company.get(company.owner, "refusals", q="")["results"] if one.get("policy"))
    page.sign_in(company.owner)
    page.browser.get("about:blank")
    page.browser.get(f"{company.url}/#/overview")
    way = task.go(Way(page), {"failed": failed["id"], "refused": refused["request_ids"][0]})
    page.find(task.css, task.text)
    assert way.clicks <= MOST_CLICKS
    assert way.searches <= 1
