import json
import re
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote
from uuid import uuid4

import pytest
from bson import Decimal128
from selenium.webdriver.common.keys import Keys

from storage.queries.filters.search_language import SEARCH_KEYS

READ_FILE = {
    "name": "read_file",
    "input_schema": {"properties": {"path": {"type": "string"}, "line": {"type": "integer"}}},
}


def prompts(page):
    return page.texts("a.row .prompt")


def test_the_list_is_newest_first_says_why_one_failed_and_is_searched_in_words(page, site):
    _, token = site.user()
    site.call(token, "First question")
    site.call(token, "Second question", model="demo-error")
    site.recorded(token, 2)
    page.open("interceptions", token)
    page.shows("a.row .prompt", ["Second question", "First question"])
    message = "529 Overloaded: the demo provider fails for this model, as you asked."
    assert page.texts("a.row .problem") == [f"provider's error: {message}"]
    assert page.texts("a.row .state") == ["✕ provider's error", "✓ completed"]
    assert page.texts("a.row .model") == ["demo-error", "demo"]
    assert page.texts(".toolbar [role=status].quiet") == ["2 calls"]
    page.find("#q").send_keys("status:failed", Keys.ENTER)
    page.shows("a.row .prompt", ["Second question"])
    assert page.address == "interceptions?q=status%3Afailed"
    page.browser.back()
    page.shows("a.row .prompt", ["Second question", "First question"])
    assert page.find("#q").get_attribute("value") == ""
    page.go("interceptions?q=model%3Anone")
    page.find(".empty h2", "Nothing matches")
    page.find(".row.head", "Prompt")  # the header stays, and there is no empty frame
    assert not page.find("main").find_element("css selector", ".rows").is_displayed()
    page.go("errors")
    row = page.find(".entry.error", "Overloaded")
    assert "1 user" in row.text
    assert row.rect["height"] < 2 * page.find(".error a").rect["height"] + 20  # a line
    page.click(".error .number a")
    page.find(".detail .wrong", message.removeprefix("529 "))
    page.go("interceptions?range=last-30-days")
    page.find(".view-bar [role=alert]", "asks for last-30-days, which is no range")
    page.find("a.row")
    page.refused.append("400")
    page.go("interceptions?q=colour%3Ared")
    alert = page.find("[role=alert]")
    assert alert.text.splitlines()[:2] == [
        "Invalid interception search query.",
        f'colour: "colour" is not a valid query param: allowed are {", ".join(SEARCH_KEYS)}',
    ]


def test_a_list_without_calls_says_how_to_make_one_and_keeps_no_pasted_token(page, site):
    _, token = site.user()
    page.open("interceptions", token)
    assert page.find(".empty h2").text == "No calls yet"
    page.click(".empty a", "Connect a client")
    page.find("h1", "Connect")
    page.go("sessions")
    page.find("main.sessions #q").send_keys(token, Keys.ENTER)
    assert page.find(".view-bar [role=alert]").text.startswith("That looks like a token or a key")
    assert page.find("#q").get_attribute("value") == ""
    assert page.address == "sessions"
    page.find("#q").send_keys("user:me", Keys.ENTER)
    page.gone(".view-bar [role=alert]")
    assert page.address == "sessions?q=user%3Ame"


@pytest.fixture(scope="module")
def busy(site):
    """A member with 101 calls."""
    _, token = site.user()
    call = site.call(token)
    site.recorded(token, 1)
    site.repeat(call, *({"prompt": f"Prompt {number}"} for number in range(100)))
    return token


def test_scrolling_down_brings_page_after_page_to_the_end(page, busy):
    page.open("interceptions", busy)
    page.find("a.row")
    page.scroll_to_end()
    page.find(".end", "That is all: 101.")
    assert sorted(prompts(page)) == sorted(["Hello", *(f"Prompt {number}" for number in range(100))])


def test_a_live_list_shows_a_call_while_it_is_made_and_how_it_ended(page, site, held):
    _, token = site.user()
    page.open("interceptions?q=model:held", token)
    page.find("main.interceptions .empty")
    page.click("button", "Live")
    held.hold()
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(site.ask, token, held.name, "Who is there?")
        page.shows("a.row .state", ["● in flight"])
        held.let_go()
        page.shows("a.row .state", ["✓ completed"])
        call.result()
    assert prompts(page) == ["Who is there?"]


