"""A page in a real browser, as people use it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from http.cookies import SimpleCookie
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from selenium.common.exceptions import (
    NoSuchElementException,
    StaleElementReferenceException,
    TimeoutException,
)
from selenium.webdriver import ActionChains, Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from handlers.identity.credentials import SESSION_COOKIE
from tests.polling import poll

SECONDS = 60  # beside servers and browsers of other tests
WIDE = (1280, 900)
PHONE = (390, 844)
# What axe says of colours, and so all that it can say of a page in dark that it did not say in light.
COLOURS = ("color-contrast", "link-in-text-block")
# Left out are rules whose faults are never serious, a fifth of the time, and all time zones but a few, a third.
RUN_AXE = """(async (options) => {
    const mild = axe._audit.rules.filter(({impact}) => ["minor", "moderate"].includes(impact))
    const rules = Object.fromEntries(mild.map(({id}) => [id, {enabled: false}]))
    const {violations} = await axe.run({resultTypes: ["violations"], rules, ...options})
    return JSON.stringify(violations) })(%s)"""
# The first element that is shown, with a text in it.
FIND = """
    const [css, text, done] = arguments
    const found = [...document.querySelectorAll(css)].find((one) =>
        one.textContent.includes(text) && one.checkVisibility({visibilityProperty: true})) ?? null
    """
# Its middle, if that is where it was two frames ago and nothing lies over it: what is above it may be loading. A click on it
# is kept in mind.
FIND_STILL = f"""{FIND}
    if (!found) return done(null)
    window.unguard?.()
    window.wasHit = false
    found.addEventListener("click", () => {{ window.wasHit = true }}, {{capture: true, once: true}})
    // What has moved into its place at the last moment is not pressed.
    const kinds = ["pointerdown", "mousedown", "pointerup", "mouseup", "click"]
    let missed = false
    const guard = (event) => {{
        if (event.type === "pointerdown") missed = !found.contains(event.target)
        if (!missed) return
        event.preventDefault()
        event.stopImmediatePropagation()
    }}
    for (const kind of kinds) addEventListener(kind, guard, {{capture: true}})
    window.unguard = () => {{ for (const kind of kinds) removeEventListener(kind, guard, {{capture: true}}) }}
    found.scrollIntoView({{block: "nearest"}})
    const middle = () => {{
        const {{x, y, width, height}} = found.getClientRects()[0] ?? {{}}
        return [x + width / 2, y + height / 2]
    }}
    const before = String(middle())
    const stands = () => String(middle()) === before && found.contains(document.elementFromPoint(...middle()))
    const answer = () => {{
        if (!stands()) window.unguard()
        done(stands() ? middle() : null)
    }}
    requestAnimationFrame(() => requestAnimationFrame(answer))"""
# Whether the click hit it: it may have moved at the last moment. Where it led to another document, nothing is known of it.
WAS_HIT = "window.unguard?.(); return window.wasHit !== false"
# What a browser says of every answer that is no success, beside what the page says.
FAILED_REQUEST = "Failed to load resource: the server responded with a status of "


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


class Page:
    """The dashboard of the server at `url`."""

    def __init__(self, browser: Chrome, url: str) -> None:
        self.browser = browser
        self.url = url
        self.refused: list[str] = []  # statuses of requests that this test expects

    def resize(self, size: tuple[int, int]) -> None:
        width, height = size
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == PHONE}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def prefer(self, scheme: str) -> None:
        """What the system likes: light or dark."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def forget(self) -> None:
        """Begin like a browser that was never here."""
        self.browser.get("about:blank")
        self.browser.execute_cdp_cmd(
            "Storage.clearDataForOrigin", {"origin": self.url, "storageTypes": "local_storage"}
        )
        self.browser.execute_cdp_cmd("Network.clearBrowserCookies", {})
        self._said()
        self.resize(WIDE)
        self.prefer("light")

    def open(self, address: str = "", token: str | None = None) -> None:
        """Open a view, such as `interceptions?q=x`; signed in with a token where one is given."""
        if token is not None:
            self.sign_in(token)
        if self.browser.current_url.startswith(self.url):
            self.browser.get("about:blank")  # or only what stands behind the # would change
        self.browser.get(f"{self.url}/#/{address}")

    def go(self, address: str) -> None:
        """Go from one view to another, without the page being loaded again; come back when it knows."""
        script = """
            const [address, done] = arguments
            if (location.hash === address) return done()
            addEventListener("hashchange", () => setTimeout(done), {once: true})
            location.hash = address"""
        self.browser.execute_async_script(script, f"#/{address}")

    def sign_in(self, token: str) -> None:
        """Sign in with a token, for the page that is loaded next."""
        cookie = {"name": SESSION_COOKIE, "value": self.session(token), "url": self.url}
        self.browser.execute_cdp_cmd("Network.setCookie", cookie | {"httpOnly": True, "sameSite": "Strict"})

    def session(self, token: str) -> str:
        """Sign in from another browser, and return the session. Where the token is not valid, return the token."""
        headers = {"Content-Type": "application/json", "User-Agent": "test"}
        body = json.dumps({"token": token}).encode()
        try:
            with urlopen(Request(f"{self.url}/api/v2/aibridge/users/me/session", body, headers)) as response:
                return SimpleCookie(response.headers["Set-Cookie"])[SESSION_COOKIE].value
        except HTTPError as error:
            error.close()
            return token

    @property
    def address(self) -> str:
        """Where one is."""
        return str(self.browser.execute_script("return location.hash")).removeprefix("#/")

    def until(self, condition: Callable[[], Any], what: str) -> Any:
        """Wait for something. A page that is redrawn meanwhile, or has too few of something, is read again."""

        def look() -> Any:
            with suppress(NoSuchElementException, StaleElementReferenceException, IndexError):
                return condition()

        try:
            return poll(look, SECONDS)
        except AssertionError:
            raise AssertionError(f"{what}, but the page says: {self.text()}") from None

    def all(self, css: str) -> list[WebElement]:
        return self.browser.find_elements(By.CSS_SELECTOR, css)

    def find(self, css: str, text: str = "") -> WebElement:
        """The first element that is shown, with this text in it; waited for."""
        found: WebElement = self.until(
            lambda: self.browser.execute_script(f"{FIND}return found", css, text),
            f"{css} with {text!r} was waited for",
        )
        return found

    def click(self, css: str, text: str = "") -> None:
        """Click what is shown, as soon as it stands still and nothing lies over it."""

        def clicked() -> bool:
            # Where the page goes away while a script waits in it, the driver says at once that the script took too long.
            with suppress(TimeoutException):
                if place := self.browser.execute_async_script(FIND_STILL, css, text):
                    # The driver's own click looks at all that again, which takes twice as long.
                    click = {"x": place[0], "y": place[1], "button": "left", "clickCount": 1}
                    for event in ("mousePressed", "mouseReleased"):
                        self.browser.execute_cdp_cmd("Input.dispatchMouseEvent", {"type": event, **click})
                    return bool(self.browser.execute_script(WAS_HIT))
            return False

        self.until(clicked, f"{css} with {text!r} was to be clicked")

    def overwrite(self, css: str, *keys: str) -> None:
        """Replace the text of a field by typing. `clear` tells the page nothing: it puts the text back when it draws."""
        field = self.find(css)
        field.send_keys(Keys.CONTROL, "a")
        field.send_keys(*keys)

    def choose(self, label: str, option: str, within: str = "main") -> None:
        """Choose in a list, as soon as it has that."""
        script = """
            const [within, label, option] = arguments
            const found = [...document.querySelectorAll(within + " select")]
                .filter((one) => (one.ariaLabel ?? one.labels[0].textContent).startsWith(label))
                .flatMap(({options}) => [...options]).find(({text}) => text === option)
            const list = found?.closest("select")
            if (!list?.checkVisibility({visibilityProperty: true}) || list.disabled) return false
            list.focus()
            found.selected = true
            return ["input", "change"].map((type) => list.dispatchEvent(new Event(type, {bubbles: true}))).length > 0"""
        choose = partial(self.browser.execute_script, script, within, label, option)
        self.until(choose, f"{option!r} was to be an option")

    def hold(self, part: str) -> None:
        """Keep back what the page asks for with that in its address, until `release`."""
        script = """
            const [real, part] = [window.fetch, arguments[0]]
            window.held = []
            window.fetch = (url, options) => !String(url).includes(part) ? real(url, options) :
                new Promise((resolve, reject) => window.held.push(() => real(url, options).then(resolve, reject)))"""
        self.browser.execute_script(script, part)

    def release(self, at: int = 0) -> None:
        """Let one go that is kept back, as soon as there is one, and come back when the page has drawn its answer."""
        script = """
            const [at, done] = arguments
            const drawn = () => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)))
            window.held[at]().then(drawn).then(drawn).then(drawn).then(done)"""
        self.until(lambda: self.browser.execute_script("return window.held.length") > at, "it was to be asked for")
        self.browser.execute_async_script(script, at)

    def gone(self, css: str) -> None:
        self.until(lambda: not self.all(css), f"{css} was to go")

    def scroll_to_end(self) -> None:
        """Scroll down until a list says that it has all; each page of it is waited for."""

        def seen() -> int:
            self.browser.execute_script("scrollTo(0, document.body.scrollHeight)")
            return len(self.all(".rows > *"))

        while not self.all(".end p:not(.note)"):
            before = seen()
            self.until(lambda: seen() > before or self.all(".end p:not(.note)"), "the list was to go on")  # noqa: B023

    def texts(self, css: str) -> list[str]:
        """What these elements say, also out of sight, with spaces as they are seen."""
        script = "return [...document.querySelectorAll(arguments[0])].map((one) => one.textContent)"
        return [" ".join(text.split()) for text in self.browser.execute_script(script, css)]

    def facts(self, term: str = "", within: str = "body") -> dict[str, str]:
        """What the page says of each term that begins like this, all read at once."""
        script = """
            return [...document.querySelectorAll(`${arguments[0]} dt`)].map((one) =>
                [one, one.nextElementSibling].map(({textContent}) => textContent))"""
        said = self.browser.execute_script(script, within)
        return {" ".join(name.split()): " ".join(text.split()) for name, text in said if name.startswith(term)}

    def pairs(self, css: str, key: str, value: str) -> dict[str, str]:
        """What two parts of each of these elements say, all read at once."""
        script = """
            return [...document.querySelectorAll(arguments[0])].map((one) =>
                [arguments[1], arguments[2]].map((part) => one.querySelector(part).textContent))"""
        said = self.browser.execute_script(script, css, key, value)
        return {" ".join(name.split()): " ".join(text.split()) for name, text in said}

    def shows(self, css: str, texts: list[str]) -> None:
        """Wait until these elements say that."""
        self.until(lambda: self.texts(css) == texts, f"{css} was to say {texts}")

    def text(self) -> str:
        return str(self.browser.execute_script("return document.body.innerText"))

    def type(self, *keys: str) -> None:
        """Press keys, wherever the focus is."""
        for key in keys:
            ActionChains(self.browser).send_keys(key).perform()

    def focused(self) -> str:
        """What the focused element says, or is called."""
        script = """
            const {innerText, ariaLabel, id} = document.activeElement
            return (ariaLabel || innerText || id || "").replace(/\\s+/g, " ").trim()"""
        return str(self.browser.execute_script(script))

    def complaints(self) -> list[str]:
        """What the console has, without the refusals that were expected."""
        return [line for line in self._said() if not any(FAILED_REQUEST + status in line for status in self.refused)]

    def _said(self) -> list[str]:
        """What the console has since it was asked last."""
        entries: list[dict[str, str]] = self.browser.get_log("browser")
        return [entry["message"] for entry in entries if entry["level"] != "DEBUG"]

    def axe_in_light_and_dark(self, source: str) -> list[str]:
        """What axe finds in light, and what more in dark."""
        self.prefer("light")
        faults = self.axe(source)
        self.prefer("dark")
        faults += self.axe(source, COLOURS)
        self.prefer("light")
        return faults

    def axe(self, source: str, rules: Sequence[str] = ()) -> list[str]:
        """What axe finds serious or worse, each with the first element that has it; by these rules, or by all."""
        if not self.browser.execute_script("return 'axe' in window"):
            self.browser.execute_cdp_cmd("Runtime.evaluate", {"expression": source})
        options = json.dumps({"runOnly": rules} if rules else {})
        run = {"expression": RUN_AXE % options, "awaitPromise": True}
        evaluated = self.browser.execute_cdp_cmd("Runtime.evaluate", run)
        violations = json.loads(evaluated["result"]["value"])
        return [
            f"{one['id']}: {one['help']}: {one['nodes'][0]['html']}: {one['nodes'][0]['failureSummary']}"
            for one in violations
            if one["impact"] in {"serious", "critical"}
        ]
