"""A server with the demo provider and a browser, one of each for all tests of a process.

Tests share both, so each has users of its own; what the console of the browser says fails the test.
"""

from __future__ import annotations

import shutil
from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome

from handlers.api.dashboard import LIBRARIES, ROOT
from runtime.process import now
from storage.accounts.identities import Role
from tests.dashboard.browser import fresh_page, start_chromium
from tests.dashboard.held_provider import HeldProvider
from tests.dashboard.page import Page
from tests.dashboard.serving import Site, serving
from tests.mongodb.database_timeouts import lengthen_timeouts
from tests.mongodb.databases import Databases
from tests.polling import poll
from tests.upstream.reports.stand_in import ANTHROPIC_KEY, StandIn

AXE = ROOT / "node_modules/axe-core/axe.min.js"
# Views that ask again every few seconds do so sooner, but not before a busy server has answered.
SOON = "const every = setInterval; window.setInterval = (ask, pause) => every(ask, Math.min(pause, Math.max(pause / 5, 1000)))"


@pytest.fixture(scope="module", autouse=True)
def patient() -> Iterator[None]:
    """Lengthen the timeouts of the database for what is made once for a module, too."""
    with pytest.MonkeyPatch.context() as patch:
        lengthen_timeouts(patch.setattr)
        yield


@pytest.fixture(scope="session")
def reports() -> Iterator[StandIn]:
    """A provider that reports what it bills."""
    stand_in = StandIn()
    stand_in.start()
    yield stand_in
    stand_in.stop()


@pytest.fixture(scope="session")
def site(
    databases: Databases, run_apart: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory, reports: StandIn
) -> Iterator[Site]:
    """The server."""
    settings = {
        "CODER_AIBRIDGE_ENCRYPTION_KEYS": b64encode(bytes(32)).decode(),
        "CODER_AIBRIDGE_RECONCILE_ANTHROPIC_URL": reports.url,
        "CODER_AIBRIDGE_RECONCILE_ANTHROPIC_KEY": ANTHROPIC_KEY,
    }
    with serving(databases, run_apart, tmp_path_factory.mktemp("site"), **settings) as site:
        site.keep_link()
        yield site


@pytest.fixture
def held(site: Site) -> Iterator[HeldProvider]:
    """A provider of the server that answers when it is let."""
    _, owner = site.user(role=Role.OWNER)
    with HeldProvider.serving() as provider:
        site.send(owner, "POST", "providers", name=provider.name, type="vllm", base_url=provider.base_url)
        yield provider
        site.send(owner, "DELETE", f"providers/{provider.name}")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chrome]:
    """The browser."""
    # Without windows it takes a quarter less. On PATH is a script that leaves the program running when it is killed.
    without_windows = shutil.which("chromium-headless-shell", path="/usr/lib/chromium")
    program, driver = without_windows or shutil.which("chromium"), shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("there is no chromium with its chromedriver")
    if not all((ROOT / name).is_file() for name in LIBRARIES):
        pytest.skip("npm has not installed the dashboard's libraries")
    # No page stays for long enough to gain by scripts that are optimized: a tenth of the time.
    quick = ("--js-flags=--no-opt,--no-maglev", "--enable-features=NetworkServiceInProcess2")
    browser = start_chromium(program, driver, *quick)
    browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": SOON})
    yield browser
    browser.quit()


@pytest.fixture
def within_a_day() -> None:
    """Wait for midnight of UTC where it is near: else what a test did today may be of yesterday when its page is read."""
    poll(lambda: (now() + timedelta(minutes=3)).date() == now().date())


@pytest.fixture
def page(within_a_day: None, chromium: Chrome, site: Site) -> Iterator[Page]:
    """The page, as if this browser had never been there."""
    with fresh_page(chromium, site.url) as page:
        yield page


@pytest.fixture(scope="session")
def axe() -> str:
    """The script that finds faults of accessibility."""
    if not AXE.is_file():
        pytest.skip("npm has not installed axe-core")
    return Path(AXE).read_text()
