"""Make the pictures of the README: `.venv/bin/python -m tests.dashboard.screenshots`.

A company's two months are made up, recorded in a database of their own and shown by a real server in a real browser.
"""

from __future__ import annotations

import asyncio
import base64
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import cycle
from pathlib import Path
from typing import Any

from benchmarks.api.population import Population
from intercept.records import TokenUsage
from runtime.process import now
from storage.accounts.identities import Identities, Role
from storage.aggregation.rollup import TOKENS
from storage.aggregation.rollup_job import RollupJob
from storage.aggregation.sessions.session_job import SessionJob
from storage.costs.prices import Prices
from storage.mongo.database import Database
from storage.mongo.embedded import EmbeddedMongoDB
from tests.dashboard.page import PHONE, WIDE, Page, start_chromium
from tests.server_process import ROOT, ServerProcess

# Two frames later: what is there then has been drawn.
DRAWN = "requestAnimationFrame(() => requestAnimationFrame(arguments[0]))"
FOLDER = ROOT / "docs" / "images"
CALLS = 20_000
DATABASE = "screenshots"
USERS = dict.fromkeys(("ada", "barbara", "edsger", "ken", "margaret"), Role.MEMBER) | {"grace": Role.AUDITOR}
CLIENTS = ("ci", "editor", "laptop")
PROMPTS = (
    "Why does the second run of the test fail when the cache is warm?",
    "Find where the connection is closed twice, and write a test that shows it.",
    "Make the import wait for the lock, without a new dependency.",
    "Explain what this query plan says, and which index would help.",
    "Rename the setting, keep the old name working, and update the documents.",
    "Read the log and say what happened first.",
    "Turn this into a table, one row per customer.",
)
COMMANDS = ("pytest -x tests/cache", "git log --oneline -5", "grep -rn 'close()' src", "sed -n 1,80p src/import.py")
THOUGHT = "The first run fills the cache and the second one reads it, so the key must differ between them."
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


def made_up(users: list[Any]) -> Iterator[dict[str, Any]]:
    """The calls, with words that people would use."""
    prompts, commands = cycle(PROMPTS), cycle(COMMANDS)
    prices = Prices({name: (name, "") for name in ("anthropic", "openai")})
    for day in Population(calls=CALLS, users=users, until=now()).days():
        for document in day:
            for prompt in document["user_prompts"]:
                prompt["prompt"] = next(prompts)
            for tool in document.get("tool_usages", ()):
                tool["input"] = f'{{"command": "{next(commands)}", "timeout": 120000}}'
            for thought in document.get("model_thoughts", ()):
                thought["content"] = THOUGHT
            usages = [
                TokenUsage(provider_response_id="", **{name: usage[name] for name in TOKENS})
                for usage in document["token_usages"]
            ]
            cost = prices.cost(document["provider_name"], document["model"], usages, document["started_at"])
            document["cost"] = cost and cost.stored
            yield document


async def fill(uri: str) -> str:
    """Record them as a server would have; the token of an owner."""
    database = Database.connect(uri, DATABASE)
    await database.prepare(retention=None)
    identities = Identities(database, now=now, monotonic=lambda: 0.0)
    users = [(await identities.add_user(name, role=role)).id for name, role in USERS.items()]
    for name in USERS:
        for client in CLIENTS:
            await identities.create_token(name, name=client, expires_at=now() + timedelta(days=90))
    await identities.add_user("owner", role=Role.OWNER)
    _, token = await identities.create_token("owner")
    await database.interceptions.insert_many(list(made_up(users)))
    await RollupJob(database, now=now).add_pending()
    await SessionJob(database).add_pending()
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
        flags = ["--aibridge-http-address", "127.0.0.1:0", "--aibridge-data-dir", folder]
        uri = {"CODER_AIBRIDGE_MONGODB_URI": mongodb.uri}
        server = ServerProcess(*flags, "--aibridge-mongodb-database", DATABASE, **uri)
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
