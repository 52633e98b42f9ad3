"""The records beside the bill, in a real browser."""

from __future__ import annotations

from base64 import b64encode
from datetime import date
from urllib.parse import urlsplit

import pytest

from storage.accounts.identities import Role
from tests.dashboard.conftest import serving
from tests.dashboard.page import PHONE, WIDE, Page
from tests.dashboard.test_governance_views import is_for_everybody
from tests.upstream.reports.conftest import stand_in  # noqa: F401 - a fixture
from tests.upstream.reports.stand_in import ANTHROPIC_KEY, Entry

HEAD = ["2026-09-01", "claude-haiku-5", "0", "8", "+8", "$0.00", "$0.01", "+$0.01", "differs"]


@pytest.fixture
def billed(chromium, databases, run_apart, tmp_path, stand_in):  # noqa: F811 - the fixture
    """A server that may read the stand-in's reports, and its page."""
    environment = {
        "CODER_AIBRIDGE_RECONCILE_ANTHROPIC_URL": stand_in.url,
        "CODER_AIBRIDGE_RECONCILE_ANTHROPIC_KEY": ANTHROPIC_KEY,
        "CODER_AIBRIDGE_ENCRYPTION_KEYS": b64encode(bytes(32)).decode(),
    }
    with serving(databases, run_apart, tmp_path, **environment) as site:
        page = Page(chromium, site.url)
        page.forget()
        yield site, page, stand_in
        assert page.complaints() == []


def test_an_owner_compares_with_the_bill_and_sees_why_it_differs(billed, axe):
    site, page, reports = billed
    reports.entries = [Entry(date(2026, 9, 1), "claude-haiku-5", 4, 4, 0, 0, "0.01")]
    _, owner = site.user(role=Role.OWNER)
    page.open("prices", owner)
    page.click(".list-tabs button", "Bill")
    page.find("h2", "Compare with the bill")
    page.find("input[placeholder='2026-11-01']").send_keys("2026-09-01")
    page.find("input[placeholder='2026-12-01']").send_keys("2026-09-03")
    page.click("form button", "Compare")
    page.find(".toolbar", "0 rows agree, 1 differs, from 2026-09-01 until before 2026-09-03.")
    assert page.address == "bill?provider=anthropic&from=2026-09-01&to=2026-09-03"
    assert page.texts(".bill tbody td") == [*HEAD, "calls past the bridge: none of this model is recorded on this day"]
    is_for_everybody(page, axe)
    script = """
        const created = URL.createObjectURL
        URL.createObjectURL = (blob) => { blob.text().then((text) => { window.saved = text }); return created.call(URL, blob) }"""
    page.browser.execute_script(script)
    page.click(".toolbar button", "CSV")
    saved = page.until(lambda: page.browser.execute_script("return window.saved"), "a file was to be made")
    assert saved.splitlines()[1] == (
        "2026-09-01,claude-haiku-5,0,8,8,0,0.01,0.01,differs,calls past the bridge: none of this model is recorded on this day"
    )
    reports.entries = []
    page.click("form button", "Compare")
    page.find(".toolbar", "Nothing is recorded or reported, from")
    page.refused = ["502", "400", "409"]
    reports.refusal = (403, {}, b"")
    page.click("form button", "Compare")
    said = page.find(".failure", "the key may not read reports").text
    assert urlsplit(reports.url).netloc in said
    assert ANTHROPIC_KEY not in said
    page.choose("Provider", "OpenAI")
    page.click("form button", "Compare")
    page.find(".failure", "reconcile-openai-key is not set")
    page.open("bill?provider=openai&to=2026-09-01&from=2026-09-02", owner)
    page.find(".failure li", "must be after from")
    page.resize(PHONE)
    assert page.browser.execute_script("return document.documentElement.scrollWidth") == PHONE[0]
    page.resize(WIDE)


def test_a_reader_is_told_that_the_bill_is_not_for_them(page, site):
    _, reader = site.user(role=Role.READER)
    page.open("bill", reader)
    assert page.find(".empty").text.splitlines()[0] == "Not for your role"
