"""Measure when each view of the dashboard shows its content, in a real browser.

    .venv/bin/python -m benchmarks.api.first_content [--records N] [--times N] [--data-dir DIR] [--only VIEW]

The database is filled once and kept in its data-dir. An owner opens each view by its address. The time begins with the
navigation. It ends with the first frame after which nothing in the page says that it is loading. A view that reads calls
one by one has its content when it says how far it is.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import median

from benchmarks.api.dashboard import filled
from tests.dashboard.page import PHONE, Page

SIZES = {"1440": ((1440, 900), "light"), "390": (PHONE, "dark")}
VIEWS = (
    *(
        "overview",
        "explore",
        "interceptions",
        "refusals",
        "errors",
        "sessions",
        "limits",
        "providers",
        "users",
        "groups",
    ),
    *("policies", "prices", "bill", "webhooks", "usage", "audit", "tokens", "connect", "examples"),
    *("overview?range=30d", "explore?range=30d", "errors?range=30d"),
)
# Notes the first frame after which nothing in the page says that it is loading; put before the page's own scripts.
WATCH = """
    window.contentAt = null
    const look = () => {
        const main = document.querySelector("main")
        const loads = !main?.textContent.trim() ||
            [...main.querySelectorAll(".note[role=status]")].some((one) => one.textContent.endsWith("…"))
        window.contentAt = loads ? null : window.contentAt ?? performance.now()
        requestAnimationFrame(look)
    }
    requestAnimationFrame(look)"""
SETTLED_MS = 500
"""A view has its content when nothing was loaded for so long."""

SEEN = f"return window.contentAt && performance.now() - window.contentAt > {SETTLED_MS} ? window.contentAt : null"


def load(page: Page, view: str, token: str) -> float:
    """Open a view; return the milliseconds until its content is there."""
    page.open(view, token)
    taken: float = page.until(lambda: page.browser.execute_script(SEEN), f"the content of {view} was waited for")
    return taken


def measure(page: Page, token: str, views: list[str], times: int) -> None:
    """Open each view so many times in each size, and print the times."""
    print(f"{'milliseconds':<24}{'':>6}{'p50':>8}{'most':>8}")
    for view in views:
        for name, (size, scheme) in SIZES.items():
            page.resize(size)
            page.prefer(scheme)
            taken = [load(page, view, token) for _ in range(times)]
            print(f"{view:<24}{name:>6}{median(taken):>8.0f}{max(taken):>8.0f}", flush=True)


def main() -> None:
    """Fill, serve, measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--data-dir", type=Path, default=Path("data/bench-dashboard"))
    parser.add_argument("--only", default="", help="a view, or how the names of some begin")
    arguments = parser.parse_args()
    views = [view for view in VIEWS if view.startswith(arguments.only)]
    with filled(arguments.data_dir, arguments.records) as (page, token):
        page.browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})
        measure(page, token, views, arguments.times)


if __name__ == "__main__":
    main()
