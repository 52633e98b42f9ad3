"""Measure the dashboard in a real browser, on a database of 100,000 interceptions.

    .venv/bin/python -m benchmarks.api.dashboard [--records N] [--times N] [--data-dir DIR]

The database is filled once and kept in its data-dir. Every time is taken in the page itself: of a load, from its start to
the first paint and to the first row; of an action, from the key or the click to the frame that shows what came of it.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles

from benchmarks.api.database import NAME, OWNER, fill, new_token
from benchmarks.api.server import running_server
from storage.mongo.embedded import EmbeddedMongoDB
from tests.dashboard.page import Page, start_chromium

LOADS = {
    "first paint": "return performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null",
    "the first row is there": "return window.firstRow ?? null",
}
# Notes when the first row is in the page; put before every page's own scripts.
WATCH = """
    new MutationObserver((_, watch) => {
        if (!document.querySelector("a.row")) return
        watch.disconnect()
        requestAnimationFrame(() => (window.firstRow = performance.now()))
    }).observe(document, {childList: true, subtree: true})"""
# Each action: what is done, and what is true when it is done. Odd and even times differ, so that something changes.
ACTIONS = {
    "down a row (j)": (
        "dispatchEvent(new KeyboardEvent('keydown', {key: 'j'})); was = document.activeElement",
        "document.activeElement.matches('a.row')",
    ),
    "open the detail": ("document.querySelectorAll('a.row')[turn + 1].click()", "document.querySelector('.facts')"),
    "close it (Esc)": (
        "dispatchEvent(new KeyboardEvent('keydown', {key: 'Escape'}))",
        "!document.querySelector('.detail')",
    ),
    "filter by status": (
        "location.hash = turn % 2 ? '#/interceptions?q=status:failed' : '#/interceptions?q=status:completed'",
        "(rows => rows.length > 40 && rows.every(one => one.matches(turn % 2 ? '.failed' : '.completed')))([...document.querySelectorAll('a.row .status')])",
    ),
    "the next page": (
        "was = document.querySelectorAll('a.row').length; scrollTo(0, document.body.scrollHeight)",
        "document.querySelectorAll('a.row').length > was",
    ),
}
TIMED = """
    const [act, seen, turn, done] = arguments
    const began = performance.now()
    let was
    const look = () => (LOOK) ? done(performance.now() - began) : requestAnimationFrame(look)
    ACT
    requestAnimationFrame(look)"""


def load(page: Page, token: str) -> dict[str, float]:
    """Load the list once; return the milliseconds."""
    page.open("interceptions", token)
    return {what: _taken(page, what) for what in LOADS}


def _taken(page: Page, what: str) -> float:
    taken: float = page.until(lambda: page.browser.execute_script(LOADS[what]), what)
    return taken


def act(page: Page, what: str, turn: int) -> float:
    """Do one thing; return the milliseconds until the page shows it."""
    action, seen = ACTIONS[what]
    script = TIMED.replace("ACT", action).replace("LOOK", seen)
    taken: float = page.browser.execute_async_script(script, "", "", turn)
    return taken


def report(what: str, times: list[float]) -> None:
    """Print the median, and the 95th percentile."""
    print(f"{what:<24}{median(times):>8.0f}{quantiles(times, n=20, method='inclusive')[-1]:>8.0f}{max(times):>8.0f}")


@contextmanager
def browser(port: int) -> Iterator[Page]:
    """A browser at the server."""
    chromium = start_chromium(shutil.which("chromium") or "chromium", shutil.which("chromedriver") or "chromedriver")
    try:
        page = Page(chromium, f"http://127.0.0.1:{port}")
        page.forget()
        chromium.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})
        yield page
    finally:
        chromium.quit()


def measure(page: Page, token: str, times: int) -> None:
    """Load and act so many times, and print the times."""
    print(f"{'milliseconds':<24}{'p50':>8}{'p95':>8}{'most':>8}")
    loads = [load(page, token) for _ in range(times)]
    for what in LOADS:
        report(what, [one[what] for one in loads])
    for what in ACTIONS:
        page.open("interceptions", token)
        page.find("a.row")
        taken = []
        for turn in range(times):
            if what.startswith("close"):
                act(page, "open the detail", turn)
            taken.append(act(page, what, turn))
            if what.startswith("open"):
                act(page, "close it (Esc)", turn)
        report(what, taken)


@contextmanager
def filled(data_dir: Path, records: int) -> Iterator[tuple[Page, str]]:
    """A browser at a server with so many records, and a token of an owner."""
    with asyncio.Runner() as runner:
        mongodb = runner.run(EmbeddedMongoDB.start(data_dir))
        try:
            runner.run(fill(mongodb.uri, records))
            token = runner.run(new_token(mongodb.uri, OWNER))
            with running_server(mongodb.uri, NAME) as server, browser(server.port) as page:
                yield page, token
        finally:
            runner.run(mongodb.stop())


def main() -> None:
    """Fill, serve, measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--times", type=int, default=40)
    parser.add_argument("--data-dir", type=Path, default=Path("data/bench-dashboard"))
    arguments = parser.parse_args()
    with filled(arguments.data_dir, arguments.records) as (page, token):
        measure(page, token, arguments.times)


if __name__ == "__main__":
    main()
