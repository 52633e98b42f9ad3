"""A server with the demo provider and a browser, one of each for all tests of a process that are here.

Tests share both, so each has users of its own; what the console of the browser says fails the test.
"""

from __future__ import annotations

import json
import re
import shutil
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen
from uuid import UUID, uuid4

import pytest
from selenium.webdriver import Chrome

from handlers.dashboard import LIBRARIES, ROOT
from runtime.process import now
from storage.accounts.identities import Identities
from storage.accounts.users import Role
from storage.mongo.database import Database
from tests.dashboard.held_provider import HeldProvider
from tests.dashboard.page import Page, start_chromium
from tests.mongodb.database_timeouts import lengthen_timeouts
from tests.mongodb.databases import Databases
from tests.polling import poll
from tests.server_process import PatientServerProcess

AXE = ROOT / "node_modules/axe-core/axe.min.js"
AT_ONCE = 8
# Views that ask again every few seconds do so sooner, but not before a busy server has answered.
SOON = "const every = setInterval; window.setInterval = (ask, pause) => every(ask, Math.min(pause, Math.max(pause / 5, 1000)))"
START_SECONDS = 150  # beside browsers of other tests
API = "/api/v2/aibridge"


@dataclass
class Site:
    """The server, its database, and how clients call it; `link` signs in once, where there is a demo user."""

    url: str
    run: Callable[..., Any]
    databases: Databases
    database: str
    link: str

    def connect(self) -> Database:
        """Its database, by connections that stay open."""
        connected: Database = self.databases.connect(self.database)
        return connected

    def user(self, *, role: Role = Role.MEMBER, name: str = "") -> tuple[str, str]:
        """Add a user; its name and a token of it."""
        name = name or f"user-{uuid4().hex[:10]}"

        async def add() -> str:
            database = self.connect()
            identities = Identities(database, now=now, monotonic=lambda: 0.0)
            await identities.add_user(name, role=role)
            _, token = await identities.create_token(name)
            return token

        return name, self.run(add())

    def keep_link(self) -> None:
        """Let the link be good for as long as the tests of a process may take."""

        async def keep() -> None:
            database = self.connect()
            later = {"$set": {"expires_at": now() + timedelta(days=1)}}
            assert (await database.sign_in_codes.update_many({}, later)).matched_count == 1

        self.run(keep())

    def change(self, interception: str, **fields: Any) -> None:
        """Change the record of a call, as if something else had been seen of it."""

        async def change() -> None:
            database = self.connect()
            await database.interceptions.update_one({"_id": UUID(interception)}, {"$set": fields})

        self.run(change())

    def repeat(self, interception: str, *changes: dict[str, Any]) -> None:
        """Record a call once more with each of these changes; `prompt` is the text of its prompt."""

        async def repeat() -> None:
            database = self.connect()
            call = await database.interceptions.find_one({"_id": UUID(interception)})
            (said,) = call["user_prompts"]
            again = [call | {"_id": uuid4()} | change for change in changes]
            for one in again:
                one["user_prompts"] = [{**said, "prompt": one.pop("prompt", said["prompt"])}]
            await database.interceptions.insert_many(again)

        self.run(repeat())

    def call(
        self, token: str, prompt: str = "Hello", *, model: str = "demo", session: str | None = None, **more: Any
    ) -> str:
        """Make a call and wait for its answer, an error or not; the id of the interception."""
        body = {"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": prompt}], **more}
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        headers |= {"X-Session-Id": session} if session else {}
        request = Request(f"{self.url}{API}/demo/v1/messages", json.dumps(body).encode(), headers)
        try:
            with urlopen(request) as response:
                response.read()
        except HTTPError as error:
            response = error
            error.close()
        return response.headers["X-AI-Bridge-Interception-Id"]

    def ask(self, token: str, provider: str, prompt: str) -> None:
        """Make a call to a provider that is like OpenAI, and wait for its answer."""
        body = {"model": "held", "messages": [{"role": "user", "content": prompt}]}
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        with urlopen(
            Request(f"{self.url}{API}/{provider}/v1/chat/completions", json.dumps(body).encode(), headers)
        ) as response:
            response.read()

    def calls(self, token: str, number: int) -> None:
        """Make so many at once; their prompts are their numbers."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda number: self.call(token, f"Prompt {number}"), range(number)))

    def refused(self, token: str, times: int = 1) -> None:
        """Make calls of an unknown route, and wait until figures and the list of refusals have them all."""
        for _ in range(times):
            with pytest.raises(HTTPError) as refusal:
                urlopen(Request(f"{self.url}{API}/demo/v1/nowhere", headers={"Authorization": f"Bearer {token}"}))
            refusal.value.close()
        poll(lambda: self.get(token, "stats", of="refusals")["total"]["refusals"] >= times)
        poll(lambda: sum(1 + one["more"] for one in self.get(token, "refusals")["results"]) >= times)

    def get(self, token: str, path: str, **parameters: Any) -> Any:
        """Ask the API."""
        request = Request(
            f"{self.url}{API}/{path}?{urlencode(parameters)}", headers={"Authorization": f"Bearer {token}"}
        )
        with urlopen(request) as response:
            return json.load(response)

    def send(self, token: str, method: str, path: str, **fields: Any) -> Any:
        """Change something by the API."""
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        body = json.dumps(fields).encode() if fields else None
        with urlopen(Request(f"{self.url}{API}/{path}", body, headers, method=method)) as response:
            return json.loads(response.read() or b"null")

    def recorded(self, token: str, number: int) -> None:
        """Wait until so many calls of a member have ended."""
        poll(lambda: self.get(token, "interceptions", limit=1, q="-status:in_flight")["count"] >= number)

    def counted(self, token: str, number: int) -> None:
        """Wait until so many are in a member's figures."""
        poll(lambda: self.get(token, "stats")["total"]["interceptions"] >= number)


