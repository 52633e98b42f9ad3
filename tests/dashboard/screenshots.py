"""Make the pictures of the README: `.venv/bin/python -m tests.dashboard.screenshots`.

Two months of the demo company are recorded in a database of their own and shown by a real server in a real browser.
"""

from __future__ import annotations

import asyncio
import base64
import shutil
import tempfile
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

from runtime.process import now
from storage.accounts.identities import Identities
from storage.accounts.users import Role
from storage.demo.filling import Filling
from storage.mongo.database import Database
from storage.mongo.embedded import EmbeddedMongoDB
from tests.dashboard.page import PHONE, WIDE, Page, start_chromium
from tests.derived import derive
from tests.server_process import ROOT, ServerProcess

# Two frames later: what is there then has been drawn.
DRAWN = "requestAnimationFrame(() => requestAnimationFrame(arguments[0]))"
FOLDER = ROOT / "docs" / "images"
DAYS = 60
DATABASE = "screenshots"
USERS = dict.fromkeys(("ada", "barbara", "edsger", "ken", "margaret"), Role.MEMBER) | {"grace": Role.AUDITOR}
CLIENTS = ("ci", "editor", "laptop")
# Each picture: its file, the view, whether it is dark, its size, and what is to be seen before it is taken.
PICTURES = (
    ("overview-light", "overview?range=7d", "light", WIDE, "canvas"),
    ("overview-dark", "overview?range=30d&by=model", "dark", WIDE, "canvas"),
    ("explore", "explore?range=30d", "light", WIDE, "canvas"),
    ("interceptions", "interceptions/{id}", "light", WIDE, ".detail .facts"),
    ("session", "sessions/{session}", "dark", WIDE, ".axis"),
    ("users", "users/grace", "light", WIDE, ".token"),
    ("phone", "interceptions", "light", PHONE, "a.row"),
)


async def fill(uri: str) -> str:
    """Record them as a server would have; the token of an owner."""
    database = Database.connect(uri, DATABASE)
    await database.prepare(retention=None)
    identities = Identities(database, now=now, monotonic=lambda: 0.0)
    company = Filling(database, until=now(), days=DAYS)
    await company.add_people()
    for day in range(1, DAYS + 1):
        await company.add_day(day)
    for name, role in USERS.items():
        await identities.add_user(name, role=role)
    for name in USERS:
        for client in CLIENTS:
            await identities.create_token(name, name=client, expires_at=now() + timedelta(days=90))
    await identities.add_user("owner", role=Role.OWNER)
    _, token = await identities.create_token("owner")
    await derive(database, now=now)
    database.close()
    return token


def take(page: Page, token: str, pictures: Iterable[tuple[Any, ...]], found: dict[str, str]) -> None:
    """Take the pictures, each as WebP."""
    for name, view, scheme, size, sight in pictures:
        page.resize(size)
        page.prefer(scheme)
        page.open(view.format(**found), token)
        page.find(sight)
        page.browser.execute_script("document.activeElement.blur()")
        page.browser.execute_async_script(DRAWN)
        options = {"format": "webp", "quality": 82}
        data = base64.b64decode(page.browser.execute_cdp_cmd("Page.captureScreenshot", options)["data"])
        path = FOLDER / f"{name}.webp"
        path.write_bytes(data)
        print(f"{path.relative_to(ROOT)}: {len(data) // 1024} KiB")  # noqa: T201 - it is a command


def find(page: Page, token: str) -> dict[str, str]:
    """An interception and a session that have much to show."""
    page.open("interceptions", token)
    page.find("a.row")
    script = """
        const calls = await (await fetch("api/v2/aibridge/interceptions?limit=200")).json()
        const sessions = await (await fetch("api/v2/aibridge/sessions?limit=200")).json()
        return {
            id: calls.results.find((one) => one.tool_usages.length && one.model_thoughts.length && one.user_prompts.length).id,
            session: sessions.results.find((one) => one.interceptions > 5 && one.threads > 1).id,
        }"""
    return page.browser.execute_script(f"return (async () => {{{script}}})()")


def main() -> None:
    """Fill, serve, look."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        loop = asyncio.new_event_loop()
        mongodb = loop.run_until_complete(EmbeddedMongoDB.start(Path(folder)))
        token = loop.run_until_complete(fill(mongodb.uri))
        flags = ["--http-address", "127.0.0.1:0", "--data-dir", folder]
        uri = {"AIBRIDGE_MONGODB_URI": mongodb.uri}
        server = ServerProcess(*flags, "--mongodb-database", DATABASE, **uri)
        browser = start_chromium(shutil.which("chromium") or "chromium", shutil.which("chromedriver") or "chromedriver")
        try:
            page = Page(browser, f"http://127.0.0.1:{server.port}")
            page.forget()
            take(page, token, PICTURES, find(page, token))
        finally:
            browser.quit()
            server.kill()
            loop.run_until_complete(mongodb.stop())
            loop.close()


if __name__ == "__main__":
    main()