def test_the_detail_has_all_of_a_call_and_leads_to_the_others_of_its_websocket(page, site):
    name, token = site.user()
    thinking = {"type": "enabled", "budget_tokens": 1024}
    interception = site.call(token, "Call read_file\nfor me", tools=[READ_FILE], thinking=thinking)
    site.recorded(token, 1)
    cost = {"usd": Decimal128("0.00423"), "prices": "made up"}  # not those of the demo
    site.change(interception, **{"cost": cost, "token_usages.0.model": "claude-opus-4-8"})
    (recorded,) = site.get(token, "interceptions")["results"]
    page.open("interceptions", token)
    page.shows("a.row .cost", ["$0.0042"])
    page.click("a.row")
    assert page.find(".detail h2").text == "demo"
    assert page.address == f"interceptions/{interception}"
    assert page.find(".detail .user .text").text == "Call read_file\nfor me"
    (thought,) = recorded["model_thoughts"]
    assert page.texts(".detail .model .text") == [thought["content"]]
    assert page.find(".detail .tool pre").text == json.dumps({"path": "demo", "line": 1}, indent=2)
    (usage,) = recorded["token_usages"]
    figures = page.facts(within=".detail .figures")
    expected = {"Input": str(usage["input_tokens"]), "Output": str(usage["output_tokens"]), "Cost": "$0.0042"}
    assert figures | expected == figures
    taken = sum(count for name, count in usage.items() if name.endswith("input_tokens"))
    used = f"{taken} in and {usage['output_tokens']} out"
    assert page.find(".detail p", "an advisor").text == f"Of these, claude-opus-4-8 used {used}, as an advisor."
    assert list(figures)[:4] == ["Bridge", "Waiting for the provider", "Answer", "In all"]
    assert all(re.fullmatch(r"[\d.]+ m?s", time) for time in list(figures.values())[:3])
    assert len(page.all(".timing p")) == (recorded["connecting"] is not None)
    bar, figures = page.find(".timing .bar").rect, page.find(".timing .figures").rect
    assert (bar["height"], bar["width"], bar["y"] + 20) == (10, figures["width"], figures["y"])  # above them
    facts = page.facts(within=".facts")
    assert facts["Id"] == f"{interception} Copy"
    assert facts["Provider's status"] == "200"
    assert page.find(".detail > p").text.startswith(f"{name} with Unknown to demo, ")
    grant = {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"], "origin": site.url}
    page.browser.execute_cdp_cmd("Browser.grantPermissions", grant)
    page.click(".detail button", "Copy")
    page.find(".detail button", "Copied")
    assert page.browser.execute_script("return navigator.clipboard.readText()") == interception
    socket = uuid4()
    calls = [site.call(token, prompt) for prompt in ("One", "Elsewhere", "Two")]
    site.recorded(token, 4)
    for call in (calls[0], calls[2]):
        origin = {"id": socket, "lane": "main", "warm_up": call == calls[0]}
        site.change(call, websocket=origin, request_ids=[call, str(socket)])
    page.go(f"interceptions/{calls[0]}")
    page.find(".facts dd", f"{socket}, lane main, a warm-up")
    page.click(".facts a", str(socket))
    page.shows("a.row .prompt", ["Two", "One"])


# Each begins with something that means nothing later on.
MARKUP = [
    "javascript:alert(1) <img src=x onerror=alert(1)> <script>alert(1)</script> {{alert(1)}} ${alert(1)}",
    "</pre><iframe srcdoc='<script>parent.alert(1)</script>'></iframe> <svg/onload=alert(1)> `<b>` &lt;b&gt;",
]
RUN = "main script, iframe, main img, main svg, main [onerror], main [onload]"


def test_what_looks_like_markup_stays_text_also_in_an_address(page, site):
    _, token = site.user()
    for markup in MARKUP:
        tool = {"name": "read_file", "input_schema": {"properties": {markup: {"const": markup}}}}
        site.call(token, f"read_file {markup}", model=markup, tools=[tool])
    site.counted(token, len(MARKUP))
    page.open("interceptions", token)
    newest_first = MARKUP[::-1]
    page.shows("a.row .prompt", [f"read_file {markup}" for markup in newest_first])
    assert page.texts("a.row .model") == newest_first
    for markup in newest_first:
        page.click("a.row", f"read_file {markup}")
        assert page.find(".detail h2", markup).text == markup
        assert page.find(".detail .user .text", markup).text == f"read_file {markup}"
        assert json.loads(page.find(".detail .tool pre", markup).text) == {markup: markup}
    page.until(lambda: set(MARKUP) < set(page.texts("select[aria-label=Model] option")), "they were to be choices")
    page.go("overview?by=model")
    page.find(".groups")
    assert sorted(page.texts(".groups tbody td:first-child")) == sorted(MARKUP)
    assert page.all(RUN) == []
    page.refused.extend(("400", "404"))
    for view in ("interceptions?q=", "interceptions/", "overview?by=", "connect?provider=", ""):
        page.go(view + quote(" ".join(MARKUP), safe=""))
        page.gone(".loading")
        assert page.all(RUN) == [], view


def test_a_keyboard_is_enough(page, site):
    _, token = site.user()
    for number in range(3):
        site.call(token, f"Prompt {number}")
    site.recorded(token, 3)
    page.open("interceptions", token)
    page.find("a.row")
    page.browser.execute_script("document.activeElement.blur()")
    page.type(Keys.TAB)
    assert page.focused() == "Skip to content"
    page.type(Keys.ENTER)
    assert page.browser.execute_script("return document.activeElement.id") == "main"
    page.type("j")
    assert "Prompt 2" in page.focused()
    page.type("j", Keys.ARROW_DOWN)
    assert "Prompt 0" in page.focused()
    page.type("k")
    assert "Prompt 1" in page.focused()
    outline = "return getComputedStyle(document.activeElement).outlineStyle"
    assert page.browser.execute_script(outline) == "solid"
    page.type(Keys.ENTER)
    assert page.find(".detail .user .text").text == "Prompt 1"
    page.type("j")
    assert "Prompt 0" in page.focused()
    page.type(Keys.ENTER)
    page.find(".detail .user .text", "Prompt 0")
    page.type("k", Keys.ENTER)
    page.find(".detail .user .text", "Prompt 1")
    page.type(Keys.ESCAPE)
    page.gone(".detail")
    page.until(lambda: "Prompt 1" in page.focused(), "the row was to have the focus again")
    page.type("/")
    assert page.browser.execute_script("return document.activeElement.id") == "q"
    page.type("jk")
    assert page.find("#q").get_attribute("value") == "jk"