class PromptServerProcess(PatientServerProcess):
    """One that tells soon of what changed."""

    program = ("-m", "tests.dashboard.prompt_server")


@contextmanager
def serving(
    databases: Databases,
    run_apart: Callable[..., Any],
    data_dir: Path,
    address: str = "127.0.0.1:0",
    **environment: str,
) -> Iterator[Site]:
    """A server with a database of its own."""
    name = f"test-{uuid4().hex}"
    flags = {
        "http-address": address,
        "data-dir": str(data_dir),
        "mongodb-database": name,
        "max-concurrency": "50",
        "rate-limit": "1000",
        "user-rate-limit": "1000",
        "rate-window": "1h",
    }
    arguments = [word for flag, value in flags.items() for word in (f"--{flag}", value)]
    server = PromptServerProcess("serve", "--demo", *arguments, AIBRIDGE_MONGODB_URI=databases.uri, **environment)
    try:
        server.stdout.find("what was recorded of them|to see the dashboard", START_SECONDS)
        link = re.search(r"http\S+/#/sign-in/\S+", "".join(server.stdout.so_far()))
        yield Site(f"http://127.0.0.1:{server.port}", run_apart, databases, name, link[0] if link else "")
    finally:
        server.kill()
    assert " ERROR " not in server.stderr.all()


@pytest.fixture(scope="module", autouse=True)
def patient() -> Iterator[None]:
    """Lengthen the timeouts of the database for what is made once for a module, too."""
    with pytest.MonkeyPatch.context() as patch:
        lengthen_timeouts(patch.setattr)
        yield


@pytest.fixture(scope="package")
def site(
    databases: Databases, run_apart: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """The server. It does not outlive these tests: one that nobody asks anything takes a twentieth of a processor."""
    key = b64encode(bytes(32)).decode()
    folder = tmp_path_factory.mktemp("site")
    with serving(databases, run_apart, folder, AIBRIDGE_ENCRYPTION_KEYS=key) as site:
        site.keep_link()
        yield site


@pytest.fixture
def held(site: Site) -> Iterator[HeldProvider]:
    """A provider of the server that answers when it is let."""
    _, owner = site.user(role=Role.OWNER)
    with closing(HeldProvider()) as provider:
        site.send(owner, "POST", "providers", name=provider.name, type="vllm", base_url=provider.base_url)
        yield provider
        site.send(owner, "DELETE", f"providers/{provider.name}")


@pytest.fixture(scope="package")
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
    page = Page(chromium, site.url)
    page.forget()
    yield page
    assert page.complaints() == []


@pytest.fixture(scope="session")
def axe() -> str:
    """The script that finds faults of accessibility."""
    if not AXE.is_file():
        pytest.skip("npm has not installed axe-core")
    return Path(AXE).read_text()
