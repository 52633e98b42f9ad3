"""The browser of the tests, and a page in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

from tests.dashboard.page import Page


def start_chromium(program: str, driver: str, *arguments: str) -> Chrome:
    """A browser without a window; `arguments` are what else is on its command line."""
    options = ChromeOptions()
    options.binary_location = program
    usual = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars")
    for argument in (*usual, *arguments):
        options.add_argument(argument)
    # A page that is kept to go back to has a process, and so every page would start one of its own: a quarter of the time.
    options.add_argument("--disable-features=BackForwardCache")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return Chrome(options=options, service=Service(driver))


@contextmanager
def fresh_page(browser: Chrome, url: str) -> Iterator[Page]:
    """A page, as if the browser had never been there; its console is to say nothing in the end."""
    page = Page(browser, url)
    page.forget()
    try:
        yield page
        said = page.complaints()
        assert said == [], said
    finally:
        page.leave()  # or it would ask its server again and again, for as long as other tests take
